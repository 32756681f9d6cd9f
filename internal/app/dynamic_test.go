package app

import (
	"errors"
	"net"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/conf"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/core/group/consumer"
	"github.com/headrace/headrace/internal/core/group/share"
	"github.com/headrace/headrace/internal/core/group/streams"
)

// Another value than the default of each key that can change while a node runs, and gives the default of a topic key, is a group's, or
// bounds compaction or moves between log dirs, which read their bounds anew before each piece of work.
var otherValue = map[string]string{
	"compression.gzip.level": "5", "compression.lz4.level": "5", "compression.type": "zstd", "compression.zstd.level": "5",
	"group.consumer.assignment.interval.ms": "5", "group.streams.assignment.interval.ms": "5", "group.share.assignment.interval.ms": "5",
	"durability": "os", "log.cleaner.delete.retention.ms": "5", "log.cleaner.max.compaction.lag.ms": "5",
	"log.cleaner.backoff.ms": "5", "log.cleaner.dedupe.buffer.size": "5000000", "log.cleaner.io.buffer.load.factor": "0.5",
	"log.cleaner.io.buffer.size": "5000", "log.cleaner.io.max.bytes.per.second": "5.0", "log.cleaner.threads": "3",
	"log.cleaner.min.cleanable.ratio": "0.25", "log.cleaner.min.compaction.lag.ms": "5", "log.cleanup.policy": "compact",
	"log.flush.interval.messages": "5", "log.flush.interval.ms": "5", "log.index.interval.bytes": "5", "log.index.size.max.bytes": "5",
	"log.message.timestamp.after.max.ms": "5", "log.message.timestamp.before.max.ms": "5", "log.message.timestamp.type": "LogAppendTime",
	"log.preallocate": "true", "log.retention.bytes": "5", "log.retention.ms": "5", "log.roll.jitter.ms": "5", "log.roll.ms": "5",
	"log.segment.bytes": "5000000", "log.segment.delete.delay.ms": "5", "message.max.bytes": "5", "min.insync.replicas": "5",
	"replica.alter.log.dirs.io.max.bytes.per.second": "5",
	"unclean.leader.election.enable":                 "true",
}

// elsewhere are the dynamic keys that give no topic key's default, with the test that shows their effect.
var elsewhere = []string{
	"follower.replication.throttled.rate",       // TestAThrottledReplicaCatchesUpAtItsRate of internal/cluster
	"leader.replication.throttled.rate",         // the same
	"cordoned.log.dirs",                         // TestFencedNodesOnlyFillUpAndCordonedNodesAreLeftOut of core/controller
	"max.connections",                           // TestALimitOnConnectionsCanBeSetWhileTheNodeRuns
	"max.connections.per.ip",                    // the same
	"producer.id.expiration.ms",                 // TestProducersExpireByTheNewTime
	"transaction.partition.verification.enable", // TestWithoutVerificationOnlyThoseThatDoNotTellAreAsked of internal/node/api
}

func set(key, value string) []kadm.AlterConfig {
	return []kadm.AlterConfig{{Op: kadm.SetConfig, Name: key, Value: &value}}
}

// Every key that DescribeConfigs calls dynamic changes what the node works with, in the moment in which it is set.
func TestEveryDynamicKeyCountsAtOnce(t *testing.T) {
	w := newWorld(t, vfs.NewMem(), nil)
	w.start()
	w.create("orders", nil)
	described, err := w.admin.DescribeBrokerConfigs(w.ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	type inForce struct {
		topic   conf.TopicConfig
		cleaner conf.CleanerConfig
		moves   float64
		groups  consumer.Config
		streams streams.Config
		shares  share.Config
	}
	effective := func() inForce {
		now := w.node.current.Load()
		return inForce{conf.TopicLog(nil, w.node.layers(w.node.image.Load())), now.Cleaner, now.Replicas.MoveBytesPerSecond, w.node.consumerGroup("g"), w.node.streamsGroup("g"), w.node.shareGroup("g")}
	}
	for _, c := range described[0].Configs {
		if d, _ := conf.Lookup(conf.ScopeBroker, c.Key); d.Update == conf.ReadOnly || slices.Contains(elsewhere, c.Key) {
			continue
		}
		value := otherValue[c.Key]
		if value == "" {
			t.Errorf("%s is dynamic, and no test shows what it does", c.Key)
			continue
		}
		before := effective()
		brokers := []int32{1}
		if c.Key == "min.insync.replicas" {
			brokers = nil // it cannot differ between nodes
		}
		altered, err := w.admin.AlterBrokerConfigs(w.ctx, set(c.Key, value), brokers...)
		if err != nil || altered[0].Err != nil {
			t.Fatalf("%s: %v %v", c.Key, err, altered)
		}
		unchanged, inert := reflect.DeepEqual(effective(), before), strings.HasPrefix(c.Key, "log.flush.interval.")
		if unchanged != inert {
			t.Errorf("%s=%s: the node works as before: %v, and it is not acted on: %v", c.Key, value, unchanged, inert)
		}
	}
	w.stop()
}

func TestALimitOnConnectionsCanBeSetWhileTheNodeRuns(t *testing.T) {
	for _, key := range []string{"max.connections", "max.connections.per.ip"} {
		w := newWorld(t, vfs.NewMem(), nil)
		w.start()
		altered, err := w.admin.AlterBrokerConfigs(w.ctx, set(key, "1"))
		if err != nil || altered[0].Err != nil {
			t.Fatal(err, altered)
		}
		c, err := net.Dial("tcp", w.node.Addresses()[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "timeout") {
			t.Errorf("%s=1: a second connection stays open: %v", key, err)
		}
		c.Close()
		w.stop()
	}
}

func TestNothingMovesToACordonedLogDir(t *testing.T) {
	w := newWorld(t, vfs.NewMem(), nil)
	w.start()
	w.create("orders", nil)
	altered, err := w.admin.AlterBrokerConfigs(w.ctx, set("cordoned.log.dirs", "*"), 1)
	if err != nil || altered[0].Err != nil {
		t.Fatal(err, altered)
	}
	dirs, err := w.admin.DescribeBrokerLogDirs(w.ctx, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	dirs.Each(func(d kadm.DescribedLogDir) {
		for dir, want := range map[string]error{d.Dir: kerr.InvalidReplicaAssignment, d.Dir + "/not": kerr.LogDirNotFound} {
			var req kadm.AlterReplicaLogDirsReq
			req.Add(dir, kadm.TopicsSet{"orders": {0: {}}})
			resp, err := w.admin.AlterBrokerReplicaLogDirs(w.ctx, 1, req)
			if err != nil || !errors.Is(resp["orders"][0].Err, want) {
				t.Errorf("to %s: %v, %v; want %v", dir, err, resp, want)
			}
		}
	})
	w.stop()
}

func TestProducersExpireByTheNewTime(t *testing.T) {
	w := newWorld(t, vfs.NewMem(), map[string]string{"log.retention.check.interval.ms": "5"})
	w.start()
	w.create("orders", nil)
	w.produce("orders", values(0, 30)...)
	producers := func() (n int) {
		described, err := w.admin.DescribeProducers(w.ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		described.EachPartition(func(p kadm.DescribedProducersPartition) { n += len(p.ActiveProducers) })
		return n
	}
	if producers() == 0 {
		t.Fatal("no producer is known")
	}
	altered, err := w.admin.AlterBrokerConfigs(w.ctx, set("producer.id.expiration.ms", "1"))
	if err != nil || altered[0].Err != nil {
		t.Fatal(err, altered)
	}
	for producers() > 0 {
		if w.ctx.Err() != nil {
			t.Fatal("the producer is never forgotten")
		}
	}
	w.stop()
}
