package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/cli/target"
	"github.com/headrace/headrace/internal/cli/term"
)

// finding is one thing that is wrong with a cluster, and what to do.
type finding struct {
	Problem string `json:"problem"`
	Advice  string `json:"advice"`
}

// errUnwell ends a command that has told what is wrong.
var errUnwell = errors.New("the cluster is not well")

func (c *commands) health() *cobra.Command {
	cmd := &cobra.Command{
		Use: "health", Short: "Tell whether a cluster is well; the exit code says so too",
		Long: "Asks every node, and looks for partitions without a leader or with replicas that are behind, for log directories that have failed and for\n" +
			"disks that are nearly full. Exit codes: 0 well, 1 not well, 3 no node answers.",
	}
	return c.ask(cmd, func(ctx context.Context, client *kgo.Client, form term.Form) error {
		findings, err := examine(ctx, client)
		if err != nil {
			return err
		}
		answer := struct {
			Healthy  bool      `json:"healthy"`
			Findings []finding `json:"findings"`
		}{len(findings) == 0, findings}
		err = c.env.Print(form, answer, func(w io.Writer) error {
			if len(findings) == 0 {
				fmt.Fprintln(w, "the cluster is well")
			}
			for _, f := range findings {
				fmt.Fprintf(w, "%s\n  %s\n", f.Problem, f.Advice)
			}
			return nil
		})
		if err == nil && len(findings) > 0 {
			return errUnwell
		}
		return err
	})
}

// fullBelow is the share of a volume that should be free.
const fullBelow = 0.10

func examine(ctx context.Context, client *kgo.Client) ([]finding, error) {
	v, err := survey(ctx, client)
	if err != nil {
		return nil, err
	}
	findings := []finding{}
	for _, b := range v.meta.Brokers {
		if err := greet(ctx, client, b.NodeID); err != nil {
			findings = append(findings, finding{fmt.Sprintf("node %d at %s:%d does not answer: %s", b.NodeID, b.Host, b.Port, target.Reason(err)),
				"start it, or set its advertised.listeners to an address that works from here"})
		}
	}
	if !slices.ContainsFunc(v.meta.Brokers, func(b kadm.BrokerDetail) bool { return b.NodeID == v.meta.Controller }) {
		findings = append(findings, finding{"the cluster has no controller: topics and configs cannot change", "see the logs of the nodes that hold the metadata log, and start those that are down"})
	}
	minimum, err := minInSync(ctx, client, v.meta.Topics)
	if err != nil {
		return nil, err
	}
	findings = append(findings, partitionsAmiss(v.meta.Topics, minimum)...)
	for _, d := range v.dirs {
		switch {
		case d.Error != "":
			findings = append(findings, finding{fmt.Sprintf("log directory %s of node %d has failed: %s", d.Path, d.Node, d.Error), "see the node's log, mend the disk, and start the node again"})
		case d.Volume > 0 && float64(d.Free) < fullBelow*float64(d.Volume):
			findings = append(findings, finding{fmt.Sprintf("the disk of %s of node %d is nearly full: %s of %s are free", d.Path, d.Node, term.Bytes(d.Free), term.Bytes(d.Volume)),
				"make room: lower retention.ms or retention.bytes of large topics (headrace topic list --sizes), or add space"})
		}
	}
	if v.dirsErr != nil && ctx.Err() == nil && len(findings) == 0 {
		findings = append(findings, finding{"log directories could not be asked for: " + term.OneLine(target.Explain(v.dirsErr, "")), "see the logs of the nodes"})
	}
	return findings, nil
}

// greet asks one node for a sign of life.
func greet(ctx context.Context, client *kgo.Client, id int32) error {
	soon, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	_, err := client.Broker(int(id)).Request(soon, kmsg.NewPtrApiVersionsRequest())
	return err
}

// minInSync is min.insync.replicas of each topic.
func minInSync(ctx context.Context, client *kgo.Client, topics kadm.TopicDetails) (map[string]int, error) {
	if len(topics) == 0 {
		return nil, nil
	}
	all, err := kadm.NewClient(client).DescribeTopicConfigs(ctx, topics.Names()...)
	if err != nil {
		return nil, err
	}
	minimum := map[string]int{}
	for _, r := range all {
		for _, k := range r.Configs {
			if k.Key == "min.insync.replicas" {
				minimum[r.Name], _ = strconv.Atoi(k.MaybeValue())
			}
		}
	}
	return minimum, nil
}

// partitionsAmiss looks for partitions that cannot be written or are short of copies: one finding a kind, with the first few names.
func partitionsAmiss(topics kadm.TopicDetails, minimum map[string]int) []finding {
	var leaderless, blocked, behind []string
	for _, t := range topics.Sorted() {
		for _, p := range t.Partitions.Sorted() {
			name := fmt.Sprintf("%s:%d", p.Topic, p.Partition)
			switch {
			case p.Leader < 0:
				leaderless = append(leaderless, name)
			case len(p.ISR) < minimum[p.Topic]:
				blocked = append(blocked, name)
			case len(p.ISR) < len(p.Replicas):
				behind = append(behind, name)
			}
		}
	}
	var findings []finding
	add := func(names []string, what, advice string) {
		if len(names) > 0 {
			findings = append(findings, finding{fmt.Sprintf("%d %s %s: %s", len(names), term.Plural(len(names), "partition"), what, few(names)), advice})
		}
	}
	add(leaderless, "without a leader, neither written nor read", "start the nodes that hold them (headrace topic describe TOPIC names the replicas)")
	add(blocked, "with fewer replicas in sync than min.insync.replicas, refused to producers with acks=all", "start the nodes that hold the missing replicas, or lower min.insync.replicas of the topic to what it has")
	add(behind, "with replicas that are behind", "start the nodes that hold them, or wait until they have caught up")
	return findings
}

func few(names []string) string {
	const most = 5
	if len(names) <= most {
		return fmt.Sprint(names)
	}
	return fmt.Sprintf("%v and %d more", names[:most], len(names)-most)
}
