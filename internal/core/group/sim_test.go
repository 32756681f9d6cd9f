package group

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
)

// simClient is a consumer of the simulation: what it knows of itself, and the one request it waits for.
type simClient struct {
	name, instance, id string
	group              string
	generation         int32
	protocol           string
	joined, stable     bool // it has its generation; it has its assignment
	members            []string
	ticket             uint64 // 0 when it waits for nothing
}

// sim runs clients over a world with commits that lag, appends that fail, time that jumps and coordinators that move, and
// checks what must hold whatever happens.
type sim struct {
	t       *testing.T
	w       *world
	rng     *rand.Rand
	clients []*simClient
	byTick  map[uint64]*simClient
	pending map[uint64]map[string]int64 // commits that are not answered, by ticket: group/topic-partition → offset
	acked   map[string]int64            // the newest commit that was answered
	unsure  map[string]map[int64]bool   // commits after it whose fate nobody was told
	leaders map[string]string           // group/generation → who was told to lead
	highest map[string]int32            // group → newest generation seen since the coordinator was loaded
}

func TestInvariantsHoldUnderRandomClientsFaultsAndMoves(t *testing.T) {
	seeds := uint64(60)
	if testing.Short() {
		seeds = 10
	}
	for seed := range seeds {
		s := newSim(t, seed)
		for i := range 600 {
			s.act()
			if i%100 == 99 {
				s.settleAndCompare()
			}
			if t.Failed() {
				t.Fatalf("seed %d, action %d", seed, i)
			}
		}
	}
}

func newSim(t *testing.T, seed uint64) *sim {
	s := &sim{t: t, w: newWorld(seed), rng: rand.New(rand.NewPCG(seed, 3)), byTick: map[uint64]*simClient{},
		pending: map[uint64]map[string]int64{}, acked: map[string]int64{}, unsure: map[string]map[int64]bool{}}
	s.forgetGenerations()
	s.w.onReply = s.reply
	for i := range 7 {
		c := &simClient{name: fmt.Sprintf("c%d", i), group: []string{"g", "h"}[i%2]}
		if i < 3 {
			c.instance = fmt.Sprintf("i%d", i)
		}
		s.clients = append(s.clients, c)
	}
	return s
}

func (s *sim) forgetGenerations() {
	s.leaders, s.highest = map[string]string{}, map[string]int32{}
}

func (s *sim) act() {
	c := s.clients[s.rng.IntN(len(s.clients))]
	switch n := s.rng.IntN(100); {
	case n < 45:
		s.goOn(c)
	case n < 55:
		s.commitOffset(c)
	case n < 60: // the client restarts
		*c = simClient{name: c.name, instance: c.instance, group: c.group}
	case n < 64:
		s.leave(c)
	case n < 80:
		s.w.advance(time.Duration(s.rng.IntN(4000)) * time.Millisecond)
	case n < 82:
		s.w.advance(time.Duration(s.rng.IntN(40)) * time.Second)
	case n < 88:
		s.w.hold = true
	case n < 95:
		s.w.hold = false
		s.w.commit()
	case n < 97:
		s.fail()
	case n < 99:
		s.move()
	default:
		req := kmsg.NewPtrDeleteGroupsRequest()
		req.SetVersion(2)
		req.Groups = []string{"simple"}
		s.w.request("admin", req)
		s.uncertain("simple")
	}
}

// uncertain says that offsets of a group may be gone from now on.
func (s *sim) uncertain(group string) {
	of := func(k string, _ int64) bool { return strings.HasPrefix(k, group+"/") }
	maps.DeleteFunc(s.acked, of)
	for _, offsets := range s.pending {
		maps.DeleteFunc(offsets, of)
	}
}

// goOn does what a consumer would do next.
func (s *sim) goOn(c *simClient) {
	var req kmsg.Request
	switch {
	case c.ticket != 0 && s.rng.IntN(4) > 0:
		return // most clients are patient
	case !c.joined:
		j := kmsg.NewPtrJoinGroupRequest()
		j.Version = int16(s.rng.IntN(10))
		j.Group, j.MemberID = c.group, c.id
		if c.instance != "" {
			j.Version = max(j.Version, 5)
			j.InstanceID = &c.instance
		}
		j.SessionTimeoutMillis, j.RebalanceTimeoutMillis = 10_000, int32(s.rng.IntN(30_000))
		j.ProtocolType = consumerProtocol
		for _, p := range []string{"range", "sticky"}[:1+s.rng.IntN(2)] {
			j.Protocols = append(j.Protocols, kmsg.JoinGroupRequestProtocol{Name: p, Metadata: subscription([]string{"t"})})
		}
		req = j
	case !c.stable:
		y := kmsg.NewPtrSyncGroupRequest()
		y.Version = 5
		y.Group, y.MemberID, y.Generation = c.group, c.id, c.generation
		y.ProtocolType, y.Protocol = kmsg.StringPtr(consumerProtocol), &c.protocol
		for _, id := range c.members {
			y.GroupAssignment = append(y.GroupAssignment, kmsg.SyncGroupRequestGroupAssignment{
				MemberID: id, MemberAssignment: fmt.Appendf(nil, "%s/%d/%s", c.group, c.generation, id),
			})
		}
		req = y
	default:
		h := kmsg.NewPtrHeartbeatRequest()
		h.Version = 4
		h.Group, h.MemberID, h.Generation = c.group, c.id, c.generation
		req = h
	}
	s.send(c, req)
}

func (s *sim) send(c *simClient, req kmsg.Request) {
	delete(s.byTick, c.ticket)
	c.ticket = s.w.tickets + 1
	s.byTick[c.ticket] = c
	s.w.request(c.name, req)
}

func (s *sim) leave(c *simClient) {
	l := kmsg.NewPtrLeaveGroupRequest()
	l.Version = 5
	l.Group = c.group
	l.Members = []kmsg.LeaveGroupRequestMember{{MemberID: c.id}}
	s.w.request(c.name, l)
	*c = simClient{name: c.name, instance: c.instance, group: c.group}
}

func (s *sim) commitOffset(c *simClient) {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Version = 9
	req.Group, req.MemberID, req.Generation = c.group, c.id, c.generation
	if !c.stable {
		req.Group, req.MemberID, req.Generation = "simple", "", -1
	}
	p, offset := int32(s.rng.IntN(3)), int64(s.w.tickets+1)
	req.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Partition: p, Offset: offset, LeaderEpoch: -1}}}}
	key := fmt.Sprintf("%s/t-%d", req.Group, p)
	s.pending[s.w.tickets+1] = map[string]int64{key: offset}
	s.w.request(c.name, req)
}

func (s *sim) fail() {
	s.w.hold = false
	s.w.fail(kerr.CoordinatorNotAvailable)
	for _, group := range []string{"g", "h"} {
		if s.w.s.group(group) == nil { // it was new: the next one of the name begins again
			delete(s.highest, group)
			maps.DeleteFunc(s.leaders, func(k, _ string) bool { return strings.HasPrefix(k, group+"/") })
		}
	}
	s.pending = map[uint64]map[string]int64{}
	for _, c := range s.clients {
		c.ticket = 0
	}
}

// move loads another coordinator, with or without what the old one had not committed.
func (s *sim) move() {
	if s.rng.IntN(2) == 0 {
		s.w.log = s.w.log[:s.w.hw]
	} else {
		for _, offsets := range s.pending {
			for key, offset := range offsets {
				if s.unsure[key] == nil {
					s.unsure[key] = map[int64]bool{}
				}
				s.unsure[key][offset] = true
			}
		}
	}
	s.pending, s.byTick = map[uint64]map[string]int64{}, map[uint64]*simClient{}
	for _, c := range s.clients {
		c.ticket = 0
	}
	s.forgetGenerations()
	s.w.hold = false
	s.w.hw = kafka.Offset(len(s.w.log))
	s.w.reload()
}

func (s *sim) reply(ticket uint64, resp kmsg.Response) {
	if offsets, ok := s.pending[ticket]; ok {
		delete(s.pending, ticket)
		for key, offset := range offsets {
			if resp.(*kmsg.OffsetCommitResponse).Topics[0].Partitions[0].ErrorCode == 0 {
				s.acked[key] = offset
				delete(s.unsure, key)
			}
		}
		return
	}
	c := s.byTick[ticket]
	if c == nil || c.ticket != ticket {
		return
	}
	delete(s.byTick, ticket)
	c.ticket = 0
	switch resp := resp.(type) {
	case *kmsg.JoinGroupResponse:
		s.joined(c, resp)
	case *kmsg.SyncGroupResponse:
		if c.stable = resp.ErrorCode == 0; c.stable {
			if want := fmt.Sprintf("%s/%d/%s", c.group, c.generation, c.id); len(resp.MemberAssignment) > 0 && string(resp.MemberAssignment) != want &&
				c.instance == "" {
				s.t.Errorf("member %s was assigned %q", want, resp.MemberAssignment)
			}
		} else {
			s.lost(c, resp.ErrorCode)
		}
	case *kmsg.HeartbeatResponse:
		if resp.ErrorCode != 0 {
			s.lost(c, resp.ErrorCode)
		}
	}
}

// lost is what an error does to a client: all but a rebalance cost it its id.
func (s *sim) lost(c *simClient, code int16) {
	c.joined, c.stable = false, false
	if code != kerr.RebalanceInProgress.Code {
		c.id, c.generation = "", -1
	}
}

func (s *sim) joined(c *simClient, resp *kmsg.JoinGroupResponse) {
	if resp.ErrorCode == kerr.MemberIDRequired.Code {
		c.id = resp.MemberID
		return
	}
	if resp.ErrorCode != 0 {
		s.lost(c, resp.ErrorCode)
		return
	}
	c.joined, c.stable, c.id, c.generation, c.members = true, false, resp.MemberID, resp.Generation, nil
	c.protocol = deref(resp.Protocol)
	if resp.Generation < s.highest[c.group] {
		s.t.Errorf("group %s went back from generation %d to %d", c.group, s.highest[c.group], resp.Generation)
	}
	s.highest[c.group] = max(s.highest[c.group], resp.Generation)
	if resp.LeaderID != resp.MemberID || resp.SkipAssignment {
		return
	}
	key := fmt.Sprintf("%s/%d", c.group, resp.Generation)
	if old := s.leaders[key]; old != "" && old != c.id && c.instance == "" {
		s.t.Errorf("generation %s is led by %s and by %s", key, old, c.id)
	}
	s.leaders[key] = c.id
	for _, m := range resp.Members {
		c.members = append(c.members, m.MemberID)
	}
	if !slices.Contains(c.members, c.id) {
		s.t.Errorf("generation %s: leader %s is not among %v", key, c.id, c.members)
	}
}

// settleAndCompare commits everything and compares the machine with one loaded from its log, and both with what clients
// were told.
func (s *sim) settleAndCompare() {
	s.w.hold = false
	s.w.commit()
	loaded := s.w.replay()
	for id := range s.w.s.saved.All() {
		live, again := s.w.s.describe(id, 6), loaded.describe(id, 6)
		if live.State == "Stable" && s.w.showDescribed(live) != s.w.showDescribed(again) {
			s.t.Errorf("group %s is\n%s, and loaded\n%s", id, s.w.showDescribed(live), s.w.showDescribed(again))
		}
	}
	for key, want := range s.acked {
		group, partition, _ := strings.Cut(key, "/")
		for _, shard := range []*Shard{s.w.s, loaded} {
			o, ok := read(shard.offsets[group], partitionOf(partition), false)
			if !ok || o.Offset != want && !s.unsure[key][o.Offset] {
				s.t.Errorf("offset of %s is %d (%v), %d was acknowledged", key, o.Offset, ok, want)
			}
		}
	}
	s.checkMembers()
}

// checkMembers checks the bookkeeping inside the groups.
func (s *sim) checkMembers() {
	for id, g := range s.w.s.live {
		awaiting, static := 0, 0
		for _, m := range g.members {
			if g.byID[m.id] != m {
				s.t.Errorf("group %s: member %s is not found by its id", id, m.id)
			}
			if m.join.waits() {
				awaiting++
			}
			if m.instance != nil {
				static++
				if g.static[*m.instance] != m.id {
					s.t.Errorf("group %s: instance %s is %s, not %s", id, *m.instance, g.static[*m.instance], m.id)
				}
			}
			if _, ok := s.w.timers[g.session(m.id)]; !ok && !m.excused() {
				s.t.Errorf("group %s: nothing ends the session of %s", id, m.id)
			}
		}
		if awaiting != g.awaiting || static != len(g.static) || len(g.byID) != len(g.members) {
			s.t.Errorf("group %s: counts %d waiting, %d static, %d members; has %d, %d, %d", id,
				g.awaiting, len(g.static), len(g.byID), awaiting, static, len(g.members))
		}
		if len(g.members) > 0 && g.byID[g.leader] == nil {
			s.t.Errorf("group %s: leader %q is no member", id, g.leader)
		}
		if _, ok := s.w.timers[g.timer(JoinTimer)]; g.state == preparing && !ok {
			s.t.Errorf("group %s: nothing ends the joining", id)
		}
	}
}
