package commitlog

import (
	"errors"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/storage/segment"
)

// OffsetForTimestamp finds the first record, from the log's start on, with a timestamp of at least ts; it is found only
// if it lies below limit. As in Kafka the first segment that has such a timestamp is searched, and no other.
func (l *Log) OffsetForTimestamp(ts int64, limit kafka.Offset) (off kafka.Offset, timestamp int64, epoch kafka.LeaderEpoch, found bool, err error) {
	return l.lookup(limit, func() (segment.View, bool, error) {
		for _, s := range l.mu.segments {
			if largest, err := s.LargestTimestamp(); err != nil || largest >= ts {
				return l.viewOf(s, err)
			}
		}
		return segment.View{}, false, nil
	}, func(v segment.View) (segment.Record, bool, error) { return v.FindTimestamp(ts, l.Start()) })
}

// MaxTimestamp finds the first record that has the largest timestamp of the log, if it lies below limit.
func (l *Log) MaxTimestamp(limit kafka.Offset) (off kafka.Offset, timestamp int64, epoch kafka.LeaderEpoch, found bool, err error) {
	return l.lookup(limit, func() (segment.View, bool, error) {
		best := l.mu.segments[0]
		var most int64 = kafka.NoTimestamp
		for _, s := range l.mu.segments {
			ts, err := s.RecordTimestamp()
			if err != nil {
				return segment.View{}, false, err
			}
			if ts > most {
				best, most = s, ts
			}
		}
		return l.viewOf(best, nil)
	}, segment.View.Largest)
}

func (l *Log) viewOf(s *segment.Segment, err error) (segment.View, bool, error) {
	if err != nil {
		return segment.View{}, false, err
	}
	v, err := s.View()
	if s != l.active() {
		l.used(s)
	}
	return v, err == nil, err
}

// lookup chooses a segment under the lock and searches it without.
func (l *Log) lookup(limit kafka.Offset, choose func() (segment.View, bool, error), search func(segment.View) (segment.Record, bool, error)) (kafka.Offset, int64, kafka.LeaderEpoch, bool, error) {
	for try := 1; ; try++ {
		r, ok, err := l.lookupOnce(choose, search)
		if errors.Is(err, segment.ErrStale) && try < tries {
			continue
		}
		if err != nil || !ok || r.Offset >= limit {
			return kafka.NoOffset, kafka.NoTimestamp, kafka.NoLeaderEpoch, false, l.readError(err)
		}
		return r.Offset, r.Timestamp, r.Epoch, true, nil
	}
}

func (l *Log) lookupOnce(choose func() (segment.View, bool, error), search func(segment.View) (segment.Record, bool, error)) (segment.Record, bool, error) {
	v, ok, err := l.chosen(choose)
	if err != nil || !ok {
		return segment.Record{}, false, err
	}
	defer v.Release()
	return search(v)
}

func (l *Log) chosen(choose func() (segment.View, bool, error)) (segment.View, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.unmade {
		return segment.View{}, false, nil
	}
	return choose()
}
