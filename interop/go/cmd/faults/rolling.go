//go:build linux

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/headrace/headrace/interop/go/cluster"
)

// restarted is one orderly restart of a node, and how long the clients had to wait in each part of it, in seconds.
type restarted struct {
	Node       int     `json:"node"`
	Controller bool    `json:"controller"`
	Stopped    float64 `json:"stopped"` // from SIGTERM to the end of the process
	Synced     float64 `json:"synced"`  // from its start until all replicas are in sync
	// Acks and Deliveries are the longest gaps of each lane of the load, by the part of the restart: see parts.
	Acks       map[string][]float64 `json:"acks"`
	Deliveries map[string][]float64 `json:"deliveries"`
	// Worst is the lane with the longest gap of all.
	Worst    string  `json:"worst"`
	WorstGap float64 `json:"worst_gap"`
}

// parts of a restart: the node stops; it starts and catches up; it gets its leaderships back.
var parts = []string{"stop", "start", "back"}

// settled is how long the load goes on after each part, so that a gap that the part began is seen.
const settled = 500 * time.Millisecond

// rollingRestarts stops and starts the nodes one after the other, as an operator does, under a load that must not notice.
func (o options) rollingRestarts(ctx context.Context, c *cluster.Cluster) (good bool, err error) {
	return o.underLoad(ctx, c, true, func(s *stage) error {
		for round := range o.rolling {
			for _, n := range c.Nodes {
				s.wait(o.pace)
				if time.Since(s.begun) > o.time || s.ctx.Err() != nil {
					return nil
				}
				if err := s.restart(n, fmt.Sprintf("round %d", round+1)); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// restart does one node, and waits until all is as before.
func (s *stage) restart(n *cluster.Node, doing string) error {
	r := restarted{Node: n.ID, Acks: map[string][]float64{}, Deliveries: map[string][]float64{}}
	if id, err := s.cluster.Controller(s.ctx); err == nil {
		r.Controller = id == n.ID
	}
	s.recorder.Phase(fmt.Sprintf("%s, node %d", doing, n.ID))
	s.load.Gaps.Take(time.Now())
	begun := time.Now()
	if err := n.Stop(stopTime); err != nil {
		s.report.anomaly("not-stopped", err.Error()+", "+doing)
	}
	r.Stopped = time.Since(begun).Seconds()
	s.wait(settled)
	s.take(&r, "stop")
	begun = time.Now()
	if err := n.Start(); err != nil {
		return err
	}
	if err := s.insync(); err != nil {
		return err
	}
	r.Synced = time.Since(begun).Seconds()
	s.wait(settled)
	s.take(&r, "start")
	if err := s.giveBack(); err != nil {
		return err
	}
	s.wait(settled)
	s.take(&r, "back")
	s.report.Restarts = append(s.report.Restarts, r)
	who := fmt.Sprintf("%s, node %d", doing, n.ID)
	if r.Controller {
		who += " (controller)"
	}
	s.say("%-30s stopped in %.2f s, in sync %.2f s after its start; longest gap %.0f ms: %s", who, r.Stopped, r.Synced, r.WorstGap*1000, r.Worst)
	return nil
}

// take notes the gaps of one part.
func (s *stage) take(r *restarted, part string) {
	for lane, gap := range s.load.Gaps.Take(time.Now()) {
		of := r.Deliveries
		if strings.Contains(lane.Who, "producer") {
			of = r.Acks
		}
		of[part] = append(of[part], gap.Seconds())
		if gap.Seconds() > r.WorstGap {
			r.WorstGap, r.Worst = gap.Seconds(), fmt.Sprintf("%s, partition %d, in %s", lane.Who, lane.Partition, part)
		}
	}
}

// insync waits until the cluster is well, that of the groups' topic included, as an operator does between two nodes.
func (s *stage) insync() error {
	ctx, cancel := context.WithTimeout(s.ctx, syncTime)
	defer cancel()
	for _, t := range []string{topic, groupsTopic} {
		if err := s.cluster.InSync(ctx, t); err != nil {
			s.report.anomaly("not-in-sync", err.Error())
			return errStuck
		}
	}
	return nil
}

// groupsTopic holds the groups, in so many partitions.
const (
	groupsTopic      = "__consumer_offsets"
	groupsPartitions = 4
)

// giveBack has the preferred replicas elected, as the cluster does by itself in a while: each node has something to hand over.
func (s *stage) giveBack() error {
	ctx, cancel := context.WithTimeout(s.ctx, syncTime)
	defer cancel()
	if err := s.cluster.ElectPreferred(ctx, topic, partitions); err != nil {
		return err
	}
	return s.cluster.ElectPreferred(ctx, groupsTopic, groupsPartitions)
}

// printRestarts tells of all restarts together: the quantiles are over the lanes of each.
func (r *report) printRestarts() {
	if len(r.Restarts) == 0 {
		return
	}
	fmt.Printf("\n%-34s %6s %8s %8s %8s\n", "longest gaps, ms", "lanes", "p50", "p99", "longest")
	row := func(what string, values []float64) {
		fmt.Printf("%-34s %6d %8.0f %8.0f %8.0f\n", what, len(values), quantile(values, 0.5)*1000, quantile(values, 0.99)*1000, quantile(values, 1)*1000)
	}
	var stopped, synced []float64
	for _, part := range parts {
		var acks, deliveries []float64
		for _, s := range r.Restarts {
			acks, deliveries = slices.Concat(acks, s.Acks[part]), slices.Concat(deliveries, s.Deliveries[part])
		}
		row(part+": between acknowledgements", acks)
		row(part+": between deliveries", deliveries)
	}
	for _, s := range r.Restarts {
		stopped, synced = append(stopped, s.Stopped), append(synced, s.Synced)
	}
	row("SIGTERM to the end of the process", stopped)
	row("start to all in sync", synced)
}
