package assign

import (
	"slices"
	"strings"

	"github.com/headrace/headrace/internal/base/kafka"
)

// SimpleName is the assignor of share groups.
const SimpleName = "simple"

// Simple is the assignor of share groups, in which members share partitions. Each partition goes to as many members as are
// needed for all of them to have one, and each member gets as many partitions as the others, or one more. partitions lists
// those of a topic that can be assigned, ascending. Members keep what they have as far as that allows. Where all members
// subscribe to the same topics, these are assigned together, otherwise each by itself.
func Simple(members []Member, partitions func(kafka.TopicID) []int32) []Assignment {
	result := make([]Assignment, len(members))
	order := make([]int, len(members)) // the members by their ids
	for i := range members {
		result[i], order[i] = make(Assignment), i
	}
	slices.SortFunc(order, func(a, b int) int { return strings.Compare(members[a].ID, members[b].ID) })
	for _, topics := range together(members) {
		var p pool
		for _, id := range topics {
			for _, index := range partitions(id) {
				p.partitions = append(p.partitions, poolPartition{topic: id, index: index})
			}
		}
		for _, m := range order {
			if slices.Contains(members[m].Subscribed, topics[0]) {
				p.members = append(p.members, poolMember{member: m, has: members[m].Assigned})
			}
		}
		p.assign()
		for i := range p.partitions {
			for _, m := range p.partitions[i].holders {
				a, id := result[p.members[m].member], p.partitions[i].topic
				a[id] = append(a[id], p.partitions[i].index)
			}
		}
	}
	return result
}

// together lists topics, those that are assigned together side by side, in an order that does not depend on the members'.
func together(members []Member) [][]kafka.TopicID {
	var all []kafka.TopicID
	same := true
	for i := range members {
		subscribed := slices.SortedFunc(slices.Values(members[i].Subscribed), compareIDs)
		same = same && (i == 0 || slices.Equal(subscribed, all))
		all = append(all, subscribed...)
		slices.SortFunc(all, compareIDs)
		all = slices.Compact(all)
	}
	if same && len(all) > 0 {
		return [][]kafka.TopicID{all}
	}
	each := make([][]kafka.TopicID, len(all))
	for i, id := range all {
		each[i] = []kafka.TopicID{id}
	}
	return each
}

func compareIDs(a, b kafka.TopicID) int { return slices.Compare(a[:], b[:]) }

// pool is partitions and the members that may have them.
type pool struct {
	partitions []poolPartition
	members    []poolMember
	sharing    int // how many members a partition goes to
}

type poolPartition struct {
	topic   kafka.TopicID
	index   int32
	holders []int
}

type poolMember struct {
	member    int
	has       Assignment // so far
	want, got int
}

func (p *pool) assign() {
	n, m := len(p.partitions), len(p.members)
	if n == 0 || m == 0 {
		return
	}
	p.sharing = (m + n - 1) / n
	slots := p.sharing * n
	for i := range p.members { // the first up to i want as many as i of m is of all slots, rounded up
		p.members[i].want = (slots*(i+1)+m-1)/m - (slots*i+m-1)/m
	}
	for i := range p.partitions {
		part := &p.partitions[i]
		for j := range p.members {
			if p.members[j].has.Has(part.topic, part.index) {
				p.give(part, j)
			}
		}
	}
	p.fill()
}

// give has the member hold the partition, unless one of the two has enough.
func (p *pool) give(part *poolPartition, member int) {
	if m := &p.members[member]; m.got < m.want && len(part.holders) < p.sharing {
		m.got++
		part.holders = append(part.holders, member)
	}
}

// fill gives the members that want more what is left, in turns. A partition that nobody has finds a member: there are as
// many wishes as places.
func (p *pool) fill() {
	next := 0
	for i := range p.partitions {
		part := &p.partitions[i]
		for tried := 0; tried < len(p.members) && len(part.holders) < p.sharing; tried++ {
			if !slices.Contains(part.holders, next) {
				p.give(part, next)
			}
			next = (next + 1) % len(p.members)
		}
	}
}
