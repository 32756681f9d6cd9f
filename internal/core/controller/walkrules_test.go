package controller

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
)

func sorted(m map[kafka.NodeID]*process) []kafka.NodeID { return slices.Sorted(maps.Keys(m)) }

func places(m map[place]*held) []place {
	return slices.SortedFunc(maps.Keys(m), func(a, b place) int {
		return cmp.Or(strings.Compare(a.topic, b.topic), cmp.Compare(a.partition, b.partition))
	})
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

// check holds what a request did against the rules.
func (w *walk) check(was *metadata.Image, req any, recs []metadata.Record) {
	w.everOff = w.everOff || w.img.Features()[eligibleReplicas] == 0
	changes := map[place]int{}
	for _, r := range recs {
		if c, ok := r.(*metadata.PartitionChangeRecord); ok {
			t, _ := w.img.TopicByID(c.Topic)
			changes[place{t.Name, c.Partition}]++
		}
	}
	for t := range w.img.Topics() {
		for n := range t.Partitions {
			at, p := place{t.Name, int32(n)}, &t.Partitions[n]
			if w.part[at] == nil {
				w.part[at] = &held{logs: map[kafka.NodeID][]int{}}
			}
			w.checkShape(at, p)
			if old, ok := was.Partition(kafka.TopicPartition{Topic: at.topic, Partition: at.partition}); ok {
				w.checkChange(at, &old, p, req, changes[at])
			}
			key := ledEpoch{at, p.LeaderEpoch}
			if leader, ok := w.led[key]; ok && leader != p.Leader {
				w.fail("%v has two leaders in epoch %d: %d and %d", at, p.LeaderEpoch, leader, p.Leader)
			}
			w.led[key] = p.Leader
		}
	}
}

// checkShape is about a partition as it is.
func (w *walk) checkShape(at place, p *metadata.Partition) {
	eligible := w.img.Features()[eligibleReplicas] > 0
	enough := min((testRules{}).MinISR(w.img, at.topic), len(p.Replicas))
	active := func(id kafka.NodeID) bool { n, ok := w.img.Node(id); return ok && n.Active() }
	subset := func(of []kafka.NodeID) bool {
		return !slices.ContainsFunc(of, func(id kafka.NodeID) bool { return !slices.Contains(p.Replicas, id) })
	}
	once := func(of []kafka.NodeID) bool { return len(slices.Compact(slices.Sorted(slices.Values(of)))) == len(of) }
	bad := ""
	switch {
	case len(p.Replicas) == 0 || !once(p.Replicas) || !once(p.ISR) || !once(p.ELR):
		bad = "a node is named twice"
	case !subset(p.ISR) || !subset(p.ELR) || !subset(p.AddingReplicas) || !subset(p.RemovingReplicas):
		bad = "what is no replica is in a list"
	case slices.ContainsFunc(p.ELR, func(id kafka.NodeID) bool { return slices.Contains(p.ISR, id) }):
		bad = "an in-sync replica is eligible besides"
	case len(p.ELR) > 0 && (!eligible || len(p.ISR) >= enough):
		bad = "replicas are eligible where those in sync are enough"
	case len(p.LastKnownELR) > 0 && (!eligible || p.Leader != kafka.NoNode || len(p.LastKnownELR) > 1):
		bad = "the last leader is kept beside a leader"
	case p.Leader != kafka.NoNode && (!active(p.Leader) || !slices.Contains(p.ISR, p.Leader)):
		bad = "the leader is not active and in sync"
	case p.Leader != kafka.NoNode && slices.ContainsFunc(p.ISR, func(id kafka.NodeID) bool { return !active(id) }):
		bad = "an inactive node is in sync with a leader"
	case p.Leader == kafka.NoNode && (slices.ContainsFunc(p.ISR, active) || len(p.ISR) == 0 && slices.ContainsFunc(p.ELR, active)):
		bad = "there is no leader, and somebody could lead"
	case len(p.Directories) != len(p.Replicas):
		bad = "not every replica has a directory"
	}
	if bad != "" {
		w.fail("%v: %s: %+v", at, bad, *p)
	}
}

// checkChange is about what became of a partition, by so many records.
func (w *walk) checkChange(at place, old, now *metadata.Partition, req any, records int) {
	switch led := now.LeaderEpoch - old.LeaderEpoch; {
	case int(now.PartitionEpoch-old.PartitionEpoch) != records:
		w.fail("%v: the partition epoch went from %d to %d by %d records", at, old.PartitionEpoch, now.PartitionEpoch, records)
	case led < 0 || int(led) > records || led == 0 && now.Leader != old.Leader:
		w.fail("%v: the leader epoch went from %d (%d) to %d (%d)", at, old.LeaderEpoch, old.Leader, now.LeaderEpoch, now.Leader)
	}
	h := w.part[at]
	// A node that gets a partition anew begins with an empty log.
	for id := range h.logs {
		if !slices.Contains(now.Replicas, id) {
			delete(h.logs, id)
		}
	}
	trusted := append(slices.Clone(old.ISR), old.ELR...)
	if _, ok := req.(*kmsg.AlterPartitionRequest); ok {
		trusted = now.ISR // the leader says who is; a reassignment may end with that, and make another one lead
	}
	for _, id := range now.ISR {
		if slices.Contains(trusted, id) {
			continue
		}
		if !w.mayBeUnclean(at, old, id, req) {
			w.fail("%v: node %d is in sync and was neither that nor eligible: %+v", at, id, *old)
		}
		if now.LeaderRecoveryState != recovering {
			w.fail("%v: that node %d is trusted uncleanly is not marked", at, id)
		}
		h.acked = common(h.acked, h.logs[id])
	}
	if now.Leader != old.Leader && now.Leader != kafka.NoNode {
		w.checkLeader(at, now, h)
	}
}

// checkLeader holds the log of a new leader against what was acknowledged. A node that was elected while its process is dead
// leads nobody before it has registered again, and then it is asked what it holds.
func (w *walk) checkLeader(at place, now *metadata.Partition, h *held) {
	if n := w.node[now.Leader]; !n.alive || n.epoch != w.mustNode(now.Leader).Epoch {
		return
	}
	log := h.logs[now.Leader]
	// Without eligible replicas, the last one in sync is trusted whatever its disk went through, as in Apache Kafka.
	relies := (testRules{}).Flushes(w.img, at.topic) || !w.everOff
	if has := common(h.acked, log); relies && len(has) < len(h.acked) {
		w.fail("%v: node %d leads with %v, and acknowledged was %v", at, now.Leader, log, h.acked)
	}
	h.acked = common(h.acked, log)
}

// common is what both begin with.
func common(a, b []int) []int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return a[:n]
}

// mayBeUnclean tells whether somebody allowed it: the topic's configuration, a command, or that nobody is left who is trusted
// and the last leader is back.
func (w *walk) mayBeUnclean(at place, old *metadata.Partition, id kafka.NodeID, req any) bool {
	if e, ok := req.(*kmsg.ElectLeadersRequest); ok && e.ElectionType == uncleanElection {
		return true
	}
	trusted := append(slices.Clone(old.ISR), old.ELR...)
	if r, ok := req.(*kmsg.BrokerRegistrationRequest); ok { // after which its node may not be trusted any more
		trusted = without(trusted, []kafka.NodeID{kafka.NodeID(r.BrokerID)})
	}
	last := len(trusted) == 0 && slices.Equal(old.LastKnownELR, []kafka.NodeID{id})
	return last || (testRules{}).Unclean(w.img, at.topic)
}
