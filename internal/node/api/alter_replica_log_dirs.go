package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
)

// alterReplicaLogDirs answers AlterReplicaLogDirs (34): partitions of this node begin to move to other log dirs of it. A partition
// that is named twice goes to the dir that is named last, as in Apache Kafka; where they stand, DescribeLogDirs tells.
func (s *Server) alterReplicaLogDirs(_ context.Context, _ *Call, req *kmsg.AlterReplicaLogDirsRequest) Response {
	wanted := map[kafka.TopicPartition]string{}
	topics := map[string][]int32{}
	var order []string
	for _, d := range req.Dirs {
		for _, t := range d.Topics {
			for _, number := range t.Partitions {
				tp := kafka.TopicPartition{Topic: t.Topic, Partition: number}
				if _, twice := wanted[tp]; !twice {
					if topics[t.Topic] == nil {
						order = append(order, t.Topic)
					}
					topics[t.Topic] = append(topics[t.Topic], number)
				}
				wanted[tp] = d.Dir
			}
		}
	}
	resp := req.ResponseKind().(*kmsg.AlterReplicaLogDirsResponse)
	for _, name := range order {
		t := kmsg.NewAlterReplicaLogDirsResponseTopic()
		t.Topic = name
		for _, number := range topics[name] {
			tp := kafka.TopicPartition{Topic: name, Partition: number}
			p := kmsg.NewAlterReplicaLogDirsResponseTopicPartition()
			p.Partition, p.ErrorCode = number, s.codeOf(s.MoveReplica(tp, wanted[tp]), "move "+tp.String()+" to "+wanted[tp])
			t.Partitions = append(t.Partitions, p)
		}
		resp.Topics = append(resp.Topics, t)
	}
	return resp
}
