package group

import (
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
)

// mixedClient is a consumer of either protocol, with one request under way at most.
type mixedClient struct {
	name, instance string
	modern         bool
	cooperative    bool // of the classic protocol: goes on with what it has while it joins

	id     string
	epoch  int32 // or generation
	uses   map[kafka.TopicPartition]bool
	ticket uint64 // 0 when it waits for nothing

	target map[kafka.TopicPartition]bool // modern: what it was last told to have; nil when it has done all

	joins, syncs bool                           // classic: what is to be sent next; else a heartbeat
	leads        []kmsg.JoinGroupResponseMember // the members to assign to; nil for none
	dead         bool                           // its place was taken
}

func (c *mixedClient) lose() {
	c.id, c.epoch, c.joins, c.syncs, c.leads, c.target = "", 0, true, false, nil, nil
	if c.modern {
		c.id = c.name
	}
	clear(c.uses)
}

// next is the request that the client sends now.
func (c *mixedClient) next(topics *testTopics) kmsg.Request {
	switch {
	case c.modern:
		return c.beat(topics)
	case c.joins:
		return c.join()
	case c.syncs:
		return c.sync(topics)
	}
	h := kmsg.NewPtrHeartbeatRequest()
	h.Version, h.Group, h.MemberID, h.Generation, h.InstanceID = 4, "g", c.id, c.epoch, c.static()
	return h
}

func (c *mixedClient) static() *string {
	if c.instance == "" {
		return nil
	}
	return &c.instance
}

// beat says all, so that a lost answer does not matter. What the client has not begun with it says it does not have.
func (c *mixedClient) beat(topics *testTopics) kmsg.Request {
	r := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	r.Version, r.Group, r.MemberID, r.MemberEpoch, r.InstanceID = 1, "g", c.id, c.epoch, c.static()
	r.RebalanceTimeoutMillis, r.SubscribedTopicNames, r.Topics = 30_000, []string{"t", "u"}, []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	for tp := range c.uses {
		r.Topics = append(r.Topics, kmsg.ConsumerGroupHeartbeatRequestTopic{TopicID: topics.id[tp.Topic], Partitions: []int32{tp.Partition}})
	}
	c.target = nil
	return r
}

func (c *mixedClient) join() kmsg.Request {
	if !c.cooperative {
		clear(c.uses)
	}
	m := kmsg.ConsumerMemberMetadata{Version: 2, Topics: []string{"t", "u"}, Generation: c.epoch}
	for tp := range c.uses {
		m.OwnedPartitions = append(m.OwnedPartitions, kmsg.ConsumerMemberMetadataOwnedPartition{Topic: tp.Topic, Partitions: []int32{tp.Partition}})
	}
	r := kmsg.NewPtrJoinGroupRequest()
	r.Version, r.Group, r.MemberID, r.InstanceID, r.ProtocolType = 9, "g", c.id, c.static(), consumerProtocol
	r.SessionTimeoutMillis, r.RebalanceTimeoutMillis = 20_000, 20_000
	r.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "p", Metadata: m.AppendTo(nil)}}
	return r
}

func (c *mixedClient) sync(topics *testTopics) kmsg.Request {
	r := kmsg.NewPtrSyncGroupRequest()
	r.Version, r.Group, r.MemberID, r.Generation, r.InstanceID = 5, "g", c.id, c.epoch, c.static()
	r.ProtocolType, r.Protocol = kmsg.StringPtr(consumerProtocol), kmsg.StringPtr("p")
	owner := map[kafka.TopicPartition]string{}
	for _, m := range c.leads {
		var said kmsg.ConsumerMemberMetadata
		if err := said.ReadFrom(m.ProtocolMetadata); err != nil {
			panic(err)
		}
		for _, o := range said.OwnedPartitions {
			owner[kafka.TopicPartition{Topic: o.Topic, Partition: o.Partitions[0]}] = m.MemberID
		}
	}
	parts := make([]kmsg.ConsumerMemberAssignment, len(c.leads))
	n := 0
	for _, name := range []string{"t", "u"} {
		for p := range topics.partitions[name] {
			i := n % max(len(c.leads), 1)
			n++
			// What another member has is given up first, and handed out when it says so.
			if by := owner[kafka.TopicPartition{Topic: name, Partition: p}]; len(c.leads) == 0 || by != "" && by != c.leads[i].MemberID {
				continue
			}
			parts[i].Topics = append(parts[i].Topics, kmsg.ConsumerMemberAssignmentTopic{Topic: name, Partitions: []int32{p}})
		}
	}
	for i, m := range c.leads {
		r.GroupAssignment = append(r.GroupAssignment, kmsg.SyncGroupRequestGroupAssignment{MemberID: m.MemberID, MemberAssignment: parts[i].AppendTo(nil)})
	}
	return r
}

// answered takes in the answer to the request that the client waits for.
func (c *mixedClient) answered(resp kmsg.Response, topics *testTopics) {
	switch resp := resp.(type) {
	case *kmsg.ConsumerGroupHeartbeatResponse:
		if c.refused(resp.ErrorCode) {
			return
		}
		c.epoch = resp.MemberEpoch
		if resp.Assignment != nil {
			c.target = map[kafka.TopicPartition]bool{}
			for _, t := range resp.Assignment.Topics {
				name, _ := topics.Name(t.TopicID)
				for _, p := range t.Partitions {
					c.target[kafka.TopicPartition{Topic: name, Partition: p}] = true
				}
			}
		}
	case *kmsg.JoinGroupResponse:
		if resp.ErrorCode == kerr.MemberIDRequired.Code {
			c.id = resp.MemberID
			return
		}
		if c.refused(resp.ErrorCode) {
			return
		}
		c.id, c.epoch, c.joins, c.syncs, c.leads = resp.MemberID, resp.Generation, false, true, nil
		if resp.LeaderID == resp.MemberID && !resp.SkipAssignment {
			c.leads = slices.SortedFunc(slices.Values(resp.Members), func(a, b kmsg.JoinGroupResponseMember) int {
				return map[bool]int{true: -1, false: 1}[a.MemberID < b.MemberID]
			})
		}
	case *kmsg.SyncGroupResponse:
		if !c.refused(resp.ErrorCode) {
			c.synced(resp.MemberAssignment)
		}
	case *kmsg.HeartbeatResponse:
		c.refused(resp.ErrorCode)
	}
}

// synced begins with what is new at once, and joins again when it had to give something up.
func (c *mixedClient) synced(assignment []byte) {
	told := map[kafka.TopicPartition]bool{}
	var a kmsg.ConsumerMemberAssignment
	if len(assignment) > 0 {
		if err := a.ReadFrom(assignment); err != nil {
			panic(err)
		}
	}
	for _, t := range a.Topics {
		for _, p := range t.Partitions {
			told[kafka.TopicPartition{Topic: t.Topic, Partition: p}] = true
		}
	}
	c.syncs, c.joins = false, false
	for tp := range c.uses {
		c.joins = c.joins || !told[tp]
	}
	c.uses = told
}

// refused is what an error does to a client.
func (c *mixedClient) refused(code int16) bool {
	switch kerr.TypedErrorForCode(code) {
	case nil:
		return false
	case kerr.RebalanceInProgress:
		c.joins, c.syncs = true, false
	case kerr.FencedInstanceID, kerr.UnreleasedInstanceID:
		c.dead = true
	default:
		c.lose()
	}
	return true
}

// work is a modern client's own pace: it lets go of what it is to give up, and later begins with what is new.
func (c *mixedClient) work() {
	if c.target == nil {
		return
	}
	had := len(c.uses)
	maps.DeleteFunc(c.uses, func(tp kafka.TopicPartition, _ bool) bool { return !c.target[tp] })
	if len(c.uses) == had {
		c.uses, c.target = c.target, nil
	}
}
