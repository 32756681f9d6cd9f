package coord_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
	"github.com/headrace/headrace/internal/node/groups"
)

// TestAGroupFollowsTheMetadata has a member of the new protocol subscribe by a regular expression: it gets the partitions of
// topics that are there, are made later, and grow.
func TestAGroupFollowsTheMetadata(t *testing.T) {
	inBubble(t, func(t *testing.T, r *groups.Groups, _ *memLog) {
		img := metadata.New("c")
		publish := func(recs ...metadata.Record) {
			next, delta := img.Apply(recs, img.Offset()+kafka.Offset(len(recs)))
			img = next
			r.Publish(delta, img)
		}
		one, two := kafka.TopicID{0: 1, 15: 1}, kafka.TopicID{0: 1, 15: 2}
		publish(&metadata.TopicRecord{Name: "a1", ID: one}, &metadata.PartitionRecord{Topic: one, Partition: 0})
		beat := func(epoch int32) *kmsg.ConsumerGroupHeartbeatResponse {
			time.Sleep(11 * time.Second) // targets and resolutions are made that often
			req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
			req.Version, req.Group, req.MemberID, req.MemberEpoch = 1, "g", "m", epoch
			if epoch == 0 {
				req.RebalanceTimeoutMillis, req.Topics = 30_000, []kmsg.ConsumerGroupHeartbeatRequestTopic{}
				req.SubscribedTopicRegex = kmsg.StringPtr("a.*")
			}
			resp := submit(t, r, "g", req).(*kmsg.ConsumerGroupHeartbeatResponse)
			synctest.Wait()
			return resp
		}
		has := func(resp *kmsg.ConsumerGroupHeartbeatResponse) map[kafka.TopicID]int {
			if resp.Assignment == nil {
				return nil
			}
			n := map[kafka.TopicID]int{}
			for _, topic := range resp.Assignment.Topics {
				n[topic.TopicID] = len(topic.Partitions)
			}
			return n
		}
		joined := beat(0)
		if n := has(beat(joined.MemberEpoch)); n[one] != 1 {
			t.Errorf("has %v of the topic that is there", n)
		}
		publish(&metadata.PartitionRecord{Topic: one, Partition: 1})
		grown := beat(2)
		if n := has(grown); n[one] != 2 {
			t.Errorf("has %v of the topic that grew", n)
		}
		publish(&metadata.TopicRecord{Name: "a2", ID: two}, &metadata.PartitionRecord{Topic: two, Partition: 0})
		beat(grown.MemberEpoch) // which has the expression resolved
		if n := has(beat(grown.MemberEpoch)); n[one] != 2 || n[two] != 1 {
			t.Errorf("has %v with the new topic", n)
		}
	})
}
