package headrace_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/headrace/headrace"
)

func start(t *testing.T, c headrace.Config) *headrace.Node {
	t.Helper()
	n, err := headrace.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

func client(t *testing.T, n *headrace.Node, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(n.Addresses()...), kgo.Dialer(n.Dial)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// roundTrip produces n records to topic and reads them in a consumer group.
func roundTrip(t *testing.T, node *headrace.Node, topic string, n int) {
	t.Helper()
	producer := client(t, node)
	for i := range n {
		r := &kgo.Record{Topic: topic, Value: fmt.Append(nil, i)}
		if err := producer.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	consumer := client(t, node, kgo.ConsumeTopics(topic), kgo.ConsumerGroup("readers"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	seen := map[string]bool{}
	for len(seen) < n {
		fetches := consumer.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) { seen[string(r.Value)] = true })
	}
	if err := consumer.CommitUncommittedOffsets(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestTheZeroConfigServesClientsOnAFreePort(t *testing.T) {
	t.Parallel()
	n := start(t, headrace.Config{Topics: map[string]int32{"orders": 3}})
	roundTrip(t, n, "orders", 20)
}

func TestNodesRunBesideEachOther(t *testing.T) {
	for i := range 8 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			n := start(t, headrace.Config{InProcess: i%2 == 0, Topics: map[string]int32{"orders": 1}})
			roundTrip(t, n, "orders", 5)
		})
	}
}

func TestInProcessOpensNoPort(t *testing.T) {
	n := start(t, headrace.Config{InProcess: true, Listen: "127.0.0.1:19092"})
	if got := n.Addresses(); len(got) != 1 || got[0] != "127.0.0.1:19092" {
		t.Errorf("clients are told %v", got)
	}
	if c, err := net.Dial("tcp", "127.0.0.1:19092"); err == nil {
		c.Close()
		t.Error("the machine's port 19092 is open")
	}
}

// A day passes at once: the records outlive retention in the bubble's time, and the group's session does not.
func TestABubbleHoldsANodeAndItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, err := headrace.Start(t.Context(), headrace.Config{InProcess: true, Topics: map[string]int32{"orders": 1}})
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		cl, err := kgo.NewClient(kgo.SeedBrokers(n.Addresses()...), kgo.Dialer(n.Dial), kgo.DefaultProduceTopic("orders"))
		if err != nil {
			t.Fatal(err)
		}
		defer cl.Close()
		admin := kadm.NewClient(cl)
		week := "604800000"
		alter := []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: &week}, {Op: kadm.SetConfig, Name: "segment.ms", Value: &week}}
		if _, err := admin.AlterTopicConfigs(t.Context(), alter, "orders"); err != nil {
			t.Fatal(err)
		}
		before := time.Now()
		if err := cl.ProduceSync(t.Context(), kgo.StringRecord("one")).FirstErr(); err != nil {
			t.Fatal(err)
		}
		start := func() int64 {
			offsets, err := admin.ListStartOffsets(t.Context(), "orders")
			if err != nil {
				t.Fatal(err)
			}
			o, _ := offsets.Lookup("orders", 0)
			return o.Offset
		}
		time.Sleep(6 * 24 * time.Hour) // fake time: this is the wait for a deadline, not for luck
		if got := start(); got != 0 {
			t.Errorf("after six days the log starts at %d", got)
		}
		time.Sleep(2 * 24 * time.Hour)
		if got := start(); got != 1 {
			t.Errorf("after eight days the log starts at %d: retention.ms is a week", got)
		}
		if since := time.Since(before); since < 8*24*time.Hour || since > 9*24*time.Hour {
			t.Errorf("%v passed", since)
		}
	})
}

func TestADirectoryKeepsItsRecords(t *testing.T) {
	dir := t.TempDir()
	for i := range 3 {
		n, err := headrace.Start(t.Context(), headrace.Config{Dir: dir, Topics: map[string]int32{"orders": 1}})
		if err != nil {
			t.Fatal(err)
		}
		cl := client(t, n, kgo.DefaultProduceTopic("orders"))
		rs := cl.ProduceSync(t.Context(), kgo.StringRecord("x"))
		if err := rs.FirstErr(); err != nil {
			t.Fatal(err)
		}
		if got := rs[0].Record.Offset; got != int64(i) {
			t.Errorf("start %d: the record got offset %d", i, got)
		}
		cl.Close()
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
		if err := n.Close(); err != nil {
			t.Errorf("closing twice: %v", err)
		}
	}
}

func TestAWrongConfigNamesTheFieldOrKey(t *testing.T) {
	for _, c := range []struct {
		config headrace.Config
		names  string
	}{
		{headrace.Config{Listen: "nowhere"}, "nowhere"},
		{headrace.Config{Properties: map[string]string{"log.retention.msec": "1"}}, "log.retention.ms"},
		{headrace.Config{Properties: map[string]string{"num.partitions": "none"}}, "num.partitions"},
		{headrace.Config{Properties: map[string]string{"log.dirs": "/tmp"}}, "Dir"},
		{headrace.Config{Topics: map[string]int32{"a/b": 1}}, "a/b"},
		{headrace.Config{Topics: map[string]int32{"a": -7}}, "a"},
	} {
		n, err := headrace.Start(t.Context(), c.config)
		if err == nil {
			n.Close()
			t.Errorf("%+v: started", c.config)
		} else if !strings.Contains(err.Error(), c.names) {
			t.Errorf("%+v: %q does not name %s", c.config, err, c.names)
		}
	}
}

func TestAPortInUseIsTold(t *testing.T) {
	first := start(t, headrace.Config{})
	n, err := headrace.Start(t.Context(), headrace.Config{Listen: first.Addresses()[0]})
	if err == nil {
		n.Close()
		t.Fatal("two nodes on one port")
	}
	if !strings.Contains(err.Error(), "in use") {
		t.Error(err)
	}
}

func TestNothingAnswersAfterClose(t *testing.T) {
	for _, inProcess := range []bool{false, true} {
		n, err := headrace.Start(t.Context(), headrace.Config{InProcess: inProcess})
		if err != nil {
			t.Fatal(err)
		}
		at := n.Addresses()[0]
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
		if c, err := n.Dial(context.Background(), "tcp", at); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("in process %t: dialled %v, %v", inProcess, c, err)
		}
	}
}

// BenchmarkStart is the time to a node in memory that serves, and back to nothing.
func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		n, err := headrace.Start(b.Context(), headrace.Config{})
		if err != nil {
			b.Fatal(err)
		}
		if err := n.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// Three nodes in one process, on a network in memory, are a cluster like any other.
func TestNodesInAProgramFormACluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := headrace.NewNetwork()
		var nodes []*headrace.Node
		for i := range 3 {
			c := headrace.Config{
				InProcess: true, Network: network, Listen: fmt.Sprintf("127.0.0.1:%d", 9092+i),
				Properties: map[string]string{"node.id": fmt.Sprint(i + 1)},
			}
			if i > 0 {
				c.Join = nodes[0].Addresses()
			}
			nodes = append(nodes, start(t, c))
		}
		last := nodes[2]
		admin := kadm.NewClient(clientOn(t, network, last))
		if _, err := admin.CreateTopic(t.Context(), 1, 3, nil, "replicated"); err != nil {
			t.Fatal(err)
		}
		r := &kgo.Record{Topic: "replicated", Value: []byte("x")}
		if err := clientOn(t, network, last).ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
		meta, err := admin.Metadata(t.Context(), "replicated")
		if err != nil || len(meta.Brokers) != 3 || len(meta.Topics["replicated"].Partitions[0].ISR) != 3 {
			t.Errorf("%+v, %v", meta, err)
		}
	})
}

func clientOn(t *testing.T, network *headrace.Network, n *headrace.Node) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(n.Addresses()...), kgo.Dialer(network.Dial))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}
