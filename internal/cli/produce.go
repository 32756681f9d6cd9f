package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/headrace/headrace/internal/cli/recordformat"
	"github.com/headrace/headrace/internal/cli/target"
	"github.com/headrace/headrace/internal/cli/term"
)

const (
	deliveryTimeout = 30 * time.Second // without any acknowledgement
	drainTimeout    = 5 * time.Second  // for what was read before Ctrl-C
)

// produceOptions are the flags of headrace produce.
type produceOptions struct {
	format, separator, key string
	headers                []string
	partition              int32
	codec, acks            string
	emptyAsNull, quiet     bool
	maxBytes               int32
	output                 *term.Form
	fixed                  []kgo.RecordHeader
}

func (c *command) produce() *cobra.Command {
	o := &produceOptions{}
	cmd := &cobra.Command{
		Use: "produce TOPIC", Short: "Write the lines of standard input to a topic",
		Long: "Writes each line of standard input as one record, until the input ends, and tells the number of records on standard error.\n" +
			"With --format json a line is a record as consume --format json prints it: its key, value, headers and timestamp count.",
		Args: term.One("TOPIC"), ValidArgsFunction: c.at.CompleteTopics,
		Example: "  echo hello | headrace produce greetings\n" +
			"  printf 'k1:v1\\nk2:v2\\n' | headrace produce pairs --key-separator :\n" +
			"  headrace consume orders --format json | headrace produce copy --format json",
		RunE: func(cmd *cobra.Command, args []string) error { return c.runProduce(cmd, args[0], o) },
	}
	c.at.Flags(cmd)
	f := cmd.Flags()
	f.StringVar(&o.format, "format", "text", "text or json")
	f.StringVarP(&o.separator, "key-separator", "K", "", `what stands between key and value, with \t and \x1f understood; a line without it has no key`)
	f.StringVarP(&o.key, "key", "k", "", "key of all records")
	f.StringArrayVarP(&o.headers, "header", "H", nil, "header of all records as name=value, may be repeated")
	f.Int32VarP(&o.partition, "partition", "p", -1, "partition to write to (default: by the key, as Java clients choose)")
	f.StringVarP(&o.codec, "compression", "z", "none", "none, gzip, snappy, lz4 or zstd")
	f.StringVar(&o.acks, "acks", "all", "all, 1 or 0: whose acknowledgement to wait for")
	f.BoolVar(&o.emptyAsNull, "empty-as-null", false, "write an empty value as null, which deletes a key from a compacted topic")
	f.Int32Var(&o.maxBytes, "max-message-bytes", 1000012, "longest batch to send; the topic's max.message.bytes must allow it")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "do not tell the number of records")
	o.output = term.OutputFlag(cmd)
	f.Lookup("output").Usage = "how to tell the number of records: table (words on standard error), json or yaml (on standard output)"
	return cmd
}

func (c *command) runProduce(cmd *cobra.Command, topic string, o *produceOptions) error {
	opts, err := o.client(cmd, topic)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	client, err := c.at.Connect(ctx, opts...)
	if err != nil {
		return err
	}
	defer client.Close()
	// Records that were read are still delivered after Ctrl-C, so they do not end with ctx.
	delivery, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	p := newProduction(delivery, stop, client)
	err = p.all(ctx, c.env.Input(ctx), o)
	defer p.timer.Stop()
	patience := 24 * time.Hour // the timer of p is what ends it
	if ctx.Err() != nil {
		patience = drainTimeout
	}
	flushed, cancel := context.WithTimeout(delivery, patience)
	defer cancel()
	if p.failure() != nil {
		stop() // nothing more is worth waiting for
	}
	flushErr := client.Flush(flushed)
	written, failure := p.result()
	told := c.tellWritten(o, topic, written)
	switch {
	case failure != nil:
		return c.at.Diagnose(produceError(topic, failure))
	case err != nil:
		return err
	}
	return errors.Join(flushErr, told)
}

// tellWritten tells how many records were acknowledged, also where others were not.
func (c *command) tellWritten(o *produceOptions, topic string, written int) error {
	switch {
	case o.quiet:
		return nil
	case *o.output == term.FormTable:
		_, err := fmt.Fprintf(c.env.Stderr, "%d %s written to %s\n", written, term.Plural(written, "record"), topic)
		return err
	}
	answer := struct {
		Topic   string `json:"topic"`
		Records int    `json:"records"`
	}{topic, written}
	return c.env.Print(*o.output, answer, nil)
}

// client checks the flags and turns them into options of a client.
func (o *produceOptions) client(cmd *cobra.Command, topic string) ([]kgo.Opt, error) {
	if o.format != "text" && o.format != "json" {
		return nil, term.Usage("--format must be text or json, not %q", o.format)
	}
	if o.format == "json" && (o.separator != "" || o.emptyAsNull) {
		return nil, term.Usage("--key-separator and --empty-as-null are for --format text")
	}
	var err error
	if o.separator, err = recordformat.Unescape(o.separator); err != nil {
		return nil, term.Usage("--key-separator: %s", err)
	}
	codecs := map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}
	codec, ok := codecs[o.codec]
	if !ok {
		return nil, term.Usage("--compression must be none, gzip, snappy, lz4 or zstd, not %q", o.codec)
	}
	opts := []kgo.Opt{
		kgo.DefaultProduceTopic(topic), kgo.ProducerBatchCompression(codec), kgo.ProducerBatchMaxBytes(o.maxBytes),
		kgo.AllowAutoTopicCreation(),
	}
	switch o.acks {
	case "all", "-1":
	case "1":
		opts = append(opts, kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())
	case "0":
		opts = append(opts, kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite())
	default:
		return nil, term.Usage("--acks must be all, 1 or 0, not %q", o.acks)
	}
	if cmd.Flags().Changed("partition") {
		if o.partition < 0 {
			return nil, term.Usage("--partition must not be negative")
		}
		opts = append(opts, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	}
	for _, h := range o.headers {
		name, value, ok := strings.Cut(h, "=")
		if !ok {
			return nil, term.Usage("--header: %q is not name=value", h)
		}
		o.fixed = append(o.fixed, kgo.RecordHeader{Key: name, Value: []byte(value)})
	}
	return opts, nil
}

// record makes a record of one line.
func (o *produceOptions) record(line []byte) (*kgo.Record, error) {
	r := &kgo.Record{Value: line}
	if o.format == "json" {
		var err error
		if r, err = recordformat.ParseJSON(line); err != nil {
			return nil, err
		}
	} else if o.separator != "" {
		if key, value, ok := bytes.Cut(line, []byte(o.separator)); ok {
			r.Key, r.Value = key, value
		}
	}
	if o.key != "" {
		r.Key = []byte(o.key)
	}
	if o.emptyAsNull && len(r.Value) == 0 {
		r.Value = nil
	}
	r.Headers = append(r.Headers, o.fixed...)
	r.Partition = max(o.partition, 0)
	return r, nil
}

// production is one run of produce. Callbacks of the client write what mu guards.
type production struct {
	client *kgo.Client
	ctx    context.Context // of the records; it ends when none is acknowledged for long
	timer  *time.Timer

	mu struct {
		sync.Mutex
		open    int // sent and not acknowledged
		written int
		err     error // the first
	}
}

var errNoAcknowledgement = fmt.Errorf("no acknowledgement within %s", deliveryTimeout)

// newProduction makes a production that gives up, by calling stop, when the cluster falls silent. (The client's own timeout counts
// from a record's timestamp, which may lie in the past.)
func newProduction(ctx context.Context, stop func(), client *kgo.Client) *production {
	p := &production{client: client, ctx: ctx}
	p.timer = time.AfterFunc(deliveryTimeout, func() {
		p.mu.Lock()
		silent := p.mu.open > 0
		if silent && p.mu.err == nil {
			p.mu.err = errNoAcknowledgement
		}
		p.mu.Unlock()
		if silent {
			stop()
		}
	})
	return p
}

func (p *production) send(r *kgo.Record) {
	p.mu.Lock()
	p.mu.open++
	if p.mu.open == 1 {
		p.timer.Reset(deliveryTimeout)
	}
	p.mu.Unlock()
	p.client.Produce(p.ctx, r, p.done)
}

// all hands every line to the client until the input ends, ctx is done or a record fails.
func (p *production) all(ctx context.Context, in io.Reader, o *produceOptions) error {
	longest := int(o.maxBytes)
	if o.format == "json" {
		longest *= 8 // JSON and base64 are longer than what they stand for
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, longest+1)
	lines.Split(splitLines)
	number := 0
	for lines.Scan() {
		if ctx.Err() != nil {
			return ctx.Err() // what was typed of a line is no line
		}
		number++
		r, err := o.record(bytes.Clone(lines.Bytes()))
		if err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
		p.send(r)
		if p.failure() != nil {
			return nil
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return fmt.Errorf("line %d is longer than --max-message-bytes %d", number+1, o.maxBytes)
	}
	return lines.Err()
}

func (p *production) done(_ *kgo.Record, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.open--
	p.timer.Reset(deliveryTimeout)
	if err == nil {
		p.mu.written++
	} else if p.mu.err == nil {
		p.mu.err = err
	}
}

func (p *production) failure() error {
	_, err := p.result()
	return err
}

func (p *production) result() (written int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.written, p.mu.err
}

func produceError(topic string, err error) error {
	switch {
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		return target.Refused(err, "cannot write to topic %s: it does not exist (create it with headrace topic create %s)", topic, topic)
	}
	var chosen, there int
	if _, no := fmt.Sscanf(err.Error(), "invalid record partitioning choice of %d from %d available", &chosen, &there); no == nil {
		return fmt.Errorf("cannot write to topic %s: it has no partition %d: it has %d, from 0 on", topic, chosen, there)
	}
	return fmt.Errorf("cannot write to topic %s: %w", topic, target.Explain(err, ""))
}

// splitLines is bufio.ScanLines that keeps a carriage return: it may belong to the data.
func splitLines(data []byte, atEOF bool) (advance int, token []byte, err error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i], nil
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}
