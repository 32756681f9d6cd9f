package coord_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/machine"
	"github.com/headrace/headrace/internal/node/coord"
)

// book is a machine that remembers what it was given of the log; each line begins with its offset.
type book struct {
	lines  []string
	failed []error
}

// put is an event that has a book write a record.
type put struct {
	key string
	of  *machine.Producer
}

func (b *book) Step(_ time.Time, ev machine.Event) machine.Output {
	switch ev := ev.(type) {
	case put:
		return machine.Output{Records: []machine.Record{{Key: []byte(ev.key)}}, Producer: ev.of, Write: 1}
	case machine.Failed:
		b.failed = append(b.failed, ev.Err)
	}
	return machine.Output{}
}

func (b *book) Apply(off kafka.Offset, key, _ []byte, _ int64) error {
	b.lines = append(b.lines, fmt.Sprintf("%d %s", off, key))
	return nil
}

func (b *book) ApplyTransactional(off kafka.Offset, producer kafka.ProducerID, key, _ []byte) error {
	b.lines = append(b.lines, fmt.Sprintf("%d %s of %d", off, key, producer))
	return nil
}

func (b *book) EndTransaction(off kafka.Offset, producer kafka.ProducerID, commit bool) {
	b.lines = append(b.lines, fmt.Sprintf("%d end of %d: %v", off, producer, commit))
}

func (b *book) Commit(kafka.Offset) {}

func (b *book) Revert(from kafka.Offset) {
	b.lines = slices.DeleteFunc(b.lines, func(line string) bool {
		var off kafka.Offset
		_, err := fmt.Sscan(line, &off)
		return err != nil || off >= from
	})
}

// withBook runs f with a Runtime of books that leads partition 0, and a way to read it.
func withBook(t *testing.T, f func(t *testing.T, r *coord.Runtime, l *memLog, read func() (lines string, failed []error))) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := coord.New(coord.Config{
			Topic: "book", Partitions: 1, New: func(coord.Place) machine.Machine { return &book{} }, Rand: rand.New(rand.NewPCG(1, 2)),
		})
		defer r.Close()
		l := &memLog{}
		r.Lead(0, l, 1)
		synctest.Wait()
		f(t, r, l, func() (lines string, failed []error) {
			synctest.Wait()
			_, err := r.Look(t.Context(), func(m machine.Machine) {
				b := m.(*book)
				lines, failed = strings.Join(b.lines, "; "), slices.Clone(b.failed)
			})
			if err != nil {
				t.Error(err)
			}
			return lines, failed
		})
	})
}

var (
	seven  = machine.Producer{ID: 7, Epoch: 2}
	marker = coord.Marker{Producer: machine.Producer{ID: 7, Epoch: 3}, CoordinatorEpoch: 5, TransactionVersion: 2, Commit: true}
)

func TestRecordsOfATransactionLieInBatchesOfTheirOwn(t *testing.T) {
	withBook(t, func(t *testing.T, r *coord.Runtime, l *memLog, read func() (string, []error)) {
		l.writing = time.Millisecond // so that what follows the first waits for one turn
		for _, p := range []put{{"a", nil}, {"b", nil}, {"c", nil}, {"d", &seven}, {"e", &machine.Producer{ID: 0, Epoch: 0}}, {"f", nil}} {
			r.Tell(p)
		}
		time.Sleep(time.Second)
		if err := r.EndTransaction(t.Context(), 0, marker); err != nil || l.txnVersion != marker.TransactionVersion {
			t.Errorf("%v; the log was told of transaction.version %d", err, l.txnVersion)
		}
		want := "0 a; 1 b; 2 c; 3 d of 7; 4 e of 0; 5 f; 6 end of 7: true"
		if got, _ := read(); got != want {
			t.Errorf("the machine has %s, want %s", got, want)
		}
		var all []string
		for _, b := range l.batches {
			h, err := batch.ParseHeader(b)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, fmt.Sprint(h.ProducerID, h.ProducerEpoch, h.BaseSequence, h.Attributes.IsTransactional(), h.Attributes.IsControl()))
		}
		plain := "-1 -1 -1 false false"
		if all = slices.Compact(all); !slices.Equal(all, []string{plain, "7 2 -1 true false", "0 0 -1 true false", plain, "7 3 -1 true true"}) {
			t.Errorf("batches (producer, epoch, sequence, transactional, control): %q", all)
		}
		r.Lead(0, l, 2)
		if got, _ := read(); got != want {
			t.Errorf("loaded anew, the machine has %s, want %s", got, want)
		}
	})
}

func TestFencedProducerFailsNobodyElse(t *testing.T) {
	withBook(t, func(t *testing.T, r *coord.Runtime, l *memLog, read func() (string, []error)) {
		l.fenced = seven.ID
		l.writing = time.Millisecond
		for _, p := range []put{{"a", nil}, {"b", nil}, {"c", &seven}, {"d", nil}} {
			r.Tell(p)
		}
		time.Sleep(time.Second)
		lines, failed := read()
		if lines != "0 a; 1 b; 2 d" {
			t.Errorf("the machine has %s", lines)
		}
		if len(failed) != 1 || !errors.Is(failed[0], kerr.InvalidProducerEpoch) {
			t.Errorf("failed: %v", failed)
		}
	})
}

func TestMarkerIsAnsweredWhenItIsCommitted(t *testing.T) {
	withBook(t, func(t *testing.T, r *coord.Runtime, l *memLog, read func() (string, []error)) {
		l.held = true
		began := time.Now()
		done := make(chan error, 1)
		go func() { done <- r.EndTransaction(t.Context(), 0, marker) }()
		synctest.Wait()
		if len(done) > 0 {
			t.Error("answered before the high watermark")
		}
		l.raise(1)
		if err := <-done; err != nil || time.Since(began) > 0 {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		wantErr(t, "marker that is not committed in time", r.EndTransaction(t.Context(), 0, marker), kerr.RequestTimedOut)
	})
}

func TestMarkerThatIsNotAppendedEndsNothing(t *testing.T) {
	withBook(t, func(t *testing.T, r *coord.Runtime, l *memLog, read func() (string, []error)) {
		r.Tell(put{"a", &seven})
		synctest.Wait()
		l.fail = kerr.NotEnoughReplicas
		wantErr(t, "append that fails", r.EndTransaction(t.Context(), 0, marker), kerr.NotEnoughReplicas)
		l.fail = nil
		if got, _ := read(); got != "0 a of 7" {
			t.Errorf("after a failed append the machine has %s", got)
		}
		wantErr(t, "not led", r.EndTransaction(t.Context(), 1, marker), kerr.NotCoordinator)
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		l.held = true
		wantErr(t, "gone", r.EndTransaction(gone, 0, marker), context.Canceled)
		done := make(chan error, 1)
		go func() { done <- r.EndTransaction(t.Context(), 0, marker) }()
		synctest.Wait()
		r.Resign(0)
		wantErr(t, "resigned", <-done, kerr.NotCoordinator)
		wantErr(t, "ended", r.EndTransaction(t.Context(), 0, marker), kerr.NotCoordinator)
	})
}

func TestForeignAppendBeforeAMarkerMakesTheShardLoadAgain(t *testing.T) {
	withBook(t, func(t *testing.T, r *coord.Runtime, l *memLog, read func() (string, []error)) {
		b := batch.NewBuilder(batch.BuilderConfig{})
		b.Append(1, []byte("foreign"), nil, nil)
		if _, err := l.Append(time.Now(), 1, b.Finish()); err != nil {
			t.Fatal(err)
		}
		wantErr(t, "marker", r.EndTransaction(t.Context(), 0, marker), kerr.NotCoordinator)
		if got, _ := read(); got != "0 foreign; 1 end of 7: true" {
			t.Errorf("the machine has %s", got)
		}
	})
}
