package consumer

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
)

var (
	simSeeds = flag.Uint64("sim.seeds", 1000, "how many seeds the simulation of groups runs through")
	simFirst = flag.Uint64("sim.first", 0, "the first of them")
)

// TestNoPartitionHasTwoOwnersAndGroupsSettle has clients join, leave, stall and die, has their requests delayed and sent
// twice, loses appends and answers, restarts the coordinator and grows topics. At no time do two members use the same
// partition; and when the trouble is over, each partition is soon used by one that wants it.
func TestNoPartitionHasTwoOwnersAndGroupsSettle(t *testing.T) {
	for seed := *simFirst; seed < *simFirst+*simSeeds; seed++ {
		s := newSim(seed)
		for range 300 {
			s.chaos()
			if err := s.check(); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
		if err := s.settle(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// client does what a consumer of the new protocol does.
type client struct {
	id, instance string
	topics       []string
	regex        string
	epoch        int32
	uses         map[partition]bool // what it reads from, right now
	target       map[partition]bool // what it was last told to have; nil when it has done all
	reported     bool               // the coordinator has been told of uses, and answered
	inFlight     []*kmsg.ConsumerGroupHeartbeatRequest
	paused       bool
}

type sim struct {
	*coordinator
	rnd     *rand.Rand
	clients []*client
	next    int
	calm    bool // nothing is lost any more
}

func newSim(seed uint64) *sim {
	s := &sim{coordinator: newCoordinator(), rnd: rand.New(rand.NewPCG(seed, 7))}
	s.config.AssignmentInterval = time.Duration(s.rnd.IntN(2)) * time.Second
	for _, name := range []string{"a1", "a2", "b1"} {
		s.topics.create(name, 1+s.rnd.Int32N(5))
	}
	return s
}

func (s *sim) one() *client {
	if len(s.clients) == 0 {
		return s.join()
	}
	return s.clients[s.rnd.IntN(len(s.clients))]
}

func (s *sim) join() *client {
	s.next++
	c := &client{id: fmt.Sprintf("c%d", s.next), uses: map[partition]bool{}, topics: []string{}}
	if s.rnd.IntN(4) == 0 {
		c.regex = []string{"a.*", "b.*", ".*1"}[s.rnd.IntN(3)]
	} else {
		c.subscribe(s.rnd)
	}
	if s.rnd.IntN(4) == 0 {
		c.instance = fmt.Sprintf("i%d", s.rnd.IntN(3))
	}
	s.clients = append(s.clients, c)
	return c
}

func (c *client) subscribe(rnd *rand.Rand) {
	c.topics = [][]string{{"a1", "a2"}, {"a1", "a2"}, {"a1", "b1"}, {"b1"}}[rnd.IntN(4)]
}

// chaos is one thing that happens.
func (s *sim) chaos() {
	c := s.one()
	switch s.rnd.IntN(24) {
	case 0, 1:
		if len(s.clients) < 6 {
			s.join()
		}
	case 2:
		s.leave(c)
	case 3:
		s.drop(c) // dies
	case 4:
		c.paused = !c.paused
	case 5:
		s.reload()
	case 6:
		s.topics.grow(s.topics.names[s.rnd.IntN(3)], 1)
	case 7:
		if c.regex == "" {
			c.subscribe(s.rnd)
		}
	case 8:
		s.resolved()
	case 9, 10:
		s.advance(time.Duration(s.rnd.IntN(20_000)) * time.Millisecond)
	case 11, 12, 13:
		c.work(s.rnd)
	case 14: // sent again, the answer to the first being late
		if !c.paused {
			s.send(c)
			s.send(c)
		}
	default:
		s.beat(c)
	}
}

func (s *sim) drop(c *client) {
	s.clients = slices.DeleteFunc(s.clients, func(o *client) bool { return o == c })
}

// work is the client's own pace: first it lets go of what it is to give up, later it begins with what is new.
func (c *client) work(rnd *rand.Rand) {
	if c.target == nil {
		return
	}
	for p := range c.uses {
		if !c.target[p] {
			if rnd.IntN(2) == 0 {
				return // not ready
			}
			maps.DeleteFunc(c.uses, func(p partition, _ bool) bool { return !c.target[p] })
			c.reported = false
			return
		}
	}
	c.uses, c.target, c.reported = c.target, nil, false
}

func (s *sim) request(c *client) *kmsg.ConsumerGroupHeartbeatRequest {
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Group, req.MemberID, req.MemberEpoch = "g", c.id, c.epoch
	if c.instance != "" {
		req.InstanceID = &c.instance
	}
	req.SubscribedTopicNames = c.topics
	if c.regex != "" {
		req.SubscribedTopicRegex = &c.regex
	}
	if c.epoch == 0 {
		req.Topics, req.RebalanceTimeoutMillis = []kmsg.ConsumerGroupHeartbeatRequestTopic{}, 30_000
	} else if !c.reported {
		req.RebalanceTimeoutMillis = 30_000 // a full request, so that a lost answer does not matter
		req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
		// What it has not begun with it says it does not have, so it must not begin with that before it is told again.
		c.target = nil
		for p := range c.uses {
			req.Topics = append(req.Topics, kmsg.ConsumerGroupHeartbeatRequestTopic{TopicID: p.topic, Partitions: []int32{p.index}})
		}
	}
	return req
}

func (s *sim) send(c *client) { c.inFlight = append(c.inFlight, s.request(c)) }

// beat sends a heartbeat, unless some are under way, and has the oldest answered. Only the answer to the newest counts.
func (s *sim) beat(c *client) {
	if c.paused {
		return
	}
	if len(c.inFlight) == 0 {
		s.send(c)
	}
	req := c.inFlight[0]
	c.inFlight = c.inFlight[1:]
	t := s.turn()
	resp, err := t.Heartbeat(s.group, Client{ID: c.id, Host: "/h"}, req)
	if !s.calm && s.rnd.IntN(30) == 0 {
		s.lose(t)
		c.reported = false
		return
	}
	if err == nil {
		s.take(t)
	}
	lost := !s.calm && s.rnd.IntN(20) == 0
	if len(c.inFlight) > 0 || lost {
		c.reported = false
		return
	}
	s.answered(c, req, resp, err)
}

func (s *sim) answered(c *client, req *kmsg.ConsumerGroupHeartbeatRequest, resp *kmsg.ConsumerGroupHeartbeatResponse, err error) {
	switch {
	case errors.Is(err, kerr.FencedMemberEpoch), errors.Is(err, kerr.UnknownMemberID), errors.Is(err, kerr.GroupIDNotFound):
		c.epoch, c.uses, c.target, c.reported, c.inFlight = 0, map[partition]bool{}, nil, false, nil
		return
	case errors.Is(err, kerr.UnreleasedInstanceID), errors.Is(err, kerr.FencedInstanceID):
		s.drop(c)
		return
	case err != nil:
		panic(err)
	}
	c.epoch, c.reported = resp.MemberEpoch, req.Topics != nil || c.reported
	if resp.Assignment == nil {
		return
	}
	c.target = map[partition]bool{}
	for _, topic := range resp.Assignment.Topics {
		for _, p := range topic.Partitions {
			c.target[partition{topic.TopicID, p}] = true
		}
	}
	if maps.Equal(c.target, c.uses) {
		c.target = nil
	}
}

func (s *sim) leave(c *client) {
	s.drop(c)
	if c.epoch <= 0 || s.rnd.IntN(2) == 0 {
		return // without a word
	}
	req := s.request(c)
	if req.MemberEpoch = LeftEpoch; c.instance != "" && s.rnd.IntN(2) == 0 {
		req.MemberEpoch = StaticLeftEpoch
	}
	t := s.turn()
	if _, err := t.Heartbeat(s.group, Client{}, req); err == nil {
		s.take(t)
	}
}

// check tells whether two clients that are members use the same partition. One that has been put out and does not know
// it yet does not count: nobody can keep it from reading.
func (s *sim) check() error {
	used := map[partition]string{}
	for _, c := range s.clients {
		m := s.group.Member(c.id)
		if m == nil || m.Epoch < 0 || c.epoch != m.Epoch && c.epoch != m.Previous {
			continue
		}
		for p := range c.uses {
			if other, twice := used[p]; twice {
				return fmt.Errorf("%v is used by %s and %s", p, other, c.id)
			}
			used[p] = c.id
		}
	}
	held := map[partition]string{}
	for id, m := range s.group.members.All() {
		for topic, partitions := range merge(m.Assigned, m.Revoking) {
			for p := range partitions {
				at := partition{topic, p}
				if other, twice := held[at]; twice {
					return fmt.Errorf("%v is held by %s and %s", at, other, id)
				}
				held[at] = id
			}
		}
	}
	for p, owner := range s.group.owners.All() {
		if held[p] != owner {
			return fmt.Errorf("%v is said to be %s's and is held by %q", p, owner, held[p])
		}
	}
	if len(held) != s.group.owners.Len() {
		return fmt.Errorf("%d partitions are held and %d have an owner", len(held), s.group.owners.Len())
	}
	return nil
}

// settle ends the trouble, and waits till every partition that somebody wants is used.
func (s *sim) settle() error {
	s.join().instance = "" // so that one is not turned away
	why := ""
	s.calm = true
	for range 60 {
		for _, c := range slices.Clone(s.clients) {
			c.paused = false
			s.beat(c)
			c.work(s.rnd)
		}
		s.advance(3 * time.Second)
		s.resolved()
		if err := s.check(); err != nil {
			return err
		}
		if why = s.unsettled(); why == "" {
			return nil
		}
	}
	return errors.New(why)
}

func (s *sim) unsettled() string {
	if st := s.group.State(); st != StateStable {
		return "the group is " + st
	}
	used := map[partition]bool{}
	for _, c := range s.clients {
		maps.Copy(used, c.uses)
	}
	for _, name := range s.group.topics() {
		id, _ := s.topics.ID(name)
		for p := range s.topics.Partitions(id) {
			if !used[partition{kafka.TopicID(id), p}] {
				return fmt.Sprintf("nobody uses %s-%d", name, p)
			}
		}
	}
	return ""
}
