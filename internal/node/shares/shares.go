// Package shares is the leader's side of share groups (KIP-932) on this node: for each partition led here and each share group
// that reads it a core/share machine, with the log that it reads and the share coordinator that keeps its state; and the
// sessions of the members. node/api asks, app publishes metadata. Goroutines: one for each partition of a group that is being
// loaded, or being written to the share coordinator, and those of timers for locks; Close waits for the first two.
package shares

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
	"github.com/headrace/headrace/internal/core/share"
	"github.com/headrace/headrace/internal/core/share/session"
	"github.com/headrace/headrace/internal/node/partition"
)

// States is the share coordinators of the cluster: sharestate.Coordinator is the one implementation.
type States interface {
	// Ask has the coordinators of all partitions that a request names answer it.
	Ask(ctx context.Context, req kmsg.Request) kmsg.Response
}

// Config is what Shares need. Every field is required.
type Config struct {
	Node        kafka.NodeID
	Partitions  *partition.Set
	Image       func() *metadata.Image
	States      States
	Group       func(name string) Group // what a group goes by now
	MaxSessions int                     // group.share.max.share.sessions
	Log         *slog.Logger
}

// Group is what a share group goes by.
type Group struct {
	share.Settings
	Committed bool // share.isolation.level: records of transactions that were committed alone
	Reset     Reset
}

// Reset is where a group begins that has not read a partition yet (share.auto.offset.reset): at the end, or from so long ago on.
type Reset struct {
	Earliest bool
	Ago      time.Duration // 0: not by time
}

// Shares are the partitions of share groups that this node leads.
type Shares struct {
	cfg Config
	ctx context.Context // ends with Close
	end context.CancelFunc
	wg  sync.WaitGroup
	mu  struct {
		sync.Mutex
		led      map[key]*leader
		sessions *session.Sessions
		conns    map[session.Key]conn
		lastConn uint64
		closed   bool
	}
}

// conn is how a session hears that its connection has ended.
type conn struct {
	id   uint64
	stop func() bool
}

type key struct {
	group string
	session.Partition
}

// New makes Shares without partitions.
func New(c Config) *Shares {
	s := &Shares{cfg: c}
	s.ctx, s.end = context.WithCancel(context.Background())
	s.mu.led = make(map[key]*leader)
	s.mu.sessions = session.New(c.MaxSessions)
	s.mu.conns = make(map[session.Key]conn)
	return s
}

// Close ends all, and waits for the goroutines.
func (s *Shares) Close() {
	s.mu.Lock()
	s.mu.closed = true
	for _, l := range s.mu.led {
		l.fence(kerr.NotLeaderForPartition)
	}
	s.mu.Unlock()
	s.end()
	s.wg.Wait()
}

// Lock is for how many milliseconds a member of the group has what it acquires.
func (s *Shares) Lock(group string) int32 {
	return int32(s.cfg.Group(group).LockDuration / time.Millisecond)
}

// Publish gives up what is no longer led here, or in another epoch.
func (s *Shares) Publish(delta *metadata.Delta, img *metadata.Image) {
	if len(delta.PartitionsChanged)+len(delta.TopicsDeleted) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, l := range s.mu.led {
		is, ok := img.Partition(l.part.Name())
		if t, exists := img.TopicByID(k.Topic); !ok || !exists || t.Name != l.part.Name().Topic || is.Leader != s.cfg.Node || is.LeaderEpoch != l.epoch {
			delete(s.mu.led, k)
			l.fence(kerr.NotLeaderForPartition)
		}
	}
}

// leader finds the partition of a group, and begins to load it where it is not there. It may still be loading.
func (s *Shares) leader(k key) (*leader, error) {
	img := s.cfg.Image()
	topic, ok := img.TopicByID(k.Topic)
	if !ok {
		return nil, kerr.UnknownTopicID
	}
	tp := kafka.TopicPartition{Topic: topic.Name, Partition: k.Index}
	is, ok := img.Partition(tp)
	switch {
	case !ok:
		return nil, kerr.UnknownTopicOrPartition
	case is.Leader != s.cfg.Node:
		return nil, kerr.NotLeaderForPartition
	}
	part, err := s.cfg.Partitions.Get(tp)
	if err != nil {
		return nil, kerr.NotLeaderForPartition
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.closed {
		return nil, kerr.NotLeaderForPartition
	}
	old := s.mu.led[k]
	if old != nil && old.part == part && old.epoch >= is.LeaderEpoch {
		return old, nil
	}
	if old != nil {
		old.fence(kerr.NotLeaderForPartition)
	}
	l := newLeader(s, k, part, is.LeaderEpoch)
	s.mu.led[k] = l
	s.wg.Go(l.load)
	return l, nil
}

// drop forgets a partition of a group that is of no use any more: who comes next has it loaded anew.
func (s *Shares) drop(l *leader) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.led[l.key] == l {
		delete(s.mu.led, l.key)
	}
}

// existing finds the partition of a group that is there already.
func (s *Shares) existing(k key) *leader {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.led[k]
}

// Acknowledge takes in what a member says of records of a partition, and returns when that is kept.
func (s *Shares) Acknowledge(ctx context.Context, member session.Key, p session.Partition, acks []share.Acknowledgement) error {
	l := s.existing(key{member.Group, p})
	if l == nil {
		if _, err := s.leader(key{member.Group, p}); err != nil {
			return err
		}
		return fmt.Errorf("nothing of the partition is acquired since it is led here: %w", kerr.InvalidRecordState)
	}
	return l.acknowledge(ctx, member.Member, acks)
}
