package consumer

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/timeline"
	"github.com/headrace/headrace/internal/core/group/assign"
)

// A group goes from the classic protocol to the new one when a member of that joins, and back when the last one of them is gone.
// Members keep what they have: in the new protocol as their target, in the classic one as their assignment.

// Former is a member of a classic group that becomes one of the new protocol.
type Former struct {
	ID, Client, Host          string
	Instance                  *string
	RebalanceTimeout, Session time.Duration
	Protocols                 []Protocol // kept
	Metadata                  []byte     // of the protocol that the group chose, or of the member's first
	Assignment                []byte
}

// Upgrade makes the group that a classic one of that generation becomes. It is a copy that the turn goes on with; its records are in
// Out, and make the same.
func (t *Turn) Upgrade(id string, generation int32, members []Former) (*Group, error) {
	malformed := refuse(kerr.GroupIDNotFound, "Cannot upgrade classic group %s to consumer group because the embedded consumer protocol is malformed.", id)
	said := make([]subscription, len(members))
	all := make([]*Member, len(members))
	taken := make(map[partition]bool)
	for i, f := range members {
		s, err := readSubscription(f.Metadata)
		if err != nil {
			return nil, malformed
		}
		assigned, own, err := readEmbedded(f.Assignment)
		if err != nil {
			return nil, malformed
		}
		if own {
			return nil, refuse(kerr.GroupIDNotFound, "Cannot upgrade classic group %s to consumer group because an unsupported custom assignor is in use. "+
				"Please refer to the documentation or switch to a default assignor before re-attempting the upgrade.", id)
		}
		said[i], all[i] = s, f.member(s, generation)
		t.give(all[i], assigned, generation, taken)
	}
	// A rebalance that began while another one was under way has made the classic group forget its assignment. Members that rebalance
	// one partition after the other have it all the same, and say so: the latest word counts.
	order := make([]int, len(members))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return int(said[b].generation) - int(said[a].generation) })
	for _, i := range order {
		t.give(all[i], said[i].owned, generation, taken)
	}
	return t.found(id, generation, all)
}

func (f Former) member(s subscription, generation int32) *Member {
	m := newMember(f.ID)
	m.Instance, m.Rack, m.Client, m.Host = f.Instance, s.rack, f.Client, f.Host
	m.Topics, m.RebalanceTimeout = s.topics, f.RebalanceTimeout
	m.Classic = &Classic{SessionTimeout: f.Session, Protocols: f.Protocols}
	m.Epoch, m.Previous, m.State = generation, generation, Stable
	m.Assigned = make(Owned)
	return m
}

// give assigns the partitions that exist and are nobody's yet.
func (t *Turn) give(m *Member, partitions []named, generation int32, taken map[partition]bool) {
	t.known(partitions, func(id kafka.TopicID, p int32) {
		if at := (partition{id, p}); !taken[at] {
			taken[at] = true
			m.Assigned.add(id, p, generation)
		}
	})
}

// found writes the records of the group, and applies them to a copy.
func (t *Turn) found(id string, generation int32, members []*Member) (*Group, error) {
	from := len(t.Out.Records)
	var names []string
	for _, m := range members {
		t.record(memberRecord(id, m))
		names = append(names, m.Topics...)
	}
	slices.Sort(names)
	e := epochs{group: generation, target: generation, hash: t.hash(slices.Compact(names))}
	t.record(epochRecord(id, e))
	for _, m := range members {
		t.record(targetRecord(id, m.ID, m.Assigned.Partitions()))
	}
	t.record(targetEpochRecord(id, e))
	for _, m := range members {
		t.record(assignmentRecord(id, m))
		t.arm(Session, m.ID, m.Classic.SessionTimeout)
	}
	g := NewGroup(id, &timeline.History{})
	for off, r := range t.Out.Records[from:] {
		k := kbin.Reader{Src: r.Key}
		kind := k.Int16()
		_, name, err := ReadKey(kind, &k)
		if err == nil {
			err = g.Apply(kafka.Offset(off), kind, name, r.Value)
		}
		if err != nil {
			return nil, err
		}
	}
	return g, nil
}

// Downgrade is the classic group that a group becomes.
type Downgrade struct {
	Generation int32
	Members    []Latter // sorted by id
	Rebalance  bool     // the members are not where their assignments would have them
}

// Latter is a member of a group of the new protocol that becomes one of a classic group.
type Latter struct {
	*Member
	Target assign.Assignment
}

// Embed is the member's assignment as the answer to a SyncGroup has it; metadata is of the protocol that the group chose.
func (t *Turn) Embed(l Latter, metadata []byte) []byte { return t.embed(l.Target, metadata) }

// mayDowngrade tells whether the group goes back to the classic protocol when these members are gone, or a classic one is in the
// place of the one of them.
func (t *Turn) mayDowngrade(g *Group, without ...*Member) bool {
	left := 0
	for _, m := range g.members.All() {
		switch {
		case slices.Contains(without, m):
		case m.Classic == nil:
			return false
		default:
			left++
		}
	}
	return t.Config.Downgrade && left <= t.Config.ClassicMaxSize
}

// downgrade takes the group out of the log, for a classic one in its place. plus, if not nil, is in the place of the static member old.
func (t *Turn) downgrade(g *Group, without []*Member, plus, old *Member) {
	e := g.now()
	d := &Downgrade{Generation: e.group, Rebalance: plus == nil || e.target < e.group}
	for id, m := range g.members.All() {
		t.stop(Session, id)
		t.stop(Rebalance, id)
		t.stopClassic(g, m)
		if slices.Contains(without, m) || m == old {
			continue
		}
		d.Members = append(d.Members, Latter{m, g.lastTarget(id, "")})
		// What a member is still to give up is in another one's target, which the classic group would hand out at once.
		d.Rebalance = d.Rebalance || !m.ReconciledTo(e.target)
	}
	if plus != nil {
		d.Members = append(d.Members, Latter{plus, g.lastTarget(old.ID, "")})
	}
	slices.SortFunc(d.Members, func(a, b Latter) int { return compareNames(a.ID, b.ID) })
	t.Out.Records, t.Out.Downgrade = g.Tombstones(), d
}

// downgradeStatic puts a classic member in the place of the static one that was the last of the new protocol.
func (t *Turn) downgradeStatic(g *Group, old, m *Member) *Member {
	t.downgrade(g, nil, m, old)
	m.Epoch = t.Out.Downgrade.Generation
	if !slices.Equal(old.Topics, m.Topics) || old.Regex != "" || old.State != Stable {
		t.Out.Downgrade.Rebalance = true
	}
	return m
}
