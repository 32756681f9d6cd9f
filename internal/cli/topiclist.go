package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/cli/offsets"
	"github.com/headrace/headrace/internal/cli/target"
	"github.com/headrace/headrace/internal/cli/term"
)

// topicJSON is a topic as --output json prints it; list leaves out what only describe asks for.
type topicJSON struct {
	Name              string            `json:"name"`
	ID                string            `json:"id"`
	Internal          bool              `json:"internal"`
	Partitions        int               `json:"partitions"`
	ReplicationFactor int               `json:"replicationFactor"`
	Bytes             *int64            `json:"bytes,omitempty"` // on all disks; -1 where not known
	Configs           map[string]string `json:"configs,omitempty"`
	Detail            []partitionJSON   `json:"partitionDetail,omitempty"`
}

type partitionJSON struct {
	Partition int32   `json:"partition"`
	Leader    int32   `json:"leader"`
	Replicas  []int32 `json:"replicas"`
	ISR       []int32 `json:"isr"`
	Start     int64   `json:"startOffset"`
	End       int64   `json:"endOffset"`
	Bytes     int64   `json:"bytes"` // on the leader's disk; -1 where not known
	Error     string  `json:"error,omitempty"`
}

func (c *command) topicList() *cobra.Command {
	var form *term.Form
	var internal, sizes bool
	cmd := &cobra.Command{
		Use: "list", Short: "List topics",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.at.Admin(cmd.Context(), func(ctx context.Context, a *kadm.Client) error {
				details, err := a.ListTopicsWithInternal(ctx)
				if err != nil {
					return err
				}
				topics := []topicJSON{}
				for _, d := range details.Sorted() {
					if internal || !d.IsInternal {
						topics = append(topics, summary(d))
					}
				}
				if sizes {
					addSizes(topics, diskSizes(ctx, a, nil))
				}
				return c.env.Print(*form, topics, topicTable(topics, sizes))
			})
		},
	}
	form = term.OutputFlag(cmd)
	cmd.Flags().BoolVar(&sizes, "sizes", false, "show what topics take on all disks")
	cmd.Flags().BoolVar(&internal, "internal", false, "list the cluster's own topics too")
	return cmd
}

func topicTable(topics []topicJSON, sizes bool) func(io.Writer) error {
	columns := []term.Column[topicJSON]{
		term.Col("name", func(t topicJSON) any { return t.Name }),
		term.Col("partitions", func(t topicJSON) any { return t.Partitions }),
		term.Col("replicas", func(t topicJSON) any { return t.ReplicationFactor }),
		term.Col("id", func(t topicJSON) any { return t.ID }),
	}
	if sizes {
		columns = append(columns, term.Col("size", func(t topicJSON) any { return term.Bytes(*t.Bytes) }))
	}
	return term.Table(topics, columns...)
}

// replica is one copy of a partition.
type replica struct {
	offsets.Partition
	node int32
}

// diskSizes asks the nodes what the copies of partitions take on their disks. It is empty where they do not tell.
func diskSizes(ctx context.Context, a *kadm.Client, of kadm.TopicsSet) map[replica]int64 {
	sizes := map[replica]int64{}
	all, err := a.DescribeAllLogDirs(ctx, of)
	if err != nil && len(all) == 0 {
		return sizes
	}
	for _, dirs := range all {
		for _, d := range dirs {
			for _, parts := range d.Topics {
				for _, p := range parts {
					sizes[replica{offsets.Partition{Topic: p.Topic, Number: p.Partition}, p.Broker}] += p.Size
				}
			}
		}
	}
	return sizes
}

// addSizes adds up what topics take.
func addSizes(topics []topicJSON, sizes map[replica]int64) {
	total := map[string]int64{}
	for r, n := range sizes {
		total[r.Topic] += n
	}
	for i, t := range topics {
		n, known := total[t.Name]
		if !known {
			n = -1
		}
		topics[i].Bytes = &n
	}
}

func summary(d kadm.TopicDetail) topicJSON {
	t := topicJSON{Name: d.Topic, ID: kafka.TopicID(d.ID).String(), Internal: d.IsInternal, Partitions: len(d.Partitions)}
	for _, p := range d.Partitions {
		t.ReplicationFactor = max(t.ReplicationFactor, len(p.Replicas))
	}
	return t
}

func (c *command) topicDescribe() *cobra.Command {
	var form *term.Form
	cmd := &cobra.Command{
		Use: "describe TOPIC...", Short: "Show partitions, offsets and the keys that are set",
		Args: term.AtLeastOne("TOPIC"), ValidArgsFunction: c.at.CompleteTopics,
		RunE: func(cmd *cobra.Command, names []string) error {
			slices.Sort(names)
			return c.at.Ask(cmd.Context(), func(ctx context.Context, client *kgo.Client) error {
				topics, err := describe(ctx, client, slices.Compact(names))
				if err != nil {
					return err
				}
				return c.env.Print(*form, topics, func(w io.Writer) error { return printDetail(w, topics) })
			})
		},
	}
	form = term.OutputFlag(cmd)
	return cmd
}

func describe(ctx context.Context, client *kgo.Client, names []string) ([]topicJSON, error) {
	a := kadm.NewClient(client)
	details, err := a.ListTopicsWithInternal(ctx, names...)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if d, ok := details[name]; !ok || d.Err != nil {
			return nil, topicError("describe", name, cmpError(d.Err, kerr.UnknownTopicOrPartition), "")
		}
	}
	at := offsets.KnownBounds(ctx, client, offsets.Of(details), offsets.ReadCommitted)
	configs, err := a.DescribeTopicConfigs(ctx, names...)
	if err != nil {
		return nil, err
	}
	var parts kadm.TopicsSet
	for _, p := range offsets.Of(details) {
		parts.Add(p.Topic, p.Number)
	}
	sizes := diskSizes(ctx, a, parts)
	var topics []topicJSON
	for _, name := range names {
		t := summary(details[name])
		t.Configs = overrides(configs, name)
		for _, p := range details[name].Partitions.Sorted() {
			d := detail(p, at)
			d.Bytes = -1
			if n, known := sizes[replica{offsets.Partition{Topic: p.Topic, Number: p.Partition}, p.Leader}]; known {
				d.Bytes = n
			}
			t.Detail = append(t.Detail, d)
		}
		topics = append(topics, t)
	}
	addSizes(topics, sizes)
	return topics, nil
}

// cmpError is the first error that is one.
func cmpError(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

func detail(p kadm.PartitionDetail, at offsets.Bounds) partitionJSON {
	b := at[offsets.Partition{Topic: p.Topic, Number: p.Partition}]
	d := partitionJSON{Partition: p.Partition, Leader: p.Leader, Replicas: p.Replicas, ISR: p.ISR, Start: b.Start, End: b.End}
	if err := errors.Join(p.Err, b.Err); err != nil {
		d.Error = target.Explain(err, "").Error()
		d.Start, d.End = -1, -1
	}
	return d
}

// overrides are the keys that are set for the topic itself.
func overrides(configs kadm.ResourceConfigs, topic string) map[string]string {
	set := map[string]string{}
	for _, r := range configs {
		if r.Name != topic {
			continue
		}
		for _, k := range r.Configs {
			if k.Source == kmsg.ConfigSourceDynamicTopicConfig {
				set[k.Key] = k.MaybeValue()
			}
		}
	}
	return set
}

func printDetail(w io.Writer, topics []topicJSON) error {
	for i, t := range topics {
		if i > 0 {
			fmt.Fprintln(w)
		}
		var set []string
		for key, value := range t.Configs {
			set = append(set, key+"="+value)
		}
		slices.Sort(set)
		fmt.Fprintf(w, "topic %s  id %s  partitions %d  replicas %d\n", t.Name, t.ID, t.Partitions, t.ReplicationFactor)
		if len(set) > 0 {
			fmt.Fprintf(w, "set   %s\n", strings.Join(set, " "))
		}
		if err := partitionTable(t.Detail)(w); err != nil {
			return err
		}
	}
	return nil
}

func partitionTable(parts []partitionJSON) func(io.Writer) error {
	// Offsets of a partition that could not be asked are not known, and the last column tells why.
	known := func(p partitionJSON, n int64) any {
		if p.Error != "" {
			return "-"
		}
		return n
	}
	return term.Table(parts,
		term.Col("partition", func(p partitionJSON) any { return p.Partition }),
		term.Col("leader", func(p partitionJSON) any { return p.Leader }),
		term.Col("replicas", func(p partitionJSON) any { return numbers(p.Replicas) }),
		term.Col("in sync", func(p partitionJSON) any { return numbers(p.ISR) }),
		term.Col("start", func(p partitionJSON) any { return known(p, p.Start) }),
		term.Col("end", func(p partitionJSON) any { return known(p, p.End) }),
		term.Col("size", func(p partitionJSON) any { return term.Bytes(p.Bytes) }),
		term.Col("records", func(p partitionJSON) any {
			if p.Error != "" {
				return p.Error
			}
			return p.End - p.Start
		}))
}

func numbers(ids []int32) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(ids), " ", ","), "[]")
}
