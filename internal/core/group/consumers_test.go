package group

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/group/consumer"
)

// testTopics are t, u, v, w and x, with three partitions each.
type testTopics struct {
	id         map[string]kafka.TopicID
	partitions map[string]int32
	version    uint64
}

func newTestTopics() *testTopics {
	t := &testTopics{id: map[string]kafka.TopicID{}, partitions: map[string]int32{}, version: 1}
	for _, name := range []string{"t", "u", "v", "w", "x"} {
		t.id[name], t.partitions[name] = kafka.TopicID{15: name[0]}, 3
	}
	return t
}

func (t *testTopics) names() []string { return slices.Sorted(maps.Keys(t.id)) }

func (t *testTopics) grow(name string) {
	t.partitions[name]++
	t.version++
}

func (t *testTopics) ID(name string) (kafka.TopicID, bool) {
	id, ok := t.id[name]
	return id, ok
}

func (t *testTopics) Name(id kafka.TopicID) (string, bool) {
	for name, is := range t.id {
		if is == id {
			return name, true
		}
	}
	return "", false
}

func (t *testTopics) Partitions(id kafka.TopicID) int32 {
	name, _ := t.Name(id)
	return t.partitions[name]
}

func (t *testTopics) Racks(kafka.TopicID, int32) []string { return nil }
func (t *testTopics) Version() uint64                     { return t.version }
func (t *testTopics) Created() int64                      { return 1 }

var consumerKinds = map[int16]string{
	consumer.EpochKind: "epoch", consumer.MemberKind: "member", consumer.TargetEpochKind: "target epoch", consumer.TargetKind: "target",
	consumer.AssignmentKind: "assignment", consumer.RegexKind: "regex",
}

func (w *world) parseHeartbeat(group string, a args) kmsg.Request {
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Version, req.Group, req.MemberID, req.InstanceID = 1, group, a.plain[0], a.instance()
	if req.MemberID == "none" {
		req.MemberID = ""
	}
	epoch, err := strconv.Atoi(a.plain[1])
	if err != nil {
		panic(err)
	}
	req.MemberEpoch = int32(epoch)
	if a.named["join"] != "" {
		req.RebalanceTimeoutMillis, req.Topics = a.millis("rebalance", 30*time.Second), []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	}
	if topics, ok := a.named["topics"]; ok {
		req.SubscribedTopicNames = slices.DeleteFunc(strings.Split(topics, ","), func(s string) bool { return s == "" })
	}
	text := func(name string) *string {
		if v, ok := a.named[name]; ok {
			return &v
		}
		return nil
	}
	req.SubscribedTopicRegex, req.RackID, req.ServerAssignor = text("regex"), text("rack"), text("assignor")
	if own, ok := a.named["own"]; ok {
		req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
		for _, part := range strings.Fields(own) {
			name, list, ok := strings.Cut(part, ":")
			if !ok {
				continue
			}
			topic := kmsg.ConsumerGroupHeartbeatRequestTopic{TopicID: w.topics.id[name]}
			topic.Partitions = numbers(list)
			req.Topics = append(req.Topics, topic)
		}
	}
	return req
}

func (w *world) showConsumer(resp *kmsg.ConsumerGroupHeartbeatResponse) string {
	if resp.ErrorCode != 0 {
		return fmt.Sprintf("%s %q", errName(resp.ErrorCode), deref(resp.ErrorMessage))
	}
	s := fmt.Sprintf("ok %s epoch=%d interval=%d", deref(resp.MemberID), resp.MemberEpoch, resp.HeartbeatIntervalMillis)
	if resp.Assignment == nil {
		return s
	}
	var topics []string
	for _, t := range resp.Assignment.Topics {
		name, _ := w.topics.Name(t.TopicID)
		topics = append(topics, fmt.Sprint(" ", name, ":", slices.Sorted(slices.Values(t.Partitions))))
	}
	slices.Sort(topics)
	return s + " has" + strings.Join(topics, "")
}

func (w *world) showConsumers(g kmsg.ConsumerGroupDescribeResponseGroup) string {
	if g.ErrorCode != 0 {
		return fmt.Sprintf("%s %s %q", g.Group, errName(g.ErrorCode), deref(g.ErrorMessage))
	}
	s := fmt.Sprintf("%s %s epoch=%d/%d %s", g.Group, g.State, g.Epoch, g.AssignmentEpoch, g.AssignorName)
	var members []string
	for _, m := range g.Members {
		slices.Sort(m.SubscribedTopics)
		members = append(members, fmt.Sprintf(" [%s %s %s epoch=%d type=%d %s%s %v %q %s -> %s]", m.MemberID, deref(m.InstanceID), deref(m.RackID),
			m.MemberEpoch, m.MemberType, m.ClientID, "/host", m.SubscribedTopics, deref(m.SubscribedTopicRegex), showAssignment(m.Assignment), showAssignment(m.TargetAssignment)))
	}
	slices.Sort(members)
	return s + strings.Join(members, "")
}

func showAssignment(a kmsg.Assignment) string {
	var topics []string
	for _, t := range a.TopicPartitions {
		topics = append(topics, fmt.Sprint(t.Topic, ":", slices.Sorted(slices.Values(t.Partitions))))
	}
	slices.Sort(topics)
	return strings.Join(topics, " ")
}
