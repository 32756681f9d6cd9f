package partition

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/histogram"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/replica"
	"github.com/headrace/headrace/internal/storage/commitlog"
)

// Traffic is what went into partitions and out of them. Requests are counted once for each partition, as Apache Kafka does.
type Traffic struct {
	Messages, BytesIn, BytesOut   uint64
	Produces, Fetches             uint64 // failed ones included
	FailedProduces, FailedFetches uint64
}

// Add adds o.
func (t *Traffic) Add(o Traffic) {
	t.Messages, t.BytesIn, t.BytesOut = t.Messages+o.Messages, t.BytesIn+o.BytesIn, t.BytesOut+o.BytesOut
	t.Produces, t.FailedProduces = t.Produces+o.Produces, t.FailedProduces+o.FailedProduces
	t.Fetches, t.FailedFetches = t.Fetches+o.Fetches, t.FailedFetches+o.FailedFetches
}

// traffic is that of one partition while it is counted: 56 bytes, which end with the partition.
type traffic struct {
	messages, bytesIn, bytesOut   atomic.Uint64
	produces, fetches             atomic.Uint64
	failedProduces, failedFetches atomic.Uint64
}

func (t *traffic) stats() Traffic {
	return Traffic{
		Messages: t.messages.Load(), BytesIn: t.bytesIn.Load(), BytesOut: t.bytesOut.Load(),
		Produces: t.produces.Load(), FailedProduces: t.failedProduces.Load(),
		Fetches: t.fetches.Load(), FailedFetches: t.failedFetches.Load(),
	}
}

// appended counts an append that was tried. A batch that was there already brings no messages.
func (t *traffic) appended(v batch.Validated, a commitlog.Appended, err error) {
	t.produces.Add(1)
	switch {
	case err != nil:
		t.failedProduces.Add(1)
	case !a.Duplicate:
		t.messages.Add(uint64(v.Header.Count))
		t.bytesIn.Add(uint64(len(v.Batch)))
	}
}

// Refused counts a batch that was not even tried to be appended.
func (p *Partition) Refused() {
	p.traffic.produces.Add(1)
	p.traffic.failedProduces.Add(1)
}

// Served counts a fetch that is answered with so many bytes of records.
func (p *Partition) Served(bytes int) {
	p.traffic.fetches.Add(1)
	p.traffic.bytesOut.Add(uint64(bytes))
}

// Denied counts a fetch that is answered with an error.
func (p *Partition) Denied() {
	p.traffic.fetches.Add(1)
	p.traffic.failedFetches.Add(1)
}

// Stats is what is known of a partition without touching the disk.
type Stats struct {
	Traffic
	Open     bool // the log is; the rest is zero while it is not
	Leads    bool
	Dir      string
	Start    kafka.Offset
	End      kafka.Offset
	Flushed  kafka.Offset
	Size     int64
	Segments int
	// Producers counts the idempotent and transactional ones. TxnWritten is when that of the oldest open transaction last wrote, in
	// milliseconds; NoTimestamp when none is open.
	Producers  int
	TxnWritten int64
}

// Stats tells how the partition stands. It does not open the log.
func (p *Partition) Stats() Stats {
	s := Stats{Traffic: p.traffic.stats(), Dir: p.dir().Path(), TxnWritten: kafka.NoTimestamp}
	p.role.RLock()
	defer p.role.RUnlock()
	if log := p.role.log; log != nil {
		s.Open, s.Leads = true, p.role.leader != nil
		s.Start, s.End, s.Flushed = log.Start(), log.End(), log.Flushed()
		s.Size, s.Segments = log.Size(), log.SegmentCount()
		s.Producers, s.TxnWritten = log.Writers()
	}
	return s
}

// MinISR is min.insync.replicas of the topic, as it counts for a partition with so many replicas.
func (p *Partition) MinISR(replicas int) int { return min(p.settings.Load().topic.MinISR, replicas) }

// WrittenAt is the timestamp, in milliseconds, of the batch that holds off; ok is false when it is not there to be read. Of a
// batch that off does not begin it is that of its latest record.
func (p *Partition) WrittenAt(off kafka.Offset) (millis int64, ok bool) {
	err := p.led(kafka.NoLeaderEpoch, func(log *commitlog.Log, _ *replica.Leader) error {
		plan, err := log.Read(off, p.HighWatermark(), 1, true)
		if err != nil || len(plan.Slices) == 0 {
			return err
		}
		defer plan.Release()
		var head [batch.HeaderSize]byte
		if _, err := plan.Slices[0].File.ReadAt(head[:], plan.Slices[0].Off); err != nil {
			return err
		}
		h, err := batch.ParseHeader(head[:])
		if err != nil {
			return err
		}
		millis, ok = h.MaxTimestamp, h.MaxTimestamp >= 0
		if off <= h.BaseOffset && h.Attributes.TimestampType() == batch.CreateTime {
			millis, ok = h.BaseTimestamp, h.BaseTimestamp >= 0
		}
		return nil
	})
	return millis, ok && err == nil
}

// upkeep is what a Set counts of its own work.
type upkeep struct {
	flushes histogram.Histogram // rounds
	flushed atomic.Uint64       // logs, each counted in every round
	retired atomic.Uint64       // segments deleted by retention
}

// timed runs one round of a flusher.
func (u *upkeep) timed(logs int, round func()) {
	if logs == 0 {
		return
	}
	begin := time.Now()
	round()
	u.flushes.Observe(time.Since(begin))
	u.flushed.Add(uint64(logs))
}

// SetStats is what a Set has counted since it was made.
type SetStats struct {
	Flushes         histogram.Snapshot // rounds: each makes durable what was appended before it
	FlushedLogs     uint64             // of all rounds
	RetiredSegments uint64
	Waiting         int     // requests that wait in partitions, once for each
	Dirty           int     // partitions that wait for a round
	Gone            Traffic // of partitions that were deleted
}

// Stats reads the counters, and lists the partitions whose traffic is not in Gone, sorted.
func (s *Set) Stats() (SetStats, []*Partition) {
	st := SetStats{
		Flushes: s.upkeep.flushes.Snapshot(), FlushedLogs: s.upkeep.flushed.Load(), RetiredSegments: s.upkeep.retired.Load(),
	}
	for _, d := range s.dirs {
		d.flusher.mu.Lock()
		st.Dirty += len(d.flusher.dirty)
		d.flusher.mu.Unlock()
	}
	s.mu.RLock()
	st.Gone = s.gone
	ps := s.hosted()
	s.mu.RUnlock()
	slices.SortFunc(ps, byName)
	for _, p := range ps {
		st.Waiting += p.Waiting()
	}
	return st, ps
}
