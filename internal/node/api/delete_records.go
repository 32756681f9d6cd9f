package api

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/node/await"
	"github.com/headrace/headrace/internal/node/partition"
)

// deletion is one partition of a DeleteRecords request.
type deletion struct {
	tp    kafka.TopicPartition
	part  *partition.Partition
	start kafka.Offset // where the replicas' logs are to begin
	low   kafka.Offset // the least at which one does
	err   error
}

// deleteRecords moves the starts of logs forward, and waits until the followers whose nodes are active have done so too, or the time
// that the request gives is over.
func (s *Server) deleteRecords(ctx context.Context, c *Call, req *kmsg.DeleteRecordsRequest) Response {
	var all []*deletion
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			d := &deletion{tp: kafka.TopicPartition{Topic: t.Topic, Partition: p.Partition}, low: kafka.NoOffset}
			d.part, d.start, d.err = s.deleteBefore(d.tp, kafka.Offset(p.Offset))
			all = append(all, d)
		}
	}
	awaitDeleted(ctx, all, c.Received.Add(time.Duration(max(req.TimeoutMillis, 0))*time.Millisecond))

	resp := kmsg.NewPtrDeleteRecordsResponse()
	for _, t := range req.Topics {
		at := kmsg.NewDeleteRecordsResponseTopic()
		at.Topic = t.Topic
		for range t.Partitions {
			d := all[0]
			all = all[1:]
			a := kmsg.NewDeleteRecordsResponseTopicPartition()
			a.Partition, a.LowWatermark, a.ErrorCode = d.tp.Partition, int64(d.low), s.codeOf(d.err, "delete records of "+d.tp.String())
			at.Partitions = append(at.Partitions, a)
		}
		resp.Topics = append(resp.Topics, at)
	}
	return resp
}

func (s *Server) deleteBefore(tp kafka.TopicPartition, off kafka.Offset) (*partition.Partition, kafka.Offset, error) {
	if kafka.IsInternalTopic(tp.Topic) {
		return nil, kafka.NoOffset, fmt.Errorf("records of %s are not deleted: %w", tp.Topic, kerr.InvalidTopicException)
	}
	part, err := s.hosted(tp)
	if err != nil {
		return nil, kafka.NoOffset, err
	}
	start, err := part.DeleteBefore(off)
	return part, start, err
}

// awaitDeleted settles the deletions.
func awaitDeleted(ctx context.Context, all []*deletion, deadline time.Time) {
	for {
		w, late := joinDeletions(all)
		if w == nil {
			return
		}
		over := !wokenBy(ctx, w, deadline)
		for _, d := range late {
			d.part.LeaveDeleted(w)
		}
		if !over {
			continue
		}
		for _, d := range late {
			if d.look(); d.err == nil && d.low < d.start {
				d.err = fmt.Errorf("a replica begins at %d yet: %w", d.low, kerr.RequestTimedOut)
			}
		}
		return
	}
}

// joinDeletions takes a place for each partition that some replica has not followed yet; there is no waiter when there are none.
func joinDeletions(all []*deletion) (w *await.Waiter, late []*deletion) {
	for _, d := range all {
		if d.look(); d.err == nil && d.low < d.start {
			late = append(late, d)
		}
	}
	late = slices.DeleteFunc(late, func(d *deletion) bool {
		if d.part.Broken() { // it failed here, and nobody is told of more
			d.err = kerr.KafkaStorageError
		}
		return d.err != nil
	})
	if len(late) == 0 {
		return nil, nil
	}
	w = await.NewWaiter(len(late))
	for _, d := range late {
		d.part.AwaitDeleted(w, d.start)
	}
	return w, late
}

func (d *deletion) look() {
	if d.err == nil {
		d.low, d.err = d.part.LowWatermark()
	}
}

// wokenBy waits for w, and tells whether it was woken in time.
func wokenBy(ctx context.Context, w *await.Waiter, deadline time.Time) bool {
	t := time.NewTimer(time.Until(deadline))
	defer t.Stop()
	select {
	case <-w.Woken():
		return true
	case <-t.C:
		return false
	case <-ctx.Done():
		return false
	}
}
