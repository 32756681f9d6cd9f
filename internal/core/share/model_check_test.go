package share

import (
	"github.com/headrace/headrace/internal/base/kafka"
)

// What the model demands of an Acquire, of a Partition at any time, and at the end.

func (m *model) took(w Want, read Read, out []Acquired) {
	total, end, alone := 0, kafka.NoOffset, false
	for _, got := range out {
		if got.First <= end || got.Last < got.First || got.First < read.Batches[0].First || got.Last > read.Batches[len(read.Batches)-1].Last {
			m.t.Errorf("%v acquired of %v", out, read)
			return
		}
		end = got.Last
		total += int(got.Last - got.First + 1)
		alone = alone || int(got.Deliveries) == m.settings.MaxDeliveries && m.settings.MaxDeliveries > 2
		for off := got.First; off <= got.Last; off++ {
			m.deliver(off, w.Member, got.Deliveries)
		}
	}
	if w.RecordLimit && total > w.MaxRecords {
		m.t.Errorf("%d records acquired, %d wanted", total, w.MaxRecords)
	}
	if alone && total > 1 {
		m.t.Errorf("a last delivery came with others: %v", out)
	}
}

func (m *model) deliver(off kafka.Offset, member string, count int16) {
	r := m.records[off]
	if r == nil {
		r = &modelRecord{}
		m.records[off] = r
	}
	switch {
	case m.final[off]:
		m.t.Errorf("record %d is delivered after it was acknowledged", off)
	case r.status != available:
		m.t.Errorf("record %d is delivered to %s while it is %+v", off, member, *r)
	case count != r.count+1:
		m.t.Errorf("record %d is delivered with count %d after %d deliveries", off, count, r.count)
	case m.committed && m.isAborted(off):
		m.t.Errorf("record %d of an aborted transaction is delivered", off)
	case off < m.logStart:
		m.t.Errorf("record %d is delivered, which is gone from the log", off)
	}
	*r = modelRecord{status: acquired, count: count, member: member, until: m.now.Add(m.settings.LockDuration)}
}

// check is what always holds.
func (m *model) check() {
	next := m.p.NextFetch()
	if next < m.p.Start() || next > m.p.next {
		m.t.Errorf("the next fetch is at %d, in flight are %d to %d", next, m.p.Start(), m.p.next-1)
	}
	if r := m.records[next]; r != nil && r.status != available {
		m.t.Errorf("the next fetch is at %d, which is %+v", next, *r)
	}
	for off, r := range m.records {
		if off < next && off >= m.p.Start() && r.status == available && m.inLog(off) {
			m.t.Errorf("the next fetch is at %d, before it %d is available", next, off)
		}
		if off < m.p.Start() && off >= m.logStart && !r.done() && m.inLog(off) && !(m.committed && m.isAborted(off)) {
			m.t.Errorf("start is %d, before it %d is %+v", m.p.Start(), off, *r)
		}
	}
	m.checkShape()
}

// checkShape is what the fields of Partition and batch say of themselves.
func (m *model) checkShape() {
	p := m.p
	if len(p.batches) == 0 && p.start != p.next || len(p.batches) > 0 && (p.start != p.batches[0].first || p.batches[len(p.batches)-1].last != p.next-1) {
		m.t.Errorf("in flight are %d to %d in %d batches", p.start, p.next-1, len(p.batches))
	}
	end := kafka.NoOffset
	for _, b := range p.batches {
		off := b.first
		for i, r := range b.runs {
			if r.first != off || r.last < off || i > 0 && r.record == b.runs[i-1].record {
				m.t.Errorf("batch %d to %d has runs %+v", b.first, b.last, b.runs)
			}
			off = r.last + 1
		}
		if b.first <= end || off != b.last+1 {
			m.t.Errorf("batch %d to %d after %d, its runs end at %d", b.first, b.last, end, off-1)
		}
		end = b.last
	}
}

// drain has one member accept all that is left, and looks for what was never delivered.
func (m *model) drain() {
	for range 4000 {
		m.settle(9)
		m.expire(m.settings.LockDuration)
		w := Want{Member: "last", MaxRecords: 100, BatchSize: 1}
		read := m.read(m.p.NextFetch(), 5)
		m.took(w, read, m.p.Acquire(m.now, w, read))
		var acks []Acknowledgement
		for _, off := range m.holding("last") {
			acks = append(acks, Acknowledgement{First: off, Last: off, Types: []AcknowledgeType{Accept}})
		}
		m.tell("last", acks)
		m.nextWrite()
		if m.p.Start() == m.end() {
			break
		}
	}
	m.settle(9)
	if m.p.Start() != m.end() {
		m.t.Errorf("it ends at %d, the log at %d", m.p.Start(), m.end())
	}
	for _, b := range m.log {
		for off := max(b.First, m.logStart); off <= b.Last; off++ {
			if !m.ended[off] && !(m.committed && m.isAborted(off)) {
				m.t.Errorf("record %d was left out", off)
			}
		}
	}
}
