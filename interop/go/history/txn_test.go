package history

import "testing"

// transacted makes a correct run of transactions on two partitions: one is committed, one aborted, and of two nobody knows, of which one
// came to be committed. It returns what the final reader is given, by partition.
func transacted(r *Recorder) (p *Producer, visible map[int32][]Read) {
	p = r.Producer()
	visible = map[int32][]Read{}
	next := int64(0)
	txn := func(o Outcome, shown bool) {
		p.Begin()
		for range 2 {
			for partition := range int32(2) {
				v := p.Send(partition)
				p.Acked(v, next)
				if shown {
					visible[partition] = append(visible[partition], Read{next, v})
				}
			}
			next++
		}
		if o != TxnAborted {
			p.Committing()
		}
		p.Ended(o)
		next++ // the marker
	}
	txn(TxnCommitted, true)
	txn(TxnAborted, false)
	txn(TxnUnknown, true)
	txn(TxnUnknown, false)
	txn(TxnCommitted, true)
	return p, visible
}

func readAll(r *Recorder, visible map[int32][]Read) {
	c := r.FinalConsumer("final")
	for p, reads := range visible {
		c.Assigned(p, 0)
		c.Polled(p, reads)
	}
}

func TestTransactionsThatAreAllOrNothingAreNoAnomaly(t *testing.T) {
	r := &Recorder{}
	_, visible := transacted(r)
	g := r.Consumer("member", "group")
	g.Assigned(0, -1)
	g.Polled(0, visible[0][:4])
	g.Committed(0, visible[0][4].Offset, g.Now(), true)
	g.Assigned(0, -1)
	g.Polled(0, visible[0][4:])
	readAll(r, visible)
	expect(t, r, "")
}

func TestEachAnomalyOfTransactionsIsFoundAndNamed(t *testing.T) {
	for name, plant := range map[string]func(r *Recorder){
		"aborted-read": func(r *Recorder) {
			_, visible := transacted(r)
			readAll(r, visible)
			r.Consumer("reader", "").Polled(0, []Read{{3, NewValue(0, 4)}})
		},
		// In the end, too.
		"aborted-read vanished": func(r *Recorder) {
			p, visible := transacted(r)
			p.Begin()
			r.Consumer("reader", "").Polled(0, []Read{{15, p.Send(0)}})
			readAll(r, visible)
		},
		"precommitted-read": func(r *Recorder) {
			p, visible := transacted(r)
			p.Begin()
			v := p.Send(0)
			p.Acked(v, 15)
			r.Consumer("early", "").Polled(0, []Read{{15, v}})
			p.Committing()
			p.Ended(TxnCommitted)
			visible[0] = append(visible[0], Read{15, v})
			readAll(r, visible)
		},
		"torn-transaction": func(r *Recorder) {
			_, visible := transacted(r)
			visible[1] = append(visible[1][:2:2], visible[1][4:]...) // the part of the third in one partition
			readAll(r, visible)
		},
		"lost-write": func(r *Recorder) {
			_, visible := transacted(r)
			visible[0], visible[1] = visible[0][2:], visible[1][2:]
			c := r.FinalConsumer("final")
			c.Polled(0, visible[0])
			c.Polled(1, visible[1])
		},
		"int-poll-skip lost-write": func(r *Recorder) {
			_, visible := transacted(r)
			visible[0] = append(visible[0][:1:1], visible[0][2:]...)
			readAll(r, visible)
		},
		"poll-skip": func(r *Recorder) {
			_, visible := transacted(r)
			readAll(r, visible)
			c := r.Consumer("skips", "")
			c.Polled(1, visible[1][:2])
			c.Polled(1, visible[1][4:])
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := &Recorder{}
			plant(r)
			expect(t, r, name)
		})
	}
}

func TestEachAnomalyOfACopyLoopIsFoundAndNamed(t *testing.T) {
	v := func(n int) Value { return NewValue(0, n) }
	input := map[int32][]Value{0: {v(0), v(1), v(2)}, 1: {v(3)}}
	for _, c := range []struct {
		want   string
		output map[int32][]Value
	}{
		{"", map[int32][]Value{0: {v(0), v(1), v(2)}, 1: {v(3)}}},
		{"never-processed", map[int32][]Value{0: {v(0), v(2)}, 1: {v(3)}}},
		{"never-processed", map[int32][]Value{0: {v(0), v(1), v(2)}}},
		{"processed-twice", map[int32][]Value{0: {v(0), v(1), v(0), v(2)}, 1: {v(3)}}},
		{"nonmonotonic-send", map[int32][]Value{0: {v(1), v(0), v(2)}, 1: {v(3)}}},
		{"phantom", map[int32][]Value{0: {v(0), v(1), v(2), v(9)}, 1: {v(3)}}},
		{"phantom", map[int32][]Value{0: {v(0), v(1), v(2)}, 1: {v(3)}, 2: {v(3)}}},
	} {
		if got := kinds(Copied(input, c.output)); got != c.want {
			t.Errorf("%v: found %q, want %q", c.output, got, c.want)
		}
	}
}
