package group

import (
	"cmp"
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

// described is a group as group describe tells it. Numbers that are not known are -1.
type described struct {
	Name        string      `json:"name"`
	State       string      `json:"state"`
	Protocol    string      `json:"protocol"`
	Type        string      `json:"protocolType"`
	Kind        string      `json:"groupType"`
	Coordinator coordinator `json:"coordinator"`
	Lag         int64       `json:"lag"`
	LagSeconds  float64     `json:"lagSeconds"` // the longest of its partitions
	Members     []member    `json:"members"`
	Partitions  []standing  `json:"partitions"`
}

type coordinator struct {
	ID   int32  `json:"id"`
	Host string `json:"host"`
	Port int32  `json:"port"`
}

type member struct {
	ID         string          `json:"id"`
	Instance   string          `json:"instanceId,omitempty"`
	Client     string          `json:"client"`
	Host       string          `json:"host"`
	Assignment []topicAssigned `json:"assignment"`
}

type topicAssigned struct {
	Topic      string  `json:"topic"`
	Partitions []int32 `json:"partitions"`
}

// standing is where a group stands in one partition.
type standing struct {
	Topic      string  `json:"topic"`
	Partition  int32   `json:"partition"`
	Committed  int64   `json:"committed"`
	Start      int64   `json:"startOffset"`
	End        int64   `json:"endOffset"`
	Lag        int64   `json:"lag"`
	LagSeconds float64 `json:"lagSeconds"`
	Member     string  `json:"member,omitempty"`
}

func (c *commands) describe() *cobra.Command {
	var form *term.Form
	cmd := &cobra.Command{
		Use: "describe GROUP...", Short: "Show the members of groups, what they read, and how far behind they are",
		Long: "Shows the members of groups, what they read, and how far behind they are: in records, and in seconds since the first record that is\n" +
			"not committed yet was written. ? (-1 in JSON and YAML) is what nobody knows.",
		Args: term.AtLeastOne("GROUP"), ValidArgsFunction: c.at.CompleteGroups,
		RunE: func(cmd *cobra.Command, names []string) error {
			all := []described{}
			for _, name := range names {
				d, err := c.describeOne(cmd.Context(), name)
				if err != nil {
					return err
				}
				all = append(all, d)
			}
			return c.env.Print(*form, all, func(w io.Writer) error {
				for i, d := range all {
					if i > 0 {
						fmt.Fprintln(w)
					}
					if err := d.print(w); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	form = term.OutputFlag(cmd)
	return cmd
}

func (c *commands) describeOne(ctx context.Context, name string) (described, error) {
	var d described
	err := c.at.Ask(ctx, func(ctx context.Context, client *kgo.Client) error {
		a := kadm.NewClient(client)
		g, there, err := find(ctx, a, name)
		if err != nil {
			return err
		}
		if !there {
			return missing("describe", name)
		}
		d = described{
			Name: name, State: g.State, Protocol: g.Protocol, Type: g.ProtocolType, Kind: g.Kind, Members: g.Members,
			Coordinator: coordinator{g.Coordinator.NodeID, g.Coordinator.Host, g.Coordinator.Port},
		}
		at, err := committed(ctx, a, name, nil)
		if err != nil {
			return err
		}
		d.Partitions = standings(at, d.Members)
		return fillEnds(ctx, client, d.Partitions)
	})
	if err != nil {
		return d, err
	}
	written, err := c.firstUncommitted(ctx, d.Partitions)
	if err != nil {
		return d, err
	}
	fillSeconds(&d, written, time.Now())
	return d, nil
}

func members(g kadm.DescribedGroup) []member {
	all := []member{}
	for _, m := range g.Members {
		one := member{ID: m.MemberID, Client: m.ClientID, Host: strings.TrimPrefix(m.ClientHost, "/"), Assignment: []topicAssigned{}}
		if m.InstanceID != nil {
			one.Instance = *m.InstanceID
		}
		if assigned, ok := m.Assigned.AsConsumer(); ok {
			for _, t := range assigned.Topics {
				one.Assignment = append(one.Assignment, topicAssigned{t.Topic, t.Partitions})
			}
		}
		all = append(all, one)
	}
	return all
}

// standings are the partitions that have a committed offset or a member that reads them.
func standings(at []committedOffset, members []member) []standing {
	all := map[offsets.Partition]standing{}
	for _, o := range at {
		all[offsets.Partition{Topic: o.Topic, Number: o.Partition}] = standing{Topic: o.Topic, Partition: o.Partition, Committed: o.Committed}
	}
	for _, m := range members {
		for _, t := range m.Assignment {
			for _, p := range t.Partitions {
				key := offsets.Partition{Topic: t.Topic, Number: p}
				s, ok := all[key]
				if !ok {
					s = standing{Topic: t.Topic, Partition: p, Committed: -1}
				}
				s.Member = m.ID
				all[key] = s
			}
		}
	}
	list := []standing{}
	for _, s := range all {
		s.Start, s.End, s.Lag, s.LagSeconds = -1, -1, -1, -1
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b standing) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return list
}

// fillEnds asks where the partitions end, and with that how many records the group has not committed. A partition that is gone
// stays unknown.
func fillEnds(ctx context.Context, client *kgo.Client, list []standing) error {
	topics, err := kadm.NewClient(client).ListTopicsWithInternal(ctx)
	if err != nil {
		return err
	}
	var parts []offsets.Partition
	for _, s := range list {
		if _, there := topics[s.Topic].Partitions[s.Partition]; there {
			parts = append(parts, offsets.Partition{Topic: s.Topic, Number: s.Partition})
		}
	}
	bounds, err := offsets.ListBounds(ctx, client, parts, offsets.ReadUncommitted)
	if err != nil {
		return err
	}
	for i, s := range list {
		b, ok := bounds[offsets.Partition{Topic: s.Topic, Number: s.Partition}]
		if !ok || b.Err != nil {
			continue
		}
		list[i].Start, list[i].End = b.Start, b.End
		if s.Committed >= 0 {
			list[i].Lag = max(b.End-s.Committed, 0)
		}
	}
	return nil
}

// fillSeconds turns the times at which the first uncommitted records were written into seconds of lag, and sums up what is known.
func fillSeconds(d *described, written map[offsets.Partition]time.Time, now time.Time) {
	d.Lag, d.LagSeconds = -1, -1
	if len(d.Partitions) == 0 {
		d.Lag, d.LagSeconds = 0, 0
	}
	for i := range d.Partitions {
		s := &d.Partitions[i]
		if s.Lag < 0 {
			continue
		}
		at, found := written[offsets.Partition{Topic: s.Topic, Number: s.Partition}]
		switch {
		case s.Lag == 0:
			s.LagSeconds = 0
		case found:
			s.LagSeconds = max(now.Sub(at).Round(time.Millisecond).Seconds(), 0)
		}
		d.Lag = max(d.Lag, 0) + s.Lag
		d.LagSeconds = max(d.LagSeconds, s.LagSeconds)
	}
}

func (d described) print(w io.Writer) error {
	fmt.Fprintf(w, "group %s  %s  state %s  coordinator %d (%s:%d)", d.Name, d.Kind, d.State, d.Coordinator.ID, d.Coordinator.Host, d.Coordinator.Port)
	if d.Protocol != "" {
		fmt.Fprintf(w, "  assignor %s", d.Protocol)
	}
	fmt.Fprintf(w, "  members %d  lag %v (%ss)\n", len(d.Members), known(d.Lag), seconds(d.LagSeconds))
	if len(d.Members) > 0 {
		fmt.Fprintln(w)
		err := term.Table(d.Members,
			term.Col("member", func(m member) any { return m.ID }),
			term.Col("client", func(m member) any { return m.Client }),
			term.Col("host", func(m member) any { return m.Host }),
			term.Col("reads", func(m member) any { return assignment(m) }))(w)
		if err != nil {
			return err
		}
	}
	if len(d.Partitions) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	return term.Table(d.Partitions,
		term.Col("topic", func(s standing) any { return s.Topic }),
		term.Col("partition", func(s standing) any { return s.Partition }),
		term.Col("committed", func(s standing) any { return known(s.Committed) }),
		term.Col("end", func(s standing) any { return known(s.End) }),
		term.Col("lag", func(s standing) any { return known(s.Lag) }),
		term.Col("seconds", func(s standing) any { return seconds(s.LagSeconds) }),
		term.Col("member", func(s standing) any { return s.Member }))(w)
}

func assignment(m member) string {
	var all []string
	for _, t := range m.Assignment {
		numbers := strings.ReplaceAll(strings.Trim(fmt.Sprint(t.Partitions), "[]"), " ", ",")
		all = append(all, t.Topic+":"+numbers)
	}
	return strings.Join(all, " ")
}

func known(n int64) any {
	if n < 0 {
		return "?"
	}
	return n
}

func seconds(s float64) string {
	if s < 0 {
		return "?"
	}
	return fmt.Sprintf("%.1f", s)
}
