package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/headrace/headrace/internal/cli/cluster/plan"
	"github.com/headrace/headrace/internal/cli/target"
	"github.com/headrace/headrace/internal/cli/term"
)

// planned is a plan as commands tell it.
type planned struct {
	Moves []move   `json:"moves"`
	Elect []string `json:"elect"` // partitions that another node leads than the one that is preferred in the end
	Bytes int64    `json:"bytes"` // to be copied; -1 where a node does not tell the size of its partitions
	Nodes []load   `json:"nodes"`
}

type move struct {
	Topic     string  `json:"topic"`
	Partition int32   `json:"partition"`
	From      []int32 `json:"from"`
	To        []int32 `json:"to"`
	Bytes     int64   `json:"bytes"` // to be copied; -1: not known
}

// load is what a node has before and after. A leader is counted where it is preferred, whoever leads at the moment.
type load struct {
	ID            int32 `json:"id"`
	Replicas      int   `json:"replicas"`
	ReplicasAfter int   `json:"replicasAfter"`
	Leads         int   `json:"leads"`
	LeadsAfter    int   `json:"leadsAfter"`
}

func (h *holdings) planned(moves []plan.Move) planned {
	p := planned{Moves: []move{}, Elect: []string{}, Nodes: []load{}}
	for _, e := range h.elections(moves) {
		p.Elect = append(p.Elect, e.Name())
	}
	for _, m := range moves {
		one := move{m.Topic, m.Number, m.Replicas, m.To, m.Copied()}
		if h.unsized && len(m.New()) > 0 {
			one.Bytes = -1
		}
		p.Moves = append(p.Moves, one)
		p.Bytes += m.Copied()
	}
	if h.unsized {
		p.Bytes = -1
	}
	before, after := plan.Loads(h.nodes, h.partitions, moves)
	for i := range before {
		p.Nodes = append(p.Nodes, load{before[i].ID, before[i].Replicas, after[i].Replicas, before[i].Leads, after[i].Leads})
	}
	return p
}

// elections are the partitions that the preferred leader does not lead when all has moved.
func (h *holdings) elections(moves []plan.Move) []plan.Partition {
	preferred := map[string]int32{}
	for _, m := range moves {
		preferred[m.Name()] = m.To[0]
	}
	var all []plan.Partition
	for _, p := range h.partitions {
		to, ok := preferred[p.Name()]
		if !ok {
			to = p.Replicas[0]
		}
		if h.leaders[p.Name()] != to && h.alive(to) {
			all = append(all, p)
		}
	}
	return all
}

// show prints a plan for people.
func (p planned) show(w io.Writer) error {
	err := term.Table(p.Moves,
		term.Col("partition", func(m move) any { return fmt.Sprintf("%s:%d", m.Topic, m.Partition) }),
		term.Col("from", func(m move) any { return fmt.Sprint(m.From) }),
		term.Col("to", func(m move) any { return fmt.Sprint(m.To) }),
		term.Col("copies", func(m move) any { return term.Bytes(m.Bytes) }))(w)
	if err != nil {
		return err
	}
	fmt.Fprintln(w)
	err = term.Table(p.Nodes,
		term.Col("node", func(l load) any { return l.ID }),
		term.Col("replicas", func(l load) any { return fmt.Sprintf("%d > %d", l.Replicas, l.ReplicasAfter) }),
		term.Col("leads", func(l load) any { return fmt.Sprintf("%d > %d", l.Leads, l.LeadsAfter) }))(w)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%d %s to move, %s to copy, %d %s to elect\n", len(p.Moves), term.Plural(len(p.Moves), "partition"), term.Bytes(p.Bytes),
		len(p.Elect), term.Plural(len(p.Elect), "leader"))
	return err
}

func (c *commands) rebalance() *cobra.Command {
	var form *term.Form
	var execute, cancel bool
	var atOnce int
	cmd := &cobra.Command{
		Use: "rebalance", Short: "Even what nodes hold and lead, as after nodes were added; shows the plan first",
		Long: "Plans to move replicas from nodes that hold more to nodes that hold less, onto as many racks as can be, and leaders likewise; shows the\n" +
			"plan, and carries it out with --execute. Each replica counts the same, whatever its size. Clients go on meanwhile. It works with any\n" +
			"Kafka cluster. Interrupted, it leaves what is under way to go on: --cancel stops that.",
		Example: "  headrace cluster rebalance\n  headrace cluster rebalance --execute --at-once 5",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case cancel && execute:
				return term.Usage("cluster rebalance: --cancel and --execute contradict each other")
			case atOnce < 1:
				return term.Usage("cluster rebalance: --at-once must be at least 1")
			case cancel:
				return c.cancelAll(cmd.Context(), *form)
			}
			run := c.at.Ask
			if execute {
				run = c.at.Work
			}
			return run(cmd.Context(), func(ctx context.Context, client *kgo.Client) error {
				return c.even(ctx, client, *form, execute, atOnce)
			})
		},
	}
	cmd.Flags().BoolVar(&cancel, "cancel", false, "stop all moves of partitions that are under way")
	atOnceFlag(cmd, &atOnce)
	term.ExecuteFlag(cmd, &execute)
	cmd.Flags().BoolVar(&execute, "yes", false, "")
	_ = cmd.Flags().MarkHidden("yes") // many know --execute by this name
	form = term.OutputFlag(cmd)
	return cmd
}

func atOnceFlag(cmd *cobra.Command, atOnce *int) {
	cmd.Flags().IntVar(atOnce, "at-once", 20, "partitions that are copied at the same time")
}

func (c *commands) even(ctx context.Context, client *kgo.Client, form term.Form, execute bool, atOnce int) error {
	under, err := reassigning(ctx, client)
	if err != nil {
		return err
	}
	if err := refuseWhileMoving(under); err != nil {
		return err
	}
	h, err := holdingsOf(ctx, client)
	if err != nil {
		return err
	}
	if len(h.dead) > 0 {
		c.env.Warn("nodes %v hold replicas and are not there: their partitions are left as they are (headrace cluster decommission moves them)", h.dead)
	}
	for _, n := range h.nodes {
		if n.Cordoned {
			c.env.Warn("node %d is cordoned, and gets no replicas (headrace cluster decommission %d --cancel ends that)", n.ID, n.ID)
		}
	}
	moves := plan.Balance(h.nodes, h.partitions)
	changes := h.planned(moves)
	if len(moves)+len(changes.Elect) == 0 {
		return c.env.Print(form, struct {
			Executed bool    `json:"executed"`
			Changes  planned `json:"changes"`
		}{execute, changes}, term.Lines("replicas and leaders are even: there is nothing to move\n"))
	}
	return c.env.Propose(ctx, term.Proposal{
		Form: form, Execute: execute, Changes: changes, Show: changes.show,
		Question: fmt.Sprintf("move %d %s and elect %d %s?", len(moves), term.Plural(len(moves), "partition"), len(changes.Elect), term.Plural(len(changes.Elect), "leader")),
		Do: func() error {
			m := &mover{env: c.env, client: client, atOnce: atOnce}
			if err := m.move(ctx, moves); err != nil {
				c.tellOfMoves(ctx, "headrace cluster rebalance --cancel stops it")
				return err
			}
			return electPreferred(ctx, client, h.elections(moves))
		},
		Done: term.Lines("moved %d %s, elected %d %s\n", len(moves), term.Plural(len(moves), "partition"), len(changes.Elect), term.Plural(len(changes.Elect), "leader")),
	})
}

// tellOfMoves says what goes on when somebody presses Ctrl-C.
func (c *commands) tellOfMoves(ctx context.Context, stop string) {
	if ctx.Err() != nil {
		c.env.Warn("what is under way goes on; %s", stop)
	}
}

func refuseWhileMoving(under []reassignment) error {
	if len(under) == 0 {
		return nil
	}
	return fmt.Errorf("%d %s being moved already, %s: wait for that, or stop it with headrace cluster rebalance --cancel",
		len(under), term.Plural(len(under), "partition"), few(namesOf(under)))
}

func namesOf(all []reassignment) []string {
	var names []string
	for _, r := range all {
		names = append(names, r.name())
	}
	return names
}

// canceled is the answer of the commands that stop moves.
type canceled struct {
	Partitions []string `json:"partitions"`
}

func (c *commands) cancelAll(ctx context.Context, form term.Form) error {
	return c.at.Ask(ctx, func(ctx context.Context, client *kgo.Client) error {
		under, err := reassigning(ctx, client)
		if err != nil {
			return err
		}
		stopped, err := cancelMoves(ctx, client, under)
		if err != nil {
			return err
		}
		return c.env.Print(form, canceled{stopped}, term.Lines("stopped the move of %d %s\n", len(stopped), term.Plural(len(stopped), "partition")))
	})
}

// cancelMoves gives partitions the replicas back that they had before.
func cancelMoves(ctx context.Context, client *kgo.Client, under []reassignment) ([]string, error) {
	stopped := []string{}
	if len(under) == 0 {
		return stopped, nil
	}
	var req kadm.AlterPartitionAssignmentsReq
	for _, r := range under {
		req.CancelAssign(r.Topic, r.Partition)
	}
	answers, err := kadm.NewClient(client).AlterPartitionAssignments(ctx, req)
	if err != nil {
		return nil, err
	}
	var failed error
	for _, a := range answers.Sorted() {
		name := fmt.Sprintf("%s:%d", a.Topic, a.Partition)
		switch {
		case a.Err == nil:
			stopped = append(stopped, name)
		case errors.Is(a.Err, kerr.NoReassignmentInProgress), errors.Is(a.Err, kerr.UnknownTopicOrPartition): // it has just ended
		default:
			failed = errors.Join(failed, target.Refused(a.Err, "cannot stop the move of %s: %s", name, target.Explain(a.Err, a.ErrMessage)))
		}
	}
	return stopped, failed
}
