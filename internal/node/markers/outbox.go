package markers

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
)

const (
	answerTime = 35 * time.Second // of a request: more than the other node waits for its replicas
	idleTime   = 10 * time.Second // after which the connection of a node with nothing to tell it is closed
	mostRound  = 10_000           // partitions of one request, unless one transaction alone has more
)

// outbox has what one node is to be told. One request is under way; what comes meanwhile goes with the next.
type outbox struct {
	waiting []*entry      // guarded by Sender.mu
	more    chan struct{} // has room for one; holds one when something was put into waiting
}

// post hands an entry to the goroutine that tells a node, which begins if there is none.
func (s *Sender) post(node kafka.NodeID, e *entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.nodes[node]
	if o == nil {
		o = &outbox{more: make(chan struct{}, 1)}
		s.nodes[node] = o
		s.work.Go(func() { s.tell(node, o) })
	}
	o.waiting = append(o.waiting, e)
	select {
	case o.more <- struct{}{}:
	default:
	}
}

// tell sends what waits for one node, until nothing has for a while.
func (s *Sender) tell(node kafka.NodeID, o *outbox) {
	var conn Conn
	defer func() {
		if conn != nil {
			conn.Close()
		}
	}()
	idle := time.NewTimer(idleTime)
	defer idle.Stop()
	for {
		called := true
		select {
		case <-o.more:
		case <-idle.C:
			called = false
		case <-s.ctx.Done():
			called = false
		}
		for r := s.next(o); r != nil; r = s.next(o) {
			conn = s.send(node, conn, r)
		}
		if !called && s.retire(node, o) {
			return
		}
		idle.Reset(idleTime)
	}
}

// next takes a round out of what waits, nil where nothing does.
func (s *Sender) next(o *outbox) *round {
	s.mu.Lock()
	defer s.mu.Unlock()
	var now, later []*entry
	seen, partitions := map[kafka.ProducerID]bool{}, 0
	for _, e := range o.waiting {
		switch {
		case e.ctx.Err() != nil:
			e.fail() // nobody looks at it
		case seen[e.Producer] || len(now) > 0 && partitions+len(e.partitions) > mostRound:
			later = append(later, e)
		default:
			seen[e.Producer] = true
			partitions += len(e.partitions)
			now = append(now, e)
		}
	}
	o.waiting = later
	if len(now) == 0 {
		return nil
	}
	return newRound(now)
}

// retire gives an outbox up in which nothing waits.
func (s *Sender) retire(node kafka.NodeID, o *outbox) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(o.waiting) > 0 {
		return false
	}
	delete(s.nodes, node)
	return true
}

// send sends one request and returns the connection for the next, nil where it broke.
func (s *Sender) send(node kafka.NodeID, conn Conn, r *round) Conn {
	ctx, cancel := context.WithTimeout(s.ctx, answerTime)
	defer cancel()
	if conn == nil {
		var err error
		if conn, err = s.cfg.Dial(ctx, node); err != nil {
			r.fail()
			return nil
		}
	}
	resp, err := conn.Request(ctx, r.req)
	if err != nil {
		r.fail()
		return nil
	}
	r.settle(resp.(*kmsg.WriteTxnMarkersResponse), s.cfg.Log)
	return conn
}
