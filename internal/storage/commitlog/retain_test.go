package commitlog

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
)

// Many segments are deleted at once, when retention was lowered say, on a disk of which each sync takes its time.
func TestAppendsDoNotWaitForAllSegmentsToBeDeleted(t *testing.T) {
	const segments = 60
	var l *Log
	var syncs atomic.Int32
	appended := make(chan int32, 1)
	slow := vfs.NewFaulty(newDisk(t), func(op vfs.Op) error {
		if l == nil || op.Kind != vfs.OpSyncDir {
			return nil
		}
		if syncs.Add(1) == 2 {
			go func() {
				_, err := l.AppendLeader(start, records(1, 10, 0), 0, OriginClient)
				if err != nil {
					t.Error(err)
				}
				appended <- syncs.Load()
			}()
		}
		<-time.After(2 * time.Millisecond) // as a disk does
		return nil
	})
	log := mustOpen(t, options(slow))
	for range segments {
		mustAppend(t, log, records(1, 1900, 0))
	}
	l = log
	n, err := l.Retain(start.Add(1e4*time.Hour), segments)
	must(t, err)
	if n != segments || l.Start() != segments || syncs.Load() < segments {
		t.Errorf("%d segments deleted with %d syncs, start %d", n, syncs.Load(), l.Start())
	}
	if after := <-appended; after > 16 {
		t.Errorf("an append waited for %d syncs", after)
	}
	if l.End() != kafka.Offset(segments+1) {
		t.Errorf("log ends at %d", l.End())
	}
}
