package markers

import (
	"context"
	"log/slog"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/txn"
)

// entry is one transaction's marker for partitions of one leader. It is answered once.
type entry struct {
	ctx context.Context
	txn.Marker
	partitions []kafka.TopicPartition // sorted
	answer     chan<- verdict         // has room
}

// verdict is what has become of an entry.
type verdict struct {
	left   []kafka.TopicPartition // which are to be tried again
	fenced bool
}

// fail has all of the entry be tried again.
func (e *entry) fail() { e.answer <- verdict{left: e.partitions} }

// round is one request. It has each producer once: answers name no more than that.
type round struct {
	entries map[kafka.ProducerID]*entry
	req     *kmsg.WriteTxnMarkersRequest
}

// requestVersion is the first version with the transaction version in it (KIP-1228).
const requestVersion = 2

func newRound(entries []*entry) *round {
	r := &round{entries: map[kafka.ProducerID]*entry{}, req: kmsg.NewPtrWriteTxnMarkersRequest()}
	r.req.Version = requestVersion
	for _, e := range entries {
		r.entries[e.Producer] = e
		r.req.Markers = append(r.req.Markers, e.marker())
	}
	return r
}

func (e *entry) marker() kmsg.WriteTxnMarkersRequestMarker {
	m := kmsg.NewWriteTxnMarkersRequestMarker()
	m.ProducerID, m.ProducerEpoch, m.Committed = int64(e.Producer), int16(e.Epoch), e.Commit
	m.CoordinatorEpoch, m.TransactionVersion = int32(e.Coordinator), int8(e.Version)
	for _, tp := range e.partitions {
		if n := len(m.Topics); n == 0 || m.Topics[n-1].Topic != tp.Topic {
			t := kmsg.NewWriteTxnMarkersRequestMarkerTopic()
			t.Topic = tp.Topic
			m.Topics = append(m.Topics, t)
		}
		last := &m.Topics[len(m.Topics)-1]
		last.Partitions = append(last.Partitions, tp.Partition)
	}
	return m
}

// fail has everything be tried again.
func (r *round) fail() {
	for _, e := range r.entries {
		e.fail()
	}
}

// settle tells everybody what has become of the marker in each partition. What an answer does not name is tried again.
func (r *round) settle(resp *kmsg.WriteTxnMarkersResponse, log *slog.Logger) {
	codes := map[kafka.ProducerID]map[kafka.TopicPartition]int16{}
	for _, m := range resp.Markers {
		of := map[kafka.TopicPartition]int16{}
		for _, t := range m.Topics {
			for _, p := range t.Partitions {
				of[kafka.TopicPartition{Topic: t.Topic, Partition: p.Partition}] = p.ErrorCode
			}
		}
		codes[kafka.ProducerID(m.ProducerID)] = of
	}
	for _, e := range r.entries {
		var v verdict
		for _, tp := range e.partitions {
			code, ok := codes[e.Producer][tp]
			switch {
			case !ok:
				v.left = append(v.left, tp)
			case code == 0:
			case code == kerr.TransactionCoordinatorFenced.Code:
				v.fenced = true
			case code == kerr.InvalidProducerEpoch.Code:
				// The partition has seen a later epoch, or this marker before: the transaction is over there.
				log.Warn("marker of a transaction that is over in the partition", "transactional_id", e.TransactionalID, "partition", tp.String(),
					"producer", e.Producer, "epoch", e.Epoch)
			default:
				v.left = append(v.left, tp)
			}
		}
		e.answer <- v
	}
}
