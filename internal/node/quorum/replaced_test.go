package quorum

import (
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
)

// A follower has entries of a leader that never committed them, and one message of the next leader brings others in their
// place and says that those are committed. Whatever is left of that when the power goes, the replaced ones are not.
func TestEntriesThatAreReplacedAreNeverTakenForCommitted(t *testing.T) {
	eachLog(t, func(t *testing.T, open logOpener) {
		for seed := range uint64(3) {
			var rng *rand.Rand
			if seed > 0 {
				rng = rand.New(rand.NewPCG(seed, 8))
			}
			synctest.Test(t, func(t *testing.T) {
				err := vfs.CrashPoints(vfs.NewMem(), rng, func(fsys vfs.FS) error {
					return followTwo(t, fsys, open)
				}, func(next vfs.Op, after *vfs.Mem) {
					notTakenForCommitted(t, next, after, open)
				})
				if err != nil {
					t.Fatal(err)
				}
			})
		}
	})
}

func followerConfig(t *testing.T, fsys vfs.FS, open logOpener) (Config, error) {
	log, err := open(fsys, testDir)
	if err != nil {
		return Config{}, err
	}
	cfg := testConfig(t, fsys, log)
	cfg.Logger = slog.New(slog.DiscardHandler)
	cfg.Voters = []kafka.NodeID{0, 1, 2}
	return cfg, nil
}

// followTwo has node 0 follow node 1 in term 1 and then node 2 in term 2, which had nothing of term 1.
func followTwo(t *testing.T, fsys vfs.FS, open logOpener) error {
	cfg, err := followerConfig(t, fsys, open)
	if err != nil {
		return err
	}
	var has atomic.Uint64 // the last index that was acknowledged, and its term
	cfg.Send = func(messages []*raftpb.Message) {
		for _, m := range messages {
			if m.GetType() == raftpb.MsgAppResp && !m.GetReject() {
				has.Store(m.GetTerm()<<32 | m.GetIndex())
			}
		}
	}
	q, err := Start(cfg)
	if err != nil {
		return err
	}
	defer q.Close()
	for term := uint64(1); term <= 2; term++ {
		m := &raftpb.Message{
			Type: raftpb.MsgApp.Enum(), From: proto.Uint64(founderID(kafka.NodeID(term))), To: proto.Uint64(founderID(0)),
			Term: proto.Uint64(term), Index: proto.Uint64(0), LogTerm: proto.Uint64(0), Commit: proto.Uint64(2 * (term - 1)),
		}
		for i := range uint64(2) {
			m.Entries = append(m.Entries, &raftpb.Entry{Term: proto.Uint64(term), Index: proto.Uint64(i + 1)})
		}
		q.Receive(m)
		synctest.Wait()
		if err := q.Err(); err != nil {
			return err
		}
		if has.Load() != term<<32|2 {
			t.Errorf("term %d: acknowledged %x", term, has.Load())
		}
	}
	return q.Close()
}

// notTakenForCommitted runs on the loop of the quorum that is cut off, so that it must not end its goroutine.
func notTakenForCommitted(t *testing.T, next vfs.Op, disk *vfs.Mem, open logOpener) {
	t.Helper()
	cfg, err := followerConfig(t, disk, open)
	if err != nil {
		t.Errorf("before %v: %v", next, err)
		return
	}
	s, _, err := openStorage(&cfg)
	if err != nil {
		t.Errorf("before %v: %v", next, err)
		return
	}
	for i := s.first; i <= s.state.Raft.Commit; i++ {
		if term, err := s.Term(i); term != 2 || err != nil {
			t.Errorf("before %v: entry %d of term %d (%v) is taken for committed", next, i, term, err)
		}
	}
}
