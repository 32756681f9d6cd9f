package streams

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/timeline"
	"github.com/headrace/headrace/internal/core/machine"
)

// cluster is topics whose ids end in their place in names.
type cluster struct {
	names      []string
	partitions []int32
	version    uint64
}

func (c *cluster) create(name string, partitions int32) {
	c.names, c.partitions = append(c.names, name), append(c.partitions, partitions)
	c.version++
}

func (c *cluster) grow(name string, by int32) {
	c.partitions[slices.Index(c.names, name)] += by
	c.version++
}

func (c *cluster) ID(name string) (kafka.TopicID, bool) {
	i := slices.Index(c.names, name)
	return kafka.TopicID{0: 1, 15: byte(i)}, i >= 0
}

func (c *cluster) Partitions(id kafka.TopicID) int32   { return c.partitions[id[15]] }
func (c *cluster) Racks(kafka.TopicID, int32) []string { return nil }
func (c *cluster) Version() uint64                     { return c.version }

// coordinator runs one Group on a log in memory.
type coordinator struct {
	group   *Group
	live    *Live
	topics  *cluster
	history *timeline.History
	log     []machine.Record
	now     time.Time
	config  Config
	timers  map[timerKey]time.Time
	create  []InternalTopic // topics that are being made
}

type timerKey struct {
	kind   TimerKind
	member string
}

func newCoordinator() *coordinator {
	c := &coordinator{topics: &cluster{version: 1}, now: time.UnixMilli(1_000_000), config: DefaultConfig()}
	c.config.MaxSize, c.config.InitialRebalanceDelay, c.config.AssignmentInterval = 100, 0, 0
	c.reload()
	return c
}

// reload is a coordinator that knows nothing but the log.
func (c *coordinator) reload() {
	c.history, c.timers, c.live, c.create = &timeline.History{}, map[timerKey]time.Time{}, &Live{}, nil
	c.group = NewGroup("g", c.history)
	for off, r := range c.log {
		c.apply(off, r)
	}
	c.history.Commit(kafka.Offset(len(c.log)))
	t := c.turn()
	t.StartTimers(c.group)
	c.set(t)
}

func (c *coordinator) apply(off int, r machine.Record) {
	k := kbin.Reader{Src: r.Key}
	kind := k.Int16()
	_, name, err := ReadKey(kind, &k)
	if err == nil {
		err = c.group.Apply(kafka.Offset(off), kind, name, r.Value)
	}
	if err != nil {
		panic(err)
	}
}

func (c *coordinator) turn() *Turn {
	return &Turn{Now: c.now, Topics: c.topics, Config: c.config, Live: c.live}
}

// take does what a Turn asks for.
func (c *coordinator) take(t *Turn) {
	for _, r := range t.Out.Records {
		c.apply(len(c.log), r)
		c.log = append(c.log, r)
	}
	c.history.Commit(kafka.Offset(len(c.log)))
	c.set(t)
}

// lose is an append that failed: the records were applied and are undone.
func (c *coordinator) lose(t *Turn) {
	for i, r := range t.Out.Records {
		c.apply(len(c.log)+i, r)
	}
	c.history.Revert(kafka.Offset(len(c.log)))
	c.group.Forget()
	c.set(t)
	again := c.turn()
	again.StartTimers(c.group)
	c.set(again)
}

func (c *coordinator) set(t *Turn) {
	for _, timer := range t.Out.Timers {
		k := timerKey{timer.Kind, timer.Member}
		if delete(c.timers, k); !timer.Stop {
			c.timers[k] = c.now.Add(timer.After)
		}
	}
	c.create = append(c.create, t.Out.Create...)
}

// advance lets time go by.
func (c *coordinator) advance(d time.Duration) {
	end := c.now.Add(d)
	for {
		var first *timerKey
		for k, at := range c.timers {
			if !at.After(end) && (first == nil || at.Before(c.timers[*first]) || at.Equal(c.timers[*first]) && k.member < first.member) {
				first = &k
			}
		}
		if first == nil {
			break
		}
		c.now = c.timers[*first]
		delete(c.timers, *first)
		t := c.turn()
		if err := t.Expired(c.group, first.kind, first.member); err != nil {
			panic(err)
		}
		c.take(t)
	}
	c.now = end
}

// created ends the making of topics. Those in refused are not made.
func (c *coordinator) created(refused ...string) {
	failed := map[string]string{}
	for _, topic := range c.create {
		if slices.Contains(refused, topic.Name) {
			failed[topic.Name] = "no"
		} else if !slices.Contains(c.topics.names, topic.Name) {
			c.topics.create(topic.Name, topic.Partitions)
		}
	}
	t := c.turn()
	t.Created(c.create, failed)
	c.create = nil
}
