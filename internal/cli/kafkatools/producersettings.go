package kafkatools

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// producerSettings are the options and properties that the client has, too.
func (c *call) producerSettings(p props) ([]kgo.Opt, error) {
	l := c.line
	p.merge(l, map[string]string{
		"timeout": "linger.ms", "request-required-acks": "acks", "request-timeout-ms": "request.timeout.ms", "message-send-max-retries": "retries",
		"retry-backoff-ms": "retry.backoff.ms", "metadata-expiry-ms": "metadata.max.age.ms", "max-memory-bytes": "buffer.memory",
		"socket-buffer-size": "send.buffer.bytes", "max-block-ms": "max.block.ms", "batch-size": "batch.size",
	})
	p.merge(l, map[string]string{"max-partition-memory-bytes": "batch.size"})
	s := &settings{p: p}
	s.add(kgo.DefaultProduceTopic(l.text("topic")), kgo.AllowAutoTopicCreation(), kgo.RecordDeliveryTimeout(flushLimit))
	codec := "none"
	if l.has("compression-codec") {
		if codec = l.text("compression-codec"); codec == "" {
			codec = "gzip"
		}
	}
	compression, ok := map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}[codec]
	if !ok {
		return nil, configError("Invalid value %s for configuration compression.type: String must be one of: none, gzip, snappy, lz4, zstd", codec)
	}
	s.add(kgo.ProducerBatchCompression(compression))
	switch acks := p.or("acks", l.text("request-required-acks")); acks {
	case "all", "-1":
		s.add(kgo.RequiredAcks(kgo.AllISRAcks()))
		if p.or("enable.idempotence", "true") != "true" {
			s.add(kgo.DisableIdempotentWrite())
		}
	case "1":
		s.add(kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())
	case "0":
		s.add(kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite())
	default:
		return nil, configError("Invalid value %s for configuration acks: String must be one of: all, -1, 0, 1", acks)
	}
	s.producer(l)
	s.batches(c)
	return s.opts, s.err
}

// producer are those of a producer. The options that have a standard are the tool's.
func (s *settings) producer(l *parsed) {
	timed(s, "delivery.timeout.ms", time.Second, day, kgo.RecordDeliveryTimeout)
	sized(s, "retries", 0, 1<<31-1, kgo.RecordRetries)
	s.add(kgo.MaxBufferedBytes(int(max(s.number("buffer.memory", l.text("max-memory-bytes")), 1))))
	s.add(kgo.ProducerLinger(min(time.Duration(s.number("linger.ms", l.text("timeout")))*time.Millisecond, time.Minute)))
	if _, ok := s.p.get("request.timeout.ms"); ok {
		timed(s, "request.timeout.ms", 100*time.Millisecond, day, kgo.ProduceRequestTimeout)
	} else {
		s.add(kgo.ProduceRequestTimeout(time.Duration(l.num("request-timeout-ms")) * time.Millisecond))
	}
}

// batches is how large batches may get. The client has one limit for batches and for records: whoever sets that of records gets
// smaller batches.
func (s *settings) batches(c *call) {
	const least, most = 512, 1 << 30
	largest := s.number("max.request.size", "1048576")
	if _, ok := s.p.get("batch.size"); ok {
		if size := s.number("batch.size", ""); size >= largest {
			largest = size
		} else {
			c.log("WARN", producerLogger, "batch.size=%d has no effect in this tool below max.request.size=%d, to which batches grow", size, largest)
		}
	}
	s.add(kgo.ProducerBatchMaxBytes(int32(min(max(largest, least), most))))
}

const producerLogger = "org.apache.kafka.clients.producer.ProducerConfig"
