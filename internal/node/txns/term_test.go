package txns

import (
	"context"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/core/machine"
	"github.com/headrace/headrace/internal/core/txn"
	"github.com/headrace/headrace/internal/node/coord"
)

// held are markers that are written when the test says so.
type held struct {
	ctx  []context.Context
	done []func()
}

func (h *held) Write(ctx context.Context, _ txn.WriteMarkers, done func()) {
	h.ctx, h.done = append(h.ctx, ctx), append(h.done, done)
}

func newTxns(t *testing.T, m Markers) *Txns {
	x := New(Config{Partitions: 1, Markers: m})
	t.Cleanup(x.Close)
	return x
}

func TestMarkersAreWrittenOnceAtATime(t *testing.T) {
	var h held
	x := newTxns(t, &h)
	x.terms[0] = x.newTerm(5)
	var first, second int
	task := txn.WriteMarkers{Marker: txn.Marker{TransactionalID: "a", Producer: 7}}
	x.do(coord.Place{Epoch: 5}, task, func(machine.Event) { first++ })
	x.do(coord.Place{Epoch: 5}, task, func(machine.Event) { second++ }) // the machine has been loaded again
	if len(h.done) != 1 {
		t.Fatalf("written %d times", len(h.done))
	}
	h.done[0]()
	if first != 0 || second != 1 {
		t.Errorf("the first machine was told %d times, the second %d", first, second)
	}
	x.do(coord.Place{Epoch: 5}, task, func(machine.Event) {})
	if len(h.done) != 2 {
		t.Error("not written when it is asked for after that")
	}
}

func TestMarkersEndWithTheTerm(t *testing.T) {
	var h held
	x := newTxns(t, &h)
	x.terms[0] = x.newTerm(5)
	task := txn.WriteMarkers{Marker: txn.Marker{TransactionalID: "a", Producer: 7}}
	x.do(coord.Place{Epoch: 5}, task, func(machine.Event) {})
	x.terms[0].end()
	x.terms[0] = x.newTerm(6)
	x.do(coord.Place{Epoch: 5}, task, func(machine.Event) {}) // the old machine, late
	if len(h.done) != 1 || h.ctx[0].Err() == nil {
		t.Fatalf("%d written, the first one's context: %v", len(h.done), h.ctx[0].Err())
	}
	x.do(coord.Place{Epoch: 6}, task, func(machine.Event) {})
	if x.Resign(0); len(h.ctx) != 2 || h.ctx[1].Err() == nil {
		t.Error("written on after this node has resigned")
	}
	if x.do(coord.Place{Epoch: 6}, task, func(machine.Event) {}); len(h.ctx) != 2 {
		t.Error("begun after this node has resigned")
	}
}

func TestRequestsOfIDsThatAreNotHere(t *testing.T) {
	x := newTxns(t, &held{})
	req := kmsg.NewPtrEndTxnRequest()
	req.Version, req.TransactionalID = 5, "a"
	resp, err := x.Submit(t.Context(), "a", coord.ClientInfo{}, req)
	if err != nil || resp.(*kmsg.EndTxnResponse).ErrorCode != kerr.NotCoordinator.Code {
		t.Errorf("%+v, %v: want NOT_COORDINATOR", resp, err)
	}
}
