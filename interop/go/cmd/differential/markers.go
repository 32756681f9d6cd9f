package main

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// markers ends transactions that wrote nothing, of producers that nobody knows.
func (s *steps) markers() {
	type on struct {
		topic      string
		partitions []int32
	}
	marker := func(id int64, epoch int16, coordinator int32, commit bool, version int8, topics ...on) kmsg.WriteTxnMarkersRequestMarker {
		m := kmsg.NewWriteTxnMarkersRequestMarker()
		m.ProducerID, m.ProducerEpoch, m.CoordinatorEpoch, m.Committed, m.TransactionVersion = id, epoch, coordinator, commit, version
		for _, x := range topics {
			t := kmsg.NewWriteTxnMarkersRequestMarkerTopic()
			t.Topic, t.Partitions = x.topic, x.partitions
			m.Topics = append(m.Topics, t)
		}
		return m
	}
	mark := func(name string, version int16, ms ...kmsg.WriteTxnMarkersRequestMarker) {
		s.addAt("mark "+name, version, func(*target) kmsg.Request {
			r := kmsg.NewPtrWriteTxnMarkersRequest()
			r.Markers = ms
			return r
		})
	}
	look := func(name string) {
		s.add("marked producers "+name, func(*target) kmsg.Request {
			r := kmsg.NewPtrDescribeProducersRequest()
			t := kmsg.NewDescribeProducersRequestTopic()
			t.Topic, t.Partitions = "one", []int32{0}
			r.Topics = append(r.Topics, t)
			return r
		})
		for isolation := range int8(2) {
			s.add(fmt.Sprintf("marked end %s %d", name, isolation), func(*target) kmsg.Request {
				r := kmsg.NewPtrListOffsetsRequest()
				r.ReplicaID, r.IsolationLevel = -1, isolation
				x := kmsg.NewListOffsetsRequestTopic()
				x.Topic = "one"
				p := kmsg.NewListOffsetsRequestTopicPartition()
				p.Timestamp = -1
				x.Partitions = append(x.Partitions, p)
				r.Topics = append(r.Topics, x)
				return r
			})
		}
	}
	one := on{"one", []int32{0}}
	mark("first", 2, marker(900, 1, 5, true, 2, one))
	look("first")
	mark("again", 2, marker(900, 1, 5, true, 2, one))
	look("again")
	for version := range int8(3) {
		for _, epoch := range []int16{0, 1, 2} {
			for _, coordinator := range []int32{-1, 4, 5, 6} {
				name := fmt.Sprintf("epoch %d coordinator %d version %d", epoch, coordinator, version)
				mark(name, 2, marker(901, 1, 5, true, version, one))
				mark(name+" then", 2, marker(901, epoch, coordinator, false, version, one))
			}
		}
	}
	look("many")
	mark("of version 3", 2, marker(900, 1, 6, true, 3, one))
	mark("of version -1", 2, marker(902, 1, 6, true, -1, one))
	mark("old", 1, marker(900, 1, 6, true, 2, one))
	mark("largest epoch", 2, marker(903, 32767, 0, true, 2, one), marker(903, 32767, 0, false, 2, one))
	mark("unknown", 2, marker(904, 1, 0, true, 2, on{"nope", []int32{0}}, on{"one", []int32{9, -1, 0}}, on{"a b", []int32{0}}, on{"", []int32{0}}))
	mark("offsets", 2, marker(904, 1, 0, true, 2, on{"__consumer_offsets", []int32{0, 900}}, one))
	mark("offsets fenced", 2, marker(904, 0, 0, true, 2, on{"__consumer_offsets", []int32{0}}, one))
	mark("offsets coordinator fenced", 2, marker(904, 1, -1, true, 2, on{"__consumer_offsets", []int32{0}}, one))
	mark("transaction state", 2, marker(904, 1, 0, true, 2, on{"__transaction_state", []int32{0}}))
	mark("nothing", 2)
	mark("no topics", 2, marker(904, 1, 0, true, 2))
	mark("no partitions", 2, marker(904, 1, 0, true, 2, on{"one", nil}))
	mark("twice", 2, marker(905, 1, 0, true, 2, on{"one", []int32{0, 0}}, one))
	look("at last")
}
