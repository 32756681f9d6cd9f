// Package groups is the group coordinator of this node: core/group, run by node/coord on the partitions of __consumer_offsets that
// the node leads. node/api submits requests, node/metrics surveys, app publishes metadata. Goroutines are those of node/coord, and one for
// each resolution of regular expressions and each question to the share coordinators; Close waits for them.
package groups

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/group"
	"github.com/headrace/headrace/internal/core/group/consumer"
	"github.com/headrace/headrace/internal/core/machine"
	"github.com/headrace/headrace/internal/core/metadata"
	"github.com/headrace/headrace/internal/node/coord"
)

// Config is what Groups need. Every field is required unless it says otherwise.
type Config struct {
	Partitions int32        // of __consumer_offsets (offsets.topic.num.partitions)
	Group      group.Config // its Rand and Topics are not used
	Image      *metadata.Image
	Shares     ShareStates // nil: share groups can neither be given partitions nor deleted
	// Create has the controller make topics and tells which could not be made, and why. A topic that is there already is no failure.
	Create func(context.Context, *kmsg.CreateTopicsRequest) map[string]error
	Rand   *rand.Rand
	Log    *slog.Logger
}

// Groups coordinates the groups of the partitions led here.
type Groups struct {
	*coord.Runtime
	topics atomic.Pointer[topics]
	shares ShareStates
	create func(context.Context, *kmsg.CreateTopicsRequest) map[string]error
	tasks  sync.WaitGroup
	ctx    context.Context // of the tasks; ends with Close
	end    context.CancelFunc
}

// New makes Groups that lead nothing.
func New(c Config) *Groups {
	g := &Groups{shares: c.Shares, create: c.Create}
	if g.shares == nil {
		g.shares = noShareStates{}
	}
	g.ctx, g.end = context.WithCancel(context.Background())
	g.topics.Store(&topics{img: c.Image, version: 1, created: int64(c.Image.Offset())})
	g.Runtime = coord.New(coord.Config{
		Topic: kafka.OffsetsTopic, Partitions: c.Partitions,
		New: func(at coord.Place) machine.Machine {
			cfg := c.Group
			cfg.Rand = at.Rand
			cfg.Topics = func() consumer.Topics { return g.topics.Load() }
			return group.New(cfg)
		},
		Refuse: group.Refuse,
		Do:     func(_ coord.Place, task machine.Task, tell func(machine.Event)) { g.do(task, tell) },
		Rand:   c.Rand, Log: c.Log,
	})
	return g
}

// Close ends all coordination and waits for the goroutines.
func (g *Groups) Close() {
	g.end()
	g.Runtime.Close()
	g.tasks.Wait()
}

// ListGroups merges the lists of all partitions led here. While one of them loads, the answer is COORDINATOR_LOAD_IN_PROGRESS.
func (g *Groups) ListGroups(ctx context.Context, req *kmsg.ListGroupsRequest) (*kmsg.ListGroupsResponse, error) {
	lists, err := g.SubmitAll(ctx, coord.ClientInfo{}, req)
	if err != nil {
		return nil, err
	}
	merged := kmsg.NewPtrListGroupsResponse()
	merged.SetVersion(req.Version)
	for _, resp := range lists {
		switch list := resp.(*kmsg.ListGroupsResponse); list.ErrorCode {
		case 0:
			merged.Groups = append(merged.Groups, list.Groups...)
		case kerr.NotCoordinator.Code:
		default:
			merged.ErrorCode, merged.Groups = list.ErrorCode, nil
			return merged, nil
		}
	}
	slices.SortFunc(merged.Groups, func(a, b kmsg.ListGroupsResponseGroup) int { return strings.Compare(a.Group, b.Group) })
	return merged, nil
}

// TopicsGone ends the offsets of deleted topics, but where their ids are given not those that a group has committed for a
// later topic of the name. It does not wait for that.
func (g *Groups) TopicsGone(topics []group.DeletedTopic) {
	if len(topics) > 0 {
		g.Tell(group.TopicsDeleted{Topics: topics})
	}
}

// Survey is all groups coordinated here, as those who watch them want them.
type Survey struct {
	Groups []group.Summary // by partition of __consumer_offsets, then by id
	// Left counts groups without their offsets, because there are too many; Loading the partitions still being loaded, whose
	// groups are not known yet.
	Left, Loading int
}

// Survey looks at every partition, one after the other, and takes at most so many offsets from all of them together.
func (g *Groups) Survey(ctx context.Context, most int) (s Survey, err error) {
	s.Loading, err = g.Look(ctx, func(m machine.Machine) {
		groups, left := m.(*group.Shard).Summaries(most)
		s.Groups, s.Left = append(s.Groups, groups...), s.Left+left
		for _, g := range groups {
			most -= len(g.Offsets)
		}
	})
	return s, err
}
