package quorum

import (
	"bytes"
	"encoding/json"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
)

func sampleImage() *metadata.Image {
	recs := []metadata.Record{
		&metadata.FeatureLevelRecord{Name: "metadata.version", Level: 30},
		&metadata.TopicRecord{Name: "a", ID: kafka.TopicID{1}},
		&metadata.PartitionRecord{Topic: kafka.TopicID{1}, Replicas: []kafka.NodeID{0}, ISR: []kafka.NodeID{0}},
	}
	img, _ := metadata.New("c1").Apply(recs, 9)
	return img
}

func TestSnapshotIsReadAsItWasWrittenAndNoPartOfItIs(t *testing.T) {
	img := sampleImage()
	b := encodeSnapshot(img, 3, 1234)
	got, err := decodeSnapshot(b, "c1", 10)
	if err != nil || !got.Equal(img) {
		t.Fatalf("read back %+v (%v)", got, err)
	}
	for n := range b {
		if _, err := decodeSnapshot(b[:n], "c1", 10); err == nil {
			t.Fatalf("the first %d of %d bytes are a snapshot", n, len(b))
		}
	}
	if _, err := decodeSnapshot(append(bytes.Clone(b), b...), "c1", 10); err == nil {
		t.Error("two snapshots behind one another are one")
	}
}

func TestEntriesAreReadAsTheyWereStored(t *testing.T) {
	term, index := uint64(7), uint64(5)
	records := encodeRecords([]metadata.Record{&metadata.NoOpRecord{}, &metadata.NoOpRecord{}}, 20, term, 1)
	for _, c := range []struct {
		typ  raftpb.EntryType
		data []byte
	}{{raftpb.EntryNormal, records}, {raftpb.EntryNormal, nil}, {raftpb.EntryConfChangeV2, []byte{1, 2}}, {raftpb.EntryConfChange, nil}} {
		e := &raftpb.Entry{Type: &c.typ, Term: &term, Index: &index, Data: c.data}
		b := encodeEntry(e, 20, 1, 2, []kafka.NodeID{1, 2})
		got, err := decodeEntry(b, index)
		if err != nil || got.GetType() != c.typ || got.GetTerm() != term || got.GetIndex() != index || !bytes.Equal(got.GetData(), c.data) {
			t.Errorf("%v %x: read back %v (%v)", c.typ, c.data, got, err)
		}
		h, err := batch.ParseHeader(b)
		if err != nil || h.BaseOffset != 20 || uint64(h.LeaderEpoch) != term {
			t.Errorf("header %+v (%v)", h, err)
		}
	}
}

func TestParseStateRefusesWhatRaftCannotTrust(t *testing.T) {
	good := newState(&Config{NodeID: 1, ClusterID: "c", Voters: []kafka.NodeID{1}})
	b, _ := json.Marshal(good)
	if _, err := parseState(b); err != nil {
		t.Errorf("a new state: %v", err)
	}
	for name, change := range map[string]func(*state){
		"version":        func(s *state) { s.DataVersion = 0 },
		"epoch":          func(s *state) { s.LeaderEpoch = -1 },
		"vote":           func(s *state) { s.VotedID = -2 },
		"voters":         func(s *state) { s.Raft.Snapshot.Conf.Voters = nil },
		"epoch ahead":    func(s *state) { s.Raft.Snapshot.Epoch = 9 },
		"half a point":   func(s *state) { s.Raft.Snapshot.Index = 9 },
		"negative point": func(s *state) { s.Raft.Snapshot.Offset = -9 },
	} {
		s := good
		change(&s)
		b, _ := json.Marshal(s)
		if _, err := parseState(b); err == nil {
			t.Errorf("%s: %s was taken", name, b)
		}
	}
}

func FuzzParseState(f *testing.F) {
	b, _ := json.Marshal(newState(&Config{Voters: []kafka.NodeID{0}}))
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseState(b)
		if err != nil {
			return
		}
		again, _ := json.Marshal(s)
		if _, err := parseState(again); err != nil {
			t.Fatalf("%s was written as %s: %v", b, again, err)
		}
	})
}

func FuzzDecodeSnapshot(f *testing.F) {
	f.Add(encodeSnapshot(sampleImage(), 3, 1234))
	f.Fuzz(func(t *testing.T, b []byte) {
		img, err := decodeSnapshot(b, "c1", 10)
		if err != nil {
			return
		}
		again, err := decodeSnapshot(encodeSnapshot(img, 1, 1), "c1", 10)
		if err != nil || !again.Equal(img) {
			t.Fatalf("a snapshot of the snapshot's Image differs: %v", err)
		}
	})
}

func FuzzDecodeEntry(f *testing.F) {
	f.Add(encodeRecords([]metadata.Record{&metadata.NoOpRecord{}}, 0, 1, 1))
	f.Add(controlBatch(batch.ControlLeaderChange, leaderChange(1, []kafka.NodeID{1}), 0, 1, 1))
	f.Add(controlBatch(controlConfChange, []byte{2, 1}, 0, 1, 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := decodeEntry(b, 1)
		if err == nil && e.GetType() == raftpb.EntryNormal && len(e.GetData()) > 0 {
			decodeRecords(e.GetData())
		}
	})
}

// FuzzSnapshotOfAnotherNode takes apart what another node sends as a snapshot.
func FuzzSnapshotOfAnotherNode(f *testing.F) {
	good, err := appendToSnapshot([]byte("file"), notes{{ID: 2, Host: "node2", Port: 9092, Epoch: -1}}, 7)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		file, about, end, err := splitSnapshot(b)
		if err != nil {
			return
		}
		again, err := appendToSnapshot(bytes.Clone(file), about, end)
		if err != nil {
			t.Fatal(err)
		}
		if f2, a2, e2, err := splitSnapshot(again); err != nil || !bytes.Equal(f2, file) || len(a2) != len(about) || e2 != end {
			t.Errorf("%q, %v, %d became %q, %v, %d (%v)", file, about, end, f2, a2, e2, err)
		}
	})
}
