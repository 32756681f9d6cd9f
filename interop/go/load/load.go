// Package load is what clients do to a cluster while it is being broken: idempotent producers with acks=all that name every record,
// consumers of all partitions, consumers that go back, and a group whose members come and go. All of them note what they did and
// saw in a history. The fault runs call it. Load owns the goroutines of its clients; Stop ends them.
package load

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/headrace/headrace/interop/go/history"
)

// Config says what the clients do.
type Config struct {
	Seeds      []string
	Topic      string
	Partitions int32
	// Copies is a second topic, of as many partitions: the producers write in transactions then, all readers have
	// isolation.level=read_committed, and copiers copy the first topic to it in transactions of their own. Empty for none of that.
	Copies string
	// Rate is about how many records a second are sent by all producers together.
	Rate     int
	Recorder *history.Recorder
	Seed     uint64
	// Steady clients stay for the whole run, send at an even pace, and keep their library's own settings for trying again: for what
	// no client must notice. All errors that the application sees are told as ClientError.
	Steady bool
	// Note is told, from any goroutine, of what a client complains of beside its records.
	Note func(kind, what string)
	// Log takes what the clients log.
	Log io.Writer
	// Python, with confluent-kafka, runs PythonClient: a producer and a consumer on librdkafka. Empty for none.
	Python, PythonClient string
}

// ClientError is an error that the application of a steady client sees.
const ClientError = "client-error"

const (
	producers = 2
	// patience of the clients with a node that does not answer
	produceTimeout, overhead = 4 * time.Second, 2 * time.Second
	retryPause               = 50 * time.Millisecond
	// lives of a client that is replaced, and of a consumer before it goes back
	shortLife, longLife = 8 * time.Second, 25 * time.Second
)

// Settings is what the clients were told, in words for a report.
func Settings(steady bool) string {
	if steady {
		return "the libraries' own settings: acks=all, idempotent"
	}
	return "franz-go: acks=all, idempotent, MetadataMinAge 100ms, retry pause 50ms, produce timeout 4s + 2s, dial timeout 1s"
}

// Load is the running clients.
type Load struct {
	cfg     Config
	ctx     context.Context
	cancel  context.CancelFunc
	writers sync.WaitGroup
	readers sync.WaitGroup
	// sending ends before ctx, so that what was sent can be acknowledged.
	sending context.Context
	enough  context.CancelFunc
	Acks    *Acks
	Gaps    *Gaps

	group struct {
		sync.Mutex
		next map[int32]int64 // one past the highest offset that any member of the group was given
	}
}

// Start starts the clients.
func Start(cfg Config) (*Load, error) {
	l := &Load{cfg: cfg, Acks: newAcks(cfg.Partitions), Gaps: newGaps()}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.sending, l.enough = context.WithCancel(l.ctx)
	l.group.next = map[int32]int64{}
	for i := range producers {
		if cfg.Copies != "" {
			l.writers.Go(func() { l.transact(i) })
		} else {
			l.writers.Go(func() { l.produce(i) })
		}
	}
	if cfg.Copies != "" {
		for i := range copiers {
			l.readers.Go(func() { l.copyOn(i) })
		}
	}
	if cfg.Python != "" {
		if err := l.librdkafka(); err != nil {
			l.Stop()
			return nil, fmt.Errorf("start the librdkafka client: %w", err)
		}
	}
	l.readers.Go(l.tail)
	l.readers.Go(func() { l.member("steady", 0) })
	if cfg.Steady {
		l.readers.Go(func() { l.member("second", 0) })
		return l, nil
	}
	l.readers.Go(l.replay)
	l.readers.Go(func() { l.member("restless", longLife) })
	return l, nil
}

// StopSending ends the producers, with all they sent acknowledged if that happens in time.
func (l *Load) StopSending() {
	l.enough()
	l.writers.Wait()
}

// Stop ends all clients.
func (l *Load) Stop() {
	l.cancel()
	l.writers.Wait()
	l.readers.Wait()
}

func (l *Load) chance(stream uint64) *rand.Rand { return rand.New(rand.NewPCG(l.cfg.Seed, stream)) }

// client makes one with the settings that all have.
func (l *Load) client(name string, more ...kgo.Opt) (*kgo.Client, error) {
	prefix := func() string { return time.Now().Format("15:04:05.000 ") + name + " " }
	opts := []kgo.Opt{kgo.SeedBrokers(l.cfg.Seeds...), kgo.WithLogger(kgo.BasicLogger(l.cfg.Log, kgo.LogLevelInfo, prefix))}
	if !l.cfg.Steady {
		opts = append(opts, impatient()...)
	}
	return kgo.NewClient(append(opts, more...)...)
}

// impatient are the settings of clients that want to know soon how a cluster that is being broken is.
func impatient() []kgo.Opt {
	return []kgo.Opt{
		kgo.MetadataMinAge(100 * time.Millisecond),
		kgo.MetadataMaxAge(5 * time.Second),
		kgo.RetryBackoffFn(func(int) time.Duration { return retryPause }),
		kgo.RetryTimeout(time.Minute),
		kgo.RequestRetries(1 << 30),
		kgo.RequestTimeoutOverhead(overhead),
		kgo.DialTimeout(time.Second),
	}
}

// pause waits, or less if ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

func between(chance *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(chance.Int64N(int64(high-low)))
}
