package main

import (
	"fmt"
	"strconv"

	"github.com/headrace/headrace/bench/proc"
	"github.com/headrace/headrace/bench/tool"
)

const (
	oldTopic, liveTopic = "old", "live"
	readRate            = 100_000
)

func cold(s *stage) (figures, error) {
	if err := s.topics([]string{oldTopic, liveTopic}, 6, nil); err != nil {
		return nil, err
	}
	if _, err := s.tools.Produce(s.ctx, s.nodes.Addresses(), tool.ProduceLoad{Topic: oldTopic, Records: s.size.ColdRecords, RecordSize: recordSize}); err != nil {
		return nil, err
	}
	syncDisks()
	if _, err := s.live(); err != nil { // warms up
		return nil, err
	}
	alone, err := s.live()
	if err != nil {
		return nil, err
	}
	warm, warmDisk, err := s.besideReader()
	if err != nil {
		return nil, err
	}
	old := partitionDirs(oldTopic)
	if _, err := proc.Evict(s.nodes[0].DataDir(), func(path string) bool { return !old(path) }); err != nil {
		return nil, err
	}
	coldLoad, coldDisk, err := s.besideReader()
	if err != nil {
		return nil, err
	}
	read := float64(s.reads()) * recordSize
	if float64(coldDisk) < read/2 {
		return nil, fmt.Errorf("the records were not cold: %.0f MB were read, only %.0f MB of them from the disk", read/1e6, megabytes(coldDisk))
	}
	return figures{
		"cold-alone-p99": alone.Latency.P99, "cold-warm-p99": warm.Latency.P99, "cold-p99": coldLoad.Latency.P99,
		"cold-alone-p999": alone.Latency.P999, "cold-warm-p999": warm.Latency.P999, "cold-p999": coldLoad.Latency.P999,
		"cold-rise":      coldLoad.Latency.P99 / warm.Latency.P99,
		"cold-disk-read": megabytes(coldDisk), "cold-warm-disk-read": megabytes(warmDisk),
	}, nil
}

// reads is the number of old records that are read beside a producer.
func (s *stage) reads() int {
	return min(s.size.ColdRecords, int(s.size.Cold.Seconds()*readRate))
}

// live is the producer whose latency is watched.
func (s *stage) live() (tool.Load, error) {
	return s.tools.Bench(s.ctx, s.nodes.Addresses(), "produce", "--topic", liveTopic, "--rate", "20000", "--record-size", strconv.Itoa(recordSize),
		"--linger", "0s", "--warmup", "1s", "--duration", s.size.Cold.String())
}

// besideReader is live while old records are read at a fixed rate, and the bytes that came from the disk for that.
func (s *stage) besideReader() (tool.Load, int64, error) {
	before, err := proc.DiskRead(s.nodes[0].PID())
	if err != nil {
		return tool.Load{}, 0, err
	}
	reader := make(chan error, 1)
	go func() {
		_, err := s.tools.Bench(s.ctx, s.nodes.Addresses(), "consume", "--topic", oldTopic, "--rate", strconv.Itoa(readRate),
			"--records", strconv.Itoa(s.reads()))
		reader <- err
	}()
	load, err := s.live()
	if readErr := <-reader; err == nil {
		err = readErr
	}
	if err != nil {
		return load, 0, err
	}
	after, err := proc.DiskRead(s.nodes[0].PID())
	return load, after - before, err
}
