package partition

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/node/await"
	"github.com/headrace/headrace/internal/storage/commitlog"
)

// TestAcknowledgedRecordsOutliveEveryElection has producers write to two nodes, of which now one and now the other leads, while
// both fetch from each other; each hears of the change at another time. Then the power fails.
func TestAcknowledgedRecordsOutliveEveryElection(t *testing.T) {
	disks := [2]*vfs.Mem{vfs.NewMem(), vfs.NewMem()}
	r := newPair(t, disks[0], disks[1])
	rng := rand.New(rand.NewPCG(11, 12))
	stop := make(chan struct{})
	var traffic sync.WaitGroup
	acked := make([][]string, 4)
	for i := range acked {
		traffic.Go(func() { acked[i] = r.produceUntil(stop, fmt.Sprint(i)) })
	}
	for id := range kafka.NodeID(2) {
		traffic.Go(func() { r.fetchUntil(stop, id+1) })
	}
	for range 60 {
		r.given.Leader = 3 - r.given.Leader
		r.given.LeaderEpoch++
		r.given.PartitionEpoch++
		first := rng.IntN(2)
		r.tell(first)
		for range rng.IntN(300) {
			runtime.Gosched()
		}
		r.tell(1 - first)
		// What is appended now is acknowledged only once both have heard.
		leader := r.node(r.given.Leader)
		w := await.NewWaiter(1)
		leader.AwaitMore(w, leader.HighWatermark()+kafka.Offset(rng.IntN(5)))
		<-w.Woken()
	}
	close(stop)
	r.elect(1) // breaks the lines
	traffic.Wait()
	r.sync(2)
	r.abandon()
	all := slices.Concat(acked...)
	for i, disk := range disks {
		after := r.start(i, disk.CrashClone(nil))
		p := after.part("t", 0)
		if _, err := p.use(); err != nil {
			t.Fatal(err)
		}
		p.role.RUnlock()
		got := contents(t, p)
		for _, v := range all {
			if !slices.Contains(got, v) {
				t.Errorf("node %d has lost %s, which was acknowledged", i+1, v)
			}
		}
		after.Abandon()
	}
	if len(all) < 60 {
		t.Errorf("only %d records were acknowledged", len(all))
	}
}

// produceUntil writes to whichever node leads, and lists what was acknowledged.
func (r *pair) produceUntil(stop <-chan struct{}, name string) (acked []string) {
	for n := 0; ; n++ {
		select {
		case <-stop:
			return acked
		default:
		}
		value := fmt.Sprintf("%s-%d", name, n)
		p := r.node(kafka.NodeID(n%2 + 1))
		a, epoch, err := p.Append(time.Now(), valid(r.t, p, value), AllReplicas, commitlog.OriginClient, 0)
		if err != nil {
			runtime.Gosched()
			continue
		}
		w := await.NewWaiter(1)
		p.Await(w, AllReplicas, a.Last+1)
		select {
		case <-w.Woken():
		case <-stop:
			p.Leave(w)
		}
		if ok, err := p.Acked(AllReplicas, epoch, a.Last+1); ok && err == nil {
			acked = append(acked, value)
		}
	}
}

// fetchUntil is a node's fetcher.
func (r *pair) fetchUntil(stop <-chan struct{}, id kafka.NodeID) {
	p := r.node(id)
	for {
		select {
		case <-stop:
			return
		default:
			runtime.Gosched()
		}
		s, ok, err := p.FetchState()
		if !ok || err != nil {
			continue
		}
		f, err := r.node(s.Leader).FetchAsReplica(time.Now(), FollowerFetch{
			Replica: id, BrokerEpoch: 100 + int64(id), Offset: s.Offset, Epoch: s.Epoch, LastEpoch: s.LastEpoch, MaxBytes: 1 << 20, MinOne: true,
		})
		if err != nil {
			continue
		}
		b, err := f.Plan.ReadAll(nil)
		f.Plan.Release()
		switch {
		case err != nil:
		case f.Diverging != nil:
			_ = p.Diverged(s.Epoch, *f.Diverging) // refused if the role has changed, as may be
		case p.AppendFetched(time.Now(), s.Epoch, b) == nil:
			p.Heard(s.Epoch, f.HighWatermark, f.Start)
		}
	}
}
