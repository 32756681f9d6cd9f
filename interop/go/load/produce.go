package load

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/headrace/headrace/interop/go/history"
)

// ProducerDataLoss is what a producer says whose sequence numbers are refused: mostly records of it are gone.
const ProducerDataLoss = "producer-data-loss"

// produce is one producer after another until enough was sent. One that is replaced leaves what it had not sent, as a client that
// crashes does.
func (l *Load) produce(i int) {
	chance := l.chance(uint64(i) + 100)
	for l.sending.Err() == nil {
		life, cancel := context.WithCancel(l.sending)
		if !l.cfg.Steady {
			life, cancel = context.WithTimeout(l.sending, between(chance, shortLife, longLife))
		}
		p, err := l.newProducer(i)
		if err != nil {
			l.cfg.Note("client", err.Error())
			cancel()
			return
		}
		var writers sync.WaitGroup
		for partition := range l.cfg.Partitions {
			writers.Go(func() { p.write(life, partition, l.chance(uint64(partition)<<8+uint64(i))) })
		}
		<-life.Done()
		cancel()
		if l.sending.Err() != nil { // the last of its line
			p.flush(l.ctx)
		}
		p.cl.Close() // frees writers that wait for room
		writers.Wait()
	}
}

type producer struct {
	l   *Load
	who string // its line, for the gaps
	cl  *kgo.Client
	log *history.Producer
}

func (l *Load) newProducer(i int) (*producer, error) {
	p := &producer{l: l, who: fmt.Sprintf("producer %d", i), log: l.cfg.Recorder.Producer()}
	opts := []kgo.Opt{
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerOnDataLossDetected(func(topic string, partition int32) {
			l.cfg.Note(ProducerDataLoss, fmt.Sprintf("a producer of partition %d: its sequence numbers were refused", partition))
		}),
	}
	if !l.cfg.Steady {
		opts = append(opts, kgo.ProducerLinger(0), kgo.MaxBufferedRecords(2000), kgo.ProduceRequestTimeout(produceTimeout), kgo.UnknownTopicRetries(-1))
	}
	var err error
	p.cl, err = l.client(fmt.Sprintf("producer-%d", p.log.ID()), opts...)
	return p, err
}

// write sends bursts of records to one partition.
func (p *producer) write(ctx context.Context, partition int32, chance interface{ IntN(int) int }) {
	each := float64(p.l.cfg.Rate) / float64(producers*p.l.cfg.Partitions) // records a second
	places := &places{}
	for ctx.Err() == nil {
		burst := 1
		if !p.l.cfg.Steady {
			burst += chance.IntN(16)
		}
		for range burst {
			v := p.log.Send(partition)
			sent := time.Now()
			r := &kgo.Record{Topic: p.l.cfg.Topic, Partition: partition, Value: encode(v)}
			// The record itself is never cancelled: Produce blocks while the buffer is full, until Close.
			p.cl.Produce(context.WithoutCancel(ctx), r, func(r *kgo.Record, err error) {
				if err == nil {
					p.log.Acked(v, places.of(r.Offset))
					p.l.Acks.note(partition, sent)
					p.l.Gaps.note(Lane{p.who, partition}, time.Now())
				} else if p.l.cfg.Steady {
					p.l.cfg.Note(ClientError, fmt.Sprintf("%s, partition %d: a record is given up: %v", p.who, partition, err))
				}
			})
			if ctx.Err() != nil {
				return
			}
		}
		pause(ctx, time.Duration(float64(burst)/each*float64(time.Second)))
	}
}

func (p *producer) flush(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := p.cl.Flush(ctx); err != nil {
		p.l.cfg.Note("client", fmt.Sprintf("records are not acknowledged half a minute after the last fault: %v", err))
	}
}

// places tells offsets of acknowledgements from what the client makes of a batch that the broker knew already and whose offset it did
// not say: -1 for its first record, 0 for the second and so on. The client acknowledges record by record, in order.
type places struct {
	next    int64
	nowhere bool
}

func (p *places) of(offset int64) int64 {
	p.nowhere = offset < 0 || p.nowhere && offset == p.next
	if !p.nowhere {
		return offset
	}
	p.next = offset + 1
	return history.Somewhere
}
