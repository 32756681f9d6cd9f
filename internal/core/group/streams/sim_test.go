package streams

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
)

var (
	simSeeds = flag.Uint64("sim.seeds", 400, "how many seeds the simulation of groups runs through")
	simFirst = flag.Uint64("sim.first", 0, "the first of them")
)

// TestNoTaskIsActiveTwiceAndGroupsSettle has clients join, leave, stall and die, has their requests delayed and sent twice,
// loses appends and answers, restarts the coordinator, grows topics and fails to make them. At no time are two members at
// work on the same task, nor one process twice; and when the trouble is over, each task is soon worked on, with its standbys.
func TestNoTaskIsActiveTwiceAndGroupsSettle(t *testing.T) {
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

// client does what a thread of Kafka Streams does.
type client struct {
	id, process string
	epoch       int32
	uses        Assignment  // what it works on, right now
	target      *Assignment // what it was last told to have; nil when it has done all
	reported    bool        // the coordinator has been told of uses, and answered
	inFlight    []*kmsg.StreamsGroupHeartbeatRequest
	paused      bool
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
	s.config.InitialRebalanceDelay = time.Duration(s.rnd.IntN(2)) * 3 * time.Second
	s.config.StandbyReplicas = s.rnd.IntN(3)
	for _, name := range []string{"a", "b"} {
		s.topics.create(name, 1+s.rnd.Int32N(5))
	}
	return s
}

// application counts what it reads in a, by another key, and has b beside it.
func application() *kmsg.StreamsGroupHeartbeatRequestTopology {
	t := kmsg.NewStreamsGroupHeartbeatRequestTopology()
	read, count, beside := kmsg.NewStreamsGroupHeartbeatRequestTopologySubtopology(), kmsg.NewStreamsGroupHeartbeatRequestTopologySubtopology(), kmsg.NewStreamsGroupHeartbeatRequestTopologySubtopology()
	read.SubtopologyID, read.SourceTopics, read.RepartitionSinkTopics = "0", []string{"a"}, []string{"again"}
	count.SubtopologyID, count.RepartitionSourceTopics = "1", []kmsg.TopicInfo{{Topic: "again"}}
	count.StateChangelogTopics = []kmsg.TopicInfo{{Topic: "counts"}}
	beside.SubtopologyID, beside.SourceTopics = "2", []string{"b"}
	t.Subtopologies = append(t.Subtopologies, read, count, beside)
	return &t
}

func (s *sim) one() *client {
	if len(s.clients) == 0 {
		return s.join()
	}
	return s.clients[s.rnd.IntN(len(s.clients))]
}

func (s *sim) join() *client {
	s.next++
	c := &client{id: fmt.Sprintf("c%d", s.next), process: fmt.Sprintf("p%d", s.rnd.IntN(4))}
	s.clients = append(s.clients, c)
	return c
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
		if s.rnd.IntN(10) == 0 {
			s.topics.grow("b", 1) // of a: then the internal topics no longer fit, and the user has to mend it
		}
	case 7:
		s.config.StandbyReplicas = s.rnd.IntN(3)
	case 8:
		if s.rnd.IntN(3) == 0 {
			s.created("again")
		}
		s.created()
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
	var kept Assignment
	for role := range c.uses {
		for t := range c.uses[role] {
			if _, ok := c.target[role][t]; ok {
				kept.add(Role(role), t, 0)
			}
		}
	}
	if !kept.Equal(c.uses) {
		if rnd.IntN(2) == 0 {
			c.uses, c.reported = kept, false
		}
		return
	}
	c.uses, c.target, c.reported = *c.target, nil, false
}

func (s *sim) request(c *client) *kmsg.StreamsGroupHeartbeatRequest {
	req := kmsg.NewPtrStreamsGroupHeartbeatRequest()
	req.Group, req.MemberID, req.MemberEpoch, req.RebalanceTimeoutMillis = "g", c.id, c.epoch, -1
	if c.epoch == 0 {
		req.RebalanceTimeoutMillis, req.ProcessID, req.Topology = 30_000, &c.process, application()
	} else if !c.reported {
		// What it has not begun with it says it does not have, so it must not begin with that before it is told again.
		c.target = nil
	}
	if c.epoch == 0 || !c.reported {
		req.ActiveTasks, req.StandbyTasks, req.WarmupTasks = ids(c.uses[Active]), ids(c.uses[Standby]), ids(c.uses[Warmup])
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
	err := Check(req)
	var resp *kmsg.StreamsGroupHeartbeatResponse
	if err == nil {
		resp, err = t.Heartbeat(s.group, Client{ID: c.id, Host: "/h"}, req)
	}
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

func (s *sim) answered(c *client, req *kmsg.StreamsGroupHeartbeatRequest, resp *kmsg.StreamsGroupHeartbeatResponse, err error) {
	switch {
	case errors.Is(err, kerr.FencedMemberEpoch), errors.Is(err, kerr.UnknownMemberID), errors.Is(err, kerr.GroupIDNotFound):
		c.epoch, c.uses, c.target, c.reported, c.inFlight = 0, Assignment{}, nil, false, nil
		return
	case err != nil:
		panic(err)
	}
	c.epoch, c.reported = resp.MemberEpoch, req.ActiveTasks != nil || c.reported
	if resp.ActiveTasks != nil {
		told := kmsg.StreamsGroupHeartbeatRequest{ActiveTasks: resp.ActiveTasks, StandbyTasks: resp.StandbyTasks, WarmupTasks: resp.WarmupTasks}
		c.target = reported(&told)
	}
	if c.target != nil && c.target.Equal(c.uses) {
		c.target = nil
	}
}

func (s *sim) leave(c *client) {
	s.drop(c)
	if c.epoch <= 0 || s.rnd.IntN(2) == 0 {
		return // without a word
	}
	req := s.request(c)
	req.MemberEpoch = LeftEpoch
	t := s.turn()
	if _, err := t.Heartbeat(s.group, Client{}, req); err == nil {
		s.take(t)
	}
}

// check tells whether two clients that are members work on the same task. One that has been put out and does not know it yet
// does not count: nobody can keep it from working.
func (s *sim) check() error {
	active, inProcess := map[Task]string{}, map[holding]string{}
	for _, c := range s.clients {
		m := s.group.Member(c.id)
		if m == nil || m.Epoch < 0 || c.epoch != m.Epoch && c.epoch != m.Previous {
			continue
		}
		for role := range c.uses {
			for t := range c.uses[role] {
				if other, twice := active[t]; twice && Role(role) == Active {
					return fmt.Errorf("%v is worked on by %s and %s", t, other, c.id)
				}
				if Role(role) == Active {
					active[t] = c.id
				}
				at := holding{task: t, process: c.process}
				if other, twice := inProcess[at]; twice {
					return fmt.Errorf("%v is twice with %s: %s and %s", t, c.process, other, c.id)
				}
				inProcess[at] = c.id
			}
		}
	}
	return s.checkHolders()
}

func (s *sim) checkHolders() error {
	held := map[holding]string{}
	var err error
	for id, m := range s.group.members.All() {
		m.eachHolding(func(h holding) {
			if other, twice := held[h]; twice {
				err = fmt.Errorf("%v is held by %s and %s", h, other, id)
			}
			held[h] = id
		})
	}
	if noted := maps.Collect(s.group.holders.All()); err == nil && !maps.Equal(held, noted) {
		err = fmt.Errorf("%v is held, and %v noted", held, noted)
	}
	return err
}

// settle ends the trouble, and waits till every task is worked on.
func (s *sim) settle() error {
	s.join()
	why := ""
	s.calm = true
	for range 80 {
		for _, c := range slices.Clone(s.clients) {
			c.paused = false
			s.beat(c)
			c.work(s.rnd)
		}
		s.advance(3 * time.Second)
		s.created()
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
	workers, standbys, processes := map[Task]int{}, map[Task]int{}, map[string]bool{}
	for _, c := range s.clients {
		processes[c.process] = true
		for t := range c.uses[Active] {
			workers[t]++
		}
		for t := range c.uses[Standby] {
			standbys[t]++
		}
	}
	c, err := configure(s.group.currentTopology(), s.topics)
	if err != nil {
		return err.Error()
	}
	for i := range c.topology.Subtopologies {
		sub := &c.topology.Subtopologies[i]
		for p := range c.tasks[sub.ID] {
			t, want := Task{sub.ID, p}, 0
			if sub.stateful() {
				want = min(s.config.StandbyReplicas, len(processes)-1)
			}
			if workers[t] != 1 || standbys[t] != want {
				return fmt.Sprintf("%v has %d workers and %d standbys, and %d processes", t, workers[t], standbys[t], len(processes))
			}
		}
	}
	return ""
}
