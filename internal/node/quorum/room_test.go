package quorum

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/vfs"
)

// TestAFullDiskRefusesChangesUntilThereIsRoom fills the disk again and again at random, in parts of writes too. Who asks is
// refused, what was acknowledged stays, and when there is room the quorum goes on, as does one that is started again.
func TestAFullDiskRefusesChangesUntilThereIsRoom(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 17))
			var full atomic.Bool
			disk := vfs.NewMem()
			fsys := vfs.NewFaulty(disk, func(op vfs.Op) error {
				switch {
				case !full.Load():
				case op.Kind == vfs.OpWrite:
					return vfs.ErrTornFull(int(op.N) * int(seed) / 20)
				case op.Kind == vfs.OpCreate:
					return vfs.ErrNoSpace
				}
				return nil
			})
			small := func(c *Config) { c.SnapshotBytes = 3000 }
			q := startOnCommitLog(t, fsys, small)
			register(t, q)
			made, refused := []string{}, 0
			for i := range 60 {
				full.Store(rng.IntN(3) == 0)
				name := fmt.Sprintf("t%d", i)
				_, err := q.Submit(context.Background(), createTopics(name))
				switch {
				case err == nil:
					made = append(made, name)
				case errors.Is(err, kerr.KafkaStorageError):
					refused++ // for a moment longer than the disk is full
				default:
					t.Fatalf("seed %d: %v", seed, err)
				}
			}
			full.Store(false)
			<-time.After(2 * retryAfter)
			mustCreate(t, q, "last")
			if err := q.Close(); err != nil {
				t.Fatal(err)
			}
			q = startOnCommitLog(t, disk, small)
			defer q.Close()
			for _, name := range append(made, "last") {
				if _, ok := q.Image().Topic(name); !ok {
					t.Errorf("seed %d: acknowledged %s is lost", seed, name)
				}
			}
			if refused == 0 {
				t.Errorf("seed %d: nothing was refused", seed)
			}
		})
	}
}

func startOnCommitLog(t *testing.T, fsys vfs.FS, change func(*Config)) *Quorum {
	t.Helper()
	log, err := openCommitLog(fsys, testDir)
	if err != nil {
		t.Fatal(err)
	}
	return start(t, fsys, func(c *Config) {
		change(c)
		c.Log = log
	})
}

// TestAStopDoesNotWaitForRoom has the disk full when the quorum is closed.
func TestAStopDoesNotWaitForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var full atomic.Bool
		q := start(t, vfs.NewFaulty(vfs.NewMem(), func(op vfs.Op) error {
			if full.Load() && op.Kind == vfs.OpWrite {
				return vfs.ErrNoSpace
			}
			return nil
		}), nil)
		register(t, q)
		full.Store(true)
		if _, err := q.Submit(context.Background(), createTopics("x")); !errors.Is(err, kerr.KafkaStorageError) {
			t.Errorf("no room: %v", err)
		}
		_ = q.Close()
	})
}

// TestALogThatFailedForWantOfRoomEndsTheQuorum has a disk so full that what was written of a change cannot be cut off again,
// which is final for the log: waiting for room would be waiting for ever.
func TestALogThatFailedForWantOfRoomEndsTheQuorum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var full atomic.Bool
		q := startOnCommitLog(t, vfs.NewFaulty(vfs.NewMem(), func(op vfs.Op) error {
			if full.Load() && (op.Kind == vfs.OpWrite || op.Kind == vfs.OpTruncate) {
				return vfs.ErrNoSpace
			}
			return nil
		}), func(*Config) {})
		register(t, q)
		full.Store(true)
		if _, err := q.Submit(context.Background(), createTopics("x")); err == nil {
			t.Error("a change was made without room")
		}
		full.Store(false)
		select {
		case <-q.Done():
		case <-time.After(time.Minute):
			t.Error("the quorum waits for room on a log that is offline")
		}
		if err := q.Close(); err == nil && q.Err() == nil {
			t.Error("nobody is told")
		}
	})
}
