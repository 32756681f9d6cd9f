package txn

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
)

var seeds = flag.Uint64("txn.seeds", 300, "seeds to play")

// life names one transaction of a client of transactions v2: it has an epoch of its own.
type life struct {
	producer kafka.ProducerID
	epoch    kafka.ProducerEpoch
}

// fate is what was asked for and told of one transaction.
type fate struct {
	added            map[int32]bool // partitions whose adding was asked for
	acked            map[int32]bool // those whose adding was acknowledged
	askedCommit      bool
	committed, ended bool // an end was acknowledged: that
	marked, asCommit bool // markers were written: of that kind
	markedPartitions []int32
}

// sim plays producers of a few transactional ids, several at once for each, whose requests come late and twice, against a coordinator
// that loses appends, is slow, and moves.
type sim struct {
	*world
	rnd     *rand.Rand
	clients []*simClient
	fates   map[life]*fate
	late    []kmsg.Request // copies that are still on their way
}

// simClient is one producer: it waits for the answer to one request at a time.
type simClient struct {
	id      string
	have    life // the zero life before it is initialised
	open    bool // it added partitions
	ticket  uint64
	request kmsg.Request
}

func TestTransactionsEndAsTheirProducersAsk(t *testing.T) {
	for seed := range *seeds {
		s := &sim{world: newWorld(t), rnd: rand.New(rand.NewPCG(seed, 1)), fates: map[life]*fate{}}
		for i := range 4 {
			s.clients = append(s.clients, &simClient{id: fmt.Sprint("id", i%2)})
		}
		for range 400 {
			s.turn()
		}
		s.drain()
		s.judge()
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func (s *sim) turn() {
	switch n := s.rnd.IntN(100); {
	case n < 55:
		s.act(s.clients[s.rnd.IntN(len(s.clients))])
	case n < 75:
		s.commit()
	case n < 85 && len(s.tasks) > 0:
		i := s.rnd.IntN(len(s.tasks))
		s.tasks[0], s.tasks[i] = s.tasks[i], s.tasks[0]
		task := s.tasks[0]
		if m, ok := s.work(); ok {
			s.mark(m)
			if s.rnd.IntN(4) == 0 { // the answer comes twice
				s.tasks = append(s.tasks, task)
			}
		}
	case n < 88:
		s.lose()
	case n < 90:
		s.world.late()
	case n < 92:
		s.move(s.committed + s.rnd.IntN(3))
		for _, c := range s.clients { // their connections are gone
			c.ticket = 0
		}
	case n < 94:
		s.pass(time.Duration(s.rnd.IntN(40)) * time.Second)
	case len(s.late) > 0:
		i := s.rnd.IntN(len(s.late))
		s.ask(s.late[i])
		s.late = slices.Delete(s.late, i, i+1)
	}
}

// act has a client take its answer and send its next request.
func (s *sim) act(c *simClient) {
	if c.ticket != 0 {
		resp, ok := s.answers[c.ticket]
		if !ok {
			if s.rnd.IntN(20) > 0 {
				return
			}
			s.late = append(s.late, c.request) // it gives up waiting, and what it sent may come yet
		} else if c.taken(s, resp) {
			c.request = nil
		}
		c.ticket = 0
	}
	if c.request == nil {
		c.request = s.next(c)
	}
	if s.rnd.IntN(10) == 0 {
		s.late = append(s.late, c.request)
	}
	s.note(c)
	c.ticket = s.ask(c.request)
}

// next is what a client does next.
func (s *sim) next(c *simClient) kmsg.Request {
	switch {
	case c.have.producer == 0 || s.rnd.IntN(40) == 0:
		c.have, c.open = life{}, false
		return initReq(c.id, 5)
	case !c.open || s.rnd.IntN(3) == 0:
		return addReq(c.id, c.have.producer, c.have.epoch, 5, false, s.rnd.Int32N(5), s.rnd.Int32N(5))
	}
	return endReq(c.id, c.have.producer, c.have.epoch, 5, s.rnd.IntN(3) > 0)
}

func (s *sim) fate(l life) *fate {
	f := s.fates[l]
	if f == nil {
		f = &fate{added: map[int32]bool{}, acked: map[int32]bool{}}
		s.fates[l] = f
	}
	return f
}

// note remembers what was asked for.
func (s *sim) note(c *simClient) {
	switch req := c.request.(type) {
	case *kmsg.AddPartitionsToTxnRequest:
		for _, p := range req.Transactions[0].Topics[0].Partitions {
			s.fate(c.have).added[p] = true
		}
	case *kmsg.EndTxnRequest:
		f := s.fate(c.have)
		f.askedCommit = f.askedCommit || req.Commit
	}
}

// taken handles an answer, and tells whether the request is over: otherwise it is sent again.
func (c *simClient) taken(s *sim, resp kmsg.Response) bool {
	switch resp := resp.(type) {
	case *kmsg.InitProducerIDResponse:
		if resp.ErrorCode == 0 {
			c.have = life{kafka.ProducerID(resp.ProducerID), kafka.ProducerEpoch(resp.ProducerEpoch)}
		}
		return resp.ErrorCode == 0
	case *kmsg.AddPartitionsToTxnResponse:
		err := addErr(resp)
		if err == nil {
			c.open = true
			for _, p := range c.request.(*kmsg.AddPartitionsToTxnRequest).Transactions[0].Topics[0].Partitions {
				s.fate(c.have).acked[p] = true
			}
		}
		return err == nil || c.gaveUp(s, err)
	case *kmsg.EndTxnResponse:
		err := kerr.ErrorForCode(resp.ErrorCode)
		if err == nil {
			f := s.fate(c.have)
			commit := c.request.(*kmsg.EndTxnRequest).Commit
			if f.ended && f.committed != commit {
				s.t.Errorf("%v was told to have ended in both ways", c.have)
			}
			f.ended, f.committed = true, commit
			c.have, c.open = life{kafka.ProducerID(resp.ProducerID), kafka.ProducerEpoch(resp.ProducerEpoch)}, false
		}
		return err == nil || c.gaveUp(s, err)
	}
	return true
}

// gaveUp tells whether an error is one after which a producer begins anew.
func (c *simClient) gaveUp(s *sim, err error) bool {
	for _, again := range []*kerr.Error{kerr.ConcurrentTransactions, kerr.NotCoordinator, kerr.CoordinatorNotAvailable} {
		if errors.Is(err, again) {
			return false
		}
	}
	if !errors.Is(err, kerr.ProducerFenced) && !errors.Is(err, kerr.InvalidTxnState) && !errors.Is(err, kerr.InvalidProducerIDMapping) {
		s.t.Errorf("a producer was told %v", err)
	}
	c.have, c.open = life{}, false
	return true
}

// mark judges markers as they are written: the epoch before theirs is that of the transaction.
func (s *sim) mark(m WriteMarkers) {
	l := life{m.Producer, m.Epoch - 1}
	f := s.fate(l)
	if f.marked && f.asCommit != m.Commit {
		s.t.Errorf("%v has markers of both kinds", l)
	}
	if m.Commit && !f.askedCommit {
		s.t.Errorf("%v is committed, and nobody asked for that", l)
	}
	for _, p := range partitionsOf(m) {
		if !f.added[p] {
			s.t.Errorf("%v has a marker in partition %d, which it never added", l, p)
		}
	}
	f.marked, f.asCommit, f.markedPartitions = true, m.Commit, partitionsOf(m)
}

// drain lets everything come to its end.
func (s *sim) drain() {
	for range 3 {
		for _, m := range s.all() {
			s.mark(m)
		}
		s.pass(2 * time.Minute)
	}
	for _, c := range s.clients {
		if resp, ok := s.answers[c.ticket]; ok && c.ticket != 0 {
			c.taken(s, resp)
		}
	}
}

func (s *sim) judge() {
	for l, f := range s.fates {
		if f.ended && f.marked && f.committed != f.asCommit {
			s.t.Errorf("%v: told committed %v, marked %v", l, f.committed, f.asCommit)
		}
		for p := range f.acked {
			if f.ended && !slices.Contains(f.markedPartitions, p) {
				s.t.Errorf("%v has ended, and partition %d has no marker", l, p)
			}
		}
	}
	for _, id := range s.s.sorted() {
		if x, _ := s.s.saved.Get(id); !x.state.idle() {
			s.t.Errorf("%s is left in %v", id, x.state)
		}
	}
}
