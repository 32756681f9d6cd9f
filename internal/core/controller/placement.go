package controller

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
)

func itoa(n int) string { return strconv.Itoa(n) }

// cordonedDirs is the broker's key that keeps new replicas away (KIP-1066). All directories of a node are cordoned or
// none, so that its only value besides the empty one is "*".
const cordonedDirs = "cordoned.log.dirs"

// Cordoned tells whether a node takes no new replicas unless somebody names it: an operator is about to empty it, or to
// take it away.
func Cordoned(img *metadata.Image, id kafka.NodeID) bool {
	value := img.Config(metadata.ConfigResource{Type: metadata.BrokerConfig, Name: itoa(int(id))})[cordonedDirs]
	return strings.TrimSpace(value) == "*"
}

// placement chooses nodes for new partitions, one topic after the other.
//
// What counts, in this order: a partition's replicas are on as many racks as can be; a topic's leaders are spread evenly over
// the nodes; those that take over from one leader differ, so that the load of a dead node falls on many; a topic's replicas
// are spread evenly; nodes that hold less of the whole cluster come first; chance. A topic comes before the whole, because its load
// comes at once: an empty node that joins a full cluster must not get all partitions of the next topic. Topics of one
// partition, and what is left over when partitions are dealt, go where there is least.
//
// Fenced nodes, and those that stop, are taken only where the others are too few, and never as leaders. Cordoned nodes are
// not taken.
type placement struct {
	sites []*site // sorted by id
	known int     // registered brokers that are not cordoned
	live  int     // those among them that are active

	onRack []int // scratch of best: replicas of the partition at hand, by rack
}

// site is a node with what it holds.
type site struct {
	id     kafka.NodeID
	rack   int // equal for nodes of one rack; nodes without a rack form one
	active bool

	// Of the whole cluster: preferred leaders are counted, not those that lead by accident.
	leads, holds int

	topic struct {
		leads, holds int
		follows      map[kafka.NodeID]int // by leader: how often this node comes first among its followers
		luck         int                  // decides between equals, drawn anew for each topic
	}
}

// placement is one for the whole request, so that its topics see one another.
func (s *step) placement() *placement {
	if s.places == nil {
		s.places = newPlacement(s.img)
	}
	return s.places
}

// newPlacement counts what the nodes of an Image hold.
func newPlacement(img *metadata.Image) *placement {
	pl := &placement{}
	racks := map[string]int{}
	for _, n := range img.Brokers() {
		if Cordoned(img, n.ID) {
			continue
		}
		name := ""
		if n.Rack != nil {
			name = *n.Rack
		}
		if _, ok := racks[name]; !ok {
			racks[name] = len(racks)
		}
		pl.sites = append(pl.sites, &site{id: n.ID, rack: racks[name], active: n.Active()})
		if n.Active() {
			pl.live++
		}
	}
	pl.known, pl.onRack = len(pl.sites), make([]int, len(racks))
	for t := range img.Topics() {
		for i := range t.Partitions {
			leads, holds := futureReplicas(&t.Partitions[i])
			pl.count(leads, holds, func(s *site, leads, holds int) { s.leads, s.holds = s.leads+leads, s.holds+holds })
		}
	}
	return pl
}

// futureReplicas are the replicas of a partition when its reassignment, if there is one, has ended, with the leader that
// it then prefers.
func futureReplicas(p *metadata.Partition) (leader kafka.NodeID, replicas []kafka.NodeID) {
	replicas = p.Replicas
	if len(p.RemovingReplicas) > 0 {
		replicas = without(replicas, p.RemovingReplicas)
	}
	if len(replicas) == 0 {
		return kafka.NoNode, nil
	}
	return replicas[0], replicas
}

func (pl *placement) count(leader kafka.NodeID, replicas []kafka.NodeID, add func(s *site, leads, holds int)) {
	for _, id := range replicas {
		s, ok := pl.site(id)
		switch {
		case !ok:
		case id == leader:
			add(s, 1, 1)
		default:
			add(s, 0, 1)
		}
	}
}

func (pl *placement) site(id kafka.NodeID) (*site, bool) {
	i, ok := slices.BinarySearchFunc(pl.sites, id, func(s *site, id kafka.NodeID) int { return cmp.Compare(s.id, id) })
	if !ok {
		return nil, false
	}
	return pl.sites[i], true
}

// place chooses the replicas of partitions that a topic gets beside those that it has; the first of each is the leader.
func (pl *placement) place(have []metadata.Partition, partitions, factor int, rnd *rand.Rand) ([][]kafka.NodeID, *Problem) {
	switch {
	case factor < 1:
		return nil, problem(kerr.InvalidReplicationFactor, "Invalid replication factor %d: the replication factor must be positive.", factor)
	case pl.live == 0:
		return nil, problem(kerr.InvalidReplicationFactor, "All brokers are currently fenced, or have all their log directories cordoned.")
	case pl.known < factor:
		return nil, problem(kerr.InvalidReplicationFactor, "The target replication factor of %d cannot be reached because only %d broker(s) are registered "+
			"or some brokers have all their log directories cordoned.", factor, pl.known)
	}
	pl.begin(have, rnd)
	placed := make([][]kafka.NodeID, partitions)
	for i := range placed {
		placed[i] = pl.partition(factor)
	}
	return placed, nil
}

// begin forgets the topic before.
func (pl *placement) begin(have []metadata.Partition, rnd *rand.Rand) {
	for i, luck := range rnd.Perm(len(pl.sites)) {
		t := &pl.sites[i].topic
		t.leads, t.holds, t.luck, t.follows = 0, 0, luck, nil
	}
	for i := range have {
		leads, holds := futureReplicas(&have[i])
		pl.count(leads, holds, func(s *site, leads, holds int) {
			s.topic.leads, s.topic.holds = s.topic.leads+leads, s.topic.holds+holds
		})
	}
}

// partition chooses the nodes of one partition, and counts them.
func (pl *placement) partition(factor int) []kafka.NodeID { return pl.extend(nil, factor) }

// extend chooses the nodes of a partition that has fewer replicas than factor, and counts them. The leader may be a new one.
func (pl *placement) extend(have []kafka.NodeID, factor int) []kafka.NodeID {
	taken := make([]*site, 0, factor)
	leader := pl.best(nil, func(s *site) bool { return s.active }, compareLeaders)
	taken = append(taken, leader)
	var away []kafka.NodeID // replicas on nodes that are cordoned, which count nowhere
	for _, id := range have {
		if s, ok := pl.site(id); !ok {
			away = append(away, id)
		} else if s != leader {
			taken = append(taken, s)
		}
	}
	factor -= len(away)
	for len(taken) < factor {
		active := len(taken) < pl.live
		order := compareFollowers
		if len(taken) == 1 {
			order = func(a, b *site) int { return compareHeirs(leader.id, a, b) }
		}
		taken = append(taken, pl.best(taken, func(s *site) bool { return s.active == active }, order))
	}
	if len(taken) > 1 {
		taken[1].inherit(leader.id)
	}
	ids := make([]kafka.NodeID, len(taken), len(taken)+len(away))
	for i, s := range taken {
		ids[i] = s.id
	}
	pl.count(ids[0], ids, func(s *site, leads, holds int) {
		s.leads, s.holds = s.leads+leads, s.holds+holds
		s.topic.leads, s.topic.holds = s.topic.leads+leads, s.topic.holds+holds
	})
	return append(ids, away...)
}

// best is the first by order among the sites that are allowed, not taken yet, and of the racks that the taken ones use
// least.
func (pl *placement) best(taken []*site, allowed func(*site) bool, order func(a, b *site) int) *site {
	clear(pl.onRack)
	for _, s := range taken {
		pl.onRack[s.rack]++
	}
	var best *site
	for _, s := range pl.sites {
		if !allowed(s) || slices.Contains(taken, s) {
			continue
		}
		if best == nil || cmp.Or(cmp.Compare(pl.onRack[s.rack], pl.onRack[best.rack]), order(s, best)) < 0 {
			best = s
		}
	}
	return best
}

func compareLeaders(a, b *site) int {
	return cmp.Or(cmp.Compare(a.topic.leads, b.topic.leads), cmp.Compare(a.topic.holds, b.topic.holds),
		cmp.Compare(a.leads, b.leads), cmp.Compare(a.holds, b.holds), cmp.Compare(a.topic.luck, b.topic.luck))
}

// compareHeirs orders those that could take over when the leader dies.
func compareHeirs(leader kafka.NodeID, a, b *site) int {
	return cmp.Or(cmp.Compare(a.topic.follows[leader], b.topic.follows[leader]), compareFollowers(a, b))
}

func compareFollowers(a, b *site) int {
	return cmp.Or(cmp.Compare(a.topic.holds, b.topic.holds), cmp.Compare(a.holds, b.holds), cmp.Compare(a.topic.luck, b.topic.luck))
}

func (s *site) inherit(leader kafka.NodeID) {
	if s.topic.follows == nil {
		s.topic.follows = map[kafka.NodeID]int{}
	}
	s.topic.follows[leader]++
}

// without is the ids that are not in gone.
func without(ids, gone []kafka.NodeID) []kafka.NodeID {
	return slices.DeleteFunc(slices.Clone(ids), func(id kafka.NodeID) bool { return slices.Contains(gone, id) })
}
