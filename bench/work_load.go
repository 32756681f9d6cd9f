package main

import (
	"strconv"

	"github.com/headrace/headrace/bench/proc"
	"github.com/headrace/headrace/bench/tool"
)

func idle(s *stage) (figures, error) {
	if err := s.wait(settle); err != nil {
		return nil, err
	}
	m, err := proc.MemoryOf(s.nodes.PIDs()...)
	if err != nil {
		return nil, err
	}
	return figures{"idle-memory": megabytes(m.Resident), "idle-memory-private": megabytes(m.Private)}, nil
}

func throughput(s *stage) (figures, error) {
	return s.load("", s.size.ProduceWarmup, s.size.Produce, nil)
}

// load produces to a topic, after so many records that warm up, and consumes all of them. Its figures are named with prefix.
func (s *stage) load(prefix string, warmup, records int, configs map[string]*string) (figures, error) {
	const topic = "load"
	f := figures{}
	if err := s.topic(topic, 6, configs); err != nil {
		return nil, err
	}
	watch := proc.Watch(s.nodes.PIDs()...)
	err := s.produce(topic, prefix, warmup, records, f)
	memory, memoryErr := watch.Stop()
	if err != nil {
		return nil, err
	}
	if memoryErr != nil {
		return nil, memoryErr
	}
	f[prefix+"produce-memory"], f[prefix+"produce-memory-private"] = megabytes(memory.Resident), megabytes(memory.Private)
	return f, s.consume(topic, prefix, warmup+records, f)
}

func (s *stage) produce(topic, prefix string, warmup, records int, f figures) error {
	load := tool.ProduceLoad{Topic: topic, Records: warmup, RecordSize: recordSize}
	if _, err := s.tools.Produce(s.ctx, s.nodes.Addresses(), load); err != nil {
		return err
	}
	load.Records = records
	load.Warmup = load.Records / 20 // of the client
	var p tool.Produced
	cpu, err := s.cpu(func() (err error) {
		p, err = s.tools.Produce(s.ctx, s.nodes.Addresses(), load)
		return err
	})
	if err != nil {
		return err
	}
	f[prefix+"produce"], f[prefix+"produce-p99"], f[prefix+"produce-p50"] = p.Rate, p.P99, p.P50
	f[prefix+"produce-cpu"] = cpu.Seconds() / gigabytes(load.Records)
	return nil
}

func (s *stage) consume(topic, prefix string, records int, f figures) error {
	var c tool.Consumed
	cpu, err := s.cpu(func() (err error) {
		c, err = s.tools.Consume(s.ctx, s.nodes.Addresses(), topic, records)
		return err
	})
	if err != nil {
		return err
	}
	f[prefix+"consume-cpu"] = cpu.Seconds() / gigabytes(c.Records)
	f[prefix+"consume"] = c.Bytes / 1e6 / c.Fetch.Seconds()
	return nil
}

func gigabytes(records int) float64 { return float64(records) * recordSize / 1e9 }

func flushed(s *stage) (figures, error) {
	const topic = "flushed"
	each := "1"
	if err := s.topic(topic, 6, map[string]*string{"flush.messages": &each}); err != nil {
		return nil, err
	}
	p, err := s.tools.Produce(s.ctx, s.nodes.Addresses(), tool.ProduceLoad{
		Topic: topic, Records: s.size.Flushed, RecordSize: recordSize, Warmup: s.size.Flushed / 6,
	})
	return figures{"produce-flushed": p.Rate, "produce-flushed-p99": p.P99}, err
}

func latency(s *stage) (figures, error) {
	const topic, rate = "latency", 20_000
	if err := s.topic(topic, 6, nil); err != nil {
		return nil, err
	}
	p, err := s.tools.Produce(s.ctx, s.nodes.Addresses(), tool.ProduceLoad{
		Topic: topic, RecordSize: recordSize, Rate: rate, Properties: []string{"linger.ms=0"},
		Records: int((s.size.LatencyWarmup + s.size.Latency).Seconds() * rate),
		Warmup:  int(s.size.LatencyWarmup.Seconds() * rate),
	})
	if err != nil {
		return nil, err
	}
	own, err := s.tools.Bench(s.ctx, s.nodes.Addresses(), "produce", "--topic", topic, "--rate", "20000", "--record-size", "1024",
		"--linger", "0s", "--warmup", "2s", "--duration", s.size.Latency.String())
	return figures{
		"latency-p99": p.P99, "latency-p999": p.P999, "latency-p50": p.P50, "latency-rate": p.Rate,
		"latency-own-p99": own.Latency.P99, "latency-own-p999": own.Latency.P999, "latency-own-p50": own.Latency.P50,
		"latency-own-rate": own.RecordsPerSecond,
	}, err
}

func endToEnd(s *stage) (figures, error) {
	const topic = "end-to-end"
	if err := s.topic(topic, 1, nil); err != nil {
		return nil, err
	}
	if _, err := s.tools.Latency(s.ctx, s.nodes.Addresses(), topic, s.size.EndToEnd/5, 100); err != nil {
		return nil, err
	}
	e, err := s.tools.Latency(s.ctx, s.nodes.Addresses(), topic, s.size.EndToEnd, 100)
	return figures{"e2e-mean": e.Mean, "e2e-p99": e.P99, "e2e-p50": e.P50, "e2e-p999": e.P999}, err
}

func many(s *stage) (figures, error) {
	const topic = "many"
	if err := s.topic(topic, int32(s.size.ManyPartitions), nil); err != nil {
		return nil, err
	}
	load := []string{"--topic", topic, "--rate", "0", "--record-size", "100", "--keys", "100000", "--producers", "50", "--linger", "5ms"}
	// A broker whose compiler is cold takes long for its first requests with 1,000 batches each.
	if _, err := s.tools.Bench(s.ctx, s.nodes.Addresses(), "produce", append(load, "--records", strconv.Itoa(s.size.ManyWarmup))...); err != nil {
		return nil, err
	}
	own, err := s.tools.Bench(s.ctx, s.nodes.Addresses(), "produce", append(load, "--warmup", "2s", "--duration", s.size.Many.String())...)
	return figures{"many": own.RecordsPerSecond, "many-p99": own.Latency.P99}, err
}
