// Command kafka-go performs the suite's scenario with github.com/segmentio/kafka-go.
package main

import (
	"context"
	"errors"
	"log"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/headrace/headrace/interop/go/flights"
	"github.com/headrace/headrace/interop/go/play"
)

var codecs = map[string]kafka.Compression{
	"none":   0,
	"gzip":   kafka.Gzip,
	"snappy": kafka.Snappy,
	"lz4":    kafka.Lz4,
	"zstd":   kafka.Zstd,
}

func main() {
	play.Main(client{play.Env()}, "none", "gzip", "snappy", "lz4", "zstd")
}

type client struct{ play.Settings }

func (c client) CreateTopic(ctx context.Context) error {
	topic := kafka.TopicConfig{Topic: c.Topic, NumPartitions: play.Partitions, ReplicationFactor: 1}
	for name, value := range play.Config {
		topic.ConfigEntries = append(topic.ConfigEntries, kafka.ConfigEntry{ConfigName: name, ConfigValue: value})
	}
	admin := &kafka.Client{Addr: kafka.TCP(c.Bootstrap)}
	answer, err := admin.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{topic}})
	if err != nil {
		return err
	}
	return answer.Errors[c.Topic]
}

func (c client) Produce(ctx context.Context, codec string, rows []flights.Row) error {
	w := &kafka.Writer{
		Addr: kafka.TCP(c.Bootstrap), Topic: c.Topic, Balancer: &kafka.Murmur2Balancer{},
		RequiredAcks: kafka.RequireAll, Compression: codecs[codec],
		BatchSize: 5000, BatchTimeout: 5 * time.Millisecond,
	}
	messages := make([]kafka.Message, 0, len(rows))
	for _, row := range rows {
		m := kafka.Message{Key: row.Key, Value: row.Value, Time: time.UnixMilli(row.Time)}
		for _, h := range row.Headers {
			m.Headers = append(m.Headers, kafka.Header{Key: h.Name, Value: h.Value})
		}
		messages = append(messages, m)
	}
	return errors.Join(w.WriteMessages(ctx, messages...), w.Close())
}

// Consume uses the group and partition readers that kafka-go's own group reader is made of, since that one does not say
// which partitions it owns.
func (c client) Consume(ctx context.Context, m *play.Member) error {
	group, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID: c.Group, Brokers: []string{c.Bootstrap}, Topics: []string{c.Topic},
		HeartbeatInterval: 500 * time.Millisecond, StartOffset: kafka.FirstOffset,
	})
	if err != nil {
		return err
	}
	for {
		generation, err := group.Next(ctx)
		if ctx.Err() != nil {
			return group.Close()
		}
		var code kafka.Error
		if errors.As(err, &code) && code.Temporary() {
			// The coordinator is not there yet, or a rebalance is under way. The package's own Reader asks again as well.
			log.Printf("member %s: %v", m.Name, err)
			time.Sleep(100 * time.Millisecond)
			continue
		}
		if err != nil {
			return errors.Join(err, group.Close())
		}
		if err := c.generation(ctx, generation, m); err != nil {
			return errors.Join(err, group.Close())
		}
	}
}

// generation consumes the partitions of one generation until it ends or ctx does.
func (c client) generation(ctx context.Context, g *kafka.Generation, m *play.Member) error {
	var owned []int32
	for _, a := range g.Assignments[c.Topic] {
		owned = append(owned, int32(a.ID))
	}
	m.Assigned(owned)
	var wg sync.WaitGroup
	errs := make([]error, len(g.Assignments[c.Topic]))
	for i, a := range g.Assignments[c.Topic] {
		wg.Add(1)
		g.Start(func(generation context.Context) {
			defer wg.Done()
			both, cancel := context.WithCancel(generation)
			defer cancel()
			defer context.AfterFunc(ctx, cancel)()
			errs[i] = c.partition(both, g, a, m)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (c client) partition(ctx context.Context, g *kafka.Generation, a kafka.PartitionAssignment, m *play.Member) error {
	r := kafka.NewReader(kafka.ReaderConfig{
		Brokers: []string{c.Bootstrap}, Topic: c.Topic, Partition: a.ID,
		MinBytes: 1, MaxBytes: 4 << 20, MaxWait: 100 * time.Millisecond, QueueCapacity: 5000,
	})
	defer r.Close()
	if err := r.SetOffset(a.Offset); err != nil {
		return err
	}
	for ctx.Err() == nil {
		n, next, err := batch(ctx, r, m)
		if err != nil {
			return err
		}
		if n == 0 {
			continue
		}
		// A commit is refused when the generation is over; the next owner is then given these records again.
		if err := g.CommitOffsets(map[string]map[int]int64{c.Topic: {a.ID: next}}); err == nil {
			m.Committed(int32(a.ID), next)
		}
		m.Batch(ctx, n)
	}
	return nil
}

// batch takes what is at hand.
func batch(ctx context.Context, r *kafka.Reader, m *play.Member) (n int, next int64, err error) {
	idle, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	for n < 2000 {
		msg, err := r.ReadMessage(idle)
		if idle.Err() != nil && err != nil {
			return n, next, nil
		}
		if err != nil {
			return n, next, err
		}
		m.Record(int32(msg.Partition), msg.Offset, row(msg))
		n, next = n+1, msg.Offset+1
	}
	return n, next, nil
}

func row(m kafka.Message) flights.Row {
	row := flights.Row{Time: m.Time.UnixMilli(), Key: m.Key, Value: m.Value}
	for _, h := range m.Headers {
		row.Headers = append(row.Headers, flights.Header{Name: h.Key, Value: h.Value})
	}
	return row
}
