package logdir

import (
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/storage/commitlog"
)

// TestWhatIsRecoveredAfterAFailedSyncIsWrittenAgain has a sync fail as it does on Linux: the bytes stay readable and count as
// written. The node is started again on the same machine, recovers them, and says that they are flushed. Then the power goes.
func TestWhatIsRecoveredAfterAFailedSyncIsWrittenAgain(t *testing.T) {
	disk := vfs.NewMem()
	failing := false
	faulty := vfs.NewFaulty(disk, func(op vfs.Op) error {
		if failing && op.Kind == vfs.OpSync && strings.HasSuffix(op.Path, ".log") {
			must(t, disk.FailSync(op.Path))
			return syscall.EIO
		}
		return nil
	})
	tp := kafka.TopicPartition{Topic: "t"}
	d := open(t, faulty, "/data", node1())
	l := openFailed(t, d, tp)
	appendValue(t, l, "flushed")
	if _, err := l.Flush(); err != nil {
		t.Fatal(err)
	}
	appendValue(t, l, "not flushed")
	failing = true
	_, err := l.Flush()
	if err == nil {
		t.Fatal("the sync did not fail")
	}
	d.Fail(err)
	l.CloseAbrupt()
	must(t, d.Close())

	d = open(t, disk, "/data", node1())
	l = openFailed(t, d, tp)
	end := l.End()
	if _, err := l.Flush(); err != nil || l.Flushed() != end {
		t.Fatalf("flushed %d of %d: %v", l.Flushed(), end, err)
	}
	after := disk.CrashClone(nil)
	d2 := open(t, after, "/data", node1())
	if l2 := openFailed(t, d2, tp); l2.End() != end {
		t.Errorf("after the power cut the log ends at %d, and was flushed up to %d", l2.End(), end)
	}
	must(t, d.CloseLog(time.Now(), l, end))
	must(t, d.CloseClean(time.Now(), 1, nil))
	if again := open(t, disk, "/data", node1()); again.failedBefore || !again.WasClean() {
		t.Error("a clean stop did not end the doubt")
	}
}

func openFailed(t *testing.T, d *Dir, tp kafka.TopicPartition) *commitlog.Log {
	t.Helper()
	l, err := d.OpenLog(tp, kafka.TopicID{1}, commitlog.DefaultConfig(), time.Now(), rand.New(rand.NewPCG(1, 1)))
	must(t, err)
	return l
}

func appendValue(t *testing.T, l *commitlog.Log, value string) {
	t.Helper()
	b := batch.NewBuilder(batch.BuilderConfig{})
	b.Append(time.Now().UnixMilli(), nil, []byte(value), nil)
	_, err := l.AppendLeader(time.Now(), b.Finish(), 0, commitlog.OriginClient)
	must(t, err)
}
