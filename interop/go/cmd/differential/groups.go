package main

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func join(t *target, group, member, protocolType string, protocols ...string) *kmsg.JoinGroupRequest {
	r := kmsg.NewPtrJoinGroupRequest()
	r.Group, r.MemberID, r.ProtocolType = group, member, protocolType
	r.SessionTimeoutMillis, r.RebalanceTimeoutMillis = 30000, 5000
	for _, p := range protocols {
		x := kmsg.NewJoinGroupRequestProtocol()
		x.Name, x.Metadata = p, []byte{0, 1, 0, 0, 0, 1, 0, 3, 'o', 'n', 'e', 0, 0, 0, 0}
		r.Protocols = append(r.Protocols, x)
	}
	return r
}

func (s *steps) groups() {
	for _, kind := range []int8{0, 1, 2, 3, -1} {
		for _, key := range []string{"g", "", "g:x:0"} {
			if kind == 1 && key != "" {
				continue // makes __transaction_state there
			}
			s.add(fmt.Sprintf("find type %d '%s'", kind, key), func(*target) kmsg.Request {
				r := kmsg.NewPtrFindCoordinatorRequest()
				r.CoordinatorType, r.CoordinatorKeys = kind, []string{key, "h"}
				if kind == 1 {
					r.CoordinatorKeys = r.CoordinatorKeys[:1]
				}
				return r
			})
			s.addAt(fmt.Sprintf("find type %d '%s'", kind, key), 3, func(*target) kmsg.Request {
				r := kmsg.NewPtrFindCoordinatorRequest()
				r.CoordinatorType, r.CoordinatorKey = kind, key
				return r
			})
		}
	}
	s.add("find none", func(*target) kmsg.Request { return kmsg.NewPtrFindCoordinatorRequest() })
	s.add("find settled", func(*target) kmsg.Request {
		r := kmsg.NewPtrFindCoordinatorRequest()
		r.CoordinatorKeys = []string{"g"}
		return r
	})
	s.membership()
	s.offsets()
	for _, ids := range [][]string{{"g"}, {"nope"}, {""}, {"simple"}, {"g", "g"}, {}} {
		s.add(fmt.Sprint("describe ", ids), func(*target) kmsg.Request {
			r := kmsg.NewPtrDescribeGroupsRequest()
			r.Groups, r.IncludeAuthorizedOperations = ids, true
			return r
		})
		s.addAt(fmt.Sprint("describe ", ids), 4, func(*target) kmsg.Request {
			r := kmsg.NewPtrDescribeGroupsRequest()
			r.Groups = ids
			return r
		})
	}
	for _, f := range [][2][]string{{}, {{"Stable"}}, {{"stable"}}, {{"Empty"}}, {{"Nope"}}, {nil, {"classic"}}, {nil, {"Consumer"}}, {nil, {"nope"}}, {{"Empty", "Stable"}, {"Classic"}}} {
		s.add(fmt.Sprint("list ", f), func(*target) kmsg.Request {
			r := kmsg.NewPtrListGroupsRequest()
			r.StatesFilter, r.TypesFilter = f[0], f[1]
			return r
		})
	}
	s.addAt("list", 3, func(*target) kmsg.Request { return kmsg.NewPtrListGroupsRequest() })
	s.leaving()
}

func (s *steps) membership() {
	j := func(name string, v int16, edit func(*kmsg.JoinGroupRequest)) {
		s.addAt("join "+name, v, func(t *target) kmsg.Request {
			r := join(t, "g", "", "consumer", "range")
			edit(r)
			return r
		})
	}
	j("empty group", 9, func(r *kmsg.JoinGroupRequest) { r.Group = "" })
	j("short session", 9, func(r *kmsg.JoinGroupRequest) { r.SessionTimeoutMillis = 1 })
	j("long session", 9, func(r *kmsg.JoinGroupRequest) { r.SessionTimeoutMillis = 1 << 30 })
	j("negative session", 9, func(r *kmsg.JoinGroupRequest) { r.SessionTimeoutMillis = -1 })
	j("unknown member", 9, func(r *kmsg.JoinGroupRequest) { r.MemberID = "ghost" })
	j("no protocol", 5, func(r *kmsg.JoinGroupRequest) { r.Protocols, r.Group = nil, "np" })
	j("no protocol type", 5, func(r *kmsg.JoinGroupRequest) { r.ProtocolType, r.Group = "", "np" })
	j("bad instance", 9, func(r *kmsg.JoinGroupRequest) { r.InstanceID, r.Group = ptr("a b"), "bad" })
	j("empty instance", 9, func(r *kmsg.JoinGroupRequest) { r.InstanceID, r.Group = ptr(""), "bad" })
	s.addThen("join for an id", func(t *target) kmsg.Request { return join(t, "g", "", "consumer", "range", "roundrobin") }, func(t *target, resp kmsg.Response) {
		t.member = resp.(*kmsg.JoinGroupResponse).MemberID
	})
	heartbeat := func(name, group string, member func(*target) string, gen func(*target) int32, instance *string) {
		s.add("heartbeat "+name, func(t *target) kmsg.Request {
			r := kmsg.NewPtrHeartbeatRequest()
			r.Group, r.MemberID, r.Generation, r.InstanceID = group, member(t), gen(t), instance
			return r
		})
	}
	is := func(t *target) string { return t.member }
	ghost := func(*target) string { return "ghost" }
	none := func(*target) string { return "" }
	gen := func(t *target) int32 { return t.generation }
	off := func(d int32) func(*target) int32 { return func(t *target) int32 { return t.generation + d } }
	heartbeat("pending", "g", is, func(*target) int32 { return -1 }, nil)
	s.addThen("join with it", func(t *target) kmsg.Request { return join(t, "g", t.member, "consumer", "range", "roundrobin") }, func(t *target, resp kmsg.Response) {
		t.generation = resp.(*kmsg.JoinGroupResponse).Generation
	})
	heartbeat("before sync", "g", is, gen, nil)
	s.commit("before sync", "g", is, gen, "one", 0, 5, "")
	sync := func(name string, edit func(*target, *kmsg.SyncGroupRequest)) {
		s.add("sync "+name, func(t *target) kmsg.Request {
			r := kmsg.NewPtrSyncGroupRequest()
			r.Group, r.MemberID, r.Generation = "g", t.member, t.generation
			r.ProtocolType, r.Protocol = ptr("consumer"), ptr("range")
			a := kmsg.NewSyncGroupRequestGroupAssignment()
			a.MemberID, a.MemberAssignment = t.member, []byte{1, 2, 3}
			r.GroupAssignment = append(r.GroupAssignment, a)
			edit(t, r)
			return r
		})
	}
	sync("wrong generation", func(t *target, r *kmsg.SyncGroupRequest) { r.Generation += 5 })
	sync("ghost", func(t *target, r *kmsg.SyncGroupRequest) { r.MemberID = "ghost" })
	sync("wrong protocol", func(t *target, r *kmsg.SyncGroupRequest) { r.Protocol = ptr("sticky") })
	sync("wrong type", func(t *target, r *kmsg.SyncGroupRequest) { r.ProtocolType = ptr("connect") })
	sync("no protocol", func(t *target, r *kmsg.SyncGroupRequest) { r.Protocol, r.ProtocolType = nil, nil })
	sync("instance", func(t *target, r *kmsg.SyncGroupRequest) { r.InstanceID = ptr("i") })
	sync("unknown group", func(t *target, r *kmsg.SyncGroupRequest) { r.Group = "nope" })
	sync("empty group", func(t *target, r *kmsg.SyncGroupRequest) { r.Group = "" })
	sync("right", func(t *target, r *kmsg.SyncGroupRequest) {})
	sync("again", func(t *target, r *kmsg.SyncGroupRequest) { r.GroupAssignment = nil })
	heartbeat("right", "g", is, gen, nil)
	heartbeat("older", "g", is, off(-1), nil)
	heartbeat("newer", "g", is, off(1), nil)
	heartbeat("ghost", "g", ghost, gen, nil)
	heartbeat("no member", "g", none, gen, nil)
	heartbeat("unknown group", "nope", is, gen, nil)
	heartbeat("empty group", "", is, gen, nil)
	heartbeat("instance", "g", is, gen, ptr("i"))
	j("wrong protocols", 5, func(r *kmsg.JoinGroupRequest) { r.Protocols[0].Name = "sticky" })
	j("wrong type", 5, func(r *kmsg.JoinGroupRequest) { r.ProtocolType = "connect" })
	s.commit("right", "g", is, gen, "one", 0, 5, "note")
	s.commit("older", "g", is, off(-1), "one", 0, 6, "")
	s.commit("newer", "g", is, off(1), "one", 0, 6, "")
	s.commit("ghost", "g", ghost, gen, "one", 0, 6, "")
	s.commit("no member", "g", none, func(*target) int32 { return -1 }, "one", 0, 6, "")
	s.commit("no member, generation", "g", none, gen, "one", 0, 6, "")
	s.commit("negative generation", "g", is, func(*target) int32 { return -1 }, "one", 0, 6, "")
	s.commit("negative offset", "g", is, gen, "one", 0, -5, "")
	s.commit("unknown partition", "g", is, gen, "one", 99, 6, "")
	s.commit("negative partition", "g", is, gen, "one", -1, 6, "")
	s.commit("unknown topic", "g", is, gen, "nope", 0, 6, "")
	s.commit("long note", "g", is, gen, "one", 0, 6, string(make([]byte, 5000)))
	s.commit("simple", "simple", none, func(*target) int32 { return -1 }, "one", 0, 7, "")
	s.commit("simple, generation", "simple", none, func(*target) int32 { return 3 }, "one", 0, 7, "")
	s.commit("simple, member", "simple", ghost, func(*target) int32 { return -1 }, "one", 0, 7, "")
	s.commit("new group, member", "fresh", ghost, func(*target) int32 { return 1 }, "one", 0, 7, "")
	s.commit("empty group", "", none, func(*target) int32 { return -1 }, "one", 0, 7, "")
}

func (s *steps) commit(name, group string, member func(*target) string, gen func(*target) int32, topic string, partition int32, offset int64, note string) {
	build := func(t *target) kmsg.Request {
		r := kmsg.NewPtrOffsetCommitRequest()
		r.Group, r.MemberID, r.Generation = group, member(t), gen(t)
		x := kmsg.NewOffsetCommitRequestTopic()
		x.Topic, x.TopicID = topic, t.id(topic)
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset, p.Metadata = partition, offset, &note
		x.Partitions = append(x.Partitions, p)
		r.Topics = append(r.Topics, x)
		return r
	}
	s.add("commit "+name, build)
	s.addAt("commit "+name, 8, build)
	s.addAt("commit "+name, 2, build)
}

func (s *steps) offsets() {
	fetch := func(name, group string, edit func(*target, *kmsg.OffsetFetchRequestGroup)) {
		s.add("fetch offsets "+name, func(t *target) kmsg.Request {
			r := kmsg.NewPtrOffsetFetchRequest()
			r.RequireStable = true
			g := kmsg.NewOffsetFetchRequestGroup()
			g.Group = group
			g.MemberEpoch = -1
			for _, n := range []string{"one", "nope", "three"} {
				x := kmsg.NewOffsetFetchRequestGroupTopic()
				x.Topic, x.TopicID, x.Partitions = n, t.id(n), []int32{0, 50}
				g.Topics = append(g.Topics, x)
			}
			edit(t, &g)
			r.Groups = append(r.Groups, g)
			return r
		})
		s.addAt("fetch offsets "+name, 7, func(t *target) kmsg.Request {
			r := kmsg.NewPtrOffsetFetchRequest()
			r.Group = group
			for _, n := range []string{"one", "nope"} {
				x := kmsg.NewOffsetFetchRequestTopic()
				x.Topic, x.Partitions = n, []int32{0, 50}
				r.Topics = append(r.Topics, x)
			}
			return r
		})
	}
	same := func(*target, *kmsg.OffsetFetchRequestGroup) {}
	fetch("right", "g", same)
	fetch("unknown group", "nope", same)
	fetch("empty group", "", same)
	fetch("simple", "simple", same)
	fetch("all", "g", func(_ *target, g *kmsg.OffsetFetchRequestGroup) { g.Topics = nil })
	fetch("all unknown", "nope", func(_ *target, g *kmsg.OffsetFetchRequestGroup) { g.Topics = nil })
	fetch("no topics", "g", func(_ *target, g *kmsg.OffsetFetchRequestGroup) { g.Topics = []kmsg.OffsetFetchRequestGroupTopic{} })
	fetch("ghost", "g", func(_ *target, g *kmsg.OffsetFetchRequestGroup) { g.MemberID, g.MemberEpoch = ptr("ghost"), 3 })
	fetch("member", "g", func(t *target, g *kmsg.OffsetFetchRequestGroup) {
		g.MemberID, g.MemberEpoch = ptr(t.member), t.generation
	})
	fetch("member, older", "g", func(t *target, g *kmsg.OffsetFetchRequestGroup) {
		g.MemberID, g.MemberEpoch = ptr(t.member), t.generation-1
	})
	fetch("member, unknown group", "nope", func(t *target, g *kmsg.OffsetFetchRequestGroup) { g.MemberID, g.MemberEpoch = ptr("ghost"), 1 })
	for _, x := range []struct {
		name, group, topic string
		partition          int32
	}{{"unknown group", "nope", "one", 0}, {"subscribed", "g", "one", 0}, {"unknown topic", "simple", "nope", 0}, {"simple", "simple", "one", 0},
		{"simple again", "simple", "one", 0}, {"partition", "simple", "one", 77}, {"empty group", "", "one", 0}, {"not subscribed", "g", "three", 0}} {
		s.add("delete offsets "+x.name, func(*target) kmsg.Request {
			r := kmsg.NewPtrOffsetDeleteRequest()
			r.Group = x.group
			t := kmsg.NewOffsetDeleteRequestTopic()
			t.Topic = x.topic
			p := kmsg.NewOffsetDeleteRequestTopicPartition()
			p.Partition = x.partition
			t.Partitions = append(t.Partitions, p)
			r.Topics = append(r.Topics, t)
			return r
		})
	}
}

func (s *steps) leaving() {
	leave := func(name, group string, v int16, members ...func(*target) (string, *string)) {
		s.addAt("leave "+name, v, func(t *target) kmsg.Request {
			r := kmsg.NewPtrLeaveGroupRequest()
			r.Group = group
			for _, m := range members {
				x := kmsg.NewLeaveGroupRequestMember()
				x.MemberID, x.InstanceID = m(t)
				r.MemberID = x.MemberID
				r.Members = append(r.Members, x)
			}
			return r
		})
	}
	is := func(t *target) (string, *string) { return t.member, nil }
	ghost := func(*target) (string, *string) { return "ghost", nil }
	instance := func(*target) (string, *string) { return "", ptr("i") }
	nothing := func(*target) (string, *string) { return "", nil }
	del := func(ids ...string) {
		s.add(fmt.Sprint("delete groups ", ids), func(*target) kmsg.Request {
			r := kmsg.NewPtrDeleteGroupsRequest()
			r.Groups = ids
			return r
		})
	}
	del("g", "nope", "")
	leave("ghost", "g", 5, ghost)
	leave("ghost", "g", 2, ghost)
	leave("instance", "g", 5, instance)
	leave("nothing", "g", 5, nothing)
	leave("nobody", "g", 5)
	leave("unknown group", "nope", 5, ghost)
	leave("unknown group", "nope", 2, ghost)
	leave("empty group", "", 5, ghost)
	leave("two", "g", 5, ghost, is, is)
	s.add("describe after leave", func(*target) kmsg.Request {
		r := kmsg.NewPtrDescribeGroupsRequest()
		r.Groups = []string{"g"}
		return r
	})
	del("g", "g")
	del("simple")
	del("simple")

	// A static member.
	static := func(name, member string, edit func(*target, *kmsg.JoinGroupRequest)) {
		s.addThen("static "+name, func(t *target) kmsg.Request {
			r := join(t, "static", member, "consumer", "range")
			r.InstanceID = ptr("i")
			edit(t, r)
			return r
		}, func(t *target, resp kmsg.Response) {
			if j := resp.(*kmsg.JoinGroupResponse); j.ErrorCode == 0 {
				t.member, t.generation = j.MemberID, j.Generation
			}
		})
	}
	static("joins", "", func(*target, *kmsg.JoinGroupRequest) {})
	static("ghost", "ghost", func(*target, *kmsg.JoinGroupRequest) {})
	s.add("static sync", func(t *target) kmsg.Request {
		r := kmsg.NewPtrSyncGroupRequest()
		r.Group, r.MemberID, r.Generation, r.InstanceID = "static", t.member, t.generation, ptr("i")
		r.ProtocolType, r.Protocol = ptr("consumer"), ptr("range")
		return r
	})
	static("joins anew", "", func(*target, *kmsg.JoinGroupRequest) {})
	for _, m := range []string{"ghost", ""} {
		s.add("static heartbeat '"+m+"'", func(t *target) kmsg.Request {
			r := kmsg.NewPtrHeartbeatRequest()
			r.Group, r.MemberID, r.Generation, r.InstanceID = "static", m, t.generation, ptr("i")
			return r
		})
	}
	s.add("static heartbeat", func(t *target) kmsg.Request {
		r := kmsg.NewPtrHeartbeatRequest()
		r.Group, r.MemberID, r.Generation, r.InstanceID = "static", t.member, t.generation, ptr("i")
		return r
	})
	leave("static ghost", "static", 5, func(*target) (string, *string) { return "ghost", ptr("i") })
	leave("static", "static", 5, instance)
	leave("static again", "static", 5, instance)
}
