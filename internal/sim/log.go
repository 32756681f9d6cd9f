package sim

import (
	"math/rand/v2"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/storage/epochs"
)

// log is one partition's log on one disk. Offsets are indexes.
type log struct {
	records []record
	epochs  epochs.Cache
	flushed kafka.Offset // below is on disk
	// watermark is the checkpoint of the high watermark; it may be old.
	watermark kafka.Offset
	cuts      int // counts truncations
}

func (l *log) end() kafka.Offset { return kafka.Offset(len(l.records)) }

func (l *log) append(r record) {
	l.epochs.Assign(r.epoch, l.end())
	l.records = append(l.records, r)
}

// truncate ends the log at end. An epoch that began there goes, even where there is no record after it.
func (l *log) truncate(end kafka.Offset) {
	if end > l.end() {
		return
	}
	l.records = l.records[:end:end]
	l.epochs.TruncateFromEnd(end)
	l.cuts++
	// Truncation is durable before anything is written after it.
	l.flushed = min(l.flushed, end)
	l.watermark = min(l.watermark, end)
}

// losePower forgets what was not flushed, but for a part of it that had reached the disk.
func (l *log) losePower(rng *rand.Rand) {
	lost := int(l.end() - l.flushed)
	l.truncate(l.flushed + kafka.Offset(rng.IntN(lost+1)))
}

// restart is recovery: what is there is flushed before anybody counts on it.
func (l *log) restart() { l.flushed = l.end() }

// endOfEpoch answers OffsetForLeaderEpoch.
func (l *log) endOfEpoch(e kafka.LeaderEpoch) (kafka.LeaderEpoch, kafka.Offset) {
	return l.epochs.EndOffsetFor(e, l.end())
}
