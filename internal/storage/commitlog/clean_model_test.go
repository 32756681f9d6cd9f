package commitlog

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/compress"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/storage/cleaner"
)

// keyed is a record that was appended to a compacted log.
type keyed struct {
	batch.Record
	pid kafka.ProducerID
	txn bool
}

// end is a marker that was appended.
type txnEnd struct {
	pid   kafka.ProducerID
	abort bool
}

// compacted is the model of a compacted log: all that was ever appended to it.
type compacted struct {
	t       *testing.T
	r       *rand.Rand
	l       *Log
	now     time.Time
	records map[kafka.Offset]keyed
	markers map[kafka.Offset]txnEnd
	end     kafka.Offset // of what was appended, or is being
	safe    kafka.Offset
	sent    map[kafka.ProducerID]appended     // the last batch of each producer, in its present epoch
	raised  map[kafka.ProducerID]kafka.Offset // the last marker of each producer that raised its epoch
	sources map[kafka.ProducerID]*source
	// horizons are the times from which on tombstones may go, by offset, as the log last said; cleanedAt is the latest
	// time at which it was cleaned.
	horizons  map[kafka.Offset]int64
	cleanedAt int64
	step      string
	cleanings int
	dropped   int64
}

func newCompacted(t *testing.T, seed uint64) *compacted {
	return &compacted{t: t, r: rand.New(rand.NewPCG(seed, 5)), now: start, records: map[kafka.Offset]keyed{}, markers: map[kafka.Offset]txnEnd{},
		sent: map[kafka.ProducerID]appended{}, raised: map[kafka.ProducerID]kafka.Offset{}, sources: map[kafka.ProducerID]*source{}, horizons: map[kafka.Offset]int64{}}
}

func compactedOptions(fsys vfs.FS) OpenOptions {
	o := options(fsys)
	o.Config.Delete, o.Config.Compact = false, true
	o.Config.SegmentBytes, o.Config.ProducerExpiration = 1500, 1e6*time.Hour
	o.Config.Compaction = cleaner.Rules{MaxLag: cleaner.Never, DeleteRetention: time.Hour}
	return o
}

func (m *compacted) append() {
	c := batch.BuilderConfig{Codec: compress.Codec(m.r.IntN(5)), BaseSequence: 0, ZeroProducer: true, ProducerID: kafka.NoProducerID, Epoch: -1}
	pid := kafka.ProducerID(m.r.IntN(7)) - 2
	if pid >= 0 {
		s := m.sources[pid]
		if s == nil {
			s = &source{}
			m.sources[pid] = s
		}
		if s.inTxn && m.r.IntN(3) == 0 {
			m.mark(pid, s)
			return
		}
		s.inTxn = s.inTxn || pid >= 3
		c.ProducerID, c.Epoch, c.BaseSequence, c.Transactional = pid, s.epoch, s.seq, s.inTxn
	} else {
		c.BaseSequence = kafka.NoSequence
	}
	b := batch.NewBuilder(c)
	n := 1 + m.r.IntN(4)
	base := m.l.End()
	for i := range n {
		rec := m.randomRecord(base + kafka.Offset(i))
		m.records[rec.Offset] = keyed{rec, pid, c.Transactional}
		b.Append(rec.Timestamp, rec.Key, rec.Value, rec.Headers)
	}
	m.end = base + kafka.Offset(n)
	v := b.Finish()
	a, err := m.l.AppendLeader(m.now, v, 0, OriginClient)
	if err != nil || a.First != base || a.Duplicate {
		m.t.Fatalf("append: %+v %v", a, err)
	}
	if pid >= 0 {
		m.sources[pid].seq += int32(n)
		h := v.Header
		h.BaseOffset = base
		m.sent[pid] = appended{h, slices.Clone(v.Batch)}
	}
}

func (m *compacted) randomRecord(o kafka.Offset) batch.Record {
	r := batch.Record{Offset: o, Timestamp: m.now.UnixMilli() + m.r.Int64N(100) - 50, Key: fmt.Appendf(nil, "k%d", m.r.IntN(12)),
		Value: bytes.Repeat([]byte{byte('a' + o%26)}, m.r.IntN(80))}
	if m.r.IntN(4) == 0 {
		r.Value = nil
	}
	for range m.r.IntN(3) {
		r.Headers = append(r.Headers, batch.RecordHeader{Key: strconv.Itoa(m.r.IntN(5)), Value: []byte{byte(o)}})
	}
	return r
}

func (m *compacted) mark(pid kafka.ProducerID, s *source) {
	kind := batch.ControlType(m.r.IntN(2))
	o := m.l.End()
	m.markers[o] = txnEnd{pid, kind == batch.ControlAbort}
	m.end = o + 1
	s.inTxn = false
	txnVersion := int16(pid - 2) // 1 or 2
	if txnVersion == 2 {
		s.epoch, s.seq = s.epoch+1, 0
		delete(m.sent, pid) // whose epoch is over
		m.raised[pid] = o
	}
	_, err := m.l.AppendLeader(m.now, batch.EndTxnMarker(pid, s.epoch, 1, kind, m.now.UnixMilli()), 0, OriginOfMarker(txnVersion))
	must(m.t, err)
}

// op does one random operation.
func (m *compacted) op() {
	switch x := m.r.IntN(100); {
	case x < 62:
		m.step = "append"
		m.append()
	case x < 72:
		m.step = "flush"
		mustFlush(m.t, m.l)
		m.safe = m.l.End()
	case x < 80:
		m.step = "roll"
		must(m.t, m.l.roll(m.now, m.l.End()))
	case x < 88: // clocks jump, back too
		m.now = m.now.Add(time.Duration(m.r.IntN(90)-20) * time.Minute)
	default:
		if m.r.IntN(2) == 0 { // an open transaction keeps all that follows it from being cleaned
			m.step = "append"
			m.endTxns()
		}
		m.step = "clean"
		m.clean()
	}
}

func (m *compacted) endTxns() {
	for pid := range kafka.ProducerID(5) {
		if s := m.sources[pid]; s != nil && s.inTxn {
			m.mark(pid, s)
		}
	}
}

func (m *compacted) stable(l *Log) kafka.Offset {
	l.Replicated(l.End())
	if o, ok := l.FirstUnstable(); ok {
		return o
	}
	return l.End()
}

// ample resources let a cleaning go through all that is dirty.
func ample() cleaner.Resources {
	return cleaner.Resources{MapBytes: 24 << 10, MapLoad: 0.9, BufferBytes: 4096, Throttle: func(int) error { return nil }}
}

func (m *compacted) resources() cleaner.Resources {
	res := ample()
	if m.r.IntN(3) == 0 {
		res.MapBytes = 24 * 8 // full at once
	}
	return res
}

func (m *compacted) clean() {
	m.cleanedAt = max(m.cleanedAt, m.now.UnixMilli())
	n, err := m.l.Clean(m.now, m.stable(m.l), m.resources())
	must(m.t, err)
	m.safe = max(m.safe, m.l.Flushed())
	m.cleanings++
	m.dropped += n.RecordsRead - n.RecordsKept
	m.check("after cleaning", m.l)
	m.checkUnique()
	m.noteHorizons()
}

// each shows the batches of a log with their records.
func (m *compacted) each(l *Log, fn func(h batch.Header, rs []batch.Record)) {
	m.t.Helper()
	for one, err := range batch.Split(readAll(m.t, l, 900)) {
		must(m.t, err)
		must(m.t, batch.CheckCRC(one))
		h, err := batch.ParseHeader(one)
		must(m.t, err)
		var rs []batch.Record
		for r, err := range batch.Records(one, 1<<20) {
			must(m.t, err)
			r.Headers = slices.Clone(r.Headers)
			rs = append(rs, r)
		}
		fn(h, rs)
	}
}

// noteHorizons takes down what the log says, and that it never says something new of the same tombstone.
func (m *compacted) noteHorizons() {
	m.each(m.l, func(h batch.Header, rs []batch.Record) {
		at, ok := h.DeleteHorizon()
		for _, r := range rs {
			was, known := m.horizons[r.Offset]
			if known && (!ok || was != at) {
				m.t.Fatalf("horizon of offset %d is %d %v, was %d", r.Offset, at, ok, was)
			}
			if ok {
				m.horizons[r.Offset] = at
			}
		}
	})
}

// checkUnique wants each key once in what is clean.
func (m *compacted) checkUnique() {
	seen := map[string]kafka.Offset{}
	m.each(m.l, func(h batch.Header, rs []batch.Record) {
		for _, r := range rs {
			if h.Attributes.IsControl() || r.Offset >= m.l.Cleaned() {
				continue
			}
			if before, twice := seen[string(r.Key)]; twice {
				m.t.Fatalf("key %s is at %d and at %d, clean to %d", r.Key, before, r.Offset, m.l.Cleaned())
			}
			seen[string(r.Key)] = r.Offset
		}
	})
}

// fates tells of each transactional record below end whether it was aborted, and where the first open transaction begins.
func (m *compacted) fates(end kafka.Offset) (aborted map[kafka.Offset]bool, stable kafka.Offset) {
	aborted = map[kafka.Offset]bool{}
	open := map[kafka.ProducerID][]kafka.Offset{}
	for o := kafka.Offset(0); o < end; o++ {
		if r, ok := m.records[o]; ok && r.txn {
			open[r.pid] = append(open[r.pid], o)
		}
		if mk, ok := m.markers[o]; ok {
			for _, o := range open[mk.pid] {
				aborted[o] = mk.abort
			}
			delete(open, mk.pid)
		}
	}
	stable = end
	for _, os := range open {
		stable = min(stable, os[0])
	}
	return aborted, stable
}

// latest is the last committed value of each key below o, as the appends were; tombstones are nil.
func (m *compacted) latest(o kafka.Offset, aborted map[kafka.Offset]bool) map[string]kafka.Offset {
	last := map[string]kafka.Offset{}
	for at := range o {
		if r, ok := m.records[at]; ok && !aborted[at] {
			last[string(r.Key)] = at
		}
	}
	return last
}

// check holds a log, this one or what a crash left of it, against what was appended.
func (m *compacted) check(where string, l *Log) {
	t := m.t
	t.Helper()
	aborted, stable := m.fates(l.End())
	gone, err := l.AbortedTxns(0, l.End())
	must(t, err)
	isGone := func(pid kafka.ProducerID, o kafka.Offset) bool {
		return slices.ContainsFunc(gone, func(a AbortedTxn) bool { return a.ProducerID == pid && a.First <= o && o <= a.Last })
	}
	got, next := map[string]kafka.Offset{}, kafka.Offset(0)
	m.each(l, func(h batch.Header, rs []batch.Record) {
		if h.BaseOffset < next {
			t.Fatalf("%s: offset %d after %d", where, h.BaseOffset, next)
		}
		next = h.NextOffset()
		for _, r := range rs {
			if h.Attributes.IsControl() {
				if mk, ok := m.markers[r.Offset]; !ok || mk.pid != h.ProducerID {
					t.Fatalf("%s: no marker was appended at %d", where, r.Offset)
				}
				continue
			}
			want := m.records[r.Offset]
			if !sameRecord(r, want.Record) || h.ProducerID != max(want.pid, kafka.NoProducerID) {
				t.Fatalf("%s: %+v of producer %d was appended as %+v", where, r, h.ProducerID, want)
			}
			if r.Offset < stable && !(want.txn && isGone(want.pid, r.Offset)) {
				got[string(r.Key)] = r.Offset
			}
		}
	})
	for key, o := range m.latest(stable, aborted) {
		at, there := got[key]
		if there && at == o {
			continue
		}
		horizon, known := m.horizons[o]
		if !there && m.records[o].Value == nil && known && horizon <= m.cleanedAt {
			continue
		}
		t.Fatalf("%s: the last of key %s is at %d, now %d %v; horizon %d %v, cleaned at %d", where, key, o, at, there, horizon, known, m.cleanedAt)
	}
	if next != l.End() {
		t.Fatalf("%s: the last batch ends at %d, the log at %d", where, next, l.End())
	}
	m.checkState(where, l, stable)
}

func sameRecord(a, b batch.Record) bool {
	return a.Timestamp == b.Timestamp && bytes.Equal(a.Key, b.Key) && bytes.Equal(a.Value, b.Value) && (a.Value == nil) == (b.Value == nil) &&
		slices.EqualFunc(a.Headers, b.Headers, func(x, y batch.RecordHeader) bool { return x.Key == y.Key && bytes.Equal(x.Value, y.Value) })
}

// checkState wants the transactions that are open to be those of the model, and the last batch of each producer to be known.
func (m *compacted) checkState(where string, l *Log, stable kafka.Offset) {
	t := m.t
	t.Helper()
	if got := m.stable(l); got != stable {
		t.Fatalf("%s: stable up to %d of %d, want %d: %+v", where, got, l.End(), stable, l.Producers(m.now))
	}
	if l == m.l {
		return
	}
	for pid, b := range m.sent {
		if b.header.NextOffset() > l.End() {
			continue
		}
		a, err := l.AppendLeader(m.now, batch.Validated{Batch: slices.Clone(b.bytes), Header: b.header}, 0, OriginClient)
		if err != nil || !a.Duplicate || a.First != b.header.BaseOffset {
			t.Fatalf("%s: the last batch of producer %d, at %d, sent again: %+v %v", where, pid, b.header.BaseOffset, a, err)
		}
	}
	for pid, o := range m.raised {
		if o >= l.End() {
			continue
		}
		late := batch.EndTxnMarker(pid, m.sources[pid].epoch-1, 1, batch.ControlAbort, m.now.UnixMilli())
		if _, err := l.AppendLeader(m.now, late, 0, OriginOfMarker(2)); !errors.Is(err, kerr.InvalidProducerEpoch) {
			t.Fatalf("%s: a marker of an epoch of producer %d that is over since offset %d: %v", where, pid, o, err)
		}
	}
}

func (m *compacted) checkCrash(where string, disk *vfs.Mem, point kafka.Offset) {
	o := compactedOptions(disk)
	o.RecoveryPoint, o.Cleaned = point, m.l.mu.cleaning.upTo
	l, err := Open(o)
	if err != nil {
		m.t.Fatalf("%s: %v\n%v", where, err, names(m.t, disk))
	}
	defer l.CloseAbrupt()
	if l.End() < m.safe {
		m.t.Fatalf("%s: log ends at %d, but %d was flushed", where, l.End(), m.safe)
	}
	m.check(where, l)
	for _, name := range names(m.t, disk) {
		if bytes.HasSuffix([]byte(name), []byte(".cleaned")) || bytes.HasSuffix([]byte(name), []byte(".swap")) {
			m.t.Fatalf("%s: %s is left", where, name)
		}
	}
}

// A power cut before each change that compaction makes to the disk: whatever it leaves has the last value of every key, at
// its offset, ends where the log ended, and knows the sequences and the transactions.
func TestPowerCutWhileCleaningKeepsTheLastValues(t *testing.T) {
	seeds, steps := 4, 120
	if testing.Short() {
		seeds = 2
	}
	if n, err := strconv.Atoi(os.Getenv("CRASH_SEEDS")); err == nil {
		seeds = n
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			m := newCompacted(t, uint64(seed))
			disk := newDisk(t)
			tear := rand.New(rand.NewPCG(uint64(seed), 99))
			visits := 0
			visit := func(next vfs.Op, after *vfs.Mem) {
				if m.l == nil || m.step != "clean" && tear.IntN(20) > 0 {
					return
				}
				visits++
				point := m.safe
				if tear.IntN(3) == 0 {
					point = kafka.Offset(tear.Int64N(int64(point) + 1))
				}
				where := fmt.Sprintf("seed %d step %q before %v", seed, m.step, next)
				m.checkCrash(where+", all unsynced lost", after, point)
				m.checkCrash(where+", torn", disk.CrashClone(tear), point)
				m.checkCrash(where+", kill -9", disk.Clone(), point)
			}
			err := vfs.CrashPoints(disk, nil, func(fsys vfs.FS) error {
				m.l = mustOpen(t, compactedOptions(fsys))
				for range steps {
					m.op()
				}
				m.step = "clean"
				m.clean()
				return m.l.Close(m.now)
			}, visit)
			must(t, err)
			o := compactedOptions(disk.CrashClone(nil))
			o.Clean, o.RecoveryPoint, o.Cleaned = true, m.l.End(), m.l.Cleaned()
			m.check("clean stop", mustOpen(t, o))
			if visits < 80 || m.cleanings < 5 || m.dropped == 0 {
				t.Errorf("%d visits, %d cleanings, %d records dropped", visits, m.cleanings, m.dropped)
			}
		})
	}
}
