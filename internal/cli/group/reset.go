package group

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/headrace/headrace/internal/cli/offsets"
	"github.com/headrace/headrace/internal/cli/term"
)

// resetOptions are the flags of group reset-offsets.
type resetOptions struct {
	topics  []string
	toText  string
	shift   int64
	execute bool
	form    *term.Form

	choice   offsets.Choices
	to       offsets.Position
	shifting bool
}

// move is one committed offset before and after. Old is -1 where there was none.
type move struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Old       int64  `json:"old"`
	New       int64  `json:"new"`
}

func (c *commands) resetOffsets() *cobra.Command {
	o := &resetOptions{}
	cmd := &cobra.Command{
		Use: "reset-offsets GROUP", Short: "Move the place where a group goes on; shows what would change first",
		Args: term.One("GROUP"), ValidArgsFunction: c.at.CompleteGroups,
		Example: "  headrace group reset-offsets billing --to earliest\n" +
			"  headrace group reset-offsets billing --topic orders:0,3-5 --to @2026-01-02T00:00:00Z --execute\n" +
			"  headrace group reset-offsets billing --shift-by -100 --execute",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.check(cmd); err != nil {
				return err
			}
			return c.reset(cmd.Context(), args[0], o)
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.topics, "topic", nil, "TOPIC or TOPIC:PARTITIONS, such as orders:0,3-5, may be repeated (default: where the group has offsets)")
	f.StringVar(&o.toText, "to", "", "earliest, latest, or "+offsets.PositionHelp)
	f.Int64Var(&o.shift, "shift-by", 0, "move by so many offsets, back where negative")
	_ = cmd.RegisterFlagCompletionFunc("topic", c.at.CompleteTopics)
	_ = cmd.RegisterFlagCompletionFunc("to", cobra.FixedCompletions([]string{"earliest", "latest"}, cobra.ShellCompDirectiveNoFileComp))
	term.ExecuteFlag(cmd, &o.execute)
	o.form = term.OutputFlag(cmd)
	return cmd
}

func (o *resetOptions) check(cmd *cobra.Command) error {
	var err error
	if o.choice, err = offsets.ParseChoices(o.topics); err != nil {
		return term.Usage("--topic: %s", err)
	}
	o.shifting = cmd.Flags().Changed("shift-by")
	if o.shifting == (o.toText != "") {
		return term.Usage("group reset-offsets: give --to or --shift-by, one of them")
	}
	switch o.toText {
	case "", "earliest":
	case "latest":
		o.to.Kind = offsets.FromEnd
	default:
		if o.to, err = offsets.ParsePosition(o.toText, time.Now()); err != nil {
			return term.Usage("--to: %s", strings.Replace(err.Error(), "none of ", "none of earliest, latest, ", 1))
		}
	}
	return nil
}

func (c *commands) reset(ctx context.Context, name string, o *resetOptions) error {
	var moves []move
	err := c.at.Ask(ctx, func(ctx context.Context, client *kgo.Client) error {
		g, there, err := find(ctx, kadm.NewClient(client), name)
		switch {
		case err != nil:
			return err
		case len(g.Members) > 0 || there && g.State != "Empty":
			return live("move the offsets of", g)
		case !there && len(o.choice) == 0:
			return missing("move the offsets of", name)
		}
		moves, err = planMoves(ctx, client, name, o)
		return err
	})
	if err != nil {
		return err
	}
	if len(moves) == 0 {
		return fmt.Errorf("group %s has no offsets to move: name topics with --topic", name)
	}
	return c.env.Propose(ctx, term.Proposal{
		Form: *o.form, Execute: o.execute, Changes: moves, Show: showMoves(moves),
		Question: fmt.Sprintf("move %d %s of group %s?", len(moves), term.Plural(len(moves), "offset"), name),
		Do: func() error {
			return c.at.Admin(ctx, func(ctx context.Context, a *kadm.Client) error { return commit(ctx, a, name, moves) })
		},
		Done: term.Lines("moved %d %s of group %s\n", len(moves), term.Plural(len(moves), "offset"), name),
	})
}

// planMoves finds the new offsets. None is before the first record that a partition holds or behind its end.
func planMoves(ctx context.Context, client *kgo.Client, name string, o *resetOptions) ([]move, error) {
	a := kadm.NewClient(client)
	at, err := committed(ctx, a, name, o.choice)
	if err != nil {
		return nil, err
	}
	old := map[offsets.Partition]int64{}
	for _, s := range at {
		old[offsets.Partition{Topic: s.Topic, Number: s.Partition}] = s.Committed
	}
	parts, err := o.choice.Find(ctx, a)
	if err != nil {
		return nil, err
	}
	if len(o.choice) == 0 { // where the group has offsets, and the partition is still there
		parts = slices.DeleteFunc(parts, func(p offsets.Partition) bool { _, ok := old[p]; return !ok })
	}
	bounds, err := offsets.ListBounds(ctx, client, parts, offsets.ReadUncommitted)
	if err != nil {
		return nil, err
	}
	if err := bounds.Known(); err != nil {
		return nil, err
	}
	found, err := o.to.Resolve(ctx, client, bounds, offsets.ReadUncommitted)
	if err != nil {
		return nil, err
	}
	moves := []move{}
	for _, p := range parts {
		m := move{Topic: p.Topic, Partition: p.Number, Old: -1, New: found[p]}
		if at, ok := old[p]; ok {
			m.Old = at
		}
		if o.shifting {
			if m.Old < 0 {
				return nil, fmt.Errorf("group %s has no offset of partition %d of %s that could be shifted: use --to", name, p.Number, p.Topic)
			}
			m.New = shifted(m.Old, o.shift)
		}
		m.New = min(max(m.New, bounds[p].Start), bounds[p].End)
		moves = append(moves, m)
	}
	return moves, nil
}

// shifted adds without running over.
func shifted(at, by int64) int64 {
	if sum := at + by; by <= 0 || sum > at {
		return sum
	}
	return 1<<63 - 1
}

func showMoves(moves []move) func(io.Writer) error {
	return term.Table(moves,
		term.Col("topic", func(m move) any { return m.Topic }),
		term.Col("partition", func(m move) any { return m.Partition }),
		term.Col("old", func(m move) any {
			if m.Old < 0 {
				return "-"
			}
			return m.Old
		}),
		term.Col("new", func(m move) any { return m.New }),
		term.Col("difference", func(m move) any {
			if m.Old < 0 {
				return "-"
			}
			return fmt.Sprintf("%+d", m.New-m.Old)
		}))
}

func commit(ctx context.Context, a *kadm.Client, name string, moves []move) error {
	var all kadm.Offsets
	for _, m := range moves {
		all.AddOffset(m.Topic, m.Partition, m.New, -1)
	}
	done, err := a.CommitOffsets(ctx, name, all)
	if err != nil {
		return groupError("move the offsets of", name, err)
	}
	if err := done.Error(); err != nil {
		return groupError("move the offsets of", name, err)
	}
	return nil
}
