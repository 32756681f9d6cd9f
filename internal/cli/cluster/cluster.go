// Package cluster is the commands about a cluster as a whole: what it is, its nodes, and whether it is well. The root of the
// command line calls New; the goroutines are those of the client.
package cluster

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/headrace/headrace/internal/cli/target"
	"github.com/headrace/headrace/internal/cli/term"
)

type commands struct {
	at  *target.Target
	env term.Env
}

// New makes the command group.
func New(at *target.Target, env term.Env) *cobra.Command {
	c := &commands{at, env}
	cmd := term.Group("cluster", "Describe a cluster, tell whether it is well, add and take away nodes, even what they hold",
		c.describe(), c.nodes(), c.health(), c.features(), c.setFeature(), c.quorum(), c.addVoter(), c.removeVoter(), c.decommission(), c.rebalance())
	at.Flags(cmd)
	return cmd
}

// summary is a cluster as cluster describe tells it.
type summary struct {
	ID         string  `json:"id"`
	Controller int32   `json:"controller"`
	Nodes      []int32 `json:"nodes"`
	Topics     int     `json:"topics"`
	Partitions int     `json:"partitions"`
	Replicas   int     `json:"replicas"`
	Bytes      int64   `json:"bytes"`  // on all disks; -1 where a node does not tell
	Groups     int     `json:"groups"` // -1 where a node does not tell
}

func (c *commands) describe() *cobra.Command {
	return c.ask(&cobra.Command{Use: "describe", Short: "Show what a cluster is and holds"}, func(ctx context.Context, client *kgo.Client, form term.Form) error {
		v, err := survey(ctx, client)
		if err != nil {
			return err
		}
		s := summary{ID: v.meta.Cluster, Controller: v.meta.Controller, Nodes: v.meta.Brokers.NodeIDs(), Topics: len(v.meta.Topics)}
		for _, t := range v.meta.Topics {
			s.Partitions += len(t.Partitions)
			for _, p := range t.Partitions {
				s.Replicas += len(p.Replicas)
			}
		}
		for _, d := range v.dirs {
			s.Bytes += d.Bytes
		}
		if v.dirsErr != nil {
			s.Bytes = -1
		}
		groups, err := kadm.NewClient(client).ListGroups(ctx)
		if err != nil { // a node is away; the others know some
			s.Groups = -1
		} else {
			s.Groups = len(groups)
		}
		return c.env.Print(form, s, func(w io.Writer) error {
			_, err := fmt.Fprintf(w, "cluster %s\nnodes       %d, controller %d\ntopics      %d with %d partitions, %d replicas\ndata        %s\ngroups      %v\n",
				s.ID, len(s.Nodes), s.Controller, s.Topics, s.Partitions, s.Replicas, term.Bytes(s.Bytes), known(int64(s.Groups)))
			return err
		})
	})
}

// node is one node as cluster nodes tells it.
type node struct {
	ID         int32   `json:"id"`
	Address    string  `json:"address"`
	Rack       *string `json:"rack"`
	Controller bool    `json:"controller"`
	Leaders    int     `json:"leaders"`  // partitions that it leads
	Replicas   int     `json:"replicas"` // partitions that it has
	Dirs       []dir   `json:"logDirs"`
}

// dir is one log directory of a node. Numbers that the node does not tell are -1.
type dir struct {
	Node   int32  `json:"-"`
	Path   string `json:"path"`
	Bytes  int64  `json:"bytes"`
	Free   int64  `json:"freeBytes"`
	Volume int64  `json:"volumeBytes"`
	Error  string `json:"error,omitempty"`
}

func (c *commands) nodes() *cobra.Command {
	return c.ask(&cobra.Command{Use: "nodes", Short: "List the nodes with what they hold"}, func(ctx context.Context, client *kgo.Client, form term.Form) error {
		v, err := survey(ctx, client)
		if err != nil {
			return err
		}
		nodes := []node{}
		for _, b := range v.meta.Brokers {
			n := node{ID: b.NodeID, Address: fmt.Sprintf("%s:%d", b.Host, b.Port), Rack: b.Rack, Controller: b.NodeID == v.meta.Controller, Dirs: []dir{}}
			for _, t := range v.meta.Topics {
				for _, p := range t.Partitions {
					if p.Leader == n.ID {
						n.Leaders++
					}
					if slices.Contains(p.Replicas, n.ID) {
						n.Replicas++
					}
				}
			}
			for _, d := range v.dirs {
				if d.Node == n.ID {
					n.Dirs = append(n.Dirs, d)
				}
			}
			nodes = append(nodes, n)
		}
		slices.SortFunc(nodes, func(a, b node) int { return cmp.Compare(a.ID, b.ID) })
		return c.env.Print(form, nodes, term.Table(nodes,
			term.Col("id", func(n node) any {
				if n.Controller {
					return fmt.Sprintf("%d *", n.ID)
				}
				return n.ID
			}),
			term.Col("address", func(n node) any { return n.Address }),
			term.Col("rack", func(n node) any {
				if n.Rack == nil {
					return "-"
				}
				return *n.Rack
			}),
			term.Col("leads", func(n node) any { return n.Leaders }),
			term.Col("replicas", func(n node) any { return n.Replicas }),
			term.Col("data", func(n node) any { return term.Bytes(n.sum(func(d dir) int64 { return d.Bytes })) }),
			term.Col("free", func(n node) any { return term.Bytes(n.sum(func(d dir) int64 { return d.Free })) })))
	})
}

// sum adds what is known of the directories, or is -1 where nothing is.
func (n node) sum(of func(dir) int64) int64 {
	total := int64(-1)
	for _, d := range n.Dirs {
		if b := of(d); b >= 0 {
			total = max(total, 0) + b
		}
	}
	return total
}

// ask completes a command that asks the cluster and takes no arguments.
func (c *commands) ask(cmd *cobra.Command, f func(context.Context, *kgo.Client, term.Form) error) *cobra.Command {
	form := term.OutputFlag(cmd)
	cmd.Args = cobra.NoArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return c.at.Ask(cmd.Context(), func(ctx context.Context, client *kgo.Client) error { return f(ctx, client, *form) })
	}
	return cmd
}

// view is what a cluster tells about itself.
type view struct {
	meta    kadm.Metadata
	dirs    []dir
	dirsErr error // why a node did not tell of its directories
}

func survey(ctx context.Context, client *kgo.Client) (view, error) {
	a := kadm.NewClient(client)
	meta, err := a.Metadata(ctx)
	if err != nil {
		return view{}, err
	}
	v := view{meta: meta}
	all, err := a.DescribeAllLogDirs(ctx, nil)
	v.dirsErr = err
	for _, of := range all {
		for _, d := range of {
			one := dir{Node: d.Broker, Path: d.Dir, Bytes: d.Size(), Free: d.UsableBytes, Volume: d.TotalBytes}
			if d.Err != nil {
				one.Error, one.Bytes = target.Explain(d.Err, "").Error(), -1
			}
			v.dirs = append(v.dirs, one)
		}
	}
	slices.SortFunc(v.dirs, func(a, b dir) int { return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.Path, b.Path)) })
	return v, nil
}
