package group

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/group/streams"
)

var streamsKinds = map[int16]string{
	streams.EpochKind: "streams epoch", streams.MemberKind: "streams member", streams.TargetEpochKind: "streams target epoch",
	streams.TargetKind: "streams target", streams.AssignmentKind: "streams assignment", streams.TopologyKind: "topology",
}

// create makes topics, but those whose names begin with "no-".
func (t *testTopics) create(topics []streams.InternalTopic) (failed map[string]string) {
	failed = map[string]string{}
	for _, topic := range topics {
		if strings.HasPrefix(topic.Name, "no-") {
			failed[topic.Name] = "It is not to be."
			continue
		}
		t.id[topic.Name], t.partitions[topic.Name] = kafka.TopicID{14: 1, 15: byte(len(t.id))}, topic.Partitions
		t.version++
	}
	return failed
}

// parseStreams is a StreamsGroupHeartbeat. Without own= it says nothing of tasks, unless it joins. A topology is parts with
// slashes between them, such as 0;in=t;out=again/1;re=again;log=counts.
func parseStreams(group string, a args) kmsg.Request {
	req := kmsg.NewPtrStreamsGroupHeartbeatRequest()
	req.Group, req.MemberID, req.InstanceID = group, a.plain[0], a.instance()
	epoch, _ := strconv.Atoi(a.plain[1])
	req.MemberEpoch, req.RebalanceTimeoutMillis = int32(epoch), -1
	req.EndpointInformationEpoch = int32(a.number("epepoch", 0))
	req.ShutdownApplication = a.named["shutdown"] != ""
	if v, ok := a.named["rack"]; ok {
		req.RackID = &v
	}
	if v, ok := a.named["proc"]; ok {
		req.ProcessID = &v
	}
	if _, ok := a.named["ep"]; ok {
		req.UserEndpoint = &kmsg.StreamsGroupHeartbeatRequestUserEndpoint{Host: "h", Port: uint16(a.number("ep", 0))}
	}
	if top, ok := a.named["top"]; ok {
		req.RebalanceTimeoutMillis = int32(a.number("rebalance", 60_000))
		req.Topology = parseTopology(int32(a.number("topepoch", 0)), top)
	}
	if own, ok := a.named["own"]; ok || req.Topology != nil {
		req.ActiveTasks, req.StandbyTasks, req.WarmupTasks = parseTasks(own), parseTasks(a.text("standby", "")), []kmsg.TaskIDs{}
	}
	return req
}

// parseTasks reads 0:1,2/1:0.
func parseTasks(words string) []kmsg.TaskIDs {
	tasks := []kmsg.TaskIDs{}
	for _, word := range strings.FieldsFunc(words, func(r rune) bool { return r == '/' }) {
		sub, partitions, ok := strings.Cut(word, ":")
		if !ok {
			continue // such as none
		}
		t := kmsg.TaskIDs{SubtopologyID: sub}
		for _, p := range strings.Split(partitions, ",") {
			n, _ := strconv.Atoi(p)
			t.Partitions = append(t.Partitions, int32(n))
		}
		tasks = append(tasks, t)
	}
	return tasks
}

func parseTopology(epoch int32, words string) *kmsg.StreamsGroupHeartbeatRequestTopology {
	t := kmsg.NewStreamsGroupHeartbeatRequestTopology()
	t.Epoch = epoch
	for _, part := range strings.Split(words, "/") {
		fields := strings.Split(part, ";")
		s := kmsg.NewStreamsGroupHeartbeatRequestTopologySubtopology()
		s.SubtopologyID = fields[0]
		for _, field := range fields[1:] {
			name, list, _ := strings.Cut(field, "=")
			for _, topic := range strings.Split(list, ",") {
				switch name {
				case "in":
					s.SourceTopics = append(s.SourceTopics, topic)
				case "out":
					s.RepartitionSinkTopics = append(s.RepartitionSinkTopics, topic)
				case "re":
					s.RepartitionSourceTopics = append(s.RepartitionSourceTopics, parseTopic(topic))
				case "log":
					s.StateChangelogTopics = append(s.StateChangelogTopics, parseTopic(topic))
				case "regex":
					s.SourceTopicRegex = append(s.SourceTopicRegex, topic)
				}
			}
		}
		if strings.Contains(part, ";together") {
			c := kmsg.NewStreamsGroupHeartbeatRequestTopologySubtopologyCopartitionGroup()
			for i := range s.SourceTopics {
				c.SourceTopics = append(c.SourceTopics, int16(i))
			}
			for i := range s.RepartitionSourceTopics {
				c.RepartitionSourceTopics = append(c.RepartitionSourceTopics, int16(i))
			}
			s.CopartitionGroups = append(s.CopartitionGroups, c)
		}
		t.Subtopologies = append(t.Subtopologies, s)
	}
	return &t
}

func parseTopic(word string) kmsg.TopicInfo {
	t := kmsg.NewTopicInfo()
	name, partitions, _ := strings.Cut(word, ":")
	n, _ := strconv.Atoi(partitions)
	t.Topic, t.NumPartitions = name, int32(n)
	return t
}

func showStreams(resp *kmsg.StreamsGroupHeartbeatResponse) string {
	if resp.ErrorCode != 0 {
		return fmt.Sprintf("%s %q", errName(resp.ErrorCode), deref(resp.ErrorMessage))
	}
	s := fmt.Sprintf("ok %s epoch=%d interval=%d", resp.MemberID, resp.MemberEpoch, resp.HeartbeatIntervalMillis)
	if resp.ActiveTasks != nil {
		s += " has" + showTasks("", resp.ActiveTasks) + showTasks("standby ", resp.StandbyTasks) + showTasks("warmup ", resp.WarmupTasks)
	}
	for _, status := range resp.Status {
		s += fmt.Sprintf(" (%d %s)", status.StatusCode, status.StatusDetail)
	}
	if resp.EndpointInformationEpoch != 0 {
		s += fmt.Sprintf(" endpoints=%d", resp.EndpointInformationEpoch)
	}
	for _, e := range resp.PartitionsByUserEndpoint {
		var parts []string
		for _, p := range e.ActivePartitions {
			parts = append(parts, p.Topic+":"+listed(p.Partitions))
		}
		for _, p := range e.StandbyPartitions {
			parts = append(parts, "standby "+p.Topic+":"+listed(p.Partitions))
		}
		slices.Sort(parts)
		s += fmt.Sprintf(" [%s:%d %s]", e.UserEndpoint.Host, e.UserEndpoint.Port, strings.Join(parts, " "))
	}
	return s
}

// listed is without brackets, which scripts have around members.
func listed(all []int32) string {
	return strings.ReplaceAll(strings.Trim(fmt.Sprint(slices.Sorted(slices.Values(all))), "[]"), " ", ",")
}

func showTasks(role string, tasks []kmsg.TaskIDs) string {
	var all []string
	for _, t := range tasks {
		all = append(all, " "+role+t.SubtopologyID+":"+listed(t.Partitions))
	}
	slices.Sort(all)
	return strings.Join(all, "")
}

func showStreamsGroup(g kmsg.StreamsGroupDescribeResponseGroup) string {
	if g.ErrorCode != 0 {
		return fmt.Sprintf("%s %q", errName(g.ErrorCode), deref(g.ErrorMessage))
	}
	s := fmt.Sprintf("%s %s epoch=%d/%d", g.Group, g.State, g.Epoch, g.AssignmentEpoch)
	for _, sub := range g.Topology.Subtopologies {
		s += fmt.Sprintf(" <%s in=%s out=%s re=%s log=%s>", sub.SubtopologyID, strings.Join(sub.SourceTopics, ","), strings.Join(sub.RepartitionSinkTopics, ","),
			showTopics(sub.RepartitionSourceTopics), showTopics(sub.StateChangelogTopics))
	}
	for _, m := range g.Members {
		a, target := m.Assignment, m.TargetAssignment
		s += fmt.Sprintf(" [%s %s %s%s epoch=%d process=%s topology=%d%s%s ->%s%s]", m.MemberID, deref(m.RackID), m.ClientID, m.ClientHost, m.MemberEpoch,
			m.ProcessID, m.TopologyEpoch, showTasks("", a.ActiveTasks), showTasks("standby ", a.StandbyTasks),
			showTasks("", target.ActiveTasks), showTasks("standby ", target.StandbyTasks))
	}
	return s
}

func showTopics(topics []kmsg.TopicInfo) string {
	var all []string
	for _, t := range topics {
		all = append(all, fmt.Sprintf("%s:%d", t.Topic, t.NumPartitions))
	}
	return strings.Join(all, ",")
}
