package group

import (
	"maps"
	"slices"

	"github.com/headrace/headrace/internal/base/kafka"
)

// sweep removes what is older than the retention, every RetentionCheckInterval while the Shard holds anything: offsets,
// and the groups that are left with neither members nor offsets.
func (t *turn) sweep() {
	t.s.sweeping = false // Step arms the timer again
	for _, id := range t.s.sortedGroups() {
		g := t.s.group(id)
		if g == nil {
			continue
		}
		if t.expireOffsets(g) && g.state == empty && len(g.pendingJoin) == 0 {
			t.record(groupKey(id), nil)
			t.drop(g)
		}
	}
	t.sweepConsumers()
	t.sweepStreams()
	for id, offsets := range t.s.offsets {
		if offsets.Unused() {
			delete(t.s.offsets, id)
		}
	}
}

// expireOffsets removes the group's old offsets and tells whether none is left.
func (t *turn) expireOffsets(g *group) bool {
	open := t.s.openOf(g.id)
	none := len(open) == 0
	offsets := t.s.offsets[g.id]
	for _, tp := range t.s.partitions(g.id) {
		o, _ := offsets.Get(tp)
		_, pending := open[tp]
		if t.expired(g, tp, o) && !pending {
			t.record(offsetKey(g.id, tp.Topic, tp.Partition), nil)
		} else {
			none = false
		}
	}
	return none
}

// expired applies Kafka's rules. A retention that the commit itself set counts from the commit. Otherwise offsets.retention
// counts, for a topic without subscribers, from when the group became empty; in a stable group of consumers, and where
// offsets are committed without membership, from the commit. During a rebalance, and in groups with another protocol that
// have members, nothing expires.
func (t *turn) expired(g *group, tp kafka.TopicPartition, o Offset) bool {
	since := o.CommitTimestamp
	switch {
	case g.protocolType == "":
	case g.state == empty:
		if g.stateSince != -1 {
			since = g.stateSince
		}
	case g.state != stable || !g.topicsKnown:
		return false
	}
	if g.subscribes(tp.Topic) {
		return false
	}
	return t.old(o, since)
}

// old tells whether an offset has been kept as long as it says itself, or else as the configuration says.
func (t *turn) old(o Offset, since int64) bool {
	if o.ExpireTimestamp != -1 {
		return t.millis() >= o.ExpireTimestamp
	}
	return sinceMillis(since, t.now) >= t.s.cfg.OffsetRetention
}

// topicsDeleted removes the offsets of topics that are gone, in all groups. Offsets that carry the id of another topic
// of that name stay.
func (t *turn) topicsDeleted(topics []DeletedTopic) {
	ids := make(map[string]kafka.TopicID, len(topics))
	for _, topic := range topics {
		ids[topic.Name] = topic.ID
	}
	for _, group := range slices.Sorted(maps.Keys(t.s.offsets)) {
		for _, tp := range t.s.partitions(group) {
			id, gone := ids[tp.Topic]
			o, _ := t.s.offsets[group].Get(tp)
			if gone && !otherTopic(o.TopicID, id) {
				t.record(offsetKey(group, tp.Topic, tp.Partition), nil)
			}
		}
	}
	t.sharesOfTopicsDeleted(topics)
	t.endOpen(func(o openOffset) bool {
		id, gone := ids[o.partition.Topic]
		return gone && !otherTopic(o.offset.TopicID, id)
	})
}

// sortedGroups lists all groups, saved or only live.
func (s *Shard) sortedGroups() []string {
	ids := make([]string, 0, s.saved.Len())
	for id := range s.saved.All() {
		ids = append(ids, id)
	}
	for id := range s.live {
		if _, ok := s.saved.Get(id); !ok {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}
