package api

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/machine"
	"github.com/headrace/headrace/internal/node/await"
	"github.com/headrace/headrace/internal/node/coord"
	"github.com/headrace/headrace/internal/node/partition"
	"github.com/headrace/headrace/internal/storage/commitlog"
)

// markersTimeout bounds the wait for the replicas, as the request carries no time: Kafka's request.timeout.ms.
const markersTimeout = 30 * time.Second

// marking is a WriteTxnMarkers request whose markers are appended, and may still have to be flushed and replicated.
type marking struct {
	s       *Server
	resp    *kmsg.WriteTxnMarkersResponse
	waits   []markerWait
	offsets []offsetsMark
}

// markerWait is one marker that is not safe yet.
type markerWait struct {
	part   *partition.Partition
	epoch  kafka.LeaderEpoch
	next   kafka.Offset // what must be safe is below
	answer *kmsg.WriteTxnMarkersResponseMarkerTopicPartition
}

// offsetsMark is one that the group coordinator appends: the offsets of the transaction count from then on, or never.
type offsetsMark struct {
	tp     kafka.TopicPartition
	mark   coord.Marked
	answer *kmsg.WriteTxnMarkersResponseMarkerTopicPartition
}

// writeTxnMarkers appends the markers that the transaction coordinator of another node sends, or an operator who aborts a transaction
// that hangs.
func (s *Server) writeTxnMarkers(ctx context.Context, _ *Call, req *kmsg.WriteTxnMarkersRequest) Response {
	return s.WriteTxnMarkers(ctx, req)
}

// WriteTxnMarkers appends markers to partitions that this node leads, all before it waits for any, and returns when they are as safe as
// acks=all makes them, or cannot be, or ctx has ended. This node's own transaction coordinator calls it.
func (s *Server) WriteTxnMarkers(ctx context.Context, req *kmsg.WriteTxnMarkersRequest) *kmsg.WriteTxnMarkersResponse {
	ctx, cancel := context.WithTimeout(ctx, markersTimeout)
	defer cancel()
	m := &marking{s: s, resp: kmsg.NewPtrWriteTxnMarkersResponse()}
	for i := range req.Markers {
		if answer := m.marker(&req.Markers[i]); len(answer.Topics) > 0 {
			m.resp.Markers = append(m.resp.Markers, answer)
		}
	}
	m.wait(ctx)
	return m.resp
}

// marker appends one marker to its partitions, to each once. As in Apache Kafka, what names no partition has no answer.
func (m *marking) marker(r *kmsg.WriteTxnMarkersRequestMarker) kmsg.WriteTxnMarkersResponseMarker {
	answer := kmsg.NewWriteTxnMarkersResponseMarker()
	answer.ProducerID = r.ProducerID
	seen := map[*partition.Partition]bool{}
	for _, t := range r.Topics {
		at := kmsg.NewWriteTxnMarkersResponseMarkerTopic()
		at.Topic = t.Topic
		at.Partitions = make([]kmsg.WriteTxnMarkersResponseMarkerTopicPartition, 0, len(t.Partitions)) // waits point into it
		for _, p := range t.Partitions {
			tp := kafka.TopicPartition{Topic: t.Topic, Partition: p}
			part, err := m.s.markable(tp, r)
			if part != nil && seen[part] {
				continue
			}
			a := kmsg.NewWriteTxnMarkersResponseMarkerTopicPartition()
			a.Partition = p
			at.Partitions = append(at.Partitions, a)
			last := &at.Partitions[len(at.Partitions)-1]
			if err == nil {
				seen[part] = true
				err = m.append(part, r, last)
			}
			last.ErrorCode = m.s.markerCode(err, tp)
		}
		if len(at.Partitions) > 0 {
			answer.Topics = append(answer.Topics, at)
		}
	}
	return answer
}

// markable finds the partition, unless the marker cannot be one, or the topic has a coordinator's records that are in no transaction.
func (s *Server) markable(tp kafka.TopicPartition, r *kmsg.WriteTxnMarkersRequestMarker) (*partition.Partition, error) {
	part, err := s.hosted(tp)
	switch {
	case err != nil:
		return nil, err
	case r.ProducerID < 0 || r.ProducerEpoch < 0 || r.TransactionVersion < 0:
		return nil, fmt.Errorf("marker of producer %d with epoch %d, transaction.version %d: %w", r.ProducerID, r.ProducerEpoch, r.TransactionVersion, kerr.InvalidRequest)
	case kafka.IsInternalTopic(tp.Topic) && tp.Topic != kafka.OffsetsTopic:
		return nil, fmt.Errorf("%s takes no part in transactions: %w", tp.Topic, kerr.InvalidTopicException)
	}
	return part, nil
}

// append appends one marker, and notes what is to be waited for.
func (m *marking) append(part *partition.Partition, r *kmsg.WriteTxnMarkersRequestMarker, answer *kmsg.WriteTxnMarkersResponseMarkerTopicPartition) error {
	producer := machine.Producer{ID: kafka.ProducerID(r.ProducerID), Epoch: kafka.ProducerEpoch(r.ProducerEpoch)}
	version := int16(r.TransactionVersion)
	if tp := part.Name(); tp.Topic == kafka.OffsetsTopic {
		m.offsets = append(m.offsets, offsetsMark{tp: tp, answer: answer, mark: m.s.Groups.MarkTransaction(tp.Partition, coord.Marker{
			Producer: producer, CoordinatorEpoch: r.CoordinatorEpoch, TransactionVersion: version, Commit: r.Committed,
		})})
		return nil
	}
	kind := batch.ControlAbort
	if r.Committed {
		kind = batch.ControlCommit
	}
	now := time.Now()
	v := batch.EndTxnMarker(producer.ID, producer.Epoch, r.CoordinatorEpoch, kind, now.UnixMilli())
	done, epoch, err := part.Append(now, v, partition.AllReplicas, commitlog.OriginOfMarker(version), 0)
	if err == nil {
		m.waits = append(m.waits, markerWait{part: part, epoch: epoch, next: done.Last + 1, answer: answer})
	}
	return err
}

// wait returns when every marker is safe, or cannot be, or ctx has ended.
func (m *marking) wait(ctx context.Context) {
	for len(m.waits) > 0 {
		w := await.NewWaiter(len(m.waits))
		for _, one := range m.waits {
			one.part.Await(w, partition.AllReplicas, one.next)
		}
		inTime := true
		select {
		case <-w.Woken():
		case <-ctx.Done():
			inTime = false
		}
		for _, one := range m.waits {
			one.part.Leave(w)
		}
		m.settle(inTime)
	}
	for _, o := range m.offsets {
		o.answer.ErrorCode = m.s.markerCode(o.mark.Wait(ctx), o.tp)
	}
}

// settle answers what is decided, and keeps what is not: one partition that broke wakes the waiter for all.
func (m *marking) settle(inTime bool) {
	open := m.waits[:0]
	for _, w := range m.waits {
		safe, err := w.part.Acked(partition.AllReplicas, w.epoch, w.next)
		switch {
		case err == nil && !safe && inTime && !w.part.Broken():
			open = append(open, w)
			continue
		case err == nil && !safe:
			err = kerr.RequestTimedOut
		}
		w.answer.ErrorCode = m.s.markerCode(err, w.part.Name())
	}
	m.waits = open
}

// markerCode is the error code of a marker. That a group coordinator is not there, or not yet, is put as transaction coordinators know
// it: they look for the leader again.
func (s *Server) markerCode(err error, tp kafka.TopicPartition) int16 {
	if err == nil {
		return 0
	}
	if errors.Is(err, kerr.NotCoordinator) || errors.Is(err, kerr.CoordinatorNotAvailable) || errors.Is(err, kerr.CoordinatorLoadInProgress) {
		err = kerr.NotLeaderForPartition
	}
	return s.codeOf(err, "end a transaction in "+tp.String())
}
