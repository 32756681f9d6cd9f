package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/headrace/headrace/internal/cli/offsets"
	"github.com/headrace/headrace/internal/cli/target"
	"github.com/headrace/headrace/internal/cli/term"
)

// trimJSON is what trimming does to one partition.
type trimJSON struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	OldStart  int64  `json:"oldStart"`
	NewStart  int64  `json:"newStart"`
	Gone      int64  `json:"gone"` // offsets between the two
}

func (c *command) topicTrim() *cobra.Command {
	var toText string
	var execute bool
	var form *term.Form
	cmd := &cobra.Command{
		Use: "trim TOPIC[:PARTITIONS]...", Short: "Delete the oldest records of topics; shows what would go first",
		Long: "Deletes the records before a place, in all partitions of topics or in some (orders:0,3-5). What is deleted cannot come back.",
		Args: term.AtLeastOne("TOPIC"), ValidArgsFunction: c.at.CompleteTopics,
		Example: "  headrace topic trim orders --to @-7d\n  headrace topic trim orders:0 --to 1000 --execute",
		RunE: func(cmd *cobra.Command, args []string) error {
			choice, err := offsets.ParseChoices(args)
			if err != nil {
				return term.Usage("%s", err)
			}
			if toText == "" {
				return term.Usage("topic trim: --to is missing: %s", offsets.PositionHelp)
			}
			to, err := offsets.ParsePosition(toText, time.Now())
			if err != nil {
				return term.Usage("--to: %s", err)
			}
			ctx := cmd.Context()
			var trims []trimJSON
			err = c.at.Ask(ctx, func(ctx context.Context, client *kgo.Client) error {
				trims, err = planTrims(ctx, client, choice, to)
				return err
			})
			if err != nil {
				return err
			}
			var gone int64
			for _, t := range trims {
				gone += t.Gone
			}
			return c.env.Propose(ctx, term.Proposal{
				Form: *form, Execute: execute, Changes: trims, Show: showTrims(trims),
				Question: fmt.Sprintf("delete up to %d %s?", gone, term.Plural(int(gone), "record")),
				Do: func() error {
					return c.at.Admin(ctx, func(ctx context.Context, a *kadm.Client) error { return trim(ctx, a, trims) })
				},
				Done: term.Lines("deleted up to %d %s\n", gone, term.Plural(int(gone), "record")),
			})
		},
	}
	cmd.Flags().StringVar(&toText, "to", "", "the first record to keep: "+offsets.PositionHelp)
	term.ExecuteFlag(cmd, &execute)
	form = term.OutputFlag(cmd)
	return cmd
}

// planTrims finds where the partitions shall begin: nowhere behind their ends.
func planTrims(ctx context.Context, client *kgo.Client, choice offsets.Choices, to offsets.Position) ([]trimJSON, error) {
	parts, err := choice.Find(ctx, kadm.NewClient(client))
	if err != nil {
		return nil, err
	}
	bounds, err := offsets.ListBounds(ctx, client, parts, offsets.ReadUncommitted)
	if err != nil {
		return nil, err
	}
	if err := bounds.Known(); err != nil {
		return nil, err
	}
	starts, err := to.Resolve(ctx, client, bounds, offsets.ReadUncommitted)
	if err != nil {
		return nil, err
	}
	trims := []trimJSON{}
	for _, p := range parts {
		b := bounds[p]
		start := min(max(starts[p], b.Start), b.End)
		trims = append(trims, trimJSON{p.Topic, p.Number, b.Start, start, start - b.Start})
	}
	return trims, nil
}

func showTrims(trims []trimJSON) func(io.Writer) error {
	return term.Table(trims,
		term.Col("topic", func(t trimJSON) any { return t.Topic }),
		term.Col("partition", func(t trimJSON) any { return t.Partition }),
		term.Col("old start", func(t trimJSON) any { return t.OldStart }),
		term.Col("new start", func(t trimJSON) any { return t.NewStart }),
		term.Col("gone", func(t trimJSON) any { return t.Gone }))
}

func trim(ctx context.Context, a *kadm.Client, trims []trimJSON) error {
	var all kadm.Offsets
	for _, t := range trims {
		if t.Gone > 0 {
			all.AddOffset(t.Topic, t.Partition, t.NewStart, -1)
		}
	}
	if len(all) == 0 {
		return nil
	}
	done, err := a.DeleteRecords(ctx, all)
	if err != nil {
		return err
	}
	var failed []error
	for _, r := range done.Sorted() {
		if r.Err != nil {
			failed = append(failed, fmt.Errorf("cannot trim partition %d of %s: %w", r.Partition, r.Topic, target.Explain(r.Err, "")))
		}
	}
	return errors.Join(failed...)
}
