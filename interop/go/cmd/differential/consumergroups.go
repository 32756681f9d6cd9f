package main

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Member ids of the consumer protocol are the client's own, so both targets have the same.
const (
	firstMember  = "AAAAAAAAAAAAAAAAAAAAAQ"
	secondMember = "AAAAAAAAAAAAAAAAAAAAAg"
)

// beat is a heartbeat of a member of the consumer protocol.
func beat(group, member string, epoch int32, edit ...func(*kmsg.ConsumerGroupHeartbeatRequest)) func(*target) kmsg.Request {
	return func(*target) kmsg.Request {
		r := kmsg.NewPtrConsumerGroupHeartbeatRequest()
		r.Group, r.MemberID, r.MemberEpoch = group, member, epoch
		for _, e := range edit {
			e(r)
		}
		return r
	}
}

// joins makes a heartbeat that joins.
func joins(r *kmsg.ConsumerGroupHeartbeatRequest) {
	r.RebalanceTimeoutMillis, r.Topics = 30_000, []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	r.SubscribedTopicNames = []string{"one"}
}

func (s *steps) consumerGroups() {
	s.badHeartbeats()
	const g = "modern"
	s.add("beat joins", beat(g, firstMember, 0, joins))
	s.addAt("beat joins", 0, beat("modern0", "", 0, joins))
	s.add("beat right", beat(g, firstMember, 2))
	s.add("beat older", beat(g, firstMember, 1))
	s.add("beat newer", beat(g, firstMember, 9))
	s.add("beat ghost", beat(g, "ghost", 2))
	s.add("beat ghost leaves", beat(g, "ghost", -1))
	s.add("beat regex", beat(g, firstMember, 2, func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.SubscribedTopicRegex = ptr("(") }))
	s.add("beat assignor", beat(g, firstMember, 2, func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.ServerAssignor = ptr("nope") }))
	s.add("beat static joins", beat(g, secondMember, 0, joins, func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.InstanceID = ptr("i") }))
	s.add("beat static taken", beat(g, "third", 0, joins, func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.InstanceID = ptr("i") }))
	s.add("beat static fenced", beat(g, firstMember, 2, func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.InstanceID = ptr("i") }))
	s.add("beat static unknown", beat(g, firstMember, 2, func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.InstanceID = ptr("j") }))

	member := func(*target) string { return firstMember }
	ghost := func(*target) string { return "ghost" }
	none := func(*target) string { return "" }
	epoch := func(e int32) func(*target) int32 { return func(*target) int32 { return e } }
	s.commit("modern", g, member, epoch(2), "one", 0, 5, "note")
	s.commit("modern older", g, member, epoch(1), "one", 0, 6, "")
	s.commit("modern newer", g, member, epoch(7), "one", 0, 6, "")
	s.commit("modern ghost", g, ghost, epoch(2), "one", 0, 6, "")
	s.commit("modern nobody", g, none, epoch(-1), "one", 0, 6, "")
	s.commit("modern long note", g, member, epoch(2), "one", 0, 6, string(make([]byte, 5000)))
	for _, who := range []struct {
		name, group string
		member      *string
		epoch       int32
	}{
		{"right", g, ptr(firstMember), 2}, {"older", g, ptr(firstMember), 1}, {"newer", g, ptr(firstMember), 7}, {"ghost", g, ptr("ghost"), 2},
		{"nobody", g, nil, -1}, {"epoch alone", g, nil, 2}, {"member alone", g, ptr(firstMember), -1}, {"no group", "nope", ptr(firstMember), 2},
	} {
		for _, version := range []int16{9, 10} {
			s.addAt("fetch offsets modern "+who.name, version, func(t *target) kmsg.Request {
				r := kmsg.NewPtrOffsetFetchRequest()
				group := kmsg.NewOffsetFetchRequestGroup()
				group.Group, group.MemberID, group.MemberEpoch = who.group, who.member, who.epoch
				x := kmsg.NewOffsetFetchRequestGroupTopic()
				x.Topic, x.TopicID, x.Partitions = "one", t.id("one"), []int32{0, 50}
				group.Topics = append(group.Topics, x)
				r.Groups = append(r.Groups, group)
				return r
			})
		}
	}
	s.classicRequestsOfModern(g)
	s.describeModern("all", g, "modern0", "static", "nope", "", g)
	s.add("beat static leaves for a while", beat(g, secondMember, -2, func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.InstanceID = ptr("i") }))
	s.add("beat static -2, no instance", beat(g, secondMember, -2))
	s.describeModern("with one away", g)
	s.add("beat leaves", beat(g, firstMember, -1))
	s.add("beat leaves again", beat(g, firstMember, -1))
	s.add("beat static leaves", beat(g, secondMember, -1, func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.InstanceID = ptr("i") }))
	s.describeModern("empty", g)
	s.add("delete modern", func(*target) kmsg.Request {
		r := kmsg.NewPtrDeleteGroupsRequest()
		r.Groups = []string{g, "modern0"}
		return r
	})
	s.describeModern("deleted", g)
	s.add("beat deleted", beat(g, firstMember, 2))
	s.add("beat deleted leaves", beat(g, firstMember, -1))
}

// badHeartbeats are those that no group is asked about, or none that there is.
func (s *steps) badHeartbeats() {
	type request = kmsg.ConsumerGroupHeartbeatRequest
	for _, bad := range []struct {
		name, group, member string
		epoch               int32
		edit                func(*request)
	}{
		{"no group", "", firstMember, 0, joins},
		{"blank group", "  ", firstMember, 0, joins},
		{"no member", "bad", "", 0, joins},
		{"no member, epoch", "bad", "", 3, func(*request) {}},
		{"no member leaves", "bad", "", -1, func(*request) {}},
		{"epoch -3", "bad", firstMember, -3, func(*request) {}},
		{"-2 without instance", "bad", firstMember, -2, func(*request) {}},
		{"empty instance", "bad", firstMember, 0, func(r *request) { joins(r); r.InstanceID = ptr("") }},
		{"empty rack", "bad", firstMember, 0, func(r *request) { joins(r); r.RackID = ptr("") }},
		{"no rebalance timeout", "bad", firstMember, 0, func(r *request) { joins(r); r.RebalanceTimeoutMillis = -1 }},
		{"no partitions", "bad", firstMember, 0, func(r *request) { joins(r); r.Topics = nil }},
		{"no subscription", "bad", firstMember, 0, func(r *request) { joins(r); r.SubscribedTopicNames = nil }},
		{"assignor", "bad", firstMember, 0, func(r *request) { joins(r); r.ServerAssignor = ptr("nope") }},
		{"empty assignor", "bad", firstMember, 0, func(r *request) { joins(r); r.ServerAssignor = ptr("") }},
		{"regex", "bad", firstMember, 0, func(r *request) { joins(r); r.SubscribedTopicNames, r.SubscribedTopicRegex = nil, ptr("a(") }},
		{"unknown group", "bad", firstMember, 5, func(*request) {}},
		{"unknown group leaves", "bad", firstMember, -1, func(*request) {}},
		{"unknown group, static leaves", "bad", firstMember, -2, func(r *request) { r.InstanceID = ptr("i") }},
		{"classic group", "static", firstMember, 5, func(*request) {}},
		{"classic group leaves", "static", firstMember, -1, func(*request) {}},
	} {
		s.add("beat bad "+bad.name, beat(bad.group, bad.member, bad.epoch, bad.edit))
		s.addAt("beat bad "+bad.name, 0, beat(bad.group, bad.member, bad.epoch, bad.edit))
	}
}

// classicRequestsOfModern are requests of the classic protocol to a group of the other.
func (s *steps) classicRequestsOfModern(g string) {
	s.add("modern heartbeat", func(*target) kmsg.Request {
		r := kmsg.NewPtrHeartbeatRequest()
		r.Group, r.MemberID, r.Generation = g, firstMember, 2
		return r
	})
	s.add("modern sync", func(*target) kmsg.Request {
		r := kmsg.NewPtrSyncGroupRequest()
		r.Group, r.MemberID, r.Generation, r.ProtocolType, r.Protocol = g, firstMember, 2, ptr("consumer"), ptr("range")
		return r
	})
	for _, version := range []int16{2, 5} {
		s.addAt("modern leave ghost", version, func(*target) kmsg.Request {
			r := kmsg.NewPtrLeaveGroupRequest()
			r.Group, r.MemberID = g, "ghost"
			m := kmsg.NewLeaveGroupRequestMember()
			m.MemberID = "ghost"
			r.Members = append(r.Members, m)
			return r
		})
	}
	for _, kind := range []string{"consumer", "connect"} {
		s.addAt("modern join ghost "+kind, 9, func(t *target) kmsg.Request { return join(t, g, "ghost", kind, "range") })
	}
	s.addAt("modern join connect", 5, func(t *target) kmsg.Request { return join(t, g, "", "connect", "range") })
	s.add("modern delete", func(*target) kmsg.Request {
		r := kmsg.NewPtrDeleteGroupsRequest()
		r.Groups = []string{g}
		return r
	})
	for _, topic := range []string{"one", "three", "nope"} {
		s.add("modern delete offsets "+topic, func(*target) kmsg.Request {
			r := kmsg.NewPtrOffsetDeleteRequest()
			r.Group = g
			t := kmsg.NewOffsetDeleteRequestTopic()
			t.Topic, t.Partitions = topic, []kmsg.OffsetDeleteRequestTopicPartition{{Partition: 0}}
			r.Topics = append(r.Topics, t)
			return r
		})
	}
	for _, version := range []int16{5, 6} {
		s.addAt("modern describe as classic", version, func(*target) kmsg.Request {
			r := kmsg.NewPtrDescribeGroupsRequest()
			r.Groups = []string{g}
			return r
		})
	}
	for _, f := range [][2][]string{{}, {nil, {"consumer"}}, {nil, {"Consumer"}}, {{"Stable"}}, {{"assigning", "reconciling"}}, {{"empty"}, {"classic"}}} {
		s.add(fmt.Sprint("modern list ", f), func(*target) kmsg.Request {
			r := kmsg.NewPtrListGroupsRequest()
			r.StatesFilter, r.TypesFilter = f[0], f[1]
			return r
		})
	}
}

func (s *steps) describeModern(name string, groups ...string) {
	for _, version := range []int16{0, 1} {
		s.addAt("describe modern "+name, version, func(*target) kmsg.Request {
			r := kmsg.NewPtrConsumerGroupDescribeRequest()
			r.Groups, r.IncludeAuthorizedOperations = groups, version == 1
			return r
		})
	}
}
