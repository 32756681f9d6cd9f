package partition

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/node/await"
)

// heldSyncs is a disk whose syncs of the file system say that they begin, and wait, while it is armed.
func heldSyncs() (fs vfs.FS, armed *atomic.Bool, begun, release chan struct{}) {
	armed, begun, release = &atomic.Bool{}, make(chan struct{}), make(chan struct{})
	return vfs.NewFaulty(vfs.NewMem(), func(op vfs.Op) error {
		if op.Kind == vfs.OpSyncFS && armed.Load() {
			begun <- struct{}{}
			<-release
		}
		return nil
	}), armed, begun, release
}

// TestALeadersFlushSpeaksOfNothingThatCameDuringIt appends during a flush; the flush after it is held too.
func TestALeadersFlushSpeaksOfNothingThatCameDuringIt(t *testing.T) {
	fs, armed, begun, release := heldSyncs()
	h := newHost(t, fs, func(c *Config) { c.FlushMethod = FlushSyncfs })
	defer h.Abandon()
	h.topic("t", 1)
	p := h.part("t", 0)
	mustWrite(t, p, "before")
	armed.Store(true)
	put(t, p, "one")
	<-begun // the round found the log to end at 2
	put(t, p, "two")
	all, leader := await.NewWaiter(1), await.NewWaiter(1)
	p.Await(all, AllReplicas, 3)
	p.Await(leader, 1, 3)
	release <- struct{}{}
	<-begun // the round before has told what it made safe
	armed.Store(false)
	if hw := p.HighWatermark(); hw != 2 || all.Done() || leader.Done() {
		t.Errorf("flushed up to 2: the high watermark is %d; woken: %v, with acks=1 %v", hw, all.Done(), leader.Done())
	}
	release <- struct{}{}
	<-all.Woken()
	<-leader.Woken()
}

// TestAFollowersFlushSpeaksOfNothingThatCameDuringIt does so on a follower, which would tell the leader that it has what it may lose.
func TestAFollowersFlushSpeaksOfNothingThatCameDuringIt(t *testing.T) {
	fs, armed, begun, release := heldSyncs()
	r := newFlushingPair(t, FlushSyncfs, vfs.NewMem(), fs)
	defer r.abandon()
	p := r.node(2)
	r.state(2)
	armed.Store(true)
	for i, value := range []string{"one", "two"} {
		if err := p.AppendFetched(time.Now(), 0, stamped(t, p, value, p.LogEnd(), 0)); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			<-begun // the round found the log to end at 1
		}
	}
	w := await.NewWaiter(1)
	p.AwaitSafe(w, 2)
	release <- struct{}{}
	<-begun
	armed.Store(false)
	if w.Done() {
		t.Error("called safe when it was not flushed")
	}
	release <- struct{}{}
	<-w.Woken()
}
