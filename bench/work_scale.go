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
	rate := producers / every.Seconds()
	var topics []string
	for i := range groups {
		topics = append(topics, fmt.Sprintf("crowd-%d", i))
	}
	if err := s.topics(topics, 1, nil); err != nil {
		return nil, err
	}
	c, err := crowd.Gather(s.ctx, s.nodes.Addresses(), crowd.Load{Idle: 1000, Producers: producers, Every: every, RecordSize: 200, Topics: topics})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Leave()) }()
	if err := s.carried(c, rate); err != nil {
		return nil, err
	}
	var load share
	cpu, err := s.cpu(func() (err error) {
		load, err = s.over(c, s.size.Crowd, rate)
		return err
	})
	if err == nil && !load.whole() {
		err = fmt.Errorf("the load was not carried: %.0f %% of the records were acknowledged and %.0f %% read", load.sent*100, load.read*100)
	}
	if err != nil {
		return nil, err
	}
	m, memoryErr := proc.MemoryOf(s.nodes.PIDs()...)
	return figures{
		"connections-cpu": cpu.Seconds(), "connections-sent": load.sent, "connections-read": load.read,
		"connections-memory": megabytes(m.Resident),
	}, memoryErr
}

// share is what was done of what a rate wants.
type share struct{ sent, read float64 }

// whole allows for what is on its way at the two ends of a span.
func (s share) whole() bool { return min(s.sent, s.read) > 0.9 && max(s.sent, s.read) < 1.1 }

// over counts what the crowd does in a span.
func (s *stage) over(c *crowd.Crowd, span time.Duration, rate float64) (share, error) {
	sentBefore, readBefore, _ := c.Count()
	if err := s.wait(span); err != nil {
		return share{}, err
	}
	sent, read, err := c.Count()
	want := rate * span.Seconds()
	return share{float64(sent-sentBefore) / want, float64(read-readBefore) / want}, err
}

// carried waits until the broker has kept up with the load for a while: groups form and compilers compile at first.
func (s *stage) carried(c *crowd.Crowd, rate float64) error {
	const span, inRow, patience = 2 * time.Second, 3, 45
	kept := 0
	var last share
	for range patience {
		var err error
		if last, err = s.over(c, span, rate); err != nil {
			return err
		}
		kept++
		if !last.whole() {
			kept = 0
		}
		if kept == inRow {
			return nil
		}
	}
	return fmt.Errorf("the load is not carried: %.0f %% of the records are acknowledged and %.0f %% read", last.sent*100, last.read*100)
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
	if _, err := s.tools.Bench(s.ctx, s.nodes.Addresses(), "produce", "--topic", topic, "--rate", "0", "--record-size", "10",
		"--keys", fmt.Sprint(records), "--records", fmt.Sprint(records)); err != nil {
		return nil, err
	}
	written, err := s.settled()
	if err != nil {
		return nil, err
	}
	f := figures{}
	f["idle-partition"], f["idle-partition-private"] = growth(before, made, s.size.IdlePartitions)
	f["idle-partition-written"], f["idle-partition-written-private"] = growth(before, written, s.size.IdlePartitions)
	return f, nil
}

// growth is by how many kilobytes memory grew for each of count things.
func growth(from, to proc.Memory, count int) (resident, private float64) {
	n := float64(count) * 1e3
	return float64(to.Resident-from.Resident) / n, float64(to.Private-from.Private) / n
}

// settled is the memory of all nodes after some time of rest.
func (s *stage) settled() (proc.Memory, error) {
	if err := s.wait(settle); err != nil {
		return proc.Memory{}, err
	}
	return proc.MemoryOf(s.nodes.PIDs()...)
}
