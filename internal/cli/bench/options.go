package bench

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/headrace/headrace/internal/cli/term"
)

// options are the flags of a load. Each command has those that mean something for it; check refuses bad values.
type options struct {
	topic      string
	partitions int32
	rate       float64 // records a second, all producers together; 0 is as fast as can be
	duration   time.Duration
	records    int64
	warmup     time.Duration
	recordSize int
	clients    int
	keys       int
	acks       string
	linger     time.Duration
	codec      string
	from       string
	toEnd      bool // without --records and --duration the load has an end of its own

	file  string
	quiet bool
	form  *term.Form
}

const defaultDuration = 10 * time.Second

// flags adds the flags that all loads have.
func (o *options) flags(cmd *cobra.Command, partitions int32) {
	o.form = term.OutputFlag(cmd)
	f := cmd.Flags()
	f.StringVarP(&o.topic, "topic", "t", "", "topic to use; without it the load makes one and removes it in the end")
	f.Int32Var(&o.partitions, "partitions", partitions, "partitions of the topic that the load makes")
	f.Float64VarP(&o.rate, "rate", "r", 0, "records a second in all; 0 is as fast as can be")
	f.DurationVarP(&o.duration, "duration", "d", 0, "how long to measure; without it and --records 10s, and consume goes to the end")
	f.Int64VarP(&o.records, "records", "n", 0, "how many records to measure")
	f.DurationVar(&o.warmup, "warmup", 0, "time at the start that does not count")
	f.StringVar(&o.file, "file", "", "also write the result to this file, as JSON, for headrace bench compare")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "no line of progress each second")
}

// producing adds the flags of what is sent.
func (o *options) producing(cmd *cobra.Command, recordSize int) {
	f := cmd.Flags()
	f.IntVarP(&o.recordSize, "record-size", "s", recordSize, "bytes of a record's value")
	f.StringVar(&o.acks, "acks", "all", "all, 1 or 0: whose acknowledgement to wait for")
	f.DurationVar(&o.linger, "linger", 0, "time to wait for more records to send together")
	f.StringVarP(&o.codec, "compression", "z", "none", "none, gzip, snappy, lz4 or zstd")
}

func (o *options) check() error {
	switch {
	case o.partitions < 1:
		return term.Usage("--partitions must be at least 1")
	case o.rate < 0:
		return term.Usage("--rate must not be negative")
	case o.duration < 0:
		return term.Usage("--duration must not be negative")
	case o.records < 0:
		return term.Usage("--records must not be negative")
	case o.warmup < 0:
		return term.Usage("--warmup must not be negative")
	case o.linger < 0:
		return term.Usage("--linger must not be negative")
	case o.clients < 1:
		return term.Usage("--producers and --consumers must be at least 1")
	case o.keys < 0:
		return term.Usage("--keys must not be negative")
	case o.recordSize < 0:
		return term.Usage("--record-size must not be negative")
	case o.from != "start" && o.from != "end":
		return term.Usage("--from must be start or end, not %q", o.from)
	}
	if o.duration == 0 && o.records == 0 && !o.toEnd {
		o.duration = defaultDuration
	}
	_, err := o.producer()
	return err
}

// openRecords is how many records a producer has open; a rate that the cluster cannot keep up with fills it.
const openRecords = 10_000

// producer are the options of a producing client.
func (o *options) producer() ([]kgo.Opt, error) {
	codecs := map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}
	codec, ok := codecs[o.codec]
	if !ok {
		return nil, term.Usage("--compression must be none, gzip, snappy, lz4 or zstd, not %q", o.codec)
	}
	opts := []kgo.Opt{
		kgo.DefaultProduceTopic(o.topic), kgo.ProducerBatchCompression(codec), kgo.ProducerLinger(o.linger),
		kgo.RecordDeliveryTimeout(drainTimeout), kgo.MaxBufferedRecords(openRecords),
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
	return opts, nil
}

// settings are the options as the result tells them, for whoever compares two.
func (o *options) settings(work string) map[string]string {
	s := map[string]string{"rate": strconv.FormatFloat(o.rate, 'f', -1, 64), "partitions": fmt.Sprint(o.partitions)}
	if o.warmup > 0 {
		s["warmup"] = o.warmup.String()
	}
	if o.records > 0 {
		s["records"] = fmt.Sprint(o.records)
	}
	if o.duration > 0 {
		s["duration"] = o.duration.String()
	}
	if work == workConsume {
		s["consumers"], s["from"] = fmt.Sprint(o.clients), o.from
		return s
	}
	s["producers"], s["recordSize"] = fmt.Sprint(o.clients), fmt.Sprint(o.recordSize)
	s["acks"], s["linger"], s["compression"] = o.acks, o.linger.String(), o.codec
	if o.keys > 0 {
		s["keys"] = fmt.Sprint(o.keys)
	}
	return s
}
