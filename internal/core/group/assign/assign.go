// Package assign holds the assignors of the groups whose coordinator assigns the partitions: Uniform and Range of consumer
// groups (KIP-848), Simple of share groups (KIP-932). They are functions: the same members and topics give the same
// assignment, whatever order the members come in. Nothing that they are given is changed or kept.
package assign

import (
	"slices"
	"strings"

	"github.com/headrace/headrace/internal/base/kafka"
)

// Assignment is the partitions of one member, ascending in each topic. A topic without partitions is not in it.
type Assignment map[kafka.TopicID][]int32

// Equal tells whether a and b are the same partitions.
func (a Assignment) Equal(b Assignment) bool {
	if len(a) != len(b) {
		return false
	}
	for id, partitions := range a {
		if !slices.Equal(partitions, b[id]) {
			return false
		}
	}
	return true
}

// Has tells whether the partition is in a.
func (a Assignment) Has(id kafka.TopicID, partition int32) bool {
	_, ok := slices.BinarySearch(a[id], partition)
	return ok
}

// Len counts the partitions.
func (a Assignment) Len() int {
	n := 0
	for _, partitions := range a {
		n += len(partitions)
	}
	return n
}

// Member is what the assignors need to know of a member.
type Member struct {
	ID       string
	Instance *string // group.instance.id of a static member
	Rack     string  // "" when the member did not say
	// Subscribed are the topics that the member wants, without duplicates. Those that do not exist are passed over.
	Subscribed []kafka.TopicID
	Assigned   Assignment // what the member was last assigned
}

// Topics tells the assignors about topics.
type Topics interface {
	// Partitions is how many partitions the topic has, 0 when there is no such topic.
	Partitions(id kafka.TopicID) int32
	// Racks are the racks of the partition's replicas, as far as they are known.
	Racks(id kafka.TopicID, partition int32) []string
}

// Assignor assigns partitions to members: the result has one Assignment for each, in the order of members.
type Assignor func(members []Member, topics Topics) []Assignment

// The names by which members ask for assignors. The first is the default.
const (
	UniformName = "uniform"
	RangeName   = "range"
)

// Names lists the assignors, the default first.
func Names() []string { return []string{UniformName, RangeName} }

// ByName finds an assignor, or returns nil.
func ByName(name string) Assignor {
	switch name {
	case UniformName:
		return Uniform
	case RangeName:
		return Range
	}
	return nil
}

// board is the partitions to be assigned, numbered through: those of topic t are first[t] up to first[t+1].
type board struct {
	members     []Member // sorted
	topics      []kafka.TopicID
	first       []int
	subscribers [][]int // by topic: members, ascending
	owner       []int   // by partition: a member, or nobody
	load        []int   // by member: how many partitions it owns
}

const nobody = -1

func newBoard(members []Member, topics Topics, order func(a, b *Member) int) *board {
	b := &board{members: slices.Clone(members), load: make([]int, len(members)), first: []int{0}}
	slices.SortFunc(b.members, func(x, y Member) int { return order(&x, &y) })
	count := make(map[kafka.TopicID]int32)
	for i := range b.members {
		for _, id := range b.members[i].Subscribed {
			if _, seen := count[id]; seen {
				continue
			}
			count[id] = topics.Partitions(id)
			if count[id] > 0 {
				b.topics = append(b.topics, id)
			}
		}
	}
	slices.SortFunc(b.topics, func(x, y kafka.TopicID) int { return slices.Compare(x[:], y[:]) })
	number := make(map[kafka.TopicID]int, len(b.topics))
	for t, id := range b.topics {
		number[id] = t
		b.first = append(b.first, b.first[t]+int(count[id]))
	}
	b.subscribers = make([][]int, len(b.topics))
	for m := range b.members {
		for _, id := range b.members[m].Subscribed {
			if t, ok := number[id]; ok {
				b.subscribers[t] = append(b.subscribers[t], m)
			}
		}
	}
	b.owner = slices.Repeat([]int{nobody}, b.first[len(b.topics)])
	return b
}

func (b *board) size(topic int) int { return b.first[topic+1] - b.first[topic] }

// give makes member the owner of partition p, which somebody else may own.
func (b *board) give(p, member int) {
	b.take(p)
	b.owner[p] = member
	b.load[member]++
}

func (b *board) take(p int) {
	if m := b.owner[p]; m != nobody {
		b.owner[p] = nobody
		b.load[m]--
	}
}

// result is what each of members, in their order, owns on the board.
func (b *board) result(members []Member) []Assignment {
	byID := make(map[string]Assignment, len(members))
	sorted := make([]Assignment, len(members))
	for m := range b.members {
		sorted[m] = make(Assignment)
		byID[b.members[m].ID] = sorted[m]
	}
	for t, id := range b.topics {
		for i, m := range b.owner[b.first[t]:b.first[t+1]] {
			if m != nobody {
				sorted[m][id] = append(sorted[m][id], int32(i))
			}
		}
	}
	all := make([]Assignment, len(members))
	for i := range members {
		all[i] = byID[members[i].ID]
	}
	return all
}

func byID(a, b *Member) int { return strings.Compare(a.ID, b.ID) }
