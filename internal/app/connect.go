package app

import (
	"context"
	"iter"
	"net"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/conf"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/link"
	"github.com/headrace/headrace/internal/node/api"
	"github.com/headrace/headrace/internal/node/replication"
	"github.com/headrace/headrace/internal/node/transport"
)

// connect makes what this node speaks to others with. Nothing is sent before somebody has something to say.
func (n *Node) connect(context.Context) error {
	n.peers = newPeers(n)
	n.clocks = &clocks{log: n.Log.With("component", "clock")}
	n.link = link.New(link.Config{
		Self: n.Config.ID, Incarnation: n.incarnation, ClusterID: n.peers.cluster,
		Dial: n.Env.Dial, Resolve: n.peers.resolve, Log: n.Log.With("component", "link"),
		Broken: n.guard.suspect,
		Unreachable: func(id kafka.NodeID) {
			if q := n.peers.quorum.Load(); q != nil {
				q.Unreachable(id)
			}
		},
		Clock:    n.clocks.compared,
		MaxFrame: n.Config.Network.RequestMaxBytes,
	})
	n.probes = link.New(link.Config{
		Self: kafka.NoNode, ClusterID: n.peers.cluster, Dial: n.Env.Dial, Resolve: n.peers.resolve, Log: n.Log.With("component", "link"),
	})
	return nil
}

// answerPeers begins to accept connections, and to answer what other nodes ask on them, if it has not begun.
func (n *Node) answerPeers() *transport.Server {
	if s := n.server.Load(); s != nil {
		return s
	}
	net := n.Config.Network
	n.gate = &gate{peers: api.New(api.Config{NodeID: n.Config.ID, Log: n.Log.With("component", "api"), Peers: n.peers})}
	server := transport.New(transport.Config{
		Handler:     n.gate,
		Log:         n.Log.With("component", "transport"),
		Budget:      transport.NewBudget(net.RequestMemory),
		MaxFrame:    net.RequestMaxBytes,
		IdleTimeout: net.MaxIdle, ArrivalTime: net.Arrival, StallTime: net.Stall,
	})
	n.server.Store(server)
	if c := n.current.Load(); c != nil {
		net = c.Network // a change may have been published before there was a server to tell
	}
	n.limit(server, net)
	for i, l := range n.listeners {
		server.Serve(l, n.Config.Listeners[i].Name)
	}
	for i, l := range n.controllers {
		server.Serve(l, n.Config.Controllers[i].Name)
	}
	n.listeners, n.controllers = nil, nil // the server's now
	return server
}

// opensControllers tells whether other nodes may look for this one at its controller listeners.
func opensControllers(c conf.Node) bool { return len(c.Cluster.Voters) > 0 || len(c.Cluster.Join) > 0 }

// interBroker names the listener that nodes use among themselves.
func (n *Node) interBroker() string { return n.Config.Listeners[n.Config.Cluster.InterBroker].Name }

// peerAddress is where other nodes reach this one.
func (n *Node) peerAddress() (host string, port int32, err error) {
	l := n.Config.Advertised[n.Config.Cluster.InterBroker]
	host, err = advertisedHost(l.Host)
	return host, int32(l.Port), err
}

// addresses are those at which other nodes may be: of the configuration, and of the metadata where it is there.
func (n *Node) addresses() iter.Seq[string] {
	all := slices.Clone(n.Config.Cluster.Join)
	for _, v := range n.Config.Cluster.Voters {
		all = append(all, v.Address)
	}
	if q := n.peers.quorum.Load(); q != nil {
		for _, m := range q.Members() {
			if kafka.NodeID(m.ID) != n.Config.ID && m.Host != "" {
				all = append(all, address(m.Host, m.Port))
			}
		}
	}
	slices.Sort(all)
	return slices.Values(slices.Compact(all))
}

// Addresses are those that clients connect to, in the order of the listeners.
func (n *Node) Addresses() []string {
	var all []string
	for _, l := range n.Config.Advertised {
		host, err := advertisedHost(l.Host)
		if err != nil {
			continue // register has told
		}
		all = append(all, net.JoinHostPort(host, strconv.Itoa(l.Port)))
	}
	return all
}

// replicate makes what follows the partitions that others lead.
func (n *Node) replicate() {
	n.replicas = replication.New(replication.Config{
		Self: n.Config.ID, Set: n.set, Image: n.image.Load,
		Dial: func(ctx context.Context, to kafka.NodeID) (replication.Conn, error) {
			c, err := n.link.Dial(ctx, to)
			if err != nil {
				return nil, err // and not a Conn that is a nil *link.Conn
			}
			return c, nil
		},
		Request: n.link.Request,
		Submit: func(ctx context.Context, req any) (any, error) {
			q := n.peers.quorum.Load()
			if q == nil {
				return nil, kerr.NotController // it is about to be there: the metadata came from it
			}
			return q.Submit(ctx, req)
		},
		Settings: func() conf.ReplicasConfig { return n.current.Load().Replicas },
		Log:      n.Log.With("component", "replication"),
	})
}
