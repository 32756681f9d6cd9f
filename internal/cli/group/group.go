// Package group is the commands about consumer groups: who is in them, how far behind they are, and where they go on. The root of
// the command line calls New; the goroutines are those of the client.
package group

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/cli/offsets"
	"github.com/headrace/headrace/internal/cli/target"
	"github.com/headrace/headrace/internal/cli/term"
)

// commands are those of headrace group.
type commands struct {
	at  *target.Target
	env term.Env
}

// New makes the command group.
func New(at *target.Target, env term.Env) *cobra.Command {
	c := &commands{at, env}
	cmd := term.Group("group", "List, describe, move and delete consumer groups",
		c.list(), c.describe(), c.resetOffsets(), c.deleteOffsets(), c.delete())
	at.Flags(cmd)
	return cmd
}

// listed is one line of group list.
type listed struct {
	Name        string `json:"name"`
	State       string `json:"state"`
	Protocol    string `json:"protocolType"`
	Coordinator int32  `json:"coordinator"`
	Type        string `json:"groupType"` // classic, consumer, ...: which protocol its members speak
}

func (c *commands) list() *cobra.Command {
	var form *term.Form
	var states, types []string
	cmd := &cobra.Command{
		Use: "list", Short: "List groups",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.at.Ask(cmd.Context(), func(ctx context.Context, client *kgo.Client) error {
				list, err := listGroups(ctx, client, states, types)
				if err != nil {
					return target.Explain(err, "")
				}
				return c.env.Print(*form, list, term.Table(list,
					term.Col("name", func(l listed) any { return l.Name }),
					term.Col("state", func(l listed) any { return l.State }),
					term.Col("type", func(l listed) any { return l.Protocol }),
					term.Col("protocol", func(l listed) any { return l.Type }),
					term.Col("coordinator", func(l listed) any { return l.Coordinator })))
			})
		},
	}
	cmd.Flags().StringSliceVar(&states, "state", nil, "only groups in these states, such as Stable or Empty")
	_ = cmd.RegisterFlagCompletionFunc("state", cobra.FixedCompletions([]string{"Empty", "Stable", "PreparingRebalance", "CompletingRebalance", "Assigning", "Reconciling", "Dead"}, cobra.ShellCompDirectiveNoFileComp))
	cmd.Flags().StringSliceVar(&types, "protocol", nil, "only groups whose members speak these protocols, such as classic or consumer")
	_ = cmd.RegisterFlagCompletionFunc("protocol", cobra.FixedCompletions([]string{"classic", "consumer", "share", "streams"}, cobra.ShellCompDirectiveNoFileComp))
	form = term.OutputFlag(cmd)
	return cmd
}

// listGroups asks every node, sorted by name.
func listGroups(ctx context.Context, client *kgo.Client, states, types []string) ([]listed, error) {
	req := kmsg.NewPtrListGroupsRequest()
	req.StatesFilter, req.TypesFilter = states, types
	list := []listed{}
	for _, shard := range client.RequestSharded(ctx, req) {
		if shard.Err != nil {
			return nil, shard.Err
		}
		resp := shard.Resp.(*kmsg.ListGroupsResponse)
		if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
			return nil, err
		}
		for _, g := range resp.Groups {
			list = append(list, listed{g.Group, g.GroupState, g.ProtocolType, shard.Meta.NodeID, g.GroupType})
		}
	}
	slices.SortFunc(list, func(a, b listed) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// found is a group as its coordinator describes it.
type found struct {
	Name, State  string
	Kind         string // classic or consumer: the protocol of its members
	Protocol     string // the assignor
	ProtocolType string
	Coordinator  kadm.BrokerDetail
	Members      []member
}

// find describes one group and tells whether there is such a group.
func find(ctx context.Context, a *kadm.Client, name string) (found, bool, error) {
	all, err := a.DescribeGroups(ctx, name)
	g, ok := all[name]
	switch {
	case !ok && err != nil:
		return found{}, false, groupError("describe", name, err)
	case errors.Is(g.Err, kerr.GroupIDNotFound):
		return findConsumers(ctx, a, name)
	case g.Err != nil:
		return found{}, false, groupError("describe", name, target.Explain(g.Err, g.ErrMessage))
	case g.State == "Dead":
		return findConsumers(ctx, a, name)
	}
	return found{name, g.State, "classic", g.Protocol, g.ProtocolType, g.Coordinator, members(g)}, true, nil
}

// findConsumers describes a group of the consumer protocol. A cluster that does not have that has no such group.
func findConsumers(ctx context.Context, a *kadm.Client, name string) (found, bool, error) {
	all, err := a.DescribeConsumerGroups(ctx, name)
	g, ok := all[name]
	switch {
	case !ok && err != nil, errors.Is(g.Err, kerr.GroupIDNotFound), errors.Is(g.Err, kerr.UnsupportedVersion):
		return found{}, false, nil
	case g.Err != nil:
		return found{}, false, groupError("describe", name, target.Explain(g.Err, ""))
	}
	f := found{name, g.State, "consumer", g.AssignorName, "consumer", g.Coordinator, []member{}}
	for _, m := range g.Members {
		one := member{ID: m.MemberID, Client: m.ClientID, Host: strings.TrimPrefix(m.ClientHost, "/"), Assignment: []topicAssigned{}}
		if m.InstanceID != nil {
			one.Instance = *m.InstanceID
		}
		for _, t := range m.Assignment.Sorted() {
			one.Assignment = append(one.Assignment, topicAssigned{t.Topic, t.Partitions})
		}
		f.Members = append(f.Members, one)
	}
	return f, true, nil
}

func missing(verb, name string) error {
	return fmt.Errorf("cannot %s group %s: it does not exist (headrace group list shows those that do)", verb, name)
}

func groupError(verb, name string, err error) error {
	return fmt.Errorf("cannot %s group %s: %w", verb, name, target.Explain(err, ""))
}

// live tells why a group with members cannot be changed.
func live(verb string, g found) error {
	n := len(g.Members)
	return fmt.Errorf("cannot %s group %s: it is in use by %d %s (state %s): stop them first", verb, g.Name, n, term.Plural(n, "member"), g.State)
}

// committedOffset is where a group stands in a partition.
type committedOffset struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Committed int64  `json:"committed"`
}

// committed lists where the group stands, in order. choice, where it is not empty, says of which topics and partitions.
func committed(ctx context.Context, a *kadm.Client, name string, choice offsets.Choices) ([]committedOffset, error) {
	all, err := a.FetchOffsets(ctx, name)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return nil, groupError("read the offsets of", name, err)
	}
	list := []committedOffset{}
	for _, o := range all.Sorted() {
		if o.Err != nil {
			return nil, groupError("read the offsets of", name, o.Err)
		}
		if o.At >= 0 && choice.Has(o.Topic, o.Partition) {
			list = append(list, committedOffset{o.Topic, o.Partition, o.At})
		}
	}
	return list, nil
}
