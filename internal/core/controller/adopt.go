package controller

import (
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
)

// adoptTopic registers folders that are there already: their id and their number of partitions are given.
func (s *step) adoptTopic(req AdoptTopic) (AdoptedTopic, error) {
	if p := s.checkNewName(req.Name); p != nil {
		return AdoptedTopic{}, p
	}
	n, ok := s.img.Node(req.Node)
	switch {
	case !ok || !n.Active():
		return AdoptedTopic{}, problem(kerr.BrokerNotAvailable, "No active node with id %d found.", req.Node)
	case req.Partitions < 1 || req.Partitions > MaxRecords:
		return AdoptedTopic{}, problem(kerr.InvalidPartitions, "Number of partitions was set to an invalid value: %d.", req.Partitions)
	}
	if len(req.Epochs) > 0 && len(req.Epochs) != int(req.Partitions) {
		return AdoptedTopic{}, problem(kerr.InvalidRequest, "%d leader epochs for %d partitions.", len(req.Epochs), req.Partitions)
	}
	if other, ok := s.img.TopicByID(req.ID); ok {
		return AdoptedTopic{}, problem(kerr.TopicAlreadyExists, "Topic id %s belongs to topic '%s'.", req.ID, other.Name)
	}
	scope := metadata.ConfigResource{Type: metadata.TopicConfig, Name: req.Name}
	if p := s.checkConfigs(scope, req.Configs, req.Configs); p != nil {
		return AdoptedTopic{}, p
	}
	id := req.ID
	if id.IsZero() {
		id = s.newID()
	}
	s.add(&metadata.TopicRecord{Name: req.Name, ID: id})
	s.addConfigs(scope, req.Configs)
	for i := range req.Partitions {
		p := s.newPartition(id, i, []kafka.NodeID{req.Node})
		if len(req.Epochs) > 0 {
			p.LeaderEpoch = req.Epochs[i]
		}
		s.add(p)
	}
	return AdoptedTopic{ID: id}, nil
}
