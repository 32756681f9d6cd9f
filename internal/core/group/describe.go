package group

import (
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/core/machine"
)

// DescribeGroups 0 to 6 and ListGroups 0 to 5. They see groups that are committed;
// their members and states are those of now.

// describeKnowsNotFound is the first version that is told GROUP_ID_NOT_FOUND; older ones see a group that is "Dead".
const describeKnowsNotFound = 6

func groupNotFound(id string) error {
	return fmt.Errorf("group %q: %w", id, kerr.GroupIDNotFound)
}

func describeError(req *kmsg.DescribeGroupsRequest, err error) *kmsg.DescribeGroupsResponse {
	resp := kmsg.NewPtrDescribeGroupsResponse()
	for _, id := range req.Groups {
		g := kmsg.NewDescribeGroupsResponseGroup()
		g.Group, g.ErrorCode = id, code(err)
		resp.Groups = append(resp.Groups, g)
	}
	return resp
}

func (t *turn) describeGroups(r machine.Request, req *kmsg.DescribeGroupsRequest) {
	resp := kmsg.NewPtrDescribeGroupsResponse()
	for _, id := range req.Groups {
		resp.Groups = append(resp.Groups, t.s.describe(id, r.Version))
	}
	t.reply(waiterOf(r), resp)
}

func (s *Shard) describe(id string, version int16) kmsg.DescribeGroupsResponseGroup {
	resp := kmsg.NewDescribeGroupsResponseGroup()
	resp.Group = id
	g := s.committedGroup(id)
	if g == nil {
		resp.State = stateDead
		if version >= describeKnowsNotFound {
			resp.ErrorCode = kerr.GroupIDNotFound.Code
			resp.ErrorMessage = kmsg.StringPtr(fmt.Sprintf("Group %s not found.", id))
			_, isConsumer := s.consumers.Committed(id)
			_, isShare := s.shares.Committed(id)
			if _, isStreams := s.streams.Committed(id); isConsumer || isShare || isStreams {
				resp.ErrorMessage = kmsg.StringPtr(fmt.Sprintf("Group %s is not a classic group.", id))
			}
		}
		return resp
	}
	resp.State, resp.ProtocolType = g.state.String(), g.protocolType
	if g.state == stable {
		resp.Protocol = g.protocol
	}
	for _, m := range g.members {
		rm := kmsg.DescribeGroupsResponseGroupMember{
			MemberID: m.id, InstanceID: m.instance, ClientID: m.clientID, ClientHost: m.clientHost, MemberAssignment: m.assignment,
		}
		if g.state == stable {
			rm.ProtocolMetadata = m.metadata(g.protocol)
		}
		resp.Members = append(resp.Members, rm)
	}
	return resp
}

// committedGroup finds a group that readers may see. One that is deleted but not yet committed so is as it was saved.
func (s *Shard) committedGroup(id string) *group {
	saved, ok := s.saved.Committed(id)
	if !ok {
		return nil
	}
	if g := s.group(id); g != nil {
		return g
	}
	return saved.restore(id)
}

// What ListGroups calls the groups of this machine.
const (
	groupType         = "classic"
	consumerGroupType = "consumer"
	shareGroupType    = "share"   // also what stands for its protocol
	streamsGroupType  = "streams" // and so is what its members speak
)

func (t *turn) listGroups(r machine.Request, req *kmsg.ListGroupsRequest) {
	resp := kmsg.NewPtrListGroupsResponse()
	for id := range t.s.saved.AllCommitted() {
		g := t.s.committedGroup(id)
		resp.Groups = append(resp.Groups, kmsg.ListGroupsResponseGroup{
			Group: id, ProtocolType: g.protocolType, GroupState: g.state.String(), GroupType: groupType,
		})
	}
	for id, c := range t.s.consumers.AllCommitted() {
		resp.Groups = append(resp.Groups, kmsg.ListGroupsResponseGroup{
			Group: id, ProtocolType: consumerProtocol, GroupState: c.State(), GroupType: consumerGroupType,
		})
	}
	for id, g := range t.s.shares.AllCommitted() {
		resp.Groups = append(resp.Groups, kmsg.ListGroupsResponseGroup{
			Group: id, ProtocolType: shareGroupType, GroupState: g.State(), GroupType: shareGroupType,
		})
	}
	for id, g := range t.s.streams.AllCommitted() {
		resp.Groups = append(resp.Groups, kmsg.ListGroupsResponseGroup{
			Group: id, ProtocolType: streamsGroupType, GroupState: g.State(), GroupType: streamsGroupType,
		})
	}
	resp.Groups = slices.DeleteFunc(resp.Groups, func(g kmsg.ListGroupsResponseGroup) bool {
		return r.Version >= 5 && !passes(req.TypesFilter, g.GroupType) || r.Version >= 4 && !passes(req.StatesFilter, g.GroupState)
	})
	slices.SortFunc(resp.Groups, func(a, b kmsg.ListGroupsResponseGroup) int { return strings.Compare(a.Group, b.Group) })
	t.reply(waiterOf(r), resp)
}

// passes tells whether a filter lets the word through: it is empty or has it.
func passes(filter []string, word string) bool {
	return len(filter) == 0 || slices.ContainsFunc(filter, func(f string) bool { return strings.EqualFold(strings.TrimSpace(f), word) })
}
