package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/cli/cluster/plan"
	"github.com/headrace/headrace/internal/cli/target"
	"github.com/headrace/headrace/internal/cli/term"
)

// left is the answer of decommission.
type left struct {
	Node         int32 `json:"node"`
	Moved        int   `json:"moved"`        // partitions
	VoteTaken    bool  `json:"voteTaken"`    // it was a voter
	Unregistered bool  `json:"unregistered"` // the cluster has forgotten it
}

func (c *commands) decommission() *cobra.Command {
	var form *term.Form
	var dry, cancel bool
	var atOnce int
	cmd := &cobra.Command{
		Use: "decommission NODE", Short: "Take a node out of the cluster: empty it, take its vote, forget it",
		Long: "Keeps new replicas away from a node, moves those it has to other nodes, takes its vote on the metadata, waits until it is stopped, and\n" +
			"has the cluster forget it. A node that is dead is taken out in the same way. Clients go on meanwhile.\n\n" +
			"Interrupted, it leaves what is under way to go on, and goes on itself when it is run again; --cancel stops it, and lets the node take\n" +
			"replicas again. What has moved by then stays where it is: headrace cluster rebalance evens it.",
		Example: "  headrace cluster decommission 4 --dry-run\n  headrace cluster decommission 4",
		Args:    term.One("NODE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := parseNode(args[0])
			switch {
			case err != nil:
				return err
			case dry && cancel:
				return term.Usage("cluster decommission: --dry-run and --cancel contradict each other")
			case atOnce < 1:
				return term.Usage("cluster decommission: --at-once must be at least 1")
			}
			return c.at.Work(cmd.Context(), func(ctx context.Context, client *kgo.Client) error {
				l := &leaving{commands: c, client: client, form: *form, atOnce: atOnce, answer: left{Node: id}}
				switch {
				case dry:
					return l.show(ctx)
				case cancel:
					return l.stay(ctx)
				}
				err := l.leave(ctx)
				c.tellOfMoves(ctx, fmt.Sprintf("run this again to go on, or with --cancel to keep node %d", id))
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "show what would move, and change nothing")
	cmd.Flags().BoolVar(&cancel, "cancel", false, "stop, and let the node take replicas again")
	atOnceFlag(cmd, &atOnce)
	form = term.OutputFlag(cmd)
	return cmd
}

// leaving is one node being taken out.
type leaving struct {
	*commands
	client *kgo.Client
	form   term.Form
	atOnce int
	apart  bool // it is a controller alone: it has no replicas, and is in no list of brokers
	closed bool // this run keeps new replicas away: whoever cancels it lets them come again
	answer left
}

// say tells people what was done; in JSON and YAML the answer at the end does.
func (l *leaving) say(format string, args ...any) {
	if l.form == term.FormTable {
		_ = l.env.Say(format+"\n", args...)
	}
}

// plan is the moves that empty the node.
func (l *leaving) plan(ctx context.Context) (holdings, []plan.Move, error) {
	h, err := holdingsOf(ctx, l.client)
	if err != nil {
		return h, nil, err
	}
	moves, err := plan.Drain(h.nodes, h.partitions, l.answer.Node)
	if err != nil {
		return h, nil, err
	}
	if len(moves) == 0 && !h.alive(l.answer.Node) {
		there, err := registered(ctx, l.client, l.answer.Node)
		if err == nil && !there {
			if q, err := describeQuorum(ctx, l.client); err == nil {
				_, l.apart = q.member(l.answer.Node)
			}
		}
		if err == nil && !there && !l.apart {
			err = fmt.Errorf("there is no node %d (headrace cluster nodes lists those that are there)", l.answer.Node)
		}
		return h, nil, err
	}
	return h, moves, nil
}

func (l *leaving) show(ctx context.Context) error {
	h, moves, err := l.plan(ctx)
	if err != nil {
		return err
	}
	p := h.planned(moves)
	return l.env.Print(l.form, p, p.show)
}

// leave takes the node out, step by step; each step finds what an earlier run has done.
func (l *leaving) leave(ctx context.Context) error {
	if _, _, err := l.plan(ctx); err != nil { // before anything is changed
		return err
	}
	if !l.apart {
		if err := l.cordon(ctx); err != nil {
			return err
		}
		if err := l.drain(ctx); err != nil {
			return err
		}
	}
	if err := l.wanted(ctx); err != nil {
		return err
	}
	if err := l.takeVote(ctx); err != nil {
		return err
	}
	if err := l.awaitStop(ctx); err != nil {
		return err
	}
	if err := l.unregister(ctx); err != nil {
		return err
	}
	l.say("node %d is out of the cluster", l.answer.Node)
	return l.env.Print(l.form, l.answer, term.Lines(""))
}

// cordon keeps new replicas away. A cluster that cannot, as Apache Kafka before 4.3, is emptied all the same.
func (l *leaving) cordon(ctx context.Context) error {
	err := l.setCordon(ctx, kmsg.IncrementalAlterConfigOpSet, "*")
	if errors.As(err, new(*kerr.Error)) {
		l.env.Warn("new replicas may still come to node %d: the cluster refuses %s=*: %s", l.answer.Node, cordonKey, term.OneLine(err))
		return nil
	}
	if err == nil {
		l.closed = true
		l.say("no new replicas come to node %d", l.answer.Node)
	}
	return err
}

// wanted is an error when somebody has cancelled this run from elsewhere. A node that does not answer may be the one that is to be
// stopped: it says nothing of that.
func (l *leaving) wanted(ctx context.Context) error {
	if !l.closed {
		return nil
	}
	if cordoned, known := isCordoned(ctx, kadm.NewClient(l.client), l.answer.Node, 0); known && !cordoned {
		return fmt.Errorf("cancelled from elsewhere: node %d takes new replicas again, and stays", l.answer.Node)
	}
	return nil
}

// setCordon asks the node, which a client would do, or the controller where the node is dead.
func (l *leaving) setCordon(ctx context.Context, op kmsg.IncrementalAlterConfigOp, value string) error {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	r, k := kmsg.NewIncrementalAlterConfigsRequestResource(), kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeBroker, fmt.Sprint(l.answer.Node)
	k.Name, k.Op = cordonKey, op
	if op == kmsg.IncrementalAlterConfigOpSet {
		k.Value = &value
	}
	r.Configs = append(r.Configs, k)
	req.Resources = append(req.Resources, r)
	nodes, err := nodesNow(ctx, l.client)
	if err != nil {
		return err
	}
	to := l.answer.Node
	if !isThere(nodes, to) {
		to = nodes.ControllerID
	}
	reply, err := l.client.Broker(int(to)).RetriableRequest(ctx, req)
	if err != nil {
		return err
	}
	for _, r := range reply.(*kmsg.IncrementalAlterConfigsResponse).Resources {
		if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
			return target.Explain(err, words(r.ErrorMessage))
		}
	}
	return nil
}

// drain moves replicas away until none is left: what others began to put there before the cordon counts too.
func (l *leaving) drain(ctx context.Context) error {
	const rounds = 10
	for range rounds {
		if err := l.awaitMoves(ctx); err != nil {
			return err
		}
		h, moves, err := l.plan(ctx)
		if err != nil {
			return err
		}
		if len(moves) == 0 {
			l.say("node %d holds no replicas", l.answer.Node)
			return nil
		}
		m := &mover{env: l.env, client: l.client, atOnce: l.atOnce, wanted: l.wanted}
		if err := m.move(ctx, moves); err != nil {
			return err
		}
		l.answer.Moved += m.done
		l.say("moved %d %s off node %d", m.done, term.Plural(m.done, "partition"), l.answer.Node)
		if err := electPreferred(ctx, l.client, h.elections(moves)); err != nil {
			l.env.Warn("%s", term.OneLine(err))
		}
	}
	return fmt.Errorf("replicas keep coming to node %d: find out who places them there, and run this again", l.answer.Node)
}

// awaitMoves waits for what an earlier run began, and refuses to meddle with the moves of others.
func (l *leaving) awaitMoves(ctx context.Context) error {
	m := &mover{env: l.env, client: l.client, atOnce: l.atOnce, wanted: l.wanted, moving: map[string]plan.Move{}}
	under, err := reassigning(ctx, l.client)
	if err != nil {
		return err
	}
	others := slices.DeleteFunc(slices.Clone(under), func(r reassignment) bool { return slices.Contains(r.Removing, l.answer.Node) })
	if err := refuseWhileMoving(others); err != nil {
		return err
	}
	for _, r := range under {
		m.moving[r.name()] = plan.Move{}
	}
	m.total = len(under)
	if err := m.await(ctx); err != nil {
		return err
	}
	l.answer.Moved += m.done
	return nil
}

func (l *leaving) takeVote(ctx context.Context) error {
	q, err := describeQuorum(ctx, l.client)
	if err != nil {
		l.env.Warn("the voters on the metadata are not known, see to it that node %d is none: %s", l.answer.Node, term.OneLine(target.Explain(err, "")))
		return nil
	}
	m, ok := q.member(l.answer.Node)
	if !ok || !m.votes() {
		return nil
	}
	if err := removeVoter(ctx, l.client, m); err != nil {
		return err
	}
	l.answer.VoteTaken = true
	l.say("node %d has no vote on the metadata any more", l.answer.Node)
	return nil
}

// awaitStop waits until the node is gone: a node that runs would register itself again.
func (l *leaving) awaitStop(ctx context.Context) error {
	for look := firstLook; ; look = min(2*look, lastLook) {
		there, err := l.runs(ctx)
		if err != nil || !there {
			return err
		}
		if err := l.wanted(ctx); err != nil {
			return err
		}
		if look == firstLook {
			l.env.Warn("node %d is empty: stop it now; the cluster forgets it when it is gone", l.answer.Node)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(look):
		}
	}
}

// runs tells whether the node is there still.
func (l *leaving) runs(ctx context.Context) (bool, error) {
	if l.apart {
		q, err := describeQuorum(ctx, l.client)
		return q.answers(l.answer.Node), err
	}
	nodes, err := nodesNow(ctx, l.client)
	return err == nil && isThere(nodes, l.answer.Node), err
}

// unregister has the cluster forget the node, and the cordon first: it would count for a new node of the same id.
func (l *leaving) unregister(ctx context.Context) error {
	if err := l.setCordon(ctx, kmsg.IncrementalAlterConfigOpDelete, ""); err != nil && !errors.As(err, new(*kerr.Error)) {
		return err
	}
	req := kmsg.NewPtrUnregisterBrokerRequest()
	req.BrokerID = l.answer.Node
	resp, err := req.RequestWith(ctx, l.client)
	if err != nil {
		return err
	}
	err = kerr.ErrorForCode(resp.ErrorCode)
	if err != nil && !errors.Is(err, kerr.BrokerIDNotRegistered) { // somebody else was faster
		return target.Refused(err, "cannot have the cluster forget node %d: %s", l.answer.Node, target.Explain(err, words(resp.ErrorMessage)))
	}
	l.answer.Unregistered = true
	return nil
}

// registered tells whether the cluster knows a node that may not be there.
func registered(ctx context.Context, client *kgo.Client, id int32) (bool, error) {
	req := kmsg.NewPtrDescribeClusterRequest()
	req.IncludeFencedBrokers = true
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return false, err
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return false, target.Explain(err, words(resp.ErrorMessage))
	}
	return slices.ContainsFunc(resp.Brokers, func(b kmsg.DescribeClusterResponseBroker) bool { return b.NodeID == id }), nil
}

// stay undoes what can be undone. The cordon goes first: a run elsewhere that goes on ends when it sees that, and begins nothing anew.
func (l *leaving) stay(ctx context.Context) error {
	if err := l.setCordon(ctx, kmsg.IncrementalAlterConfigOpDelete, ""); err != nil {
		return target.Refused(err, "cannot let node %d take replicas again: %s", l.answer.Node, term.OneLine(err))
	}
	under, err := reassigning(ctx, l.client)
	if err != nil {
		return err
	}
	ours := slices.DeleteFunc(under, func(r reassignment) bool { return !slices.Contains(r.Removing, l.answer.Node) })
	stopped, err := cancelMoves(ctx, l.client, ours)
	if err != nil {
		return err
	}
	return l.env.Print(l.form, canceled{stopped}, term.Lines("stopped the move of %d %s; node %d takes new replicas again (headrace cluster quorum shows whether it has a vote)\n",
		len(stopped), term.Plural(len(stopped), "partition"), l.answer.Node))
}
