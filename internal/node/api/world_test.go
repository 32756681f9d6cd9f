package api

import (
	"cmp"
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/conf"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/core/controller"
	"github.com/headrace/headrace/internal/core/metadata"
	"github.com/headrace/headrace/internal/node/partition"
	"github.com/headrace/headrace/internal/node/transport"
	"github.com/headrace/headrace/internal/storage/logdir"
)

// world is one node without a quorum: the controller machine's records are applied at once.
type world struct {
	t    testing.TB
	fs   vfs.FS
	set  *partition.Set
	srv  *Server
	img  atomic.Pointer[metadata.Image]
	ctl  *controller.Controller
	mu   sync.Mutex // one Submit at a time
	rnd  *rand.Rand
	auto bool
	// verifies is transaction.partition.verification.enable, for topics that are made from then on.
	verifies bool
	// throttle is leader.replication.throttled.rate, where it is not 0.
	throttle int64
}

const worldListener = "PLAINTEXT"

// anyConfig lets every configuration through.
type anyConfig struct{}

func (anyConfig) Check(*metadata.Image, metadata.ConfigResource, map[string]string, map[string]string) error {
	return nil
}
func (anyConfig) IsList(metadata.ConfigType, string) bool    { return false }
func (anyConfig) Default(metadata.ConfigType, string) string { return "" }
func (anyConfig) MinISR(*metadata.Image, string) int         { return 1 }
func (anyConfig) Unclean(*metadata.Image, string) bool       { return false }
func (anyConfig) Flushes(*metadata.Image, string) bool       { return true }
func (anyConfig) Effective(*metadata.Image, map[string]string) []kmsg.CreateTopicsResponseTopicConfig {
	return nil
}

func newWorld(t testing.TB) *world { return newWorldOn(t, vfs.NewMem(), "/data", 9092) }

func newWorldOn(t testing.TB, fs vfs.FS, dir string, port uint16) *world {
	t.Helper()
	w := &world{t: t, fs: fs, rnd: rand.New(rand.NewPCG(1, 2)), auto: true}
	log := slog.New(slog.DiscardHandler)
	d, err := logdir.Open(fs, dir, logdir.Meta{ClusterID: "cluster-of-the-test-00", NodeID: 1}, w.rnd, log)
	if err != nil {
		t.Fatal(err)
	}
	w.set, err = partition.NewSet(partition.Config{
		Node: 1, FS: fs, Dirs: []*logdir.Dir{d}, Log: log, Rand: rand.New(rand.NewPCG(3, 4)),
		Topic:              func(o map[string]string) conf.TopicConfig { return conf.TopicLog(o, conf.Layers{}) },
		VerifyTransactions: func() bool { return w.verifies },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.set.Abandon)
	w.ctl = controller.New(controller.Config{Rules: anyConfig{}})
	w.img.Store(metadata.New("cluster-of-the-test-00").WithController(1))
	w.srv = New(Config{
		NodeID: 1, Log: log, Controller: w, Metadata: w, Partitions: w.set,
		AutoCreate: w.create,
		Settings: func() Settings {
			s := defaultSettings()
			s.AutoCreateTopics = w.auto
			s.FetchSessions = 3
			s.Throttle.Leader = cmp.Or(w.throttle, s.Throttle.Leader)
			return s
		},
	})
	w.register(d.Meta().DirectoryID, port)
	return w
}

// register registers node 1, and unfences it.
func (w *world) register(dir kafka.TopicID, port uint16) {
	w.t.Helper()
	req := kmsg.NewPtrBrokerRegistrationRequest()
	req.Version, req.BrokerID, req.ClusterID, req.IncarnationID = 4, 1, w.Image().ClusterID(), [16]byte{9}
	req.LogDirs = [][16]byte{dir}
	l := kmsg.NewBrokerRegistrationRequestListener()
	l.Name, l.Host, l.Port = worldListener, "127.0.0.1", port
	req.Listeners = append(req.Listeners, l)
	reply, err := w.Submit(context.Background(), req)
	w.must(reply, err)
	epoch := reply.(*kmsg.BrokerRegistrationResponse).BrokerEpoch
	w.must(w.Submit(context.Background(), controller.FenceNode{ID: 1, Epoch: epoch}))
}

func (w *world) must(_ any, err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) Image() *metadata.Image { return w.img.Load() }

func (w *world) Submit(_ context.Context, req any) (any, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	img := w.Image()
	out := w.ctl.Step(time.Now(), w.rnd, img, req)
	if len(out.Records) > 0 {
		next, delta := img.Apply(out.Records, img.Offset()+kafka.Offset(len(out.Records)))
		w.img.Store(next)
		w.set.Apply(delta, next)
	}
	return out.Reply, out.Err
}

func (w *world) create(ctx context.Context, topics []string) map[string]error {
	for _, name := range topics {
		w.topic(name, 1, nil)
	}
	return nil
}

// topic creates a topic and returns its id.
func (w *world) topic(name string, partitions int32, configs map[string]string) kafka.TopicID {
	w.t.Helper()
	req := kmsg.NewPtrCreateTopicsRequest()
	rt := kmsg.NewCreateTopicsRequestTopic()
	rt.Topic, rt.NumPartitions, rt.ReplicationFactor = name, partitions, 1
	for k, v := range configs {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = k, &v
		rt.Configs = append(rt.Configs, c)
	}
	req.Topics = append(req.Topics, rt)
	w.must(w.Submit(context.Background(), req))
	t, ok := w.Image().Topic(name)
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
	w.must(w.Submit(context.Background(), req))
	if _, there := w.Image().Topic(name); there {
		w.t.Fatalf("topic %s was not deleted", name)
	}
}

// call passes a request through its bytes, the table and the answer's bytes, as a connection would. ok is false when the
// connection would be closed, or nothing is answered.
func (w *world) call(req kmsg.Request, version int16) (resp kmsg.Response, ok bool) {
	w.t.Helper()
	return w.callAs(transport.Client{ID: "test", Host: "127.0.0.1", Listener: worldListener}, req, version)
}

func (w *world) callAs(client transport.Client, req kmsg.Request, version int16) (kmsg.Response, bool) {
	w.t.Helper()
	return w.callWith(context.Background(), client, req, version)
}

func (w *world) callWith(ctx context.Context, client transport.Client, req kmsg.Request, version int16) (kmsg.Response, bool) {
	w.t.Helper()
	op, ok := w.srv.Lookup(req.Key(), version)
	if !ok {
		return nil, false
	}
	req.SetVersion(version)
	body := req.AppendTo(nil)
	if op.Weight != nil {
		if _, err := op.Weight(version, body); err != nil {
			w.t.Fatalf("weight: %v", err)
		}
	}
	decoded, err := op.Decode(version, body)
	if err != nil {
		w.t.Fatalf("decode: %v", err)
	}
	c := &Call{Client: client, Version: version, Request: decoded, Received: time.Now()}
	var r Response
	if op.Begin != nil {
		r = op.Begin(ctx, c).Finish(ctx)
	} else {
		r = op.Handle(ctx, c)
	}
	if _, hangup := r.(transport.Hangup); r == nil || hangup {
		return nil, false
	}
	resp := req.ResponseKind()
	resp.SetVersion(c.Version)
	b := r.AppendTo(nil)
	if s, streamed := r.(transport.Streamed); streamed {
		if s.Size() != len(b) {
			w.t.Fatalf("answer says %d bytes, has %d", s.Size(), len(b))
		}
		s.Release()
	}
	if err := resp.ReadFrom(b); err != nil {
		w.t.Fatalf("answer to key %d version %d cannot be read: %v", req.Key(), version, err)
	}
	if again := resp.AppendTo(nil); string(again) != string(b) {
		w.t.Fatalf("answer to key %d version %d is not as kmsg writes it:\n% x\n% x", req.Key(), version, b, again)
	}
	return resp, true
}

// ask is call for a request that must be answered.
func ask[R kmsg.Response](w *world, req kmsg.Request, version int16) R {
	w.t.Helper()
	resp, ok := w.call(req, version)
	if !ok {
		w.t.Fatalf("key %d version %d was not answered", req.Key(), version)
	}
	return resp.(R)
}

// records builds a batch of values.
func records(values ...string) []byte {
	return recordsOf(batch.BuilderConfig{ProducerID: -1, Epoch: -1, BaseSequence: -1}, values...)
}

func recordsOf(c batch.BuilderConfig, values ...string) []byte {
	b := batch.NewBuilder(c)
	for _, v := range values {
		b.Append(time.Now().UnixMilli(), []byte("k"), []byte(v), nil)
	}
	return b.Bytes(nil)
}

// produceRequest asks for one batch.
func produceRequest(topic string, id kafka.TopicID, number int32, acks int16, b []byte) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = acks, 5000
	t := kmsg.NewProduceRequestTopic()
	t.Topic, t.TopicID = topic, id
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = number, b
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

// later calls f after d; the test does not end before f has.
func (w *world) later(d time.Duration, f func()) {
	done := make(chan struct{})
	time.AfterFunc(d, func() {
		defer close(done)
		f()
	})
	w.t.Cleanup(func() { <-done })
}

// produce appends and wants success; it returns the base offset.
func (w *world) produce(topic string, number int32, values ...string) int64 {
	w.t.Helper()
	resp := ask[*kmsg.ProduceResponse](w, produceRequest(topic, kafka.TopicID{}, number, -1, records(values...)), 9)
	p := resp.Topics[0].Partitions[0]
	if p.ErrorCode != 0 {
		w.t.Fatalf("produce to %s: code %d", topic, p.ErrorCode)
	}
	return p.BaseOffset
}

// serve puts the world behind a real socket.
func (w *world) serve(l net.Listener) *transport.Server {
	srv := transport.New(transport.Config{
		Handler: w.srv, Log: slog.New(slog.DiscardHandler), Budget: transport.NewBudget(128 << 20),
	})
	srv.Serve(l, worldListener)
	w.t.Cleanup(srv.Close)
	return srv
}
