package replication

import (
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/node/await"
	"github.com/headrace/headrace/internal/node/partition"
)

// errStands is the error of an answer that does not bring a partition on: were it fetched again at once, that would go on
// for ever.
var errStands = errors.New("the leader's answer did not bring the log on")

// handle takes an answer: appends what came, and waits until it is safe.
func (f *fetcher) handle(resp *kmsg.FetchResponse) {
	now := time.Now()
	for i := range resp.Topics {
		t := &resp.Topics[i]
		for j := range t.Partitions {
			if p := f.session.parts[keyIn(t, &t.Partitions[j])]; p != nil {
				f.handlePartition(now, p, &t.Partitions[j])
			}
		}
	}
	f.secure()
	f.count()
}

func (f *fetcher) handlePartition(now time.Time, p *followed, a *kmsg.FetchResponseTopicPartition) {
	var err error
	switch {
	case a.ErrorCode == kerr.OffsetOutOfRange.Code && a.LogStartOffset >= 0:
		err = f.beginAnew(p, kafka.Offset(a.LogStartOffset))
	case a.ErrorCode != 0:
		err = kerr.ErrorForCode(a.ErrorCode)
	case a.DivergingEpoch.EndOffset >= 0:
		end := partition.EpochEnd{Epoch: kafka.LeaderEpoch(a.DivergingEpoch.Epoch), End: kafka.Offset(a.DivergingEpoch.EndOffset)}
		if err = p.part.Diverged(p.at.Epoch, end); err == nil {
			f.log.Info("log cut off where the leader's is another", "partition", p.part.Name().String(), "epoch", int32(p.at.Epoch),
				"from", int64(p.at.Offset), "to", int64(p.part.LogEnd()))
			f.moved = append(f.moved, p)
		}
	default:
		err = f.append(now, p, a)
	}
	switch {
	case errors.Is(err, partition.ErrEpochOver): // the metadata has moved on: Apply is about to say where
		f.giveUp(p.key)
	case err != nil:
		f.delay(now, p, err)
	}
}

// append appends what the leader sent of one partition, straight from the answer, and takes its high watermark.
func (f *fetcher) append(now time.Time, p *followed, a *kmsg.FetchResponseTopicPartition) error {
	if len(a.RecordBatches) > 0 {
		if err := p.part.AppendFetched(now, p.at.Epoch, a.RecordBatches); err != nil {
			return err
		}
		f.appended = append(f.appended, p)
		if p.part.ThrottledFrom() {
			f.r.fetched.Add(now, len(a.RecordBatches))
		}
	}
	p.failures = 0
	started := p.part.Heard(p.at.Epoch, kafka.Offset(a.HighWatermark), kafka.Offset(a.LogStartOffset))
	if started && len(a.RecordBatches) == 0 { // the leader hears of it with the next request
		f.moved = append(f.moved, p)
	}
	return nil
}

// beginAnew gives up a log that the leader's has nothing in common with: it ends before the leader's begins, or is of leader
// epochs that the leader knows nothing of, and nothing tells how far the two are the same.
func (f *fetcher) beginAnew(p *followed, start kafka.Offset) error {
	if p.at.Offset == start && p.at.LogStart == start {
		return fmt.Errorf("log begins anew at %d, and is out of range yet: %w", start, kerr.OffsetOutOfRange)
	}
	if err := p.part.StartAnew(p.at.Epoch, start); err != nil {
		return err
	}
	f.log.Warn("log begun anew where the leader's begins", "partition", p.part.Name().String(), "epoch", int32(p.at.Epoch),
		"from", int64(p.at.Offset), "to", int64(start))
	f.moved = append(f.moved, p)
	return nil
}

// secure waits until all that was appended is safe, and has it fetched from there on. A line breaks when a role changes or a disk
// fails, which refresh finds out.
func (f *fetcher) secure() {
	if len(f.appended) > 0 {
		w := await.NewWaiter(len(f.appended))
		for _, p := range f.appended {
			p.part.AwaitSafe(w, p.part.LogEnd())
		}
		select {
		case <-w.Woken():
		case <-f.ctx.Done():
		}
	}
	now := time.Now()
	for _, p := range f.appended {
		f.goOn(now, p)
	}
	for _, p := range f.moved {
		f.goOn(now, p)
	}
	clear(f.appended)
	clear(f.moved)
	f.appended, f.moved = f.appended[:0], f.moved[:0]
}

// goOn has a partition fetched from where it is now, if it is elsewhere than before.
func (f *fetcher) goOn(now time.Time, p *followed) {
	if f.session.parts[p.key] != p || f.ctx.Err() != nil {
		return
	}
	was := p.at
	f.refresh(now, p)
	if p.at == was && f.session.parts[p.key] == p { // else it goes on, or waits
		f.delay(now, p, errStands)
	}
}
