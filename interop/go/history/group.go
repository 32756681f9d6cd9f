package history

import (
	"cmp"
	"slices"
)

// groups puts the members of each group together.
func groups(all []Log) (list [][]Log) {
	index := map[string]int{}
	for _, l := range all {
		if l.Group == "" {
			continue
		}
		i, ok := index[l.Group]
		if !ok {
			i = len(list)
			index[l.Group] = i
			list = append(list, nil)
		}
		list[i] = append(list[i], l)
	}
	return list
}

// commits holds where each assignment of a partition went on against the commits of the group: not before one that was acknowledged
// before the assignment (an old owner's commit cannot be acknowledged after it), and not behind all that were ever begun.
func (c *checker) commits(members []Log) {
	all := map[int32][]Event{}
	for _, l := range members {
		for _, e := range l.Events {
			if e.Kind == Committed {
				all[e.Partition] = append(all[e.Partition], e)
			}
		}
	}
	acked, begun := map[int32]ascent{}, map[int32]ascent{}
	for partition, events := range all {
		acked[partition] = climb(events, func(e Event) int64 { return e.Moment })
		begun[partition] = climb(events, func(e Event) int64 { return e.Begun })
	}
	for _, l := range members {
		fresh := map[int32]int64{} // moments of assignments whose first record is still to come
		for _, e := range l.Events {
			switch e.Kind {
			case Assigned:
				fresh[e.Partition] = e.Moment
			case Polled:
				if moment, ok := fresh[e.Partition]; ok {
					delete(fresh, e.Partition)
					first := e.Reads[0].Offset
					if at := acked[e.Partition].before(moment); first < at {
						c.found.add(LostCommit, "%s went on at offset %d of partition %d, after a commit of %d was acknowledged", l.Name, first, e.Partition, at)
					}
					c.beyondCommits(l.Name, e.Partition, begun[e.Partition].before(e.Moment), first)
				}
			}
		}
	}
}

func (c *checker) beyondCommits(member string, partition int32, committed, first int64) {
	if o, ok := c.between(partition, committed-1, first); ok {
		c.found.add(GroupSkip, "%s went on at offset %d of partition %d; nobody committed past %d, and offset %d holds a record", member, first, partition, committed, o)
	}
}

// ascent is the highest offset that was committed up to each moment.
type ascent []Event

// climb orders commits by their moment; those at moment 0 did not happen.
func climb(events []Event, moment func(Event) int64) (a ascent) {
	for _, e := range events {
		if m := moment(e); m > 0 {
			a = append(a, Event{Moment: m, Offset: e.Offset})
		}
	}
	slices.SortFunc(a, func(x, y Event) int { return cmp.Compare(x.Moment, y.Moment) })
	for i := 1; i < len(a); i++ {
		a[i].Offset = max(a[i].Offset, a[i-1].Offset)
	}
	return a
}

// before is the highest offset that was committed before the moment, 0 if none was.
func (a ascent) before(moment int64) int64 {
	i, _ := slices.BinarySearchFunc(a, moment, func(e Event, m int64) int { return cmp.Compare(e.Moment, m) })
	if i == 0 {
		return 0
	}
	return a[i-1].Offset
}

// skippedByGroup finds records that the group went past without giving them to anybody.
func (c *checker) skippedByGroup(members []Log) {
	given, highest := map[int32][]bool{}, map[int32]int64{}
	for _, l := range members {
		for _, e := range l.Events {
			for _, r := range e.Reads {
				if given[e.Partition] == nil {
					given[e.Partition] = make([]bool, len(c.at[e.Partition]))
				}
				if r.Offset < int64(len(given[e.Partition])) {
					given[e.Partition][r.Offset] = true
				}
				highest[e.Partition] = max(highest[e.Partition], r.Offset)
			}
		}
	}
	for partition, at := range c.at {
		end, ok := highest[partition]
		for o := range at {
			if ok && int64(o) < end && at[o] != 0 && !given[partition][o] {
				c.found.add(GroupSkip, "no member of group %s was given offset %d of partition %d, which holds %v; the group is at %d", members[0].Group, o, partition, at[o]-1, end)
			}
		}
	}
}
