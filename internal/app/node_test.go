package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/headrace/headrace/internal/base/conf"
	"github.com/headrace/headrace/internal/base/vfs"
)

// world is a node on a disk in memory, reached over loopback.
type world struct {
	t      *testing.T
	env    Env
	keys   map[string]string
	node   *Node
	client *kgo.Client
	admin  *kadm.Client
	ctx    context.Context
}

func newWorld(t *testing.T, fs vfs.FS, keys map[string]string) *world {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	w := &world{t: t, ctx: ctx, env: OSEnv()}
	w.env.FS = fs
	w.env.Stdout, w.env.Stderr = io.Discard, io.Discard
	w.keys = map[string]string{
		"node.id": "1", "listeners": "PLAINTEXT://127.0.0.1:0", "log.dirs": "/data",
		"offsets.topic.num.partitions": "5", "group.initial.rebalance.delay.ms": "0",
	}
	for k, v := range keys {
		w.keys[k] = v
	}
	return w
}

func (w *world) start(opts ...kgo.Opt) {
	w.t.Helper()
	static, err := conf.NewStatic(w.keys)
	if err != nil {
		w.t.Fatal(err)
	}
	cfg, err := conf.NewNode(conf.Layers{Static: static})
	if err != nil {
		w.t.Fatal(err)
	}
	if w.node, err = Start(w.ctx, Options{Config: cfg, Static: static, Env: w.env, Log: slog.New(slog.DiscardHandler)}); err != nil {
		w.t.Fatal(err)
	}
	w.client, err = kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(w.node.Addresses()...), kgo.MetadataMinAge(10 * time.Millisecond)}, opts...)...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.admin = kadm.NewClient(w.client)
	w.t.Cleanup(func() { w.client.Close() })
}

func (w *world) stop() {
	w.t.Helper()
	w.client.Close()
	if err := w.node.Close(time.Now()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) create(topic string, configs map[string]*string) {
	w.t.Helper()
	if _, err := w.admin.CreateTopic(w.ctx, 3, 1, configs, topic); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) produce(topic string, values ...string) {
	w.t.Helper()
	var rs []*kgo.Record
	for _, v := range values {
		rs = append(rs, &kgo.Record{Topic: topic, Key: []byte(v), Value: []byte(v)})
	}
	if err := w.client.ProduceSync(w.ctx, rs...).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
}

// consume reads n records of a topic in a group and commits them.
func (w *world) consume(group, topic string, n int) map[string]bool {
	w.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(w.node.Addresses()...), kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit())
	if err != nil {
		w.t.Fatal(err)
	}
	defer cl.Close()
	got := map[string]bool{}
	for len(got) < n {
		fetches := cl.PollFetches(w.ctx)
		if err := fetches.Err(); err != nil {
			w.t.Fatalf("after %d of %d records: %v", len(got), n, err)
		}
		fetches.EachRecord(func(r *kgo.Record) { got[string(r.Value)] = true })
	}
	if err := cl.CommitUncommittedOffsets(w.ctx); err != nil {
		w.t.Fatal(err)
	}
	return got
}

func values(from, to int) []string {
	var vs []string
	for i := from; i < to; i++ {
		vs = append(vs, fmt.Sprintf("v%04d", i))
	}
	return vs
}

func TestRecordsOffsetsAndConfigsOutliveAStop(t *testing.T) {
	w := newWorld(t, vfs.NewMem(), nil)
	w.start()
	retention := "3600000"
	w.create("orders", map[string]*string{"retention.ms": &retention})
	w.produce("orders", values(0, 100)...)
	w.consume("billing", "orders", 100)
	w.stop()

	w.start()
	w.produce("orders", values(100, 150)...)
	got := w.consume("billing", "orders", 50)
	for _, v := range values(0, 100) {
		if got[v] {
			t.Fatalf("%s was read again although it was committed", v)
		}
	}
	described, err := w.admin.DescribeTopicConfigs(w.ctx, "orders")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range described[0].Configs {
		if c.Key == "retention.ms" && (c.MaybeValue() != retention || c.Source.String() != "DYNAMIC_TOPIC_CONFIG") {
			t.Errorf("retention.ms is %s of %s", c.MaybeValue(), c.Source)
		}
	}
	w.stop()
}

func TestAPowerCutKeepsWhatWasAcknowledged(t *testing.T) {
	disk := vfs.NewMem()
	w := newWorld(t, disk, nil)
	w.start()
	w.create("orders", nil)
	w.produce("orders", values(0, 200)...)
	w.consume("billing", "orders", 200)
	cut := disk.CrashClone(nil)
	w.stop()

	after := newWorld(t, cut, nil)
	after.start()
	after.produce("orders", "last")
	if got := after.consume("billing", "orders", 1); !got["last"] {
		t.Errorf("the group did not go on where it had committed: %v", got)
	}
	if got := after.consume("audit", "orders", 201); len(got) != 201 {
		t.Errorf("%d records of 201", len(got))
	}
	after.stop()
}

func TestAFailedFlushTakesTheDirOfflineAndReadsGoOn(t *testing.T) {
	var broken atomic.Bool
	disk := vfs.NewFaulty(vfs.NewMem(), func(op vfs.Op) error {
		if broken.Load() && op.Kind == vfs.OpSync && strings.Contains(op.Path, "orders-") {
			return syscall.EIO
		}
		return nil
	})
	w := newWorld(t, disk, nil)
	w.start(kgo.RecordRetries(0), kgo.DisableIdempotentWrite())
	w.create("orders", nil)
	w.produce("orders", values(0, 50)...)
	broken.Store(true)
	err := w.client.ProduceSync(w.ctx, &kgo.Record{Topic: "orders", Value: []byte("never acknowledged")}).FirstErr()
	if err == nil {
		t.Fatal("a record was acknowledged whose flush failed")
	}
	broken.Store(false)
	err = w.client.ProduceSync(w.ctx, &kgo.Record{Topic: "orders", Value: []byte("too late")}).FirstErr()
	if !errors.Is(err, kerr.KafkaStorageError) && !errors.Is(err, kgo.ErrRecordRetries) {
		t.Errorf("after the disk failed: %v, want KAFKA_STORAGE_ERROR", err)
	}
	got := w.read("orders", 50)
	if len(got) != 50 || got["never acknowledged"] {
		t.Errorf("%d records can be read of 50 that were flushed", len(got))
	}
	_ = w.node.Close(time.Now()) // its dir is offline, so it cannot be a clean stop
}

// read reads n records without a group.
func (w *world) read(topic string, n int) map[string]bool {
	w.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(w.node.Addresses()...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		w.t.Fatal(err)
	}
	defer cl.Close()
	got := map[string]bool{}
	for len(got) < n {
		fetches := cl.PollFetches(w.ctx)
		if err := fetches.Err(); err != nil {
			w.t.Fatalf("after %d of %d records: %v", len(got), n, err)
		}
		fetches.EachRecord(func(r *kgo.Record) { got[string(r.Value)] = true })
	}
	return got
}

func TestABrokerConfigSetWhileRunningCounts(t *testing.T) {
	w := newWorld(t, vfs.NewMem(), nil)
	w.start(kgo.ProducerBatchCompression(kgo.NoCompression()))
	w.create("orders", nil)
	big := &kgo.Record{Topic: "orders", Value: make([]byte, 5000)}
	if err := w.client.ProduceSync(w.ctx, big).FirstErr(); err != nil {
		t.Fatal(err)
	}
	limit := "2000"
	altered, err := w.admin.AlterBrokerConfigs(w.ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "message.max.bytes", Value: &limit}})
	if err != nil || altered[0].Err != nil {
		t.Fatal(err, altered)
	}
	err = w.client.ProduceSync(w.ctx, &kgo.Record{Topic: "orders", Value: make([]byte, 5000)}).FirstErr()
	if !errors.Is(err, kerr.MessageTooLarge) {
		t.Errorf("a batch above message.max.bytes: %v, want MESSAGE_TOO_LARGE", err)
	}
	w.stop()
}

func TestTopicsCannotBeDeletedWhereThatIsDisabled(t *testing.T) {
	w := newWorld(t, vfs.NewMem(), map[string]string{"delete.topic.enable": "false"})
	w.start()
	w.create("orders", nil)
	if _, err := w.admin.DeleteTopic(w.ctx, "orders"); !errors.Is(err, kerr.TopicDeletionDisabled) {
		t.Errorf("delete: %v, want TOPIC_DELETION_DISABLED", err)
	}
	w.produce("orders", "still there")
	w.stop()
}

func TestAPortInUseIsFoundBeforeTheDiskIsTouched(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	disk := vfs.NewMem()
	w := newWorld(t, disk, map[string]string{"listeners": "PLAINTEXT://" + l.Addr().String()})
	static, err := conf.NewStatic(w.keys)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := conf.NewNode(conf.Layers{Static: static})
	if err != nil {
		t.Fatal(err)
	}
	_, err = Start(w.ctx, Options{Config: cfg, Static: static, Env: w.env, Log: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.Contains(err.Error(), "is in use") {
		t.Errorf("start on a port in use: %v", err)
	}
	if _, err := disk.Stat("/data"); err == nil {
		t.Error("the data directory was made all the same")
	}
}
