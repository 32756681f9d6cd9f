package controller

import (
	"slices"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
)

// election says who may be chosen where a partition needs a leader, or another one.
type election int8

const (
	// electOnline keeps the leader while it may lead, and chooses another that lost nothing otherwise. Where the topic's
	// configuration says so, it does as electUnclean.
	electOnline election = iota
	// electPreferred chooses the first replica where it may lead, and otherwise one that lost nothing.
	electPreferred
	// electUnclean does as electOnline, and chooses any active replica rather than none.
	electUnclean
)

// recovering is the LeaderRecoveryState of a partition whose leader was elected uncleanly and has not said since that it
// has dealt with that.
const recovering = 1

// change is what is to become of one partition. Every PartitionChangeRecord is made by one: newChange gives it as the
// partition is, the caller puts other slices in place of those that shall differ, without writing into them, and commit
// decides the rest: eligible leader replicas, the leader, epochs, directories.
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
	// newEpoch has a leader epoch begin whoever leads: what the leader was told in this one of how far others are is void.
	newEpoch bool
	// lost are nodes whose copy is gone altogether. Nothing but an unclean election makes them lead, even where they were
	// the last: an empty log that leads would make everybody else's records disappear without a word.
	lost []kafka.NodeID
	// assigned is the directory that one of the replicas is said to be in from now on; nil: they are where they were.
	assigned *assignment
}

// assignment is a replica's directory.
type assignment struct {
	id  kafka.NodeID
	dir kafka.TopicID
}

func (s *step) newChange(t *metadata.Topic, n int32) *change {
	p := &t.Partitions[n]
	return &change{
		topic: t, partition: n, was: p,
		replicas: p.Replicas, adding: p.AddingReplicas, removing: p.RemovingReplicas,
		isr: p.ISR, elr: p.ELR, lastKnown: p.LastKnownELR, leader: p.Leader, recovery: p.LeaderRecoveryState,
	}
}

// commit adds the record that makes the partition so. It answers nil, and adds none, where nothing differs.
func (s *step) commit(c *change) *metadata.PartitionChangeRecord {
	s.finishReassignment(c)
	s.settleEligible(c)
	s.elect(c)
	s.rememberLeader(c)
	r := s.recordOf(c)
	if r == nil {
		return nil
	}
	s.add(r)
	return r
}

// settleEligible says which replicas are eligible to lead though they are not in sync (KIP-966). While the in-sync replicas
// are fewer than min.insync.replicas the high watermark stands still, so that whoever was in sync when it came to stand
// has all that anybody was told of, and goes on having it until the others are enough again.
func (s *step) settleEligible(c *change) {
	if !s.keepsEligible() {
		c.elr, c.lastKnown = nil, nil
		if len(c.isr) == 0 {
			// Without a list of eligible replicas it is the in-sync ones that say who may lead again: the last ones stay.
			c.isr = without(c.was.ISR, c.lost)
		}
		return
	}
	c.lastKnown = slices.DeleteFunc(without(c.lastKnown, c.lost), func(id kafka.NodeID) bool { return !slices.Contains(c.replicas, id) })
	if len(c.isr) >= s.minISR(c) {
		c.elr = nil
		return
	}
	elr := make([]kafka.NodeID, 0, len(c.replicas))
	for _, id := range c.replicas {
		was := slices.Contains(c.elr, id) || slices.Contains(c.was.ISR, id)
		if was && !slices.Contains(c.isr, id) && !slices.Contains(c.doubted, id) && !slices.Contains(c.lost, id) {
			elr = append(elr, id)
		}
	}
	c.elr = elr
}

// elect gives the partition another leader where the one it has may not lead, or where a better one was asked for.
func (s *step) elect(c *change) {
	leader, unclean := s.chooseLeader(c)
	if leader == c.was.Leader {
		return
	}
	c.leader = leader
	switch {
	case unclean:
		// What the others hold beyond this one's log is lost: they have to follow it first.
		c.isr, c.elr, c.recovery = []kafka.NodeID{leader}, nil, recovering
	case slices.Contains(c.elr, leader):
		c.isr, c.elr = []kafka.NodeID{leader}, without(c.elr, []kafka.NodeID{leader})
		if len(c.isr) >= s.minISR(c) {
			c.elr = nil // the number was lowered since: this leader is enough, and goes on without the others
		}
	}
}

func (s *step) chooseLeader(c *change) (leader kafka.NodeID, unclean bool) {
	lossless := func(id kafka.NodeID) bool {
		return (slices.Contains(c.isr, id) || len(c.isr) == 0 && slices.Contains(c.elr, id)) && s.mayLead(c, id)
	}
	if c.election == electPreferred && lossless(c.replicas[0]) {
		return c.replicas[0], false
	}
	if lossless(c.was.Leader) {
		return c.was.Leader, false
	}
	if i := slices.IndexFunc(c.replicas, lossless); i >= 0 {
		return c.replicas[i], false
	}
	// The last leader has lost no more than any other, and is chosen without anybody's leave, as KIP-966 has it.
	if s.keepsEligible() && len(c.isr) == 0 && len(c.elr) == 0 && len(c.lastKnown) == 1 && s.mayLead(c, c.lastKnown[0]) {
		return c.lastKnown[0], true
	}
	if c.election == electUnclean || c.election == electOnline && s.uncleanAllowed(c.topic) {
		if i := slices.IndexFunc(c.replicas, func(id kafka.NodeID) bool { return s.mayLead(c, id) }); i >= 0 {
			return c.replicas[i], true
		}
	}
	return kafka.NoNode, false
}

// mayLead tells whether the node is active and has the directory that the replica is in.
func (s *step) mayLead(c *change, id kafka.NodeID) bool {
	n, ok := s.img.Node(id)
	if !ok || !n.Active() {
		return false
	}
	return n.HasDir(c.directory(id))
}

// directory is where a replica that stays is; zero where it is not known.
func (c *change) directory(id kafka.NodeID) kafka.TopicID {
	if c.assigned != nil && c.assigned.id == id {
		return c.assigned.dir
	}
	return c.was.Directory(id)
}

// rememberLeader keeps the name of the leader that was there last for as long as there is none.
func (s *step) rememberLeader(c *change) {
	switch {
	case !s.keepsEligible() || c.leader == c.was.Leader:
	case c.leader != kafka.NoNode:
		c.lastKnown = nil
	case len(c.lastKnown) == 0 && slices.Contains(c.replicas, c.was.Leader) && !slices.Contains(c.lost, c.was.Leader):
		c.lastKnown = []kafka.NodeID{c.was.Leader}
	}
}

// recordOf is the difference between the partition as it was and as it shall be; nil where there is none.
func (s *step) recordOf(c *change) *metadata.PartitionChangeRecord {
	r := metadata.NewPartitionChange(c.topic.ID, c.partition)
	changed := differs(&r.ISR, c.isr, c.was.ISR)
	changed = differs(&r.Replicas, c.replicas, c.was.Replicas) || changed
	changed = differs(&r.Adding, c.adding, c.was.AddingReplicas) || changed
	changed = differs(&r.Removing, c.removing, c.was.RemovingReplicas) || changed
	changed = differs(&r.ELR, c.elr, c.was.ELR) || changed
	changed = differs(&r.LastKnownELR, c.lastKnown, c.was.LastKnownELR) || changed
	if r.Replicas != nil || len(c.lost) > 0 || c.assigned != nil {
		changed = differs(&r.Directories, s.directories(c), c.was.Directories) || changed
	}
	if c.recovery != c.was.LeaderRecoveryState {
		r.LeaderRecoveryState, changed = c.recovery, true
	}
	// A replica that is taken away must not go on being counted by the leader, so that a new leader epoch begins.
	if c.newEpoch || c.leader != c.was.Leader || r.Replicas != nil && len(without(c.was.Replicas, c.replicas)) > 0 {
		r.Leader, changed = c.leader, true
	}
	if !changed {
		return nil
	}
	return r
}

// differs sets field where the values differ. An empty list is set as one: nil would leave the partition's as it is.
func differs[T comparable](field *[]T, value, was []T) bool {
	if slices.Equal(value, was) {
		return false
	}
	if value == nil {
		value = []T{}
	}
	*field = value
	return true
}

// directories are those of the replicas that stay, and the default of those that are new or begin anew.
func (s *step) directories(c *change) []kafka.TopicID {
	dirs := make([]kafka.TopicID, len(c.replicas))
	for i, id := range c.replicas {
		stays := c.assigned != nil || slices.Index(c.was.Replicas, id) < len(c.was.Directories)
		if slices.Contains(c.was.Replicas, id) && stays && !slices.Contains(c.lost, id) {
			dirs[i] = c.directory(id)
		} else if n, ok := s.img.Node(id); ok {
			dirs[i] = defaultDirectory(n)
		}
	}
	return dirs
}

// eligibleReplicas is the feature that keeps a list of replicas which may lead without being in sync.
const eligibleReplicas = "eligible.leader.replicas.version"

func (s *step) keepsEligible() bool { return s.img.Features()[eligibleReplicas] > 0 }

// minISR is how many in-sync replicas let the partition's high watermark move. A topic cannot ask for more than it has
// replicas; while their number changes the smaller one counts, because the leader may still, or already, go by it.
func (s *step) minISR(c *change) int {
	return min(rule(s, &s.minISRs, c.topic, s.cfg.Rules.MinISR), len(c.was.Replicas), len(c.replicas))
}

func (s *step) uncleanAllowed(t *metadata.Topic) bool {
	return rule(s, &s.uncleans, t, s.cfg.Rules.Unclean)
}
func (s *step) flushes(t *metadata.Topic) bool { return rule(s, &s.durable, t, s.cfg.Rules.Flushes) }

// remembered is what a rule says of the topics without a configuration of their own, which are most of them, and of the
// topic that was asked for last, because a node's partitions are walked topic by topic.
type remembered[T any] struct {
	asked   bool
	general T
	topic   *metadata.Topic
	own     T
}

func rule[T any](s *step, m *remembered[T], t *metadata.Topic, ask func(*metadata.Image, string) T) T {
	switch {
	case m.topic == t:
		return m.own
	case s.img.Config(metadata.ConfigResource{Type: metadata.TopicConfig, Name: t.Name}) != nil:
		m.own = ask(s.img, t.Name)
	case m.asked:
		m.own = m.general
	default:
		m.asked, m.general = true, ask(s.img, "")
		m.own = m.general
	}
	m.topic = t
	return m.own
}
