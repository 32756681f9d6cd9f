package commitlog

import (
	"sync/atomic"
	"testing"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/vfs"
)

// A fetch of committed records asks all segments behind it for aborted transactions, of which most logs have none.
func TestSegmentsWithoutAbortedTransactionsAreNotAskedTwice(t *testing.T) {
	disk := newDisk(t)
	var calls atomic.Int64
	o := options(vfs.NewFaulty(disk, func(vfs.Op) error { calls.Add(1); return nil }))
	l := mustOpen(t, o)
	for i := range int32(60) {
		mustAppend(t, l, build(batch.BuilderConfig{ProducerID: 7, BaseSequence: i, Transactional: true}, 1, 100, int64(i)))
	}
	want := func(n int) (disk int64) {
		t.Helper()
		before := calls.Load()
		if got, err := l.AbortedTxns(0, l.End()); err != nil || len(got) != n {
			t.Errorf("aborted %+v, %v; want %d", got, err, n)
		}
		return calls.Load() - before
	}
	if n := want(0); n < 3 {
		t.Errorf("%d segments are looked at: too few to tell anything", n)
	}
	if n := want(0); n != 0 {
		t.Errorf("%d calls of the disk for nothing", n)
	}
	_, err := l.AppendLeader(start, batch.EndTxnMarker(7, 1, 0, batch.ControlAbort, start.UnixMilli()), 0, OriginOfMarker(2))
	must(t, err)
	if n := want(1); n == 0 || n > 4 {
		t.Errorf("%d calls of the disk for the one segment that has one", n)
	}
	must(t, l.Close(start))
	o.Clean, o.RecoveryPoint = true, l.End()
	l = mustOpen(t, o)
	want(1)
	l.CloseAbrupt()
}
