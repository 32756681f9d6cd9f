package load

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/interop/go/history"
)

const group = "readers"

// member is one member of the group after another, each for a while; for ever if life is 0. A member that ends leaves the group.
func (l *Load) member(name string, life time.Duration) {
	chance := l.chance(300)
	for l.ctx.Err() == nil {
		ctx, cancel := l.ctx, context.CancelFunc(func() {})
		if life > 0 {
			ctx, cancel = context.WithTimeout(l.ctx, between(chance, shortLife, life))
		}
		l.attend(ctx, name)
		cancel()
		if life > 0 {
			pause(l.ctx, between(chance, 0, shortLife))
		}
	}
}

// attend joins the group, and notes and commits each poll. A steady member leaves the commits to its library.
func (l *Load) attend(ctx context.Context, name string) {
	log := l.cfg.Recorder.Consumer(name, group)
	opts := append(l.committedOnly(),
		kgo.ConsumeTopics(l.cfg.Topic), kgo.ConsumerGroup(group),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()), kgo.ConsumeResetOffset(kgo.NoResetOffset()), kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, m map[string][]int32) {
			for _, p := range m[l.cfg.Topic] {
				log.Assigned(p, -1)
			}
		}),
	)
	if l.cfg.Steady {
		opts = append(opts, kgo.AutoCommitCallback(l.committed(log)))
	} else {
		opts = append(opts, kgo.DisableAutoCommit(), kgo.SessionTimeout(10*time.Second), kgo.HeartbeatInterval(time.Second), kgo.RebalanceTimeout(15*time.Second),
			kgo.FetchMaxWait(500*time.Millisecond))
	}
	cl, err := l.client(name, opts...)
	if err != nil {
		l.cfg.Note("client", err.Error())
		return
	}
	defer cl.CloseAllowingRebalance()
	for ctx.Err() == nil {
		fetches := cl.PollRecords(ctx, 2000)
		if ends := note(log, fetches); len(ends) > 0 {
			l.gave(ends)
			l.delivered("group", ends)
			if !l.cfg.Steady {
				l.commit(ctx, cl, log, ends)
			}
		}
		cl.AllowRebalance()
		if l.complaints(name, fetches) {
			pause(ctx, retryPause)
			return
		}
	}
}

// committed notes the commits of the library, and tells of those that failed. When one was begun is not told: it was after the one
// before was over.
func (l *Load) committed(log *history.Consumer) func(*kgo.Client, *kmsg.OffsetCommitRequest, *kmsg.OffsetCommitResponse, error) {
	var before atomic.Int64
	before.Store(log.Now())
	return func(_ *kgo.Client, req *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
		acked, begun := map[int32]bool{}, before.Load()
		acknowledged(acked, &err)(nil, req, resp, err)
		if err != nil && l.ctx.Err() == nil {
			l.cfg.Note(ClientError, fmt.Sprintf("%s: a commit failed: %v", log.Name, err))
		}
		for _, t := range req.Topics {
			for _, p := range t.Partitions {
				log.Committed(p.Partition, p.Offset, begun, acked[p.Partition])
			}
		}
		before.Store(log.Now())
	}
}

func (l *Load) commit(ctx context.Context, cl *kgo.Client, log *history.Consumer, ends map[int32]int64) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	offsets := map[int32]kgo.EpochOffset{}
	for p, end := range ends {
		offsets[p] = kgo.EpochOffset{Epoch: -1, Offset: end}
	}
	begun := log.Now()
	acked := map[int32]bool{}
	var failed error // it may have been made or not
	cl.CommitOffsetsSync(ctx, map[string]map[int32]kgo.EpochOffset{l.cfg.Topic: offsets}, acknowledged(acked, &failed))
	for p, end := range ends {
		log.Committed(p, end, begun, acked[p])
	}
}

func (l *Load) gave(ends map[int32]int64) {
	l.group.Lock()
	defer l.group.Unlock()
	for p, end := range ends {
		l.group.next[p] = max(l.group.next[p], end)
	}
}

// GroupAt waits until the group was given everything up to the ends.
func (l *Load) GroupAt(ctx context.Context, ends map[int32]int64) error {
	for {
		l.group.Lock()
		at := maps.Clone(l.group.next)
		l.group.Unlock()
		var behind []string
		for p, end := range ends {
			if at[p] < end {
				behind = append(behind, fmt.Sprintf("partition %d at %d of %d", p, at[p], end))
			}
		}
		if len(behind) == 0 {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("the group did not get to the end in time: %s", strings.Join(behind, ", "))
		}
		pause(ctx, 100*time.Millisecond)
	}
}
