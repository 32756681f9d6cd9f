package history

import "slices"

// Outcome is what a client was told of its transaction.
type Outcome uint8

// The outcomes. A client that crashed, or that got no answer, does not know.
const (
	TxnUnknown Outcome = iota
	TxnCommitted
	TxnAborted
)

// Txn is one transaction of a producer.
type Txn struct {
	Outcome Outcome
	// Commit is the moment before the client asked for the commit; 0 if it never did: nobody may be given records of it.
	Commit int64
}

// Begin starts a transaction: the records sent until Ended are part of it.
func (p *Producer) Begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.txns = append(p.mu.txns, Txn{})
	p.mu.open = int32(len(p.mu.txns))
}

// Committing notes that the commit is asked for next.
func (p *Producer) Committing() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.txns[p.mu.open-1].Commit = p.clock.Add(1)
}

// Ended notes what the client was told of the transaction.
func (p *Producer) Ended(o Outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.txns[p.mu.open-1].Outcome = o
	p.mu.open = 0
}

// txn finds the transaction of a record; none for one that was sent outside of any.
func (h History) txn(v Value, s Send) (Txn, bool) {
	if s.Txn == 0 {
		return Txn{}, false
	}
	return h.Txns[v.Process()][s.Txn-1], true
}

// outcome of a record: one outside of any transaction counts as committed, and one whose commit nobody asked for as aborted.
func (h History) outcome(v Value, s Send) Outcome {
	t, ok := h.txn(v, s)
	switch {
	case !ok:
		return TxnCommitted
	case t.Commit == 0:
		return TxnAborted
	}
	return t.Outcome
}

// transactions judges what readers with isolation.level=read_committed were given: nothing of a transaction that was aborted,
// nothing before its commit was asked for, and in the end all of one or nothing.
func (c *checker) transactions(seen [][]bool) {
	told := map[Value]bool{}
	for _, l := range c.h.Consumers {
		for _, e := range l.Events {
			for _, r := range e.Reads {
				if s, ok := c.send(r.Value); ok && !told[r.Value] {
					told[r.Value] = c.premature(l.Name, e, r, s)
				}
			}
		}
	}
	for process, sends := range c.h.Sends {
		for first := 0; first < len(sends); {
			next := first + 1
			for next < len(sends) && sends[next].Txn == sends[first].Txn {
				next++
			}
			if sends[first].Txn != 0 {
				c.torn(process, first, sends[first:next], seen[process][first:next])
			}
			first = next
		}
	}
}

// premature notes a record that was given to a reader and that nobody may be given, or not yet.
func (c *checker) premature(consumer string, e Event, r Read, s Send) bool {
	switch t, in := c.h.txn(r.Value, s); {
	case c.h.outcome(r.Value, s) == TxnAborted:
		c.found.add(AbortedRead, "%s was given %v at offset %d of partition %d, whose transaction was aborted", consumer, r.Value, r.Offset, e.Partition)
	case in && e.Moment < t.Commit:
		c.found.add(PrecommittedRead, "%s was given %v at offset %d of partition %d before its commit was asked for", consumer, r.Value, r.Offset, e.Partition)
	default:
		return false
	}
	return true
}

// torn looks at the records of one transaction whose outcome the client does not know: those it was acknowledged are all there
// in the end, or none is. What a commit was acknowledged for is judged as a loss.
func (c *checker) torn(process, first int, sends []Send, seen []bool) {
	if c.h.outcome(NewValue(process, first), sends[0]) != TxnUnknown || !slices.Contains(seen, true) {
		return
	}
	for i, s := range sends {
		if !seen[i] && s.Offset != Unacknowledged {
			c.found.add(TornTransaction, "partition %d: %v is not there in the end, and others of its transaction are", s.Partition, NewValue(process, first+i))
			return
		}
	}
}
