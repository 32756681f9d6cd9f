// Package tool runs the client programs of the benchmark, which are the same for both systems: Apache Kafka's ProducerPerformance,
// ConsumerPerformance and EndToEndLatency, and headrace bench where Kafka has none. It reads what they print into figures. The
// benchmark's works call it; it has no goroutines.
package tool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/headrace/headrace/bench/side"
)

// toolHeap is the heap that the scripts of ProducerPerformance and ConsumerPerformance give; latencyHeap is that of all others.
const (
	toolHeap    = "-Xmx512M"
	latencyHeap = "-Xmx256M"
	tools       = "org.apache.kafka.tools."
)

// Set holds the programs. Each call of a program that has run is told to Ran, with its words.
type Set struct {
	Java     side.Java
	Headrace string // the binary
	Ran      func(line string)
}

// run executes a program to its end and returns its standard output.
func (s Set) run(ctx context.Context, cmd *exec.Cmd, shown []string) (string, error) {
	s.Ran(strings.Join(shown, " "))
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	stop := context.AfterFunc(ctx, func() { cmd.Process.Kill() })
	err := cmd.Wait()
	stop()
	switch {
	case ctx.Err() != nil:
		return "", fmt.Errorf("%s: %w", shown[0], context.Cause(ctx))
	case err != nil:
		return "", fmt.Errorf("%s: %w: %s", shown[0], err, tail(out.String()+"\n"+errs.String()))
	}
	return out.String(), nil
}

func tail(text string) string {
	text = strings.TrimSpace(text)
	return text[max(0, len(text)-600):]
}

// kafka runs one of Kafka's tools.
func (s Set) kafka(ctx context.Context, heap, class string, args ...string) (string, error) {
	return s.run(ctx, s.Java.Command(heap, nil, tools+class, args...), append([]string{class}, args...))
}

// ProduceLoad is the work of one ProducerPerformance.
type ProduceLoad struct {
	Topic      string
	Records    int
	RecordSize int
	Rate       int // records a second; 0 is as fast as can be
	Warmup     int // of Records, the first ones, which do not count
	Properties []string
}

// Produced is what a producer tells; latencies are in milliseconds.
type Produced struct {
	Records int
	Rate    float64 // records a second
	P50     float64
	P99     float64
	P999    float64
}

// Produce runs ProducerPerformance with acks=all.
func (s Set) Produce(ctx context.Context, address string, l ProduceLoad) (Produced, error) {
	rate := l.Rate
	if rate == 0 {
		rate = -1
	}
	args := []string{
		"--bootstrap-server", address, "--topic", l.Topic, "--num-records", strconv.Itoa(l.Records),
		"--record-size", strconv.Itoa(l.RecordSize), "--throughput", strconv.Itoa(rate),
		"--warmup-records", strconv.Itoa(l.Warmup), "--command-property", "acks=all",
	}
	out, err := s.kafka(ctx, toolHeap, "ProducerPerformance", append(args, l.Properties...)...)
	if err != nil {
		return Produced{}, err
	}
	p, err := parseProducer(out, l.Warmup > 0)
	if err == nil && p.Records != l.Records-l.Warmup {
		err = fmt.Errorf("ProducerPerformance sent %d records, not %d: %s", p.Records, l.Records-l.Warmup, tail(out))
	}
	return p, err
}

// parseProducer reads the last line: that of all records, or of the steady state after a warm-up.
func parseProducer(text string, warmedUp bool) (Produced, error) {
	mark := " records sent, "
	if warmedUp {
		mark = " steady state records sent, "
	}
	lines := strings.Split(strings.TrimSpace(text), "\n")
	count, rest, ok := strings.Cut(lines[len(lines)-1], mark)
	parts := strings.Split(rest, ", ")
	if !ok || len(parts) != 7 {
		return Produced{}, fmt.Errorf("ProducerPerformance printed no summary: %s", tail(text))
	}
	var p Produced
	var err error
	if p.Records, err = strconv.Atoi(count); err != nil {
		return p, fmt.Errorf("ProducerPerformance: %w", err)
	}
	for _, f := range []struct {
		into *float64
		text string
	}{{&p.Rate, parts[0]}, {&p.P50, parts[3]}, {&p.P99, parts[5]}, {&p.P999, parts[6]}} {
		number, _, _ := strings.Cut(f.text, " ")
		if *f.into, err = strconv.ParseFloat(number, 64); err != nil {
			return p, fmt.Errorf("ProducerPerformance: %w", err)
		}
	}
	return p, nil
}

// Consumed is what ConsumerPerformance tells.
type Consumed struct {
	Records int
	Bytes   float64
	Fetch   time.Duration // without the time until the group had its partitions
}

// Consume runs ConsumerPerformance until it has read so many records.
func (s Set) Consume(ctx context.Context, address, topic string, records int) (Consumed, error) {
	out, err := s.kafka(ctx, toolHeap, "ConsumerPerformance", "--bootstrap-server", address, "--topic", topic,
		"--num-records", strconv.Itoa(records), "--hide-header", "--timeout", "30000")
	if err != nil {
		return Consumed{}, err
	}
	c, err := parseConsumer(out)
	if err == nil && c.Records < records {
		err = fmt.Errorf("ConsumerPerformance read %d records, not %d: %s", c.Records, records, tail(out))
	}
	return c, err
}

func parseConsumer(text string) (Consumed, error) {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	f := strings.Split(lines[len(lines)-1], ", ")
	if len(f) != 10 {
		return Consumed{}, fmt.Errorf("ConsumerPerformance printed no summary: %s", tail(text))
	}
	mebibytes, err1 := strconv.ParseFloat(f[2], 64)
	records, err2 := strconv.Atoi(f[4])
	fetchMs, err3 := strconv.ParseFloat(f[7], 64)
	if err := errors.Join(err1, err2, err3); err != nil {
		return Consumed{}, fmt.Errorf("ConsumerPerformance: %w", err)
	}
	return Consumed{Records: records, Bytes: mebibytes * (1 << 20), Fetch: time.Duration(fetchMs * float64(time.Millisecond))}, nil
}

// EndToEnd is what EndToEndLatency tells, in milliseconds; all but the mean are whole ones.
type EndToEnd struct{ Mean, P50, P99, P999 float64 }

// Latency runs EndToEndLatency: each record is consumed before the next is produced.
func (s Set) Latency(ctx context.Context, address, topic string, records, recordSize int) (EndToEnd, error) {
	out, err := s.kafka(ctx, latencyHeap, "EndToEndLatency", "--bootstrap-server", address, "--topic", topic,
		"--num-records", strconv.Itoa(records), "--producer-acks", "all", "--record-size", strconv.Itoa(recordSize))
	if err != nil {
		return EndToEnd{}, err
	}
	return parseEndToEnd(out)
}

func parseEndToEnd(text string) (EndToEnd, error) {
	var e EndToEnd
	found := 0
	for line := range strings.Lines(text) {
		if n, _ := fmt.Sscanf(line, "Avg latency: %f ms", &e.Mean); n == 1 {
			found++
		}
		if n, _ := fmt.Sscanf(line, "Percentiles: 50th = %f, 99th = %f, 99.9th = %f", &e.P50, &e.P99, &e.P999); n == 3 {
			found++
		}
	}
	if found != 2 {
		return EndToEnd{}, fmt.Errorf("EndToEndLatency printed no summary: %s", tail(text))
	}
	return e, nil
}
