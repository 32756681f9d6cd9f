package history

import "slices"

// Check judges a run. It needs a Final consumer that read from the start, or takes all of them for that.
func Check(h History) Verdict {
	c := &checker{h: h, found: Verdict{}, at: map[int32][]Value{}, twice: map[spot]bool{}, moved: map[Value]bool{}}
	c.findPlaces()
	seen, highest := c.finallyRead()
	c.hideUncommitted(seen)
	c.orderOfSends()
	for _, l := range h.Consumers {
		c.orderOfPolls(l)
	}
	c.losses(seen, highest)
	c.transactions(seen)
	for _, group := range groups(h.Consumers) {
		c.commits(group)
		c.skippedByGroup(group)
	}
	return c.found
}

type checker struct {
	h     History
	found Verdict
	// at[partition][offset] is the first record that was seen there, plus one; 0 where none was, and, once all are placed, where
	// it is one that readers may not be given.
	at map[int32][]Value
	// place[process][seq] is where a record was seen first.
	place [][]int64
	// twice are the offsets that hold several records, moved the records that have several offsets: each is told once.
	twice map[spot]bool
	moved map[Value]bool
}

type spot struct {
	partition int32
	offset    int64
}

const nowhere = -1

// findPlaces gathers which record is where, from acknowledgements and from what was read: one place a record, one record a place.
func (c *checker) findPlaces() {
	c.place = make([][]int64, len(c.h.Sends))
	for process, sends := range c.h.Sends {
		c.place[process] = slices.Repeat([]int64{nowhere}, len(sends))
		for seq, s := range sends {
			if s.Offset >= 0 {
				c.put(s.Partition, s.Offset, NewValue(process, seq), "was acknowledged at")
			}
		}
	}
	for _, l := range c.h.Consumers {
		for _, e := range l.Events {
			for _, r := range e.Reads {
				if c.sent(e.Partition, r, l.Name) {
					c.put(e.Partition, r.Offset, r.Value, "is read at")
				}
			}
		}
	}
}

// sent tells whether a record that was read is one that a client sent to this partition.
func (c *checker) sent(partition int32, r Read, consumer string) bool {
	s, ok := c.send(r.Value)
	if ok && s.Partition == partition {
		return true
	}
	c.found.add(Phantom, "%s was given %v at offset %d of partition %d", consumer, r.Value, r.Offset, partition)
	return false
}

func (c *checker) send(v Value) (Send, bool) {
	if v == Damaged || v.Process() >= len(c.h.Sends) || v.Seq() >= len(c.h.Sends[v.Process()]) {
		return Send{}, false
	}
	return c.h.Sends[v.Process()][v.Seq()], true
}

func (c *checker) put(partition int32, offset int64, v Value, how string) {
	at := c.at[partition]
	if grow := int(offset) + 1 - len(at); grow > 0 {
		at = append(at, make([]Value, grow)...)
		c.at[partition] = at
	}
	switch was := at[offset]; was {
	case 0:
		at[offset] = v + 1
	case v + 1:
	default:
		if at := (spot{partition, offset}); !c.twice[at] {
			c.twice[at] = true
			c.found.add(InconsistentOffsets, "partition %d offset %d: %v %s it, and %v is there too", partition, offset, v, how, was-1)
		}
	}
	place := &c.place[v.Process()][v.Seq()]
	if *place != nowhere && *place != offset {
		if c.moved[v] {
			return
		}
		c.moved[v] = true
		c.found.add(Duplicate, "partition %d: %v %s offset %d and is at %d too", partition, v, how, offset, *place)
		return
	}
	*place = offset
}

// hideUncommitted leaves at the records that readers must be given: those of transactions that were committed, as far as the client
// or the final reader knows.
func (c *checker) hideUncommitted(seen [][]bool) {
	for process, sends := range c.h.Sends {
		for seq, s := range sends {
			at, v := c.place[process][seq], NewValue(process, seq)
			if at == nowhere || c.at[s.Partition][at] != v+1 {
				continue
			}
			if o := c.h.outcome(v, s); o == TxnAborted || o == TxnUnknown && !seen[process][seq] {
				c.at[s.Partition][at] = 0
			}
		}
	}
}

// between tells the first record that is known to be at an offset above a and below b.
func (c *checker) between(partition int32, a, b int64) (offset int64, found bool) {
	at := c.at[partition]
	for o := max(a+1, 0); o < b && o < int64(len(at)); o++ {
		if at[o] != 0 {
			return o, true
		}
	}
	return 0, false
}

func (c *checker) orderOfSends() {
	for process, sends := range c.h.Sends {
		last := map[int32]int{} // by partition: the record that was acknowledged before, plus one
		for seq, s := range sends {
			if s.Offset < 0 {
				continue
			}
			if before := last[s.Partition]; before > 0 && sends[before-1].Offset >= s.Offset {
				c.found.add(NonmonotonicSend, "partition %d: producer %d sent record %d, acknowledged at offset %d, and then record %d, acknowledged at %d",
					s.Partition, process, before-1, sends[before-1].Offset, seq, s.Offset)
			}
			last[s.Partition] = seq + 1
		}
	}
}

// orderOfPolls follows one consumer. An assignment begins its order anew.
func (c *checker) orderOfPolls(l Log) {
	last := map[int32]int64{} // the record before, by partition; missing where the order begins anew
	for _, e := range l.Events {
		switch e.Kind {
		case Assigned:
			delete(last, e.Partition)
			if e.Offset >= 0 {
				last[e.Partition] = e.Offset - 1
			}
		case Polled:
			skip, inversion := PollSkip, NonmonotonicPoll
			for _, r := range e.Reads {
				if before, ok := last[e.Partition]; ok {
					c.step(l.Name, e.Partition, before, r.Offset, skip, inversion)
				}
				last[e.Partition] = r.Offset
				skip, inversion = IntPollSkip, IntNonmonotonicPoll
			}
		}
	}
}

func (c *checker) step(consumer string, partition int32, before, offset int64, skip, inversion string) {
	if offset <= before {
		c.found.add(inversion, "%s was given offset %d of partition %d after %d", consumer, offset, partition, before)
		return
	}
	if o, ok := c.between(partition, before, offset); ok {
		c.found.add(skip, "%s was given offset %d of partition %d after %d, while %v is at %d", consumer, offset, partition, before, c.at[partition][o]-1, o)
	}
}

// losses compares what is read in the end with what was acknowledged, and with what was read before.
func (c *checker) losses(seen [][]bool, highest map[int32]int64) {
	gone := func(v Value) bool { return !seen[v.Process()][v.Seq()] }
	for process, sends := range c.h.Sends {
		for seq, s := range sends {
			v := NewValue(process, seq)
			if s.Offset == Unacknowledged || !gone(v) || c.h.outcome(v, s) != TxnCommitted {
				continue
			}
			if s.Offset == Somewhere {
				c.found.add(LostWrite, "partition %d: %v was acknowledged%s; in the end it is nowhere", s.Partition, v, c.h.during(s.Phase))
				continue
			}
			if end, ok := highest[s.Partition]; ok && s.Offset < end {
				c.found.add(LostWrite, "partition %d: %v was acknowledged at offset %d%s; in the end it is not there, and records up to offset %d are", s.Partition, v, s.Offset, c.h.during(s.Phase), end)
			} else {
				c.found.add(Unseen, "partition %d: %v was acknowledged at offset %d%s; what is read in the end ends before it", s.Partition, v, s.Offset, c.h.during(s.Phase))
			}
		}
	}
	told := map[Value]bool{}
	for _, l := range c.h.Consumers {
		for _, e := range l.Events {
			for _, r := range e.Reads {
				if s, ok := c.send(r.Value); ok && s.Offset == Unacknowledged && gone(r.Value) && !told[r.Value] {
					told[r.Value] = true
					c.found.add(Vanished, "%s was given %v at offset %d of partition %d, and in the end it is not there", l.Name, r.Value, r.Offset, e.Partition)
				}
			}
		}
	}
}

// finallyRead tells which records the final readers saw, and the highest offset they saw in each partition.
func (c *checker) finallyRead() (seen [][]bool, highest map[int32]int64) {
	seen, highest = make([][]bool, len(c.h.Sends)), map[int32]int64{}
	for process, sends := range c.h.Sends {
		seen[process] = make([]bool, len(sends))
	}
	any := slices.ContainsFunc(c.h.Consumers, func(l Log) bool { return l.Final })
	for _, l := range c.h.Consumers {
		if any && !l.Final {
			continue
		}
		for _, e := range l.Events {
			for _, r := range e.Reads {
				if _, ok := c.send(r.Value); ok {
					seen[r.Value.Process()][r.Value.Seq()] = true
				}
				highest[e.Partition] = max(highest[e.Partition], r.Offset)
			}
		}
	}
	return seen, highest
}
