package commitlog

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/storage/segment"
)

// scarce refuses, while it is told to, what takes room: bytes, or files that are to be opened.
type scarce struct {
	refuse atomic.Pointer[func(vfs.Op) error]
}

func (s *scarce) decide(op vfs.Op) error {
	if f := s.refuse.Load(); f != nil {
		return (*f)(op)
	}
	return nil
}

func (s *scarce) set(f func(vfs.Op) error) {
	if f == nil {
		s.refuse.Store(nil)
		return
	}
	s.refuse.Store(&f)
}

// fullDisk has no room for bytes and names, and lets a part of some writes through.
func fullDisk(r *rand.Rand) func(vfs.Op) error {
	return func(op vfs.Op) error {
		switch op.Kind {
		case vfs.OpWrite:
			return vfs.ErrTornFull(r.IntN(int(op.N) + 1))
		case vfs.OpCreate, vfs.OpMkdirAll, vfs.OpRename:
			if r.IntN(3) > 0 {
				return syscall.ENOSPC
			}
		}
		return nil
	}
}

// noFiles has hardly any file descriptors left.
func noFiles(r *rand.Rand) func(vfs.Op) error {
	return func(op vfs.Op) error {
		switch op.Kind {
		case vfs.OpOpen, vfs.OpCreate, vfs.OpReadDir:
			if r.IntN(3) > 0 {
				return syscall.EMFILE
			}
		}
		return nil
	}
}

// TestNoRoomIsNotFinal takes the room away again and again in the midst of all kinds of work. What is refused has changed
// nothing, what was acknowledged stays, and when there is room the log goes on without anybody's help. It is then closed or
// killed, or loses its power, and opened again.
func TestNoRoomIsNotFinal(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { withoutRoom(t, rand.New(rand.NewPCG(seed, 11))) })
	}
}

func withoutRoom(t *testing.T, r *rand.Rand) {
	disk, room := newDisk(t), &scarce{}
	l := mustOpen(t, options(vfs.NewFaulty(disk, room.decide)))
	var want []byte
	var acked kafka.Offset
	ackedAt, seq, refused := 0, int32(0), 0
	inTxn := false
	for i := range 300 {
		switch r.IntN(12) {
		case 0:
			room.set(fullDisk(r))
		case 1:
			room.set(noFiles(r))
			l.mu.Lock()
			l.idleRecent()
			l.mu.Unlock()
		case 2, 3:
			room.set(nil)
		}
		var err error
		switch r.IntN(5) {
		case 0, 1, 2:
			v, origin := records(1+r.IntN(3), r.IntN(200), int64(i)), OriginClient
			switch r.IntN(3) {
			case 0:
				v = build(batch.BuilderConfig{ProducerID: 7, BaseSequence: seq, Transactional: true}, 2, 20, int64(i))
			case 1:
				if inTxn {
					v, origin = batch.EndTxnMarker(7, 0, 1, batch.ControlAbort, start.UnixMilli()), OriginReplication
				}
			}
			end, at := l.End(), l.Size()
			_, err = l.AppendLeader(start, v, kafka.LeaderEpoch(i/40), origin)
			switch {
			case err == nil:
				want = append(want, v.Batch...)
				if h := v.Header; h.HasProducer() && !h.Attributes.IsControl() {
					seq, inTxn = seq+2, true
				} else if h.HasProducer() {
					inTxn = false
				}
			case l.End() != end || l.Size() != at:
				t.Fatalf("a refused append moved the end from %d to %d", end, l.End())
			}
		case 3:
			end := l.End()
			if i%2 == 0 {
				_, err = l.Flush()
			} else if at, derr := l.Dirty(); derr == nil {
				must(t, disk.SyncFS(dir))
				l.MarkFlushed(at)
			} else {
				err = derr
			}
			if err == nil {
				acked, ackedAt = end, len(want)
			}
		case 4:
			err = l.RollIfDue(start.Add(1e6 * time.Hour))
		}
		if err != nil {
			refused++
			if !errors.Is(err, ErrNoRoom) || l.Failed() != nil {
				t.Fatalf("step %d: %v; failed: %v", i, err, l.Failed())
			}
		}
		if r.IntN(40) == 0 {
			checkLeft(t, disk.CrashClone(nil), "power cut", acked, want[:ackedAt], want)
			checkLeft(t, disk.Clone(), "kill", acked, want[:ackedAt], want)
		}
	}
	if refused < 10 {
		t.Errorf("only %d calls were refused", refused)
	}
	room.set(nil)
	mustAppend(t, l, records(1, 10, 0))
	mustFlush(t, l)
	all := readAll(t, l, 700)
	if !bytes.HasPrefix(all, want) {
		t.Error("what is read is not what was appended")
	}
	states, aborted := l.Producers(start), allAborted(t, l)
	must(t, l.Close(start))
	o := options(disk)
	o.Clean, o.RecoveryPoint = true, l.End()
	again := mustOpen(t, o)
	defer again.CloseAbrupt()
	if got := readAll(t, again, 700); !bytes.Equal(got, all) {
		t.Error("after a clean stop other bytes are read")
	}
	if got := again.Producers(start); fmt.Sprint(got) != fmt.Sprint(states) {
		t.Errorf("producers %v, before the stop %v", got, states)
	}
	if got := allAborted(t, again); fmt.Sprint(got) != fmt.Sprint(aborted) {
		t.Errorf("aborted %v, before the stop %v", got, aborted)
	}
}

func allAborted(t *testing.T, l *Log) []AbortedTxn {
	t.Helper()
	txns, err := l.AbortedTxns(0, l.End())
	must(t, err)
	return txns
}

// checkLeft opens what a crash left: all that was acknowledged, and nothing that was not appended.
func checkLeft(t *testing.T, disk *vfs.Mem, how string, point kafka.Offset, acked, appended []byte) {
	t.Helper()
	o := options(disk)
	o.RecoveryPoint = point
	l := mustOpen(t, o)
	defer l.CloseAbrupt()
	got := readAll(t, l, 700)
	if !bytes.HasPrefix(got, acked) || !bytes.HasPrefix(appended, got) {
		t.Fatalf("%s: %d bytes, %d acknowledged, %d appended", how, len(got), len(acked), len(appended))
	}
}

// TestASyncWithoutRoomIsFinal: the system found no room when it wrote back, and has dropped what it was to write.
func TestASyncWithoutRoomIsFinal(t *testing.T) {
	room := &scarce{}
	l := mustOpen(t, options(vfs.NewFaulty(newDisk(t), room.decide)))
	mustAppend(t, l, records(1, 10, 0))
	room.set(func(op vfs.Op) error {
		if op.Kind == vfs.OpSync {
			return syscall.ENOSPC
		}
		return nil
	})
	if _, err := l.Flush(); !errors.Is(err, ErrOffline) || errors.Is(err, ErrNoRoom) {
		t.Error(err)
	}
	room.set(nil)
	if _, err := l.Flush(); !errors.Is(err, ErrOffline) {
		t.Error("flushed again:", err)
	}
}

// A file system may make a file and refuse it all the same, for want of something else. The log grows beyond the segment
// that was to begin there, and what is left of that must not pass for the log's end later.
func TestAHalfMadeSegmentDoesNotEndTheLog(t *testing.T) {
	for _, clean := range []bool{true, false} {
		disk := newDisk(t)
		refuse := false
		l := mustOpen(t, options(vfs.NewFaulty(disk, func(op vfs.Op) error {
			if !refuse || op.Kind != vfs.OpCreate || !strings.HasSuffix(op.Path, segment.LogSuffix) {
				return nil
			}
			refuse = false
			f, err := disk.OpenFile(op.Path, os.O_RDWR|os.O_CREATE, 0o644)
			if err != nil {
				return err
			}
			return errors.Join(f.Close(), syscall.ENOSPC)
		})))
		mustAppend(t, l, records(1, 1500, 0))
		refuse = true
		if _, err := l.AppendLeader(start, records(1, 1500, 0), 0, OriginClient); !errors.Is(err, ErrNoRoom) || refuse {
			t.Fatalf("refused %v: %v", !refuse, err)
		}
		mustAppend(t, l, records(3, 50, 0)) // fits
		end := l.End()
		mustFlush(t, l)
		o := options(disk.Clone())
		o.RecoveryPoint = end
		if clean {
			must(t, l.Close(start))
			o.FS, o.Clean = disk, true
		}
		if l = mustOpen(t, o); l.End() != end {
			t.Errorf("clean %v: the log ends at %d of %d", clean, l.End(), end)
		}
	}
}
