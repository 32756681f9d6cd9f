// Command franz-go performs the suite's scenario with github.com/twmb/franz-go.
package main

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/headrace/headrace/interop/go/flights"
	"github.com/headrace/headrace/interop/go/play"
)

var codecs = map[string]kgo.CompressionCodec{
	"none":   kgo.NoCompression(),
	"gzip":   kgo.GzipCompression(),
	"snappy": kgo.SnappyCompression(),
	"lz4":    kgo.Lz4Compression(),
	"zstd":   kgo.ZstdCompression(),
}

func main() {
	play.Main(client{play.Env()}, "none", "gzip", "snappy", "lz4", "zstd")
}

type client struct{ play.Settings }

func (c client) CreateTopic(ctx context.Context) error {
	k, err := kgo.NewClient(kgo.SeedBrokers(c.Bootstrap))
	if err != nil {
		return err
	}
	defer k.Close()
	configs := map[string]*string{}
	for name, value := range play.Config {
		configs[name] = &value
	}
	_, err = kadm.NewClient(k).CreateTopic(ctx, play.Partitions, 1, configs, c.Topic)
	return err
}

func (c client) Produce(ctx context.Context, codec string, rows []flights.Row) error {
	k, err := kgo.NewClient(kgo.SeedBrokers(c.Bootstrap), kgo.DefaultProduceTopic(c.Topic),
		kgo.ProducerBatchCompression(codecs[codec]), kgo.ProducerLinger(5*time.Millisecond))
	if err != nil {
		return err
	}
	defer k.Close()
	var first kgo.FirstErrPromise
	for _, row := range rows {
		k.Produce(ctx, record(row), first.Promise())
	}
	return errors.Join(k.Flush(ctx), first.Err())
}

func record(row flights.Row) *kgo.Record {
	r := &kgo.Record{Key: row.Key, Value: row.Value, Timestamp: time.UnixMilli(row.Time)}
	for _, h := range row.Headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Name, Value: h.Value})
	}
	return r
}

func (c client) Consume(ctx context.Context, m *play.Member) error {
	// The callbacks are never concurrent with each other.
	owned := map[int32]bool{}
	drop := func(_ context.Context, _ *kgo.Client, lost map[string][]int32) {
		for _, p := range lost[c.Topic] {
			delete(owned, p)
		}
		report(m, owned)
	}
	k, err := kgo.NewClient(kgo.SeedBrokers(c.Bootstrap), kgo.ConsumerGroup(c.Group), kgo.ConsumeTopics(c.Topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(),
		kgo.HeartbeatInterval(500*time.Millisecond), kgo.MetadataMinAge(100*time.Millisecond),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, gained map[string][]int32) {
			for _, p := range gained[c.Topic] {
				owned[p] = true
			}
			report(m, owned)
		}),
		kgo.OnPartitionsRevoked(drop), kgo.OnPartitionsLost(drop))
	if err != nil {
		return err
	}
	defer k.CloseAllowingRebalance()
	for ctx.Err() == nil {
		if err := c.poll(ctx, k, m); err != nil {
			return err
		}
	}
	return nil
}

func (c client) poll(ctx context.Context, k *kgo.Client, m *play.Member) error {
	defer k.AllowRebalance()
	fetches := k.PollRecords(ctx, 5000)
	for _, e := range fetches.Errors() {
		if ctx.Err() == nil {
			return e.Err
		}
	}
	n := 0
	next := map[int32]int64{}
	fetches.EachRecord(func(r *kgo.Record) {
		m.Record(r.Partition, r.Offset, row(r))
		next[r.Partition] = r.Offset + 1
		n++
	})
	if n == 0 {
		return nil
	}
	if err := k.CommitUncommittedOffsets(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	for p, offset := range next {
		m.Committed(p, offset)
	}
	m.Batch(ctx, n)
	return nil
}

func report(m *play.Member, owned map[int32]bool) {
	var partitions []int32
	for p := range maps.Keys(owned) {
		partitions = append(partitions, p)
	}
	m.Assigned(partitions)
}

func row(r *kgo.Record) flights.Row {
	row := flights.Row{Time: r.Timestamp.UnixMilli(), Key: r.Key, Value: r.Value}
	for _, h := range r.Headers {
		row.Headers = append(row.Headers, flights.Header{Name: h.Key, Value: h.Value})
	}
	return row
}
