package group

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/cli/offsets"
	"github.com/headrace/headrace/internal/cli/target"
	"github.com/headrace/headrace/internal/cli/term"
)

// gone is a committed offset that a deletion takes away.
type gone struct {
	Group string `json:"group"`
	committedOffset
}

func (c *commands) delete() *cobra.Command {
	var form *term.Form
	var execute bool
	cmd := &cobra.Command{
		Use: "delete GROUP...", Short: "Delete groups with their offsets; shows what would go first",
		Args: term.AtLeastOne("GROUP"), ValidArgsFunction: c.at.CompleteGroups,
		RunE: func(cmd *cobra.Command, names []string) error {
			slices.Sort(names)
			names = slices.Compact(names)
			ctx := cmd.Context()
			going, err := c.whatGoes(ctx, "delete", names, nil)
			if err != nil {
				return err
			}
			return c.env.Propose(ctx, term.Proposal{
				Form: *form, Execute: execute, Changes: going, Show: showGone(names, going),
				Question: fmt.Sprintf("delete %d %s?", len(names), term.Plural(len(names), "group")),
				Do: func() error {
					return c.at.Admin(ctx, func(ctx context.Context, a *kadm.Client) error { return deleteGroups(ctx, a, names) })
				},
				Done: term.Lines("deleted %d %s\n", len(names), term.Plural(len(names), "group")),
			})
		},
	}
	term.ExecuteFlag(cmd, &execute)
	form = term.OutputFlag(cmd)
	return cmd
}

func (c *commands) deleteOffsets() *cobra.Command {
	var form *term.Form
	var execute bool
	var topics []string
	cmd := &cobra.Command{
		Use: "delete-offsets GROUP", Short: "Delete where a group stands in topics; shows what would go first",
		Args: term.One("GROUP"), ValidArgsFunction: c.at.CompleteGroups,
		Example: "  headrace group delete-offsets billing --topic orders:0,3-5 --execute",
		RunE: func(cmd *cobra.Command, args []string) error {
			choice, err := offsets.ParseChoices(topics)
			if err != nil {
				return term.Usage("--topic: %s", err)
			}
			if len(choice) == 0 {
				return term.Usage("group delete-offsets: --topic TOPIC is missing")
			}
			ctx, name := cmd.Context(), args[0]
			going, err := c.whatGoes(ctx, "", []string{name}, choice)
			if err != nil {
				return err
			}
			if len(going) == 0 {
				return fmt.Errorf("group %s has no offsets there (headrace group describe %s shows those it has)", name, name)
			}
			return c.env.Propose(ctx, term.Proposal{
				Form: *form, Execute: execute, Changes: going, Show: showGone(nil, going),
				Question: fmt.Sprintf("delete %d %s of group %s?", len(going), term.Plural(len(going), "offset"), name),
				Do: func() error {
					return c.at.Admin(ctx, func(ctx context.Context, a *kadm.Client) error { return forget(ctx, a, name, going) })
				},
				Done: term.Lines("deleted %d %s of group %s\n", len(going), term.Plural(len(going), "offset"), name),
			})
		},
	}
	cmd.Flags().StringArrayVar(&topics, "topic", nil, "TOPIC or TOPIC:PARTITIONS, such as orders:0,3-5, may be repeated")
	_ = cmd.RegisterFlagCompletionFunc("topic", c.at.CompleteTopics)
	term.ExecuteFlag(cmd, &execute)
	form = term.OutputFlag(cmd)
	return cmd
}

// whatGoes lists the offsets that go. Where verb says what happens to the groups themselves, they must be without members.
func (c *commands) whatGoes(ctx context.Context, verb string, names []string, choice offsets.Choices) ([]gone, error) {
	all := []gone{}
	err := c.at.Admin(ctx, func(ctx context.Context, a *kadm.Client) error {
		for _, name := range names {
			g, there, err := find(ctx, a, name)
			switch {
			case err != nil:
				return err
			case !there && verb == "":
				return missing("delete the offsets of", name)
			case !there:
				return missing(verb, name)
			case verb != "" && len(g.Members) > 0:
				return live(verb, g)
			}
			list, err := committed(ctx, a, name, choice)
			if err != nil {
				return err
			}
			for _, o := range list {
				all = append(all, gone{name, o})
			}
		}
		return nil
	})
	return all, err
}

func showGone(names []string, going []gone) func(io.Writer) error {
	return func(w io.Writer) error {
		for _, name := range names {
			if !slices.ContainsFunc(going, func(o gone) bool { return o.Group == name }) {
				fmt.Fprintf(w, "group %s has no offsets\n", name)
			}
		}
		if len(going) == 0 {
			return nil
		}
		return term.Table(going,
			term.Col("group", func(o gone) any { return o.Group }),
			term.Col("topic", func(o gone) any { return o.Topic }),
			term.Col("partition", func(o gone) any { return o.Partition }),
			term.Col("committed", func(o gone) any { return o.Committed }))(w)
	}
}

func deleteGroups(ctx context.Context, a *kadm.Client, names []string) error {
	done, err := a.DeleteGroups(ctx, names...)
	if err != nil {
		return err
	}
	var failed []error
	for _, name := range names {
		if r := done[name]; r.Err != nil {
			failed = append(failed, groupError("delete", name, target.Explain(r.Err, r.ErrMessage)))
		}
	}
	return errors.Join(failed...)
}

func forget(ctx context.Context, a *kadm.Client, name string, going []gone) error {
	var set kadm.TopicsSet
	for _, o := range going {
		set.Add(o.Topic, o.Partition)
	}
	done, err := a.DeleteOffsets(ctx, name, set)
	if err != nil {
		return groupError("delete the offsets of", name, err)
	}
	var failed []error
	done.EachError(func(topic string, partition int32, err error) {
		if errors.Is(err, kerr.GroupSubscribedToTopic) {
			err = fmt.Errorf("its members read %s: stop them first", topic)
		}
		failed = append(failed, fmt.Errorf("cannot delete the offset of partition %d of %s of group %s: %w", partition, topic, name, target.Explain(err, "")))
	})
	return errors.Join(failed...)
}
