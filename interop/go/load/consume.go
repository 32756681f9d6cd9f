package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/headrace/headrace/interop/go/history"
)

// What consumers complain of.
const (
	// ConsumerDataLoss: the log ends, or has other epochs, before where the consumer was.
	ConsumerDataLoss = "consumer-data-loss"
	// OutOfRange: an offset that was acknowledged is said to be behind the log's end, as a leader may say that was deposed and does
	// not know yet. By its settings a consumer then begins anew at the start, or goes to the end and skips.
	OutOfRange = "out-of-range"
	// DamagedBatch: a batch whose checksum is wrong was served.
	DamagedBatch = "damaged-batch"
)

// tail reads all partitions from their start and goes with their end.
func (l *Load) tail() {
	starts := map[int32]int64{}
	for p := range l.cfg.Partitions {
		starts[p] = 0
	}
	l.read(l.ctx, l.cfg.Topic, l.cfg.Recorder.Consumer("tail", ""), starts, nil)
}

// replay reads from a random place to the end, for a while, and again.
func (l *Load) replay() {
	chance := l.chance(200)
	log := l.cfg.Recorder.Consumer("replay", "")
	for l.ctx.Err() == nil {
		starts := l.cfg.Recorder.AckedEnds()
		for p, end := range starts {
			starts[p] = chance.Int64N(end)
		}
		life, cancel := context.WithTimeout(l.ctx, between(chance, shortLife, longLife))
		if len(starts) > 0 {
			l.read(life, l.cfg.Topic, log, starts, nil)
		} else {
			pause(life, time.Second)
		}
		cancel()
	}
}

// read follows the partitions from where it is told until ctx ends, or done says so after a poll.
func (l *Load) read(ctx context.Context, topic string, log *history.Consumer, starts map[int32]int64, done func(at map[int32]int64) bool) {
	for p, o := range starts {
		log.Assigned(p, o)
	}
	at := maps.Clone(starts)
	for ctx.Err() == nil && (done == nil || !done(at)) {
		if err := l.readOn(ctx, topic, log, at, done); err != nil {
			l.cfg.Note("client", err.Error())
			return
		}
		pause(ctx, retryPause)
	}
}

// readOn is one client of read. It ends before its time when an offset is said to be out of range; the next goes on where it was.
func (l *Load) readOn(ctx context.Context, topic string, log *history.Consumer, at map[int32]int64, done func(at map[int32]int64) bool) error {
	from := map[int32]kgo.Offset{}
	for p, o := range at {
		from[p] = kgo.NewOffset().At(o)
	}
	cl, err := l.client(log.Name, append(l.committedOnly(), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), kgo.FetchMaxWait(500*time.Millisecond))...)
	if err != nil {
		return err
	}
	defer cl.Close()
	for ctx.Err() == nil && (done == nil || !done(at)) {
		fetches := cl.PollFetches(ctx)
		ends := note(log, fetches)
		maps.Copy(at, ends)
		l.delivered(log.Name, ends)
		if l.complaints(log.Name, fetches) {
			break
		}
	}
	return nil
}

// delivered notes for the gaps that records of these partitions were given to a reader, or to one of those that share them.
func (l *Load) delivered(who string, ends map[int32]int64) {
	now := time.Now()
	for p := range ends {
		l.Gaps.note(Lane{who, p}, now)
	}
}

// note writes what was fetched into the log, and returns one past the last offset of each partition.
func note(log *history.Consumer, fetches kgo.Fetches) map[int32]int64 {
	ends := map[int32]int64{}
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		reads := make([]history.Read, 0, len(p.Records))
		for _, r := range p.Records {
			ends[p.Partition] = r.Offset + 1
			if !r.Attrs.IsControl() {
				reads = append(reads, history.Read{Offset: r.Offset, Value: decode(r.Value)})
			}
		}
		log.Polled(p.Partition, reads)
	})
	return ends
}

// complaints passes on errors of a fetch that are more than a node that is away. After some the client does not go on.
func (l *Load) complaints(name string, fetches kgo.Fetches) (over bool) {
	for _, e := range fetches.Errors() {
		var loss *kgo.ErrDataLoss
		text := fmt.Sprintf("%s, partition %d: %v", name, e.Partition, e.Err)
		switch {
		case errors.Is(e.Err, context.Canceled), errors.Is(e.Err, context.DeadlineExceeded), errors.Is(e.Err, kgo.ErrClientClosed):
		case l.cfg.Steady:
			l.cfg.Note(ClientError, text)
		case errors.As(e.Err, &loss):
			l.cfg.Note(ConsumerDataLoss, text)
		case errors.Is(e.Err, kerr.OffsetOutOfRange):
			l.cfg.Note(OutOfRange, text)
			over = true
		case kerr.IsRetriable(e.Err), errors.Is(e.Err, io.EOF), errors.As(e.Err, new(*net.OpError)), strings.Contains(e.Err.Error(), "unable to dial"):
		case errors.As(e.Err, new(*kerr.Error)):
			l.cfg.Note("client", text)
		case containsCRC(e.Err):
			l.cfg.Note(DamagedBatch, text)
		default:
			l.cfg.Note("client", text)
		}
	}
	return over
}

// ReadAll reads everything from the start until the given ends are reached and notes it as the final read.
func (l *Load) ReadAll(ctx context.Context, ends map[int32]int64) error {
	return l.readAll(ctx, l.cfg.Topic, l.cfg.Recorder.FinalConsumer("final"), ends)
}

func (l *Load) readAll(ctx context.Context, topic string, log *history.Consumer, ends map[int32]int64) error {
	starts := map[int32]int64{}
	for p := range l.cfg.Partitions {
		starts[p] = 0
	}
	var left map[int32]int64
	l.read(ctx, topic, log, starts, func(at map[int32]int64) bool {
		left = map[int32]int64{}
		for p, end := range ends {
			if at[p] < end {
				left[p] = at[p]
			}
		}
		return len(left) == 0
	})
	if len(left) > 0 {
		return fmt.Errorf("the end was not reached in time: read up to %v of %v", left, ends)
	}
	return nil
}
