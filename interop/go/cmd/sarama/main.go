// Command sarama performs the suite's scenario with github.com/IBM/sarama.
package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"

	"github.com/headrace/headrace/interop/go/flights"
	"github.com/headrace/headrace/interop/go/play"
)

var codecs = map[string]sarama.CompressionCodec{
	"none":   sarama.CompressionNone,
	"gzip":   sarama.CompressionGZIP,
	"snappy": sarama.CompressionSnappy,
	"lz4":    sarama.CompressionLZ4,
	"zstd":   sarama.CompressionZSTD,
}

func main() {
	play.Main(client{play.Env()}, "none", "gzip", "snappy", "lz4", "zstd")
}

type client struct{ play.Settings }

func config() *sarama.Config {
	c := sarama.NewConfig()
	c.Version = sarama.MaxVersion
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Idempotent = true
	c.Net.MaxOpenRequests = 1 // what sarama asks for with idempotence
	c.Producer.Return.Successes = true
	c.Producer.Flush.Frequency = 5 * time.Millisecond
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.Offsets.AutoCommit.Enable = false
	c.Consumer.Group.Heartbeat.Interval = 500 * time.Millisecond
	c.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{sarama.NewBalanceStrategyRange()}
	return c
}

func (c client) CreateTopic(context.Context) error {
	adm, err := sarama.NewClusterAdmin([]string{c.Bootstrap}, config())
	if err != nil {
		return err
	}
	detail := &sarama.TopicDetail{NumPartitions: play.Partitions, ReplicationFactor: 1, ConfigEntries: map[string]*string{}}
	for name, value := range play.Config {
		detail.ConfigEntries[name] = &value
	}
	return errors.Join(adm.CreateTopic(c.Topic, detail, false), adm.Close())
}

func (c client) Produce(_ context.Context, codec string, rows []flights.Row) error {
	conf := config()
	conf.Producer.Compression = codecs[codec]
	producer, err := sarama.NewAsyncProducer([]string{c.Bootstrap}, conf)
	if err != nil {
		return err
	}
	go func() {
		for _, row := range rows {
			producer.Input() <- c.message(row)
		}
	}()
	for range rows {
		select {
		case <-producer.Successes():
		case err := <-producer.Errors():
			producer.AsyncClose()
			return err
		}
	}
	return producer.Close()
}

func (c client) message(row flights.Row) *sarama.ProducerMessage {
	m := &sarama.ProducerMessage{Topic: c.Topic, Timestamp: time.UnixMilli(row.Time)}
	// A nil encoder is a null, an encoder of nil bytes is not.
	if row.Key != nil {
		m.Key = sarama.ByteEncoder(row.Key)
	}
	if row.Value != nil {
		m.Value = sarama.ByteEncoder(row.Value)
	}
	for _, h := range row.Headers {
		m.Headers = append(m.Headers, sarama.RecordHeader{Key: []byte(h.Name), Value: h.Value})
	}
	return m
}

func (c client) Consume(ctx context.Context, m *play.Member) error {
	group, err := sarama.NewConsumerGroup([]string{c.Bootstrap}, c.Group, config())
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		if err := group.Consume(ctx, []string{c.Topic}, handler{c.Topic, m}); err != nil && ctx.Err() == nil {
			return errors.Join(err, group.Close())
		}
	}
	return group.Close()
}

// handler gets a goroutine for each claimed partition. Sarama does not say whether a commit succeeded, so none is
// reported to the event log.
type handler struct {
	topic string
	m     *play.Member
}

func (h handler) Setup(s sarama.ConsumerGroupSession) error {
	h.m.Assigned(s.Claims()[h.topic])
	return nil
}

func (h handler) Cleanup(s sarama.ConsumerGroupSession) error {
	s.Commit()
	h.m.Assigned(nil)
	return nil
}

func (h handler) ConsumeClaim(s sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for s.Context().Err() == nil {
		n, err := h.batch(s, claim)
		if err != nil {
			return err
		}
		if n > 0 {
			s.Commit()
			h.m.Batch(s.Context(), n)
		}
	}
	return nil
}

// batch takes what is at hand.
func (h handler) batch(s sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) (int, error) {
	idle := time.After(20 * time.Millisecond)
	for n := 0; n < 2000; n++ {
		select {
		case msg, ok := <-claim.Messages():
			if !ok {
				return n, nil
			}
			if msg.Topic != h.topic {
				return n, fmt.Errorf("record of topic %s", msg.Topic)
			}
			h.m.Record(msg.Partition, msg.Offset, row(msg))
			s.MarkMessage(msg, "")
		case <-idle:
			return n, nil
		case <-s.Context().Done():
			return n, nil
		}
	}
	return 2000, nil
}

func row(m *sarama.ConsumerMessage) flights.Row {
	row := flights.Row{Time: m.Timestamp.UnixMilli(), Key: m.Key, Value: m.Value}
	for _, h := range m.Headers {
		row.Headers = append(row.Headers, flights.Header{Name: string(h.Key), Value: h.Value})
	}
	return row
}
