package controller

import (
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
)

// maxGrown is how many reassignments one request begins: their replicas are copied all at once.
const maxGrown = 100

// growInternalTopics reassigns the partitions of internal topics that have fewer replicas than they are to have, and could have by
// the nodes that are there. A partition keeps those that it has; its leader may become another, so that the node that was there first
// does not lead them all.
func (s *step) growInternalTopics() GrownInternalTopics {
	var grown GrownInternalTopics
	for _, name := range []string{kafka.OffsetsTopic, kafka.TxnTopic, kafka.ShareTopic} {
		t, ok := s.img.Topic(name)
		if !ok {
			continue
		}
		factor := min(int(s.cfg.InternalReplicationFactor(name)), s.placement().live)
		s.placement().begin(nil, s.rnd)
		for i := range t.Partitions {
			p := &t.Partitions[i]
			switch {
			case len(p.AddingReplicas)+len(p.RemovingReplicas) > 0 || len(p.Replicas) >= factor:
			case grown.Begun == maxGrown:
				grown.More = true
			default:
				s.grow(t, int32(i), p, factor)
				grown.Begun++
			}
		}
	}
	return grown
}

func (s *step) grow(t *metadata.Topic, partition int32, p *metadata.Partition, factor int) {
	c := s.newChange(t, partition)
	c.reassign(s.placement().extend(p.Replicas, factor))
	s.commit(c)
}
