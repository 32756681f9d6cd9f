package partition

import (
	"testing"
	"time"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/core/metadata"
	"github.com/headrace/headrace/internal/node/await"
	"github.com/headrace/headrace/internal/storage/commitlog"
)

// pair is two nodes, 1 and 2, that host partition 0 of topic t. The test is their controller and their network.
type pair struct {
	t     *testing.T
	hosts [2]*host
	joins int // calls of ISRChanged
	given metadata.PartitionRecord
	flush FlushMethod
}

// newPair starts with node 1 as the leader, and both in sync. The file systems are those of the nodes.
func newPair(t *testing.T, one, two vfs.FS, configs ...string) *pair {
	t.Helper()
	return newFlushingPair(t, FlushAuto, one, two, configs...)
}

func newFlushingPair(t *testing.T, flush FlushMethod, one, two vfs.FS, configs ...string) *pair {
	t.Helper()
	r := &pair{t: t, flush: flush}
	r.given = *partitionRecord("t", 0)
	r.given.Replicas, r.given.ISR = []kafka.NodeID{1, 2}, []kafka.NodeID{1, 2}
	for i, fs := range []vfs.FS{one, two} {
		r.hosts[i] = r.start(i, fs, configs...)
	}
	return r
}

func (r *pair) start(i int, fs vfs.FS, configs ...string) *host {
	h := newHost(r.t, fs, func(c *Config) {
		c.Node, c.FlushMethod = kafka.NodeID(i+1), r.flush
		c.ISRChanged = func(*Partition) { r.joins++ }
	})
	given := r.given
	recs := []metadata.Record{
		&metadata.RegisterBrokerRecord{Node: 1, Epoch: 101}, &metadata.RegisterBrokerRecord{Node: 2, Epoch: 102},
		&metadata.TopicRecord{Name: "t", ID: topicID("t")},
	}
	for i := 0; i < len(configs); i += 2 {
		recs = append(recs, configRecord("t", configs[i], &configs[i+1]))
	}
	h.apply(append(recs, &given)...)
	return h
}

func (r *pair) abandon() {
	for _, h := range r.hosts {
		h.Abandon()
	}
}

func (r *pair) node(id kafka.NodeID) *Partition { return r.hosts[id-1].part("t", 0) }

// change tells both nodes of a change of the partition.
func (r *pair) change(change func(*metadata.PartitionRecord)) {
	change(&r.given)
	r.given.PartitionEpoch++
	for i := range r.hosts {
		r.tell(i)
	}
}

func (r *pair) tell(i int) {
	given := r.given
	r.hosts[i].apply(&given)
}

// elect makes a node the leader in a new epoch.
func (r *pair) elect(id kafka.NodeID) {
	r.change(func(g *metadata.PartitionRecord) {
		g.Leader = id
		g.LeaderEpoch++
	})
}

func (r *pair) isr(ids ...kafka.NodeID) {
	r.change(func(g *metadata.PartitionRecord) { g.ISR = ids })
}

func (r *pair) state(id kafka.NodeID) FetchState {
	r.t.Helper()
	s, ok, err := r.node(id).FetchState()
	if !ok || err != nil {
		r.t.Fatalf("node %d has nothing to fetch: %v %v", id, ok, err)
	}
	return s
}

// ask is the leader's answer to a follower in that state.
func (r *pair) ask(id kafka.NodeID, s FetchState) (Fetched, []byte) {
	r.t.Helper()
	f, err := r.node(s.Leader).FetchAsReplica(time.Now(), FollowerFetch{
		Replica: id, BrokerEpoch: 100 + int64(id), Offset: s.Offset, Epoch: s.Epoch, LastEpoch: s.LastEpoch, LogStart: s.LogStart,
		MaxBytes: 1 << 20, MinOne: true,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	b, err := f.Plan.ReadAll(nil)
	f.Plan.Release()
	if err != nil {
		r.t.Fatal(err)
	}
	return f, b
}

// round is one fetch of a follower with all that comes of it but the wait for the flush.
func (r *pair) round(id kafka.NodeID) (diverged bool) {
	r.t.Helper()
	s := r.state(id)
	f, b := r.ask(id, s)
	p := r.node(id)
	switch {
	case f.Diverging != nil:
		if err := p.Diverged(s.Epoch, *f.Diverging); err != nil {
			r.t.Fatal(err)
		}
		return true
	case len(b) > 0:
		if err := p.AppendFetched(time.Now(), s.Epoch, b); err != nil {
			r.t.Fatal(err)
		}
	}
	p.Heard(s.Epoch, f.HighWatermark, f.Start)
	return false
}

// sync has a follower fetch until it has all that the leader has, and both know that it is committed.
func (r *pair) sync(id kafka.NodeID) {
	r.t.Helper()
	for range 10 {
		if r.round(id) {
			continue
		}
		leader := r.node(r.given.Leader)
		if hw := leader.HighWatermark(); hw == leader.LogEnd() && r.node(id).HighWatermark() == hw && r.state(id).Offset == hw {
			return
		}
		settle(r.t, leader)
	}
	r.t.Fatalf("node %d does not get where its leader is", id)
}

// settle waits until all of a partition's log is safe.
func settle(t *testing.T, p *Partition) {
	t.Helper()
	w := await.NewWaiter(1)
	p.AwaitSafe(w, p.LogEnd())
	<-w.Woken()
	if w.Broken() {
		t.Fatal("the role changed")
	}
}

// put appends as the leader and waits for nothing.
func put(t *testing.T, p *Partition, value string) (commitlog.Appended, kafka.LeaderEpoch) {
	t.Helper()
	a, epoch, err := p.Append(time.Now(), valid(t, p, value), AllReplicas, commitlog.OriginClient, 0)
	if err != nil {
		t.Fatal(err)
	}
	return a, epoch
}

// stamped is a batch as a leader sends it.
func stamped(t *testing.T, p *Partition, value string, at kafka.Offset, epoch kafka.LeaderEpoch) []byte {
	t.Helper()
	b := valid(t, p, value).Batch
	batch.StampOffset(b, at, epoch)
	return b
}

// contents are the values in a log, committed or not.
func contents(t *testing.T, p *Partition) []string {
	t.Helper()
	log := p.openLog()
	plan, err := log.Read(log.Start(), log.End(), 1<<20, true)
	if err != nil {
		t.Fatal(err)
	}
	defer plan.Release()
	b, err := plan.ReadAll(nil)
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, b)
}
