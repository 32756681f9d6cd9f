package partition

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/node/await"
	"github.com/headrace/headrace/internal/storage/commitlog"
)

func wantContents(t *testing.T, p *Partition, want ...string) {
	t.Helper()
	if got := contents(t, p); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("the log holds %v, want %v", got, want)
	}
}

func TestAFollowerThatDivergesCutsItsLogBackAndGoesOn(t *testing.T) {
	for _, durability := range []string{"flush", "os"} {
		r := newPair(t, vfs.NewMem(), vfs.NewMem(), "durability", durability)
		put(t, r.node(1), "one")
		r.sync(2)
		put(t, r.node(1), "lost") // no follower has it
		put(t, r.node(1), "lost too")
		r.elect(2)
		put(t, r.node(2), "two")
		if !r.round(1) {
			t.Fatal("not told that it diverges")
		}
		wantContents(t, r.node(1), "one")
		r.sync(1)
		r.elect(1) // a leader that never appends
		r.elect(2)
		r.sync(1)
		for id := range kafka.NodeID(2) {
			wantContents(t, r.node(id+1), "one", "two")
		}
		r.abandon()
	}
}

func TestAnEpochThatIsOverAppendsAndCutsNothing(t *testing.T) {
	r := newPair(t, vfs.NewMem(), vfs.NewMem())
	defer r.abandon()
	put(t, r.node(1), "one")
	r.sync(2)
	put(t, r.node(1), "late")
	s := r.state(2)
	_, late := r.ask(2, s)
	refused := func() {
		t.Helper()
		p := r.node(2)
		for what, err := range map[string]error{
			"append": p.AppendFetched(time.Now(), s.Epoch, late), "truncation": p.Diverged(s.Epoch, EpochEnd{Epoch: 0, End: 0}),
			"beginning anew": p.StartAnew(s.Epoch, 100),
		} {
			if !errors.Is(err, ErrEpochOver) {
				t.Errorf("%s: %v", what, err)
			}
		}
		p.Heard(s.Epoch, 100, 1)
		wantContents(t, p, "one")
	}
	r.elect(1)
	refused()
	r.elect(2)
	refused()
	if _, ok, err := r.node(2).FetchState(); ok || err != nil {
		t.Errorf("a leader is told to fetch: %v %v", ok, err)
	}
}

func TestWhatIsOfALaterEpochIsLeftOut(t *testing.T) {
	r := newPair(t, vfs.NewMem(), vfs.NewMem())
	defer r.abandon()
	p := r.node(2)
	r.state(2)
	sent := append(stamped(t, p, "mine", 0, 0), stamped(t, p, "later", 1, 1)...)
	if err := p.AppendFetched(time.Now(), 0, append(sent, sent[:20]...)); err != nil {
		t.Fatal(err)
	}
	wantContents(t, p, "mine")
}

func TestADamagedBatchIsNotAppended(t *testing.T) {
	r := newPair(t, vfs.NewMem(), vfs.NewMem())
	defer r.abandon()
	p := r.node(2)
	r.state(2)
	sent := append(stamped(t, p, "one", 0, 0), stamped(t, p, "two", 1, 0)...)
	sent[len(sent)-1] ^= 1
	if err := p.AppendFetched(time.Now(), 0, sent); !errors.Is(err, kerr.CorruptMessage) {
		t.Fatal(err)
	}
	wantContents(t, p)
}

// TestAFollowerAsksOnlyFromWhatIsOnItsDisk holds the follower's flush.
func TestAFollowerAsksOnlyFromWhatIsOnItsDisk(t *testing.T) {
	var held atomic.Bool
	begun, release := make(chan struct{}), make(chan struct{})
	fs := vfs.NewFaulty(vfs.NewMem(), func(op vfs.Op) error {
		if op.Kind == vfs.OpSync && strings.HasSuffix(op.Path, ".log") && held.CompareAndSwap(true, false) {
			close(begun)
			<-release
		}
		return nil
	})
	r := newPair(t, vfs.NewMem(), fs)
	defer r.abandon()
	r.state(2)
	put(t, r.node(1), "one")
	held.Store(true)
	r.round(2)
	<-begun
	got := make(chan FetchState)
	go func() {
		s, _, _ := r.node(2).FetchState()
		got <- s
	}()
	w := await.NewWaiter(1)
	r.node(2).AwaitSafe(w, 1)
	select {
	case s := <-got:
		t.Errorf("asks from %d while that is not flushed", s.Offset)
	case <-w.Woken():
		t.Error("called safe while it is not flushed")
	default:
	}
	close(release)
	if s := <-got; s.Offset != 1 {
		t.Errorf("asks from %d", s.Offset)
	}
	<-w.Woken()
}

func TestALeaderThatBecomesAFollowerFlushesBeforeItAsks(t *testing.T) {
	r := newPair(t, vfs.NewMem(), vfs.NewMem(), "durability", "os")
	defer r.abandon()
	put(t, r.node(1), "not flushed")
	flush := "flush"
	for _, h := range r.hosts {
		h.apply(configRecord("t", "durability", &flush))
	}
	r.elect(2)
	if s := r.state(1); s.Offset != 1 || r.node(1).openLog().Flushed() != 1 {
		t.Errorf("asks from %d, %d are flushed", s.Offset, r.node(1).openLog().Flushed())
	}
}

// TestATruncationDuringAFlushIsNotUndoneByIt cuts a log off, and appends to it again, while a round syncs the file system; the round
// after it is held too.
func TestATruncationDuringAFlushIsNotUndoneByIt(t *testing.T) {
	var armed atomic.Bool
	begun, release := make(chan struct{}), make(chan struct{})
	mem := vfs.NewMem()
	fs := vfs.NewFaulty(mem, func(op vfs.Op) error {
		if op.Kind == vfs.OpSyncFS && armed.Load() {
			begun <- struct{}{}
			<-release
		}
		return nil
	})
	r := newFlushingPair(t, FlushSyncfs, vfs.NewMem(), fs)
	defer r.abandon()
	p := r.node(2)
	fetched := func(at kafka.Offset, values ...string) {
		t.Helper()
		var b []byte
		for i, v := range values {
			b = append(b, stamped(t, p, v, at+kafka.Offset(i), 0)...)
		}
		if err := p.AppendFetched(time.Now(), 0, b); err != nil {
			t.Fatal(err)
		}
	}
	r.state(2)
	fetched(0, "one")
	settle(t, p)
	armed.Store(true)
	fetched(1, "a", "b", "c")
	<-begun // the round found the log to end at 4
	if err := p.Diverged(0, EpochEnd{Epoch: 0, End: 1}); err != nil {
		t.Fatal(err)
	}
	fetched(1, "x", "y", "z")
	w := await.NewWaiter(1)
	p.AwaitSafe(w, 2)
	cut := mem.CrashClone(nil)
	release <- struct{}{}
	<-begun
	armed.Store(false)
	if at := p.openLog().Flushed(); at != 1 || w.Done() {
		t.Errorf("%d are called flushed, waiter woken: %v", at, w.Done())
	}
	release <- struct{}{}
	settle(t, p)
	wantContents(t, p, "one", "x", "y", "z")
	after := r.start(1, cut)
	defer after.Abandon()
	if _, _, err := after.part("t", 0).FetchState(); err != nil {
		t.Fatal(err)
	}
	wantContents(t, after.part("t", 0), "one")
}

// TestAfterATruncationNothingIsTrustedThatWasNotFlushed cuts a log below its recovery point on the disk. Were that not taken back,
// a recovery would call flushed what is appended there, though a power cut may have torn it.
func TestAfterATruncationNothingIsTrustedThatWasNotFlushed(t *testing.T) {
	var full atomic.Bool
	mem := vfs.NewMem()
	fs := vfs.NewFaulty(mem, func(op vfs.Op) error {
		if full.Load() && op.Kind == vfs.OpCreate && strings.Contains(op.Path, "recovery-point") {
			return vfs.ErrNoSpace
		}
		return nil
	})
	r := newPair(t, vfs.NewMem(), fs)
	defer r.abandon()
	for range 3 {
		put(t, r.node(1), "one")
	}
	r.sync(2)
	r.hosts[1].checkpoint(r.hosts[1].dirs[0])
	p := r.node(2)
	full.Store(true)
	if err := p.Diverged(0, EpochEnd{Epoch: 0, End: 1}); !errors.Is(err, commitlog.ErrNoRoom) {
		t.Fatalf("cut without a checkpoint: %v", err)
	}
	sent := stamped(t, p, "two", 1, 0)
	if err := p.AppendFetched(time.Now(), 0, sent); !errors.Is(err, commitlog.ErrNoRoom) {
		t.Fatalf("appended while the recovery point lies beyond the end: %v", err)
	}
	full.Store(false)
	if err := p.AppendFetched(time.Now(), 0, sent); err != nil {
		t.Fatal(err)
	}
	wantContents(t, p, "one", "two")
	if file, err := vfs.ReadFile(mem, "/data/recovery-point-offset-checkpoint", 1<<10); err != nil || !strings.HasSuffix(string(file), "t 0 1\n") {
		t.Errorf("the recovery points are %q, %v", file, err)
	}
}

func TestTheHighWatermarkOfANodeDoesNotGoBackWithItsRole(t *testing.T) {
	r := newPair(t, vfs.NewMem(), vfs.NewMem())
	defer r.abandon()
	for range 3 {
		put(t, r.node(1), "x")
	}
	r.sync(2)
	r.elect(2) // knows what is committed as a follower did
	r.elect(1)
	r.node(2).Heard(r.given.LeaderEpoch, 1, 0) // a leader that does not know yet
	for id := range kafka.NodeID(2) {
		if hw := r.node(id + 1).HighWatermark(); hw != 3 {
			t.Errorf("node %d: high watermark %d", id+1, hw)
		}
	}
	if _, err := r.node(1).OffsetFor(LatestOffset, -1, false); err != nil {
		t.Error(err)
	}
}

// A node that comes back goes on with what it wrote down as committed, whatever is written down again while what it recovered is being
// made durable: with few replicas it may hear of nothing else for long.
func TestTheHighWatermarkOutlivesACrash(t *testing.T) {
	disk := vfs.NewMem()
	r := newFlushingPair(t, FlushSyncfs, disk, vfs.NewMem())
	defer r.abandon()
	put(t, r.node(1), "one")
	r.sync(2)
	r.hosts[0].checkpoint(r.hosts[0].dirs[0])
	put(t, r.node(1), "two")
	settle(t, r.node(1))
	r.hosts[0].checkpoint(r.hosts[0].dirs[0])
	put(t, r.node(1), "three")
	settle(t, r.node(1))
	var armed atomic.Bool
	begun, release := make(chan struct{}), make(chan struct{})
	armed.Store(true)
	after := r.start(0, vfs.NewFaulty(disk.Clone(), func(op vfs.Op) error {
		if op.Kind == vfs.OpSyncFS && armed.CompareAndSwap(true, false) {
			close(begun)
			<-release
		}
		return nil
	}))
	defer after.Abandon()
	<-begun // what was recovered is not the partition's yet
	after.checkpoint(after.dirs[0])
	close(release)
	p := after.part("t", 0)
	if _, err := p.use(); err != nil {
		t.Fatal(err)
	}
	p.role.RUnlock()
	if p.HighWatermark() != 1 || p.LogEnd() != 3 {
		t.Errorf("up to %d of %d counts as committed", p.HighWatermark(), p.LogEnd())
	}
}

func TestACutBelowTheHighWatermarkTakesItBack(t *testing.T) {
	r := newPair(t, vfs.NewMem(), vfs.NewMem())
	defer r.abandon()
	for range 3 {
		put(t, r.node(1), "x")
	}
	r.sync(2)
	p := r.node(2)
	if err := p.Diverged(0, EpochEnd{Epoch: 0, End: 2}); err != nil { // as after an unclean election
		t.Fatal(err)
	}
	if hw := p.HighWatermark(); hw != 2 {
		t.Errorf("high watermark %d", hw)
	}
	if err := p.StartAnew(0, 7); err != nil {
		t.Fatal(err)
	}
	if s := r.state(2); s.Offset != 7 || s.LogStart != 7 || s.LastEpoch != kafka.NoLeaderEpoch || p.HighWatermark() != 7 {
		t.Errorf("%+v, high watermark %d", s, p.HighWatermark())
	}
}

func TestConsumersReadFromAFollowerWhatItKnowsToBeCommitted(t *testing.T) {
	r := newPair(t, vfs.NewMem(), vfs.NewMem())
	defer r.abandon()
	put(t, r.node(1), "one")
	r.sync(2)
	put(t, r.node(1), "two")
	r.round(2)
	f, err := r.node(2).FetchNearby(Position{Offset: 0, Epoch: 0, LastEpoch: -1, MaxBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Plan.Release()
	b, err := f.Plan.ReadAll(nil)
	if got := decode(t, b); err != nil || fmt.Sprint(got) != "[one]" || f.HighWatermark != 1 {
		t.Errorf("%v up to %d, %v", got, f.HighWatermark, err)
	}
	if _, err := r.node(2).Fetch(Position{Epoch: -1, LastEpoch: -1}); !errors.Is(err, kerr.NotLeaderForPartition) {
		t.Errorf("a consumer that wants the leader: %v", err)
	}
}

func TestAConsumerOfAnEpochThatIsOverIsSentToTheNewLeader(t *testing.T) {
	r := newPair(t, vfs.NewMem(), vfs.NewMem())
	defer r.abandon()
	put(t, r.node(1), "one")
	r.sync(2)
	r.elect(2)
	old := Position{Offset: 0, Epoch: 0, LastEpoch: -1, MaxBytes: 1 << 20}
	for name, ask := range map[string]func(*Partition) error{
		"fetch":        func(p *Partition) error { _, err := p.Fetch(old); return err },
		"fetch nearby": func(p *Partition) error { _, err := p.FetchNearby(old); return err },
		"list offsets": func(p *Partition) error { _, err := p.OffsetFor(LatestOffset, 0, false); return err },
		"epoch's end":  func(p *Partition) error { _, err := p.EndOfEpoch(0, 0); return err },
	} {
		if err := ask(r.node(1)); !errors.Is(err, kerr.NotLeaderForPartition) || errors.Is(err, kerr.FencedLeaderEpoch) {
			t.Errorf("%s at the old leader: %v", name, err)
		}
		if err := ask(r.node(2)); !errors.Is(err, kerr.FencedLeaderEpoch) {
			t.Errorf("%s at the new one: %v", name, err)
		}
	}
}

func TestAFollowerTakesItsLeadersLogStart(t *testing.T) {
	r := newPair(t, vfs.NewMem(), vfs.NewMem())
	defer r.abandon()
	for range 3 {
		put(t, r.node(1), "x")
	}
	r.sync(2)
	if _, err := r.node(1).DeleteBefore(2); err != nil {
		t.Fatal(err)
	}
	r.round(2)
	if s := r.state(2); s.LogStart != 2 {
		t.Errorf("log start %d", s.LogStart)
	}
}

func TestARoleThatChangesWakesWhoWaitsForTheFlush(t *testing.T) {
	var armed atomic.Bool
	release := make(chan struct{})
	fs := vfs.NewFaulty(vfs.NewMem(), func(op vfs.Op) error {
		if op.Kind == vfs.OpSync && strings.HasSuffix(op.Path, ".log") && armed.Load() {
			<-release
		}
		return nil
	})
	r := newPair(t, vfs.NewMem(), fs)
	defer r.abandon()
	defer close(release)
	put(t, r.node(1), "one")
	r.state(2)
	armed.Store(true)
	r.round(2)
	w := await.NewWaiter(1)
	r.node(2).AwaitSafe(w, 1)
	r.elect(1)
	if <-w.Woken(); !w.Broken() {
		t.Error("called safe")
	}
}

// TestWhatIsAppendedAfterACutIsSafeWhenItIsFlushed cuts what was flushed already, and holds the flush of what takes its place.
func TestWhatIsAppendedAfterACutIsSafeWhenItIsFlushed(t *testing.T) {
	var armed atomic.Bool
	release := make(chan struct{})
	fs := vfs.NewFaulty(vfs.NewMem(), func(op vfs.Op) error {
		if op.Kind == vfs.OpSync && strings.HasSuffix(op.Path, ".log") && armed.Load() {
			<-release
		}
		return nil
	})
	r := newPair(t, vfs.NewMem(), fs)
	defer r.abandon()
	for range 3 {
		put(t, r.node(1), "x")
	}
	r.sync(2)
	p := r.node(2)
	if err := p.Diverged(0, EpochEnd{Epoch: 0, End: 1}); err != nil {
		t.Fatal(err)
	}
	armed.Store(true)
	if err := p.AppendFetched(time.Now(), 0, stamped(t, p, "y", 1, 0)); err != nil {
		t.Fatal(err)
	}
	w := await.NewWaiter(1)
	p.AwaitSafe(w, 2)
	if w.Done() {
		t.Error("called safe before it is flushed")
	}
	close(release)
	<-w.Woken()
}
