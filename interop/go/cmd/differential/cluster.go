package main

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func (s *steps) cluster() {
	for _, kind := range []int8{0, 1, 2, 3, -1} {
		for _, v := range []int16{1, 2} {
			s.addAt(fmt.Sprint("cluster ", kind), v, func(*target) kmsg.Request {
				r := kmsg.NewPtrDescribeClusterRequest()
				r.EndpointType, r.IncludeClusterAuthorizedOperations = kind, true
				return r
			})
		}
	}
	s.addAt("cluster", 0, func(*target) kmsg.Request { return kmsg.NewPtrDescribeClusterRequest() })
	s.add("cluster, fenced", func(*target) kmsg.Request {
		r := kmsg.NewPtrDescribeClusterRequest()
		r.EndpointType, r.IncludeFencedBrokers = 1, true
		return r
	})
	dirs := func(name string, topics ...kmsg.DescribeLogDirsRequestTopic) {
		s.add("dirs "+name, func(*target) kmsg.Request {
			r := kmsg.NewPtrDescribeLogDirsRequest()
			r.Topics = topics
			return r
		})
	}
	of := func(topic string, partitions ...int32) kmsg.DescribeLogDirsRequestTopic {
		t := kmsg.NewDescribeLogDirsRequestTopic()
		t.Topic, t.Partitions = topic, partitions
		return t
	}
	dirs("one", of("one", 0), of("three", 1, 2))
	dirs("unknown", of("nope", 0), of("one", 9))
	dirs("none", []kmsg.DescribeLogDirsRequestTopic{}...)
	s.addThen("dirs all", func(*target) kmsg.Request { return kmsg.NewPtrDescribeLogDirsRequest() }, func(t *target, resp kmsg.Response) {
		t.dir = resp.(*kmsg.DescribeLogDirsResponse).Dirs[0].Dir
	})
	s.add("dirs empty", func(*target) kmsg.Request {
		r := kmsg.NewPtrDescribeLogDirsRequest()
		r.Topics = []kmsg.DescribeLogDirsRequestTopic{}
		return r
	})
	const own = "own"
	move := func(name, dir, topic string, partitions ...int32) {
		s.add("move "+name, func(target *target) kmsg.Request {
			r := kmsg.NewPtrAlterReplicaLogDirsRequest()
			d, t := kmsg.NewAlterReplicaLogDirsRequestDir(), kmsg.NewAlterReplicaLogDirsRequestDirTopic()
			d.Dir, t.Topic, t.Partitions = dir, topic, partitions
			if dir == own {
				d.Dir = target.dir
			}
			d.Topics = append(d.Topics, t)
			r.Dirs = append(r.Dirs, d)
			return r
		})
	}
	move("to an unknown dir", "/nowhere", "one", 0)
	move("to no dir", "", "one", 0)
	move("an unknown topic to an unknown dir", "/nowhere", "nope", 0)
	move("an unknown topic", own, "nope", 0)
	move("unknown partitions", own, "one", 9, -1)
	move("what is there", own, "one", 0)
	move("a name that none has", own, "a/b", 0)
	move("nothing", "/nowhere", "one")
	s.add("move none", func(*target) kmsg.Request { return kmsg.NewPtrAlterReplicaLogDirsRequest() })
	s.add("idempotent id", func(*target) kmsg.Request {
		r := kmsg.NewPtrInitProducerIDRequest()
		r.TransactionTimeoutMillis, r.ProducerID, r.ProducerEpoch = 60000, -1, -1
		return r
	})
	for _, x := range [][2]int64{{5, 0}, {-1, 3}, {5, -1}} {
		s.add(fmt.Sprint("idempotent id of ", x), func(*target) kmsg.Request {
			r := kmsg.NewPtrInitProducerIDRequest()
			r.TransactionTimeoutMillis, r.ProducerID, r.ProducerEpoch = 60000, x[0], int16(x[1])
			return r
		})
	}
	s.add("transactional id, empty", func(*target) kmsg.Request {
		r := kmsg.NewPtrInitProducerIDRequest()
		r.TransactionalID, r.TransactionTimeoutMillis, r.ProducerID, r.ProducerEpoch = ptr(""), 60000, -1, -1
		return r
	})
}
