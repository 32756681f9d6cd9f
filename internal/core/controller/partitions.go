package controller

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
)

func (s *step) createPartitions(req *kmsg.CreatePartitionsRequest) (*kmsg.CreatePartitionsResponse, error) {
	resp := req.ResponseKind().(*kmsg.CreatePartitionsResponse)
	answer := func(name string, p *Problem) {
		r := kmsg.NewCreatePartitionsResponseTopic()
		r.Topic = name
		if p != nil {
			r.ErrorCode, r.ErrorMessage = p.Code.Code, p.message()
		}
		resp.Topics = append(resp.Topics, r)
	}
	once, twice := unique(len(req.Topics), func(i int) string { return req.Topics[i].Topic })
	for _, name := range twice {
		answer(name, problem(kerr.InvalidRequest, "Duplicate topic name."))
	}
	total := int64(0)
	for _, i := range once {
		t := &req.Topics[i]
		added, p := s.addPartitions(t, MaxRecords-total)
		if p != nil && p.Code == kerr.PolicyViolation {
			return nil, p
		}
		total += added
		answer(t.Topic, p)
	}
	if req.ValidateOnly {
		s.records = nil
	}
	return resp, nil
}

// addPartitions grows one topic by no more than room partitions, and says by how many.
func (s *step) addPartitions(t *kmsg.CreatePartitionsRequestTopic, room int64) (int64, *Problem) {
	topic, ok := s.img.Topic(t.Topic)
	if !ok {
		return 0, &Problem{Code: kerr.UnknownTopicOrPartition}
	}
	have := len(topic.Partitions)
	added := int64(t.Count) - int64(have)
	switch {
	case added == 0:
		return 0, problem(kerr.InvalidPartitions, "Topic already has %d partition(s).", have)
	case added < 0:
		return 0, problem(kerr.InvalidPartitions, "The topic %s currently has %d partition(s); %d would not be an increase.", t.Topic, have, t.Count)
	case t.Assignment != nil && int64(len(t.Assignment)) != added:
		return 0, problem(kerr.InvalidReplicaAssignment, "Attempted to add %d additional partition(s), but only %d assignment(s) were specified.", added, len(t.Assignment))
	case added > room:
		return 0, problem(kerr.PolicyViolation, "Unable to perform excessively large batch operation.")
	}
	// A reassignment under way may have twice the replicas.
	_, replicas := futureReplicas(&topic.Partitions[0])
	factor := len(replicas)
	placed, p := s.placeMore(t, topic.Partitions, int(added), factor)
	if p != nil {
		return 0, p
	}
	for i, replicas := range placed {
		s.add(s.newPartition(topic.ID, int32(have+i), replicas))
	}
	return added, nil
}

func (s *step) placeMore(t *kmsg.CreatePartitionsRequestTopic, have []metadata.Partition, added, factor int) ([][]kafka.NodeID, *Problem) {
	if t.Assignment == nil {
		return s.placement().place(have, added, factor, s.rnd)
	}
	placed := make([][]kafka.NodeID, 0, added)
	for i := range t.Assignment {
		replicas, p := s.checkAssignment(t.Assignment[i].Replicas, factor, int32(len(have)+i))
		if p != nil {
			return nil, p
		}
		placed = append(placed, replicas)
	}
	return placed, nil
}
