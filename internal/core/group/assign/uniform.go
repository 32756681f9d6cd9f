package assign

import (
	"cmp"
	"slices"
)

// Uniform gives all members as nearly the same number of partitions as their subscriptions allow, and moves no more of
// them than that needs. A partition that has to go to somebody goes, among members that want it alike, to one in the rack
// of a replica.
func Uniform(members []Member, topics Topics) []Assignment {
	u := &uniform{board: newBoard(members, topics, byID), about: topics}
	for m := range u.members {
		u.racked = u.racked || u.members[m].Rack != ""
	}
	u.keep()
	if u.alike() {
		u.level()
	} else {
		u.spread()
	}
	return u.result(members)
}

type uniform struct {
	*board
	about  Topics
	racked bool // some member has a rack
}

// keep leaves partitions where they are. Of two members that were assigned the same one, which should not be, the first
// keeps it.
func (u *uniform) keep() {
	for t, id := range u.topics {
		for _, m := range u.subscribers[t] {
			for _, p := range u.members[m].Assigned[id] {
				if int(p) < u.size(t) && u.owner[u.first[t]+int(p)] == nobody {
					u.give(u.first[t]+int(p), m)
				}
			}
		}
	}
}

// alike tells whether all members want the same topics.
func (u *uniform) alike() bool {
	return !slices.ContainsFunc(u.subscribers, func(s []int) bool { return len(s) != len(u.members) })
}

// level gives members that all want the same topics numbers that differ by one at most.
func (u *uniform) level() {
	if len(u.members) == 0 {
		return
	}
	quota := u.quotas()
	for p := len(u.owner) - 1; p >= 0; p-- {
		if m := u.owner[p]; m != nobody && u.load[m] > quota[m] {
			u.take(p)
		}
	}
	u.nearby(quota)
	next := 0
	for p, m := range u.owner {
		if m != nobody {
			continue
		}
		for u.load[next] == quota[next] {
			next++
		}
		u.give(p, next)
	}
}

// quotas is what each member is to have. The ones that are over go to members that have them already, then to the first.
func (u *uniform) quotas() []int {
	each, extra := len(u.owner)/len(u.members), len(u.owner)%len(u.members)
	quota := slices.Repeat([]int{each}, len(u.members))
	for _, has := range []bool{true, false} {
		for m := range u.members {
			if extra > 0 && quota[m] == each && u.load[m] > each == has {
				quota[m]++
				extra--
			}
		}
	}
	return quota
}

// nearby gives partitions without an owner to members with room in the rack of a replica.
func (u *uniform) nearby(quota []int) {
	if !u.racked {
		return
	}
	room := make(map[string][]int) // by rack
	for m := range u.members {
		if r := u.members[m].Rack; r != "" && u.load[m] < quota[m] {
			room[r] = append(room[r], m)
		}
	}
	for t, id := range u.topics {
		for i := range u.size(t) {
			p := u.first[t] + i
			if u.owner[p] != nobody {
				continue
			}
			for _, rack := range u.about.Racks(id, int32(i)) {
				if in := room[rack]; len(in) > 0 {
					if u.give(p, in[0]); u.load[in[0]] == quota[in[0]] {
						room[rack] = in[1:]
					}
					break
				}
			}
		}
	}
}

// maxRounds bounds how often spread goes over the topics. Each move makes the sum of the squares of the loads smaller, so
// it ends by itself; in practice after two or three rounds.
const maxRounds = 64

// spread serves members that want different topics. First the partitions without an owner go to the subscriber that has
// least, beginning with the topics that have the fewest subscribers for their partitions. Then partitions move from
// subscribers that have more to ones that have less, until no single move helps.
func (u *uniform) spread() {
	order := make([]int, len(u.topics))
	for t := range order {
		order[t] = t
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(
			cmp.Compare(u.size(b)*len(u.subscribers[a]), u.size(a)*len(u.subscribers[b])),
			cmp.Compare(len(u.subscribers[a]), len(u.subscribers[b])),
		)
	})
	for _, t := range order {
		u.fill(t)
	}
	for range maxRounds {
		moved := false
		for _, t := range order {
			moved = u.balance(t) || moved
		}
		if !moved {
			return
		}
	}
}

// fill gives the topic's partitions without an owner away.
func (u *uniform) fill(t int) {
	var least *heap
	for i := range u.size(t) {
		p := u.first[t] + i
		if u.owner[p] != nobody {
			continue
		}
		if least == nil {
			least = newHeap(u.subscribers[t], u.lighter)
		}
		m := u.inRack(least, t, i)
		u.give(p, m)
		least.fix(m)
	}
}

// inRack chooses among the subscribers that have least: one in a rack of the partition if there is any.
func (u *uniform) inRack(least *heap, t, partition int) int {
	best := least.top()
	if !u.racked {
		return best
	}
	racks := u.about.Racks(u.topics[t], int32(partition))
	found := nobody
	for _, m := range u.subscribers[t] {
		if u.load[m] == u.load[best] && u.members[m].Rack != "" && slices.Contains(racks, u.members[m].Rack) {
			found = m
			break
		}
	}
	if found == nobody {
		return best
	}
	return found
}

// balance moves partitions of the topic from its subscribers that have most to those that have least, and tells whether
// any moved.
func (u *uniform) balance(t int) bool {
	subscribers := u.subscribers[t]
	lightest := slices.MinFunc(subscribers, func(a, b int) int { return cmp.Compare(u.load[a], u.load[b]) })
	held := make(map[int][]int)
	for p := u.first[t]; p < u.first[t+1]; p++ {
		if m := u.owner[p]; u.load[m]-u.load[lightest] > 1 {
			held[m] = append(held[m], p)
		}
	}
	if len(held) == 0 {
		return false
	}
	owners := make([]int, 0, len(held))
	for _, m := range subscribers {
		if held[m] != nil {
			owners = append(owners, m)
		}
	}
	least, most := newHeap(subscribers, u.lighter), newHeap(owners, u.heavier)
	moved := false
	for most.len() > 0 {
		from, to := most.top(), least.top()
		if u.load[from]-u.load[to] <= 1 {
			break
		}
		last := len(held[from]) - 1
		u.give(held[from][last], to)
		held[from] = held[from][:last]
		moved = true
		least.fix(from)
		least.fix(to)
		most.fix(to)
		if most.fix(from); last == 0 {
			most.remove(from)
		}
	}
	return moved
}

func (u *uniform) lighter(a, b int) bool {
	return u.load[a] < u.load[b] || u.load[a] == u.load[b] && a < b
}

func (u *uniform) heavier(a, b int) bool {
	return u.load[a] > u.load[b] || u.load[a] == u.load[b] && a < b
}
