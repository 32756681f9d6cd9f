package group

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/core/group/share"
)

var shareKinds = map[int16]string{
	share.EpochKind: "epoch", share.MemberKind: "member", share.TargetEpochKind: "target epoch", share.TargetKind: "target",
	share.AssignmentKind: "assignment", share.StateKind: "state",
}

func TestTheStateOfATopicThatIsGoneIsForgotten(t *testing.T) {
	w := newWorld(1)
	for _, line := range []string{"shb m 0 topics=t,u", "advance 1s", "shb m 2"} {
		if err := w.run(strings.Fields(line)); err != nil {
			t.Fatal(err)
		}
	}
	w.out.Reset()
	w.step(TopicsDeleted{Topics: []DeletedTopic{{Name: "t", ID: w.topics.id["t"]}}})
	if got := w.out.String(); got != "write share state g 38 bytes\n" {
		t.Errorf("wrote %q", got)
	}
	w.out.Reset()
	w.step(TopicsDeleted{Topics: []DeletedTopic{{Name: "t", ID: w.topics.id["t"]}}})
	if got := w.out.String(); got != "" {
		t.Errorf("wrote %q again", got)
	}
}

func parseShareHeartbeat(group string, a args) kmsg.Request {
	req := kmsg.NewPtrShareGroupHeartbeatRequest()
	req.Version, req.GroupID, req.MemberID = 1, group, a.plain[0]
	epoch, err := strconv.Atoi(a.plain[1])
	if err != nil {
		panic(err)
	}
	req.MemberEpoch = int32(epoch)
	if topics, ok := a.named["topics"]; ok {
		req.SubscribedTopicNames = strings.Split(topics, ",")
	}
	if rack, ok := a.named["rack"]; ok {
		req.RackID = &rack
	}
	return req
}

func (w *world) showShare(resp *kmsg.ShareGroupHeartbeatResponse) string {
	if resp.ErrorCode != 0 {
		return fmt.Sprintf("%s %q", errName(resp.ErrorCode), deref(resp.ErrorMessage))
	}
	s := fmt.Sprintf("ok %s epoch=%d interval=%d", deref(resp.MemberID), resp.MemberEpoch, resp.HeartbeatIntervalMillis)
	if resp.Assignment == nil {
		return s
	}
	var topics []string
	for _, t := range resp.Assignment.TopicPartitions {
		name, _ := w.topics.Name(t.TopicID)
		topics = append(topics, fmt.Sprint(" ", name, ":", t.Partitions))
	}
	slices.Sort(topics)
	return s + " has" + strings.Join(topics, "")
}

func showShares(g kmsg.ShareGroupDescribeResponseGroup) string {
	if g.ErrorCode != 0 {
		return fmt.Sprintf("%s %s %q", g.GroupID, errName(g.ErrorCode), deref(g.ErrorMessage))
	}
	s := fmt.Sprintf("%s %s epoch=%d/%d %s", g.GroupID, g.GroupState, g.GroupEpoch, g.AssignmentEpoch, g.Assignor)
	for _, m := range g.Members {
		var has []string
		for _, tp := range m.Assignment.TopicPartitions {
			has = append(has, fmt.Sprint(tp.Topic, ":", tp.Partitions))
		}
		s += fmt.Sprintf(" [%s %s epoch=%d %s%s %v has %v]", m.MemberID, deref(m.RackID), m.MemberEpoch, m.ClientID, m.ClientHost, m.SubscribedTopicNames, has)
	}
	return s
}

// initializeShares is the share coordinator, which begins all that it is asked for, or nothing.
func (w *world) initializeShares(task InitializeShares) {
	for _, topic := range task.Topics {
		name, _ := w.topics.Name(topic.Topic)
		w.printf("initialize %s %s:%v at %d", task.Group, name, topic.Partitions, task.StateEpoch)
	}
	if w.refuses {
		w.step(SharesInitialized{Group: task.Group, Failed: task.Topics})
	} else {
		w.step(SharesInitialized{Group: task.Group, Done: task.Topics})
	}
}

func (w *world) deleteShares(task DeleteShares) {
	failed := map[string]error{}
	for _, of := range task.Groups {
		for _, topic := range of.Topics {
			name, _ := w.topics.Name(topic.Topic)
			w.printf("delete %s %s:%v", of.Group, name, topic.Partitions)
		}
		if w.refuses {
			failed[of.Group] = kerr.CoordinatorNotAvailable
		}
	}
	w.step(SharesDeleted{ID: task.ID, Failed: failed})
}
