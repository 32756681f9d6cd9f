//go:build linux

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/headrace/headrace/interop/go/cluster"
	"github.com/headrace/headrace/interop/go/history"
)

const (
	input, output, group = "input", "output", "copiers"
	partitions           = 4
	copiers              = 2
	// look is how often the copiers are looked after; a kill comes every calm of these on average.
	look = 250 * time.Millisecond
	calm = 20
	// down is how long a node that was killed stays away.
	down = 3 * time.Second
)

// stage is the cluster, the copiers, and what was done to them.
type stage struct {
	cluster *cluster.Cluster
	copiers []*copier
	begun   time.Time
	chance  *rand.Rand
	input   map[int32][]history.Value

	killedNodes, killedCopiers, failedCopiers int
}

func (s *stage) say(format string, args ...any) {
	fmt.Printf("%7.1fs  %s\n", time.Since(s.begun).Seconds(), fmt.Sprintf(format, args...))
}

// open starts the cluster and fills the input.
func (s *stage) open(ctx context.Context, messages int) error {
	if err := s.cluster.Start(); err != nil {
		return err
	}
	for _, topic := range []string{input, output} {
		if err := s.cluster.CreateTopic(ctx, topic, partitions, nil); err != nil {
			return err
		}
		if err := s.cluster.InSync(ctx, topic); err != nil {
			return err
		}
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.cluster.Addresses()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return err
	}
	defer cl.Close()
	s.input = map[int32][]history.Value{}
	var failed error
	for n := range messages {
		for p := range int32(partitions) {
			v := history.NewValue(int(p), n)
			s.input[p] = append(s.input[p], v)
			r := &kgo.Record{Topic: input, Partition: p, Value: []byte(strconv.FormatUint(uint64(v), 10))}
			cl.Produce(ctx, r, func(_ *kgo.Record, err error) {
				if err != nil {
					failed = err
				}
			})
		}
	}
	if err := cl.Flush(ctx); err != nil {
		return err
	}
	s.say("the input is there: %d records", messages*partitions)
	return failed
}

// strike kills nodes and copiers until everything is copied.
func (s *stage) strike(ctx context.Context) error {
	for _, c := range s.copiers {
		if err := c.start(); err != nil {
			return err
		}
	}
	back := map[*cluster.Node]time.Time{} // when a node that was killed is started again
	for ctx.Err() == nil {
		wait(ctx, look)
		if err := s.lookAfter(back); err != nil {
			return err
		}
		if s.copied(ctx) {
			return nil
		}
		if s.chance.IntN(calm) > 0 {
			continue
		}
		if n := s.cluster.Nodes[s.chance.IntN(cluster.Size)]; len(back) == 0 && s.chance.IntN(2) == 0 {
			s.say("kill -9 node %d", n.ID)
			n.Kill()
			s.killedNodes++
			back[n] = time.Now().Add(down)
		} else {
			c := s.copiers[s.chance.IntN(copiers)]
			s.say("kill -9 copier %d", c.id)
			c.kill()
			s.killedCopiers++
			if err := c.start(); err != nil {
				return err
			}
		}
	}
	return fmt.Errorf("not everything is copied in time: %w", ctx.Err())
}

// lookAfter starts again what has ended.
func (s *stage) lookAfter(back map[*cluster.Node]time.Time) error {
	for n, at := range back {
		if time.Now().After(at) {
			delete(back, n)
			if err := n.Start(); err != nil {
				return err
			}
		}
	}
	for _, n := range s.cluster.Nodes {
		if _, away := back[n]; !away && !n.Alive() {
			return fmt.Errorf("node %d ended by itself; its log ends with:\n%s", n.ID, n.LogTail())
		}
	}
	for _, c := range s.copiers {
		over, err := c.over()
		if !over {
			continue
		}
		if err != nil {
			s.say("copier %d ended: %v", c.id, err)
			s.failedCopiers++
		}
		if err := c.start(); err != nil {
			return err
		}
	}
	return nil
}

// copied tells whether the group has committed the end of the input.
func (s *stage) copied(ctx context.Context) bool {
	cl, err := s.client()
	if err != nil {
		return false
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	committed, err := kadm.NewClient(cl).FetchOffsets(ctx, group)
	if err != nil {
		return false
	}
	for p, values := range s.input {
		if o, ok := committed.Lookup(input, p); !ok || o.At < int64(len(values)) {
			return false
		}
	}
	return true
}

func (s *stage) killCopiers() {
	for _, c := range s.copiers {
		c.kill()
	}
}

func (s *stage) client(more ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append(more, kgo.SeedBrokers(s.cluster.Addresses()...), kgo.MetadataMinAge(100*time.Millisecond), kgo.DialTimeout(time.Second))...)
}

// read returns what a reader of committed records is given of the output. The nodes that are away come back first, and what copiers left
// open is over when its time is.
func (s *stage) read(ctx context.Context) (map[int32][]history.Value, error) {
	s.say("everything is copied")
	s.killCopiers()
	if err := s.cluster.Start(); err != nil {
		return nil, err
	}
	if err := s.cluster.InSync(ctx, output); err != nil {
		return nil, err
	}
	ends, err := s.cluster.Ends(ctx, output)
	if err != nil {
		return nil, err
	}
	cl, err := s.client(kgo.ConsumeTopics(output), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	values, at := map[int32][]history.Value{}, map[int32]int64{}
	for reached := false; !reached; {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("the output cannot be read to its end: at %v of %v", at, ends)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			at[r.Partition] = r.Offset + 1
			if !r.Attrs.IsControl() {
				values[r.Partition] = append(values[r.Partition], value(r.Value))
			}
		})
		reached = true
		for p, end := range ends {
			reached = reached && at[p] >= end
		}
	}
	return values, nil
}

func value(b []byte) history.Value {
	v, err := strconv.ParseUint(string(b), 10, 64)
	if err != nil {
		return history.Damaged
	}
	return history.Value(v)
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
