package partition

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/core/metadata"
	"github.com/headrace/headrace/internal/node/await"
	"github.com/headrace/headrace/internal/storage/commitlog"
)

// Who waits until all replicas have deleted records sleeps until it is woken: it must be by everything after which it would be answered
// otherwise.
func TestWhoWaitsForADeletionIsWoken(t *testing.T) {
	for _, c := range []struct {
		what   string
		change func(*pair)
		low    kafka.Offset
		err    error
	}{
		{"the follower has deleted them", func(r *pair) { r.round(2); r.round(2) }, 2, nil},
		{"the follower is fenced", func(r *pair) {
			r.hosts[0].apply(&metadata.BrokerRegistrationChangeRecord{Node: 2, Epoch: 102, Fenced: 1})
		}, 2, nil},
		{"the follower is a replica no more", func(r *pair) {
			r.change(func(g *metadata.PartitionRecord) { g.Replicas, g.ISR = []kafka.NodeID{1}, []kafka.NodeID{1} })
		}, 2, nil},
		{"there is another replica, of which nothing is known", func(r *pair) {
			r.hosts[0].apply(&metadata.RegisterBrokerRecord{Node: 3, Epoch: 103})
			r.change(func(g *metadata.PartitionRecord) { g.Replicas = []kafka.NodeID{1, 2, 3} })
		}, kafka.NoOffset, nil},
		{"the leader is replaced", func(r *pair) { r.elect(2) }, kafka.NoOffset, kerr.NotLeaderForPartition},
		{"the leader leads on in a new epoch", func(r *pair) { r.elect(1) }, kafka.NoOffset, nil},
		{"the partition is deleted", func(r *pair) {
			r.hosts[0].apply(&metadata.RemoveTopicRecord{ID: topicID("t")})
		}, kafka.NoOffset, kerr.UnknownTopicOrPartition},
	} {
		t.Run(c.what, func(t *testing.T) {
			r := newPair(t, vfs.NewMem(), vfs.NewMem())
			defer r.abandon()
			p := r.node(1)
			for range 3 {
				put(t, p, "x")
			}
			settle(t, p)
			r.sync(2)
			start, err := p.DeleteBefore(2)
			if low, err2 := p.LowWatermark(); start != 2 || low != 0 || err != nil || err2 != nil {
				t.Fatalf("to begin at %d, while the replicas begin at %d: %v %v", start, low, err, err2)
			}
			w := await.NewWaiter(1)
			p.AwaitDeleted(w, start)
			if w.Done() {
				t.Fatal("woken before anything happened")
			}
			c.change(r)
			select {
			case <-w.Woken():
			case <-time.After(10 * time.Second): // a deletion is a job of the janitor's
				t.Error("not woken")
			}
			if low, err := p.LowWatermark(); low != c.low || !errors.Is(err, c.err) {
				t.Errorf("low watermark %d, %v", low, err)
			}
		})
	}
}

// Followers fetch at the same time. The line must end where the low watermark does: were it told of what a fetch found after it was told
// of what a later one found, who looked at the partition before it and waits now would not hear that it is reached.
func TestTheLineOfDeletionsFollowsTheLastOfTheFetches(t *testing.T) {
	const followers, rounds = 4, 5000
	h := newHost(t, vfs.NewMem(), nil)
	defer h.Abandon()
	given := partitionRecord("t", 0)
	for id := kafka.NodeID(1); id <= 1+followers; id++ {
		h.apply(&metadata.RegisterBrokerRecord{Node: id, Epoch: 100 + int64(id)})
		if id > 1 {
			given.Replicas = append(given.Replicas, id)
		}
	}
	h.apply(&metadata.TopicRecord{Name: "t", ID: topicID("t")}, given)
	p := h.part("t", 0)
	b := batch.NewBuilder(batch.BuilderConfig{ProducerID: -1, Epoch: -1, BaseSequence: -1})
	for range rounds {
		b.Append(time.Now().UnixMilli(), nil, nil, nil)
	}
	v, err := batch.ValidateProduce(b.Bytes(nil), p.Rules(time.Now(), true))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.Append(time.Now(), v, 1, commitlog.OriginClient, 0); err != nil {
		t.Fatal(err)
	}
	settle(t, p)
	if _, err := p.DeleteBefore(rounds); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for start := range kafka.Offset(rounds) {
		for id := kafka.NodeID(2); id <= 1+followers; id++ {
			wg.Go(func() {
				f := FollowerFetch{Replica: id, BrokerEpoch: 100 + int64(id), Offset: rounds, LogStart: start}
				if _, err := p.FetchAsReplica(time.Now(), f); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		w := await.NewWaiter(1)
		p.AwaitDeleted(w, start)
		if low, err := p.LowWatermark(); err != nil || low != start || !w.Done() {
			t.Fatalf("the low watermark is %d, %v, and who waits for %d is told %v", low, err, start, w.Done())
		}
	}
}
