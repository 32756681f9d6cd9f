package kcat

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const deliveryTimeout = 5 * time.Minute

func (r *run) produceOptions() ([]kgo.Opt, error) {
	p := r.o.props
	codec := map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}[p.or("compression.codec", "none")]
	linger, err := p.duration("linger.ms", 5*time.Millisecond)
	if err != nil {
		return nil, err
	}
	limit, err := p.duration("message.timeout.ms", deliveryTimeout)
	if err != nil {
		return nil, err
	}
	opts := []kgo.Opt{kgo.DefaultProduceTopic(r.o.topic), kgo.AllowAutoTopicCreation(), kgo.ProducerBatchCompression(codec), kgo.ProducerLinger(linger), kgo.RecordDeliveryTimeout(limit)}
	acks := map[string]kgo.Acks{"all": kgo.AllISRAcks(), "-1": kgo.AllISRAcks(), "1": kgo.LeaderAck(), "0": kgo.NoAck()}[p.or("acks", "all")]
	opts = append(opts, kgo.RequiredAcks(acks))
	if id := p["transactional.id"]; id != "" {
		opts = append(opts, kgo.TransactionalID(id))
	} else if p["enable.idempotence"] != "true" {
		opts = append(opts, kgo.DisableIdempotentWrite())
	}
	switch partitioner := p.or("partitioner", "consistent_random"); {
	case r.o.partition >= 0:
		opts = append(opts, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	case partitioner == "murmur2" || partitioner == "murmur2_random":
		opts = append(opts, kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)))
	case partitioner == "random":
		opts = append(opts, kgo.RecordPartitioner(kgo.UniformBytesPartitioner(64<<10, true, false, nil)))
	default:
		// librdkafka's own: CRC-32 of the key.
		opts = append(opts, kgo.RecordPartitioner(kgo.StickyKeyPartitioner(consistent)))
	}
	return opts, nil
}

func (r *run) produce() error {
	opts, err := r.produceOptions()
	if err != nil {
		return err
	}
	in, err := r.input()
	if err != nil {
		return err
	}
	if err := r.connect(opts...); err != nil {
		return fatal("Failed to produce to %s: %w", r.o.topic, err)
	}
	defer r.client.Close()
	transactional := r.o.props["transactional.id"] != ""
	if transactional {
		r.info(1, "Using transactional producer")
		if err := r.client.BeginTransaction(); err != nil {
			return fatal("begin_transaction(): %s", err)
		}
	}
	if in == nil {
		r.produceFiles()
	} else if err := r.produceFrom(in); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), deliveryTimeout)
	defer cancel()
	if err := r.client.Flush(ctx); err != nil {
		return err
	}
	if transactional {
		return r.endTransaction(ctx)
	}
	return nil
}

func (r *run) endTransaction(ctx context.Context) error {
	if r.ctx.Err() != nil {
		fmt.Fprintln(r.env.Stderr, "% Aborting transaction due to termination signal")
		return r.client.EndTransaction(ctx, kgo.TryAbort)
	}
	r.info(1, "Committing transaction")
	if err := r.client.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return fatal("commit_transaction(): %s", err)
	}
	r.info(1, "Transaction successfully committed")
	return nil
}

// input is where records are read from; nil if each file is one.
func (r *run) input() (io.Reader, error) {
	switch {
	case len(r.o.args) == 0:
		return r.env.Input(r.ctx), nil
	case !r.o.lines:
		return nil, nil
	case len(r.o.args) > 1:
		return nil, fatal("Only one file allowed for line mode (-l)")
	}
	text, err := os.ReadFile(r.o.args[0])
	if err != nil {
		return nil, fatal("Cannot open %s: %s", r.o.args[0], reason(err))
	}
	return bytes.NewReader(text), nil
}

func (r *run) produceFiles() {
	good := 0
	for _, path := range r.o.args {
		text, err := os.ReadFile(path)
		if err != nil {
			r.info(1, "Failed to open %s: %s", path, reason(err))
			continue
		}
		good++
		if len(text) > 0 {
			r.send(r.key(nil), text)
		}
	}
	switch {
	case good == 0:
		r.code = 1
	case good < len(r.o.args):
		r.info(1, "Failed to produce from %d/%d files", len(r.o.args)-good, len(r.o.args))
	}
}

func (r *run) key(own []byte) []byte {
	if own == nil && r.o.fixedKey != nil {
		return []byte(*r.o.fixedKey)
	}
	return own
}

// produceFrom sends what stands between delimiters; what is empty is left out.
func (r *run) produceFrom(in io.Reader) error {
	end, err := delimiter(r.o.delimiter)
	if err != nil {
		return err
	}
	if end == "" {
		return fatal("Message delimiter -D must not be empty when producing")
	}
	keyEnd := ""
	if r.o.keyDelimiter != nil {
		if keyEnd, err = delimiter(*r.o.keyDelimiter); err != nil {
			return err
		}
	}
	buffered := bufio.NewReaderSize(in, 64<<10)
	sent := int64(0)
	for r.ctx.Err() == nil && (r.o.count < 0 || sent < r.o.count) {
		line, err := until(buffered, []byte(end))
		if r.ctx.Err() != nil {
			return nil // what was typed of a line is no line
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return fatal("Unable to read message: %s", err)
		}
		if len(line) > 0 {
			r.sendLine(line, keyEnd)
			sent++
		}
		if err != nil {
			return nil
		}
	}
	return nil
}

// until reads to the delimiter and leaves it out.
func until(in *bufio.Reader, end []byte) ([]byte, error) {
	var line []byte
	for {
		piece, err := in.ReadBytes(end[len(end)-1])
		line = append(line, piece...)
		if err != nil {
			return line, err
		}
		if bytes.HasSuffix(line, end) {
			return line[:len(line)-len(end)], nil
		}
	}
}

func (r *run) sendLine(line []byte, keyEnd string) {
	var key []byte
	value := line
	if keyEnd != "" {
		if before, after, ok := bytes.Cut(line, []byte(keyEnd)); ok {
			key, value = before, after
			if r.o.nulls && len(key) == 0 {
				key = nil
			}
			if r.o.nulls && len(value) == 0 {
				value = nil
			}
		}
	}
	r.send(r.key(key), value)
	if r.o.tee {
		_, _ = r.out.Write(line)
	}
}

func (r *run) send(key, value []byte) {
	rec := &kgo.Record{Key: key, Value: value, Partition: r.o.partition}
	for _, h := range r.o.headers {
		rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: h.key, Value: h.value})
	}
	r.client.Produce(context.WithoutCancel(r.ctx), rec, func(rec *kgo.Record, err error) {
		if err != nil {
			r.failed.Store(true)
			fmt.Fprintf(r.env.Stderr, "%% Delivery failed for message: %s\n", cause(err))
		} else if r.o.verbosity >= 3 {
			fmt.Fprintf(r.env.Stderr, "%% Message delivered to partition %d (offset %d)\n", rec.Partition, rec.Offset)
		}
	})
}
