package commitlog

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/storage/cleaner"
	"github.com/headrace/headrace/internal/storage/segment"
)

// untidy is a model with a log of several segments, of which much can be cleaned.
func untidy(t *testing.T, fsys vfs.FS, seed uint64) *compacted {
	t.Helper()
	m := newCompacted(t, seed)
	m.l = mustOpen(t, compactedOptions(fsys))
	for m.l.SegmentCount() < 6 {
		m.step = "append"
		m.append()
		if m.r.IntN(8) == 0 {
			must(t, m.l.roll(m.now, m.l.End()))
		}
	}
	m.endTxns()
	mustFlush(t, m.l)
	m.safe = m.l.End()
	return m
}

func unfinished(t *testing.T, fsys vfs.FS) (left []string) {
	t.Helper()
	for _, name := range names(t, fsys) {
		if strings.HasSuffix(name, segment.CleanedSuffix) || strings.HasSuffix(name, segment.SwapSuffix) {
			left = append(left, name)
		}
	}
	return left
}

// Every call that cleaning makes to the disk fails in turn. Without room the log is as it was and can be cleaned afterwards;
// after any other error nothing is lost either, be the log offline or not.
func TestEachErrorOfTheDiskWhileCleaningLosesNothing(t *testing.T) {
	for _, cause := range []error{syscall.EIO, syscall.ENOSPC, vfs.ErrTorn(7)} {
		t.Run(cause.Error(), func(t *testing.T) {
			t.Parallel()
			offline, n := 0, int64(1)
			for ; failCleaning(t, cause, n, &offline); n++ {
			}
			if n < 80 || offline == 0 {
				t.Errorf("%d calls failed, %d of them took the log offline", n, offline)
			}
		})
	}
}

// failCleaning lets the n-th call of a cleaning fail. It tells whether there was one.
func failCleaning(t *testing.T, cause error, n int64, offline *int) bool {
	disk := newDisk(t)
	armed, calls, failedAt := false, int64(0), vfs.Op{}
	faulty := vfs.NewFaulty(disk, func(op vfs.Op) error {
		if !armed || op.Kind == vfs.OpClose {
			return nil
		}
		if calls++; calls == n {
			failedAt = op
			return cause
		}
		return nil
	})
	m := untidy(t, faulty, 3)
	limit := m.stable(m.l)
	armed = true
	_, err := m.l.Clean(m.now, limit, ample())
	armed = false
	where := fmt.Sprintf("%v at %v", cause, failedAt)
	if calls < n {
		must(t, err)
		return false
	}
	m.safe = m.l.Flushed()
	if m.l.Failed() != nil {
		*offline++
		final := failedAt.Kind == vfs.OpSync || failedAt.Kind == vfs.OpSyncDir || strings.HasSuffix(failedAt.Path, segment.SwapSuffix)
		if !final && errors.Is(cause, syscall.ENOSPC) {
			t.Fatalf("%s took the log offline: %v", where, err)
		}
		m.checkCrash(where+", kill -9", disk.Clone(), m.safe)
		m.checkCrash(where+", power cut", disk.CrashClone(nil), m.safe)
		return true
	}
	if failedAt.Kind == vfs.OpSyncDir {
		t.Fatalf("%s left the log online", where)
	}
	m.check(where, m.l)
	if left := unfinished(t, disk); len(left) > 0 && failedAt.Kind != vfs.OpRemove {
		t.Fatalf("%s: %v is left", where, left)
	}
	m.checkCrash(where+", power cut", disk.CrashClone(nil), m.safe)
	m.clean()
	return true
}

// Beside an unfinished segment recovery takes later ones for unfinished too, so it must be gone before there are any.
func TestWhatACleaningCouldNotRemoveIsGoneBeforeTheNext(t *testing.T) {
	disk, broken := newDisk(t), false
	m := untidy(t, vfs.NewFaulty(disk, func(op vfs.Op) error {
		if broken && strings.HasSuffix(op.Path, segment.CleanedSuffix) && (op.Kind == vfs.OpWrite || op.Kind == vfs.OpRemove) {
			return syscall.EIO
		}
		return nil
	}), 3)
	limit := m.stable(m.l)
	broken = true
	for range 2 {
		if _, err := m.l.Clean(m.now, limit, ample()); !errors.Is(err, syscall.EIO) || m.l.Failed() != nil {
			t.Fatalf("cleaning: %v, failed %v", err, m.l.Failed())
		}
	}
	broken = false
	must(t, m.l.AdvanceStart(m.l.mu.segments[1].Base()))
	_, err := m.l.Retain(m.now, m.l.End())
	must(t, err)
	_, err = m.l.Clean(m.now, limit, ample())
	must(t, err)
	if left := unfinished(t, disk); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
}

func TestADamagedBatchEndsTheCleaningAndNothingElse(t *testing.T) {
	disk := newDisk(t)
	m := untidy(t, disk, 4)
	before := readAll(t, m.l, 1000)
	name := filepath.Join(dir, segment.FileName(m.l.mu.segments[1].Base(), segment.LogSuffix))
	file := slurp(t, disk, name)
	file[batch.HeaderSize+3] ^= 1
	spill(t, disk, name, file)
	_, err := m.l.Clean(m.now, m.stable(m.l), ample())
	if !errors.Is(err, cleaner.ErrCorrupt) || m.l.Failed() != nil || !strings.Contains(err.Error(), filepath.Base(name)) {
		t.Errorf("%v, failed %v", err, m.l.Failed())
	}
	if left := unfinished(t, disk); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
	file[batch.HeaderSize+3] ^= 1
	spill(t, disk, name, file)
	if got := readAll(t, m.l, 1000); !bytes.Equal(got, before) || m.l.Cleaned() != 0 {
		t.Errorf("the log has changed; clean to %d", m.l.Cleaned())
	}
}

func TestAReadPlanOfReplacedSegmentsStaysRight(t *testing.T) {
	disk := newDisk(t)
	m := untidy(t, disk, 5)
	want := readAll(t, m.l, 1<<20)
	p, err := m.l.Read(0, m.l.End(), 1<<20, true)
	must(t, err)
	m.clean()
	m.l.DeleteExpiredFiles(m.now.Add(time.Hour))
	m.l.DeleteExpiredFiles(m.now.Add(2 * time.Hour))
	got, err := p.ReadAll(nil)
	must(t, err)
	p.Release()
	if !bytes.Equal(got, want) {
		t.Errorf("the plan reads %d bytes, was %d", len(got), len(want))
	}
	for _, name := range names(t, disk) {
		if strings.HasSuffix(name, segment.DeletedSuffix) {
			t.Errorf("%s is left", name)
		}
	}
	if now := readAll(t, m.l, 1<<20); len(now) >= len(want) {
		t.Errorf("%d bytes after cleaning, %d before", len(now), len(want))
	}
}

// meanwhile cleans with something happening to the log in the middle of it, and returns the error.
func meanwhile(m *compacted, do func()) error {
	res, calls := ample(), 0
	res.Throttle = func(int) error {
		if calls++; calls == 9 {
			do()
		}
		return nil
	}
	_, err := m.l.Clean(m.now, m.stable(m.l), res)
	return err
}

func TestWhatHappensToALogWhileItIsCleaned(t *testing.T) {
	for name, c := range map[string]struct {
		do    func(m *compacted)
		ended bool
	}{
		"appends": {func(m *compacted) {
			for range 30 {
				m.append()
			}
		}, false},
		"truncation":    {func(m *compacted) { must(m.t, m.l.TruncateTo(m.l.mu.segments[2].Base()+1)) }, true},
		"a fresh start": {func(m *compacted) { must(m.t, m.l.TruncateFullyAndStartAt(1000)) }, true},
		"retention": {func(m *compacted) {
			must(m.t, m.l.AdvanceStart(m.l.mu.segments[2].Base()))
			_, err := m.l.Retain(m.now, m.l.End())
			must(m.t, err)
		}, true},
		"the start moves": {func(m *compacted) { must(m.t, m.l.AdvanceStart(m.l.mu.segments[1].Base()+1)) }, false},
		"its policy":      {func(m *compacted) { m.l.SetConfig(smallConfig()) }, false},
		"its end":         {func(m *compacted) { must(m.t, m.l.Close(m.now)) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			disk := newDisk(t)
			m := untidy(t, disk, 6)
			err := meanwhile(m, func() { c.do(m) })
			if (err != nil) != c.ended {
				t.Fatalf("cleaning: %v", err)
			}
			if name != "its end" {
				mustFlush(t, m.l)
			}
			o := compactedOptions(disk.Clone())
			o.RecoveryPoint, o.LogStart = m.l.Flushed(), m.l.Start()
			l := mustOpen(t, o)
			if l.Start() != m.l.Start() || l.End() != m.l.End() || m.l.Cleaned() > m.l.End() {
				t.Errorf("%d..%d after a crash, %d..%d before, clean to %d", l.Start(), l.End(), m.l.Start(), m.l.End(), m.l.Cleaned())
			}
			if left := unfinished(t, disk); len(left) > 0 && name != "its end" {
				t.Errorf("%v is left", left)
			}
		})
	}
}

func TestRetentionOfACompactedLog(t *testing.T) {
	for _, both := range []bool{false, true} {
		m := untidy(t, newDisk(t), 7)
		m.clean()
		c := m.l.mu.config
		c.Delete, c.RetentionAge = both, time.Hour
		m.l.SetConfig(c)
		first := m.l.Start()
		n, err := m.l.Retain(m.now.Add(1000*time.Hour), m.l.End())
		must(t, err)
		if (n > 0) != both || (m.l.Start() > first) != both {
			t.Errorf("compact and delete %v: %d segments deleted, start %d", both, n, m.l.Start())
		}
		must(t, m.l.AdvanceStart(m.l.End()))
		if n, err = m.l.Retain(m.now, m.l.End()); err != nil || !both && n == 0 {
			t.Errorf("segments before the start stay: %d %v", n, err)
		}
	}
}

// Apache Kafka's compaction may leave a segment that ends before the next one begins; it looks like one whose end was lost.
func TestRecoveryKeepsTheGapsThatKafkaLeft(t *testing.T) {
	for _, policy := range []bool{true, false} {
		disk := newDisk(t)
		l := mustOpen(t, options(disk))
		for i := range 4 {
			mustAppend(t, l, records(1+i%2, 10, 0))
		}
		must(t, l.roll(start, l.End()))
		end := mustAppend(t, l, records(3, 10, 0)).End
		must(t, l.Close(start))
		name := filepath.Join(dir, segment.FileName(0, segment.LogSuffix))
		file := slurp(t, disk, name)
		one, rest, err := batch.Next(file)
		must(t, err)
		second, rest, err := batch.Next(rest)
		must(t, err)
		third, _, err := batch.Next(rest)
		must(t, err)
		open := func(content []byte, cleaned kafka.Offset) kafka.Offset {
			left := disk.Clone()
			spill(t, left, name, content)
			o := options(left)
			o.Config.Compact, o.Cleaned = policy, cleaned
			return mustOpen(t, o).End()
		}
		if got := open(bytes.Join([][]byte{one, third}, nil), 0); got != end {
			t.Errorf("compact %v: a segment with a gap within ends the log at %d of %d", policy, got, end)
		}
		if got := open(bytes.Join([][]byte{one, second}, nil), 0); got != 3 {
			t.Errorf("compact %v: a segment without its end ends the log at %d, want 3", policy, got)
		}
		if got := open(bytes.Join([][]byte{one, second}, nil), 6); got != end {
			t.Errorf("compact %v: a cleaned segment without its end ends the log at %d, want %d", policy, got, end)
		}
	}
}

// A producer snapshot from within a transaction outlives the transaction's marker: a recovery must not take it for the truth.
func TestATransactionWhoseMarkerWentIsNotOpenAfterACrash(t *testing.T) {
	disk := newDisk(t)
	o := compactedOptions(disk)
	o.Config.Compaction.DeleteRetention, o.Config.ProducerExpiration = 0, time.Hour
	l := mustOpen(t, o)
	now := start
	mustAppend(t, l, build(batch.BuilderConfig{ProducerID: 7, Transactional: true}, 1, 10, 0))
	must(t, l.roll(now, l.End()))
	_, err := l.AppendLeader(now, batch.EndTxnMarker(7, 0, 1, batch.ControlCommit, now.UnixMilli()), 0, OriginReplication)
	must(t, err)
	for range 4 { // the record goes; the marker goes after the round that stamped its horizon
		mustAppend(t, l, records(1, 10, 0))
		must(t, l.roll(now, l.End()))
		l.Replicated(l.End())
		now = now.Add(2 * time.Hour)
		_, err = l.Retain(now, l.End()) // forgets the producer
		must(t, err)
		_, err = l.Clean(now, l.End(), ample())
		must(t, err)
	}
	if got := offsetsOf(t, readAll(t, l, 1000)); got[0] != 5 {
		t.Fatalf("batches at %v", got)
	}
	for point := range l.End() {
		o.FS, o.RecoveryPoint, o.Now = disk.CrashClone(nil), point, now
		if first, open := mustOpen(t, o).FirstUnstable(); open {
			t.Errorf("recovered from offset %d on, a transaction is open from %d on", point, first)
		}
	}
}
