package commitlog

import (
	"testing"
	"time"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
)

// jumpy is a log that is appended to and looked after by a clock that jumps. Segments hold about three batches.
type jumpy struct {
	t   *testing.T
	l   *Log
	now time.Time
	seq int32
}

func newJumpy(t *testing.T) *jumpy {
	o := options(newDisk(t))
	o.Config.SegmentAge, o.Config.RetentionAge, o.Config.ProducerExpiration = 24*time.Hour, 48*time.Hour, 24*time.Hour
	return &jumpy{t: t, l: mustOpen(t, o), now: start}
}

// live is an hour of a node's life by the machine's clock, with a batch every ten minutes, of one producer.
func (j *jumpy) live() {
	j.t.Helper()
	for range 6 {
		j.now = j.now.Add(10 * time.Minute)
		v := build(batch.BuilderConfig{ProducerID: 9, BaseSequence: j.seq}, 1, 500, j.now.Sub(start).Milliseconds())
		a, err := j.l.AppendLeader(j.now, v, 0, OriginClient)
		must(j.t, err)
		if a.Duplicate || a.First != kafka.Offset(j.seq) {
			j.t.Fatalf("batch %d: %+v", j.seq, a)
		}
		again, err := j.l.AppendLeader(j.now, v, 0, OriginClient)
		must(j.t, err)
		if !again.Duplicate || again.First != a.First {
			j.t.Fatalf("batch %d, sent again: %+v", j.seq, again)
		}
		j.seq++
		j.upkeep()
	}
}

func (j *jumpy) upkeep() {
	j.t.Helper()
	must(j.t, j.l.RollIfDue(j.now))
	_, err := j.l.Retain(j.now, j.l.End())
	must(j.t, err)
	j.l.DeleteExpiredFiles(j.now)
}

// first is the offset that a lookup of a time finds.
func (j *jumpy) first(at time.Time) kafka.Offset {
	j.t.Helper()
	o, _, _, found, err := j.l.OffsetForTimestamp(at.UnixMilli(), j.l.End())
	must(j.t, err)
	if !found {
		return kafka.NoOffset
	}
	return o
}

// Ages are told by the wall clock: one that jumps ahead by less than them costs nothing, one by more deletes what is as old
// by it, as with Apache Kafka. One that jumps back deletes nothing, and what was written ahead of it stays for longer.
func TestAClockThatJumpsDeletesOnlyWhatIsOldByIt(t *testing.T) {
	for name, c := range map[string]struct {
		jump  time.Duration
		start kafka.Offset // of the log, after an hour by the clock that jumped
	}{
		"minutes ahead":                {5 * time.Minute, 0},
		"hours ahead":                  {7 * time.Hour, 0},
		"a day ahead":                  {25 * time.Hour, 0},
		"beyond the retention":         {49 * time.Hour, 6},
		"years ahead":                  {10 * 365 * 24 * time.Hour, 6},
		"minutes back":                 {-5 * time.Minute, 0},
		"days back":                    {-3 * 24 * time.Hour, 0},
		"before the beginning of time": {-60 * 365 * 24 * time.Hour, 0},
	} {
		t.Run(name, func(t *testing.T) {
			j := newJumpy(t)
			j.live()
			j.now = j.now.Add(c.jump)
			j.upkeep()
			j.live()
			if j.l.Start() != c.start || j.l.End() != 12 {
				t.Errorf("log is %d..%d, want %d..12", j.l.Start(), j.l.End(), c.start)
			}
			if c.jump < 0 && c.jump > -1000*time.Hour {
				if got := j.first(start.Add(time.Minute)); got != 0 {
					t.Errorf("the first record after the start is found at %d", got)
				}
			}
			j.now = j.now.Add(-c.jump) // somebody puts it right
			j.upkeep()
			j.live()
			if j.l.Start() < c.start || j.l.End() != 18 {
				t.Errorf("put right: log is %d..%d", j.l.Start(), j.l.End())
			}
			if len(readAll(t, j.l, 1<<20)) == 0 {
				t.Error("nothing is read")
			}
		})
	}
}

// What was written while the clock was ahead is found by its times, and holds the retention of its segment up until the
// clock gets there. It is deleted then.
func TestRecordsFromTheFutureAreDeletedWhenTheyAreOld(t *testing.T) {
	j := newJumpy(t)
	j.live()
	j.now = j.now.Add(7 * 24 * time.Hour)
	ahead := j.now
	j.seq = 6
	b := records(1, 1500, ahead.Sub(start).Milliseconds())
	mustAppend(t, j.l, b)
	j.seq++
	j.now = ahead.Add(-7 * 24 * time.Hour)
	must(t, j.l.RollIfDue(j.now))
	if got := j.first(ahead); got != 6 {
		t.Errorf("the record from the future is found at %d", got)
	}
	j.now = j.now.Add(5 * 24 * time.Hour)
	j.upkeep()
	if j.l.Start() != 6 {
		t.Errorf("five days later the log begins at %d", j.l.Start())
	}
	j.now = ahead.Add(49 * time.Hour)
	j.upkeep()
	if j.l.Start() != 7 || j.l.End() != 7 {
		t.Errorf("when it is old the log is %d..%d", j.l.Start(), j.l.End())
	}
}

// A producer that is forgotten because the clock jumped goes on: only what it repeats is not known any more.
func TestAProducerOutlivesAJumpOfTheClock(t *testing.T) {
	j := newJumpy(t)
	j.live()
	j.now = j.now.Add(25 * time.Hour)
	j.upkeep()
	if got := j.l.Producers(j.now); len(got) != 0 {
		t.Errorf("still known: %+v", got)
	}
	j.live()
	j.now = j.now.Add(-50 * time.Hour)
	j.live()
	if got := j.l.Producers(j.now); len(got) != 1 {
		t.Errorf("known: %+v", got)
	}
}
