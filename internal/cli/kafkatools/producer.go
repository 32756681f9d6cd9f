package kafkatools

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func runProducer(c *call) error {
	c.producerOptions()
	if err := c.begin(); err != nil {
		return usage("%s", asFailure(err).text)
	}
	if err := c.aboutItself("This tool helps to read data from standard input and publish it to Kafka."); err != nil {
		return err
	}
	if err := c.checkProducerOptions(); err != nil {
		return err
	}
	err := c.produceLines()
	var use *usageError
	var code ended
	if err == nil || errors.As(err, &use) || errors.As(err, &code) || c.ctx.Err() != nil {
		return err
	}
	f := asFailure(err)
	if strings.HasPrefix(f.class, "joptsimple.") {
		c.complain(f.text)
	} else {
		c.complain(f.named())
	}
	return ended(1)
}

func (c *call) producerOptions() {
	p := &c.p
	p.value("topic", "topic", "REQUIRED: the topic.")
	p.value("bootstrap-server", "server to connect to", "REQUIRED: nodes to ask first, host:port separated by commas.")
	p.flag("sync", "Wait for each record's answer before the next is sent.")
	p.maybe("compression-codec", "compression-codec", "none, gzip, snappy, lz4 or zstd; gzip if no codec is named.")
	p.value("batch-size", "size", "How large batches become, in bytes.").int32().or("16384")
	p.value("message-send-max-retries", "", "How often a batch is sent again.").int32().or("3")
	p.value("retry-backoff-ms", "", "The pause before a batch is sent again.").int64().or("100")
	p.value("timeout", "timeout_ms", "How long a record may wait for others (linger.ms).").int64().or("1000")
	p.value("request-required-acks", "request required acks", "Which replicas must have a record before it counts as sent.").or("-1")
	p.value("request-timeout-ms", "request timeout ms", "How long nodes may take to acknowledge.").int32().or("1500")
	p.value("metadata-expiry-ms", "metadata expiration interval", "How old the knowledge of leaders may get.").int64().or("300000")
	p.value("max-block-ms", "max block on send", "How long a record may wait to be taken.").int64().or("60000")
	p.value("max-memory-bytes", "total memory in bytes", "How many bytes may wait to be sent.").int64().or("33554432")
	p.value("max-partition-memory-bytes", "memory in bytes per partition", "The old name of --batch-size.").int32().or("16384")
	p.value("line-reader", "reader_class", "What reads the lines.").or(lineReader)
	p.value("socket-buffer-size", "size", "The size of the socket's buffer.").int32().or("102400")
	p.value("property", "prop", "The old name of --reader-property.").many()
	p.value("reader-property", "prop", "How lines are read: parse.key, key.separator, parse.headers, headers.delimiter, headers.separator, headers.key.separator, ignore.error, null.marker.").many()
	p.value("reader-config", "config file", "A file of such properties.")
	p.value("producer-property", "producer_prop", "The old name of --command-property.").many()
	p.value("command-property", "producer_prop", "A property of the producer.").many()
	p.value("producer.config", "config file", "The old name of --command-config.")
	p.value("command-config", "config file", "A file of the producer's properties.")
}

const lineReader = "org.apache.kafka.tools.LineMessageReader"

func (c *call) checkProducerOptions() error {
	l := c.line
	if err := l.need("topic"); err != nil {
		return err
	}
	for _, pair := range [][2]string{{"command-config", "producer.config"}, {"command-property", "producer-property"}, {"reader-property", "property"}} {
		if l.count(pair[0], pair[1]) == 2 {
			return usage("Options --%s and --%s cannot be specified together.", pair[0], pair[1])
		}
	}
	for _, pair := range [][2]string{{"producer-property", "command-property"}, {"producer.config", "command-config"}, {"property", "reader-property"}} {
		if l.has(pair[0]) {
			c.printf("Warning: --%s is deprecated and will be removed in a future version. Use --%s instead.\n", pair[0], pair[1])
		}
	}
	if l.has("max-partition-memory-bytes") {
		c.printf("Warning: --max-partition-memory-bytes is deprecated and will be removed in Apache Kafka 5.0. Use --batch-size instead.\n")
	}
	return validBootstrap(l.text("bootstrap-server"))
}

// either is the option that is there of two names for the same.
func (l *parsed) either(name, old string) string {
	if l.has(old) {
		return old
	}
	return name
}

func (c *call) produceLines() error {
	l := c.line
	if err := l.check(); err != nil {
		return err
	}
	reader, err := c.newLineReader()
	if err != nil {
		return err
	}
	p, err := l.readPropsOf(l.either("command-config", "producer.config"))
	if err != nil {
		return err
	}
	p.pairs(l.all(l.either("command-property", "producer-property")))
	opts, err := c.producerSettings(p)
	if err != nil {
		return err
	}
	k, err := c.connect(p, l.text("bootstrap-server"), "console-producer", "produce", opts...)
	if err != nil {
		return err
	}
	defer k.Close()
	in := bufio.NewReader(c.env.Input(c.ctx))
	for {
		text, err := in.ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) && c.ctx.Err() == nil {
			c.flush(k)
			return javaError("java.io.IOException", "%s", err)
		}
		if c.ctx.Err() != nil || err != nil && text == "" {
			break
		}
		record, bad := reader.record(strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r"))
		if bad == nil {
			bad = c.send(k, record)
		}
		if bad != nil {
			c.flush(k)
			return bad
		}
		if err != nil {
			break
		}
	}
	c.flush(k)
	return c.ctx.Err()
}

const flushLimit = 2 * time.Minute // delivery.timeout.ms

// flush sends what was taken, also after an interrupt.
func (c *call) flush(k *cluster) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), flushLimit)
	defer cancel()
	_ = k.Flush(ctx) // each record's own end tells
}

func (c *call) send(k *cluster, r *kgo.Record) error {
	if c.line.has("sync") {
		return execution(k.ProduceSync(c.ctx, r).FirstErr())
	}
	k.Produce(context.WithoutCancel(c.ctx), r, func(r *kgo.Record, err error) {
		if err != nil {
			key, value := "null", "null"
			if r.Key != nil {
				key = strconv.Itoa(len(r.Key)) + " bytes"
			}
			if r.Value != nil {
				value = strconv.Itoa(len(r.Value)) + " bytes"
			}
			c.log("ERROR", "org.apache.kafka.clients.producer.internals.ErrorLoggingCallback", "Error when sending message to topic %s with key: %s, value: %s with error: %s", r.Topic, key, value, asFailure(err).named())
		}
	})
	return nil
}
