package partition

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/conf"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/core/metadata"
	"github.com/headrace/headrace/internal/storage/cleaner"
	"github.com/headrace/headrace/internal/storage/commitlog"
)

// cleaning is what compaction may take in these tests.
func cleaning() conf.CleanerConfig {
	return conf.CleanerConfig{Threads: 1, DedupeBytes: 1 << 20, LoadFactor: 0.9, BufferBytes: 1 << 16, BytesPerSecond: 1e12, Backoff: time.Second}
}

func newCleaningHost(t *testing.T, fs vfs.FS, c func() conf.CleanerConfig) *host {
	return newHost(t, fs, func(config *Config) { config.Cleaner = c })
}

// compacted makes a topic with a partition of small segments, and writes each of ten keys n times.
func (h *host) compacted(name string, n int, configs ...string) *Partition {
	h.topic(name, 1, append([]string{"cleanup.policy", "compact", "internal.segment.bytes", "2000", "min.cleanable.dirty.ratio", "0.01"}, configs...)...)
	p := h.part(name, 0)
	h.rewrite(p, n)
	return p
}

func (h *host) rewrite(p *Partition, n int) {
	h.t.Helper()
	for i := range 10 * n {
		b := batch.NewBuilder(batch.BuilderConfig{ProducerID: -1, Epoch: -1, BaseSequence: -1})
		b.Append(time.Now().UnixMilli(), fmt.Append(nil, i%10), bytes.Repeat([]byte{byte(i)}, 100), nil)
		v, err := batch.ValidateProduce(b.Bytes(nil), p.Rules(time.Now(), true))
		if err != nil {
			h.t.Fatal(err)
		}
		if _, _, err := p.Append(time.Now(), v, AllReplicas, commitlog.OriginClient, 0); err != nil {
			h.t.Fatal(err)
		}
	}
	p.dir().flusher.add(p, 0)
	synctest.Wait()
}

func (h *host) statsOf(p *Partition) CleaningStats {
	h.t.Helper()
	for _, st := range h.CleaningStats(time.Now()) {
		if st.Partition == p {
			return st
		}
	}
	h.t.Fatalf("no stats of %v", p.Name())
	return CleaningStats{}
}

func TestACompactedTopicIsCompacted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var threads atomic.Int32
		h := newCleaningHost(t, vfs.NewMem(), func() conf.CleanerConfig {
			c := cleaning()
			c.Threads = int(threads.Load())
			return c
		})
		p := h.compacted("t", 20)
		log := p.openLog()
		before := log.Size()
		if st := h.statsOf(p); st.DirtyBytes == 0 || st.Ratio != 1 || !st.Last.Ended.IsZero() {
			t.Errorf("before: %+v", st)
		}
		threads.Store(1)
		time.Sleep(3 * time.Second)
		st := h.statsOf(p)
		if log.Size() > before/2 || st.DirtyBytes != 0 || st.Last.RecordsKept == 0 || st.Last.BytesRead == 0 || st.Running {
			t.Errorf("%d bytes of %d are left: %+v", log.Size(), before, st)
		}
		if log.End() != 200 || log.Start() != 0 {
			t.Errorf("log is %d..%d", log.Start(), log.End())
		}
		b, err := vfs.ReadFile(h.FS, "/data/cleaner-offset-checkpoint", 1<<20)
		if err != nil || !strings.HasPrefix(string(b), "0\n1\nt 0 1") {
			t.Errorf("checkpoint %q, %v", b, err)
		}
		if err := h.Close(time.Now(), 1); err != nil {
			t.Error(err)
		}
	})
}

func TestTheNumberOfCleanersCanChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var threads atomic.Int32
		h := newCleaningHost(t, vfs.NewMem(), func() conf.CleanerConfig {
			c := cleaning()
			c.Threads = int(threads.Load())
			return c
		})
		p := h.compacted("t", 20)
		ended := func() time.Time {
			time.Sleep(5 * time.Second)
			return h.statsOf(p).Last.Ended
		}
		if !ended().IsZero() {
			t.Error("compacted by no cleaner")
		}
		threads.Store(3)
		first := ended()
		if first.IsZero() {
			t.Error("not compacted after there were cleaners")
		}
		threads.Store(0)
		time.Sleep(5 * time.Second)
		h.rewrite(p, 20)
		if !ended().Equal(first) {
			t.Error("compacted after there were none")
		}
		_ = h.Close(time.Now(), 1)
	})
}

func TestCompactionKeepsToItsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var threads atomic.Int32 // none before all is written: a cleaner that begins in the middle has less to go through
		h := newCleaningHost(t, vfs.NewMem(), func() conf.CleanerConfig {
			c := cleaning()
			c.BytesPerSecond, c.Threads = 1000, int(threads.Load())
			return c
		})
		p := h.compacted("t", 20)
		threads.Store(1)
		time.Sleep(10 * time.Second)
		if st := h.statsOf(p); !st.Running || st.Progress <= 0 || st.Progress >= 0.5 {
			t.Errorf("after 10 s: %+v", st)
		}
		time.Sleep(10 * time.Minute)
		last := h.statsOf(p).Last
		if rate := float64(last.BytesRead+last.BytesWritten) / last.Duration.Seconds(); rate < 800 || rate > 1200 {
			t.Errorf("%.0f bytes a second: %+v", rate, last)
		}
		_ = h.Close(time.Now(), 1)
	})
}

// A partition that is deleted, and made anew, while it is cleaned slowly: neither waits for the other, nor touches its files.
func TestATopicCanBeDeletedWhileItIsCompacted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newCleaningHost(t, vfs.NewMem(), func() conf.CleanerConfig {
			c := cleaning()
			c.BytesPerSecond = 100
			return c
		})
		p := h.compacted("t", 20)
		time.Sleep(5 * time.Second)
		if !h.statsOf(p).Running {
			t.Fatal("not being compacted")
		}
		began := time.Now()
		h.apply(&metadata.RemoveTopicRecord{ID: topicID("t")})
		h.topic("t", 1)
		mustWrite(t, h.part("t", 0), "new")
		if waited := time.Since(began); waited > time.Second {
			t.Errorf("the new topic waited %v", waited)
		}
		if h.part("t", 0).openLog().End() != 1 {
			t.Error("the new topic is not empty")
		}
		if err := h.Close(time.Now(), 1); err != nil {
			t.Error(err)
		}
	})
}

func TestADamagedLogIsServedAndNotCompacted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := vfs.NewMem()
		var threads atomic.Int32
		h := newCleaningHost(t, disk, func() conf.CleanerConfig {
			c := cleaning()
			c.Threads = int(threads.Load())
			return c
		})
		bad, good := h.compacted("bad", 20), h.compacted("good", 20)
		f, err := disk.OpenFile(filepath.Join("/data/bad-0", "00000000000000000000.log"), 2, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte{0xff}, 90); err != nil {
			t.Fatal(err)
		}
		threads.Store(1)
		time.Sleep(5 * time.Second)
		if st := h.statsOf(bad); !errors.Is(st.Uncleanable, cleaner.ErrCorrupt) || st.DirtyBytes == 0 {
			t.Errorf("damaged: %+v", st)
		}
		if st := h.statsOf(good); st.Uncleanable != nil || st.Last.Ended.IsZero() {
			t.Errorf("the other: %+v", st)
		}
		mustWrite(t, bad, "more")
		if got, err := bad.Fetch(Position{Offset: 100, Epoch: -1, LastEpoch: -1, MaxBytes: 1 << 20}); err != nil || got.Plan.Bytes == 0 {
			t.Errorf("fetch: %d bytes, %v", got.Plan.Bytes, err)
		} else {
			got.Plan.Release()
		}
		_ = h.Close(time.Now(), 1)
	})
}

func TestCompactionIsTriedAgainWhenThereIsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var full atomic.Bool
		faulty := vfs.NewFaulty(vfs.NewMem(), func(op vfs.Op) error {
			if full.Load() && op.Kind == vfs.OpWrite && strings.HasSuffix(op.Path, ".cleaned") {
				return syscall.ENOSPC
			}
			return nil
		})
		full.Store(true)
		h := newCleaningHost(t, faulty, cleaning)
		p := h.compacted("t", 20)
		time.Sleep(time.Minute)
		if st := h.statsOf(p); !st.Last.Ended.IsZero() || st.Uncleanable != nil || h.failed.Load() > 0 || p.openLog().Failed() != nil {
			t.Errorf("on a full disk: %+v", st)
		}
		full.Store(false)
		time.Sleep(6 * time.Minute)
		if st := h.statsOf(p); st.Last.Ended.IsZero() {
			t.Errorf("with room: %+v", st)
		}
		_ = h.Close(time.Now(), 1)
	})
}

func TestSegmentsOfACompactedTopicRollByItsMaxLag(t *testing.T) {
	config := func(overrides map[string]string) commitlog.Config {
		return newSettings(conf.TopicLog(overrides, conf.Layers{}), 0, false).log
	}
	if got := config(map[string]string{"cleanup.policy": "compact", "max.compaction.lag.ms": "5000"}).SegmentAge; got != 5*time.Second {
		t.Errorf("compacted: %v", got)
	}
	if got := config(map[string]string{"max.compaction.lag.ms": "5000", "segment.ms": "9000"}).SegmentAge; got != 9*time.Second {
		t.Errorf("not compacted: %v", got)
	}
}

// Segments that can neither be renamed nor removed are a failure of the log, whatever the disk says: its dir goes offline with
// it, and not with the next append only.
func TestALogThatFailsWhileItIsCompactedTakesItsDirOffline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var full atomic.Bool
		var threads atomic.Int32
		h := newCleaningHost(t, fillable(&full, func(op vfs.Op) bool {
			return (op.Kind == vfs.OpRename || op.Kind == vfs.OpRemove) && strings.HasSuffix(op.Path, ".log")
		}), func() conf.CleanerConfig {
			c := cleaning()
			c.Threads = int(threads.Load())
			return c
		})
		defer h.Abandon()
		p := h.compacted("t", 20)
		full.Store(true)
		threads.Store(1)
		<-time.After(time.Minute)
		if p.openLog().Failed() == nil || p.dir().offline() == nil {
			t.Errorf("log: %v, dir: %v", p.openLog().Failed(), p.dir().offline())
		}
	})
}
