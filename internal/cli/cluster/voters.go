package cluster

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/cli/target"
	"github.com/headrace/headrace/internal/cli/term"
)

// done is the answer of a command that changes one node's part in the cluster.
type done struct {
	Node int32 `json:"node"`
	Done bool  `json:"done"` // false: it was so already
}

func (c *commands) addVoter() *cobra.Command {
	return c.onNode(&cobra.Command{
		Use: "add-voter NODE", Short: "Make a node that follows the metadata one of its voters",
		Long: "Gives a node that follows the metadata a vote on it. Nodes become voters by themselves up to headrace.quorum.voters.max; this is for\n" +
			"choosing which. Of three voters one may fail, of five two; an even number survives no more failures than one less.",
		Example: "  headrace cluster add-voter 4",
	}, func(ctx context.Context, client *kgo.Client, form term.Form, id int32) error {
		q, err := describeQuorum(ctx, client)
		if err != nil {
			return err
		}
		m, ok := q.member(id)
		if !ok {
			return fmt.Errorf("node %d does not follow the metadata: start it with --join first (headrace cluster quorum shows those that do)", id)
		}
		answer := done{Node: id, Done: !m.votes()}
		if !answer.Done {
			return c.env.Print(form, answer, term.Lines("node %d is a voter already\n", id))
		}
		if err := addVoter(ctx, client, m); err != nil {
			return err
		}
		return c.env.Print(form, answer, term.Lines("node %d is a voter\n", id))
	})
}

func addVoter(ctx context.Context, client *kgo.Client, m member) error {
	nodes, err := nodesNow(ctx, client)
	if err != nil {
		return err
	}
	req := kmsg.NewPtrAddRaftVoterRequest()
	req.ClusterID, req.VoterID, req.VoterDirectoryID = nodes.ClusterID, m.ID, m.directory
	for _, l := range m.listeners {
		r := kmsg.NewAddRaftVoterRequestListener()
		r.Name, r.Host, r.Port = l.Name, l.Host, l.Port
		req.Listeners = append(req.Listeners, r)
	}
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return err
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return target.Refused(err, "cannot make node %d a voter: %s", m.ID, target.Explain(err, words(resp.ErrorMessage)))
	}
	return nil
}

func (c *commands) removeVoter() *cobra.Command {
	return c.onNode(&cobra.Command{
		Use: "remove-voter NODE", Short: "Take a node's vote on the metadata; it goes on following it",
		Long: "Takes a node's vote on the metadata, as of one that is lost for good. Another node that follows takes its place where there is one.\n" +
			"To take a node away altogether, see headrace cluster decommission.",
		Example: "  headrace cluster remove-voter 2",
	}, func(ctx context.Context, client *kgo.Client, form term.Form, id int32) error {
		q, err := describeQuorum(ctx, client)
		if err != nil {
			return err
		}
		m, ok := q.member(id)
		answer := done{Node: id, Done: ok && m.votes()}
		if !answer.Done {
			return c.env.Print(form, answer, term.Lines("node %d is no voter\n", id))
		}
		if err := removeVoter(ctx, client, m); err != nil {
			return err
		}
		return c.env.Print(form, answer, term.Lines("node %d is no voter any more\n", id))
	})
}

func removeVoter(ctx context.Context, client *kgo.Client, m member) error {
	nodes, err := nodesNow(ctx, client)
	if err != nil {
		return err
	}
	req := kmsg.NewPtrRemoveRaftVoterRequest()
	req.ClusterID, req.VoterID, req.VoterDirectoryID = nodes.ClusterID, m.ID, m.directory
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return err
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return target.Refused(err, "cannot take the vote of node %d: %s", m.ID, target.Explain(err, words(resp.ErrorMessage)))
	}
	return nil
}

// onNode completes a command about one node that is soon done.
func (c *commands) onNode(cmd *cobra.Command, f func(context.Context, *kgo.Client, term.Form, int32) error) *cobra.Command {
	form := term.OutputFlag(cmd)
	cmd.Args = term.One("NODE")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := parseNode(args[0])
		if err != nil {
			return err
		}
		return c.at.Ask(cmd.Context(), func(ctx context.Context, client *kgo.Client) error { return f(ctx, client, *form, id) })
	}
	return cmd
}

func parseNode(text string) (int32, error) {
	id, err := strconv.ParseInt(text, 10, 32)
	if err != nil || id < 0 {
		return 0, term.Usage("%q is not the id of a node, such as 4 (headrace cluster nodes lists them)", text)
	}
	return int32(id), nil
}
