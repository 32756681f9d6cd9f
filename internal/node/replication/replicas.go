package replication

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/conf"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
	"github.com/headrace/headrace/internal/node/partition"
)

// Conn is a connection to another node: link.Conn. It carries one request at a time. The records of a Fetch answer alias a
// buffer of the Conn's until the next Request. Close ends a Request that waits.
type Conn interface {
	Request(ctx context.Context, req kmsg.Request) (kmsg.Response, error)
	Close()
}

// Config is what Replicas need. Every field is required.
type Config struct {
	Self kafka.NodeID
	Set  *partition.Set
	// Image gives the newest metadata that Set has taken.
	Image func() *metadata.Image
	// Dial opens a connection of a fetcher's own.
	Dial func(ctx context.Context, to kafka.NodeID) (Conn, error)
	// Request sends a request on the connection that all of this node shares.
	Request func(ctx context.Context, to kafka.NodeID, req kmsg.Request) (kmsg.Response, error)
	// Submit hands a request to the active controller, wherever it is.
	Submit func(ctx context.Context, req any) (any, error)
	// Settings gives the configuration as it is now; the number of fetchers is read once.
	Settings func() conf.ReplicasConfig
	Log      *slog.Logger
}

// Replicas are the partitions that this node follows, and the reports of those that it leads.
type Replicas struct {
	Config
	each     int // fetchers for each node
	reporter *reporter
	assigner *assigner
	fetched  *partition.Throttle // what all fetchers got of partitions whose catching up is bounded

	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	// fetchers and places are the applying goroutine's; counting guards fetchers against Stats.
	counting sync.Mutex
	fetchers map[source]*fetcher
	places   map[kafka.TopicPartition]place
}

// source is which node a fetcher fetches from, and which of its fetchers it is.
type source struct {
	leader kafka.NodeID
	number int
}

// place is which fetcher a partition was given to.
type place struct {
	fetcher *fetcher
	part    *partition.Partition
	epoch   kafka.LeaderEpoch
}

// New makes Replicas that follow nothing before the first Apply.
func New(c Config) *Replicas {
	r := &Replicas{
		Config: c, each: max(c.Settings().Fetchers, 1), fetchers: map[source]*fetcher{}, places: map[kafka.TopicPartition]place{},
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.fetched = partition.NewThrottle(c.Settings().Throttle)
	r.reporter = newReporter(r)
	r.assigner = newAssigner(r)
	r.work.Go(r.reporter.run)
	r.work.Go(r.assigner.run)
	return r
}

// noEpoch stands for a registration that is not there.
const noEpoch int64 = -1

// Apply takes a change of the metadata, after Set has. It does not block. It is called by one goroutine, in order.
func (r *Replicas) Apply(delta *metadata.Delta, img *metadata.Image) {
	for _, t := range delta.TopicsDeleted {
		for i := range t.Partitions {
			r.leave(kafka.TopicPartition{Topic: t.Name, Partition: int32(i)})
		}
	}
	for _, tp := range delta.PartitionsChanged {
		r.place(tp)
	}
	if len(delta.NodesChanged) > 0 {
		r.takeNodes(delta.NodesChanged, img)
	}
}

// place gives a partition to the fetcher of its leader.
func (r *Replicas) place(tp kafka.TopicPartition) {
	p, err := r.Set.Get(tp)
	if err != nil {
		r.leave(tp)
		return
	}
	r.assigner.look(p)
	role := p.Role()
	if p.Damaged() {
		r.reporter.note(p)
	}
	if role.Leads {
		r.leave(tp)
		if len(role.Replicas) > 1 {
			r.reporter.note(p) // an answer that was left open may be decided now
		}
		return
	}
	if role.Leader == kafka.NoNode || p.Offline() {
		r.leave(tp)
		return
	}
	f := r.fetcher(source{role.Leader, fetcherOf(tp, r.each)})
	was, ok := r.places[tp]
	now := place{f, p, role.Epoch}
	if was == now {
		return
	}
	if ok && (was.fetcher != f || was.part != p) {
		r.leave(tp)
	}
	r.places[tp] = now
	f.follow(p)
}

// fetcherOf spreads the partitions of a topic over n fetchers.
func fetcherOf(tp kafka.TopicPartition, n int) int {
	return int(uint32(31*kafka.JavaHash(tp.Topic)+tp.Partition) % uint32(n))
}

func (r *Replicas) leave(tp kafka.TopicPartition) {
	if was, ok := r.places[tp]; ok {
		was.fetcher.leave(was.part)
		delete(r.places, tp)
	}
}

func (r *Replicas) fetcher(of source) *fetcher {
	if f := r.fetchers[of]; f != nil {
		return f
	}
	f := newFetcher(r, of)
	r.counting.Lock()
	r.fetchers[of] = f
	r.counting.Unlock()
	r.work.Go(f.run)
	r.work.Go(f.admit)
	return f
}

// takeNodes ends the fetchers of nodes that are no more, and has those of nodes that came back try again. Of a new registration of
// this node the leaders hear with the next requests: until then they refuse what they are told.
func (r *Replicas) takeNodes(changed []kafka.NodeID, img *metadata.Image) {
	if slices.Contains(changed, r.Self) {
		for _, p := range r.Set.All() {
			r.assigner.look(p)
		}
	}
	for of, f := range r.fetchers {
		if _, there := img.Node(of.leader); !there && slices.Contains(changed, of.leader) {
			f.end()
			r.counting.Lock()
			delete(r.fetchers, of)
			r.counting.Unlock()
		}
	}
	for _, f := range r.fetchers {
		if slices.Contains(changed, f.of.leader) {
			f.wake()
		}
	}
}

// registration is the epoch of this node's registration.
func (r *Replicas) registration(img *metadata.Image) int64 {
	if n, ok := img.Node(r.Self); ok {
		return n.Epoch
	}
	return noEpoch
}

// ISRChanged tells that the in-sync replicas of a partition led here may be other ones soon: partition.Config.ISRChanged. It does
// not block.
func (r *Replicas) ISRChanged(p *partition.Partition) { r.reporter.note(p) }

// Moved tells that a partition is, or is about to be, in another log dir than the metadata has it: partition.Config.Moved. It does
// not block.
func (r *Replicas) Moved(p *partition.Partition) { r.assigner.look(p) }

// pause waits; false says that the Replicas are being closed.
func (r *Replicas) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.ctx.Done():
		return false
	}
}

// Close ends all goroutines and waits for them.
func (r *Replicas) Close() {
	r.cancel()
	r.work.Wait()
}

// ThrottledPerSecond is the rate in bytes at which this node fetches, as a follower, what a throttle bounds.
func (r *Replicas) ThrottledPerSecond(now time.Time) float64 { return r.fetched.PerSecond(now) }

// Stats are figures for those who watch over the node.
type Stats struct {
	Fetchers  int
	Following int // partitions that are fetched
	Failing   int // partitions that wait until they are fetched again, after a failure or by a throttle
}

// Stats adds up the fetchers.
func (r *Replicas) Stats() Stats {
	r.counting.Lock()
	defer r.counting.Unlock()
	s := Stats{Fetchers: len(r.fetchers)}
	for _, f := range r.fetchers {
		s.Following += int(f.following.Load())
		s.Failing += int(f.failing.Load())
	}
	return s
}
