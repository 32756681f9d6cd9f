package replication

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/conf"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/core/controller"
	"github.com/headrace/headrace/internal/core/metadata"
	"github.com/headrace/headrace/internal/node/api"
	"github.com/headrace/headrace/internal/node/partition"
	"github.com/headrace/headrace/internal/node/transport"
	"github.com/headrace/headrace/internal/storage/logdir"
)

// world is some nodes that replicate for real: Sets on file systems in memory, the API's handlers, and Replicas. The controller's
// machine decides and its records are published at once; connections are calls, through the bytes of requests and answers.
type world struct {
	t        testing.TB
	ctl      *controller.Controller
	rnd      *rand.Rand
	settings conf.ReplicasConfig
	minISR   int
	rackWare bool
	cleaner  func() conf.CleanerConfig
	log      *slog.Logger

	mu    sync.Mutex // publishing, and nodes
	img   *metadata.Image
	nodes map[kafka.NodeID]*node

	links struct {
		sync.Mutex
		conns map[*conn]struct{}
		cut   map[kafka.NodeID]bool // nobody reaches it, and it reaches nobody
	}
	rounds atomic.Int64 // fetches asked for by followers
}

// node is one start of one node.
type node struct {
	w        *world
	id       kafka.NodeID
	fs       *vfs.Mem
	dir      kafka.TopicID
	set      *partition.Set
	srv      *api.Server
	replicas *Replicas
	img      atomic.Pointer[metadata.Image]
	// incarnation is that of the process.
	incarnation kafka.TopicID
	held        bool // it is not told of changes; guarded by the world's mu
}

const worldCluster = "cluster-of-the-test-00"

func newWorld(t testing.TB, ids ...kafka.NodeID) *world {
	return newWorldOf(t, func(*world) {}, ids...)
}

// newWorldOf is newWorld with other settings, which nobody may change once the nodes run.
func newWorldOf(t testing.TB, configure func(*world), ids ...kafka.NodeID) *world {
	w := &world{
		t: t, rnd: rand.New(rand.NewPCG(1, 2)), nodes: map[kafka.NodeID]*node{}, minISR: 1, log: slog.New(slog.DiscardHandler),
		settings: conf.ReplicasConfig{
			Fetchers: 1, Lag: 10 * time.Second, FetchMaxBytes: 1 << 20, FetchMinBytes: 1, ResponseBytes: 10 << 20,
			FetchWait: 500 * time.Millisecond, FetchBackoff: time.Second,
		},
	}
	configure(w)
	w.links.conns, w.links.cut = map[*conn]struct{}{}, map[kafka.NodeID]bool{}
	w.ctl = controller.New(controller.Config{Rules: w})
	w.img = metadata.New(worldCluster).WithController(1)
	for _, id := range ids {
		w.start(id, vfs.NewMem())
	}
	return w
}

// The controller's rules: all configurations are let through.
func (*world) Check(*metadata.Image, metadata.ConfigResource, map[string]string, map[string]string) error {
	return nil
}
func (*world) IsList(metadata.ConfigType, string) bool    { return false }
func (*world) Default(metadata.ConfigType, string) string { return "" }
func (w *world) MinISR(*metadata.Image, string) int       { return w.minISR }
func (*world) Unclean(*metadata.Image, string) bool       { return false }
func (*world) Flushes(*metadata.Image, string) bool       { return true }
func (*world) Effective(*metadata.Image, map[string]string) []kmsg.CreateTopicsResponseTopicConfig {
	return nil
}

func (w *world) must(_ any, err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// start starts a node on a file system, registers and unfences it.
func (w *world) start(id kafka.NodeID, fs *vfs.Mem) *node {
	w.t.Helper()
	n := &node{w: w, id: id, fs: fs, incarnation: kafka.TopicID{byte(id), byte(w.rnd.Uint32()), byte(w.rnd.Uint32())}}
	d, err := logdir.Open(fs, "/data", logdir.Meta{ClusterID: worldCluster, NodeID: id}, rand.New(rand.NewPCG(uint64(id), 7)), w.log)
	w.must(d, err)
	n.set, err = partition.NewSet(partition.Config{
		Node: id, FS: fs, Dirs: []*logdir.Dir{d}, Log: w.log, Rand: rand.New(rand.NewPCG(3, uint64(id))), ReplicaLag: w.settings.Lag,
		Topic: func(o map[string]string) conf.TopicConfig {
			c := conf.TopicLog(o, conf.Layers{})
			c.MinISR = w.minISR
			return c
		},
		ISRChanged:  func(p *partition.Partition) { n.replicas.ISRChanged(p) },
		Incarnation: n.incarnation, Cleaner: w.cleaner,
	})
	w.must(n.set, err)
	n.img.Store(metadata.New(worldCluster))
	n.srv = api.New(api.Config{
		NodeID: id, Log: w.log, Controller: n, Metadata: n, Partitions: n.set,
		Settings: func() api.Settings {
			return api.Settings{FetchMaxBytes: 50 << 20, FetchSessions: 1000, RackAware: w.rackWare, ReplicaLag: w.settings.Lag}
		},
	})
	n.replicas = New(Config{
		Self: id, Set: n.set, Image: n.Image, Submit: n.Submit, Log: w.log.With("node", int32(id)),
		Settings: func() conf.ReplicasConfig { return w.settings },
		Dial:     func(_ context.Context, to kafka.NodeID) (Conn, error) { return w.dial(id, to) },
		Request: func(ctx context.Context, to kafka.NodeID, req kmsg.Request) (kmsg.Response, error) {
			c, err := w.dial(id, to)
			if err != nil {
				return nil, err
			}
			defer c.Close()
			return c.Request(ctx, req)
		},
	})
	w.t.Cleanup(func() { w.kill(n) })
	w.mu.Lock()
	w.nodes[id] = n
	n.catchUp()
	w.mu.Unlock()
	n.dir = d.Meta().DirectoryID
	w.register(n)
	return n
}

// register registers a node under a new epoch, and unfences it.
func (w *world) register(n *node) {
	w.t.Helper()
	req := kmsg.NewPtrBrokerRegistrationRequest()
	req.Version, req.BrokerID, req.ClusterID = 4, int32(n.id), worldCluster
	req.IncarnationID = n.incarnation
	req.LogDirs = [][16]byte{n.dir}
	if old, ok := w.image().Node(n.id); ok {
		req.PreviousBrokerEpoch = old.Epoch
	}
	rack := fmt.Sprintf("rack%d", n.id)
	req.Rack = &rack
	l := kmsg.NewBrokerRegistrationRequestListener()
	l.Name, l.Host, l.Port = "PLAINTEXT", "127.0.0.1", 9000+uint16(n.id)
	req.Listeners = append(req.Listeners, l)
	feature := kmsg.NewBrokerRegistrationRequestFeature()
	feature.Name, feature.MaxSupportedVersion = "eligible.leader.replicas.version", 1
	req.Features = append(req.Features, feature)
	reply, err := w.submit(req)
	w.must(reply, err)
	w.must(w.submit(controller.FenceNode{ID: n.id, Epoch: reply.(*kmsg.BrokerRegistrationResponse).BrokerEpoch}))
}

// kill ends a node as a crash does, but for what its file system keeps.
func (w *world) kill(n *node) {
	w.mu.Lock()
	alive := w.nodes[n.id] == n
	if alive {
		delete(w.nodes, n.id)
	}
	w.mu.Unlock()
	if !alive {
		return
	}
	w.breakConns(n.id)
	n.replicas.Close()
	n.set.Abandon()
}

func (w *world) fence(id kafka.NodeID) {
	w.t.Helper()
	n, _ := w.image().Node(id)
	w.must(w.submit(controller.FenceNode{ID: id, Epoch: n.Epoch, Fenced: true}))
}

func (w *world) image() *metadata.Image {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.img
}

func (w *world) submit(req any) (any, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.ctl.Step(time.Now(), w.rnd, w.img, req)
	w.publish(out.Records)
	return out.Reply, out.Err
}

// apply publishes records that the controller would not write.
func (w *world) apply(records ...metadata.Record) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.publish(records)
}

func (w *world) publish(records []metadata.Record) {
	if len(records) == 0 {
		return
	}
	w.img, _ = w.img.Apply(records, w.img.Offset()+kafka.Offset(len(records)))
	for _, n := range w.nodes {
		if !n.held {
			n.catchUp()
		}
	}
}

// catchUp tells a node of the newest metadata.
func (n *node) catchUp() {
	old := n.img.Load()
	n.img.Store(n.w.img)
	delta := n.w.img.Since(old)
	n.set.Apply(delta, n.w.img)
	n.replicas.Apply(delta, n.w.img)
}

// hold keeps changes of the metadata from a node, until release.
func (w *world) hold(id kafka.NodeID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.nodes[id].held = true
}

func (w *world) release(id kafka.NodeID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.nodes[id].held = false
	w.nodes[id].catchUp()
}

func (n *node) Image() *metadata.Image { return n.img.Load() }

func (n *node) Submit(_ context.Context, req any) (any, error) {
	if n.w.isCut(n.id) {
		return nil, kerr.NotController
	}
	return n.w.submit(req)
}

// conn is a connection; the answering end's context is its own.
type conn struct {
	w        *world
	from, to kafka.NodeID
	ctx      context.Context
	cancel   context.CancelFunc
}

var errBroken = errors.New("connection broken")

func (w *world) dial(from, to kafka.NodeID) (Conn, error) {
	w.mu.Lock()
	_, up := w.nodes[to]
	w.mu.Unlock()
	if !up || w.isCut(from) || w.isCut(to) {
		return nil, fmt.Errorf("dial node %d: %w", to, errBroken)
	}
	c := &conn{w: w, from: from, to: to}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	w.links.Lock()
	defer w.links.Unlock()
	w.links.conns[c] = struct{}{}
	return c, nil
}

func (w *world) isCut(id kafka.NodeID) bool {
	w.links.Lock()
	defer w.links.Unlock()
	return w.links.cut[id]
}

// breakConns breaks the connections from and to a node.
func (w *world) breakConns(id kafka.NodeID) {
	w.links.Lock()
	var all []*conn
	for c := range w.links.conns {
		if c.from == id || c.to == id {
			all = append(all, c)
		}
	}
	w.links.Unlock()
	for _, c := range all {
		c.Close()
	}
}

// cut takes a node off the network, or back to it.
func (w *world) cut(id kafka.NodeID, off bool) {
	w.links.Lock()
	w.links.cut[id] = off
	w.links.Unlock()
	w.breakConns(id)
}

func (c *conn) Close() {
	c.cancel()
	c.w.links.Lock()
	defer c.w.links.Unlock()
	delete(c.w.links.conns, c)
}

func (c *conn) Request(_ context.Context, req kmsg.Request) (kmsg.Response, error) {
	c.w.mu.Lock()
	n := c.w.nodes[c.to]
	c.w.mu.Unlock()
	if c.ctx.Err() != nil || n == nil {
		return nil, errBroken
	}
	if _, fetch := req.(*kmsg.FetchRequest); fetch {
		c.w.rounds.Add(1)
	}
	resp, err := n.call(c.ctx, req, req.GetVersion())
	if c.ctx.Err() != nil {
		return nil, errBroken
	}
	return resp, err
}

// call passes a request through its bytes, the API's table and the answer's bytes.
func (n *node) call(ctx context.Context, req kmsg.Request, version int16) (kmsg.Response, error) {
	op, ok := n.srv.Lookup(req.Key(), version)
	if !ok {
		return nil, fmt.Errorf("key %d version %d is not served", req.Key(), version)
	}
	req.SetVersion(version)
	decoded, err := op.Decode(version, req.AppendTo(nil))
	if err != nil {
		return nil, err
	}
	c := &transport.Call{Client: transport.Client{Listener: "PLAINTEXT"}, Version: version, Request: decoded, Received: time.Now()}
	var r transport.Response
	if op.Begin != nil {
		r = op.Begin(ctx, c).Finish(ctx)
	} else {
		r = op.Handle(ctx, c)
	}
	b := r.AppendTo(nil)
	if s, streamed := r.(transport.Streamed); streamed {
		s.Release()
	}
	resp := req.ResponseKind()
	return resp, resp.ReadFrom(b)
}

// topic creates a topic whose partitions all have the given replicas.
func (w *world) topic(name string, partitions int, replicas ...int32) kafka.TopicID {
	w.t.Helper()
	req := kmsg.NewPtrCreateTopicsRequest()
	rt := kmsg.NewCreateTopicsRequestTopic()
	rt.Topic, rt.NumPartitions, rt.ReplicationFactor = name, -1, -1
	for i := range partitions {
		a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
		a.Partition, a.Replicas = int32(i), replicas
		rt.ReplicaAssignment = append(rt.ReplicaAssignment, a)
	}
	req.Topics = append(req.Topics, rt)
	w.must(w.submit(req))
	t, ok := w.image().Topic(name)
	if !ok {
		w.t.Fatalf("topic %s was not created", name)
	}
	return t.ID
}

func (w *world) deleteTopic(name string) {
	w.t.Helper()
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.Version = 6
	rt := kmsg.NewDeleteTopicsRequestTopic()
	rt.Topic = &name
	req.Topics = append(req.Topics, rt)
	w.must(w.submit(req))
}

// lead makes a node the leader of a partition, as an election would, whatever the in-sync replicas are.
func (w *world) lead(topic string, number int32, leader kafka.NodeID, isr ...kafka.NodeID) {
	w.t.Helper()
	t, _ := w.image().Topic(topic)
	c := metadata.NewPartitionChange(t.ID, number)
	c.Leader, c.ISR = leader, isr
	w.apply(c)
}

func (w *world) node(id kafka.NodeID) *node {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.nodes[id]
}

func (w *world) part(id kafka.NodeID, topic string, number int32) *partition.Partition {
	w.t.Helper()
	p, err := w.node(id).set.Get(kafka.TopicPartition{Topic: topic, Partition: number})
	if err != nil {
		w.t.Fatalf("node %d: %v", id, err)
	}
	return p
}

// produce sends values to a node, and returns the code that it answers, within 5 s.
func (w *world) produce(id kafka.NodeID, topic string, number int32, acks int16, values ...string) int16 {
	w.t.Helper()
	b := batch.NewBuilder(batch.BuilderConfig{ProducerID: -1, Epoch: -1, BaseSequence: -1})
	for _, v := range values {
		b.Append(time.Now().UnixMilli(), nil, []byte(v), nil)
	}
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = acks, 5000
	t := kmsg.NewProduceRequestTopic()
	t.Topic = topic
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = number, b.Bytes(nil)
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	resp, err := w.node(id).call(w.t.Context(), req, 9)
	w.must(resp, err)
	return resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode
}

// acked is produce with acks=all that must succeed.
func (w *world) acked(id kafka.NodeID, topic string, number int32, values ...string) {
	w.t.Helper()
	if code := w.produce(id, topic, number, -1, values...); code != 0 {
		w.t.Fatalf("produce to node %d: %v", id, kerr.ErrorForCode(code))
	}
}

// read reads what a consumer can of a node, leader or not, with a space between values.
func (w *world) read(id kafka.NodeID, topic string, number int32) string {
	w.t.Helper()
	req := kmsg.NewPtrFetchRequest()
	req.MaxBytes = 50 << 20
	t := kmsg.NewFetchRequestTopic()
	t.Topic = topic
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.PartitionMaxBytes = number, 50<<20
	if start, _, ok := w.bounds(id, topic, number); ok {
		p.FetchOffset = int64(start)
	}
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	resp, err := w.node(id).call(w.t.Context(), req, 12)
	w.must(resp, err)
	a := resp.(*kmsg.FetchResponse).Topics[0].Partitions[0]
	if a.ErrorCode != 0 {
		return kerr.ErrorForCode(a.ErrorCode).Error()
	}
	return strings.Join(w.values(a.RecordBatches), " ")
}

func (w *world) values(b []byte) (values []string) {
	w.t.Helper()
	for len(b) > 0 {
		one, rest, err := batch.Next(b)
		w.must(one, err)
		for r, err := range batch.Records(one, 1<<20) {
			w.must(r, err)
			values = append(values, string(r.Value))
		}
		b = rest
	}
	return values
}

// bounds are the start and the end of a log.
func (w *world) bounds(id kafka.NodeID, topic string, number int32) (start, end kafka.Offset, ok bool) {
	w.t.Helper()
	p := w.part(id, topic, number)
	if p.Role().Leads {
		start, _, _, end, err := p.Offsets()
		return start, end, err == nil
	}
	s, ok, err := p.FetchState()
	return s.LogStart, s.Offset, ok && err == nil
}

func (w *world) isr(topic string, number int32) []kafka.NodeID {
	p, _ := w.image().Partition(kafka.TopicPartition{Topic: topic, Partition: number})
	isr := slices.Clone(p.ISR)
	slices.Sort(isr)
	return isr
}

// until waits for a condition, at most a minute of the bubble's time; it returns how long that took.
func (w *world) until(what string, ok func() bool) time.Duration {
	w.t.Helper()
	begun := time.Now()
	for !ok() {
		if time.Since(begun) > time.Minute {
			w.t.Fatalf("not within a minute: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
	return time.Since(begun)
}

// same waits until the nodes serve the same values, and returns how long that took.
func (w *world) same(topic string, number int32, want string, ids ...kafka.NodeID) time.Duration {
	w.t.Helper()
	return w.until(fmt.Sprintf("%s-%d is %.40q on nodes %v", topic, number, want, ids), func() bool {
		for _, id := range ids {
			if w.read(id, topic, number) != want {
				return false
			}
		}
		return true
	})
}

// eligible has the controller keep eligible replicas.
func (w *world) eligible() {
	w.apply(&metadata.FeatureLevelRecord{Name: "eligible.leader.replicas.version", Level: 1})
}
