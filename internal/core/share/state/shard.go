// Package state is the share coordinator as a pure machine: one Shard keeps what the partitions of share groups are to
// remember, for one partition of __share_group_state. node/coord runs it on that partition's log. Leaders of partitions ask
// it by InitializeShareGroupState, ReadShareGroupState, WriteShareGroupState, DeleteShareGroupState and
// ReadShareGroupStateSummary (KIP-932), of which each request has what belongs to this Shard.
package state

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/timeline"
	"github.com/headrace/headrace/internal/core/machine"
	"github.com/headrace/headrace/internal/core/share"
)

// Config is how a Shard keeps its log short. The zero value is not usable.
type Config struct {
	UpdatesPerSnapshot   int           // share.coordinator.snapshot.update.records.per.snapshot
	ColdSnapshotInterval time.Duration // share.coordinator.cold.partition.snapshot.interval.ms
	PruneInterval        time.Duration // share.coordinator.state.topic.prune.interval.ms
}

// DefaultConfig is Kafka's configuration.
func DefaultConfig() Config {
	return Config{UpdatesPerSnapshot: 500, ColdSnapshotInterval: 5 * time.Minute, PruneInterval: 5 * time.Minute}
}

// Shard is the machine. All of its state is durable.
type Shard struct {
	cfg     Config
	history *timeline.History
	saved   *timeline.Map[Key, *saved]

	applied kafka.Offset // after the record that was applied last
	pruned  kafka.Offset // below it the log was asked to forget
	ticking bool         // the timer is armed
}

// saved is what is kept of one partition of a group. It is never changed.
type saved struct {
	snapshotEpoch, stateEpoch int32
	leaderEpoch               kafka.LeaderEpoch // of the newest leader that asked; 0 before the first
	start                     kafka.Offset      // NoOffset until a leader has found out where the group begins
	complete                  int32             // records from start on whose delivery is complete, or -1
	batches                   []share.StateBatch
	created, written          int64 // milliseconds; written is that of the snapshot

	snapshot kafka.Offset // where the snapshot is
	updates  int          // records since
}

// New makes an empty Shard.
func New(cfg Config) *Shard {
	h := &timeline.History{}
	return &Shard{cfg: cfg, history: h, saved: timeline.NewMap[Key, *saved](h)}
}

// TopicsDeleted is an event: what is kept for the topics ends.
type TopicsDeleted struct{ Topics []kafka.TopicID }

// Prune is a task: records below Below say nothing any more, DeleteRecords may remove them.
type Prune struct{ Below kafka.Offset }

// upkeep is the kind of the Shard's one timer, at which it looks for what its log no longer needs.
const upkeep machine.TimerKind = 0

// Step decides what follows from ev.
func (s *Shard) Step(now time.Time, ev machine.Event) machine.Output {
	t := &turn{s: s, now: now}
	switch ev := ev.(type) {
	case machine.Request:
		t.request(ev)
	case TopicsDeleted:
		t.topicsDeleted(ev.Topics)
	case machine.TimerFired:
		s.ticking = false
		t.snapshotCold()
		t.prune()
	}
	if !s.ticking && (s.saved.Len() > 0 || len(t.out.Records) > 0) {
		s.ticking = true
		t.out.Timers = append(t.out.Timers, machine.Timer{ID: machine.TimerID{Kind: upkeep}, At: now.Add(s.cfg.PruneInterval)})
	}
	return t.out
}

// turn is one Step under way.
type turn struct {
	s   *Shard
	now time.Time
	out machine.Output
}

func (t *turn) request(r machine.Request) {
	var resp kmsg.Response
	committed := true
	switch req := r.Req.(type) {
	case *kmsg.InitializeShareGroupStateRequest:
		resp = initialize(req, t.begin)
	case *kmsg.ReadShareGroupStateRequest:
		resp = read(req, t.read)
	case *kmsg.WriteShareGroupStateRequest:
		resp = write(req, t.write)
	case *kmsg.DeleteShareGroupStateRequest:
		resp = remove(req, t.remove)
	case *kmsg.ReadShareGroupStateSummaryRequest:
		resp, committed = summarize(req, t.summary), false
	default:
		resp, committed = Refuse(r.Req, r.Version, errUnsupported), false
	}
	resp.SetVersion(r.Version)
	t.out.Replies = append(t.out.Replies, machine.Reply{Ticket: r.Ticket, Response: resp, AfterCommit: committed})
}

func (t *turn) record(key, value []byte) {
	t.out.Records = append(t.out.Records, machine.Record{Key: key, Value: value})
}

func (t *turn) millis() int64 { return t.now.UnixMilli() }

// Refuse is the answer to a request that was not stepped on, or whose records are not committed: err for each partition.
func Refuse(req kmsg.Request, version int16, err error) kmsg.Response {
	resp := refusal(req, err)
	resp.SetVersion(version)
	return resp
}

func refusal(req kmsg.Request, err error) kmsg.Response {
	none := func(Key, kafka.LeaderEpoch) (*saved, error) { return nil, err }
	switch req := req.(type) {
	case *kmsg.InitializeShareGroupStateRequest:
		return initialize(req, func(Key, kmsg.InitializeShareGroupStateRequestTopicPartition) error { return err })
	case *kmsg.ReadShareGroupStateRequest:
		return read(req, none)
	case *kmsg.WriteShareGroupStateRequest:
		return write(req, func(Key, kmsg.WriteShareGroupStateRequestTopicPartition) error { return err })
	case *kmsg.DeleteShareGroupStateRequest:
		return remove(req, func(Key) error { return err })
	case *kmsg.ReadShareGroupStateSummaryRequest:
		return summarize(req, none)
	}
	return req.ResponseKind()
}
