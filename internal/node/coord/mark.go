package coord

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/core/machine"
)

// Marker ends the transaction that a producer has in a partition.
type Marker struct {
	Producer           machine.Producer
	CoordinatorEpoch   int32 // of the transaction coordinator
	TransactionVersion int16 // the transaction.version of the transaction
	Commit             bool
}

func (m Marker) kind() batch.ControlType {
	if m.Commit {
		return batch.ControlCommit
	}
	return batch.ControlAbort
}

// EndTransaction appends m to partition p, and returns when it is committed. The machine takes it in where it lies in the log. The error
// is NOT_COORDINATOR where p is not led here, COORDINATOR_LOAD_IN_PROGRESS, REQUEST_TIMED_OUT, that of the append, or ctx's; but for
// that of the append, the marker may be in the log all the same: it may be asked for again.
func (r *Runtime) EndTransaction(ctx context.Context, p int32, m Marker) error {
	return r.MarkTransaction(p, m).Wait(ctx)
}

// MarkTransaction begins what EndTransaction does, and does not wait: markers that one asks for together share appends' flushes.
func (r *Runtime) MarkTransaction(p int32, m Marker) Marked {
	w := &marking{Marker: m, done: make(chan error, 1)}
	err := error(kerr.NotCoordinator)
	if s := r.shard(p); s != nil {
		err = s.ask(w)
	}
	if err != nil {
		w.done <- err
	}
	return Marked{w.done}
}

// Marked is a marker that was asked for.
type Marked struct{ done <-chan error }

// Wait returns when the marker is committed, or will not be; the error is that of EndTransaction. It is called once.
func (m Marked) Wait(ctx context.Context) error {
	select {
	case err := <-m.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// marking is a Marker that somebody waits for.
type marking struct {
	Marker
	done chan error // room for the one answer
}

// mark appends a marker behind everything before it. The machine learns of it when it is in the log, so that no failure takes it back.
func (s *shard) mark(now time.Time, m *marking) {
	for s.builder != nil {
		_ = s.flush(now) // whose steps were told
	}
	v := batch.EndTxnMarker(m.Producer.ID, m.Producer.Epoch, m.CoordinatorEpoch, m.kind(), now.UnixMilli())
	first, err := s.log.AppendMarker(now, s.place.Epoch, v, m.TransactionVersion)
	if err == nil && first != s.next {
		err = s.notAlone(first, s.next)
		defer s.rt.reload(s)
	}
	if err != nil {
		m.done <- err
		return
	}
	s.machine.EndTransaction(first, m.Producer.ID, m.Commit)
	s.next++
	s.parked = append(s.parked, step{next: s.next, marking: m, deadline: now.Add(s.rt.cfg.WriteTimeout)})
}
