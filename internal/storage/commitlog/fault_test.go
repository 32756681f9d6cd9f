package commitlog

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/storage/segment"
)

// faultRun works on a log until it fails, and tells what was acknowledged: appended without error, and flushed.
type faultRun struct {
	l       *Log
	want    []byte       // all batches whose append succeeded
	acked   kafka.Offset // the end that a successful flush covered
	ackedAt int          // bytes of want below acked
	err     error
}

func (f *faultRun) work(fsys vfs.FS) {
	o := options(fsys)
	if f.l, f.err = Open(o); f.err != nil {
		return
	}
	r := rand.New(rand.NewPCG(3, 3))
	for i := range 40 {
		v := records(1+r.IntN(3), r.IntN(200), int64(i))
		if i%3 == 0 {
			v = sent(7, 0, int32(i), 3)
		}
		if _, f.err = f.l.AppendLeader(start, v, kafka.LeaderEpoch(i/15), OriginClient); f.err != nil {
			return
		}
		f.want = append(f.want, v.Batch...)
		if i%4 == 3 {
			end := f.l.End()
			if _, f.err = f.l.Flush(); f.err != nil {
				return
			}
			f.acked, f.ackedAt = end, len(f.want)
		}
	}
	end := f.l.End()
	if f.err = f.l.Close(start); f.err == nil {
		f.acked, f.ackedAt = end, len(f.want)
	}
}

// Every call that the log makes to the disk fails once, each in a run of its own. The log then refuses all that changes
// it, for good; it serves what was flushed; and the next open finds at least that and nothing that was not appended.
func TestFailureOfEveryCallIsFinalAndLosesNothingFlushed(t *testing.T) {
	var ops []vfs.Op
	whole := &faultRun{}
	whole.work(vfs.NewFaulty(newDisk(t), func(op vfs.Op) error { ops = append(ops, op); return nil }))
	must(t, whole.err)
	for _, op := range ops {
		failures := []error{errors.New("broken")}
		if op.Kind == vfs.OpWrite && op.N > 1 {
			failures = append(failures, vfs.ErrTorn(int(op.N/2)), vfs.ErrTorn(int(op.N-1)))
		}
		for _, failure := range failures {
			failOnce(t, op, failure)
		}
	}
}

func failOnce(t *testing.T, op vfs.Op, failure error) {
	disk := newDisk(t)
	f := &faultRun{}
	f.work(vfs.NewFaulty(disk, func(at vfs.Op) error {
		if at.Seq == op.Seq {
			return failure
		}
		return nil
	}))
	where := fmt.Sprintf("%v fails with %v", op, failure)
	changes := op.Kind.Changes()
	if f.err == nil && changes && op.Kind != vfs.OpRemove {
		t.Errorf("%s: nobody noticed", where)
	}
	if f.err != nil && f.l != nil && changes {
		f.checkOffline(t, where)
	}
	if f.l != nil {
		f.l.CloseAbrupt()
	}
	for name, left := range map[string]*vfs.Mem{"power cut": disk.CrashClone(nil), "kill -9": disk.Clone()} {
		o := options(left)
		o.RecoveryPoint = f.acked
		l, err := Open(o)
		if err != nil {
			t.Fatalf("%s, %s: %v", where, name, err)
		}
		got := readAll(t, l, 1000)
		if l.End() < f.acked || len(got) < f.ackedAt || !bytes.HasPrefix(append(f.want, got[min(len(got), len(f.want)):]...), got) {
			t.Fatalf("%s, %s: log ends at %d with %d bytes, %d acknowledged with %d", where, name, l.End(), len(got), f.acked, f.ackedAt)
		}
		l.CloseAbrupt()
	}
}

func (f *faultRun) checkOffline(t *testing.T, where string) {
	t.Helper()
	if !errors.Is(f.err, ErrOffline) {
		t.Errorf("%s: error %v is not ErrOffline", where, f.err)
	}
	wantErr(t, f.err, kerr.KafkaStorageError)
	if f.l.Failed() == nil {
		t.Errorf("%s: log goes on", where)
		return
	}
	flushed := f.l.Flushed()
	_, err1 := f.l.AppendLeader(start, records(1, 1, 0), 0, OriginClient)
	_, err2 := f.l.Flush()
	_, err3 := f.l.Retain(start.Add(1e4*time.Hour), f.l.End())
	for _, err := range []error{err1, err2, err3, f.l.TruncateTo(0), f.l.AssignEpoch(9), f.l.AdvanceStart(1), f.l.RollIfDue(start.Add(1e4 * time.Hour))} {
		if !errors.Is(err, ErrOffline) {
			t.Errorf("%s: then %v, want ErrOffline", where, err)
		}
	}
	if f.l.Flushed() != flushed || flushed < f.acked {
		t.Errorf("%s: flushed %d, then %d; acknowledged %d", where, flushed, f.l.Flushed(), f.acked)
	}
	if errors.Is(f.l.Failed(), ErrClosed) {
		return
	}
	var got []byte
	for off := f.l.Start(); off < flushed; {
		p, err := f.l.Read(off, f.l.End(), 500, true)
		if err != nil || p.Bytes == 0 {
			t.Fatalf("%s: read at %d of %d flushed: %v", where, off, flushed, err)
		}
		got, err = p.ReadAll(got)
		must(t, err)
		off = p.Next
		p.Release()
	}
	if !bytes.HasPrefix(f.want, got) || len(got) < f.ackedAt {
		t.Errorf("%s: %d bytes read of %d flushed", where, len(got), f.ackedAt)
	}
	if flushed < f.l.End() {
		if _, err := f.l.Read(flushed, f.l.End(), 500, true); !errors.Is(err, ErrOffline) {
			t.Errorf("%s: read beyond what was flushed: %v", where, err)
		}
	}
}

// Below Flushed the indexes of sealed segments are taken as they are, so a flush makes them durable, too.
func TestIndexesOfSealedSegmentsAreDurableWithTheFlush(t *testing.T) {
	disk := newDisk(t)
	l := mustOpen(t, options(disk))
	for i := range 60 {
		mustAppend(t, l, records(2, 100, int64(i)))
	}
	mustFlush(t, l)
	left := disk.CrashClone(nil)
	for _, s := range l.mu.segments[:l.SegmentCount()-1] {
		for _, suffix := range []string{segment.IndexSuffix, segment.TimeIndexSuffix, segment.SnapshotSuffix} {
			name := filepath.Join(dir, segment.FileName(s.Base(), suffix))
			if suffix == segment.SnapshotSuffix && s.Base() == 0 {
				continue
			}
			if want, got := slurp(t, disk, name), slurp(t, left, name); len(want) == 0 || !bytes.Equal(got, want) {
				t.Errorf("%s: %d of %d bytes after the power cut", name, len(got), len(want))
			}
		}
	}
}

func TestFlushedAdvancesOnlyAfterTheSync(t *testing.T) {
	disk := newDisk(t)
	var l *Log
	var seen []kafka.Offset
	l = mustOpen(t, options(vfs.NewFaulty(disk, func(op vfs.Op) error {
		if op.Kind == vfs.OpSync && l != nil {
			seen = append(seen, l.Flushed())
		}
		return nil
	})))
	for i := range 30 {
		mustAppend(t, l, records(2, 100, int64(i)))
	}
	segments := l.SegmentCount()
	mustFlush(t, l)
	if len(seen) < segments {
		t.Errorf("%d syncs for %d segments", len(seen), segments)
	}
	for _, f := range seen {
		if f != 0 {
			t.Errorf("flushed was %d before all syncs were done", f)
		}
	}
}
