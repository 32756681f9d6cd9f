package bench

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/headrace/headrace/internal/cli/target"
	"github.com/headrace/headrace/internal/cli/term"
)

func (c *command) produce() *cobra.Command {
	o := &options{from: "start"}
	cmd := &cobra.Command{
		Use:   "produce",
		Short: "Write records at a rate and measure how long their acknowledgement takes",
		Long: "Writes records at a fixed rate, or as fast as can be, and measures throughput and the time until a record is acknowledged.\n" +
			"With a rate, the time counts from the moment at which the rate wanted the record sent, whether or not the cluster let it go then.",
		Args: noArguments,
		Example: "  headrace bench produce --rate 20000 --duration 30s\n" +
			"  headrace bench produce --producers 8 --partitions 100 --keys 100000 --record-size 100 --file before.json",
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd, o, workProduce, c.sendAll) },
	}
	c.at.Flags(cmd)
	o.flags(cmd, 6)
	o.producing(cmd, 1024)
	f := cmd.Flags()
	f.IntVarP(&o.clients, "producers", "p", 1, "producers, each with connections of its own")
	f.IntVar(&o.keys, "keys", 0, "give records keys of so many values, which spread them over the partitions; 0 is no keys")
	return cmd
}

// payloadPool is how many bytes the values of a load are cut from: enough that compression finds little to repeat.
const payloadPool = 1 << 20

// sendAll runs all producers until each has sent its share and all of it is acknowledged.
func (c *command) sendAll(ctx context.Context, o *options, m *meter) error {
	opts, err := o.producer()
	if err != nil {
		return err
	}
	clients, closeAll, err := c.connect(ctx, o.clients, opts)
	if err != nil {
		return err
	}
	defer closeAll()
	// A failure of one ends all, but what was sent is still waited for.
	sending, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	s := &senders{o: o, meter: m, values: payload(o.recordSize), keys: keys(o.keys), fail: stop}
	begin := time.Now()
	s.counts = m.start(begin)
	var all sync.WaitGroup
	for i, client := range clients {
		all.Go(func() { s.producer(sending, client, newPace(begin, o.rate, i, o.clients)) })
	}
	all.Wait()
	if cause := context.Cause(sending); ctx.Err() == nil && cause != nil {
		return cause
	}
	return nil
}

// connect makes n clients.
func (c *command) connect(ctx context.Context, n int, opts []kgo.Opt) (clients []*kgo.Client, closeAll func(), err error) {
	closeAll = func() {
		for _, client := range clients {
			client.Close()
		}
	}
	for range n {
		client, err := c.at.Connect(ctx, opts...)
		if err != nil {
			closeAll()
			return nil, nil, err
		}
		clients = append(clients, client)
	}
	return clients, closeAll, nil
}

// senders is what the producers of a load share.
type senders struct {
	o      *options
	meter  *meter
	counts time.Time // from when on records count
	values []byte    // values are slices of it
	keys   [][]byte
	taken  atomic.Int64 // records that count and were begun
	fail   context.CancelCauseFunc
}

// shot is one record on its way.
type shot struct {
	record kgo.Record
	due    time.Time
	done   func(*kgo.Record, error)
}

// producer sends with one client until the load's end, and waits for the acknowledgements.
func (s *senders) producer(ctx context.Context, client *kgo.Client, p pace) {
	shots := sync.Pool{New: func() any { return new(shot) }}
	// Records that were sent are still waited for after ctx.
	delivery, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(impatience, giveUp) })()
	for number := int64(0); ; number++ {
		due := p.due(number)
		if s.ends(due) || !wait(ctx, due) {
			break
		}
		if p.period == 0 {
			due = time.Now()
		}
		shot := shots.Get().(*shot)
		if shot.done == nil {
			shot.done = func(_ *kgo.Record, err error) {
				if err != nil {
					s.fail(target.Explain(err, ""))
				} else {
					s.meter.done(shot.due, time.Now(), 1, int64(len(shot.record.Key)+len(shot.record.Value)))
				}
				shots.Put(shot)
			}
		}
		shot.due, shot.record = due, kgo.Record{Key: s.key(), Value: s.value()}
		client.Produce(delivery, &shot.record, shot.done)
	}
	patient, cancel := context.WithTimeout(delivery, drainTimeout)
	defer cancel()
	if err := client.Flush(patient); err != nil {
		s.fail(errors.New("records were not acknowledged within " + drainTimeout.String()))
	}
}

// ends tells whether the record that is due then is past the load's end.
func (s *senders) ends(due time.Time) bool {
	if due.Before(s.counts) {
		return false
	}
	if s.o.records > 0 && s.taken.Add(1) > s.o.records {
		return true
	}
	return s.o.duration > 0 && due.Sub(s.counts) >= s.o.duration
}

func (s *senders) value() []byte {
	at := rand.IntN(payloadPool)
	return s.values[at : at+s.o.recordSize]
}

func (s *senders) key() []byte {
	if len(s.keys) == 0 {
		return nil
	}
	return s.keys[rand.IntN(len(s.keys))]
}

// payload are letters by chance, long enough to cut values of a size from.
func payload(size int) []byte {
	p := make([]byte, payloadPool+size)
	for i := range p {
		p[i] = byte('A' + rand.IntN(26))
	}
	return p
}

func keys(n int) [][]byte {
	all := make([][]byte, n)
	for i := range all {
		all[i] = strconv.AppendInt(nil, int64(i), 10)
	}
	return all
}

func noArguments(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return term.Usage("%q is no flag, and bench takes nothing else", args[0])
	}
	return nil
}
