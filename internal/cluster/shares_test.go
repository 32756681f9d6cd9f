package cluster

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// shareWorld is a cluster of n nodes whose share group g begins at the beginning.
func shareWorld(t *testing.T, n int) *world {
	t.Helper()
	w := noWorld(t, "/data")
	w.unstable = true
	for range n {
		w.start(w.add(both))
	}
	w.voters(n)
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	earliest := "earliest"
	req.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeGroupConfig, ResourceName: "g",
		Configs: []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: "share.auto.offset.reset", Value: &earliest}}}}
	resp, err := w.client().Request(t.Context(), req)
	if err == nil {
		err = kerr.ErrorForCode(resp.(*kmsg.IncrementalAlterConfigsResponse).Resources[0].ErrorCode)
	}
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// deliveries is what members of a share group got and said.
type deliveries struct {
	t        *testing.T
	accepted map[string]bool // by value, where the acknowledgement was kept
	times    map[string]int

	mu     sync.Mutex
	failed map[int32]bool // partitions whose acknowledgements were refused since it was cleared
}

// member is a client that reports to d.
func (d *deliveries) member(w *world) *kgo.Client {
	return w.client(kgo.ConsumeTopics("t"), kgo.ShareGroup("g"), kgo.ShareAckCallback(func(_ *kgo.Client, results kgo.ShareAckResults) {
		d.mu.Lock()
		defer d.mu.Unlock()
		for _, r := range results {
			if r.Err != nil {
				d.failed[r.Partition] = true
			}
		}
	}))
}

// work has a member take what there is until done: it accepts records, but gives each that release names back the first time.
func (d *deliveries) work(cl *kgo.Client, release func(value string) bool, done func() bool) {
	d.t.Helper()
	for began := time.Now(); !done(); {
		if time.Since(began) > 5*time.Minute {
			d.t.Fatalf("after 5 minutes %d records are accepted", len(d.accepted))
		}
		ctx, cancel := context.WithTimeout(d.t.Context(), 2*time.Second)
		fetches := cl.PollRecords(ctx, 20)
		cancel()
		var said []*kgo.Record
		fetches.EachRecord(func(r *kgo.Record) {
			value := string(r.Value)
			if d.accepted[value] {
				d.t.Errorf("%s is delivered after it was accepted", value)
			}
			if d.times[value]++; d.times[value] == 1 && release(value) {
				r.Ack(kgo.AckRelease)
				return
			}
			r.Ack(kgo.AckAccept)
			said = append(said, r)
		})
		ctx, cancel = context.WithTimeout(d.t.Context(), time.Minute)
		err := cl.FlushAcks(ctx)
		cancel()
		if err != nil {
			continue // whether they are kept is not known
		}
		d.mu.Lock()
		for _, r := range said {
			if !d.failed[r.Partition] {
				d.accepted[string(r.Value)] = true
			}
		}
		clear(d.failed)
		d.mu.Unlock()
	}
}

func (w *world) produceNumbers(topic string, from, to int) {
	w.t.Helper()
	cl := w.client(kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	defer cl.Close()
	for i := from; i < to; i++ {
		cl.Produce(w.t.Context(), &kgo.Record{Topic: topic, Value: fmt.Append(nil, "v", i)}, func(_ *kgo.Record, err error) {
			if err != nil {
				w.t.Error(err)
			}
		})
	}
	if err := cl.Flush(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// TestAShareGroupGetsEveryRecordUntilItIsAccepted, those that are given back again, and none that was accepted, whichever node dies.
func TestAShareGroupGetsEveryRecordUntilItIsAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := shareWorld(t, 3)
		w.topic("t", 2)
		w.inSync("t")
		w.produceNumbers("t", 0, 100)
		d := &deliveries{t: t, accepted: map[string]bool{}, times: map[string]int{}, failed: map[int32]bool{}}
		third := func(value string) bool { return value[len(value)-1]%3 == 0 }
		cl := d.member(w)
		d.work(cl, third, func() bool { return len(d.accepted) == 100 })
		for value, n := range d.times {
			if want := map[bool]int{true: 2, false: 1}[third(value)]; n != want {
				t.Errorf("%s is delivered %d times, not %d", value, n, want)
			}
		}
		w.produceNumbers("t", 100, 200)
		d.work(cl, third, func() bool { return len(d.accepted) >= 130 })
		w.kill(int(w.partition("t").Leader), true)
		d.work(cl, third, func() bool { return len(d.accepted) == 200 })
	})
}

// TestWhatAMemberHeldGoesToOthers when it leaves, and not before.
func TestWhatAMemberHeldGoesToOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := shareWorld(t, 1)
		w.topic("t", 1)
		w.produceNumbers("t", 0, 10)
		first := w.client(kgo.ConsumeTopics("t"), kgo.ShareGroup("g"))
		held := first.PollRecords(t.Context(), 10)
		if held.NumRecords() != 10 {
			t.Fatalf("%d records", held.NumRecords())
		}
		second := w.client(kgo.ConsumeTopics("t"), kgo.ShareGroup("g"))
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		if n := second.PollRecords(ctx, 10).NumRecords(); n != 0 {
			t.Errorf("%d records that another member has", n)
		}
		cancel()
		began := time.Now()
		first.Close()
		ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		records := second.PollRecords(ctx, 10).Records()
		within(t, "what the member that left gives back", time.Since(began), time.Second)
		if len(records) != 10 || records[0].DeliveryCount() != 2 {
			t.Errorf("%d records", len(records))
		}
	})
}
