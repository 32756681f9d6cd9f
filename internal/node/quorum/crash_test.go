package quorum

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/core/metadata"
)

// TestPowerCutAtEveryWriteLosesNothingAcknowledged runs a quorum that creates and deletes groups of topics, cuts the power
// before every change that it makes to the disk, and starts another on what is left. Each group is one request, and its
// topics are together or not at all.
func TestPowerCutAtEveryWriteLosesNothingAcknowledged(t *testing.T) {
	eachLog(t, func(t *testing.T, open logOpener) {
		for seed := range uint64(4) {
			var rng *rand.Rand // seed 0 loses all that is not durable, others draw, with torn writes
			if seed > 0 {
				rng = rand.New(rand.NewPCG(seed, 6))
			}
			var acked ledger
			points := 0
			err := vfs.CrashPoints(vfs.NewMem(), rng, func(fsys vfs.FS) error {
				return work(t, fsys, open, &acked)
			}, func(next vfs.Op, after *vfs.Mem) {
				points++
				checkAfterCrash(t, next, after, open, acked.copy())
			})
			if err != nil {
				t.Fatal(err)
			}
			if points < 75 {
				t.Errorf("only %d points", points)
			}
		}
	})
}

// ledger is what a client knows of each group: that it is there, that it is not, or nothing, while a request is under way.
type ledger struct {
	mu     sync.Mutex
	groups map[string]knowledge
}

type knowledge int

const (
	unsure knowledge = iota
	there
	gone
)

func (l *ledger) set(group string, k knowledge) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.groups == nil {
		l.groups = map[string]knowledge{}
	}
	l.groups[group] = k
}

func (l *ledger) copy() map[string]knowledge {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.groups)
}

const groupSize = 3

func groupTopics(group string) []string {
	names := make([]string, groupSize)
	for i := range names {
		names[i] = fmt.Sprintf("%s-%d", group, i)
	}
	return names
}

func work(t *testing.T, fsys vfs.FS, open logOpener, acked *ledger) error {
	log, err := open(fsys, testDir)
	if err != nil {
		return err
	}
	cfg := testConfig(t, fsys, log)
	cfg.SnapshotBytes = 3000
	q, err := Start(cfg)
	if err != nil {
		return err
	}
	defer q.Close()
	node, err := q.Submit(context.Background(), registration())
	if err == nil {
		_, err = q.Submit(context.Background(), unfencing(node))
	}
	if err != nil {
		return err
	}
	for i := range 12 {
		group := fmt.Sprintf("g%d", i)
		acked.set(group, unsure)
		if _, err := q.Submit(context.Background(), createTopics(groupTopics(group)...)); err != nil {
			return err
		}
		acked.set(group, there)
		if i%3 != 2 {
			continue
		}
		acked.set(group, unsure)
		req := kmsg.NewPtrDeleteTopicsRequest()
		req.Version = 5
		req.TopicNames = groupTopics(group)
		if _, err := q.Submit(context.Background(), req); err != nil {
			return err
		}
		acked.set(group, gone)
	}
	return q.Close()
}

// checkAfterCrash runs on the loop of the quorum that is cut off, so that it must not end its goroutine.
func checkAfterCrash(t *testing.T, next vfs.Op, disk *vfs.Mem, open logOpener, acked map[string]knowledge) {
	t.Helper()
	log, err := open(disk, testDir)
	if err != nil {
		t.Errorf("before %v: %v", next, err)
		return
	}
	q, err := Start(testConfig(t, disk, log))
	if err != nil {
		t.Errorf("before %v: %v", next, err)
		return
	}
	defer q.Close()
	select {
	case <-q.Ready():
	case <-q.Done():
		t.Errorf("before %v: %v", next, q.Err())
		return
	}
	for group, known := range acked {
		count := 0
		for _, name := range groupTopics(group) {
			topic, ok := q.Image().Topic(name)
			if !ok {
				continue
			}
			count++
			if len(topic.Partitions) != 3 || q.Image().Config(metadata.ConfigResource{Type: metadata.TopicConfig, Name: name})["retention.ms"] != "1000" {
				t.Errorf("before %v: %s is incomplete", next, name)
			}
		}
		switch {
		case count != 0 && count != groupSize:
			t.Errorf("before %v: %d topics of %s", next, count, group)
		case known == there && count == 0:
			t.Errorf("before %v: acknowledged %s is lost", next, group)
		case known == gone && count > 0:
			t.Errorf("before %v: deleted %s is back", next, group)
		}
	}
}

// TestRandomRequestsAgreeWithAModel runs random requests, some at once, and restarts, and compares with a map of names.
func TestRandomRequestsAgreeWithAModel(t *testing.T) {
	for seed := range uint64(10) {
		rng := rand.New(rand.NewPCG(seed, 3))
		disk := vfs.NewMem()
		open := func() *Quorum {
			return start(t, disk, func(c *Config) { c.SnapshotBytes = int64(500 + rng.IntN(5000)) })
		}
		q := open()
		register(t, q)
		model := map[string]int{}
		for range 150 {
			name := fmt.Sprintf("n%d", rng.IntN(20))
			switch rng.IntN(10) {
			case 0:
				q.Close()
				q = open()
			case 1, 2, 3:
				submit[*kmsg.DeleteTopicsResponse](t, q, deleteTopic(name))
				delete(model, name)
			case 4, 5:
				req := kmsg.NewPtrCreatePartitionsRequest()
				topic := kmsg.NewCreatePartitionsRequestTopic()
				topic.Topic, topic.Count = name, int32(rng.IntN(8))
				req.Topics = append(req.Topics, topic)
				submit[*kmsg.CreatePartitionsResponse](t, q, req)
				if n, ok := model[name]; ok {
					model[name] = max(n, int(topic.Count))
				}
			default:
				submit[*kmsg.CreateTopicsResponse](t, q, createTopics(name))
				if _, ok := model[name]; !ok {
					model[name] = 3
				}
			}
			var want, got []string
			for name, n := range model {
				want = append(want, fmt.Sprintf("%s:%d", name, n))
			}
			slices.Sort(want)
			for topic := range q.Image().Topics() {
				got = append(got, fmt.Sprintf("%s:%d", topic.Name, len(topic.Partitions)))
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Fatalf("seed %d: topics %s, want %s", seed, strings.Join(got, " "), strings.Join(want, " "))
			}
		}
		q.Close()
	}
}
