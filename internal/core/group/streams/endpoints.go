package streams

import (
	"github.com/twmb/franz-go/pkg/kmsg"
)

// endpoints tells who answers interactive queries on which partitions.
func (b *beat) endpoints() []kmsg.StreamsGroupHeartbeatResponsePartitionsByUserEndpoint {
	all := []kmsg.StreamsGroupHeartbeatResponsePartitionsByUserEndpoint{}
	for _, id := range b.g.memberIDs() {
		if id != b.is.ID {
			all = b.appendEndpoint(all, b.g.Member(id))
		}
	}
	return b.appendEndpoint(all, b.is)
}

func (b *beat) appendEndpoint(all []kmsg.StreamsGroupHeartbeatResponsePartitionsByUserEndpoint, m *Member) []kmsg.StreamsGroupHeartbeatResponsePartitionsByUserEndpoint {
	if m.Endpoint == nil {
		return all
	}
	e := kmsg.NewStreamsGroupHeartbeatResponsePartitionsByUserEndpoint()
	e.UserEndpoint.Host, e.UserEndpoint.Port = m.Endpoint.Host, m.Endpoint.Port
	e.ActivePartitions = []kmsg.StreamsGroupHeartbeatResponsePartitionsByUserEndpointActivePartition{}
	e.StandbyPartitions = []kmsg.StreamsGroupHeartbeatResponsePartitionsByUserEndpointStandbyPartition{}
	b.eachInput(m.Assigned[Active], func(topic string, partitions []int32) {
		e.ActivePartitions = append(e.ActivePartitions, kmsg.StreamsGroupHeartbeatResponsePartitionsByUserEndpointActivePartition{Topic: topic, Partitions: partitions})
	})
	b.eachInput(m.Assigned[Standby], func(topic string, partitions []int32) {
		e.StandbyPartitions = append(e.StandbyPartitions, kmsg.StreamsGroupHeartbeatResponsePartitionsByUserEndpointStandbyPartition{Topic: topic, Partitions: partitions})
	})
	return append(all, e)
}

// eachInput gives the partitions of topics that the tasks read. Of a topic with fewer partitions than tasks it is the first
// ones.
func (b *beat) eachInput(tasks Tasks, do func(topic string, partitions []int32)) {
	for _, part := range tasks.sorted() {
		for i := range b.configured.topology.Subtopologies {
			s := &b.configured.topology.Subtopologies[i]
			if s.ID != part.subtopology {
				continue
			}
			for _, topic := range s.inputs() {
				n, _ := existing(b.Topics, topic)
				do(topic, part.partitions[:min(len(part.partitions), int(n))])
			}
		}
	}
}
