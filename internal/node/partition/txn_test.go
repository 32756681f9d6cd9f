package partition

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/storage/commitlog"
)

// writer is a producer with transactions of transaction.version 2: every marker raises its epoch.
type writer struct {
	t     *testing.T
	id    kafka.ProducerID
	epoch kafka.ProducerEpoch
	seq   int32
}

// put appends one record of its transaction as the leader, and waits for nothing.
func (w *writer) put(p *Partition, value string) kafka.Offset {
	w.t.Helper()
	b := batch.NewBuilder(batch.BuilderConfig{ProducerID: w.id, Epoch: w.epoch, BaseSequence: w.seq, Transactional: true})
	b.Append(time.Now().UnixMilli(), []byte("k"), []byte(value), nil)
	a, _, err := p.Append(time.Now(), b.Finish(), AllReplicas, commitlog.OriginClient, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	w.seq++
	return a.First
}

// end appends the marker that ends its transaction.
func (w *writer) end(p *Partition, kind batch.ControlType) kafka.Offset {
	w.t.Helper()
	w.epoch, w.seq = w.epoch+1, 0
	off, err := w.mark(p, kind)
	if err != nil {
		w.t.Fatal(err)
	}
	return off
}

// mark appends a marker of the epoch that it has.
func (w *writer) mark(p *Partition, kind batch.ControlType) (kafka.Offset, error) {
	v := batch.EndTxnMarker(w.id, w.epoch, 0, kind, time.Now().UnixMilli())
	a, _, err := p.Append(time.Now(), v, AllReplicas, commitlog.OriginOfMarker(2), 0)
	return a.First, err
}

// committed is what a consumer of committed transactions makes of a partition from an offset on, and the last stable offset.
func committed(t *testing.T, p *Partition, from kafka.Offset) (values []string, lso kafka.Offset) {
	t.Helper()
	f, err := p.FetchNearby(Position{Offset: from, Epoch: -1, LastEpoch: -1, MaxBytes: 1 << 20, Committed: true})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Plan.Release()
	b, err := f.Plan.ReadAll(nil)
	if err != nil {
		t.Fatal(err)
	}
	if f.LSO > f.HighWatermark || f.Plan.Next > max(f.LSO, from) {
		t.Errorf("read up to %d with a last stable offset of %d and a high watermark of %d", f.Plan.Next, f.LSO, f.HighWatermark)
	}
	if !slices.IsSortedFunc(f.Aborted, func(a, b commitlog.AbortedTxn) int { return int(a.First - b.First) }) {
		t.Errorf("aborted transactions are not sent by their beginnings: %+v", f.Aborted)
	}
	aborted := map[kafka.ProducerID]bool{}
	for one, err := range batch.Split(b) {
		if err != nil {
			t.Fatal(err)
		}
		h, err := batch.ParseHeader(one)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range f.Aborted {
			if a.First <= h.LastOffset() && h.BaseOffset <= a.Last {
				aborted[a.ProducerID] = true
			}
		}
		switch {
		case h.Attributes.IsControl():
			delete(aborted, h.ProducerID)
		case !aborted[h.ProducerID] || !h.Attributes.IsTransactional():
			values = append(values, decode(t, one)...)
		}
	}
	return values, f.LSO
}

func wantCommitted(t *testing.T, where string, p *Partition, lso kafka.Offset, want ...string) {
	t.Helper()
	got, stable := committed(t, p, 0)
	if fmt.Sprint(got) != fmt.Sprint(want) || stable != lso {
		t.Errorf("%s: committed %v up to %d, want %v up to %d", where, got, stable, want, lso)
	}
}

// A marker that may yet be lost ends nothing: what a consumer was shown would be of a transaction that is open again.
func TestATransactionEndsWhenItsMarkerIsReplicated(t *testing.T) {
	r := newPair(t, vfs.NewMem(), vfs.NewMem())
	defer r.abandon()
	leader := r.node(1)
	w := &writer{t: t, id: 7}
	w.put(leader, "one")
	put(t, leader, "plain")
	r.sync(2)
	wantCommitted(t, "open", leader, 0)
	w.end(leader, batch.ControlCommit)
	settle(t, leader)
	r.round(2)
	wantCommitted(t, "the follower lacks the marker", leader, 0)
	if found, err := leader.OffsetFor(LatestOffset, 0, true); err != nil || found.Offset != 0 {
		t.Errorf("the last stable offset is listed as %d: %v", found.Offset, err)
	}
	r.sync(2)
	wantCommitted(t, "replicated", leader, 3, "one", "plain")
	wantCommitted(t, "at the follower", r.node(2), 3, "one", "plain")
	w.put(leader, "next")
	r.sync(2)
	for isCommitted, want := range map[bool]kafka.Offset{true: 3, false: 4} {
		if found, err := leader.OffsetFor(LatestOffset, 0, isCommitted); err != nil || found.Offset != want {
			t.Errorf("committed %v: the latest offset is listed as %d: %v", isCommitted, found.Offset, err)
		}
		found, err := leader.OffsetFor(time.Now().Add(-time.Hour).UnixMilli(), 0, isCommitted)
		if err != nil || found.Offset != 0 {
			t.Errorf("committed %v: the first of the last hour is listed as %d: %v", isCommitted, found.Offset, err)
		}
	}
}

// What is open on the leader is open on whoever leads after it, and what was aborted stays so.
func TestAFollowerCarriesOpenTransactions(t *testing.T) {
	r := newPair(t, vfs.NewMem(), vfs.NewMem())
	defer r.abandon()
	a, b, empty := &writer{t: t, id: 7}, &writer{t: t, id: 8}, &writer{t: t, id: 9}
	leader := r.node(1)
	a.put(leader, "a")
	b.put(leader, "b")
	a.put(leader, "a")
	a.end(leader, batch.ControlAbort)
	put(t, leader, "plain")
	empty.end(leader, batch.ControlCommit) // of a transaction that wrote nothing here
	r.sync(2)
	wantCommitted(t, "first leader", leader, 1)
	r.elect(2)
	leader = r.node(2)
	wantCommitted(t, "second leader", leader, 1)
	late := *a
	a.put(leader, "again")
	if _, err := late.mark(leader, batch.ControlCommit); !errors.Is(err, kerr.InvalidProducerEpoch) {
		t.Errorf("a marker that was sent to the leader of before, repeated: %v", err)
	}
	b.end(leader, batch.ControlCommit)
	r.sync(1)
	wantCommitted(t, "with one open", leader, 6, "b", "plain")
	a.end(leader, batch.ControlCommit)
	r.sync(1)
	wantCommitted(t, "with none open", leader, 9, "b", "plain", "again")
	wantCommitted(t, "as the follower", r.node(1), 9, "b", "plain", "again")
}

// A leader that went away before its marker was replicated comes back as a follower, without it.
func TestAMarkerThatIsCutOffEndsNothing(t *testing.T) {
	r := newPair(t, vfs.NewMem(), vfs.NewMem())
	defer r.abandon()
	w := &writer{t: t, id: 7}
	w.put(r.node(1), "one")
	r.sync(2)
	other := *w
	w.end(r.node(1), batch.ControlAbort)
	r.elect(2)
	put(t, r.node(2), "plain")
	r.sync(1)
	wantCommitted(t, "new leader", r.node(2), 0)
	wantCommitted(t, "old one", r.node(1), 0)
	other.end(r.node(2), batch.ControlCommit)
	r.sync(1)
	wantCommitted(t, "new leader", r.node(2), 3, "one", "plain")
	wantCommitted(t, "old one", r.node(1), 3, "one", "plain")
}

func TestTransactionsSurviveAStopAndAKill(t *testing.T) {
	for _, kill := range []bool{false, true} {
		fs := vfs.NewMem()
		h := newHost(t, fs, nil)
		h.topic("t", 1, "segment.bytes", "300")
		p := h.part("t", 0)
		a, b := &writer{t: t, id: 7}, &writer{t: t, id: 8}
		for i := range 6 {
			b.put(p, fmt.Sprint("b", i))
			for range 4 {
				a.put(p, fmt.Sprint("a", i))
			}
			a.end(p, batch.ControlType(i%2))
			if i < 5 {
				b.end(p, batch.ControlType(i/2%2))
			}
		}
		settle(t, p)
		values, lso := committed(t, p, 0)
		if kill {
			h.Abandon()
		} else if err := h.Close(time.Now(), 1); err != nil {
			t.Fatal(err)
		}
		h = newHost(t, fs, nil)
		h.topic("t", 1, "segment.bytes", "300")
		p = h.part("t", 0)
		wantCommitted(t, fmt.Sprint("kill ", kill), p, lso, values...)
		if len(values) < 10 || lso != 5*7 {
			t.Errorf("%d values are committed up to %d", len(values), lso)
		}
		late := *a
		a.put(p, "next")
		if _, err := late.mark(p, batch.ControlAbort); !errors.Is(err, kerr.InvalidProducerEpoch) {
			t.Errorf("kill %v: a late marker: %v", kill, err)
		}
		h.Abandon()
	}
}

func TestAMoveTakesOpenTransactionsAlong(t *testing.T) {
	fs := vfs.NewMem()
	h := newDirs(t, fs, nil)
	defer h.Abandon()
	h.topic("t", 1, "segment.bytes", "300")
	p := h.part("t", 0)
	a, b := &writer{t: t, id: 7}, &writer{t: t, id: 8}
	for i := range 6 {
		a.put(p, fmt.Sprint("a", i))
		a.end(p, batch.ControlType(i%2))
	}
	b.put(p, "b")
	a.put(p, "later")
	a.end(p, batch.ControlCommit)
	settle(t, p)
	values, lso := committed(t, p, 0)
	mustMove(t, h, p, "/b")
	awaitMoved(t, fs, p, "/b")
	wantCommitted(t, "moved", p, lso, values...)
	if strings.Join(values, " ") != "a1 a3 a5" || lso != 12 {
		t.Errorf("committed %v up to %d", values, lso)
	}
	b.end(p, batch.ControlCommit)
	settle(t, p)
	wantCommitted(t, "ended where it moved to", p, 16, "a1", "a3", "a5", "b", "later")
}

func TestStatsTellWhenTheOldestTransactionWasLastWrittenTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, vfs.NewMem(), nil)
		defer h.Abandon()
		h.topic("t", 1)
		p := h.part("t", 0)
		oldest, other := &writer{t: t, id: 7}, &writer{t: t, id: 8}
		want := func(producers int, written int64) {
			t.Helper()
			if s := p.Stats(); s.Producers != producers || s.TxnWritten != written {
				t.Errorf("%d producers, last written at %d; want %d, %d", s.Producers, s.TxnWritten, producers, written)
			}
		}
		want(0, kafka.NoTimestamp)
		put(t, p, "plain")
		want(0, kafka.NoTimestamp)
		began := time.Now().UnixMilli()
		oldest.put(p, "a")
		time.Sleep(time.Second)
		other.put(p, "b")
		want(2, began)
		oldest.put(p, "a")
		time.Sleep(time.Second)
		other.put(p, "b")
		want(2, began+1000)
		oldest.end(p, batch.ControlCommit)
		want(2, began+2000) // of the other
		other.end(p, batch.ControlAbort)
		want(2, kafka.NoTimestamp)
	})
}

// Records may be deleted from under an open transaction, and its producer may be silent for longer than any is remembered.
func TestAnOpenTransactionOutlivesItsRecordsAndItsProducer(t *testing.T) {
	r := newPair(t, vfs.NewMem(), vfs.NewMem())
	defer r.abandon()
	leader := r.node(1)
	w := &writer{t: t, id: 7}
	w.put(leader, "one")
	put(t, leader, "plain")
	w.put(leader, "two")
	r.sync(2)
	if _, err := leader.DeleteBefore(1); err != nil {
		t.Fatal(err)
	}
	states, err := leader.Producers(time.Now().Add(1000 * 24 * time.Hour))
	if err != nil || len(states) != 1 || states[0].TxnStart != 0 {
		t.Fatalf("%+v, %v", states, err)
	}
	f, err := leader.Fetch(Position{Offset: 1, Epoch: -1, LastEpoch: -1, MaxBytes: 1 << 20, Committed: true})
	if err != nil || f.LSO != 1 || f.Plan.Bytes != 0 {
		t.Errorf("last stable offset %d, %d bytes, %v", f.LSO, f.Plan.Bytes, err)
	}
	w.end(leader, batch.ControlAbort)
	r.sync(2)
	if got, lso := committed(t, leader, 1); fmt.Sprint(got) != "[plain]" || lso != 4 {
		t.Errorf("committed %v up to %d", got, lso)
	}
}
