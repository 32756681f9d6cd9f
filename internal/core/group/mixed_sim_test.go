package group

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
)

// TestNoPartitionHasTwoOwnersWhileMembersChangeTheirProtocol has clients of both protocols in one group, which goes over and back as
// they come, go and are started anew with the other protocol; commits lag, appends fail, coordinators move, time jumps. No two members
// use the same partition, ever; and when the trouble is over each partition is soon used by one.
func TestNoPartitionHasTwoOwnersWhileMembersChangeTheirProtocol(t *testing.T) {
	seeds := uint64(400)
	if testing.Short() {
		seeds = 50
	}
	over, back := 0, 0
	for seed := range seeds {
		s := newMixedSim(seed)
		for step := range 400 {
			s.act()
			if err := s.check(); err != nil {
				t.Fatalf("seed %d, step %d: %v", seed, step, err)
			}
		}
		if err := s.settle(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		over, back = over+s.over, back+s.back
	}
	t.Logf("%d groups went over, %d back", over, back)
	if over == 0 || back == 0 {
		t.Error("no group changed its protocol")
	}
}

type mixedSim struct {
	w           *world
	rng         *rand.Rand
	clients     []*mixedClient
	cooperative bool
	names       int
	modern      bool // the group is one of the new protocol
	over, back  int  // how often it became one, and no longer was
	calm        bool
}

func newMixedSim(seed uint64) *mixedSim {
	s := &mixedSim{w: newWorld(seed), rng: rand.New(rand.NewPCG(seed, 11)), cooperative: seed%2 == 0}
	s.w.onReply = s.reply
	return s
}

func (s *mixedSim) reply(ticket uint64, resp kmsg.Response) {
	for _, c := range s.clients {
		if c.ticket == ticket {
			c.ticket = 0
			if s.calm || s.rng.IntN(25) > 0 { // or it is lost
				c.answered(asSent(resp), s.w.topics)
			} else if c.syncs {
				c.joins, c.syncs = true, false
			}
		}
	}
}

func (s *mixedSim) start(modern bool, instance string) {
	s.names++
	c := &mixedClient{name: fmt.Sprintf("c%d", s.names), instance: instance, modern: modern, cooperative: s.cooperative, uses: map[kafka.TopicPartition]bool{}}
	c.lose()
	s.clients = append(s.clients, c)
}

func (s *mixedSim) act() {
	s.w.out.Reset()
	s.clients = slices.DeleteFunc(s.clients, func(c *mixedClient) bool { return c.dead })
	if len(s.clients) == 0 {
		s.start(s.rng.IntN(2) == 0, "")
	}
	c := s.clients[s.rng.IntN(len(s.clients))]
	switch s.rng.IntN(40) {
	case 0:
		if len(s.clients) < 6 {
			instance := ""
			if s.rng.IntN(4) == 0 {
				instance = fmt.Sprintf("i%d", s.rng.IntN(3))
			}
			s.start(s.rng.IntN(2) == 0, instance)
		}
	case 1, 2:
		s.stop(c)
		s.start(!c.modern, c.instance)
	case 3:
		s.stop(c)
	case 4:
		s.clients = slices.DeleteFunc(s.clients, func(o *mixedClient) bool { return o == c }) // dies
	case 5, 6, 7:
		s.w.advance(time.Duration(s.rng.IntN(8000)) * time.Millisecond)
	case 8:
		s.w.hold = true
	case 9:
		s.w.hold = false
		s.w.commit()
	case 10:
		if s.w.hold {
			s.w.hold = false
			s.w.fail(kerr.CoordinatorNotAvailable)
			s.lost()
		}
	case 11:
		if s.rng.IntN(4) == 0 {
			s.w.hold = false
			s.w.log = s.w.log[:s.w.hw]
			s.w.reload()
			s.lost()
		}
	default:
		s.goOn(c)
	}
	s.count()
}

// lost is for requests whose answers will not come: clients send them again.
func (s *mixedSim) lost() {
	for _, c := range s.clients {
		if c.ticket != 0 && c.syncs {
			c.joins, c.syncs = true, false
		}
		c.ticket = 0
	}
}

func (s *mixedSim) goOn(c *mixedClient) {
	if c.ticket != 0 {
		return
	}
	if c.modern && s.rng.IntN(2) == 0 {
		c.work()
		return
	}
	req := c.next(s.w.topics)
	c.ticket = s.w.tickets + 1
	s.w.request(c.name, req)
}

// stop has a client leave, and wait for no answer.
func (s *mixedSim) stop(c *mixedClient) {
	s.clients = slices.DeleteFunc(s.clients, func(o *mixedClient) bool { return o == c })
	if c.id == "" {
		return
	}
	if !c.modern {
		l := kmsg.NewPtrLeaveGroupRequest()
		l.Version, l.Group, l.Members = 5, "g", []kmsg.LeaveGroupRequestMember{{MemberID: c.id, InstanceID: c.static()}}
		s.w.request(c.name, l)
		return
	}
	r := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	r.Version, r.Group, r.MemberID, r.MemberEpoch, r.InstanceID = 1, "g", c.id, -1, c.static()
	if c.instance != "" {
		r.MemberEpoch = -2
	}
	s.w.request(c.name, r)
}

func (s *mixedSim) count() {
	g, modern := s.w.s.consumers.Get("g")
	modern = modern && g.Members() > 0
	switch {
	case modern && !s.modern:
		s.over++
	case s.modern && !modern && s.w.s.live["g"] != nil && len(s.w.s.live["g"].members) > 0:
		s.back++
	}
	s.modern = modern
}

// counts tells whether the client is a member that uses what it has rightfully. One that was put out, or whose group has gone on
// without it, does not know it yet, and nobody can keep it from reading. A static member of a classic group that does not join stays
// in the group, while others get what it has: so it is in Apache Kafka.
func (s *mixedSim) counts(c *mixedClient) bool {
	if g, ok := s.w.s.consumers.Get("g"); ok {
		m := g.Member(c.id)
		return m != nil && (m.Classic == nil) == c.modern && m.Epoch >= 0 && (c.epoch == m.Epoch || c.epoch == m.Previous)
	}
	g := s.w.s.live["g"]
	return g != nil && g.byID[c.id] != nil && !c.modern && c.instance == "" && (g.state != stable || c.epoch == g.generation)
}

func (s *mixedSim) check() error {
	used := map[kafka.TopicPartition]string{}
	for _, c := range s.clients {
		if c.dead || !s.counts(c) {
			continue
		}
		for tp := range c.uses {
			if other, twice := used[tp]; twice {
				return fmt.Errorf("%v is used by %s and by %s", tp, other, c.name)
			}
			used[tp] = c.name
		}
	}
	return nil
}

// settle ends the trouble, and waits till every partition is used.
func (s *mixedSim) settle() error {
	s.w.hold, s.calm = false, true
	s.w.commit()
	s.lost()
	s.start(s.rng.IntN(2) == 0, "")
	why := ""
	for range 100 {
		s.clients = slices.DeleteFunc(s.clients, func(c *mixedClient) bool { return c.dead })
		for _, c := range s.clients {
			s.goOn(c)
			s.goOn(c)
			c.work()
		}
		s.w.advance(2 * time.Second)
		if err := s.check(); err != nil {
			return err
		}
		used := 0
		for _, c := range s.clients {
			if s.counts(c) || c.instance != "" {
				used += len(c.uses)
			}
		}
		if why = fmt.Sprintf("%d partitions of 6 are used", used); used == 6 {
			return nil
		}
	}
	return errors.New(why)
}
