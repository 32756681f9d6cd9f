package commitlog

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/storage/epochs"
	"github.com/headrace/headrace/internal/storage/producers"
)

// appended is a batch that the log has, as the model remembers it.
type appended struct {
	header batch.Header
	bytes  []byte
}

// model is what the log should hold: all batches of the present history, those that retention deleted too.
type model struct {
	t       *testing.T
	r       *rand.Rand
	l       *Log
	batches []appended
	also    []appended // what the disk may hold besides while an operation is under way
	safe    kafka.Offset
	epoch   kafka.LeaderEpoch
	epochs  epochs.Cache
	seqs    map[kafka.ProducerID]*source
	ts      int64
	step    string
	base    kafka.Offset // where the history begins
	config  Config
	lazy    bool // the log makes its folder at the first append
}

// source is a producer of the model.
type source struct {
	epoch kafka.ProducerEpoch
	seq   int32
	inTxn bool
}

func newModel(t *testing.T, seed uint64) *model {
	return &model{t: t, r: rand.New(rand.NewPCG(seed, 7)), seqs: map[kafka.ProducerID]*source{}}
}

func (m *model) end() kafka.Offset {
	if len(m.batches) == 0 {
		return m.base
	}
	return m.batches[len(m.batches)-1].header.NextOffset()
}

func (m *model) randomBatch() batch.Validated {
	m.ts += int64(m.r.IntN(20)) - 5
	n, size := 1+m.r.IntN(4), m.r.IntN(120)
	if m.r.IntN(3) == 0 {
		return records(n, size, m.ts)
	}
	pid := kafka.ProducerID(100 + m.r.IntN(4))
	s := m.seqs[pid]
	if s == nil {
		s = &source{}
		m.seqs[pid] = s
	}
	if pid >= 102 {
		return m.randomTxn(pid, s, n, size)
	}
	if m.r.IntN(20) == 0 {
		s.epoch, s.seq = s.epoch+1, 0
	}
	v := build(batch.BuilderConfig{ProducerID: pid, Epoch: s.epoch, BaseSequence: s.seq, ZeroProducer: true}, n, size, m.ts)
	s.seq += int32(n)
	return v
}

// randomTxn is a batch of a transaction, or the marker that ends it; there are markers of transactions that wrote nothing, and some come
// twice. The epoch of the last producer is raised by its markers, as from transaction.version 2 on.
func (m *model) randomTxn(pid kafka.ProducerID, s *source, n, size int) batch.Validated {
	if s.inTxn && m.r.IntN(3) == 0 || !s.inTxn && m.r.IntN(8) == 0 {
		raised := pid == 103 && (s.inTxn || m.r.IntN(2) == 0)
		if s.inTxn = false; raised {
			s.epoch, s.seq = s.epoch+1, 0
		}
		return batch.EndTxnMarker(pid, s.epoch, 1, batch.ControlType(m.r.IntN(2)), start.UnixMilli()+m.ts)
	}
	s.inTxn = true
	v := build(batch.BuilderConfig{ProducerID: pid, Epoch: s.epoch, BaseSequence: s.seq, Transactional: true, ZeroProducer: true}, n, size, m.ts)
	s.seq += int32(n)
	return v
}

func (m *model) append(v batch.Validated) {
	h := v.Header
	h.BaseOffset, h.LeaderEpoch = m.end(), m.epoch
	b := slices.Clone(v.Batch)
	batch.StampOffset(b, h.BaseOffset, m.epoch)
	m.also = []appended{{h, b}}
	m.epochs.Assign(m.epoch, h.BaseOffset)
	origin := OriginClient
	if h.Attributes.IsControl() {
		origin = OriginOfMarker(int16(h.ProducerID - 101))
	}
	a, err := m.l.AppendLeader(start, v, m.epoch, origin)
	if err != nil || a.First != h.BaseOffset || a.Duplicate {
		m.t.Fatalf("%s: append: %+v %v", m.step, a, err)
	}
	m.batches, m.also = append(m.batches, appended{h, b}), nil
}

// cut forgets the batches that reach o or beyond.
func (m *model) cut(o kafka.Offset) {
	n := len(m.batches)
	for n > 0 && m.batches[n-1].header.LastOffset() >= o {
		n--
	}
	m.also = m.batches[n:]
	m.batches = slices.Clone(m.batches[:n])
	m.seqs = map[kafka.ProducerID]*source{}
	for _, s := range m.table(m.batches).States() {
		m.seqs[s.ProducerID] = &source{epoch: s.Epoch, seq: s.LastSequence + 1, inTxn: s.TxnStart != kafka.NoOffset}
	}
}

// table is the producers' state after batches.
func (m *model) table(batches []appended) *producers.Table {
	var t producers.Table
	for _, b := range batches {
		if !b.header.HasProducer() {
			continue
		}
		if !b.header.Attributes.IsControl() {
			t.Appended(b.header)
			continue
		}
		mk, _, err := producers.ParseMarker(b.header, b.bytes)
		must(m.t, err)
		t.AppendedMarker(mk, b.header.BaseOffset)
	}
	return &t
}

// op does one random operation.
func (m *model) op(truncate bool) {
	switch x := m.r.IntN(100); {
	case x < 60:
		m.step = "append"
		m.append(m.randomBatch())
	case x < 80:
		m.step = "flush"
		if x%2 == 0 {
			mustFlush(m.t, m.l)
		} else {
			mustSyncAll(m.t, m.l)
		}
		m.safe = m.l.End()
	case x < 84:
		m.step = "epoch"
		m.epoch += kafka.LeaderEpoch(1 + m.r.IntN(2))
		m.epochs.Assign(m.epoch, m.end())
		must(m.t, m.l.AssignEpoch(m.epoch))
	case x < 88:
		m.step = "roll"
		must(m.t, m.l.RollIfDue(start.Add(1e6*time.Hour)))
	case x < 91:
		m.step = "retain"
		_, err := m.l.Retain(start.Add(time.Hour), m.safe)
		must(m.t, err)
		m.l.DeleteExpiredFiles(start.Add(time.Hour))
	case x < 93 && m.l.Start() < m.safe:
		m.step = "advance"
		must(m.t, m.l.AdvanceStart(m.l.Start()+1))
		m.epochs.TruncateFromStart(m.l.Start())
	case x < 97 && truncate:
		m.step = "truncate"
		o := m.l.End()
		if b := m.batches; len(b) > 0 {
			if h := b[m.r.IntN(len(b))].header; h.BaseOffset >= m.l.Start() {
				o = h.BaseOffset + kafka.Offset(m.r.Int32N(h.LastOffsetDelta+2))
			}
		}
		m.cut(o)
		m.safe = min(m.safe, m.end())
		must(m.t, m.l.TruncateTo(o))
		m.epochs.TruncateFromEnd(m.l.End())
		m.also = nil
	case x < 98 && truncate && m.r.IntN(3) == 0:
		m.step = "anew"
		o := m.l.End() + kafka.Offset(m.r.IntN(10))
		m.also, m.batches, m.safe, m.seqs = m.batches, nil, 0, map[kafka.ProducerID]*source{}
		m.epochs.Clear()
		must(m.t, m.l.TruncateFullyAndStartAt(o))
		m.also, m.safe, m.base = nil, o, o
	}
}

// checkCrash opens what a crash left and compares it with the model. point is the checkpointed recovery point.
func (m *model) checkCrash(where string, disk *vfs.Mem, point, logStart kafka.Offset) {
	t := m.t
	t.Helper()
	o := options(disk)
	o.RecoveryPoint, o.LogStart, o.Config, o.Lazy = point, logStart, m.config, m.lazy
	l, err := Open(o)
	if err != nil {
		t.Fatalf("%s: %v\n%v", where, err, names(t, disk))
	}
	defer l.CloseAbrupt()
	if l.End() < m.safe {
		t.Fatalf("%s: log ends at %d, but %d was flushed (point %d)", where, l.End(), m.safe, point)
	}
	kept := m.compare(where, l)
	if m.step != "anew" {
		m.checkProducers(where, l, kept)
	}
	if _, err := l.Flush(); err != nil || l.Flushed() != l.End() {
		t.Fatalf("%s: flush after recovery: %v", where, err)
	}
	o.FS, o.RecoveryPoint = disk.CrashClone(nil), 0
	again, err := Open(o)
	if err != nil || again.End() < l.End() {
		t.Fatalf("%s: after a power cut that followed a flush that followed the recovery it ends before %d: %v", where, l.End(), err)
	}
	again.CloseAbrupt()
}

// mustSyncAll makes the log durable as a round of many does.
func mustSyncAll(t *testing.T, l *Log) {
	end, err := l.Dirty()
	must(t, err)
	must(t, l.fs.SyncFS("/data"))
	l.MarkFlushed(end)
	if l.Flushed() != l.End() {
		t.Fatalf("flushed %d of %d", l.Flushed(), l.End())
	}
}

// compare wants what l holds to be consecutive batches of the model, and returns the model's batches up to l's end.
func (m *model) compare(where string, l *Log) (kept []appended) {
	t := m.t
	t.Helper()
	possible := map[kafka.Offset][]appended{}
	for _, b := range slices.Concat(m.batches, m.also) {
		possible[b.header.BaseOffset] = append(possible[b.header.BaseOffset], b)
	}
	got := readAll(t, l, 700)
	next := kafka.NoOffset
	var seen []appended
	for one, err := range batch.Split(got) {
		must(t, err)
		h, err := batch.ParseHeader(one)
		must(t, err)
		if next >= 0 && h.BaseOffset != next {
			t.Fatalf("%s: offset %d after %d", where, h.BaseOffset, next-1)
		}
		i := slices.IndexFunc(possible[h.BaseOffset], func(b appended) bool { return bytes.Equal(b.bytes, one) })
		if i < 0 {
			t.Fatalf("%s: batch at offset %d is none that was appended", where, h.BaseOffset)
		}
		if m.l.Start() <= h.BaseOffset && l.EpochForOffset(h.BaseOffset) != h.LeaderEpoch {
			t.Fatalf("%s: epoch of offset %d is %d, want %d (%v)", where, h.BaseOffset, l.EpochForOffset(h.BaseOffset), h.LeaderEpoch, l.mu.epochs.Entries())
		}
		seen = append(seen, possible[h.BaseOffset][i])
		next = h.NextOffset()
	}
	if len(seen) > 0 && seen[0].header.BaseOffset > max(m.l.Start(), m.base) && m.step != "anew" {
		t.Fatalf("%s: log begins at %d, after %d", where, seen[0].header.BaseOffset, m.l.Start())
	}
	if next >= 0 && next != l.End() {
		t.Fatalf("%s: last batch ends at %d, log at %d", where, next, l.End())
	}
	first := l.End()
	if len(seen) > 0 {
		first = seen[0].header.BaseOffset
	}
	for _, b := range slices.Concat(m.batches, m.also) {
		if b.header.NextOffset() <= first && (len(kept) == 0 || b.header.BaseOffset == kept[len(kept)-1].header.NextOffset()) {
			kept = append(kept, b)
		}
	}
	return append(kept, seen...)
}

func (m *model) checkProducers(where string, l *Log, kept []appended) {
	t := m.t
	t.Helper()
	want := m.table(kept)
	got, exp := l.Producers(start), want.States()
	if !slices.Equal(got, exp) {
		t.Fatalf("%s: producers\n%+v, want\n%+v", where, got, exp)
	}
	gu, gok := l.FirstUnstable()
	wu, wok := wantUnstable(exp)
	if wok && (!gok || gu > max(wu, l.Start())) {
		t.Fatalf("%s: first unstable %d %v, want %d %v", where, gu, gok, wu, wok)
	}
	l.Replicated(l.End())
	if gu, gok := l.FirstUnstable(); gok != wok || gok && gu != max(wu, l.Start()) {
		t.Fatalf("%s: with all markers replicated, first unstable %d %v, want %d %v", where, gu, gok, wu, wok)
	}
	for _, s := range exp {
		m.checkWindow(where, l, s, kept)
	}
	m.checkAborted(where, l, kept)
}

func wantUnstable(states []producers.State) (kafka.Offset, bool) {
	first, ok := kafka.NoOffset, false
	for _, s := range states {
		if s.TxnStart != kafka.NoOffset && (!ok || s.TxnStart < first) {
			first, ok = s.TxnStart, true
		}
	}
	return first, ok
}

// checkWindow sends the last five batches of a producer again, from the oldest on.
func (m *model) checkWindow(where string, l *Log, s producers.State, kept []appended) {
	t := m.t
	t.Helper()
	var last []appended
	for i := len(kept) - 1; i >= 0 && len(last) < producers.Window; i-- {
		h := kept[i].header
		if h.ProducerID != s.ProducerID || h.Attributes.IsControl() {
			continue
		}
		if h.ProducerEpoch != s.Epoch || h.BaseOffset < l.mu.segments[0].Base() {
			break
		}
		last = append(last, kept[i])
	}
	slices.Reverse(last)
	for _, b := range last {
		a, err := l.AppendLeader(start, batch.Validated{Batch: slices.Clone(b.bytes), Header: b.header}, 0, OriginClient)
		if err != nil || !a.Duplicate || a.First != b.header.BaseOffset || a.Last != b.header.LastOffset() {
			t.Fatalf("%s: batch at %d of producer %d sent again: %+v %v", where, b.header.BaseOffset, s.ProducerID, a, err)
		}
	}
}

func (m *model) checkAborted(where string, l *Log, kept []appended) {
	t := m.t
	t.Helper()
	var want []AbortedTxn
	from := max(m.l.Start(), l.mu.segments[0].Base()) // deleted segments may be back in part
	open := map[kafka.ProducerID]kafka.Offset{}
	for _, b := range kept {
		h := b.header
		if !h.Attributes.IsTransactional() {
			continue
		}
		first, ok := open[h.ProducerID]
		if !h.Attributes.IsControl() {
			if !ok {
				open[h.ProducerID] = h.BaseOffset
			}
			continue
		}
		mk, _, _ := producers.ParseMarker(h, b.bytes)
		if ok && mk.Abort && h.BaseOffset >= from {
			want = append(want, AbortedTxn{ProducerID: h.ProducerID, First: first, Last: h.BaseOffset})
		}
		delete(open, h.ProducerID)
	}
	slices.SortFunc(want, func(a, b AbortedTxn) int { return compareOffsets(a.First, b.First) })
	got, err := l.AbortedTxns(from, l.End())
	must(t, err)
	if !slices.Equal(got, want) {
		t.Fatalf("%s: aborted %+v, want %+v", where, got, want)
	}
}

// A power cut before each change that the log makes to the disk: nothing flushed is lost, what is there is a prefix of
// what was appended, and producers, epochs and transactions are those of that prefix.
func TestPowerCutAtEveryWriteLosesNothingFlushed(t *testing.T) {
	seeds, steps := 10, 120
	if testing.Short() {
		seeds = 4
	}
	if n, err := strconv.Atoi(os.Getenv("CRASH_SEEDS")); err == nil {
		seeds = n
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			crashRun(t, uint64(seed), steps, seed%2 == 0)
		})
	}
}

func crashRun(t *testing.T, seed uint64, steps int, truncate bool) {
	m := newModel(t, seed)
	m.lazy = seed%4 > 1
	disk := newDisk(t)
	tear := rand.New(rand.NewPCG(seed, 99))
	visits := 0
	visit := func(next vfs.Op, after *vfs.Mem) {
		if m.l == nil {
			return
		}
		visits++
		point, logStart := m.safe, m.l.Start()
		if tear.IntN(3) == 0 {
			point = kafka.Offset(tear.Int64N(int64(point) + 1))
		}
		if tear.IntN(2) == 0 {
			logStart = 0
		}
		where := fmt.Sprintf("seed %d step %q before %v", seed, m.step, next)
		m.checkCrash(where+", all unsynced lost", after, point, logStart)
		m.checkCrash(where+", torn", disk.CrashClone(tear), point, logStart)
		m.checkCrash(where+", kill -9", disk.Clone(), point, logStart)
	}
	err := vfs.CrashPoints(disk, nil, func(fsys vfs.FS) error {
		o := options(fsys)
		o.Config.RetentionBytes = 6000
		m.config, o.Lazy = o.Config, m.lazy
		m.l = mustOpen(t, o)
		for i := range steps {
			m.op(truncate)
			if testing.Verbose() {
				t.Logf("%d %s: %d..%d flushed %d segs %d epoch %d", i, m.step, m.l.Start(), m.l.End(), m.l.Flushed(), m.l.SegmentCount(), m.epoch)
			}
		}
		m.step = "close"
		return m.l.Close(start)
	}, visit)
	must(t, err)
	o := options(disk.CrashClone(nil))
	o.Clean, o.RecoveryPoint, o.LogStart = true, m.l.End(), m.l.Start()
	l := mustOpen(t, o)
	if l.End() != m.l.End() || l.Start() != m.l.Start() {
		t.Fatalf("after a clean stop %d..%d, want %d..%d", l.Start(), l.End(), m.l.Start(), m.l.End())
	}
	m.checkProducers("clean stop", l, m.compare("clean stop", l))
	if visits < steps/2 {
		t.Errorf("only %d visits", visits)
	}
}
