package shares

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/share"
	"github.com/headrace/headrace/internal/core/share/session"
	"github.com/headrace/headrace/internal/node/await"
	"github.com/headrace/headrace/internal/node/partition"
	"github.com/headrace/headrace/internal/storage/commitlog"
)

// Fetch is what a member asks for.
type Fetch struct {
	Session     session.Key
	Partitions  []session.Partition
	MaxBytes    int
	MaxRecords  int
	BatchSize   int
	RecordLimit bool
	Deadline    time.Time
}

// Got is what a member gets of a partition: Records are the batches that hold what is Acquired.
type Got struct {
	session.Partition
	Err      error
	Records  []byte
	Acquired []share.Acquired
}

// readsAtOnce bounds how much of aborted transactions is read for one request.
const readsAtOnce = 16

// Fetch acquires records for a member. It waits until there are some, an error is to be told, or the time is over.
func (s *Shares) Fetch(ctx context.Context, f Fetch) []Got {
	news := make(chan struct{}, 1)
	heard := make(map[*leader]bool)
	defer func() {
		for l := range heard {
			l.unlisten(news)
		}
	}()
	for {
		w := await.NewWaiter(1)
		all, parts, enough := s.try(f, news, heard, w)
		again := !enough && s.await(ctx, f.Deadline, news, w)
		for _, p := range parts {
			p.LeaveMore(w)
		}
		if !again {
			return all
		}
	}
}

// try acquires what there is at once. w has places in the lines of the partitions then, which it returns.
func (s *Shares) try(f Fetch, news chan struct{}, heard map[*leader]bool, w *await.Waiter) (all []Got, parts []*partition.Partition, enough bool) {
	bytes, records := f.MaxBytes, f.MaxRecords
	for _, p := range f.Partitions {
		got := Got{Partition: p}
		l, err := s.leader(key{f.Session.Group, p})
		if err == nil {
			if !heard[l] {
				heard[l] = true
				l.listen(news)
			}
			var seen kafka.Offset
			seen, err = l.acquire(&got, share.Want{Member: f.Session.Member, MaxRecords: records, BatchSize: f.BatchSize, RecordLimit: f.RecordLimit}, bytes)
			if err == nil && seen != kafka.NoOffset {
				l.part.AwaitMore(w, seen)
				parts = append(parts, l.part)
			}
		}
		got.Err = err
		bytes -= len(got.Records)
		for _, a := range got.Acquired {
			records -= int(a.Last - a.First + 1)
		}
		enough = enough || err != nil || len(got.Acquired) > 0
		all = append(all, got)
	}
	return all, parts, enough || len(f.Partitions) == 0
}

// await waits for news, and tells whether there are any.
func (s *Shares) await(ctx context.Context, deadline time.Time, news chan struct{}, w *await.Waiter) bool {
	left := time.Until(deadline)
	if left <= 0 {
		return false
	}
	t := time.NewTimer(left)
	defer t.Stop()
	select {
	case <-news:
		return true
	case <-w.Woken():
		return true
	case <-t.C:
	case <-ctx.Done():
	case <-s.ctx.Done():
	}
	return false
}

// acquire gives a member what it may have now. It returns the high watermark that it saw, NoOffset where news come by listening.
func (l *leader) acquire(got *Got, want share.Want, maxBytes int) (seen kafka.Offset, err error) {
	if want.MaxRecords <= 0 || maxBytes <= 0 {
		return kafka.NoOffset, nil
	}
	l.read.Lock()
	defer l.read.Unlock()
	group := l.s.cfg.Group(l.key.group)
	for range readsAtOnce {
		from, ok, err := l.next(group)
		if err != nil || !ok {
			return kafka.NoOffset, err
		}
		f, err := l.part.Fetch(partition.Position{Offset: from, Epoch: l.epoch, LastEpoch: kafka.NoLeaderEpoch,
			MaxBytes: maxBytes, MinOne: true, Committed: group.Committed})
		if errors.Is(err, kerr.OffsetOutOfRange) && f.Start > from {
			l.moveStart(f.Start)
			continue
		}
		if err != nil {
			return kafka.NoOffset, err
		}
		records, err := f.Plan.ReadAll(nil)
		f.Plan.Release()
		if err != nil {
			return kafka.NoOffset, err
		}
		if len(records) == 0 {
			return f.HighWatermark, nil
		}
		read, err := readOf(from, records, f.Aborted)
		if err != nil {
			return kafka.NoOffset, err
		}
		if got.Acquired, err = l.take(want, read); len(got.Acquired) > 0 || err != nil {
			got.Records = holding(records, got.Acquired)
			return kafka.NoOffset, err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tell() // who asks comes here again after it has looked at its other partitions
	return kafka.NoOffset, nil
}

// next is where to read from, if reading is of use.
func (l *leader) next(group Group) (from kafka.Offset, ok bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.err != nil || l.mu.machine == nil {
		return 0, false, l.mu.err
	}
	l.mu.machine.Configure(group.Settings)
	return l.mu.machine.NextFetch(), l.mu.machine.CanAcquire(), nil
}

func (l *leader) moveStart(to kafka.Offset) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.err == nil {
		l.mu.machine.MoveLogStart(to)
		l.keep()
	}
}

// take acquires of what was read.
func (l *leader) take(want share.Want, read share.Read) ([]share.Acquired, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.err != nil {
		return nil, l.mu.err
	}
	acquired := l.mu.machine.Acquire(time.Now(), want, read)
	l.keep()
	l.arm()
	return acquired, nil
}

// readOf is what the machine has to know of batches.
func readOf(from kafka.Offset, records []byte, aborted []commitlog.AbortedTxn) (share.Read, error) {
	read := share.Read{From: from}
	for one, err := range batch.Split(records) {
		if err != nil {
			return read, err
		}
		h, err := batch.ParseHeader(one)
		if err != nil {
			return read, err
		}
		b := share.LogBatch{First: h.BaseOffset, Last: h.LastOffset(), Producer: h.ProducerID, Transactional: h.Attributes.IsTransactional()}
		if h.Attributes.IsControl() && len(aborted) > 0 {
			if b.AbortMarker, err = isAbort(one); err != nil {
				return read, err
			}
		}
		read.Batches = append(read.Batches, b)
	}
	for _, a := range aborted {
		read.Aborted = append(read.Aborted, share.AbortedTransaction{Producer: a.ProducerID, First: a.First})
	}
	return read, nil
}

func isAbort(one []byte) (bool, error) {
	var r batch.Reader
	if err := r.Reset(one, batch.DefaultMaxDecompressed); err != nil {
		return false, err
	}
	var rec batch.Record
	if more, err := r.Next(&rec); err != nil || !more {
		return false, err
	}
	kind, err := batch.ControlRecordType(rec.Key)
	return kind == batch.ControlAbort, err
}

// holding is the batches from the first that holds something acquired to the last.
func holding(records []byte, acquired []share.Acquired) []byte {
	if len(acquired) == 0 {
		return nil
	}
	first, last := acquired[0].First, acquired[len(acquired)-1].Last
	begin, end, at := -1, 0, 0
	for one, err := range batch.Split(records) {
		if err != nil {
			break
		}
		h, err := batch.ParseHeader(one)
		if err != nil {
			break
		}
		if h.LastOffset() >= first && h.BaseOffset <= last {
			if begin < 0 {
				begin = at
			}
			end = at + len(one)
		}
		at += len(one)
	}
	return records[max(begin, 0):end]
}
