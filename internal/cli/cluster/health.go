package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/cli/target"
	"github.com/headrace/headrace/internal/cli/term"
)

// finding is one thing that is wrong with a cluster, and what to do.
type finding struct {
	Problem    string   `json:"problem"`
	Advice     string   `json:"advice"`
	Partitions []string `json:"partitions,omitempty"` // all that it is about
}

// errUnwell ends a command that has told what is wrong.
var errUnwell = errors.New("the cluster is not well")

func (c *commands) health() *cobra.Command {
	cmd := &cobra.Command{
		Use: "health", Short: "Tell whether a cluster is well; the exit code says so too",
		Long: "Asks every node, and looks for partitions without a leader or with replicas that are behind, for voters on the metadata that are behind,\n" +
			"for log directories that have failed, for disks that are nearly full, and for nodes that differ in durability. JSON and YAML name every partition. Exit codes: 0 well, 1 not well, 3 no node answers.",
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
		if _, err := apiVersions(ctx, client, b.NodeID); err != nil {
			findings = append(findings, found("start it, or set its advertised.listeners to an address that works from here",
				"node %d at %s:%d does not answer: %s", b.NodeID, b.Host, b.Port, target.Reason(err)))
		}
	}
	if !slices.ContainsFunc(v.meta.Brokers, func(b kadm.BrokerDetail) bool { return b.NodeID == v.meta.Controller }) {
		findings = append(findings, found("see the logs of the nodes that hold the metadata log, and start those that are down",
			"the cluster has no controller: topics and configs cannot change"))
	}
	findings = append(findings, votersAmiss(ctx, client)...)
	findings = append(findings, durabilitiesAmiss(ctx, client, v.meta.Brokers.NodeIDs())...)
	minimum, err := minInSync(ctx, client, v.meta.Topics)
	if err != nil {
		return nil, err
	}
	findings = append(findings, partitionsAmiss(v.meta.Topics, minimum)...)
	for _, d := range v.dirs {
		switch {
		case d.Error != "":
			findings = append(findings, found("see the node's log, mend the disk, and start the node again",
				"log directory %s of node %d has failed: %s", d.Path, d.Node, d.Error))
		case d.Volume > 0 && float64(d.Free) < fullBelow*float64(d.Volume):
			findings = append(findings, found("make room: lower retention.ms or retention.bytes of large topics (headrace topic list --sizes), or add space",
				"the disk of %s of node %d is nearly full: %s of %s are free", d.Path, d.Node, term.Bytes(d.Free), term.Bytes(d.Volume)))
		}
	}
	if v.dirsErr != nil && ctx.Err() == nil && len(findings) == 0 {
		findings = append(findings, found("see the logs of the nodes", "log directories could not be asked for: %s", term.OneLine(target.Explain(v.dirsErr, ""))))
	}
	return findings, nil
}

func found(advice, problem string, args ...any) finding {
	return finding{Problem: fmt.Sprintf(problem, args...), Advice: advice}
}

// votersAmiss looks for voters on the metadata that do not keep up, or for a majority that is missing. A cluster that does not tell of
// them is not unwell for that.
func votersAmiss(ctx context.Context, client *kgo.Client) []finding {
	q, err := describeQuorum(ctx, client)
	if errors.Is(err, kerr.NotController) {
		return []finding{found("start the voters that are down; until then topics, configs and leaders stay as they are", "%s", term.OneLine(err))}
	}
	if err != nil {
		return nil
	}
	var findings []finding
	for _, id := range q.behind() {
		findings = append(findings, found("start it; one that is lost for good is taken out with headrace cluster decommission",
			"node %d, a voter on the metadata, is behind", id))
	}
	return findings
}

// apiVersions asks one node for a sign of life, and what it can do.
func apiVersions(ctx context.Context, client *kgo.Client, id int32) (*kmsg.ApiVersionsResponse, error) {
	soon, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = "headrace", "1" // one without is refused
	resp, err := client.Broker(int(id)).Request(soon, req)
	if err != nil {
		return nil, err
	}
	answer := resp.(*kmsg.ApiVersionsResponse)
	return answer, kerr.ErrorForCode(answer.ErrorCode)
}

// durabilityKey is Headrace's own: whether what is acknowledged is on the disk. Topics that set it are the same on all nodes.
const durabilityKey = "durability"

// durabilitiesAmiss looks for nodes that differ in when they acknowledge. What does not know the key does not tell.
func durabilitiesAmiss(ctx context.Context, client *kgo.Client, ids []int32) []finding {
	all, _ := kadm.NewClient(client).DescribeBrokerConfigs(ctx, ids...) // nodes that are away are told of already
	nodes := map[string][]int32{}
	for _, r := range all {
		id, err := strconv.ParseInt(r.Name, 10, 32)
		for _, k := range r.Configs {
			if k.Key == durabilityKey && err == nil && r.Err == nil {
				nodes[k.MaybeValue()] = append(nodes[k.MaybeValue()], int32(id))
			}
		}
	}
	if len(nodes) < 2 {
		return nil
	}
	var each []string
	for _, value := range slices.Sorted(maps.Keys(nodes)) {
		slices.Sort(nodes[value])
		each = append(each, fmt.Sprintf("%s on %v", value, nodes[value]))
	}
	return []finding{found("choose one for all: headrace config set cluster durability=flush",
		"nodes differ in durability, %s: what an acknowledgement is worth depends on which of them leads", strings.Join(each, ", "))}
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

// partitionsAmiss looks for partitions that cannot be written or are short of copies: one finding a kind, with the first few
// names and the nodes that they miss.
func partitionsAmiss(topics kadm.TopicDetails, minimum map[string]int) []finding {
	var leaderless, blocked, behind shortage
	for _, t := range topics.Sorted() {
		for _, p := range t.Partitions.Sorted() {
			switch {
			case p.Leader < 0:
				leaderless.add(p)
			case len(p.ISR) < minimum[p.Topic]:
				blocked.add(p)
			case len(p.ISR) < len(p.Replicas):
				behind.add(p)
			}
		}
	}
	var findings []finding
	add := func(of shortage, what, advice string) {
		if n := len(of.names); n > 0 {
			f := found(advice, "%d %s %s: %s%s", n, term.Plural(n, "partition"), what, few(of.names), of.where())
			f.Partitions = of.names
			findings = append(findings, f)
		}
	}
	add(leaderless, "without a leader, neither written nor read", "start the nodes that hold them (headrace topic describe TOPIC names the replicas)")
	add(blocked, "with fewer replicas in sync than min.insync.replicas, refused to producers with acks=all", "start the nodes that hold the missing replicas, or lower min.insync.replicas of the topic to what it has")
	add(behind, "with replicas that are behind", "start the nodes that hold them, or wait until they have caught up")
	return findings
}

// shortage is partitions that are short of replicas, and the nodes whose replicas are not in sync.
type shortage struct {
	names []string
	nodes []int32
}

func (s *shortage) add(p kadm.PartitionDetail) {
	s.names = append(s.names, fmt.Sprintf("%s:%d", p.Topic, p.Partition))
	for _, id := range p.Replicas {
		if !slices.Contains(p.ISR, id) && !slices.Contains(s.nodes, id) {
			s.nodes = append(s.nodes, id)
		}
	}
	slices.Sort(s.nodes)
}

func (s *shortage) where() string {
	switch len(s.nodes) {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf(", on node %d", s.nodes[0])
	}
	return fmt.Sprintf(", on nodes %v", s.nodes)
}

func few(names []string) string {
	const most = 5
	if len(names) <= most {
		return fmt.Sprint(names)
	}
	return fmt.Sprintf("%v and %d more", names[:most], len(names)-most)
}
