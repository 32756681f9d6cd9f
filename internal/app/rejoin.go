package app

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/headrace/headrace/internal/base/kafka"
)

// rejoin brings a node back whose metadata is damaged: it is taken in by the other nodes like one that comes with an empty disk, but
// keeps its directories and the partitions in them.
//
// Nothing is changed on the disk before the others have let it in, which they do only where most of the voters without it answer: what
// they know as committed is all that is (quorum.Admit says why that is safe). Then the damaged folder is renamed, and never
// deleted. A crash at any point leads here again, or to a node without metadata, which joins in the same way.
func (n *Node) rejoin(ctx context.Context, damage error) error {
	home := filepath.Join(n.home.Path(), metadataPartition.String())
	if n.Offline || len(n.otherAddresses()) == 0 {
		return fmt.Errorf("%w. What partitions hold is not touched by it. Where the cluster has other nodes, start this one with --join and the address of one "+
			"of them: it is taken in anew, and keeps its partitions. Where it is alone, restore %s from a copy, or move it away and have headrace adopt "+
			"register the topics that are there", damage, home)
	}
	n.Log.Error("the metadata of this node is damaged: it asks the others to take it in anew; its partitions stay", "err", damage)
	if n.quorum != nil {
		n.peers.quorum.Store(nil)
		_ = n.quorum.Close() // it has ended, for the reason that is told here
		n.quorum = nil
	}
	if n.log != nil {
		n.home.Abandon(n.log)
		n.log = nil
	}
	if err := n.findOthers(ctx); err != nil {
		return err
	}
	if err := n.joinCluster(ctx); err != nil {
		return err
	}
	aside, err := n.home.SetAsideMetadata(n.rand())
	if err == nil {
		n.Log.Warn("the damaged metadata is set aside: remove it when nobody wants to look at it", "folder", aside)
	}
	return err
}

// otherAddresses are those of the configuration at which this node is not.
func (n *Node) otherAddresses() (others []string) {
	host, port, _ := n.peerAddress()
	own := address(host, port)
	for _, at := range n.Config.Cluster.Join {
		if at != own {
			others = append(others, at)
		}
	}
	for _, v := range n.Config.Cluster.Voters {
		if v.ID != n.Config.ID && v.Address != own {
			others = append(others, v.Address)
		}
	}
	return others
}

// findOthers asks until somebody has a cluster. Unlike a node without data this one founds none, whoever else is without.
func (n *Node) findOthers(ctx context.Context) error {
	s := &seeker{n: n, fresh: map[kafka.NodeID]bool{}, said: map[string]string{}, again: askAgainSoon}
	for {
		for _, at := range n.otherAddresses() {
			resp, err := s.hello(ctx, at)
			if err != nil {
				return err
			}
			if resp == nil || kafka.TopicID(resp.Incarnation) == n.incarnation {
				continue
			}
			if len(resp.Members) > 0 {
				s.join(at, resp)
				return nil
			}
			s.said[at] = "it has no cluster"
		}
		s.tell()
		if !pause(ctx, s.again) {
			return ctx.Err()
		}
		s.again = min(2*s.again, askAgainAtMost)
	}
}
