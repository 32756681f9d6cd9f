//go:build linux

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/headrace/headrace/interop/go/cluster"
)

// failover is one way for a partition to lose its leader.
type failover struct {
	name, what string
	// before brings the cluster into the state that is wanted; nil for any.
	before func(*clocked) error
	// away takes the leadership away from the node; the clock runs from its call. Back mends that.
	away, back func(*clocked, *cluster.Node) error
}

func failovers() []failover {
	start := func(_ *clocked, n *cluster.Node) error { return n.Start() }
	kill := func(_ *clocked, n *cluster.Node) error { n.Kill(); return nil }
	signal := func(g syscall.Signal) func(*clocked, *cluster.Node) error {
		return func(_ *clocked, n *cluster.Node) error { return n.Signal(g) }
	}
	return []failover{
		{"kill", "kill -9 of the leader", nil, kill, start},
		{"kill-both", "kill -9 of the leader, which leads the metadata quorum too", (*clocked).together, kill, start},
		{"pause", "SIGSTOP of the leader", nil, signal(syscall.SIGSTOP), signal(syscall.SIGCONT)},
		{"move", "planned move: the replicas are reordered and the first one elected", nil, (*clocked).move, func(*clocked, *cluster.Node) error { return nil }},
		{"term", "SIGTERM of the leader, as in a rolling restart", nil, func(_ *clocked, n *cluster.Node) error { return n.Stop(stopTime) }, start},
	}
}

func failoverNames() (names []string) {
	for _, f := range failovers() {
		names = append(names, f.name)
	}
	return names
}

const (
	failoverTopic = "failover"
	produceWait   = 200 * time.Millisecond
	produceExtra  = 100 * time.Millisecond
	// failoverSettings are what the client that measures was told.
	failoverSettings = "franz-go: acks=all, idempotent, one record at a time, MetadataMinAge 50ms, retry pause 20ms, produce timeout 0.2s + 0.1s, dial timeout 0.5s"
)

// clocked is a partition with a producer that always has one record on its way.
type clocked struct {
	*stage
	cl *kgo.Client
}

// failovers times how long a partition acknowledges nothing when it loses its leader.
func (o options) failovers(ctx context.Context, c *cluster.Cluster) (good bool, err error) {
	s := &stage{ctx: ctx, cluster: c, begun: time.Now()}
	o.topicLines = append([]string{"min.insync.replicas=2"}, o.topicLines...)
	if err := s.open(o, failoverTopic, 1); err != nil {
		return false, err
	}
	k := &clocked{stage: s}
	k.cl, err = kgo.NewClient(kgo.SeedBrokers(c.Addresses()...), kgo.DefaultProduceTopic(failoverTopic), kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(0), kgo.MetadataMinAge(50*time.Millisecond), kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }),
		kgo.ProduceRequestTimeout(produceWait), kgo.RequestTimeoutOverhead(produceExtra), kgo.DialTimeout(500*time.Millisecond),
		kgo.RequestRetries(1<<30), kgo.RetryTimeout(time.Hour), kgo.UnknownTopicRetries(-1))
	if err != nil {
		return false, err
	}
	defer k.cl.Close()
	fmt.Printf("clients: %s\n", failoverSettings)
	results := map[string][]float64{}
	for _, f := range failovers() {
		if !slices.Contains(strings.Split(o.failoverKinds, ","), f.name) {
			continue
		}
		for i := range o.failover {
			if time.Since(s.begun) > o.time {
				break
			}
			took, err := k.measure(f)
			if err != nil {
				return false, fmt.Errorf("%s %d: %w", f.name, i+1, err)
			}
			results[f.name] = append(results[f.name], took.Seconds()*1000)
			s.say("%-16s %6.0f ms", f.name, took.Seconds()*1000)
		}
	}
	fmt.Printf("\n%-16s %5s %10s %10s %10s   %s\n", "failover, ms", "runs", "p50", "p99", "longest", "what")
	for _, f := range failovers() {
		if v := results[f.name]; len(v) > 0 {
			fmt.Printf("%-16s %5d %10.0f %10.0f %10.0f   %s\n", f.name, len(v), quantile(v, 0.5), quantile(v, 0.99), quantile(v, 1), f.what)
		}
	}
	return true, nil
}

// measure takes the leadership away and returns the time from then to the first acknowledgement of a record that was sent later.
func (k *clocked) measure(f failover) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(k.ctx, 3*time.Minute)
	defer cancel()
	if err := k.cluster.InSync(ctx, failoverTopic); err != nil {
		return 0, err
	}
	if f.before != nil {
		if err := f.before(k); err != nil {
			return 0, err
		}
	}
	for range 20 { // the client is warm, and knows the leader
		if err := k.send(ctx); err != nil {
			return 0, err
		}
	}
	v, err := k.cluster.Look(ctx, failoverTopic)
	if err != nil {
		return 0, err
	}
	n := k.cluster.Node(v.Leaders[0])
	begun := time.Now()
	gone := make(chan error, 1)
	go func() { gone <- f.away(k, n) }()
	took, err := k.longestGap(ctx, begun, gone)
	if err != nil {
		return 0, err
	}
	return took, f.back(k, n)
}

// longestGap sends record after record until the leadership is gone and a record that was sent after that is acknowledged by another
// leader, and returns the longest time between two acknowledgements.
func (k *clocked) longestGap(ctx context.Context, begun time.Time, gone <-chan error) (gap time.Duration, err error) {
	last, done, after := begun, false, 0
	for after < 10 {
		if err := k.send(ctx); err != nil {
			return 0, err
		}
		now := time.Now()
		gap, last = max(gap, now.Sub(last)), now
		if done {
			after++
			continue
		}
		select {
		case err := <-gone:
			if err != nil {
				return 0, err
			}
			done = true
		default:
		}
	}
	return gap, nil
}

func (k *clocked) send(ctx context.Context) error {
	return k.cl.ProduceSync(ctx, &kgo.Record{Value: make([]byte, 100)}).FirstErr()
}

// move makes the next node the leader.
func (k *clocked) move(n *cluster.Node) error {
	return k.lead(n.ID%cluster.Size + 1)
}

// lead has the node elected, if it does not lead already.
func (k *clocked) lead(id int) error {
	ctx, cancel := context.WithTimeout(k.ctx, syncTime)
	defer cancel()
	if err := k.cluster.Reorder(ctx, failoverTopic, 0, id); err != nil {
		return err
	}
	return k.cluster.ElectPreferred(ctx, failoverTopic, 1)
}

// together makes the leader of the metadata quorum the leader of the partition.
func (k *clocked) together() error {
	id, err := k.cluster.Controller(k.ctx)
	if err != nil {
		return err
	}
	return k.lead(id)
}
