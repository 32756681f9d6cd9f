//go:build linux

package main

import (
	"context"
	"fmt"
	"maps"

	"github.com/headrace/headrace/interop/go/cluster"
)

// upgrade begins with an older binary and goes over to this one, a node after the other, under a load that must not notice. Nodes of
// both run together, and until somebody raises the levels of the features one can go back.
func (o options) upgrade(ctx context.Context, c *cluster.Cluster) (good bool, err error) {
	older, newer := cluster.Headrace(o.older, o.join), cluster.Headrace(o.headrace, o.join)
	return o.underLoad(ctx, c, true, func(s *stage) error {
		levels, err := c.Features(s.ctx)
		if err != nil {
			return err
		}
		s.say("the levels are %v", levels)
		step := func(n *cluster.Node, to cluster.Product, doing string) error {
			s.wait(o.pace)
			n.Use(to)
			if err := s.restart(n, doing); err != nil {
				return err
			}
			now, err := c.Features(s.ctx)
			if err == nil && !maps.Equal(now, levels) {
				s.report.anomaly("levels-changed", fmt.Sprintf("%s of node %d: from %v to %v", doing, n.ID, levels, now))
			}
			return err
		}
		for _, n := range c.Nodes {
			if err := step(n, newer, "upgrade"); err != nil {
				return err
			}
		}
		for _, n := range c.Nodes { // one of them leads the metadata quorum meanwhile
			if err := step(n, older, "downgrade"); err != nil {
				return err
			}
			if err := step(n, newer, "upgrade again"); err != nil {
				return err
			}
		}
		return nil
	})
}
