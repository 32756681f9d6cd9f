package streams

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
)

// Check refuses a heartbeat that no group could answer, and what Kafka's coordinator does not do yet either: static members,
// source topics by regular expression, warm-ups.
func Check(req *kmsg.StreamsGroupHeartbeatRequest) error {
	if err := checkNames(req.Topology); err != nil {
		return err
	}
	if err := checkSupported(req); err != nil {
		return err
	}
	invalid := func(format string, args ...any) error { return refuse(kerr.InvalidRequest, format, args...) }
	blank := func(s *string) bool { return s != nil && strings.TrimSpace(*s) == "" }
	all, none := req.ActiveTasks != nil && req.StandbyTasks != nil && req.WarmupTasks != nil,
		req.ActiveTasks == nil && req.StandbyTasks == nil && req.WarmupTasks == nil
	switch {
	case blank(&req.MemberID):
		return invalid("MemberId can't be empty.")
	case blank(&req.Group):
		return invalid("GroupId can't be empty.")
	case blank(req.RackID):
		return invalid("RackId can't be empty.")
	case max(len(req.MemberID), len(req.Group)) > maxString:
		return invalid("MemberId and GroupId can't be longer than %d bytes.", maxString)
	case req.MemberEpoch == 0:
		return checkJoin(req)
	case req.MemberEpoch == staticLeftEpoch:
		return invalid("InstanceId can't be null.")
	case req.MemberEpoch < staticLeftEpoch:
		return invalid("MemberEpoch is %d, but must be greater than or equal to -2.", req.MemberEpoch)
	case !all && !none:
		return invalid("If one task-type is non-null, all must be non-null.")
	case req.Topology != nil:
		return invalid("Topology can only be provided when (re-)joining.")
	}
	return nil
}

func checkSupported(req *kmsg.StreamsGroupHeartbeatRequest) error {
	missing := func(what string) error { return refuse(kerr.InvalidRequest, "%s supported yet.", what) }
	switch {
	case req.InstanceID != nil:
		return refuse(kerr.InvalidRequest, "Static membership is not yet supported.")
	case req.TaskOffsets != nil:
		return missing("TaskOffsets are not")
	case req.TaskEndOffsets != nil:
		return missing("TaskEndOffsets are not")
	case len(req.WarmupTasks) > 0:
		return missing("WarmupTasks are not")
	}
	if req.Topology != nil {
		for _, s := range req.Topology.Subtopologies {
			if len(s.SourceTopicRegex) > 0 {
				return missing("Regular expressions for source topics are not")
			}
		}
	}
	return nil
}

func checkJoin(req *kmsg.StreamsGroupHeartbeatRequest) error {
	tasks := func(t []kmsg.TaskIDs) bool { return t == nil || len(t) > 0 }
	invalid := func(why string) error { return refuse(kerr.InvalidRequest, "%s", why) }
	switch {
	case req.RebalanceTimeoutMillis == -1:
		return invalid("RebalanceTimeoutMs must be provided in first request.")
	case tasks(req.ActiveTasks):
		return invalid("ActiveTasks must be empty when (re-)joining.")
	case tasks(req.StandbyTasks):
		return invalid("StandbyTasks must be empty when (re-)joining.")
	case tasks(req.WarmupTasks):
		return invalid("WarmupTasks must be empty when (re-)joining.")
	case req.Topology == nil:
		return invalid("Topology must be non-null when (re-)joining.")
	}
	for _, s := range req.Topology.Subtopologies {
		for _, t := range s.StateChangelogTopics {
			if t.NumPartitions != 0 {
				return refuse(kerr.StreamsInvalidTopology, "Changelog topic %s must have an undefined partition count, but it is set to %d.", t.Topic, t.NumPartitions)
			}
		}
	}
	return nil
}

// checkNames refuses topics that cannot be an application's.
func checkNames(t *kmsg.StreamsGroupHeartbeatRequestTopology) error {
	if t == nil {
		return nil
	}
	var internal, invalid []string
	for _, name := range namesOf(t) {
		if kafka.IsInternalTopic(name) {
			internal = append(internal, name)
		} else if kafka.ValidateTopicName(name) != nil {
			invalid = append(invalid, name)
		}
	}
	switch {
	case len(internal) > 0:
		return refuse(kerr.StreamsInvalidTopology, "Use of Kafka internal topics %s in a Kafka Streams topology is prohibited.", strings.Join(internal, ","))
	case len(invalid) > 0:
		return refuse(kerr.StreamsInvalidTopology, "Topic names %s are not valid topic names.", strings.Join(invalid, ","))
	}
	return checkParts(t)
}

// checkParts refuses a topology with two parts of one name.
func checkParts(t *kmsg.StreamsGroupHeartbeatRequestTopology) error {
	seen := make(map[string]bool)
	for _, s := range t.Subtopologies {
		if seen[s.SubtopologyID] {
			return refuse(kerr.StreamsInvalidTopology, "Subtopology %s is in the topology twice.", s.SubtopologyID)
		}
		seen[s.SubtopologyID] = true
	}
	return nil
}

// namesOf is every topic of the topology, each once, as they come.
func namesOf(t *kmsg.StreamsGroupHeartbeatRequestTopology) []string {
	var names []string
	seen := make(map[string]bool)
	add := func(name string) {
		if !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	for _, s := range t.Subtopologies {
		for _, name := range s.SourceTopics {
			add(name)
		}
		for _, name := range s.RepartitionSinkTopics {
			add(name)
		}
		for _, topics := range [][]kmsg.TopicInfo{s.RepartitionSourceTopics, s.StateChangelogTopics} {
			for _, topic := range topics {
				add(topic.Topic)
			}
		}
	}
	return names
}
