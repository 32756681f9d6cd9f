// Package replica holds the rules by which one partition is replicated, apart from any disk, network or clock. node/partition
// calls it under the partition's lock; it starts no goroutine.
//
// The words: an offset is safe on a replica when all below it is in a place that counts there, on disk or, where the topic says
// that this is enough, written. A record is committed when it is below the high watermark, which follows what is safe on every
// in-sync replica. A follower asks for records from where it is safe up to, never from where it merely wrote to: the offset of its
// fetch is its word that all below outlives a crash of its machine.
package replica

import (
	"fmt"
	"slices"
	"time"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Nodes are the nodes on which partitions may be led and be in sync now, with the epoch of each one's registration. All
// partitions share one: it is never changed once it was given.
type Nodes map[kafka.NodeID]int64

// Leadership is what the metadata says of a partition that this node leads.
type Leadership struct {
	Epoch kafka.LeaderEpoch
	// PartitionEpoch counts the changes of the partition, those of its ISR included.
	PartitionEpoch int32
	Replicas       []kafka.NodeID
	ISR            []kafka.NodeID
	// MinISR is min.insync.replicas; what counts is the lesser of it and the number of replicas.
	MinISR int
	Active Nodes
	// MaxLag is replica.lag.time.max.ms.
	MaxLag time.Duration
}

// Leader is a partition as its leader sees it.
type Leader struct {
	self  kafka.NodeID
	given Leadership
	// epochStart is the log's end when the leadership began: all that any follower may lack of earlier epochs lies below it.
	epochStart kafka.Offset
	// safe is that of the leader's own log, NoOffset until it is told.
	safe kafka.Offset
	// followers are the other replicas; nil where there are none.
	followers []follower
	// pending is a change of the ISR that was proposed, and that no metadata has decided yet.
	pending *pending
	// Invariant: it never sinks, and it only rises to an offset that is safe on every member of the maximal ISR: of the ISR
	// and of the one that is proposed, which may be the ISR already without this node knowing.
	highWatermark kafka.Offset
}

// Lead begins a leadership at the log's end, with the high watermark that was known before. Members of the ISR count as caught up
// now: each has the whole of MaxLag to be heard of.
func Lead(now time.Time, self kafka.NodeID, g Leadership, end, highWatermark kafka.Offset) *Leader {
	l := &Leader{self: self, given: g, epochStart: end, safe: kafka.NoOffset, highWatermark: min(highWatermark, end)}
	l.follow()
	for i := range l.followers {
		if f := &l.followers[i]; slices.Contains(g.ISR, f.id) {
			f.caughtUp = now
		}
	}
	return l
}

// follow makes followers those that the metadata names, and keeps what is known of them.
func (l *Leader) follow() {
	if len(l.given.Replicas) < 2 {
		l.followers = nil
		return
	}
	followers := make([]follower, 0, len(l.given.Replicas)-1)
	for _, n := range l.given.Replicas {
		if n == l.self {
			continue
		}
		f := follower{id: n, safe: kafka.NoOffset, brokerEpoch: noBrokerEpoch, endThen: kafka.NoOffset, logStart: kafka.NoOffset}
		if was := l.follower(n); was != nil {
			f = *was
		}
		followers = append(followers, f)
	}
	l.followers = followers
}

// Epoch is that of the leadership.
func (l *Leader) Epoch() kafka.LeaderEpoch { return l.given.Epoch }

// EpochStart is the log's end when the leadership began.
func (l *Leader) EpochStart() kafka.Offset { return l.epochStart }

// HighWatermark is the offset below which records are safe on every in-sync replica, and so may be read and acknowledged.
func (l *Leader) HighWatermark() kafka.Offset { return l.highWatermark }

// Followed tells whether there are other replicas.
func (l *Leader) Followed() bool { return len(l.followers) > 0 }

// Regive takes a change of the same leader epoch: of the ISR, the replicas, the minimum or the active nodes. It tells whether the
// high watermark moved.
func (l *Leader) Regive(now time.Time, g Leadership) bool {
	if l.pending != nil && g.PartitionEpoch > l.pending.proposal.PartitionEpoch {
		l.pending = nil
	}
	moved := !slices.Equal(g.Replicas, l.given.Replicas)
	l.given = g
	if moved {
		l.follow()
	}
	return l.advance(now)
}

// Secured says that all below end is safe in the leader's own log, and tells whether the high watermark moved.
func (l *Leader) Secured(now time.Time, end kafka.Offset) bool {
	if l.safe >= end {
		return false
	}
	l.safe = end
	return l.advance(now)
}

// Safe is the offset below which the leader's own log is safe, NoOffset until it was told.
func (l *Leader) Safe() kafka.Offset { return l.safe }

// advance applies the rule: the high watermark is the least safe offset of the maximal ISR, and of the followers that are about to
// join it. It stands still while the ISR is smaller than the minimum, since what it would expose then could be lost with fewer
// replicas than were asked for.
//
// That it waits for who is about to join costs safety nothing, and without it nobody might ever join: a follower of a busy
// partition is always a little behind, and who joins must have reached the high watermark.
func (l *Leader) advance(now time.Time) bool {
	if l.EnoughInSync() != nil {
		return false
	}
	least := l.safe
	for i := range l.followers {
		f := &l.followers[i]
		if f.safe < least && (l.maximal(f.id) || l.joining(f, now)) {
			least = f.safe
		}
	}
	if least <= l.highWatermark {
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
