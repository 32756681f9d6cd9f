// Package replica holds the rules by which one partition is replicated, apart from any disk, network or clock. node/partition
// calls it under the partition's lock; it starts no goroutine.
package replica

import (
	"fmt"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Leadership is what the metadata says of a partition that this node leads.
type Leadership struct {
	Epoch    kafka.LeaderEpoch
	Replicas []kafka.NodeID
	ISR      []kafka.NodeID
	// MinISR is min.insync.replicas; what counts is the lesser of it and the number of replicas.
	MinISR int
}

// Leader is a partition as its leader sees it.
type Leader struct {
	self  kafka.NodeID
	given Leadership
	// epochStart is the log's end when the leadership began.
	epochStart kafka.Offset
	// safe is, for each replica heard of, the offset below which it has everything in a place that counts: on disk, or
	// written where the node was told that this is enough. Invariant: it never sinks within an epoch.
	safe map[kafka.NodeID]kafka.Offset
	// Invariant: highWatermark <= safe[n] for each n of the ISR, from the first time that this held, and never sinks.
	highWatermark kafka.Offset
}

// Lead begins a leadership at the log's end, with the high watermark that was known before.
func Lead(self kafka.NodeID, g Leadership, end, highWatermark kafka.Offset) *Leader {
	return &Leader{
		self: self, given: g, epochStart: end, highWatermark: min(highWatermark, end),
		safe: map[kafka.NodeID]kafka.Offset{},
	}
}

// Epoch is that of the leadership.
func (l *Leader) Epoch() kafka.LeaderEpoch { return l.given.Epoch }

// HighWatermark is the offset below which records are on every in-sync replica, and so may be read and acknowledged.
func (l *Leader) HighWatermark() kafka.Offset { return l.highWatermark }

// Regive takes a change of the same epoch's ISR, replicas or minimum, and tells whether the high watermark moved.
func (l *Leader) Regive(g Leadership) bool {
	l.given = g
	return l.advance()
}

// Secured says that replica n has everything below end safe, and tells whether the high watermark moved.
func (l *Leader) Secured(n kafka.NodeID, end kafka.Offset) bool {
	if was, ok := l.safe[n]; ok && was >= end {
		return false
	}
	l.safe[n] = end
	return l.advance()
}

// Safe is the offset below which the leader's own log is safe.
func (l *Leader) Safe() kafka.Offset { return l.safe[l.self] }

// advance applies the rule: the high watermark is the least safe offset of the ISR, and stands still while the ISR is
// smaller than the minimum, since what it would expose then could be lost with fewer replicas than were asked for.
func (l *Leader) advance() bool {
	if l.EnoughInSync() != nil || len(l.given.ISR) == 0 {
		return false
	}
	least, known := l.safe[l.given.ISR[0]]
	for _, n := range l.given.ISR[1:] {
		end, ok := l.safe[n]
		known = known && ok
		least = min(least, end)
	}
	if !known || least <= l.highWatermark {
		return false
	}
	l.highWatermark = least
	return true
}

// EnoughInSync is nil when a record may be acknowledged by all, or else says that too few replicas are in sync.
func (l *Leader) EnoughInSync() error {
	want := min(l.given.MinISR, len(l.given.Replicas))
	if len(l.given.ISR) < want {
		return fmt.Errorf("%d of %d replicas in sync, %d needed: %w", len(l.given.ISR), len(l.given.Replicas), want, kerr.NotEnoughReplicas)
	}
	return nil
}

// CheckEpoch compares the leader epoch that a client knows; -1 is not compared.
func (l *Leader) CheckEpoch(e kafka.LeaderEpoch) error { return CheckEpoch(e, l.given.Epoch) }

// CheckEpoch compares the leader epoch that a client knows with ours; -1 is not compared.
func CheckEpoch(client, ours kafka.LeaderEpoch) error {
	switch {
	case client == kafka.NoLeaderEpoch || client == ours:
		return nil
	case client < ours:
		return fmt.Errorf("leader epoch %d is over, %d is current: %w", client, ours, kerr.FencedLeaderEpoch)
	default:
		return fmt.Errorf("leader epoch %d is newer than ours, %d: %w", client, ours, kerr.UnknownLeaderEpoch)
	}
}

// LatestKnown is an error while the high watermark may still be that of an earlier leader's view: an answer to "where is
// the end" could then go backwards.
func (l *Leader) LatestKnown() error {
	if l.highWatermark < l.epochStart {
		return fmt.Errorf("high watermark %d is below the epoch's start %d: %w", l.highWatermark, l.epochStart, kerr.OffsetNotAvailable)
	}
	return nil
}
