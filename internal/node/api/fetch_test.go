package api

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/node/transport"
)

// fetchOf asks for partitions of one topic from offsets, in order, without a session and without waiting.
func fetchOf(topic string, id kafka.TopicID, offsets ...int64) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.MaxBytes, req.SessionEpoch, req.ReplicaID = 50<<20, -1, -1
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID = topic, id
	for i, off := range offsets {
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.FetchOffset, p.PartitionMaxBytes = int32(i), off, 1<<20
		t.Partitions = append(t.Partitions, p)
	}
	req.Topics = append(req.Topics, t)
	return req
}

func valuesOf(t *testing.T, b []byte) []string {
	t.Helper()
	var values []string
	for len(b) > 0 {
		one, rest, err := batch.Next(b)
		if err != nil {
			t.Fatal(err)
		}
		for r, err := range batch.Records(one, 1<<20) {
			if err != nil {
				t.Fatal(err)
			}
			values = append(values, string(r.Value))
		}
		b = rest
	}
	return values
}

// shown is an answer as text: a line a partition.
func shown(t *testing.T, resp *kmsg.FetchResponse) string {
	t.Helper()
	var s strings.Builder
	if resp.ErrorCode != 0 {
		fmt.Fprintf(&s, "error %d\n", resp.ErrorCode)
	}
	for _, topic := range resp.Topics {
		for _, p := range topic.Partitions {
			fmt.Fprintf(&s, "%d code=%d hw=%d start=%d %v\n", p.Partition, p.ErrorCode, p.HighWatermark, p.LogStartOffset, valuesOf(t, p.RecordBatches))
		}
	}
	return s.String()
}

func wantShown(t *testing.T, resp *kmsg.FetchResponse, want ...string) {
	t.Helper()
	if got := shown(t, resp); got != strings.Join(append(want, ""), "\n") {
		t.Fatalf("answer:\n%swant:\n%s", got, strings.Join(append(want, ""), "\n"))
	}
}

func TestFetchEveryVersion(t *testing.T) {
	w := newWorld(t)
	id := w.topic("t", 2, nil)
	w.produce("t", 0, "a", "b")
	w.produce("t", 0, "c")
	w.produce("t", 1, "x")
	for version := int16(4); version <= 18; version++ {
		for _, isolation := range []int8{0, 1} {
			req := fetchOf("t", id, 1, 0)
			req.IsolationLevel = isolation
			resp := ask[*kmsg.FetchResponse](w, req, version)
			start := int64(0)
			if version < 5 {
				start = -1
			}
			wantShown(t, resp, fmt.Sprintf("0 code=0 hw=3 start=%d [a b c]", start), fmt.Sprintf("1 code=0 hw=1 start=%d [x]", start))
			if p := resp.Topics[0].Partitions[0]; p.LastStableOffset != 3 || (p.AbortedTransactions != nil) != (isolation == 1) {
				t.Fatalf("version %d: last stable offset %d, aborted %v", version, p.LastStableOffset, p.AbortedTransactions)
			}
		}
	}
}

func TestFetchErrors(t *testing.T) {
	w := newWorld(t)
	id := w.topic("t", 1, nil)
	w.produce("t", 0, "a")
	code := func(req *kmsg.FetchRequest, version int16) int16 {
		t.Helper()
		resp := ask[*kmsg.FetchResponse](w, req, version)
		return resp.Topics[0].Partitions[0].ErrorCode
	}
	epoch := func(e int32) *kmsg.FetchRequest {
		req := fetchOf("t", id, 0)
		req.Topics[0].Partitions[0].CurrentLeaderEpoch = e
		return req
	}
	follower := fetchOf("t", id, 0)
	follower.ReplicaID = 4
	cases := map[string]struct {
		got  int16
		want *kerr.Error
	}{
		"unknown topic":     {code(fetchOf("missing", id, 0), 12), kerr.UnknownTopicOrPartition},
		"unknown id":        {code(fetchOf("", kafka.TopicID{7}, 0), 13), kerr.UnknownTopicID},
		"unknown partition": {code(fetchOf("t", id, 0, 0), 12) + ask[*kmsg.FetchResponse](w, fetchOf("t", id, 0, 0), 12).Topics[0].Partitions[1].ErrorCode, kerr.UnknownTopicOrPartition},
		"beyond the end":    {code(fetchOf("t", id, 2), 12), kerr.OffsetOutOfRange},
		"below the start":   {code(fetchOf("t", id, -5), 12), kerr.OffsetOutOfRange},
		"old epoch":         {code(epoch(-1), 12), nil},
		"newer epoch":       {code(epoch(99), 12), kerr.UnknownLeaderEpoch},
		"follower":          {code(follower, 12), kerr.NotLeaderForPartition},
	}
	for name, c := range cases {
		want := int16(0)
		if c.want != nil {
			want = c.want.Code
		}
		if c.got != want {
			t.Errorf("%s: code %d, want %d", name, c.got, want)
		}
	}
}

func TestLeaderHintsComeWithVersion16(t *testing.T) {
	w := newWorld(t)
	id := w.topic("t", 1, nil)
	for version := int16(12); version <= 18; version++ {
		req := fetchOf("t", id, 0)
		req.ReplicaID, req.ReplicaState.ID = 4, 4
		if version >= 15 {
			req.ReplicaID = -1
		} else {
			req.ReplicaState.ID = -1
		}
		resp := ask[*kmsg.FetchResponse](w, req, version)
		p := resp.Topics[0].Partitions[0]
		if p.ErrorCode != kerr.NotLeaderForPartition.Code {
			t.Fatalf("version %d: code %d", version, p.ErrorCode)
		}
		hinted := p.CurrentLeader.LeaderID == 1 && len(resp.Brokers) == 1 && resp.Brokers[0].Port == 9092
		if hinted != (version >= 16) {
			t.Errorf("version %d: leader %d, brokers %v", version, p.CurrentLeader.LeaderID, resp.Brokers)
		}
	}
}

func TestDivergingEpochIsTold(t *testing.T) {
	w := newWorld(t)
	id := w.topic("t", 1, nil)
	w.produce("t", 0, "a", "b")
	req := fetchOf("t", id, 5)
	req.Topics[0].Partitions[0].LastFetchedEpoch = 0
	resp := ask[*kmsg.FetchResponse](w, req, 12)
	p := resp.Topics[0].Partitions[0]
	if p.ErrorCode != 0 || p.DivergingEpoch.Epoch != 0 || p.DivergingEpoch.EndOffset != 2 {
		t.Fatalf("code %d, diverging %+v", p.ErrorCode, p.DivergingEpoch)
	}
}

func TestFetchLimits(t *testing.T) {
	w := newWorld(t)
	id := w.topic("t", 3, nil)
	large := strings.Repeat("x", 5000)
	for n := range int32(3) {
		w.produce("t", n, large)
		w.produce("t", n, large)
	}
	sizes := func(req *kmsg.FetchRequest) (batches []int) {
		for _, p := range ask[*kmsg.FetchResponse](w, req, 12).Topics[0].Partitions {
			batches = append(batches, len(valuesOf(t, p.RecordBatches)))
		}
		return batches
	}
	req := fetchOf("t", id, 0, 0, 0)
	if got := sizes(req); !slices.Equal(got, []int{2, 2, 2}) {
		t.Errorf("without limits: %v batches", got)
	}
	req.MaxBytes = 12_000
	if got := sizes(req); !slices.Equal(got, []int{2, 0, 0}) {
		t.Errorf("12,000 bytes: %v batches", got)
	}
	req.MaxBytes = 1
	if got := sizes(req); !slices.Equal(got, []int{1, 0, 0}) {
		t.Errorf("one byte: %v batches, want the first whatever its size", got)
	}
	req.Topics[0].Partitions[0].FetchOffset = 2
	if got := sizes(req); !slices.Equal(got, []int{0, 1, 0}) {
		t.Errorf("one byte, first partition empty: %v batches", got)
	}
	req.MaxBytes = 50 << 20
	for i := range req.Topics[0].Partitions {
		req.Topics[0].Partitions[i].PartitionMaxBytes = 100
	}
	if got := sizes(req); !slices.Equal(got, []int{0, 1, 0}) {
		t.Errorf("partition limit of 100 bytes: %v batches", got)
	}
}

func TestLongPollAnswersWhenThereIsMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		id := w.topic("t", 1, nil)
		req := fetchOf("t", id, 0)
		req.MaxWaitMillis, req.MinBytes = 10_000, 1
		begun := time.Now()
		done := make(chan *kmsg.FetchResponse)
		go func() { done <- ask[*kmsg.FetchResponse](w, req, 12) }()
		w.later(3*time.Second, func() { w.produce("t", 0, "late") })
		wantShown(t, <-done, "0 code=0 hw=1 start=0 [late]")
		if d := time.Since(begun); d != 3*time.Second {
			t.Fatalf("answered after %v", d)
		}
	})
}

func TestLongPollWaitsForMinBytesAtMostMaxWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		id := w.topic("t", 1, nil)
		req := fetchOf("t", id, 0)
		req.MaxWaitMillis, req.MinBytes = 10_000, 1_000
		begun := time.Now()
		done := make(chan *kmsg.FetchResponse)
		go func() { done <- ask[*kmsg.FetchResponse](w, req, 12) }()
		w.later(3*time.Second, func() { w.produce("t", 0, "little") })
		wantShown(t, <-done, "0 code=0 hw=1 start=0 [little]")
		if d := time.Since(begun); d != 10*time.Second {
			t.Fatalf("answered after %v", d)
		}
		req.MinBytes = 100
		wantShown(t, ask[*kmsg.FetchResponse](w, req, 12), "0 code=0 hw=1 start=0 [little]")
		if d := time.Since(begun); d != 20*time.Second {
			t.Fatalf("answered after %v: 100 bytes were not there", d)
		}
		w.later(time.Second, func() { w.produce("t", 0, strings.Repeat("x", 100)) })
		ask[*kmsg.FetchResponse](w, req, 12)
		if d := time.Since(begun); d != 21*time.Second {
			t.Fatalf("answered after %v", d)
		}
	})
}

func TestLongPollEndsWithItsConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		id := w.topic("t", 1, nil)
		req := fetchOf("t", id, 0)
		req.MaxWaitMillis, req.MinBytes = 10_000, 1
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun := time.Now()
		w.callWith(ctx, transport.Client{Listener: worldListener}, req, 12)
		if d := time.Since(begun); d != time.Second {
			t.Fatalf("went on for %v", d)
		}
		p, err := w.set.Get(kafka.TopicPartition{Topic: "t"})
		if err != nil || p.Waiting() != 0 {
			t.Fatalf("%d waiters left, %v", p.Waiting(), err)
		}
	})
}

func TestLongPollEndsWhenTheTopicIsDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		id := w.topic("t", 1, nil)
		req := fetchOf("t", id, 0)
		req.MaxWaitMillis, req.MinBytes = 10_000, 1
		time.AfterFunc(time.Second, func() { w.deleteTopic("t") })
		begun := time.Now()
		resp := ask[*kmsg.FetchResponse](w, req, 13)
		if code := resp.Topics[0].Partitions[0].ErrorCode; code != kerr.UnknownTopicID.Code || time.Since(begun) > 2*time.Second {
			t.Fatalf("code %d after %v", code, time.Since(begun))
		}
	})
}

func TestRecreatedTopicIsAnotherTopic(t *testing.T) {
	w := newWorld(t)
	old := w.topic("t", 1, nil)
	w.produce("t", 0, "of the first life")
	w.deleteTopic("t")
	id := w.topic("t", 1, nil)
	if old == id {
		t.Fatal("same id")
	}
	if code := ask[*kmsg.FetchResponse](w, fetchOf("", old, 0), 13).Topics[0].Partitions[0].ErrorCode; code != kerr.UnknownTopicID.Code {
		t.Fatalf("old id: code %d", code)
	}
	wantShown(t, ask[*kmsg.FetchResponse](w, fetchOf("", id, 0), 13), "0 code=0 hw=0 start=0 []")
}
