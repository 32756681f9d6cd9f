package cli

import (
	"context"
	"maps"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/headrace/headrace/internal/cli/offsets"
)

// membership is the part of a run that reads as a member of a group. Callbacks of the client write what mu guards; the rest
// belongs to the loop.
type membership struct {
	toMark []*kgo.Record // printed, not yet marked for commit

	mu struct {
		sync.Mutex
		joined   bool
		changed  bool
		assigned map[offsets.Partition]bool
	}
}

func (r *run) groupOptions() []kgo.Opt {
	reset := kgo.NewOffset().AtStart()
	switch r.o.place.from.Kind {
	case offsets.FromEnd:
		reset = kgo.NewOffset().AtEnd()
	case offsets.AtTime:
		reset = kgo.NewOffset().AfterMilli(r.o.place.from.Time.UnixMilli())
	}
	lost := func(_ context.Context, _ *kgo.Client, gone map[string][]int32) { r.group.assign(gone, false) }
	opts := []kgo.Opt{
		kgo.ConsumerGroup(r.o.group), kgo.ConsumeTopics(r.o.topics...), kgo.ConsumeResetOffset(reset),
		kgo.AutoCommitMarks(), kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, added map[string][]int32) { r.group.assign(added, true) }),
		kgo.OnPartitionsRevoked(func(ctx context.Context, cl *kgo.Client, gone map[string][]int32) {
			// A failed commit only means that the next member prints these records again.
			_ = cl.CommitMarkedOffsets(ctx)
			lost(ctx, cl, gone)
		}),
		kgo.OnPartitionsLost(lost),
	}
	if r.o.regex {
		opts = append(opts, kgo.ConsumeRegex())
	}
	return opts
}

func (m *membership) assign(parts map[string][]int32, mine bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.joined, m.mu.changed = true, true
	if m.mu.assigned == nil {
		m.mu.assigned = map[offsets.Partition]bool{}
	}
	for topic, numbers := range parts {
		for _, n := range numbers {
			if mine {
				m.mu.assigned[offsets.Partition{Topic: topic, Number: n}] = true
			} else {
				delete(m.mu.assigned, offsets.Partition{Topic: topic, Number: n})
			}
		}
	}
}

// finished tells whether the member has read all that its partitions held when it began.
func (m *membership) finished(plan readPlan) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.mu.joined || m.mu.changed {
		return false
	}
	for p := range m.mu.assigned {
		if s := plan[p]; s != nil && s.next < s.limit {
			return false
		}
	}
	return true
}

// updateGroup follows one poll of a member: marks what is printed and flushed, lets a rebalance go on, and after one finds out
// where the group stands in the partitions.
func (r *run) updateGroup(ctx context.Context) error {
	r.mark()
	r.client.AllowRebalance()
	r.group.mu.Lock()
	changed := r.group.mu.changed
	assigned := maps.Clone(r.group.mu.assigned)
	r.group.mu.changed = false
	r.group.mu.Unlock()
	if !changed {
		return nil
	}
	committed, err := kadm.NewClient(r.client).FetchOffsets(ctx, r.o.group)
	if err != nil {
		return err
	}
	for p := range assigned {
		s := r.plan[p]
		if c, ok := committed.Lookup(p.Topic, p.Number); ok && c.Err == nil && c.At >= 0 && s != nil && !s.read {
			s.next = c.At // where the group stands counts more than --from
		}
	}
	return nil
}

// mark marks what was printed, so that the next commit covers it.
func (r *run) mark() {
	r.client.MarkCommitRecords(r.group.toMark...)
	r.group.toMark = r.group.toMark[:0]
}
