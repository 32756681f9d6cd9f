package controller

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
)

// threeNodes is an Image of 10,000 partitions on three active nodes, in topics of the given size.
func threeNodes(c *Controller, perTopic int, configured bool) *metadata.Image {
	recs := []metadata.Record{&metadata.FeatureLevelRecord{Name: eligibleReplicas, Level: 1}}
	for id := range kafka.NodeID(3) {
		recs = append(recs, &metadata.RegisterBrokerRecord{Node: id, Epoch: int64(id), LogDirs: []kafka.TopicID{{15: byte(200 + id)}}})
	}
	for t := range 10000 / perTopic {
		id := kafka.TopicID{1, byte(t >> 8), byte(t)}
		name := fmt.Sprintf("topic-%d", t)
		recs = append(recs, &metadata.TopicRecord{Name: name, ID: id})
		if value := "5"; configured {
			recs = append(recs, &metadata.ConfigRecord{Resource: metadata.ConfigResource{Type: metadata.TopicConfig, Name: name}, Name: "retention.ms", Value: &value})
		}
		for p := range perTopic {
			first := kafka.NodeID((t + p) % 3)
			replicas := []kafka.NodeID{first, (first + 1) % 3, (first + 2) % 3}
			recs = append(recs, &metadata.PartitionRecord{
				Topic: id, Partition: int32(p), Replicas: replicas, ISR: replicas, Leader: first,
				Directories: []kafka.TopicID{{15: byte(200 + replicas[0])}, {15: byte(200 + replicas[1])}, {15: byte(200 + replicas[2])}},
			})
		}
	}
	img, _ := metadata.New("c1").Apply(recs, kafka.Offset(len(recs)-1))
	return img
}

// Everybody waits for the leaders of a dead node: its fencing is one batch, and cheap however many partitions it has.
func TestFencingIsOneCheapBatch(t *testing.T) {
	for _, perTopic := range []int{1, 1000} {
		c := newScript().c
		img := threeNodes(c, perTopic, true)
		fence := func() Output {
			return c.Step(time.Time{}, rand.New(rand.NewPCG(1, 2)), img, FenceNode{ID: 1, Epoch: 1, Fenced: true})
		}
		out := fence()
		if len(out.Records) != 10001 {
			t.Fatalf("%d records: %v", len(out.Records), out.Err)
		}
		if n := testing.AllocsPerRun(3, func() { fence() }); n > 5*10000 {
			t.Errorf("%d partitions a topic: %.0f allocations for 10000 partitions", perTopic, n)
		}
		next, _ := img.Apply(out.Records, img.Offset()+10001)
		for topic := range next.Topics() {
			for i, p := range topic.Partitions {
				if p.Leader == 1 || len(p.ISR) != 2 {
					t.Fatalf("%s-%d: %+v", topic.Name, i, p)
				}
			}
		}
	}
}

func BenchmarkFence(b *testing.B) {
	for _, perTopic := range []int{1, 1000} {
		c := newScript().c
		img := threeNodes(c, perTopic, true)
		var out Output
		b.Run(fmt.Sprintf("decide/%d", perTopic), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				out = c.Step(time.Time{}, rand.New(rand.NewPCG(1, 2)), img, FenceNode{ID: 1, Epoch: 1, Fenced: true})
			}
		})
		b.Run(fmt.Sprintf("apply/%d", perTopic), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				img.Apply(out.Records, img.Offset()+10001)
			}
		})
	}
}
