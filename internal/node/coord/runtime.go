// Package coord runs the machines of coordinators (core/machine) on the partitions of an internal topic that this node leads. Those who
// know what a machine does submit requests, the quorum's publisher tells what is led. A Runtime owns one goroutine a shard, which runs
// while the shard loads, has events, or has answers that wait for the high watermark, and ends when it has nothing to do; a timer
// starts it again. Close and Resign end the goroutines, and Close waits for them.
package coord

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/machine"
)

// Config is what a Runtime needs. Zero limits stand for their defaults.
type Config struct {
	Topic      string
	Partitions int32 // of the topic, or those that it is to have
	// New makes the machine of a partition without anything in it.
	New func(Place) machine.Machine
	// Refuse is the answer to a request that no machine was asked, or whose records are not committed; err says why. It may be
	// called from any goroutine.
	Refuse func(req kmsg.Request, version int16, err error) kmsg.Response
	// Do begins a task of a machine's, without waiting for it; what comes of it is told by tell, from any goroutine and once or not
	// at all. Nil where the machines have no tasks.
	Do           func(at Place, t machine.Task, tell func(machine.Event))
	WriteTimeout time.Duration // offset.commit.timeout.ms; 5 s
	MaxBatch     int           // bytes of one append, at most the topic's max.message.bytes; 1 MiB
	MaxInbox     int           // events that wait for one shard; 16,384. Requests beyond are told to come back
	Rand         *rand.Rand
	Log          *slog.Logger
}

// Place is one term of leadership of a partition.
type Place struct {
	Partition int32
	Epoch     kafka.LeaderEpoch
	Rand      *rand.Rand // for the machine alone
}

func (c *Config) setDefaults() {
	if c.WriteTimeout == 0 {
		c.WriteTimeout = 5 * time.Second
	}
	if c.MaxBatch == 0 {
		c.MaxBatch = 1 << 20
	}
	if c.MaxInbox == 0 {
		c.MaxInbox = 1 << 14
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}

// ClientInfo is who sent a request.
type ClientInfo struct {
	ID   string
	Host string // as Kafka prints an address: "/127.0.0.1"
}

// Runtime runs the shards of the partitions led here.
type Runtime struct {
	cfg     Config
	tickets atomic.Uint64
	// partitions is how many the topic has: the number of a key's partition follows from it.
	partitions atomic.Int32
	wg         sync.WaitGroup // of the shards' goroutines
	mu         struct {
		sync.Mutex
		shards map[int32]*shard
		closed bool
	}
}

// New makes a Runtime that leads nothing.
func New(cfg Config) *Runtime {
	cfg.setDefaults()
	r := &Runtime{cfg: cfg}
	r.partitions.Store(cfg.Partitions)
	r.mu.shards = make(map[int32]*shard)
	return r
}

// SetPartitions is for a topic that was made anew: before the first of its partitions is led.
func (r *Runtime) SetPartitions(n int32) { r.partitions.Store(n) }

// Lead begins to coordinate what is in partition p. It is loaded from log; until then requests are answered
// COORDINATOR_LOAD_IN_PROGRESS. An epoch older than the one that is led is ignored, a newer one or another log loads again.
func (r *Runtime) Lead(p int32, log PartitionLog, epoch kafka.LeaderEpoch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.mu.shards[p]
	if r.mu.closed || old != nil && old.leads(log, epoch) {
		return
	}
	r.replace(p, old, log, epoch)
}

// replace starts a shard that loads when the old one has ended.
func (r *Runtime) replace(p int32, old *shard, log PartitionLog, epoch kafka.LeaderEpoch) {
	var after <-chan struct{}
	if old != nil {
		old.end()
		after = old.done
	}
	s := newShard(r, p, log, epoch, after)
	r.mu.shards[p] = s
	s.poke()
}

// reload starts over with a shard whose log holds what it did not write.
func (r *Runtime) reload(s *shard) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mu.closed || r.mu.shards[s.place.Partition] != s {
		return
	}
	r.replace(s.place.Partition, s, s.log, s.place.Epoch)
}

// Resign ends the coordination of partition p: who waits is told NOT_COORDINATOR. It does not wait for the shard's
// goroutine; a Lead that follows does.
func (r *Runtime) Resign(p int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	// An ended shard stays in the map, so that the next one waits for its last append.
	if s := r.mu.shards[p]; s != nil {
		s.end()
	}
}

// Close ends all coordination and waits for the goroutines.
func (r *Runtime) Close() {
	r.mu.Lock()
	r.mu.closed = true
	for _, s := range r.mu.shards {
		s.end()
	}
	r.mu.Unlock()
	r.wg.Wait()
}

// Partition is the one that a key belongs to.
func (r *Runtime) Partition(key string) int32 {
	return kafka.CoordinatorPartition(key, r.partitions.Load())
}

// Submit has req answered by the coordinator of a key, such as a group's id. What the protocol calls an error is in the response, so
// the error is only ctx's. The response may alias req, and req is not used after Submit has returned.
func (r *Runtime) Submit(ctx context.Context, key string, client ClientInfo, req kmsg.Request) (kmsg.Response, error) {
	return r.submit(ctx, r.shard(r.Partition(key)), client, req)
}

// SubmitAll has req answered by every partition led here, one after the other, by number.
func (r *Runtime) SubmitAll(ctx context.Context, client ClientInfo, req kmsg.Request) (all []kmsg.Response, err error) {
	shards := r.snapshot()
	for _, p := range slices.Sorted(maps.Keys(shards)) {
		resp, err := r.submit(ctx, shards[p], client, req)
		if err != nil {
			return nil, err
		}
		all = append(all, resp)
	}
	return all, nil
}

func (r *Runtime) snapshot() map[int32]*shard {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.mu.shards)
}

func (r *Runtime) shard(p int32) *shard {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.shards[p]
}

func (r *Runtime) submit(ctx context.Context, s *shard, client ClientInfo, req kmsg.Request) (kmsg.Response, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if s == nil {
		return r.refusal(req, kerr.NotCoordinator), nil
	}
	c := &call{
		Request: machine.Request{
			Ticket: r.tickets.Add(1), ClientID: client.ID, ClientHost: client.Host, Version: req.GetVersion(), Req: req,
		},
		answer: make(chan kmsg.Response, 1),
	}
	if err := s.ask(queued{c}); err != nil {
		return r.refusal(req, err), nil
	}
	select {
	case resp := <-c.answer:
		return resp, nil
	case <-ctx.Done():
		s.forget(c)
		return nil, ctx.Err()
	}
}

// Tell hands an event to every partition led here. It does not wait for what comes of it.
func (r *Runtime) Tell(ev machine.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.mu.shards {
		s.tell(ev)
	}
}

// Loading tells whether any partition led here is still being loaded.
func (r *Runtime) Loading() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.mu.shards {
		if s.is(loading) {
			return true
		}
	}
	return false
}

// shardRand gives each shard a source of its own. The caller holds r.mu.
func (r *Runtime) shardRand() *rand.Rand {
	var seed [32]byte
	for i := range seed {
		seed[i] = byte(r.cfg.Rand.Uint32())
	}
	return rand.New(rand.NewChaCha8(seed))
}

func (r *Runtime) refusal(req kmsg.Request, err error) kmsg.Response {
	return r.cfg.Refuse(req, req.GetVersion(), err)
}

func (r *Runtime) name(p int32) string { return fmt.Sprintf("%s-%d", r.cfg.Topic, p) }
