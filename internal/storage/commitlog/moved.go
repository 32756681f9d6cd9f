package commitlog

import (
	"fmt"
	"time"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/storage/producers"
)

// Inherit makes a copy of another log's records know what that one knows besides: leader epochs in which nothing was written, producers
// whose records are gone, and transactions that are being verified. Both must end at the same offset, and nothing may be appended to either.
func (l *Log) Inherit(from *Log) error {
	from.mu.Lock()
	known, states := from.mu.epochs.Entries(), from.mu.producers.States()
	var verifying producers.Table
	verifying.Inherit(&from.mu.producers)
	from.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.failed != nil {
		return l.mu.failed
	}
	if err := l.dropSnapshots(l.End()); err != nil { // a new one is to be taken
		return l.fail(fmt.Errorf("take over what another log knows: %w", err))
	}
	l.mu.epochs.Clear()
	for _, e := range known {
		l.mu.epochs.Assign(e.Epoch, e.Start)
	}
	l.mu.producers.Clear()
	for _, s := range states {
		l.mu.producers.Load(s)
	}
	l.mu.producers.Inherit(&verifying)
	l.epochsChanged()
	return nil
}

// SkipTo moves the end to o without a record: compaction, that of Apache Kafka, may have left none before the end of a log.
func (l *Log) SkipTo(now time.Time, o kafka.Offset) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.mu.failed != nil:
		return l.mu.failed
	case o <= l.End():
		return nil
	}
	if err := l.ensureMade(); err != nil {
		return err
	}
	if err := l.roll(now, o); err != nil {
		return err
	}
	l.end.Store(int64(o))
	return nil
}
