package commitlog

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
)

func lazy(fsys vfs.FS) OpenOptions {
	o := options(fsys)
	o.Lazy = true
	return o
}

const metadataPath = dir + "/" + metadataName

func TestAnUnmadeLogIsAnEmptyLogThatTouchesNoDisk(t *testing.T) {
	disk := newDisk(t)
	before := disk.Changes()
	l := mustOpen(t, lazy(disk))
	must(t, l.AssignEpoch(3))
	p, err := l.Read(0, 0, 1000, true)
	if err != nil || p.Bytes > 0 || p.Next != 0 {
		t.Errorf("read %+v: %v", p, err)
	}
	if _, err := l.Read(1, 1, 1000, true); !errors.Is(err, kerr.OffsetOutOfRange) {
		t.Errorf("a read beyond the end: %v", err)
	}
	if _, _, _, found, err := l.OffsetForTimestamp(0, maxOffset); found || err != nil {
		t.Errorf("a record by time: %v %v", found, err)
	}
	if _, _, _, found, err := l.MaxTimestamp(maxOffset); found || err != nil {
		t.Errorf("the latest record: %v %v", found, err)
	}
	if e, end := l.EndOffsetForEpoch(2); e != 2 || end != 0 || l.LatestEpoch() != 3 {
		t.Errorf("epoch 2 is answered with %d until %d", e, end)
	}
	if txns, err := l.AbortedTxns(0, 10); len(txns) > 0 || err != nil {
		t.Errorf("aborted %v: %v", txns, err)
	}
	if s, err := l.Cleanable(start, 0); err != nil || s.DirtyBytes > 0 {
		t.Errorf("cleanable %+v: %v", s, err)
	}
	must(t, l.RollIfDue(start.Add(1e6)))
	if n, err := l.Retain(start.Add(1e6), 0); n > 0 || err != nil {
		t.Errorf("%d segments retired: %v", n, err)
	}
	l.DeleteExpiredFiles(start)
	must(t, l.TruncateTo(0))
	mustSyncNothing(t, l)
	mustFlush(t, l)
	if l.Size() != 0 || l.Start() != 0 || l.End() != 0 || l.Flushed() != 0 || l.Made() || l.TopicID() != id {
		t.Errorf("%d..%d, flushed %d, %d bytes", l.Start(), l.End(), l.Flushed(), l.Size())
	}
	must(t, l.Close(start))
	if disk.Changes() != before {
		t.Errorf("the disk was changed: %v", names(t, disk))
	}
	if _, err := l.AppendLeader(start, records(1, 1, 0), 3, OriginClient); !errors.Is(err, ErrOffline) {
		t.Errorf("append after the close: %v", err)
	}
}

func mustSyncNothing(t *testing.T, l *Log) {
	t.Helper()
	end, err := l.Dirty()
	must(t, err)
	l.MarkFlushed(end)
}

// What comes between a mark and its sync is not durable by it: here the folder itself.
func TestAMarkBeforeTheFirstAppendDoesNotCoverIt(t *testing.T) {
	disk := newDisk(t)
	l := mustOpen(t, lazy(disk))
	end, err := l.Dirty()
	must(t, err)
	mustAppend(t, l, records(1, 1, 0))
	l.MarkFlushed(end)
	mustFlush(t, l)
	if again := mustOpen(t, lazy(disk.CrashClone(nil))); again.End() != 1 {
		t.Errorf("%d records outlasted the power cut", again.End())
	}
}

func TestTheFirstAppendMakesTheFolder(t *testing.T) {
	appends := map[string]func(l *Log) error{
		"leader": func(l *Log) error { _, err := l.AppendLeader(start, records(1, 1, 0), 0, OriginClient); return err },
		"follower": func(l *Log) error {
			_, err := l.AppendFollower(start, records(1, 1, 0).Batch)
			return err
		},
		"begin elsewhere": func(l *Log) error { return l.TruncateFullyAndStartAt(7) },
	}
	for name, do := range appends {
		disk := newDisk(t)
		l := mustOpen(t, lazy(disk))
		must(t, do(l))
		if !l.Made() || !strings.Contains(string(slurp(t, disk, metadataPath)), id.String()) {
			t.Errorf("%s: no folder: %v", name, names(t, disk))
		}
		if name != "begin elsewhere" { // which is durable by itself
			mustFlush(t, l)
		}
		o := lazy(disk.CrashClone(nil))
		o.RecoveryPoint, o.LogStart = l.Flushed(), l.Start()
		if again := mustOpen(t, o); again.Start() != l.Start() || again.End() != l.End() || again.TopicID() != id {
			t.Errorf("%s: after a power cut %d..%d, want %d..%d", name, again.Start(), again.End(), l.Start(), l.End())
		}
	}
}

// Whatever there is no room for while the first append makes the folder, the append is refused and the next one goes well.
func TestARefusedFirstAppendMayBeMadeAgain(t *testing.T) {
	for n := int64(1); ; n++ {
		disk, left := newDisk(t), int64(1<<62)
		f := vfs.NewFaulty(disk, func(op vfs.Op) error {
			if left--; left < 0 && op.Kind != vfs.OpTruncate { // to cut off needs no room
				return syscall.ENOSPC
			}
			return nil
		})
		l := mustOpen(t, lazy(f))
		left = n
		_, err := l.AppendLeader(start, records(1, 1, 0), 0, OriginClient)
		if err == nil {
			if n < 5 {
				t.Errorf("the append made %d calls", n)
			}
			return
		}
		if !errors.Is(err, ErrNoRoom) || l.Failed() != nil || l.End() != 0 {
			t.Fatalf("refused after %d calls: %v, log ends at %d, failed %v", n, err, l.End(), l.Failed())
		}
		left = 1 << 62
		mustFlush(t, l)
		mustAppend(t, l, records(1, 1, 0))
		mustFlush(t, l)
		if again := mustOpen(t, lazy(disk.CrashClone(nil))); again.End() != 1 {
			t.Fatalf("refused after %d calls: %d records outlasted the power cut", n, again.End())
		}
	}
}

func TestAFolderThatCannotBeMadeIsNotTheDisksFault(t *testing.T) {
	for why, offline := range map[syscall.Errno]bool{syscall.ENAMETOOLONG: false, syscall.EACCES: false, syscall.EIO: true} {
		refuse := true
		l := mustOpen(t, lazy(vfs.NewFaulty(newDisk(t), func(op vfs.Op) error {
			if refuse && op.Kind == vfs.OpMkdirAll {
				return why
			}
			return nil
		})))
		_, err := l.AppendLeader(start, records(1, 1, 0), 0, OriginClient)
		if !errors.Is(err, kerr.KafkaStorageError) || errors.Is(err, ErrOffline) != offline || (l.Failed() != nil) != offline {
			t.Errorf("%v: %v", why, err)
		}
		if refuse = false; !offline {
			mustAppend(t, l, records(1, 1, 0))
		}
	}
}

func TestHalfAMetadataFileIsAcceptedWhereNothingWasFlushed(t *testing.T) {
	whole := string(metadataText(id))
	tests := []struct {
		name, content string
		change        func(o *OpenOptions)
		refused       bool
	}{
		{name: "empty"},
		{name: "zeros", content: strings.Repeat("\x00", len(whole))},
		{name: "beginning", content: whole[:30]},
		{name: "beginning and zeros", content: whole[:30] + "\x00\x00"},
		{name: "another text", content: "Version: 0", refused: true},
		{name: "another id", content: whole[:len(whole)-2] + "x", refused: true},
		{name: "flushed before", change: func(o *OpenOptions) { o.RecoveryPoint = 1 }, refused: true},
		{name: "served before", change: func(o *OpenOptions) { o.Known = 1 }, refused: true},
		{name: "begins elsewhere", change: func(o *OpenOptions) { o.LogStart = 1 }, refused: true},
		{name: "stopped cleanly", change: func(o *OpenOptions) { o.Clean = true }, refused: true},
		{name: "no id is wanted", change: func(o *OpenOptions) { o.TopicID = kafka.TopicID{} }, refused: true},
		{name: "served before, and may be cut", change: func(o *OpenOptions) { o.Known, o.Salvage = 1, true }},
	}
	for _, tt := range tests {
		disk := newDisk(t)
		l := mustOpen(t, lazy(disk))
		mustAppend(t, l, records(3, 1, 0))
		l.CloseAbrupt()
		spill(t, disk, metadataPath, []byte(tt.content))
		o := lazy(disk)
		if tt.change != nil {
			tt.change(&o)
		}
		l, err := Open(o)
		if tt.refused {
			if !errors.Is(err, kerr.CorruptMessage) {
				t.Errorf("%s: opened: %v", tt.name, err)
			}
			continue
		}
		if err != nil || l.End() != 0 || l.Made() {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		mustAppend(t, l, records(1, 1, 0))
		mustFlush(t, l)
		if again := mustOpen(t, lazy(disk.CrashClone(nil))); again.End() != 1 || again.TopicID() != id {
			t.Errorf("%s: begun anew, it ends at %d after a power cut", tt.name, again.End())
		}
	}
}
