// Package headrace runs a Headrace node, a broker for every Apache Kafka client, inside a Go program.
//
//	node, err := headrace.Start(ctx, headrace.Config{Dir: "/var/lib/orders"})
//	if err != nil {
//		return err
//	}
//	defer node.Close()
//	client, err := kgo.NewClient(kgo.SeedBrokers(node.Addresses()...))
//
// In a test, the zero Config gives a node that keeps its data in memory and listens on a free port of the loopback
// interface; any number of them may run at the same time. With InProcess no port is opened at all: the node is reached
// through [Node.Dial] alone, which also makes it fit for testing/synctest bubbles, where hours of retention and timeouts
// pass at once.
//
// The node is the one that the headrace command starts, with the same durability, formats and limits. Its goroutines end
// with [Node.Close].
package headrace

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/headrace/headrace/internal/app"
	"github.com/headrace/headrace/internal/base/conf"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/memnet"
)

// Config says which node to start. The zero value is a node in memory on a free port of the loopback interface.
type Config struct {
	// Dir is the directory of the data; it is made when missing, and belongs to one node at a time. Empty keeps the data in
	// memory, where it ends with the node.
	Dir string

	// Listen is the host:port to serve on, "127.0.0.1:0" by default: a free port, told by Addresses. A host other than
	// loopback opens the node to the network.
	Listen string

	// InProcess serves connections made by Node.Dial and opens no port. Listen then is the address that clients are told,
	// "127.0.0.1:9092" by default.
	InProcess bool

	// Network is what an InProcess node is reached by; nil gives it one of its own. Nodes of one cluster share a network, each
	// with a Listen of its own.
	Network *Network

	// Join are addresses of nodes whose cluster this one joins; nil begins a cluster. It counts where there is no data yet, and
	// helps to find the others where there is. Every node needs another node.id in Properties.
	Join []string

	// Topics are made before Start returns where they do not exist: name to number of partitions. Configs of topics can be
	// set by any Kafka admin client.
	Topics map[string]int32

	// Properties are broker keys as in server.properties, which docs/configuration.md lists. They go over the defaults for
	// an embedded node (one replica of everything, groups that do not wait for more members) but not over what the
	// other fields say.
	Properties map[string]string

	// Logger gets what the node has to say; nil drops it.
	Logger *slog.Logger
}

// Network is a network in memory: nodes that are InProcess listen on it, and their clients dial through it.
type Network struct{ net *memnet.Network }

// NewNetwork makes a network that nobody listens on.
func NewNetwork() *Network { return &Network{memnet.New()} }

// Dial connects to whatever listens at an address, and has the shape that Go clients take for a dialer (kgo.Dialer). Unlike
// Node.Dial it reaches all nodes of the network.
func (n *Network) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return n.net.Dial(ctx, network, address)
}

// Node is a running node. Its methods may be called by several goroutines.
type Node struct {
	node  *app.Node
	dial  func(ctx context.Context, network, address string) (net.Conn, error)
	close func() error
}

// Start starts a node and returns when it serves. The context bounds the start alone: a node runs until Close. An error
// says which field or key is wrong, or what the machine refused; nothing is left running then.
func Start(ctx context.Context, c Config) (*Node, error) {
	static, err := c.static()
	if err != nil {
		return nil, fmt.Errorf("headrace: %w", err)
	}
	cfg, err := conf.NewNode(conf.Layers{Static: static})
	if err != nil {
		return nil, fmt.Errorf("headrace: %w", err)
	}
	env, dial := c.env()
	log := c.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	for _, w := range static.Warnings() {
		log.Warn("configuration", "line", w)
	}
	node, err := app.Start(ctx, app.Options{Config: cfg, Static: static, Env: env, Log: log})
	if err != nil {
		return nil, fmt.Errorf("headrace: %w", err)
	}
	n := &Node{node: node, dial: dial, close: sync.OnceValue(func() error { return node.Close(time.Now()) })}
	if err := node.EnsureTopics(ctx, c.Topics); err != nil {
		return nil, errors.Join(fmt.Errorf("headrace: %w", err), n.Close())
	}
	return n, nil
}

// memoryDir is the log dir of a node in memory.
const memoryDir = "/headrace"

// static are the keys of the node.
func (c Config) static() (conf.Static, error) {
	dir, listen := c.Dir, c.Listen
	if dir == "" {
		dir = memoryDir
	}
	if listen == "" {
		listen = "127.0.0.1:0"
		if c.InProcess {
			listen = "127.0.0.1:9092"
		}
	}
	keys := map[string]string{
		"node.id":                          "1",
		"offsets.topic.replication.factor": "1",
		"group.initial.rebalance.delay.ms": "0",
		"headrace.admin.listener":          "", // a program has its own ways to look inside
	}
	maps.Copy(keys, c.Properties)
	for key, field := range map[string]string{"listeners": "Listen", "log.dirs": "Dir", "log.dir": "Dir", "controller.quorum.bootstrap.servers": "Join"} {
		if _, given := c.Properties[key]; given {
			return conf.Static{}, fmt.Errorf("%s is none of Properties: the field %s tells it", key, field)
		}
	}
	keys["listeners"], keys["log.dirs"] = "PLAINTEXT://"+listen, dir
	if len(c.Join) > 0 {
		keys["controller.quorum.bootstrap.servers"] = strings.Join(c.Join, ",")
	}
	return conf.NewStatic(keys)
}

// env is the world of the node: the machine's, or one in memory.
func (c Config) env() (app.Env, func(ctx context.Context, network, address string) (net.Conn, error)) {
	env := app.OSEnv()
	if c.Dir == "" {
		env.FS = vfs.NewMem()
	}
	if !c.InProcess {
		return env, new(net.Dialer).DialContext
	}
	network := memnet.New()
	if c.Network != nil {
		network = c.Network.net
	}
	env.Listen, env.Dial = network.Listen, network.Dial
	env.FileLimit = func() int { return 0 } // its connections are no files
	env.Network = nil                       // and its addresses are not the machine's
	return env, network.Dial
}

// Addresses are the host:port that clients connect to first (bootstrap.servers).
func (n *Node) Addresses() []string { return slices.Clone(n.node.Addresses()) }

// Dial connects to the node, and has the shape that Go clients take for a dialer (kgo.Dialer). It is the only way to a node
// that is InProcess, and an ordinary dialer for others.
func (n *Node) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return n.dial(ctx, network, address)
}

// Failed gets a reason if the node must not go on, as when it was removed from its cluster; it is then to be closed.
func (n *Node) Failed() <-chan error { return n.node.Failed() }

// Close lets requests under way finish, for ten seconds at most, writes everything to the disk, marks the stop as clean, and
// ends the node's goroutines. Later calls return what the first did.
func (n *Node) Close() error { return n.close() }
