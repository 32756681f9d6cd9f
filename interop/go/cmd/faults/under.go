//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/headrace/headrace/interop/go/cluster"
	"github.com/headrace/headrace/interop/go/disk"
	"github.com/headrace/headrace/interop/go/history"
	"github.com/headrace/headrace/interop/go/load"
	"github.com/headrace/headrace/interop/go/replicas"
)

// underFaults runs the load while faults strike.
func (o options) underFaults(ctx context.Context, c *cluster.Cluster) (good bool, err error) {
	faults, err := chooseFaults(o.faults, o.plain)
	if err != nil {
		return false, err
	}
	return o.underLoad(ctx, c, false, func(s *stage) error {
		return s.faults(faults, o.count, s.begun.Add(max(o.time*3/4, o.time-2*time.Minute)))
	})
}

// underLoad runs the load while something is done to the cluster, heals, reads everything back and judges.
func (o options) underLoad(ctx context.Context, c *cluster.Cluster, steady bool, deed func(*stage) error) (good bool, err error) {
	r := newReport(o, steady)
	s := &stage{ctx: ctx, cluster: c, chance: rand.New(rand.NewPCG(o.seed, 1)), report: r, begun: time.Now(), flips: map[int][]disk.Flip{}, recorder: &history.Recorder{}}
	if err := s.open(o, topic, partitions); err != nil {
		return false, err
	}
	into := ""
	if o.transactions {
		into = copies
	}
	clients, err := os.Create(filepath.Join(c.Folder, "clients.log"))
	if err != nil {
		return false, err
	}
	defer clients.Close()
	s.load, err = load.Start(load.Config{Seeds: c.Addresses(), Topic: topic, Partitions: partitions, Copies: into, Rate: o.rate,
		Recorder: s.recorder, Seed: o.seed, Steady: steady, Note: r.complaint, Log: clients,
		Python: o.python, PythonClient: o.pythonClient})
	if err != nil {
		return false, err
	}
	defer s.load.Stop()
	if err := s.recover(fault{name: "start"}); err != nil {
		return false, fmt.Errorf("the load does not begin: %w", err)
	}
	s.say("the load runs")
	stuck := deed(s)
	if stuck != nil && !errors.Is(stuck, errStuck) && ctx.Err() == nil {
		return false, stuck
	}
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	ends := s.finish(into)
	s.say("reading back is done")
	s.compare(ends)
	for _, n := range c.Nodes {
		for _, line := range n.Cries() {
			r.anomaly("panic", line)
		}
	}
	r.judge(s.recorder, s.load.Acks.Gaps())
	r.print()
	return r.good(), r.write(o.json)
}

// open starts the cluster and makes the topic.
func (s *stage) open(o options, topic string, partitions int32) error {
	ctx, cancel := context.WithTimeout(s.ctx, 2*time.Minute)
	defer cancel()
	if err := s.cluster.Start(); err != nil {
		return err
	}
	configs := map[string]*string{}
	for _, line := range append([]string{"segment.bytes=1048576"}, o.topicLines...) {
		name, value := cut(line)
		configs[name] = &value
	}
	topics := []string{topic}
	if o.transactions {
		topics = append(topics, copies)
	}
	for _, name := range topics {
		if err := s.cluster.CreateTopic(ctx, name, partitions, configs); err != nil {
			return err
		}
	}
	return s.cluster.InSync(ctx, topic)
}

// faults strikes until the time is over or count faults were made: in rounds, each with every fault once, in an order by chance.
func (s *stage) faults(list []fault, count int, until time.Time) error {
	for made := 0; ; {
		for _, i := range s.chance.Perm(len(list)) {
			if count > 0 && made == count || time.Now().After(until) || s.ctx.Err() != nil {
				return nil
			}
			if err := s.strike(list[i]); err != nil {
				return err
			}
			made++
			s.rest()
		}
	}
}

// rest lets the cluster come to rest after some faults; after the others the next strikes soon.
func (s *stage) rest() {
	s.wait(time.Duration(s.chance.Int64N(int64(2 * time.Second))))
	if s.chance.IntN(2) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, syncTime)
	defer cancel()
	if err := s.cluster.InSync(ctx, topic); err != nil && s.ctx.Err() == nil {
		s.report.anomaly("not-in-sync", err.Error())
	}
}

// finish heals, ends the load with everything acknowledged, and reads back, the topic of copies too if there is one. It returns the high
// watermarks.
func (s *stage) finish(copies string) map[int32]int64 {
	ctx, cancel := context.WithTimeout(s.ctx, 3*time.Minute)
	defer cancel()
	step := func(kind string, err error) {
		if err != nil {
			s.report.anomaly(kind, err.Error())
		}
	}
	step("not-healed", s.heal())
	sync, cancelSync := context.WithTimeout(ctx, syncTime)
	defer cancelSync()
	step("not-in-sync", s.cluster.InSync(sync, topic))
	s.load.StopSending()
	ends, err := s.cluster.Ends(ctx, topic)
	step("unavailable", err)
	for p, end := range s.recorder.AckedEnds() {
		ends[p] = max(ends[p], end)
	}
	reading, cancelReading := context.WithTimeout(ctx, 90*time.Second)
	defer cancelReading()
	step("not-read", s.load.ReadAll(reading, ends))
	step("group-behind", s.load.GroupAt(reading, ends))
	if copies != "" {
		step("group-behind", s.load.CopiedUpTo(reading, ends))
		copied, err := s.cluster.Ends(ctx, copies)
		step("unavailable", err)
		verdict, err := s.load.ReadCopies(reading, copied)
		step("not-read", err)
		s.report.judged(verdict)
	}
	s.load.Stop()
	return ends
}

// compare stops the nodes and holds their files against each other.
func (s *stage) compare(ends map[int32]int64) {
	if err := s.cluster.Stop(stopTime); err != nil && s.cluster.Product.MayHang {
		s.report.note("a node had to be killed in the end", err.Error())
	} else if err != nil {
		s.report.anomaly("not-stopped", err.Error())
	}
	seed := maphash.MakeSeed()
	for p := range int32(partitions) {
		var all [cluster.Size][]replicas.Batch
		for i, n := range s.cluster.Nodes {
			files, err := n.Segments(topic, p)
			if err == nil && len(files) == 0 {
				err = fmt.Errorf("it has no files of %s-%d", topic, p)
			}
			if err == nil {
				all[i], err = replicas.Read(files, seed)
			}
			if err != nil {
				s.differ(fmt.Sprintf("node %d, partition %d: %v", n.ID, p, err), n.ID)
			}
		}
		for _, pair := range [][2]int{{0, 1}, {1, 2}, {0, 2}} {
			s.report.Compared += len(all[pair[0]])
			if d := replicas.Compare(all[pair[0]], all[pair[1]], ends[p]); d != nil {
				s.differ(fmt.Sprintf("partition %d, nodes %d and %d: %s", p, pair[0]+1, pair[1]+1, d.Text), pair[0]+1, pair[1]+1)
			}
		}
	}
}

// differ notes a difference. On a node whose bits were turned it may be bytes that nobody has read, which is worth a note.
func (s *stage) differ(text string, nodes ...int) {
	for _, id := range nodes {
		if s.report.flipped[id] > 0 {
			s.report.note("turned bits are still there", text)
			return
		}
	}
	s.report.anomaly("replicas-differ", text)
}
