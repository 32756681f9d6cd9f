package group

import (
	"bytes"
	"encoding/json"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/cli/target"
	"github.com/headrace/headrace/internal/cli/term"
)

func TestSecondsOfLagOfManyPartitionsTakeFewFetches(t *testing.T) {
	const partitions = 400
	c, err := kfake.NewCluster(kfake.NumBrokers(3), kfake.SeedTopics(partitions, "wide"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.DefaultProduceTopic("wide"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var all kadm.Offsets
	for p := range int32(partitions) {
		client.Produce(t.Context(), &kgo.Record{Partition: p, Value: []byte(strconv.Itoa(int(p)))}, nil)
		all.AddOffset("wide", p, 0, -1)
	}
	if err := client.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := kadm.NewClient(client).CommitAllOffsets(t.Context(), "g", all); err != nil {
		t.Fatal(err)
	}
	var fetches atomic.Int64
	c.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		fetches.Add(1)
		return nil, nil, false
	})

	var out, errs bytes.Buffer
	env := term.Env{Stdout: &out, Stderr: &errs, Getenv: func(string) string { return "" }}
	cmd := New(target.New(env), env)
	cmd.SetArgs([]string{"describe", "g", "-o", "json", "-b", c.ListenAddrs()[0]})
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	var got []described
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err, out.String())
	}
	known := 0
	for _, p := range got[0].Partitions {
		if p.Lag == 1 && p.LagSeconds >= 0 {
			known++
		}
	}
	if n := fetches.Load(); known != partitions || n > 60 {
		t.Errorf("%d of %d partitions are known after %d fetches", known, partitions, n)
	}
}
