package commitlog

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
)

// Several appenders, flushers and readers, retention and configuration changes at once. Readers see whole, right batches
// in order; nothing that was flushed is missing from what a power cut leaves.
func TestAppendFlushReadAndRetainAtOnce(t *testing.T) {
	disk := newDisk(t)
	o := options(disk)
	o.Config.SegmentBytes = 20_000
	l := mustOpen(t, o)
	const appenders, each = 4, 300
	var done atomic.Bool
	var working, others sync.WaitGroup
	for a := range appenders {
		working.Go(func() {
			for i := range each {
				if _, err := l.AppendLeader(start, sent(kafka.ProducerID(a+1), 0, int32(i*2), 2), 0, OriginClient); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 2 {
		others.Go(func() {
			for !done.Load() {
				end := l.End()
				if flushed, err := l.Flush(); err != nil || flushed < end {
					t.Errorf("flushed %d of %d: %v", flushed, end, err)
					return
				}
			}
		})
	}
	for range 2 {
		others.Go(func() { follow(t, l, &done) })
	}
	others.Go(func() {
		c := o.Config
		for i := 0; !done.Load(); i++ {
			c.RetentionBytes = int64(50_000 + i%2)
			l.SetConfig(c)
			if _, err := l.Retain(start, l.Flushed()); err != nil {
				t.Error(err)
			}
			l.DeleteExpiredFiles(start.Add(time.Hour))
			l.Producers(start)
			l.Size()
			if _, _, _, _, err := l.OffsetForTimestamp(start.UnixMilli()+500, l.End()); err != nil {
				t.Error(err)
			}
		}
	})
	working.Wait()
	done.Store(true)
	others.Wait()
	mustFlush(t, l)
	o = options(disk.CrashClone(nil))
	o.RecoveryPoint, o.LogStart = l.Flushed(), l.Start()
	again := mustOpen(t, o)
	if again.End() != appenders*each*2 || !bytes.Equal(readAll(t, again, 5000), readAll(t, l, 1<<20)) {
		t.Errorf("log ends at %d after the power cut", again.End())
	}
}

func follow(t *testing.T, l *Log, done *atomic.Bool) {
	off := kafka.Offset(0)
	for !done.Load() || off < l.End() {
		p, err := l.Read(off, l.End(), 3000, true)
		if errors.Is(err, kerr.OffsetOutOfRange) && off < l.Start() {
			off = l.Start()
			continue
		}
		if err != nil {
			t.Errorf("read at %d: %v", off, err)
			return
		}
		b, err := p.ReadAll(nil)
		next := p.Next
		p.Release()
		if err != nil {
			t.Errorf("read at %d: %v", off, err)
			return
		}
		for one, err := range batch.Split(b) {
			if err == nil {
				err = batch.CheckCRC(one)
			}
			h, herr := batch.ParseHeader(one)
			if err != nil || herr != nil || h.BaseOffset != off {
				t.Errorf("at %d: offset %d, %v %v", off, h.BaseOffset, err, herr)
				return
			}
			off = h.NextOffset()
		}
		if off != next {
			t.Errorf("read up to %d, but next is %d", off, next)
			return
		}
	}
}

// A sync that takes long holds up neither appends nor reads.
func TestAppendsGoOnDuringAFlush(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	var once sync.Once
	var armed atomic.Bool
	disk := newDisk(t)
	l := mustOpen(t, options(vfs.NewFaulty(disk, func(op vfs.Op) error {
		if op.Kind == vfs.OpSync && armed.Load() {
			once.Do(func() { close(entered); <-leave })
		}
		return nil
	})))
	mustAppend(t, l, records(1, 10, 0))
	armed.Store(true)
	flushed := make(chan error, 1)
	go func() { _, err := l.Flush(); flushed <- err }()
	<-entered
	for i := range 50 { // rolls, too
		mustAppend(t, l, records(1, 200, int64(i)))
	}
	readAll(t, l, 1000)
	if l.Flushed() != 0 {
		t.Errorf("flushed %d during the sync", l.Flushed())
	}
	close(leave)
	must(t, <-flushed)
	if l.Flushed() != 1 {
		t.Errorf("flushed %d: the flush covers what was appended before it", l.Flushed())
	}
}

func TestConcurrentReadersOfASlowlyTruncatedLog(t *testing.T) {
	l := mustOpen(t, options(newDisk(t)))
	var wg sync.WaitGroup
	var done atomic.Bool
	for i := range 200 {
		mustAppend(t, l, records(1, 100, int64(i)))
	}
	for r := range 3 {
		wg.Go(func() {
			for off := kafka.Offset(r); !done.Load(); off = (off*7 + 1) % 200 {
				p, err := l.Read(off, l.End(), 2000, true)
				if err != nil && !errors.Is(err, kerr.OffsetOutOfRange) && !errors.Is(err, kerr.KafkaStorageError) && !errors.Is(err, kerr.CorruptMessage) {
					t.Error(err)
				}
				p.Release()
			}
		})
	}
	for o := kafka.Offset(195); o > 0; o -= 5 {
		if err := l.TruncateTo(o); err != nil {
			t.Fatal(fmt.Errorf("truncate to %d: %w", o, err))
		}
	}
	done.Store(true)
	wg.Wait()
}
