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

// producerSettings are the options and properties that the client has, too.
func (c *call) producerSettings(p props) ([]kgo.Opt, error) {
	l := c.line
	p.merge("linger.ms", l, "timeout")
	p.merge("acks", l, "request-required-acks")
	p.merge("request.timeout.ms", l, "request-timeout-ms")
	p.merge("retries", l, "message-send-max-retries")
	p.merge("batch.size", l, "batch-size")
	p.merge("batch.size", l, "max-partition-memory-bytes")
	p.merge("metadata.max.age.ms", l, "metadata-expiry-ms")
	opts := []kgo.Opt{kgo.DefaultProduceTopic(l.text("topic")), kgo.AllowAutoTopicCreation(), kgo.RecordDeliveryTimeout(flushLimit)}
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
	opts = append(opts, kgo.ProducerBatchCompression(compression))
	switch p["acks"] {
	case "all", "-1":
		opts = append(opts, kgo.RequiredAcks(kgo.AllISRAcks()))
		if p.or("enable.idempotence", "true") != "true" {
			opts = append(opts, kgo.DisableIdempotentWrite())
		}
	case "1":
		opts = append(opts, kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())
	case "0":
		opts = append(opts, kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite())
	default:
		return nil, configError("Invalid value %s for configuration acks: String must be one of: all, -1, 0, 1", p["acks"])
	}
	return p.producerNumbers(opts)
}

func (p props) producerNumbers(opts []kgo.Opt) ([]kgo.Opt, error) {
	numbers := map[string]int64{}
	for _, key := range []string{"linger.ms", "batch.size", "request.timeout.ms", "metadata.max.age.ms", "max.request.size"} {
		text, ok := p[key]
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
		if err != nil || n < 0 {
			return nil, configError("Invalid value %s for configuration %s: Not a number of type LONG", text, key)
		}
		numbers[key] = n
	}
	ms := func(key string) time.Duration { return time.Duration(numbers[key]) * time.Millisecond }
	// The client holds at least a record of the largest size in a batch.
	const largest = 1 << 20
	opts = append(opts, kgo.ProducerLinger(ms("linger.ms")), kgo.ProducerBatchMaxBytes(int32(max(numbers["batch.size"], numbers["max.request.size"], largest))))
	if t := ms("request.timeout.ms"); t >= 100*time.Millisecond {
		opts = append(opts, kgo.ProduceRequestTimeout(t))
	}
	return opts, nil
}

// newLineReader is the default reader with its properties.
func (c *call) newLineReader() (*lineParser, error) {
	l := c.line
	if class := l.text("line-reader"); class != lineReader {
		return nil, javaError("java.lang.ClassNotFoundException", "%s", class)
	}
	p, err := l.readPropsOf("reader-config")
	if err != nil {
		return nil, err
	}
	p.pairs(l.all(l.either("reader-property", "property")))
	return newLineParser(p)
}

// lineParser takes a line apart into headers, key and value.
type lineParser struct {
	parseKey, parseHeaders, ignoreError                               bool
	keySeparator, headersDelimiter, headersSeparator, headerSeparator string
	headersCut                                                        cutter
	nullMarker                                                        *string
	number                                                            int
}

func kafkaError(format string, args ...any) error {
	return javaError("org.apache.kafka.common.KafkaException", format, args...)
}

func newLineParser(p props) (*lineParser, error) {
	r := &lineParser{
		parseKey: p.isTrue("parse.key"), parseHeaders: p.isTrue("parse.headers"), ignoreError: p.isTrue("ignore.error"),
		keySeparator: p.or("key.separator", "\t"), headersDelimiter: p.or("headers.delimiter", "\t"),
		headersSeparator: p.or("headers.separator", ","), headerSeparator: p.or("headers.key.separator", ":"),
	}
	if marker, ok := p["null.marker"]; ok {
		r.nullMarker = &marker
	}
	var err error
	if r.headersCut, err = newCutter(r.headersSeparator); err != nil {
		return nil, err
	}
	switch {
	case r.headersDelimiter == r.headersSeparator:
		return nil, kafkaError("headers.delimiter and headers.separator may not be equal")
	case r.headersDelimiter == r.headerSeparator:
		return nil, kafkaError("headers.delimiter and headers.key.separator may not be equal")
	case r.headersSeparator == r.headerSeparator:
		return nil, kafkaError("headers.separator and headers.key.separator may not be equal")
	}
	for _, other := range [][2]string{{r.keySeparator, "key.separator"}, {r.headersSeparator, "headers.separator"}, {r.headersDelimiter, "headers.delimiter"}, {r.headerSeparator, "headers.key.separator"}} {
		if r.isNull(other[0]) {
			return nil, kafkaError("null.marker and %s may not be equal", other[1])
		}
	}
	return r, nil
}

func (r *lineParser) isNull(s string) bool { return r.nullMarker != nil && s == *r.nullMarker }

func (r *lineParser) bytes(s string) []byte {
	if r.isNull(s) {
		return nil
	}
	return []byte(s)
}

func (r *lineParser) record(line string) (*kgo.Record, error) {
	r.number++
	rec := &kgo.Record{}
	rest := line
	if r.parseHeaders {
		headers, after, err := r.part(line, rest, r.headersDelimiter, "headers delimiter")
		if err != nil {
			return nil, err
		}
		rest = after
		if headers != nil && !r.isNull(*headers) {
			if rec.Headers, err = r.headers(*headers); err != nil {
				return nil, err
			}
		}
	}
	if r.parseKey {
		key, after, err := r.part(line, rest, r.keySeparator, "key separator")
		if err != nil {
			return nil, err
		}
		rest = after
		if key != nil {
			rec.Key = r.bytes(*key)
		}
	}
	rec.Value = r.bytes(rest)
	return rec, nil
}

// part is what stands before a separator, or nil where it is missing and that is no error.
func (r *lineParser) part(line, rest, separator, name string) (*string, string, error) {
	before, after, ok := strings.Cut(rest, separator)
	switch {
	case ok:
		return &before, after, nil
	case r.ignoreError:
		return nil, rest, nil
	}
	return nil, "", kafkaError("No %s found on line number %d: '%s'", name, r.number, line)
}

func (r *lineParser) headers(text string) ([]kgo.RecordHeader, error) {
	var all []kgo.RecordHeader
	for _, pair := range r.headersCut.split(text) {
		key, value, ok := strings.Cut(pair, r.headerSeparator)
		switch {
		case !ok && r.ignoreError:
			all = append(all, kgo.RecordHeader{Key: pair})
			continue
		case !ok:
			return nil, kafkaError("No header key separator found in pair '%s' on line number %d", pair, r.number)
		case r.isNull(key):
			return nil, kafkaError("Header keys should not be equal to the null marker '%s' as they can't be null", *r.nullMarker)
		}
		all = append(all, kgo.RecordHeader{Key: key, Value: r.bytes(value)})
	}
	return all, nil
}
