package main

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// batchOf is a batch of three records written in the year 2020 by this program: bytes that both clusters get alike.
func batchOf() []byte { return build(3, 1577836800000) }

func (s *steps) records() {
	s.add("produce", func(t *target) kmsg.Request {
		r := kmsg.NewPtrProduceRequest()
		r.Acks, r.TimeoutMillis = -1, 10000
		x := kmsg.NewProduceRequestTopic()
		x.Topic, x.TopicID = "one", t.id("one")
		p := kmsg.NewProduceRequestTopicPartition()
		p.Records = batchOf()
		x.Partitions = append(x.Partitions, p)
		r.Topics = append(r.Topics, x)
		return r
	})
	list := func(name string, v int16, iso int8, topic string, partition int32, epoch int32, ts int64) {
		s.addAt("offsets "+name, v, func(*target) kmsg.Request {
			r := kmsg.NewPtrListOffsetsRequest()
			r.ReplicaID, r.IsolationLevel = -1, iso
			x := kmsg.NewListOffsetsRequestTopic()
			x.Topic = topic
			p := kmsg.NewListOffsetsRequestTopicPartition()
			p.Partition, p.CurrentLeaderEpoch, p.Timestamp = partition, epoch, ts
			x.Partitions = append(x.Partitions, p)
			r.Topics = append(r.Topics, x)
			return r
		})
	}
	for _, ts := range []int64{-1, -2, -3, -4, -5, -6, -7, -100, 0, 1577836800000, 1577836800001, 1577836800002, 1577836800003, 1 << 60} {
		for _, v := range []int16{1, 6, 7, 8, 9, 10, 11} {
			list(fmt.Sprint(ts), v, 0, "one", 0, -1, ts)
		}
		list(fmt.Sprint(ts, " committed"), 11, 1, "one", 0, -1, ts)
		list(fmt.Sprint(ts, " empty"), 11, 0, "three", 0, -1, ts)
	}
	list("newer epoch", 10, 0, "one", 0, 50, -1)
	list("older epoch", 10, 0, "one", 0, -5, -1)
	list("bad isolation", 10, 7, "one", 0, -1, -1)
	list("unknown partition", 10, 0, "one", 9, -1, -1)
	list("negative partition", 10, 0, "one", -1, -1, -1)
	list("unknown topic", 10, 0, "nope", 0, -1, -1)
	list("invalid topic", 10, 0, "a b", 0, -1, -1)
	s.add("offsets twice", func(*target) kmsg.Request {
		r := kmsg.NewPtrListOffsetsRequest()
		r.ReplicaID = -1
		x := kmsg.NewListOffsetsRequestTopic()
		x.Topic = "one"
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Timestamp = -1
		x.Partitions = append(x.Partitions, p, p)
		r.Topics = append(r.Topics, x)
		return r
	})
	for _, x := range [][2]int32{{-1, 0}, {-1, 1}, {-1, -1}, {-1, 50}, {0, 0}, {50, 0}, {-1, -5}} {
		for _, topic := range []string{"one", "three", "nope"} {
			s.add(fmt.Sprint("epoch ", x, " ", topic), func(*target) kmsg.Request {
				r := kmsg.NewPtrOffsetForLeaderEpochRequest()
				r.ReplicaID = -1
				t := kmsg.NewOffsetForLeaderEpochRequestTopic()
				t.Topic = topic
				p := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
				p.CurrentLeaderEpoch, p.LeaderEpoch = x[0], x[1]
				t.Partitions = append(t.Partitions, p)
				r.Topics = append(r.Topics, t)
				return r
			})
		}
	}
	del := func(name, topic string, partition int32, to int64) {
		s.add("delete records "+name, func(*target) kmsg.Request {
			r := kmsg.NewPtrDeleteRecordsRequest()
			r.TimeoutMillis = 10000
			t := kmsg.NewDeleteRecordsRequestTopic()
			t.Topic = topic
			p := kmsg.NewDeleteRecordsRequestTopicPartition()
			p.Partition, p.Offset = partition, to
			t.Partitions = append(t.Partitions, p)
			r.Topics = append(r.Topics, t)
			return r
		})
	}
	del("beyond", "one", 0, 4)
	del("negative", "one", 0, -2)
	del("zero", "one", 0, 0)
	del("two", "one", 0, 2)
	del("less", "one", 0, 1)
	del("all", "one", 0, -1)
	del("all again", "one", 0, 3)
	del("compacted", "three", 0, 0)
	del("compacted beyond", "three", 0, 5)
	del("unknown", "nope", 0, 1)
	del("unknown partition", "one", 8, 1)
	del("internal", "__consumer_offsets", 0, 0)
	del("metadata", "__cluster_metadata", 0, 0)
	del("invalid", "a b", 0, 0)
	list("earliest after", 11, 0, "one", 0, -1, -2)
	list("max after", 11, 0, "one", 0, -1, -3)
	list("first after", 11, 0, "one", 0, -1, 0)
	for _, x := range []struct {
		topic     string
		partition int32
	}{{"one", 0}, {"one", 9}, {"nope", 0}, {"a b", 0}, {"one", -1}} {
		s.add(fmt.Sprint("producers ", x), func(*target) kmsg.Request {
			r := kmsg.NewPtrDescribeProducersRequest()
			t := kmsg.NewDescribeProducersRequestTopic()
			t.Topic, t.Partitions = x.topic, []int32{x.partition}
			r.Topics = append(r.Topics, t)
			return r
		})
	}
}
