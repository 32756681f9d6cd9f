// Package sharestate is the share coordinator of this node: core/share/state, run by node/coord on the partitions of
// __share_group_state that the node leads. It is also how this node asks the share coordinators of the cluster, its own
// among them: for the group coordinator, and for partitions of share groups that are led here. node/api brings what other
// nodes ask, app publishes metadata. Goroutines are those of node/coord, one for each log that is cut, and while somebody
// asks one for each node and partition that is asked; Close waits for the first two, and who asks for the others.
package sharestate

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/machine"
	"github.com/headrace/headrace/internal/core/metadata"
	"github.com/headrace/headrace/internal/core/share/state"
	"github.com/headrace/headrace/internal/node/coord"
)

// Config is what a Coordinator needs. Every field is required.
type Config struct {
	Node         kafka.NodeID
	Partitions   int32 // of __share_group_state (share.coordinator.state.topic.num.partitions)
	State        state.Config
	WriteTimeout time.Duration // share.coordinator.write.timeout.ms
	Image        func() *metadata.Image
	// Request asks another node, on a connection between nodes.
	Request func(ctx context.Context, to kafka.NodeID, req kmsg.Request) (kmsg.Response, error)
	// CreateTopic makes __share_group_state, and returns when it is there.
	CreateTopic func(ctx context.Context) error
	// Prune removes the records of a partition of __share_group_state below an offset.
	Prune func(partition int32, below kafka.Offset) error
	Rand  *rand.Rand
	Log   *slog.Logger
}

// Coordinator is the share coordinator of the partitions led here, and asks those of all others.
type Coordinator struct {
	*coord.Runtime
	cfg   Config
	tasks sync.WaitGroup
}

// New makes a Coordinator that leads nothing.
func New(c Config) *Coordinator {
	s := &Coordinator{cfg: c}
	s.Runtime = coord.New(coord.Config{
		Topic: kafka.ShareTopic, Partitions: c.Partitions,
		New:    func(coord.Place) machine.Machine { return state.New(c.State) },
		Refuse: state.Refuse,
		Do:     func(at coord.Place, task machine.Task, _ func(machine.Event)) { s.prune(at, task.(state.Prune)) },
		Rand:   c.Rand, Log: c.Log, WriteTimeout: c.WriteTimeout,
	})
	return s
}

// prune cuts a log. What could not be cut is cut with the next time.
func (s *Coordinator) prune(at coord.Place, task state.Prune) {
	s.tasks.Go(func() {
		if err := s.cfg.Prune(at.Partition, task.Below); err != nil {
			s.cfg.Log.Warn("records that say nothing any more are not removed", "topic", kafka.ShareTopic, "partition", at.Partition, "below", task.Below, "err", err)
		}
	})
}

// Close ends all coordination and waits for the goroutines.
func (s *Coordinator) Close() {
	s.Runtime.Close()
	s.tasks.Wait()
}

// TopicsGone ends what is kept for topics that were deleted. It does not wait for that.
func (s *Coordinator) TopicsGone(topics []kafka.TopicID) {
	if len(topics) > 0 {
		s.Tell(state.TopicsDeleted{Topics: topics})
	}
}

// Answer answers a request as the coordinator of all partitions that it names. The error is only ctx's.
func (s *Coordinator) Answer(ctx context.Context, req kmsg.Request) (kmsg.Response, error) {
	shards := make(map[int32]string) // and a key of each
	for _, k := range keysOf(req) {
		shards[s.Partition(k.String())] = k.String()
	}
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	var (
		mu    sync.Mutex
		wg    sync.WaitGroup
		first error
	)
	for shard, key := range shards {
		one := only(req, func(k state.Key) bool { return s.Partition(k.String()) == shard })
		wg.Go(func() {
			answer, err := s.Submit(ctx, key, coord.ClientInfo{}, one)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				first = err
				return
			}
			merge(resp, answer, func(kafka.TopicID, int32, int16) bool { return true })
		})
	}
	wg.Wait()
	return resp, first
}
