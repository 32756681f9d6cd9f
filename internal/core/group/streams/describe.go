package streams

import (
	"cmp"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// The states of a group, as Kafka calls them.
const (
	StateEmpty       = "Empty"
	StateNotReady    = "NotReady"    // topics are missing, or are not as the topology needs them
	StateAssigning   = "Assigning"   // the target is older than the group
	StateReconciling = "Reconciling" // members are on their way to the target
	StateStable      = "Stable"
)

// State is the committed state of the group.
func (g *Group) State() string {
	e, s := g.committed(), StateEmpty
	topology, ok := g.topology.Committed(none{})
	for _, m := range g.members.AllCommitted() {
		switch {
		case !ok || topology.Epoch != e.validated:
			return StateNotReady
		case e.group > e.target:
			return StateAssigning
		case !m.ReconciledTo(e.target):
			return StateReconciling
		}
		s = StateStable
	}
	return s
}

// CommittedMembers counts the members that are committed.
func (g *Group) CommittedMembers() int {
	n := 0
	for range g.members.AllCommitted() {
		n++
	}
	return n
}

// Describe is the committed group in the form of StreamsGroupDescribe, version 0.
func (t *Turn) Describe(g *Group) kmsg.StreamsGroupDescribeResponseGroup {
	d := kmsg.NewStreamsGroupDescribeResponseGroup()
	e := g.committed()
	d.Group, d.State, d.Epoch, d.AssignmentEpoch = g.ID, g.State(), e.group, e.target
	if topology, ok := g.topology.Committed(none{}); ok {
		d.Topology = t.describeTopology(topology)
	}
	for id, m := range g.members.AllCommitted() {
		target, _ := g.target.Committed(id)
		d.Members = append(d.Members, describeMember(m, target))
	}
	slices.SortFunc(d.Members, func(a, b kmsg.StreamsGroupDescribeResponseGroupMember) int {
		return cmp.Compare(a.MemberID, b.MemberID)
	})
	return d
}

func describeMember(m *Member, target Assignment) kmsg.StreamsGroupDescribeResponseGroupMember {
	d := kmsg.NewStreamsGroupDescribeResponseGroupMember()
	d.MemberID, d.MemberEpoch, d.InstanceID, d.RackID = m.ID, m.Epoch, m.Instance, m.Rack
	d.ClientID, d.ClientHost, d.TopologyEpoch, d.ProcessID = m.Client, m.Host, m.TopologyEpoch, m.Process
	if m.Endpoint != nil {
		e := kmsg.NewStreamsGroupDescribeResponseGroupMemberUserEndpoint()
		e.Host, e.Port = m.Endpoint.Host, m.Endpoint.Port
		d.UserEndpoint = &e
	}
	for _, tag := range m.Tags {
		d.ClientTags = append(d.ClientTags, kmsg.StreamsGroupDescribeResponseGroupMemberClientTag{Key: tag.Key, Value: tag.Value})
	}
	d.Assignment, d.TargetAssignment = describeTasks(m.Assigned), describeTasks(target)
	return d
}

func describeTasks(a Assignment) kmsg.StreamsAssignment {
	d := kmsg.NewStreamsAssignment()
	d.ActiveTasks, d.StandbyTasks, d.WarmupTasks = ids(a[Active]), ids(a[Standby]), ids(a[Warmup])
	return d
}

// describeTopology has the partitions that internal topics were given, once that is decided.
func (t *Turn) describeTopology(topology *Topology) *kmsg.StreamsGroupDescribeResponseGroupTopology {
	counts := map[string]int32{}
	if c, err := configure(topology, t.Topics); err == nil && c.wrong == nil {
		counts = c.counts
	}
	d := kmsg.NewStreamsGroupDescribeResponseGroupTopology()
	d.Epoch = topology.Epoch
	for _, s := range topology.Subtopologies {
		sub := kmsg.NewStreamsGroupDescribeResponseGroupTopologySubtopology()
		sub.SubtopologyID = s.ID
		sub.SourceTopics = slices.Sorted(slices.Values(s.Sources))
		sub.RepartitionSinkTopics = slices.Sorted(slices.Values(s.RepartitionSinks))
		sub.RepartitionSourceTopics = describeTopics(s.RepartitionSources, counts)
		sub.StateChangelogTopics = describeTopics(s.Changelogs, counts)
		d.Subtopologies = append(d.Subtopologies, sub)
	}
	slices.SortFunc(d.Subtopologies, func(a, b kmsg.StreamsGroupDescribeResponseGroupTopologySubtopology) int {
		return strings.Compare(a.SubtopologyID, b.SubtopologyID)
	})
	return &d
}

func describeTopics(topics []InternalTopic, counts map[string]int32) []kmsg.TopicInfo {
	var all []kmsg.TopicInfo
	for _, topic := range topics {
		d := kmsg.NewTopicInfo()
		d.Topic, d.NumPartitions, d.ReplicationFactor = topic.Name, topic.Partitions, topic.ReplicationFactor
		if n, ok := counts[topic.Name]; ok && d.NumPartitions == 0 {
			d.NumPartitions = n
		}
		for _, p := range topic.Configs {
			c := kmsg.NewTopicInfoConfig()
			c.Key, c.Value = p.Key, p.Value
			d.Configs = append(d.Configs, c)
		}
		all = append(all, d)
	}
	slices.SortFunc(all, func(a, b kmsg.TopicInfo) int { return strings.Compare(a.Topic, b.Topic) })
	return all
}
