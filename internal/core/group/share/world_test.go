package share

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/timeline"
	"github.com/headrace/headrace/internal/core/machine"
)

// testTopics are topics by name; the id of a topic is its name's first letter.
type testTopics struct {
	partitions map[string]int32
	version    uint64
}

func (c *testTopics) set(name string, partitions int32) {
	c.partitions[name] = partitions
	c.version++
}

func (c *testTopics) ID(name string) (kafka.TopicID, bool) {
	return kafka.TopicID{name[0]}, c.partitions[name] > 0
}

func (c *testTopics) Name(id kafka.TopicID) (string, bool) {
	name := string(id[:1])
	return name, c.partitions[name] > 0
}

func (c *testTopics) Partitions(id kafka.TopicID) int32 { return c.partitions[string(id[:1])] }
func (c *testTopics) Version() uint64                   { return c.version }

// world is a group with its log, whose partitions get their state at once unless slow is set.
type world struct {
	t       *testing.T
	h       *timeline.History
	g       *Group // nil before the first member
	topics  *testTopics
	cfg     Config
	now     time.Time
	log     []machine.Record
	timers  map[string]time.Time
	slow    bool
	waiting []*Initialize
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, cfg: DefaultConfig(), now: time.Unix(1000, 0), topics: &testTopics{partitions: map[string]int32{}}}
	w.topics.set("t", 2)
	w.topics.set("u", 1)
	w.load()
	return w
}

// load makes the group of its log.
func (w *world) load() {
	w.h, w.g, w.timers = &timeline.History{}, nil, map[string]time.Time{}
	for i, r := range w.log {
		w.apply(kafka.Offset(i), r)
	}
	w.h.Commit(kafka.Offset(len(w.log)))
	if w.g != nil {
		w.turn(func(turn *Turn) { turn.Loaded(w.g) })
	}
}

func (w *world) apply(off kafka.Offset, r machine.Record) {
	key := kbin.Reader{Src: r.Key}
	kind := key.Int16()
	_, member, err := ReadKey(kind, &key)
	if err != nil {
		w.t.Fatal(err)
	}
	if w.g == nil {
		w.g = NewGroup("g", w.h)
	}
	if err := w.g.Apply(off, kind, member, r.Value); err != nil {
		w.t.Fatal(err)
	}
}

// turn has a Turn worked on, and takes in what it asks for.
func (w *world) turn(work func(*Turn)) {
	turn := &Turn{Now: w.now, Topics: w.topics, Config: w.cfg}
	work(turn)
	for _, r := range turn.Out.Records {
		w.apply(kafka.Offset(len(w.log)), r)
		w.log = append(w.log, r)
	}
	w.h.Commit(kafka.Offset(len(w.log)))
	for _, timer := range turn.Out.Timers {
		if timer.Stop {
			delete(w.timers, timer.Member)
		} else {
			w.timers[timer.Member] = w.now.Add(timer.After)
		}
	}
	if ask := turn.Out.Initialize; ask != nil && w.slow {
		w.waiting = append(w.waiting, ask)
	} else if ask != nil {
		w.turn(func(t *Turn) { t.Initialized(w.g, ask.Topics) })
	}
}

// advance lets time pass, and sessions end.
func (w *world) advance(d time.Duration) {
	w.now = w.now.Add(d)
	for _, member := range []string{"m1", "m2", "m3"} {
		if at, ok := w.timers[member]; ok && !at.After(w.now) {
			w.turn(func(t *Turn) { t.Expired(w.g, member) })
		}
	}
}

// ask sends a heartbeat, and returns the answer as text.
func (w *world) ask(req *kmsg.ShareGroupHeartbeatRequest) string {
	if err := Check(req); err != nil {
		return failure(err)
	}
	if w.g == nil && req.MemberEpoch != 0 {
		return "GROUP_ID_NOT_FOUND" // says who has the groups
	}
	g := w.g
	if g == nil {
		g = NewGroup("g", w.h)
	}
	var text string
	w.turn(func(turn *Turn) {
		resp, err := turn.Heartbeat(g, Client{ID: "c", Host: "/127.0.0.1"}, req)
		if err != nil {
			text = failure(err)
			return
		}
		w.g = g
		text = show(resp)
	})
	return text
}

func failure(err error) string {
	var k *kerr.Error
	if !errors.As(err, &k) {
		return err.Error()
	}
	return k.Message
}

// show prints the epoch and how many partitions of which topics are assigned.
func show(resp *kmsg.ShareGroupHeartbeatResponse) string {
	if resp.ErrorCode != 0 {
		return kerr.TypedErrorForCode(resp.ErrorCode).Message
	}
	text := fmt.Sprintf("%s %d", *resp.MemberID, resp.MemberEpoch)
	if resp.Assignment == nil {
		return text
	}
	var sizes []string
	for _, tp := range resp.Assignment.TopicPartitions {
		sizes = append(sizes, fmt.Sprint(len(tp.Partitions)))
	}
	slices.Sort(sizes)
	return text + " has [" + strings.Join(sizes, " ") + "]"
}

func heartbeat(member string, epoch int32, topics ...string) *kmsg.ShareGroupHeartbeatRequest {
	req := kmsg.NewPtrShareGroupHeartbeatRequest()
	req.Version, req.GroupID, req.MemberID, req.MemberEpoch, req.SubscribedTopicNames = 1, "g", member, epoch, topics
	return req
}
