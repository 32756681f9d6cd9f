package main

import (
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func ptr[T any](v T) *T { return &v }

type topicOpt func(*kmsg.CreateTopicsRequestTopic)

func config(kv ...string) topicOpt {
	return func(t *kmsg.CreateTopicsRequestTopic) {
		for i := 0; i < len(kv); i += 2 {
			c := kmsg.NewCreateTopicsRequestTopicConfig()
			c.Name, c.Value = kv[i], &kv[i+1]
			if kv[i+1] == "NULL" {
				c.Value = nil
			}
			t.Configs = append(t.Configs, c)
		}
	}
}

func assign(parts map[int32][]int32) topicOpt {
	return func(t *kmsg.CreateTopicsRequestTopic) {
		for p, r := range parts {
			a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
			a.Partition, a.Replicas = p, r
			t.ReplicaAssignment = append(t.ReplicaAssignment, a)
		}
	}
}

func topic(name string, partitions int32, factor int16, opts ...topicOpt) kmsg.CreateTopicsRequestTopic {
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, partitions, factor
	for _, o := range opts {
		o(&t)
	}
	return t
}

func create(ts ...kmsg.CreateTopicsRequestTopic) func(*target) kmsg.Request {
	return func(*target) kmsg.Request {
		r := kmsg.NewPtrCreateTopicsRequest()
		r.TimeoutMillis, r.Topics = 20000, ts
		return r
	}
}

func validate(ts ...kmsg.CreateTopicsRequestTopic) func(*target) kmsg.Request {
	return func(t *target) kmsg.Request {
		r := create(ts...)(t).(*kmsg.CreateTopicsRequest)
		r.ValidateOnly = true
		return r
	}
}

func learn(t *target, resp kmsg.Response) {
	for _, c := range resp.(*kmsg.CreateTopicsResponse).Topics {
		if c.ErrorCode == 0 {
			t.topics[c.TopicID] = c.Topic
		}
	}
}

func (t *target) id(name string) [16]byte {
	for id, n := range t.topics {
		if n == name {
			return id
		}
	}
	return [16]byte{9, 9, 9}
}

func remove(names ...string) func(*target) kmsg.Request {
	return func(*target) kmsg.Request {
		r := kmsg.NewPtrDeleteTopicsRequest()
		r.TimeoutMillis = 20000
		r.TopicNames = names
		for _, n := range names {
			t := kmsg.NewDeleteTopicsRequestTopic()
			t.Topic = ptr(n)
			r.Topics = append(r.Topics, t)
		}
		return r
	}
}

func grow(validate bool, name string, count int32, assignment ...[]int32) func(*target) kmsg.Request {
	return func(*target) kmsg.Request {
		r := kmsg.NewPtrCreatePartitionsRequest()
		r.TimeoutMillis, r.ValidateOnly = 20000, validate
		t := kmsg.NewCreatePartitionsRequestTopic()
		t.Topic, t.Count = name, count
		for _, a := range assignment {
			x := kmsg.NewCreatePartitionsRequestTopicAssignment()
			x.Replicas = a
			t.Assignment = append(t.Assignment, x)
		}
		r.Topics = append(r.Topics, t)
		return r
	}
}

func (s *steps) topics() {
	s.addThen("create one, three, dotted", create(topic("one", 1, 1), topic("three", 3, 1, config("retention.ms", "1000000", "cleanup.policy", "compact")),
		topic("dot.ted", -1, -1), topic("hand", -1, -1, assign(map[int32][]int32{0: {1}, 1: {1}}))), learn)
	wrong := map[string]kmsg.CreateTopicsRequestTopic{
		"empty name": topic("", 1, 1), "dot": topic(".", 1, 1), "dots": topic("..", 1, 1), "slash": topic("a/b", 1, 1),
		"long": topic(strings.Repeat("a", 250), 1, 1), "longest": topic(strings.Repeat("b", 249), 1, 1), "umlaut": topic("ä", 1, 1),
		"exists": topic("one", 1, 1), "exists, bad rest": topic("one", 0, 9), "collides": topic("dot_ted", 1, 1),
		"metadata": topic("__cluster_metadata", 1, 1), "zero partitions": topic("x", 0, 1), "minus two partitions": topic("x", -2, 1),
		"huge partitions": topic("x", 10001, 1), "zero factor": topic("x", 1, 0), "minus two factor": topic("x", 1, -2),
		"factor two": topic("x", 1, 2), "both bad": topic("x", 0, 0), "defaults": topic("x", -1, -1),
		"unknown config": topic("x", 1, 1, config("nope", "1")), "bad int": topic("x", 1, 1, config("retention.ms", "abc")),
		"bad range": topic("x", 1, 1, config("retention.ms", "-2")), "bad enum": topic("x", 1, 1, config("cleanup.policy", "shred")),
		"empty policy": topic("x", 1, 1, config("cleanup.policy", "")), "list twice": topic("x", 1, 1, config("cleanup.policy", "delete,delete")),
		"null config": topic("x", 1, 1, config("retention.ms", "NULL")), "config twice": topic("x", 1, 1, config("retention.ms", "1", "retention.ms", "2")),
		"bad bool": topic("x", 1, 1, config("preallocate", "yes")), "bad double": topic("x", 1, 1, config("min.cleanable.dirty.ratio", "2")),
		"small segment": topic("x", 1, 1, config("segment.bytes", "1")), "lags": topic("x", 1, 1, config("min.compaction.lag.ms", "10", "max.compaction.lag.ms", "5")),
		"throttled": topic("x", 1, 1, config("leader.replication.throttled.replicas", "abc")), "throttled all": topic("x", 1, 1, config("leader.replication.throttled.replicas", "*")),
		"remote": topic("x", 1, 1, config("remote.storage.enable", "true")), "local retention": topic("x", 1, 1, config("local.retention.ms", "100", "retention.ms", "50")),
		"isr two": topic("x", 1, 1, config("min.insync.replicas", "2")), "isr zero": topic("x", 1, 1, config("min.insync.replicas", "0")),
		"old format": topic("x", 1, 1, config("message.format.version", "2.8")), "compression": topic("x", 1, 1, config("compression.type", "brotli")),
		"gzip level": topic("x", 1, 1, config("compression.gzip.level", "10")), "space": topic("x", 1, 1, config("retention.ms", " 5 ")),
		"assigned and count": topic("x", 2, -1, assign(map[int32][]int32{0: {1}})), "assigned and factor": topic("x", -1, 1, assign(map[int32][]int32{0: {1}})),
		"assigned unknown": topic("x", -1, -1, assign(map[int32][]int32{0: {7}})), "assigned twice": topic("x", -1, -1, assign(map[int32][]int32{0: {1, 1}})),
		"assigned none": topic("x", -1, -1, assign(map[int32][]int32{0: {}})), "assigned gap": topic("x", -1, -1, assign(map[int32][]int32{0: {1}, 2: {1}})),
		"assigned negative": topic("x", -1, -1, assign(map[int32][]int32{0: {-1}})), "assigned from one": topic("x", -1, -1, assign(map[int32][]int32{1: {1}})),
	}
	for _, name := range slices.Sorted(maps.Keys(wrong)) {
		s.add("validate "+name, validate(wrong[name]))
	}
	s.add("create the same twice", create(topic("twice", 1, 1), topic("twice", 1, 1), topic("x y", 1, 1)))
	s.add("validate none", validate())
	s.add("create two that collide", validate(topic("a.b", 1, 1), topic("a_b", 1, 1)))
	s.add("validate many", validate(topic("m1", 6000, 1), topic("m2", 6000, 1)))
	s.addAt("validate bad name", 4, validate(topic("x y", 1, 1)))
	s.addAt("validate defaults", 4, validate(topic("x", -1, -1)))
	s.addAt("validate defaults", 2, validate(topic("x", -1, -1)))

	s.add("grow unknown", grow(false, "nope", 2))
	s.add("grow fewer", grow(false, "three", 2))
	s.add("grow zero", grow(false, "three", 0))
	s.add("grow negative", grow(false, "three", -5))
	s.add("grow same", grow(false, "three", 3))
	s.add("grow more, validate", grow(true, "three", 5))
	s.add("grow more", grow(false, "three", 4))
	s.add("grow huge", grow(true, "three", 20000))
	s.add("grow by hand", grow(false, "hand", 3, []int32{1}))
	s.add("grow by hand too many", grow(false, "hand", 4, []int32{1}, []int32{1}))
	s.add("grow by hand unknown", grow(false, "hand", 4, []int32{9}))
	s.add("grow by hand two", grow(false, "hand", 4, []int32{1, 1}))
	s.add("grow by hand empty", grow(false, "hand", 4, []int32{}))
	s.add("grow invalid name", grow(false, "a b", 4))
	s.add("grow twice", func(t *target) kmsg.Request {
		r := grow(false, "three", 6)(t).(*kmsg.CreatePartitionsRequest)
		r.Topics = append(r.Topics, r.Topics[0])
		return r
	})
	s.add("grow none", func(t *target) kmsg.Request { return kmsg.NewPtrCreatePartitionsRequest() })

	s.addThen("create for deletion", create(topic("d1", 1, 1), topic("d2", 1, 1), topic("d3", 1, 1), topic("d4", 1, 1)), learn)
	s.add("delete unknown", remove("nope"))
	s.add("delete invalid", remove("a b"))
	s.add("delete empty name", remove(""))
	s.add("delete twice", remove("d1", "d1", "d2"))
	s.add("delete again", remove("d2"))
	s.addAt("delete", 5, remove("d3", "nope"))
	s.addAt("delete", 1, remove("nope"))
	s.add("delete by id", func(t *target) kmsg.Request {
		r := kmsg.NewPtrDeleteTopicsRequest()
		r.TimeoutMillis = 20000
		for _, id := range [][16]byte{t.id("d4"), {7: 7}, {}} {
			x := kmsg.NewDeleteTopicsRequestTopic()
			x.TopicID = id
			r.Topics = append(r.Topics, x)
		}
		x := kmsg.NewDeleteTopicsRequestTopic()
		x.TopicID, x.Topic = t.id("d1"), ptr("d1")
		r.Topics = append(r.Topics, x)
		return r
	})
	s.add("delete by id and name apart", func(t *target) kmsg.Request {
		r := remove("d1")(t).(*kmsg.DeleteTopicsRequest)
		r.TopicNames = nil
		x := kmsg.NewDeleteTopicsRequestTopic()
		x.TopicID = t.id("d1")
		r.Topics = append(r.Topics, x)
		return r
	})
	s.add("delete id twice", func(t *target) kmsg.Request {
		r := kmsg.NewPtrDeleteTopicsRequest()
		r.TimeoutMillis = 20000
		x := kmsg.NewDeleteTopicsRequestTopic()
		x.TopicID = t.id("d1")
		r.Topics = append(r.Topics, x, x)
		return r
	})
	s.describeTopics()
}

func (s *steps) describeTopics() {
	describe := func(limit int32, cursorTopic string, cursorPartition int32, names ...string) func(*target) kmsg.Request {
		return func(*target) kmsg.Request {
			r := kmsg.NewPtrDescribeTopicPartitionsRequest()
			r.ResponsePartitionLimit = limit
			for _, n := range names {
				t := kmsg.NewDescribeTopicPartitionsRequestTopic()
				t.Topic = n
				r.Topics = append(r.Topics, t)
			}
			if cursorTopic != "" {
				r.Cursor = &kmsg.DescribeTopicPartitionsRequestCursor{Topic: cursorTopic, Partition: cursorPartition}
			}
			return r
		}
	}
	s.add("page all", describe(2000, "", 0))
	s.add("page one", describe(1, "", 0, "three", "one"))
	s.add("page exact", describe(1, "", 0, "one"))
	s.add("page exact, then more", describe(1, "", 0, "one", "three"))
	s.add("page two", describe(2, "three", 1, "three", "one"))
	s.add("page zero", describe(0, "", 0, "three"))
	s.add("page negative", describe(-1, "", 0, "three"))
	s.add("page cursor past", describe(10, "three", 99, "three"))
	s.add("page cursor unknown topic", describe(10, "nope", 0, "three", "one"))
	s.add("page cursor unknown topic, all", describe(10, "nope", 0))
	s.add("page cursor negative", describe(10, "three", -1, "three"))
	s.add("page unknown", describe(10, "", 0, "nope", "a b", "one", "one"))
	s.add("page unknown with limit one", describe(1, "", 0, "nope", "one"))
	metadata := func(auto bool, names ...string) func(*target) kmsg.Request {
		return func(*target) kmsg.Request {
			r := kmsg.NewPtrMetadataRequest()
			r.AllowAutoTopicCreation = auto
			r.Topics = []kmsg.MetadataRequestTopic{}
			for _, n := range names {
				t := kmsg.NewMetadataRequestTopic()
				t.Topic = ptr(n)
				r.Topics = append(r.Topics, t)
			}
			return r
		}
	}
	s.add("metadata", metadata(false, "one", "nope", "a b", ""))
	s.add("metadata none", metadata(false))
	s.add("metadata auto invalid", metadata(true, "a b", "dot_ted"))
	s.add("metadata id and name", func(t *target) kmsg.Request {
		r := kmsg.NewPtrMetadataRequest()
		for _, id := range [][16]byte{t.id("one"), {5: 5}} {
			x := kmsg.NewMetadataRequestTopic()
			x.TopicID = id
			r.Topics = append(r.Topics, x)
		}
		return r
	})
	s.add("metadata ops", func(t *target) kmsg.Request {
		r := metadata(false, "one")(t).(*kmsg.MetadataRequest)
		r.IncludeTopicAuthorizedOperations = true
		return r
	})
}
