// Package coord runs core/group on the partitions of __consumer_offsets that this node leads. node/api submits requests,
// the quorum's publisher tells what is led. A Runtime owns one goroutine a shard, which runs while the shard loads, has
// events, or has answers that wait for the high watermark, and ends when it has nothing to do; a timer starts it again.
// Close and Resign end the goroutines, and Close waits for them.
package coord

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/group"
)

// Config is what a Runtime needs. Zero limits stand for their defaults.
type Config struct {
	Partitions   int32         // of __consumer_offsets (offsets.topic.num.partitions)
	Group        group.Config  // its Rand is not used
	WriteTimeout time.Duration // offset.commit.timeout.ms; 5 s
	MaxBatch     int           // bytes of one append, at most the topic's max.message.bytes; 1 MiB
	MaxInbox     int           // events that wait for one shard; 16,384. Requests beyond are told to come back
	Rand         *rand.Rand
	Log          *slog.Logger
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
	// partitions is how many __consumer_offsets has: a group's number of the partition follows from it.
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

// SetPartitions is for an offsets topic that was made anew: before the first of its partitions is led.
func (r *Runtime) SetPartitions(n int32) { r.partitions.Store(n) }

// Lead begins to coordinate the groups of partition p. They are loaded from log; until then requests are answered
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
	if r.mu.closed || r.mu.shards[s.partition] != s {
		return
	}
	r.replace(s.partition, s, s.log, s.epoch)
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

// Submit has req answered by the coordinator of groupID. What the protocol calls an error is in the response, so the
// error is only ctx's. The response may alias req, and req is not used after Submit has returned.
func (r *Runtime) Submit(ctx context.Context, groupID string, client ClientInfo, req kmsg.Request) (kmsg.Response, error) {
	s := r.shard(kafka.CoordinatorPartition(groupID, r.partitions.Load()))
	return r.submit(ctx, s, client, req)
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
		return failure(req, kerr.NotCoordinator), nil
	}
	c := &call{
		Request: group.Request{
			Ticket: r.tickets.Add(1), ClientID: client.ID, ClientHost: client.Host, Version: req.GetVersion(), Req: req,
		},
		answer: make(chan kmsg.Response, 1),
	}
	if err := s.request(c); err != nil {
		return failure(req, err), nil
	}
	select {
	case resp := <-c.answer:
		return resp, nil
	case <-ctx.Done():
		s.forget(c)
		return nil, ctx.Err()
	}
}

// ListGroups merges the lists of all shards. While one of them loads, the answer is COORDINATOR_LOAD_IN_PROGRESS.
func (r *Runtime) ListGroups(ctx context.Context, req *kmsg.ListGroupsRequest) (*kmsg.ListGroupsResponse, error) {
	r.mu.Lock()
	shards := make([]*shard, 0, len(r.mu.shards))
	for _, s := range r.mu.shards {
		shards = append(shards, s)
	}
	r.mu.Unlock()

	merged := kmsg.NewPtrListGroupsResponse()
	merged.SetVersion(req.Version)
	for _, s := range shards {
		resp, err := r.submit(ctx, s, ClientInfo{}, req)
		if err != nil {
			return nil, err
		}
		switch list := resp.(*kmsg.ListGroupsResponse); list.ErrorCode {
		case 0:
			merged.Groups = append(merged.Groups, list.Groups...)
		case kerr.NotCoordinator.Code:
		default:
			merged.ErrorCode, merged.Groups = list.ErrorCode, nil
			return merged, nil
		}
	}
	slices.SortFunc(merged.Groups, func(a, b kmsg.ListGroupsResponseGroup) int { return strings.Compare(a.Group, b.Group) })
	return merged, nil
}

// TopicsGone ends the offsets of deleted topics, but where their ids are given not those that a group has committed for a
// later topic of the name. It does not wait for that.
func (r *Runtime) TopicsGone(topics []group.DeletedTopic) {
	if len(topics) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.mu.shards {
		s.tell(group.TopicsDeleted{Topics: topics})
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

// failure is the answer to req when it was not stepped on, or its records failed. Clients of a coordinator that loads
// keep their sessions; OffsetFetch clients know no better error for one that cannot commit.
func failure(req kmsg.Request, err error) kmsg.Response {
	switch req.(type) {
	case *kmsg.HeartbeatRequest:
		if errors.Is(err, kerr.CoordinatorLoadInProgress) {
			err = nil
		}
	case *kmsg.OffsetFetchRequest:
		if errors.Is(err, kerr.CoordinatorNotAvailable) {
			err = kerr.NotCoordinator
		}
	}
	return group.ErrorResponse(req, req.GetVersion(), err)
}

func name(p int32) string { return fmt.Sprintf("%s-%d", kafka.OffsetsTopic, p) }
