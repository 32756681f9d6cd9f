package cluster

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/app"
	"github.com/headrace/headrace/internal/base/conf"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/memnet"
)

// world is a cluster, its network and its disks.
type world struct {
	t       *testing.T
	network *memnet.Network
	rnd     *rand.Rand
	log     *slog.Logger
	// unstable has nodes serve what is not whole yet.
	unstable bool
	nodes    []*node
	starts   atomic.Int32
	leaving  sync.WaitGroup // the goroutines of killed processes
	dirs     string         // log.dirs of each node
}

// node is one machine: its disk stays when its process ends.
type node struct {
	id      int
	disk    *vfs.Mem
	host    *host
	process *app.Node // nil while it is down
	at      string    // where it is reached
	join    string    // where it is told to look for the others; empty: nowhere
	roles   string    // process.roles
	admin   string    // headrace.admin.listener; empty for none
	// broken says which calls of the disk fail; nil for none.
	broken atomic.Pointer[func(vfs.Op) error]
}

// fails decides for the disk.
func (n *node) fails(op vfs.Op) error {
	if broken := n.broken.Load(); broken != nil {
		return (*broken)(op)
	}
	return nil
}

const both = "broker,controller"

// newWorld forms a cluster of n nodes: the first begins it, the others join.
func newWorld(t *testing.T, n int) *world {
	t.Helper()
	return newWorldWith(t, n, "/data")
}

// newWorldWith forms one whose nodes have these log dirs; the first has the metadata log.
func newWorldWith(t *testing.T, n int, dirs string) *world {
	t.Helper()
	w := newWorldOf(t, dirs, slices.Repeat([]string{both}, n)...)
	w.voters(n)
	return w
}

// newWorldOf forms a cluster of nodes with these roles.
func newWorldOf(t *testing.T, dirs string, roles ...string) *world {
	t.Helper()
	w := noWorld(t, dirs)
	for _, r := range roles {
		w.start(w.add(r))
	}
	return w
}

// noWorld is a cluster without nodes.
func noWorld(t *testing.T, dirs string) *world {
	t.Helper()
	w := &world{t: t, dirs: dirs, network: memnet.New(), rnd: rand.New(rand.NewPCG(1, 2)), log: slog.New(slog.DiscardHandler)}
	if testing.Verbose() {
		w.log = slog.New(slog.NewTextHandler(output{t}, nil))
	}
	t.Cleanup(func() {
		for _, nd := range w.nodes {
			if nd.host.silenced() != nil {
				nd.host.heal()
			}
		}
		for _, nd := range w.nodes {
			if nd.process != nil {
				w.stop(nd.id)
			}
		}
		w.leaving.Wait()
	})
	return w
}

// add adds a machine without data, which joins the first.
func (w *world) add(roles string) (id int) {
	nd := &node{id: len(w.nodes) + 1, disk: vfs.NewMem(), roles: roles}
	nd.at = address(nd.id)
	if nd.id > 1 {
		nd.join = address(1)
	}
	w.nodes = append(w.nodes, nd)
	return nd.id
}

// brokers are the nodes that may have replicas.
func (w *world) brokers() (ids []int) {
	for _, nd := range w.nodes {
		if nd.roles != "controller" {
			ids = append(ids, nd.id)
		}
	}
	return ids
}

// output writes a node's log into the test's.
type output struct{ t *testing.T }

func (o output) Write(b []byte) (int, error) {
	o.t.Log(strings.TrimSuffix(string(b), "\n"))
	return len(b), nil
}

func (w *world) node(id int) *node { return w.nodes[id-1] }

func address(id int) string { return fmt.Sprintf("127.0.0.1:%d", 9092+id) }

// start starts a node's process, and returns when it is ready.
func (w *world) start(id int) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	if err := w.tryStart(ctx, id); err != nil {
		w.t.Fatalf("start node %d: %v", id, err)
	}
}

func (w *world) tryStart(ctx context.Context, id int) error {
	nd := w.node(id)
	keys := map[string]string{
		"node.id": fmt.Sprint(id), "listeners": "PLAINTEXT://" + nd.at, "log.dirs": w.dirs, "headrace.admin.listener": nd.admin,
		"group.initial.rebalance.delay.ms": "0", "offsets.topic.num.partitions": "3", "process.roles": nd.roles,
		"share.coordinator.state.topic.num.partitions": "3", "unstable.api.versions.enable": fmt.Sprint(w.unstable),
	}
	if nd.roles == "controller" {
		keys["listeners"], keys["controller.listener.names"] = "CONTROLLER://"+nd.at, "CONTROLLER"
	}
	if nd.join != "" {
		keys["controller.quorum.bootstrap.servers"] = nd.join
	}
	static, err := conf.NewStatic(keys)
	if err != nil {
		return err
	}
	cfg, err := conf.NewNode(conf.Layers{Static: static})
	if err != nil {
		return err
	}
	nd.host = newHost(w.network)
	seed := [32]byte{byte(id), byte(w.starts.Add(1))}
	nd.process, err = app.Start(ctx, app.Options{Config: cfg, Static: static, Log: w.log.With("node", id), Env: app.Env{
		FS: vfs.NewFaulty(nd.disk, nd.fails), Listen: nd.host.Listen, Dial: nd.host.Dial, Seed: func() [32]byte { return seed },
		FileLimit: func() int { return 0 },
		Getenv:    func(string) string { return "" }, Environ: func() []string { return nil },
		Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: io.Discard,
	}})
	if err != nil {
		nd.process = nil
		nd.host.kill()
	}
	return err
}

// stop stops a node as a service manager does.
func (w *world) stop(id int) {
	w.t.Helper()
	nd := w.node(id)
	if err := nd.process.Close(time.Now()); err != nil {
		w.t.Errorf("stop node %d: %v", id, err)
	}
	nd.process = nil
}

// kill ends a node's process at once. What it had written is still there; after a power cut only what it had flushed.
func (w *world) kill(id int, powerCut bool) {
	nd := w.node(id)
	// First nobody hears of it any more: what it writes from here on it has told no one.
	nd.host.kill()
	process := nd.process
	nd.process = nil
	if powerCut {
		nd.disk = nd.disk.CrashClone(w.rnd)
	} else {
		nd.disk = nd.disk.Clone()
	}
	// Its goroutines end in their own time, with a disk that nobody looks at.
	w.leaving.Go(func() { _ = process.Close(time.Now()) })
}

// dial gives up as clients do where nobody answers. A refusal takes its time: some clients try again at once, and no time would pass.
func (w *world) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	nc, err := w.network.Dial(ctx, network, address)
	if err != nil {
		time.Sleep(time.Millisecond)
	}
	return nc, err
}

// client is one that knows all brokers.
func (w *world) client(opts ...kgo.Opt) *kgo.Client {
	w.t.Helper()
	cl, err := kgo.NewClient(w.options(opts...)...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(cl.Close)
	return cl
}

// options are those of a client that knows all brokers, and more.
func (w *world) options(more ...kgo.Opt) []kgo.Opt {
	var seeds []string
	for _, id := range w.brokers() {
		seeds = append(seeds, address(id))
	}
	return append([]kgo.Opt{
		kgo.SeedBrokers(seeds...), kgo.Dialer(w.dial),
		// As soon as the client asks, it is told: its own patience is not what is looked at.
		kgo.MetadataMinAge(10 * time.Millisecond), kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }),
	}, more...)
}

// topic makes a topic with replicas on all brokers.
func (w *world) topic(name string, partitions int32) {
	w.t.Helper()
	brokers := len(w.brokers())
	least := strconv.Itoa(min(2, brokers))
	if _, err := kadm.NewClient(w.client()).CreateTopic(w.t.Context(), partitions, int16(brokers), map[string]*string{"min.insync.replicas": &least}, name); err != nil {
		w.t.Fatal(err)
	}
}

// partition is how a node sees partition 0 of a topic.
func (w *world) partition(topic string) kadm.PartitionDetail { return w.seenBy(topic) }

// seenBy is how one of these nodes sees partition 0 of a topic; of all nodes where none is named.
func (w *world) seenBy(topic string, ids ...int) kadm.PartitionDetail {
	w.t.Helper()
	var seeds []kgo.Opt
	for _, id := range ids {
		seeds = append(seeds, kgo.SeedBrokers(address(id)))
	}
	cl := w.client(seeds...)
	defer cl.Close()
	meta, err := kadm.NewClient(cl).Metadata(w.t.Context(), topic)
	if err != nil {
		w.t.Fatal(err)
	}
	return meta.Topics[topic].Partitions[0]
}

// voters waits until so many nodes vote on the metadata: before, the death of one may be the death of the quorum.
func (w *world) voters(n int) {
	w.t.Helper()
	for range 600 {
		if q, err := w.quorum(); err == nil && len(q.CurrentVoters) == n {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	w.t.Fatalf("there are not %d voters after a minute", n)
}

// quorum asks who votes on the metadata.
func (w *world) quorum() (q kmsg.DescribeQuorumResponseTopicPartition, err error) {
	cl := w.client()
	defer cl.Close()
	req := kmsg.NewPtrDescribeQuorumRequest()
	topic := kmsg.NewDescribeQuorumRequestTopic()
	topic.Topic, topic.Partitions = "__cluster_metadata", []kmsg.DescribeQuorumRequestTopicPartition{{}}
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(w.t.Context(), cl)
	if err != nil {
		return q, err
	}
	return resp.Topics[0].Partitions[0], kerr.ErrorForCode(resp.ErrorCode)
}

// inSync waits until all replicas are.
func (w *world) inSync(topic string) {
	w.t.Helper()
	for range 600 {
		if p := w.partition(topic); len(p.ISR) == len(w.brokers()) {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	w.t.Fatalf("not all in sync after a minute: %+v", w.partition(topic))
}
