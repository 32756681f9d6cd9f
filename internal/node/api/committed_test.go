package api

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
)

// txns leaves a partition with a transaction that was aborted around one that was committed, and one that is open.
func txns(w *world) {
	w.t.Helper()
	tp := at("t", 0)
	w.mustIn(tp, 7, 0, 0) // 0
	w.mustIn(tp, 8, 0, 0)
	w.mustIn(tp, 9, 0, 0)
	w.mark(2, markerOf(8, 1, 0, false, 2, tp)) // 3: began after the one that is aborted later
	w.mark(2, markerOf(7, 1, 0, false, 2, tp))
	w.mark(2, markerOf(9, 1, 0, true, 2, tp))
	w.produce("t", 0, "plain") // 6
	w.mustIn(tp, 7, 1, 0)
	w.produce("t", 0, "behind")
}

func TestFetchOfCommittedRecordsEveryVersion(t *testing.T) {
	w := newWorld(t)
	id := w.topic("t", 1, nil)
	txns(w)
	for version := int16(4); version <= 18; version++ {
		for isolation, want := range map[int8]string{
			0: "9 records, stable 7 of 9, aborted []",
			1: "7 records, stable 7 of 9, aborted [7 from 0 8 from 1]",
		} {
			req := fetchOf("t", id, 0)
			req.IsolationLevel = isolation
			p := ask[*kmsg.FetchResponse](w, req, version).Topics[0].Partitions[0]
			aborted := []string{}
			for _, a := range p.AbortedTransactions {
				aborted = append(aborted, fmt.Sprintf("%d from %d", a.ProducerID, a.FirstOffset))
			}
			got := fmt.Sprintf("%d records, stable %d of %d, aborted %v", len(valuesOf(t, p.RecordBatches)), p.LastStableOffset, p.HighWatermark, aborted)
			if got != want || p.ErrorCode != 0 {
				t.Errorf("version %d, isolation %d: code %d, %s; want %s", version, isolation, p.ErrorCode, got, want)
			}
		}
	}
	for from, want := range map[int64]int{0: 2, 1: 2, 3: 2, 4: 1, 5: 0} {
		req := fetchOf("t", id, from)
		req.IsolationLevel = readCommitted
		if p := ask[*kmsg.FetchResponse](w, req, 12).Topics[0].Partitions[0]; len(p.AbortedTransactions) != want {
			t.Errorf("from %d on: aborted %+v, want %d", from, p.AbortedTransactions, want)
		}
	}
}

func TestListOffsetsOfCommittedRecordsEveryVersion(t *testing.T) {
	w := newWorld(t)
	w.topic("t", 1, nil)
	txns(w)
	for version := int16(2); version <= 11; version++ {
		for _, c := range []struct {
			isolation int8
			timestamp int64
			want      int64
		}{{0, -1, 9}, {1, -1, 7}, {0, -2, 0}, {1, -2, 0}, {1, 1, 0}} {
			req := kmsg.NewPtrListOffsetsRequest()
			req.ReplicaID, req.IsolationLevel = -1, c.isolation
			rt := kmsg.NewListOffsetsRequestTopic()
			rt.Topic = "t"
			rp := kmsg.NewListOffsetsRequestTopicPartition()
			rp.Timestamp = c.timestamp
			rt.Partitions = append(rt.Partitions, rp)
			req.Topics = append(req.Topics, rt)
			if p := ask[*kmsg.ListOffsetsResponse](w, req, version).Topics[0].Partitions[0]; p.ErrorCode != 0 || p.Offset != c.want {
				t.Errorf("version %d, isolation %d, timestamp %d: code %d, offset %d, want %d", version, c.isolation, c.timestamp, p.ErrorCode, p.Offset, c.want)
			}
		}
	}
}

// Who waits for committed records is not woken by those of an open transaction, and is by its marker.
func TestLongPollForCommittedRecordsEndsWithTheTransaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		id := w.topic("t", 1, nil)
		tp := kafka.TopicPartition{Topic: "t"}
		w.mustIn(tp, 7, 0, 0)
		req := fetchOf("t", id, 0)
		req.MaxWaitMillis, req.MinBytes, req.IsolationLevel = 10_000, 1, readCommitted
		begun := time.Now()
		done := make(chan *kmsg.FetchResponse)
		go func() { done <- ask[*kmsg.FetchResponse](w, req, 12) }()
		w.later(time.Second, func() { w.mustIn(tp, 7, 0, 1) })
		w.later(2*time.Second, func() { w.produce("t", 0, "plain") })
		w.later(3*time.Second, func() { w.mark(2, markerOf(7, 1, 0, true, 2, tp)) })
		p := (<-done).Topics[0].Partitions[0]
		if got := len(valuesOf(t, p.RecordBatches)); got != 4 || p.LastStableOffset != 4 || time.Since(begun) != 3*time.Second {
			t.Errorf("%d records up to %d after %v", got, p.LastStableOffset, time.Since(begun))
		}
	})
}
