package controller

import (
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
)

// election says who may be chosen where a partition needs a leader, or another one.
type election int8

const (
	// electOnline keeps the leader while it may lead, and chooses another that lost nothing otherwise.
	electOnline election = iota
	// electPreferred chooses the first replica where it may lead, and does as electOnline otherwise.
	electPreferred
	// electUnclean does as electOnline, and chooses any active replica rather than none.
	electUnclean
)

// change is what is to become of one partition. Every PartitionChangeRecord is made by one: newChange gives it as the
// partition is, the caller puts other slices in place of those that shall differ, without writing into them, and
// step.commit decides the rest: eligible leader replicas, the leader, epochs, directories.
type change struct {
	topic     *metadata.Topic
	partition int32
	was       *metadata.Partition

	replicas, adding, removing []kafka.NodeID
	isr, elr, lastKnown        []kafka.NodeID
	leader                     kafka.NodeID
	recovery                   int8
	election                   election

	// doubted are nodes whose disks may lack what they acknowledged: they are not eligible without being in sync.
	doubted []kafka.NodeID
	// lost are nodes whose copy is gone altogether. Nothing but an unclean election makes them lead, even where they were
	// the last: an empty log that leads would make everybody else's records disappear without a word.
	lost []kafka.NodeID
}

func (s *step) newChange(t *metadata.Topic, n int32) *change {
	p := &t.Partitions[n]
	return &change{
		topic: t, partition: n, was: p,
		replicas: p.Replicas, adding: p.AddingReplicas, removing: p.RemovingReplicas,
		isr: p.ISR, elr: p.ELR, lastKnown: p.LastKnownELR, leader: p.Leader, recovery: p.LeaderRecoveryState,
	}
}
