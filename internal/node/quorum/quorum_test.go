package quorum

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/core/controller"
	"github.com/headrace/headrace/internal/core/metadata"
)

const testDir = "/data/__cluster_metadata-0"

// anyConfig is ConfigRules that allow everything.
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

func testController() *controller.Controller {
	return controller.New(controller.Config{
		Rules:    anyConfig{},
		Features: map[string]int16{"metadata.version": 30, "transaction.version": 2},
	})
}

// published keeps what a Quorum published and checks that each Delta leads from one Image to the next.
type published struct {
	t   *testing.T
	mu  sync.Mutex
	img *metadata.Image
	n   int
}

func (p *published) publish(d *metadata.Delta, img *metadata.Image) {
	p.mu.Lock()
	defer p.mu.Unlock()
	was := p.img
	if was == nil {
		was = metadata.New("c1")
	}
	if want := img.Since(was); !sameDelta(d, want) {
		p.t.Errorf("publication %d: delta %+v, want %+v", p.n, d, want)
	}
	p.img = img
	p.n++
}

func sameDelta(a, b *metadata.Delta) bool {
	return slices.Equal(a.TopicsCreated, b.TopicsCreated) && slices.Equal(a.TopicsDeleted, b.TopicsDeleted) &&
		slices.Equal(a.PartitionsChanged, b.PartitionsChanged) && slices.Equal(a.ConfigsChanged, b.ConfigsChanged) &&
		slices.Equal(a.NodesChanged, b.NodesChanged) && slices.Equal(a.FeaturesChanged, b.FeaturesChanged) &&
		a.ControllerChanged == b.ControllerChanged
}

func testConfig(t *testing.T, fsys vfs.FS, log Log) Config {
	return Config{
		NodeID: 0, ClusterID: "c1", Log: log, FS: fsys, Dir: testDir, Rand: rand.New(rand.NewPCG(1, 2)),
		Logger: slog.New(slog.DiscardHandler), Controller: testController(), Publish: (&published{t: t}).publish,
	}
}

// start runs one voter over fsys, and stops it with the test.
func start(t *testing.T, fsys vfs.FS, change func(*Config)) *Quorum {
	t.Helper()
	log, err := openFileLog(fsys, testDir)
	if err != nil {
		t.Fatal(err)
	}
	cfg := testConfig(t, fsys, log)
	if change != nil {
		change(&cfg)
	}
	q, err := Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { q.Close() })
	select {
	case <-q.Ready():
	case <-q.Done():
		t.Fatalf("the quorum ended: %v", q.Err())
	}
	return q
}

func submit[R any](t *testing.T, q *Quorum, req any) R {
	t.Helper()
	reply, err := q.Submit(context.Background(), req)
	if err != nil {
		t.Fatalf("submit %T: %v", req, err)
	}
	return reply.(R)
}

func registration() *kmsg.BrokerRegistrationRequest {
	req := kmsg.NewPtrBrokerRegistrationRequest()
	req.Version, req.ClusterID, req.IncarnationID, req.LogDirs = 4, "c1", [16]byte{7}, [][16]byte{{9}}
	for name, level := range map[string]int16{"metadata.version": 30, "transaction.version": 2} {
		f := kmsg.NewBrokerRegistrationRequestFeature()
		f.Name, f.MaxSupportedVersion = name, level
		req.Features = append(req.Features, f)
	}
	l := kmsg.NewBrokerRegistrationRequestListener()
	l.Name, l.Host, l.Port = "PLAINTEXT", "localhost", 9092
	req.Listeners = append(req.Listeners, l)
	return req
}

// unfencing is the request that makes the node of a registration active.
func unfencing(registered any) controller.FenceNode {
	return controller.FenceNode{Epoch: registered.(*kmsg.BrokerRegistrationResponse).BrokerEpoch}
}

// register registers node 0, and unfences it.
func register(t *testing.T, q *Quorum) {
	t.Helper()
	submit[controller.FencedNode](t, q, unfencing(submit[any](t, q, registration())))
}

func allocateProducerIDs(epoch int64) *kmsg.AllocateProducerIDsRequest {
	req := kmsg.NewPtrAllocateProducerIDsRequest()
	req.BrokerEpoch = epoch
	return req
}

func createTopics(names ...string) *kmsg.CreateTopicsRequest {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version = 7
	for _, name := range names {
		topic := kmsg.NewCreateTopicsRequestTopic()
		topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, 3, 1
		config := kmsg.NewCreateTopicsRequestTopicConfig()
		config.Name, config.Value = "retention.ms", kmsg.StringPtr("1000")
		topic.Configs = append(topic.Configs, config)
		req.Topics = append(req.Topics, topic)
	}
	return req
}

func deleteTopic(name string) *kmsg.DeleteTopicsRequest {
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.Version = 6
	topic := kmsg.NewDeleteTopicsRequestTopic()
	topic.Topic = &name
	req.Topics = append(req.Topics, topic)
	return req
}

func mustCreate(t *testing.T, q *Quorum, names ...string) {
	t.Helper()
	for _, r := range submit[*kmsg.CreateTopicsResponse](t, q, createTopics(names...)).Topics {
		if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
			t.Fatalf("create %s: %v", r.Topic, err)
		}
	}
}

func TestOneVoterLeadsAtOnceAndKeepsWhatItAcknowledged(t *testing.T) {
	disk := vfs.NewMem()
	q := start(t, disk, nil)
	if got := q.Image().Features()["metadata.version"]; got != 30 {
		t.Fatalf("metadata.version %d in the first Image, want 30", got)
	}
	if got := q.Image().ControllerID(); got != 0 {
		t.Fatalf("controller %d, want 0", got)
	}
	register(t, q)
	mustCreate(t, q, "orders", "events")
	submit[*kmsg.DeleteTopicsResponse](t, q, deleteTopic("events"))
	ids := submit[*kmsg.AllocateProducerIDsResponse](t, q, allocateProducerIDs(q.Image().Nodes()[0].Epoch))
	if ids.ProducerIDStart != 0 || ids.ProducerIDLen != 1000 {
		t.Fatalf("producer ids %+v", ids)
	}
	before := q.Image()
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}

	again := start(t, disk, nil)
	after := again.Image()
	if !after.Since(before).Empty() || after.NextProducerID() != before.NextProducerID() {
		t.Fatalf("after a restart the Image differs: %+v", after.Since(before))
	}
	if after.Offset() <= before.Offset() {
		t.Fatalf("offset %d after a restart, was %d", after.Offset(), before.Offset())
	}
	if _, ok := after.Topic("orders"); !ok {
		t.Fatal("topic is gone")
	}
}

func TestSubmissionsAtOnceShareFlushesAndSeeOneAnother(t *testing.T) {
	disk := vfs.NewMem()
	flushes := 0
	q := start(t, disk, func(c *Config) { c.Log = countFlushes{c.Log, &flushes} })
	register(t, q)
	const workers, each = 64, 10
	created := make([]int, each)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := range each {
				reply, err := q.Submit(context.Background(), createTopics(fmt.Sprintf("t%d", i)))
				if err != nil {
					t.Error(err)
					return
				}
				r := reply.(*kmsg.CreateTopicsResponse).Topics[0]
				switch {
				case r.ErrorCode == 0:
					mu.Lock()
					created[i]++
					mu.Unlock()
				case r.ErrorCode != kerr.TopicAlreadyExists.Code:
					t.Errorf("code %d", r.ErrorCode)
				}
				if _, ok := q.Image().Topic(fmt.Sprintf("t%d", i)); !ok {
					t.Errorf("an answer came before the published Image had t%d", i)
				}
			}
		})
	}
	wg.Wait()
	for i, n := range created {
		if n != 1 {
			t.Errorf("t%d was created %d times", i, n)
		}
	}
	q.Close()
	if flushes > each+10 {
		t.Errorf("%d flushes", flushes)
	}
}

type countFlushes struct {
	Log
	n *int
}

func (c countFlushes) Flush() error {
	*c.n++
	return c.Log.Flush()
}

func TestFailedFlushIsNeverRetriedAndEndsTheQuorum(t *testing.T) {
	disk := vfs.NewMem()
	var log *fileLog
	q := start(t, disk, func(c *Config) { log = c.Log.(*fileLog) })
	register(t, q)
	q.Close()

	q = start(t, disk, func(c *Config) { log = c.Log.(*fileLog); log.flushErrAfter = log.flushes + 2 })
	_, err := q.Submit(context.Background(), createTopics("a"))
	if !errors.Is(err, errBrokenDisk) {
		t.Fatalf("submit: %v", err)
	}
	<-q.Done()
	if !errors.Is(q.Err(), errBrokenDisk) {
		t.Fatalf("err: %v", q.Err())
	}
	if _, err := q.Submit(context.Background(), createTopics("a")); !errors.Is(err, errBrokenDisk) {
		t.Fatalf("submit after the end: %v", err)
	}
	if log.flushes != log.flushErrAfter {
		t.Fatalf("%d flushes, the one numbered %d failed", log.flushes, log.flushErrAfter)
	}
}

func TestSnapshotsReplaceTheLogsPrefix(t *testing.T) {
	disk := vfs.NewMem()
	small := func(c *Config) { c.SnapshotBytes = 2000 }
	q := start(t, disk, small)
	register(t, q)
	for i := range 50 {
		mustCreate(t, q, fmt.Sprintf("topic.%d", i))
	}
	before := q.Image()
	q.Close()
	st, _, err := loadState(disk, testDir)
	if err != nil {
		t.Fatal(err)
	}
	if st.Raft.Snapshot.Index == 0 {
		t.Fatal("no snapshot was taken")
	}
	entries, _ := disk.ReadDir(testDir)
	found := 0
	for _, e := range entries {
		if _, _, ok := parseCheckpointName(e.Name()); ok {
			found++
		}
	}
	if found != 1 {
		t.Errorf("%d snapshots in the folder, want 1", found)
	}

	again := start(t, disk, small)
	if d := again.Image().Since(before); !d.Empty() {
		t.Fatalf("after a restart from a snapshot the Image differs: %+v", d)
	}
	mustCreate(t, again, "one.more")
}

func TestRefusesWhatIsNotItsOwn(t *testing.T) {
	disk := vfs.NewMem()
	start(t, disk, nil).Close()
	open := func(change func(*Config)) error {
		log, err := openFileLog(disk, testDir)
		if err != nil {
			t.Fatal(err)
		}
		cfg := testConfig(t, disk, log)
		change(&cfg)
		q, err := Start(cfg)
		if err == nil {
			q.Close()
		}
		return err
	}
	if err := open(func(c *Config) { c.ClusterID = "c2" }); err == nil {
		t.Error("another cluster's folder was taken")
	}
	if err := open(func(c *Config) { c.NodeID, c.Voters = 1, nil }); err == nil {
		t.Error("another node's folder was taken")
	}
	if err := disk.Remove(testDir + "/" + stateFile); err != nil {
		t.Fatal(err)
	}
	if err := open(func(*Config) {}); err == nil {
		t.Error("a log without quorum-state was taken")
	}
}

func TestSubmitEndsWithItsContextAndAfterClose(t *testing.T) {
	q := start(t, vfs.NewMem(), nil)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := q.Submit(ctx, registration()); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("submit: %v", err)
	}
	q.Close()
	if _, err := q.Submit(context.Background(), registration()); !errors.Is(err, kerr.NotController) {
		t.Errorf("submit after close: %v", err)
	}
}
