package share

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/kafka"
)

// modelRecord is one record in flight, as simply as it can be kept.
type modelRecord struct {
	status status
	count  int16
	member string
	until  time.Time
	change Change
	to     status
}

func (r *modelRecord) held(member string) bool {
	return r.status == acquired && r.change == 0 && r.member == member
}

func (r *modelRecord) done() bool { return r.status == acknowledged || r.status == archived }

// kept is what a share coordinator has of one record.
type kept struct {
	state DeliveryState
	count int16
}

// model runs members over a Partition whose writes lag, fail or fail after they were done, and whose leader moves, beside
// one modelRecord for each record. It checks that a record is delivered to nobody else while it is locked, and never after
// it was acknowledged; that each delivery is counted; and at the end that nothing was left out.
type model struct {
	t        *testing.T
	rng      *rand.Rand
	now      time.Time
	settings Settings

	p         *Partition
	log       []LogBatch
	aborted   map[kafka.Offset]AbortedTransaction // by the offset of their markers
	committed bool                                // the group reads only what is committed
	compacts  bool
	logStart  kafka.Offset

	records map[kafka.Offset]*modelRecord
	flight  *Write // the write that is not settled
	through Change // the last change that it has
	last    Change

	start kafka.Offset // what the coordinator keeps
	keeps map[kafka.Offset]kept
	final map[kafka.Offset]bool // told to be acknowledged or archived
	ended map[kafka.Offset]bool // those, and what was delivered often enough
}

func TestPartitionAgainstOneRecordAtATime(t *testing.T) {
	seeds := uint64(400)
	if testing.Short() {
		seeds = 40
	}
	for seed := range seeds {
		m := newModel(t, seed)
		for i := range 400 {
			m.act()
			m.check()
			if t.Failed() {
				t.Fatalf("seed %d, action %d", seed, i)
			}
		}
		m.drain()
		if t.Failed() {
			t.Fatalf("seed %d, at the end", seed)
		}
	}
}

func newModel(t *testing.T, seed uint64) *model {
	m := &model{t: t, rng: rand.New(rand.NewPCG(seed, 7)), now: time.Unix(1000, 0), settings: DefaultSettings(),
		aborted: map[kafka.Offset]AbortedTransaction{}, keeps: map[kafka.Offset]kept{}, final: map[kafka.Offset]bool{},
		ended: map[kafka.Offset]bool{}}
	m.settings.MaxLocks = 10 + m.rng.IntN(60)
	m.committed, m.compacts = seed%3 == 1, seed%4 == 2
	m.write()
	m.load()
	return m
}

// write fills the log: batches of two transactional producers and of a plain one.
func (m *model) write() {
	open := map[kafka.ProducerID]kafka.Offset{}
	var off kafka.Offset
	add := func(n int, b LogBatch) {
		b.First, b.Last = off, off+kafka.Offset(n)-1
		m.log, off = append(m.log, b), b.Last+1
	}
	end := func(producer kafka.ProducerID) {
		first, ok := open[producer]
		if !ok {
			return
		}
		delete(open, producer)
		abort := m.rng.IntN(2) == 0
		if abort {
			m.aborted[off] = AbortedTransaction{Producer: producer, First: first}
		}
		add(1, LogBatch{Producer: producer, Transactional: true, AbortMarker: abort})
	}
	for range 60 {
		producer := kafka.ProducerID(m.rng.IntN(4))
		if producer > 2 {
			end(kafka.ProducerID(1 + m.rng.IntN(2)))
			continue
		}
		if _, ok := open[producer]; !ok && producer > 0 {
			open[producer] = off
		}
		add(1+m.rng.IntN(12), LogBatch{Producer: producer, Transactional: producer > 0})
	}
	end(1)
	end(2)
	add(1, LogBatch{Producer: kafka.NoProducerID})
}

func (m *model) end() kafka.Offset { return m.log[len(m.log)-1].Last + 1 }

// load makes the Partition of what the coordinator keeps, as a new leader does.
func (m *model) load() {
	state := State{StateEpoch: 3, LeaderEpoch: 5, Start: m.start}
	m.records = map[kafka.Offset]*modelRecord{}
	for _, off := range slices.Sorted(maps.Keys(m.keeps)) {
		k := m.keeps[off]
		state.Batches = AppendState(state.Batches, StateBatch{First: off, Last: off, State: k.state, Deliveries: k.count})
		s, _ := loadedStatus(k.state)
		m.records[off] = &modelRecord{status: s, count: k.count}
	}
	p, err := Load(m.settings, state)
	if err != nil {
		m.t.Fatal(err)
	}
	m.p, m.flight, m.last = p, nil, 0
	p.MoveLogStart(m.logStart)
	for off := range m.final {
		if k, ok := m.keeps[off]; off >= m.start && (!ok || k.state == Available) {
			m.t.Errorf("record %d was acknowledged and is not kept so: %v", off, k)
		}
	}
}

func (m *model) act() {
	member := fmt.Sprintf("m%d", m.rng.IntN(3))
	switch n := m.rng.IntN(100); {
	case n < 35:
		m.acquire(member)
	case n < 60:
		m.acknowledge(member)
	case n < 64:
		m.acknowledgeAnything(member)
	case n < 68:
		m.release(member)
	case n < 75:
		m.expire(time.Duration(m.rng.IntN(20)) * time.Second)
	case n < 82:
		m.nextWrite()
	case n < 92:
		m.settle(m.rng.IntN(10))
	case n < 94:
		m.move()
	case n < 95:
		m.moveLogStart()
	case n < 97 && m.compacts:
		m.compact()
	case n < 98:
		m.settings.MaxDeliveries = 2 + m.rng.IntN(6)
		m.p.Configure(m.settings)
	}
}

// read reads n batches from off on, as a fetch does.
func (m *model) read(off kafka.Offset, n int) Read {
	read := Read{From: off}
	for _, b := range m.log {
		if b.Last >= off && b.Last >= m.logStart && len(read.Batches) < n {
			read.Batches = append(read.Batches, b)
		}
	}
	if !m.committed || len(read.Batches) == 0 {
		return read
	}
	for marker, txn := range m.aborted {
		if marker >= off && txn.First <= read.Batches[len(read.Batches)-1].Last {
			read.Aborted = append(read.Aborted, txn)
		}
	}
	return read
}

func (m *model) isAborted(off kafka.Offset) bool {
	i := slices.IndexFunc(m.log, func(b LogBatch) bool { return b.First <= off && off <= b.Last })
	if i < 0 || !m.log[i].Transactional {
		return false
	}
	for marker, txn := range m.aborted {
		if txn.Producer == m.log[i].Producer && txn.First <= off && off < marker {
			return true
		}
	}
	return false
}

func (m *model) acquire(member string) {
	if !m.p.CanAcquire() {
		return
	}
	w := Want{Member: member, MaxRecords: 1 + m.rng.IntN(40), BatchSize: 1 + m.rng.IntN(20), RecordLimit: m.rng.IntN(3) == 0}
	read := m.read(m.p.NextFetch(), 1+m.rng.IntN(5))
	m.took(w, read, m.p.Acquire(m.now, w, read))
}

// holding lists what the member can acknowledge.
func (m *model) holding(member string) []kafka.Offset {
	var offs []kafka.Offset
	for off, r := range m.records {
		if off >= m.p.Start() && r.held(member) {
			offs = append(offs, off)
		}
	}
	slices.Sort(offs)
	return offs
}

// acknowledge acknowledges some of what the member holds, in several runs and of several types.
func (m *model) acknowledge(member string) {
	var acks []Acknowledgement
	for _, off := range m.holding(member) {
		if m.rng.IntN(8) == 0 {
			continue
		}
		t := AcknowledgeType(m.rng.IntN(5))
		if n := len(acks); n > 0 && acks[n-1].Last+1 == off {
			switch a := &acks[n-1]; {
			case m.rng.IntN(3) > 0: // one type for all
				a.Last, a.Types = off, a.Types[:1]
				continue
			case int64(a.Last-a.First)+1 == int64(len(a.Types)): // a type for each
				a.Last, a.Types = off, append(a.Types, t)
				continue
			}
		}
		acks = append(acks, Acknowledgement{First: off, Last: off, Types: []AcknowledgeType{t}})
	}
	m.tell(member, acks)
}

// acknowledgeAnything acknowledges records that the member may not hold.
func (m *model) acknowledgeAnything(member string) {
	first := max(0, m.p.Start()-5) + kafka.Offset(m.rng.IntN(30))
	m.tell(member, []Acknowledgement{{First: first, Last: first + kafka.Offset(m.rng.IntN(10)), Types: []AcknowledgeType{Accept}}})
}

func (m *model) tell(member string, acks []Acknowledgement) {
	if err := CheckAcknowledgements(acks, true); err != nil {
		m.t.Error(err)
	}
	wrong, unknown := false, false
	for _, a := range acks {
		for off := max(a.First, m.p.Start()); off <= a.Last; off++ {
			r := m.records[off]
			unknown = unknown || r == nil
			wrong = wrong || r != nil && !r.held(member)
		}
	}
	change, err := m.p.Acknowledge(m.now, member, acks)
	if wrong && err == nil || !wrong && !unknown && err != nil {
		m.t.Errorf("%s acknowledges %v: %v", member, acks, err)
	}
	if err != nil {
		return
	}
	for _, a := range acks {
		for off := max(a.First, m.p.Start()); off <= a.Last; off++ {
			if r := m.records[off]; r != nil {
				m.acknowledged(r, a.Types[min(int(off-a.First), len(a.Types)-1)], change)
			}
		}
	}
	m.changed(change)
}

func (m *model) acknowledged(r *modelRecord, t AcknowledgeType, change Change) {
	switch t {
	case Renew:
		r.until = m.now.Add(m.settings.LockDuration)
		return
	case Accept:
		r.to = acknowledged
	case Release:
		r.to = m.released(r)
	default:
		r.to = archived
	}
	r.change = change
	if change == 0 {
		m.t.Error("an acknowledgement changed nothing")
	}
}

func (m *model) changed(change Change) {
	if change != 0 && change != m.last+1 {
		m.t.Errorf("change %d after %d", change, m.last)
	}
	m.last = max(m.last, change)
}

func (m *model) released(r *modelRecord) status {
	if int(r.count) >= m.settings.MaxDeliveries {
		return archived
	}
	return available
}

func (m *model) release(member string) {
	held := m.holding(member)
	change := m.p.Release(member)
	if (change != 0) != (len(held) > 0) {
		m.t.Errorf("release of %v is change %d", held, change)
	}
	for _, off := range held {
		r := m.records[off]
		r.change, r.to = change, m.released(r)
	}
	m.changed(change)
}

// lost ends the lock on a record.
func (m *model) lost(off kafka.Offset, r *modelRecord) {
	*r = modelRecord{status: m.released(r), count: r.count}
	m.ended[off] = m.ended[off] || r.done()
}

func (m *model) expire(d time.Duration) {
	m.now = m.now.Add(d)
	expected := false
	for off, r := range m.records {
		if off >= m.p.Start() && r.status == acquired && r.change == 0 && !r.until.After(m.now) {
			m.lost(off, r)
			expected = true
		}
	}
	if next := m.p.NextExpiry(); (!next.IsZero() && !next.After(m.now)) != expected {
		m.t.Errorf("the next lock ends at %v, now %v", next, m.now)
	}
	if m.p.Expire(m.now) != expected {
		m.t.Errorf("expired: not %v", expected)
	}
}

func (m *model) nextWrite() {
	w, ok := m.p.NextWrite()
	if ok && m.flight != nil {
		m.t.Error("two writes in flight")
	}
	if !ok {
		for off, r := range m.records {
			if m.flight == nil && r.change != 0 && off >= m.p.Start() {
				m.t.Errorf("record %d waits for a write", off)
			}
		}
		return
	}
	m.flight, m.through = &w, m.last
	for off, r := range m.records {
		if off < w.Start && off >= m.logStart && !r.done() && (r.change == 0 || r.to == available) && m.inLog(off) {
			m.t.Errorf("a write starts at %d with record %d %+v", w.Start, off, *r)
		}
	}
	for _, b := range w.Batches {
		for off := b.First; off <= b.Last; off++ {
			m.checkWritten(off, m.records[off], kept{b.State, b.Deliveries})
		}
	}
}

func (m *model) inLog(off kafka.Offset) bool {
	return slices.ContainsFunc(m.log, func(b LogBatch) bool { return b.First <= off && off <= b.Last })
}

func (m *model) checkWritten(off kafka.Offset, r *modelRecord, w kept) {
	if w.state == Archived && (!m.inLog(off) || m.committed && m.isAborted(off)) {
		return
	}
	if r == nil {
		m.t.Errorf("record %d is written as %v and never was in flight", off, w)
		return
	}
	is := record{status: r.status, deliveries: r.count}
	switch {
	case r.change != 0:
		is.status = r.to
	case r.status == acquired: // the delivery before this one
		is = record{status: available, deliveries: r.count - 1}
	}
	if w != (kept{is.state(), is.deliveries}) {
		m.t.Errorf("record %d %+v is written as %v", off, *r, w)
	}
}

// settle has the write succeed, fail, or fail for the leader alone.
func (m *model) settle(fate int) {
	if m.flight == nil {
		return
	}
	w := m.flight
	m.flight = nil
	if fate > 0 {
		m.keep(w)
	}
	var err error
	if fate < 2 {
		err = kerr.CoordinatorNotAvailable
	}
	for off, r := range m.records {
		if r.change == 0 || r.change > m.through || off < m.p.Start() {
			continue
		}
		switch {
		case err == nil:
			*r = modelRecord{status: r.to, count: r.count}
			if r.done() {
				m.final[off], m.ended[off] = true, true
			}
		case r.until.After(m.now):
			r.change = 0
		default:
			m.lost(off, r)
		}
	}
	if through := m.p.Settle(m.now, err); through != m.through {
		m.t.Errorf("changes up to %d are settled, not up to %d", through, m.through)
	}
}

// keep is the share coordinator taking in a write.
func (m *model) keep(w *Write) {
	for off, r := range m.records {
		if r.change != 0 && r.change <= m.through && r.to != available {
			m.ended[off] = true // whether or not the leader learns it
		}
	}
	m.start = w.Start
	for _, b := range w.Batches {
		for off := b.First; off <= b.Last; off++ {
			m.keeps[off] = kept{b.State, b.Deliveries}
		}
	}
	maps.DeleteFunc(m.keeps, func(off kafka.Offset, _ kept) bool { return off < m.start })
}

// move makes another node the leader, with or without the write in flight.
func (m *model) move() {
	if m.flight != nil && m.rng.IntN(2) == 0 {
		m.keep(m.flight)
	}
	m.load()
}

func (m *model) moveLogStart() {
	m.logStart = max(m.logStart, m.p.Start()+kafka.Offset(m.rng.IntN(20)-10))
	m.logStart = min(m.logStart, m.end()-1)
	m.p.MoveLogStart(m.logStart)
}

func (m *model) compact() {
	if i := m.rng.IntN(len(m.log)); i < len(m.log)-1 && !m.committed {
		m.log = slices.Delete(m.log, i, i+1)
	}
}
