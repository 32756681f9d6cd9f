package api

import (
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
	"github.com/headrace/headrace/internal/node/partition"
)

// topicName resolves a topic id.
func (s *Server) topicName(id kafka.TopicID) (string, error) {
	t, ok := s.Metadata.Image().TopicByID(id)
	if !ok {
		return "", kerr.UnknownTopicID
	}
	return t.Name, nil
}

// hosted finds a partition on this node; for one that exists elsewhere the client is to look up its leader.
func (s *Server) hosted(tp kafka.TopicPartition) (*partition.Partition, error) {
	p, err := s.Partitions.Get(tp)
	if err == nil {
		return p, nil
	}
	if _, exists := s.Metadata.Image().Partition(tp); exists {
		return nil, kerr.NotLeaderForPartition
	}
	return nil, kerr.UnknownTopicOrPartition
}

// leaderHint is who leads a partition and where to reach it, for answers that save the client a metadata request (KIP-951).
type leaderHint struct {
	leader kafka.NodeID
	epoch  kafka.LeaderEpoch
	host   string // empty when the leader has no address on the client's listener
	port   int32
	rack   *string
}

func (s *Server) leaderHint(tp kafka.TopicPartition, listener string) (leaderHint, bool) {
	img := s.Metadata.Image()
	p, ok := img.Partition(tp)
	if !ok {
		return leaderHint{}, false
	}
	h := leaderHint{leader: p.Leader, epoch: p.LeaderEpoch}
	if n, ok := img.Node(p.Leader); ok {
		if l, ok := listenerOf(n, listener); ok {
			h.host, h.port, h.rack = l.Host, int32(l.Port), n.Rack
		}
	}
	return h, true
}

// listenerOf is the address of a node on the listener that a client uses.
func listenerOf(n *metadata.Node, name string) (metadata.Listener, bool) {
	for _, l := range n.Listeners {
		if l.Name == name {
			return l, true
		}
	}
	return metadata.Listener{}, false
}
