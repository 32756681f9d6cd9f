package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/headrace/headrace/internal/base/conf"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
	"github.com/headrace/headrace/internal/link"
	"github.com/headrace/headrace/internal/node/admin"
	"github.com/headrace/headrace/internal/node/api"
	"github.com/headrace/headrace/internal/node/groups"
	"github.com/headrace/headrace/internal/node/logs"
	"github.com/headrace/headrace/internal/node/markers"
	"github.com/headrace/headrace/internal/node/partition"
	"github.com/headrace/headrace/internal/node/quorum"
	"github.com/headrace/headrace/internal/node/reach"
	"github.com/headrace/headrace/internal/node/replication"
	"github.com/headrace/headrace/internal/node/shares"
	"github.com/headrace/headrace/internal/node/sharestate"
	"github.com/headrace/headrace/internal/node/transport"
	"github.com/headrace/headrace/internal/node/txns"
	"github.com/headrace/headrace/internal/node/verify"
	"github.com/headrace/headrace/internal/storage/commitlog"
	"github.com/headrace/headrace/internal/storage/logdir"
)

// drainTimeout bounds how long a stop waits for answers under way.
const drainTimeout = 10 * time.Second

// metadataPartition is the log of the metadata quorum.
var metadataPartition = kafka.TopicPartition{Topic: kafka.MetadataTopic, Partition: 0}

// Options say which node to start.
type Options struct {
	Config conf.Node
	Static conf.Static
	Env    Env
	Log    *slog.Logger
	// Offline starts no listener: for work on the metadata of a stopped node.
	Offline bool
}

// Node is a running node: every role in one process. Its parts are set while it starts, in the order of the fields.
type Node struct {
	Options
	chance *rand.Rand // for starting alone; each part gets one of its own

	listeners   []net.Listener
	controllers []net.Listener // for other nodes, as controller.listener.names says
	incarnation kafka.TopicID  // of this process
	link        *link.Pool
	probes      *link.Pool // asks without a name who is alive
	peers       *peers
	guard       guard
	clocks      *clocks
	way         way
	joinBy      []string      // addresses to join the cluster by
	failed      chan error    // gets the one reason for which the node must not go on
	levels      *logs.Levels  // of the log
	admin       *admin.Server // nil where there is no admin listener
	adminAt     net.Addr
	dirs        []*logdir.Dir // those of partitions
	home        *logdir.Dir   // that of the metadata log, mostly the first of dirs
	set         *partition.Set
	image       atomic.Pointer[metadata.Image] // the one being published, or published last
	current     atomic.Pointer[conf.Node]      // Config with what was set for the node while it runs
	static      atomic.Pointer[conf.Static]    // Options.Static with what was reloaded since
	log         *commitlog.Log                 // the metadata log
	quorum      *quorum.Quorum
	groups      *groups.Groups // made at the first publish, before quorum is ready
	txns        *txns.Txns     // likewise; nil where transactions are not served
	markers     *markers.Sender
	verifier    *verify.Verifier
	asking      *asking
	requests    atomic.Pointer[api.Server] // nil until it serves
	shareState  *sharestate.Coordinator    // likewise
	shares      *shares.Shares             // likewise
	replicas    *replication.Replicas
	epoch       atomic.Int64                     // of this node's registration; -1 before it
	watch       *reach.Watch                     // nil where nobody can connect
	gate        *gate                            // nil until it listens
	server      atomic.Pointer[transport.Server] // nil until it listens; the quorum's goroutine looks at it

	// publishing is held while a change of the metadata or of the configuration goes to the parts of the node.
	publishing sync.Mutex
}

// Start starts a node and returns once it serves. After an error everything that was started is stopped again.
func Start(ctx context.Context, o Options) (*Node, error) {
	n := &Node{Options: o, chance: rand.New(rand.NewChaCha8(o.Env.Seed())), failed: make(chan error, 1)}
	n.epoch.Store(-1)
	n.incarnation = logdir.NewID(n.chance)
	n.setLevels()
	for _, step := range []func(context.Context) error{
		n.listen, n.administer, n.connect, n.findCluster, n.openDirs, n.openPartitions, n.joinCluster, n.openQuorum, n.register, n.serve,
	} {
		if err := step(ctx); err != nil {
			_ = n.Close(time.Now()) // the first error is the one that counts
			return nil, err
		}
	}
	n.missComponents()
	if !n.Offline {
		n.clocks.watch(n)
	}
	return n, nil
}

// rand makes a source of chance for one part.
func (n *Node) rand() *rand.Rand { return rand.New(rand.NewPCG(n.chance.Uint64(), n.chance.Uint64())) }

// listen takes the ports first: a port in use is found out before anything on the disk is touched.
func (n *Node) listen(ctx context.Context) error {
	if n.Offline {
		return nil
	}
	for i, l := range n.Config.Listeners {
		nl, err := n.Env.Listen(ctx, "tcp", l.Address())
		if err != nil {
			return explainListen(l.Address(), err)
		}
		n.listeners = append(n.listeners, nl)
		if a, ok := nl.Addr().(*net.TCPAddr); ok && n.Config.Advertised[i].Port == 0 {
			n.Config.Advertised[i].Port = a.Port
		}
	}
	if !opensControllers(n.Config) {
		return nil
	}
	for i, l := range n.Config.Controllers {
		nl, err := n.Env.Listen(ctx, "tcp", l.Address())
		if err != nil {
			return explainListen(l.Address(), err)
		}
		n.controllers = append(n.controllers, nl)
		if a, ok := nl.Addr().(*net.TCPAddr); ok && n.Config.AdvertisedControllers[i].Port == 0 {
			n.Config.AdvertisedControllers[i].Port = a.Port
		}
	}
	return nil
}

func explainListen(address string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s is in use by another process: stop it, or listen on another port", address)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%s is not an address of this machine: listen on one that is", address)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("no permission to listen on %s: ports below 1024 need privileges", address)
	}
	return fmt.Errorf("listen on %s: %w", address, err)
}

// openDirs locks the log dirs, and makes those that are new.
func (n *Node) openDirs(context.Context) error {
	paths := n.allDirs()
	apart := len(paths) > len(n.Config.LogDirs)
	home := max(0, slices.Index(paths, n.Config.MetadataLogDir))
	needed := func(path string) bool { return path == paths[home] || n.Offline }
	dirs, err := logdir.OpenAll(n.Env.FS, paths, needed, logdir.Meta{NodeID: n.Config.ID, ClusterID: n.clusterID(paths)}, n.rand(), n.Log)
	if err != nil {
		return err
	}
	n.home = dirs[home]
	if n.dirs = dirs; apart {
		n.dirs = dirs[:len(dirs)-1]
	}
	if !n.anyDir() {
		return fmt.Errorf("no log dir for partitions can be used: %w", n.dirs[0].Offline())
	}
	return nil
}

// allDirs are the log dirs, and behind them that of the metadata log where it has one of its own.
func (n *Node) allDirs() []string {
	if home := n.Config.MetadataLogDir; home != "" && !slices.Contains(n.Config.LogDirs, home) {
		return append(slices.Clip(n.Config.LogDirs), home)
	}
	return n.Config.LogDirs
}

// clusterID is what log dirs that are new shall belong to. Dirs that have a cluster already stay with it, as in Apache Kafka's
// image.
func (n *Node) clusterID(paths []string) string {
	wanted, found := cmp.Or(n.peers.cluster(), n.Config.Cluster.ID), logdir.ClusterOf(n.Env.FS, paths)
	if wanted != "" && found != "" && wanted != found {
		n.Log.Warn("cluster.id has no effect: the log dirs belong to another cluster", "wanted", wanted, "cluster", found)
	}
	return cmp.Or(found, wanted)
}

func (n *Node) openPartitions(context.Context) (err error) {
	up := n.Config.Upkeep
	n.current.Store(&n.Config)
	n.static.Store(&n.Static)
	n.image.Store(metadata.New(n.home.Meta().ClusterID))
	n.set, err = partition.NewSet(partition.Config{
		Node: n.Config.ID, FS: n.Env.FS, Dirs: n.dirs, Log: n.Log.With("component", "partition"), Rand: n.rand(),
		Topic: func(overrides map[string]string) conf.TopicConfig {
			return conf.TopicLog(overrides, n.layers(n.image.Load()))
		},
		FlushMethod:        partition.FlushMethod(n.Config.FlushMethod),
		ProducerExpiration: func() time.Duration { return n.current.Load().Upkeep.ProducerIDExpiration },
		VerifyTransactions: func() bool { return n.current.Load().Verification.Enabled },
		Cleaner:            func() conf.CleanerConfig { return n.current.Load().Cleaner },
		RetentionInterval:  up.RetentionCheck,
		CheckpointInterval: up.RecoveryPointCheckpoint,
		WatermarkInterval:  up.HighWatermarkCheckpoint,
		OpenAtOnce:         up.RecoveryThreads * len(n.dirs),
		ReplicaLag:         n.Config.Replicas.Lag,
		Incarnation:        n.incarnation,
		ISRChanged:         func(p *partition.Partition) { n.replicas.ISRChanged(p) },
		Lapsed:             n.guard.lapsed,
		DirFailed:          n.dirFailed,
		Moved:              func(p *partition.Partition) { n.replicas.Moved(p) },
		MoveRate:           func() float64 { return n.current.Load().Replicas.MoveBytesPerSecond },
	})
	if err == nil {
		n.replicate()
	}
	return err
}

func (n *Node) layers(img *metadata.Image) conf.Layers {
	return layersIn(img, n.Config.ID, *n.static.Load())
}

// metadataTopicID is the id that Kafka gives its metadata log.
func metadataTopicID() kafka.TopicID { return kafka.TopicID{15: 1} }

// serve answers requests from here on.
func (n *Node) serve(context.Context) error {
	if n.Offline {
		return nil
	}
	n.watchClients()
	config := api.Config{
		NodeID: n.Config.ID, Log: n.Log.With("component", "api"),
		Controller: n.quorum, Metadata: n.quorum, Partitions: n.set,
		AutoCreate: n.autoCreate,
		Met:        n.met,
		Settings:   n.settings,
		Features:   n.features,
		Endpoint:   n.endpoint, ControllerAlone: !n.Config.Broker, Unstable: n.Config.UnstableAPIs,
		Admin: api.Admin{
			Groups: n.groups, ShareState: n.shareState, Shares: n.shares, Layers: n.layers, LogDirs: n.describeLogDirs, MoveReplica: n.moveReplica,
			CreateInternalTopic:   n.createInternalTopic,
			MaxDescribePartitions: int32(n.Config.Network.DescribePartitions),
			DeleteTopics:          n.Config.Topics.DeleteAllowed,
			Loggers:               n.levels,
			ConsumerGroups:        n.Config.Groups.Consumer.Enabled,
			StreamsGroups:         n.Config.Groups.Streams.Enabled,
		},
	}
	if n.txns != nil {
		config.Txns, config.Verify = n.txns, n.verifier
	}
	requests := api.New(config)
	n.requests.Store(requests)
	server := n.answerPeers()
	n.gate.all.Store(requests)
	n.reveal(server, requests)
	return nil
}

// endpoint tells what kinds of nodes are asked for at a listener. A node of both roles without a listener for controllers is reached
// as one by those that it has, where there are controllers that are no brokers: their clients ask it, too.
func (n *Node) endpoint(listener string) api.Endpoint {
	if !n.Config.Broker || slices.ContainsFunc(n.Config.Controllers, func(l conf.Listener) bool { return l.Name == listener }) {
		return api.Endpoint{Controllers: true}
	}
	apart := slices.ContainsFunc(n.quorum.Image().Nodes(), func(n *metadata.Node) bool { return !n.IsBroker() })
	return api.Endpoint{Brokers: true, Controllers: n.Config.Controller && apart && (len(n.Config.Controllers) == 0 || !opensControllers(n.Config))}
}

// limit bounds the connections. Half of the files that the process may open are left to the logs, whatever is configured: a
// log that cannot open its files takes its log dir offline, which no number of clients should bring about. One connection is
// always taken, or a limit of 0 could never be raised again.
func (n *Node) limit(server *transport.Server, c conf.NetworkConfig) {
	most := max(1, c.MaxConnections)
	if files := n.Env.FileLimit(); files > 0 {
		most = min(most, files/2)
	}
	server.SetLimits(most, max(1, c.MaxConnectionsPerIP))
}

// settings are the values of the configuration that requests depend on, as they are now.
func (n *Node) settings() api.Settings {
	c := n.current.Load()
	return api.Settings{
		AutoCreateTopics: c.Topics.AutoCreate, FetchMaxBytes: c.Network.FetchMaxBytes, FetchSessions: c.Network.FetchSessions,
		RackAware: c.Replicas.RackAware, ReplicaLag: c.Replicas.Lag, Throttle: c.Replicas.Throttle,
	}
}
