package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/headrace/headrace/bench/crowd"
	"github.com/headrace/headrace/bench/proc"
)

func connections(s *stage) (f figures, err error) {
	const groups, producers, every = 50, 200, 100 * time.Millisecond
	var topics []string
	for i := range groups {
		topics = append(topics, fmt.Sprintf("crowd-%d", i))
	}
	if err := s.topics(topics, 1, nil); err != nil {
		return nil, err
	}
	c, err := crowd.Gather(s.ctx, s.server.Address, crowd.Load{Idle: 1000, Producers: producers, Every: every, RecordSize: 200, Topics: topics})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Leave()) }()
	if err := s.wait(max(s.size.Crowd, 8*time.Second)); err != nil { // groups form, JIT compilers compile
		return nil, err
	}
	sentBefore, readBefore, _ := c.Count()
	cpu, err := s.cpu(func() error { return s.wait(s.size.Crowd) })
	if err != nil {
		return nil, err
	}
	sent, read, err := c.Count()
	sent, read = sent-sentBefore, read-readBefore
	want := float64(producers) * s.size.Crowd.Seconds() / every.Seconds()
	if err == nil && (float64(sent) < 0.9*want || float64(read) < 0.9*want) {
		err = fmt.Errorf("the load was not carried: of %.0f records %d were acknowledged and %d read", want, sent, read)
	}
	m, memoryErr := proc.MemoryOf(s.server.PID())
	return figures{
		"connections-cpu": cpu.Seconds(), "connections-sent": float64(sent), "connections-read": float64(read),
		"connections-memory": megabytes(m.Resident),
	}, errors.Join(err, memoryErr)
}

func idlePartitions(s *stage) (figures, error) {
	const topic = "idle"
	before, err := s.settled()
	if err != nil {
		return nil, err
	}
	if err := s.topic(topic, int32(s.size.IdlePartitions), nil); err != nil {
		return nil, err
	}
	made, err := s.settled()
	if err != nil {
		return nil, err
	}
	// Keys of several times as many values leave no partition out.
	records := 12 * s.size.IdlePartitions
	if _, err := s.tools.Bench(s.ctx, s.server.Address, "produce", "--topic", topic, "--rate", "0", "--record-size", "10",
		"--keys", fmt.Sprint(records), "--records", fmt.Sprint(records)); err != nil {
		return nil, err
	}
	written, err := s.settled()
	if err != nil {
		return nil, err
	}
	each := func(m, base proc.Memory) (resident, private float64) {
		n := float64(s.size.IdlePartitions) * 1e3
		return float64(m.Resident-base.Resident) / n, float64(m.Private-base.Private) / n
	}
	f := figures{}
	f["idle-partition"], f["idle-partition-private"] = each(made, before)
	f["idle-partition-written"], f["idle-partition-written-private"] = each(written, before)
	return f, nil
}

// settled is the broker's memory after some time of rest.
func (s *stage) settled() (proc.Memory, error) {
	if err := s.wait(settle); err != nil {
		return proc.Memory{}, err
	}
	return proc.MemoryOf(s.server.PID())
}
