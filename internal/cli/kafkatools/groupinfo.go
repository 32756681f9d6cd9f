package kafkatools

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// groupInfo is what a coordinator tells of a group.
type groupInfo struct {
	name, state, assignor string
	coordinator           string // host:port  (id)
	epoch, targetEpoch    *int32
	members               []memberInfo
}

type memberInfo struct {
	id, instance, host, client string
	epoch                      *int32
	assigned, target           []topicPartition
	upgraded                   *bool
}

// describeGroups asks for groups of the newer protocol, and for those that are not as for classic ones. A group that is not
// there is an error. They are in the order of their names.
func (g *groupCall) describeGroups(names []string) ([]groupInfo, error) {
	ctx, cancel := g.k.bounded(g.ctx)
	defer cancel()
	var all []groupInfo
	classic := slices.Compact(slices.Sorted(slices.Values(names)))
	if g.k.can(kmsg.NewPtrConsumerGroupDescribeRequest()) == nil && len(classic) > 0 {
		var err error
		if all, classic, err = g.describeNew(ctx, classic); err != nil {
			return nil, err
		}
	}
	if len(classic) > 0 {
		more, err := g.describeClassic(ctx, classic)
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	for i := range all {
		at, err := g.coordinatorOf(ctx, all[i].name)
		if err != nil {
			return nil, err
		}
		all[i].coordinator = at
	}
	slices.SortFunc(all, func(a, b groupInfo) int { return cmp.Compare(a.name, b.name) })
	return all, nil
}

func (g *groupCall) describeNew(ctx context.Context, names []string) (all []groupInfo, classic []string, err error) {
	req := kmsg.NewPtrConsumerGroupDescribeRequest()
	req.Groups = names
	resp, err := req.RequestWith(ctx, g.k.Client)
	if err != nil {
		return nil, nil, err
	}
	for _, r := range resp.Groups {
		switch err := kerr.ErrorForCode(r.ErrorCode); {
		case hasCode(err, kerr.GroupIDNotFound), hasCode(err, kerr.UnsupportedVersion):
			classic = append(classic, r.Group)
			continue
		case err != nil:
			return nil, nil, ofCode(r.ErrorCode, r.ErrorMessage)
		}
		info := groupInfo{name: r.Group, state: r.State, assignor: r.AssignorName, epoch: &r.Epoch, targetEpoch: &r.AssignmentEpoch}
		for _, m := range r.Members {
			member := memberInfo{id: m.MemberID, host: m.ClientHost, client: m.ClientID, epoch: &m.MemberEpoch}
			if m.InstanceID != nil {
				member.instance = *m.InstanceID
			}
			if m.MemberType >= 0 {
				newer := m.MemberType == 1
				member.upgraded = &newer
			}
			for _, t := range m.Assignment.TopicPartitions {
				member.assigned = addPartitions(member.assigned, t.Topic, t.Partitions)
			}
			for _, t := range m.TargetAssignment.TopicPartitions {
				member.target = addPartitions(member.target, t.Topic, t.Partitions)
			}
			info.members = append(info.members, member)
		}
		all = append(all, info)
	}
	return all, classic, nil
}

func addPartitions(all []topicPartition, topic string, numbers []int32) []topicPartition {
	for _, n := range numbers {
		all = append(all, topicPartition{topic, n})
	}
	slices.SortFunc(all, compare)
	return all
}

func (g *groupCall) describeClassic(ctx context.Context, names []string) ([]groupInfo, error) {
	req := kmsg.NewPtrDescribeGroupsRequest()
	req.Groups = names
	resp, err := req.RequestWith(ctx, g.k.Client)
	if err != nil {
		return nil, err
	}
	var all []groupInfo
	for _, r := range resp.Groups {
		if err := ofCode(r.ErrorCode, r.ErrorMessage); err != nil {
			return nil, err
		}
		info := groupInfo{name: r.Group, state: r.State, assignor: r.Protocol}
		if r.ProtocolType != "" && r.ProtocolType != "consumer" {
			return nil, illegal("GroupId %s is not a consumer group (%s).", r.Group, r.ProtocolType)
		}
		for _, m := range r.Members {
			member := memberInfo{id: m.MemberID, host: m.ClientHost, client: m.ClientID}
			if m.InstanceID != nil {
				member.instance = *m.InstanceID
			}
			var a kmsg.ConsumerMemberAssignment
			if len(m.MemberAssignment) > 0 && a.ReadFrom(m.MemberAssignment) == nil {
				for _, t := range a.Topics {
					member.assigned = addPartitions(member.assigned, t.Topic, t.Partitions)
				}
			}
			info.members = append(info.members, member)
		}
		if len(info.members) == 0 && info.state == "Dead" {
			return nil, &failure{apiErrors + "GroupIdNotFoundException", "Group " + r.Group + " not found.", kerr.GroupIDNotFound}
		}
		all = append(all, info)
	}
	return all, nil
}

func (g *groupCall) coordinatorOf(ctx context.Context, group string) (string, error) {
	req := kmsg.NewPtrFindCoordinatorRequest()
	req.CoordinatorKey, req.CoordinatorKeys = group, []string{group}
	resp, err := req.RequestWith(ctx, g.k.Client)
	if err != nil {
		return "", err
	}
	if len(resp.Coordinators) > 0 {
		r := resp.Coordinators[0]
		return fmt.Sprintf("%s:%d  (%d)", r.Host, r.Port, r.NodeID), ofCode(r.ErrorCode, r.ErrorMessage)
	}
	return fmt.Sprintf("%s:%d  (%d)", resp.Host, resp.Port, resp.NodeID), ofCode(resp.ErrorCode, resp.ErrorMessage)
}

// committedOffset is where a group stands in a partition.
type committedOffset struct {
	offset int64
	epoch  int32 // -1: not known
}

func (g *groupCall) committed(group string) (map[topicPartition]committedOffset, error) {
	ctx, cancel := g.k.bounded(g.ctx)
	defer cancel()
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Group, req.RequireStable = group, false
	r := kmsg.NewOffsetFetchRequestGroup()
	r.Group = group
	req.Groups = append(req.Groups, r)
	resp, err := req.RequestWith(ctx, g.k.Client)
	if err == nil {
		err = ofCode(resp.ErrorCode, nil)
	}
	if err != nil {
		return nil, err
	}
	all := map[topicPartition]committedOffset{}
	note := func(topic string, p int32, c committedOffset, code int16) {
		if c.offset >= 0 && code == 0 {
			all[topicPartition{topic, p}] = c
		}
	}
	for _, r := range resp.Groups {
		if err := ofCode(r.ErrorCode, nil); err != nil {
			return nil, err
		}
		for _, t := range r.Topics {
			name, err := g.nameOf(t.Topic, t.TopicID)
			if err != nil {
				return nil, err
			}
			for _, p := range t.Partitions {
				note(name, p.Partition, committedOffset{p.Offset, p.LeaderEpoch}, p.ErrorCode)
			}
		}
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			note(t.Topic, p.Partition, committedOffset{p.Offset, p.LeaderEpoch}, p.ErrorCode)
		}
	}
	return all, nil
}

// topicIDs are the ids of all topics: newer versions of requests about offsets have those in place of names.
func (g *groupCall) topicIDs() (map[string][16]byte, error) {
	if g.ids != nil {
		return g.ids, nil
	}
	all, err := g.k.metadata(g.ctx, nil)
	if err != nil {
		return nil, err
	}
	g.ids = map[string][16]byte{}
	for _, t := range all.Topics {
		if t.Topic != nil {
			g.ids[*t.Topic] = t.TopicID
		}
	}
	return g.ids, nil
}

// nameOf is the name of a topic in an answer that has its name or its id.
func (g *groupCall) nameOf(name string, id [16]byte) (string, error) {
	if name != "" {
		return name, nil
	}
	ids, err := g.topicIDs()
	for known, i := range ids {
		if i == id {
			return known, nil
		}
	}
	return printID(id), err
}
