package history

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// run makes a correct run of two producers and three partitions, a group whose member b takes over partition 0, and a final read; the
// tests then plant one anomaly each.
func run() *Recorder {
	r := &Recorder{}
	a, b := r.Producer(), r.Producer()
	next := map[int32]int64{}
	for range 10 {
		for p := range int32(3) {
			for _, client := range []*Producer{a, b} {
				v := client.Send(p)
				client.Acked(v, next[p])
				next[p]++
			}
		}
	}
	return r
}

// full is what a consumer reads of a partition of run.
func full(p int32) (reads []Read) {
	for i := range 10 {
		reads = append(reads, Read{int64(2 * i), NewValue(0, 3*i+int(p))}, Read{int64(2*i + 1), NewValue(1, 3*i+int(p))})
	}
	return reads
}

func finish(r *Recorder) {
	c := r.FinalConsumer("final")
	for p := range int32(3) {
		c.Assigned(p, 0)
		c.Polled(p, full(p))
	}
}

func kinds(v Verdict) string { return strings.Join(slices.Sorted(maps.Keys(v)), " ") }

func expect(t *testing.T, r *Recorder, want string) {
	t.Helper()
	v := Check(r.History())
	if got := kinds(v); got != want {
		t.Errorf("found %q, want %q", got, want)
	}
	for _, a := range v.List() {
		for _, e := range a.Examples {
			t.Log(a.Kind, ": ", e)
		}
	}
}

func TestACorrectRunHasNoAnomaly(t *testing.T) {
	r := run()
	lost := r.Producer() // its records' fate is unknown: one is there, the other is not, and both may be
	there := lost.Send(1)
	lost.Send(1)
	c := r.Consumer("reader", "")
	c.Assigned(0, 5)
	c.Polled(0, full(0)[5:9])
	c.Polled(0, full(0)[9:])
	c.Assigned(0, 2) // back to an earlier place, as it was told
	c.Polled(0, full(0)[2:4])
	m, n := r.Consumer("a", "group"), r.Consumer("b", "group")
	m.Assigned(0, -1)
	m.Polled(0, full(0)[:8])
	m.Committed(0, 4, m.Now(), true)
	m.Committed(0, 8, m.Now(), false) // went unanswered, and may have happened or not
	n.Assigned(0, -1)
	n.Polled(0, full(0)[8:])
	n.Committed(0, 20, n.Now(), true)
	m.Assigned(0, -1)
	finish(r)
	r.FinalConsumer("last").Polled(1, append(full(1), Read{20, there}))
	expect(t, r, "")
}

func TestOffsetsMayBeLeftOut(t *testing.T) {
	r := &Recorder{}
	p := r.Producer()
	p.Acked(p.Send(0), 3)
	p.Acked(p.Send(0), 5) // offset 4 is no record: the end of a transaction
	r.FinalConsumer("final").Polled(0, []Read{{3, 0}, {5, 1}})
	expect(t, r, "")
}

// Each case plants one anomaly into a correct run.
func TestEachAnomalyIsFoundAndNamed(t *testing.T) {
	read := func(r *Recorder, p int32, reads ...Read) { r.FinalConsumer("more").Polled(p, reads) }
	except := func(p int32, drop int) []Read { return slices.Delete(full(p), drop, drop+1) }
	final := func(r *Recorder, change func(p int32) []Read) {
		c := r.FinalConsumer("final")
		for p := range int32(3) {
			if reads := change(p); len(reads) > 0 {
				c.Polled(p, reads)
			}
		}
	}
	for name, plant := range map[string]func(r *Recorder){
		// A reader that is not given a record which is known to be there has skipped it, too.
		"int-poll-skip lost-write": func(r *Recorder) { final(r, func(p int32) []Read { return except(p, 7) }) },
		"unseen":                   func(r *Recorder) { final(r, func(p int32) []Read { return full(p)[:19] }) },
		"duplicate": func(r *Recorder) {
			finish(r)
			read(r, 0, Read{20, NewValue(0, 0)})
		},
		// What another client was acknowledged there is somewhere else then, or nowhere.
		"duplicate inconsistent-offsets": func(r *Recorder) {
			finish(r)
			read(r, 1, Read{4, NewValue(1, 4)})
		},
		"inconsistent-offsets": func(r *Recorder) {
			finish(r)
			read(r, 1, Read{4, r.Producer().Send(1)})
		},
		"int-poll-skip": func(r *Recorder) {
			finish(r)
			r.Consumer("skips", "").Polled(2, except(2, 3))
		},
		"poll-skip": func(r *Recorder) {
			finish(r)
			c := r.Consumer("skips", "")
			c.Polled(2, full(2)[:3])
			c.Polled(2, full(2)[4:])
		},
		"int-nonmonotonic-poll": func(r *Recorder) {
			finish(r)
			r.Consumer("turns", "").Polled(2, []Read{full(2)[4], full(2)[4]})
		},
		"nonmonotonic-poll": func(r *Recorder) {
			finish(r)
			c := r.Consumer("turns", "")
			c.Polled(2, full(2)[:3])
			c.Polled(2, full(2)[2:])
		},
		"nonmonotonic-send": func(r *Recorder) {
			finish(r)
			p := r.Producer()
			first, second := p.Send(0), p.Send(0)
			p.Acked(first, 21)
			p.Acked(second, 20)
			read(r, 0, Read{20, second}, Read{21, first})
		},
		"phantom": func(r *Recorder) {
			finish(r)
			read(r, 0, Read{20, NewValue(0, 99)})
		},
		"vanished": func(r *Recorder) {
			finish(r)
			r.Consumer("early", "").Polled(0, []Read{{20, r.Producer().Send(0)}})
		},
		"lost-commit": func(r *Recorder) {
			finish(r)
			m := r.Consumer("a", "group")
			m.Assigned(0, -1)
			m.Polled(0, full(0)[:10])
			m.Committed(0, 10, m.Now(), true)
			m.Assigned(0, -1)
			m.Polled(0, full(0)[9:])
		},
		"group-skip": func(r *Recorder) {
			finish(r)
			m := r.Consumer("a", "group")
			m.Assigned(0, -1)
			m.Polled(0, full(0)[:10])
			m.Committed(0, 10, m.Now(), true)
			m.Assigned(0, -1)
			m.Polled(0, full(0)[11:])
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := run()
			plant(r)
			expect(t, r, name)
		})
	}
}

func TestADamagedRecordAndOneOfAnotherPartitionArePhantoms(t *testing.T) {
	r := run()
	finish(r)
	r.Consumer("c", "").Polled(0, []Read{{20, Damaged}, {21, NewValue(0, 1)}})
	v := Check(r.History())
	if kinds(v) != Phantom || v[Phantom].Count != 2 {
		t.Errorf("%+v", v.List())
	}
}

func TestAConsumerBeginsWhereItWasTold(t *testing.T) {
	r := run()
	finish(r)
	c := r.Consumer("late", "")
	c.Assigned(0, 4)
	c.Polled(0, full(0)[5:])
	expect(t, r, PollSkip)
}

func TestWhatIsReadAgainAndAgainIsToldOnceAndWithItsPhase(t *testing.T) {
	r := run()
	finish(r)
	r.Phase("kill-all at 7 s")
	p := r.Producer()
	gone := p.Send(1)
	p.Acked(gone, 3)
	for range 3 {
		r.Consumer("c", "").Polled(1, []Read{{3, full(1)[3].Value}, {4, full(1)[3].Value}})
	}
	v := Check(r.History())
	if kinds(v) != "duplicate inconsistent-offsets lost-write" || v[Duplicate].Count != 1 || v[InconsistentOffsets].Count != 2 {
		t.Errorf("%+v", v.List())
	}
	if told := v[LostWrite].Examples[0]; !strings.Contains(told, "kill-all at 7 s") {
		t.Error(told)
	}
}

func TestARecordThatWasAcknowledgedWithoutAnOffsetMustBeThere(t *testing.T) {
	r := run()
	finish(r)
	p := r.Producer()
	there, gone := p.Send(1), p.Send(1)
	p.Acked(there, Somewhere)
	r.FinalConsumer("more").Polled(1, []Read{{20, there}})
	expect(t, r, "")
	p.Acked(gone, Somewhere)
	expect(t, r, LostWrite)
}

// A member that commits what it was not given takes it from the group.
func TestARecordThatNoMemberWasGivenIsFound(t *testing.T) {
	r := run()
	finish(r)
	m := r.Consumer("a", "group")
	m.Assigned(0, -1)
	m.Polled(0, full(0)[:10])
	m.Committed(0, 12, m.Now(), true)
	m.Assigned(0, -1)
	m.Polled(0, full(0)[12:])
	expect(t, r, GroupSkip)
}

// A member may commit while another is being given the partition, as long as it began before; what was not acknowledged binds nobody.
func TestCommitsBindOnlyThoseWhoComeAfter(t *testing.T) {
	r := run()
	finish(r)
	m, n := r.Consumer("a", "group"), r.Consumer("b", "group")
	m.Assigned(0, -1)
	m.Polled(0, full(0)[:10])
	begun := m.Now()
	n.Assigned(0, -1)
	m.Committed(0, 10, begun, true)
	n.Polled(0, full(0))
	expect(t, r, "")
}
