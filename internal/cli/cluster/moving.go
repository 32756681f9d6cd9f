package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/cli/cluster/plan"
	"github.com/headrace/headrace/internal/cli/target"
	"github.com/headrace/headrace/internal/cli/term"
)

// orders bounds how many partitions that only change the order of their replicas are told so in one request.
const orders = 1000

// The time between two looks at what still moves: short at first, because little may be to copy.
const (
	firstLook = 50 * time.Millisecond
	lastLook  = time.Second
)

// mover carries out a plan: so many partitions at a time, that the copies do not take all of the network and the disks.
type mover struct {
	env    term.Env
	client *kgo.Client
	atOnce int
	// wanted is asked again and again, and ends the moves by an error; nil where nothing but the caller does.
	wanted func(context.Context) error

	waiting []plan.Move // that copy nothing yet
	moving  map[string]plan.Move
	done    int
	total   int
	gone    int // partitions that were deleted meanwhile
}

// move makes the moves and waits until all replicas are where they belong, then has the leaders that are preferred now lead.
// When ctx ends, what has begun goes on without it.
func (m *mover) move(ctx context.Context, moves []plan.Move) error {
	m.moving, m.total = map[string]plan.Move{}, len(moves)
	for len(moves) > 0 { // those without a copy first: leaders move at once
		var batch []plan.Move
		batch, moves = cut(moves, orders, func(p plan.Move) bool { return len(p.New()) == 0 })
		if len(batch) == 0 {
			m.waiting = moves
			break
		}
		if err := m.begin(ctx, batch); err != nil {
			return err
		}
	}
	return m.await(ctx)
}

// await begins what waits as soon as there is room, and returns when nothing moves any more.
func (m *mover) await(ctx context.Context) error {
	line := &progressLine{env: m.env}
	defer line.end()
	for look := firstLook; len(m.waiting)+len(m.moving) > 0; look = min(2*look, lastLook) {
		if room := m.atOnce - len(m.moving); room > 0 {
			var batch []plan.Move
			batch, m.waiting = cut(m.waiting, room, func(plan.Move) bool { return true })
			if err := m.begin(ctx, batch); err != nil {
				return err
			}
		}
		line.write("%d of %d partitions moved, %d under way", m.done, m.total, len(m.moving))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(look):
		}
		if m.wanted != nil { // before look, which takes a move that was stopped for one that has ended
			if err := m.wanted(ctx); err != nil {
				return err
			}
		}
		if err := m.look(ctx); err != nil {
			return err
		}
	}
	return nil
}

// cut takes the first n of the moves that are wanted out of them.
func cut(moves []plan.Move, n int, wanted func(plan.Move) bool) (taken, rest []plan.Move) {
	for _, p := range moves {
		if len(taken) < n && wanted(p) {
			taken = append(taken, p)
		} else {
			rest = append(rest, p)
		}
	}
	return taken, rest
}

// begin tells the cluster some of the moves.
func (m *mover) begin(ctx context.Context, batch []plan.Move) error {
	if len(batch) == 0 {
		return nil
	}
	var req kadm.AlterPartitionAssignmentsReq
	named := map[string]plan.Move{}
	for _, p := range batch {
		req.Assign(p.Topic, p.Number, p.To)
		named[p.Name()] = p
	}
	answers, err := kadm.NewClient(m.client).AlterPartitionAssignments(ctx, req)
	if err != nil {
		return err
	}
	for _, a := range answers.Sorted() {
		p, ok := named[fmt.Sprintf("%s:%d", a.Topic, a.Partition)]
		switch {
		case !ok:
		case errors.Is(a.Err, kerr.UnknownTopicOrPartition):
			m.gone++
			m.total--
		case a.Err != nil:
			return target.Refused(a.Err, "cannot move %s to %v: %s", p.Name(), p.To, target.Explain(a.Err, a.ErrMessage))
		default:
			m.moving[p.Name()] = p
		}
	}
	return nil
}

// look finds out what has ended.
func (m *mover) look(ctx context.Context) error {
	under, err := reassigning(ctx, m.client)
	if err != nil {
		return err
	}
	for name := range m.moving {
		if !slices.ContainsFunc(under, func(r reassignment) bool { return r.name() == name }) {
			delete(m.moving, name)
			m.done++
		}
	}
	return nil
}

// reassignment is one that goes on.
type reassignment struct {
	Topic            string
	Partition        int32
	Adding, Removing []int32
}

func (r reassignment) name() string { return fmt.Sprintf("%s:%d", r.Topic, r.Partition) }

// reassigning lists all that go on. kadm asks for named partitions only.
func reassigning(ctx context.Context, client *kgo.Client) ([]reassignment, error) {
	req := kmsg.NewPtrListPartitionReassignmentsRequest()
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return nil, err
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return nil, target.Explain(err, words(resp.ErrorMessage))
	}
	var all []reassignment
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			all = append(all, reassignment{t.Topic, p.Partition, p.AddingReplicas, p.RemovingReplicas})
		}
	}
	slices.SortFunc(all, func(a, b reassignment) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return all, nil
}

// electPreferred has the preferred leaders of partitions lead, as far as they are in sync.
func electPreferred(ctx context.Context, client *kgo.Client, partitions []plan.Partition) error {
	var wanted kadm.TopicsSet
	for _, p := range partitions {
		wanted.Add(p.Topic, p.Number)
	}
	if len(wanted) == 0 {
		return nil
	}
	results, err := kadm.NewClient(client).ElectLeaders(ctx, kadm.ElectPreferredReplica, wanted)
	if err != nil {
		return fmt.Errorf("the replicas are moved, but not all are led by the preferred one yet: %w", target.Explain(err, ""))
	}
	var later []string
	for topic, of := range results {
		for n, r := range of {
			if r.Err != nil && !errors.Is(r.Err, kerr.ElectionNotNeeded) && !errors.Is(r.Err, kerr.UnknownTopicOrPartition) {
				later = append(later, fmt.Sprintf("%s:%d", topic, n))
			}
		}
	}
	if len(later) > 0 {
		slices.Sort(later)
		return fmt.Errorf("the replicas are moved, but %d %s not led by the preferred one yet: %s; it takes over by itself where auto.leader.rebalance.enable is true",
			len(later), term.Plural(len(later), "partition"), few(later))
	}
	return nil
}

// progressLine is one line on standard error, written over where that is a terminal; elsewhere each new text is a line.
type progressLine struct {
	env   term.Env
	width int
	last  string
}

func (p *progressLine) write(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if text == p.last {
		return
	}
	p.last = text
	if !p.env.ErrIsTerminal() {
		fmt.Fprintln(p.env.Stderr, text)
		return
	}
	p.width = max(p.width, len(text))
	fmt.Fprintf(p.env.Stderr, "\r%-*s", p.width, text)
}

// end leaves the cursor where the next line begins.
func (p *progressLine) end() {
	if p.width > 0 {
		fmt.Fprintf(p.env.Stderr, "\r%*s\r", p.width, "")
	}
}
