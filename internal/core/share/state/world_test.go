package state

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/machine"
)

// world is a Shard with a log, whose records are committed at once unless hold is set.
type world struct {
	t     *testing.T
	s     *Shard
	cfg   Config
	now   time.Time
	log   []machine.Record
	first kafka.Offset // of the log
	hold  bool
	timer time.Time
	tasks []machine.Task
}

func newWorld(t *testing.T, cfg Config) *world {
	return &world{t: t, s: New(cfg), cfg: cfg, now: time.Unix(1000, 0)}
}

func (w *world) end() kafka.Offset { return w.first + kafka.Offset(len(w.log)) }

// step has the Shard step, and takes in what it writes.
func (w *world) step(ev machine.Event) machine.Output {
	out := w.s.Step(w.now, ev)
	for _, r := range out.Records {
		off := w.end()
		w.log = append(w.log, r)
		if err := w.s.Apply(off, r.Key, r.Value, w.now.UnixMilli()); err != nil {
			w.t.Fatal(err)
		}
	}
	if !w.hold {
		w.s.Commit(w.end())
	}
	for _, timer := range out.Timers {
		w.timer = timer.At
	}
	w.tasks = append(w.tasks, out.Tasks...)
	return out
}

// ask is a request, and its answer as text.
func (w *world) ask(req kmsg.Request) string {
	out := w.step(machine.Request{Ticket: 1, Version: newest(req), Req: req})
	if len(out.Replies) != 1 {
		w.t.Fatalf("%d replies", len(out.Replies))
	}
	return show(out.Replies[0].Response)
}

func newest(req kmsg.Request) int16 { return req.MaxVersion() }

// advance lets time pass, and the timer fire when it is due.
func (w *world) advance(d time.Duration) {
	w.now = w.now.Add(d)
	if !w.timer.IsZero() && !w.timer.After(w.now) {
		w.timer = time.Time{}
		w.step(machine.TimerFired{ID: machine.TimerID{Kind: upkeep}})
	}
}

// reload makes a Shard of the log, as another leader does.
func (w *world) reload() {
	w.s, w.timer = New(w.cfg), time.Time{}
	for i, r := range w.log {
		if err := w.s.Apply(w.first+kafka.Offset(i), r.Key, r.Value, 0); err != nil {
			w.t.Fatal(err)
		}
	}
	w.s.Commit(w.end())
	w.step(machine.Loaded{})
}

// prune removes what the last task says.
func (w *world) prune() {
	for _, task := range w.tasks {
		if below := task.(Prune).Below; below > w.first {
			w.log, w.first = w.log[below-w.first:], below
		}
	}
	w.tasks = nil
}

var topic = kafka.TopicID{1, 2, 3}

type batch = kmsg.WriteShareGroupStateRequestTopicPartitionStateBatch

func initRequest(id kafka.TopicID, partition, epoch int32, start int64) kmsg.Request {
	req := kmsg.NewPtrInitializeShareGroupStateRequest()
	p := kmsg.InitializeShareGroupStateRequestTopicPartition{Partition: partition, StateEpoch: epoch, StartOffset: start}
	req.GroupID = "g"
	req.Topics = []kmsg.InitializeShareGroupStateRequestTopic{{TopicID: id, Partitions: []kmsg.InitializeShareGroupStateRequestTopicPartition{p}}}
	return req
}

func readRequest(id kafka.TopicID, partition, leader int32) kmsg.Request {
	req := kmsg.NewPtrReadShareGroupStateRequest()
	p := kmsg.ReadShareGroupStateRequestTopicPartition{Partition: partition, LeaderEpoch: leader}
	req.GroupID = "g"
	req.Topics = []kmsg.ReadShareGroupStateRequestTopic{{TopicID: id, Partitions: []kmsg.ReadShareGroupStateRequestTopicPartition{p}}}
	return req
}

func summaryRequest(id kafka.TopicID, partition, leader int32) kmsg.Request {
	req := kmsg.NewPtrReadShareGroupStateSummaryRequest()
	p := kmsg.ReadShareGroupStateSummaryRequestTopicPartition{Partition: partition, LeaderEpoch: leader}
	req.GroupID = "g"
	req.Topics = []kmsg.ReadShareGroupStateSummaryRequestTopic{{TopicID: id, Partitions: []kmsg.ReadShareGroupStateSummaryRequestTopicPartition{p}}}
	return req
}

func writeRequest(id kafka.TopicID, partition, epoch, leader int32, start int64, complete int32, batches ...batch) kmsg.Request {
	req := kmsg.NewPtrWriteShareGroupStateRequest()
	p := kmsg.WriteShareGroupStateRequestTopicPartition{Partition: partition, StateEpoch: epoch, LeaderEpoch: leader, StartOffset: start,
		DeliveryCompleteCount: complete, StateBatches: batches}
	req.GroupID = "g"
	req.Topics = []kmsg.WriteShareGroupStateRequestTopic{{TopicID: id, Partitions: []kmsg.WriteShareGroupStateRequestTopicPartition{p}}}
	return req
}

func deleteRequest(id kafka.TopicID, partition int32) kmsg.Request {
	req := kmsg.NewPtrDeleteShareGroupStateRequest()
	req.GroupID = "g"
	p := []kmsg.DeleteShareGroupStateRequestTopicPartition{{Partition: partition}}
	req.Topics = []kmsg.DeleteShareGroupStateRequestTopic{{TopicID: id, Partitions: p}}
	return req
}

// show prints what an answer says of its one partition.
func show(resp kmsg.Response) string {
	switch resp := resp.(type) {
	case *kmsg.InitializeShareGroupStateResponse:
		return name(resp.Topics[0].Partitions[0].ErrorCode)
	case *kmsg.WriteShareGroupStateResponse:
		return name(resp.Topics[0].Partitions[0].ErrorCode)
	case *kmsg.DeleteShareGroupStateResponse:
		return name(resp.Topics[0].Partitions[0].ErrorCode)
	case *kmsg.ReadShareGroupStateResponse:
		p := resp.Topics[0].Partitions[0]
		if p.ErrorCode != 0 {
			return name(p.ErrorCode)
		}
		var b strings.Builder
		fmt.Fprintf(&b, "epoch %d start %d", p.StateEpoch, p.StartOffset)
		for _, s := range p.StateBatches {
			fmt.Fprintf(&b, " %d-%d:%d#%d", s.FirstOffset, s.LastOffset, s.DeliveryState, s.DeliveryCount)
		}
		return b.String()
	case *kmsg.ReadShareGroupStateSummaryResponse:
		p := resp.Topics[0].Partitions[0]
		if p.ErrorCode != 0 {
			return name(p.ErrorCode)
		}
		return fmt.Sprintf("epoch %d leader %d start %d complete %d", p.StateEpoch, p.LeaderEpoch, p.StartOffset, p.DeliveryCompleteCount)
	}
	return fmt.Sprintf("%T", resp)
}

func name(code int16) string {
	if code == 0 {
		return "ok"
	}
	return kerr.TypedErrorForCode(code).Message
}
