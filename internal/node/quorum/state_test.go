package quorum

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/headrace/headrace/internal/base/vfs"
)

// Another voter, vote or term read from a disk that lies is a node that waits for ever, or votes twice.
func TestABitFlipInTheStateIsNoticed(t *testing.T) {
	fs := vfs.NewMem()
	if err := fs.MkdirAll("/q", 0o755); err != nil {
		t.Fatal(err)
	}
	given := state{
		LeaderID: 1, LeaderEpoch: 7, VotedID: 1, DataVersion: 1,
		Raft: raftState{ClusterID: "c2xKfHbATjK5-JZJ45Og6A", NodeID: 1, Commit: 40, Snapshot: snapshotPoint{
			Offset: 71, Epoch: 1, Index: 36, Conf: confState{Voters: []uint64{2, 3}, Learners: []uint64{4}},
		}},
	}
	if err := saveState(fs, "/q", given); err != nil {
		t.Fatal(err)
	}
	want, err := json.Marshal(given)
	if err != nil {
		t.Fatal(err)
	}
	right, err := vfs.ReadFile(fs, "/q/"+stateFile, maxStateBytes)
	if err != nil {
		t.Fatal(err)
	}
	noticed := 0
	for bit := -1; bit < 8*len(right); bit++ { // -1: as it was written
		b := bytes.Clone(right)
		if bit >= 0 {
			b[bit/8] ^= 1 << (bit % 8)
		}
		s, err := parseState(b)
		if err != nil {
			if noticed++; bit < 0 {
				t.Fatal(err)
			}
			continue
		}
		if got, err := json.Marshal(s); err != nil || !bytes.Equal(got, want) {
			t.Errorf("bit %d of byte %d: %s is read (%v)", bit%8, bit/8, got, err)
		}
	}
	if noticed < 4*len(right) {
		t.Errorf("of %d bits %d were noticed", 8*len(right), noticed)
	}
}
