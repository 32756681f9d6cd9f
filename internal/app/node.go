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
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/headrace/headrace/internal/base/conf"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/controller"
	"github.com/headrace/headrace/internal/core/metadata"
	"github.com/headrace/headrace/internal/node/admin"
	"github.com/headrace/headrace/internal/node/api"
	"github.com/headrace/headrace/internal/node/coord"
	"github.com/headrace/headrace/internal/node/logs"
	"github.com/headrace/headrace/internal/node/partition"
	"github.com/headrace/headrace/internal/node/quorum"
	"github.com/headrace/headrace/internal/node/reach"
	"github.com/headrace/headrace/internal/node/transport"
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

	listeners []net.Listener
	levels    *logs.Levels  // of the log
	admin     *admin.Server // nil where there is no admin listener
	adminAt   net.Addr
	dirs      []*logdir.Dir // those of partitions
	home      *logdir.Dir   // that of the metadata log, mostly the first of dirs
	set       *partition.Set
	image     atomic.Pointer[metadata.Image] // the one being published, or published last
	current   atomic.Pointer[conf.Node]      // Config with what was set for the node while it runs
	static    atomic.Pointer[conf.Static]    // Options.Static with what was reloaded since
	log       *commitlog.Log                 // the metadata log
	quorum    *quorum.Quorum
	groups    *coord.Runtime                   // made at the first publish, before quorum is ready
	epoch     int64                            // of this node's registration
	watch     *reach.Watch                     // nil where nobody can connect
	server    atomic.Pointer[transport.Server] // nil until it serves; the quorum's goroutine looks at it

	// publishing is held while a change of the metadata or of the configuration goes to the parts of the node.
	publishing sync.Mutex
}

// Start starts a node and returns once it serves. After an error everything that was started is stopped again.
func Start(ctx context.Context, o Options) (*Node, error) {
	n := &Node{Options: o, chance: rand.New(rand.NewChaCha8(o.Env.Seed())), epoch: -1}
	n.setLevels()
	for _, step := range []func(context.Context) error{n.listen, n.administer, n.openDirs, n.openPartitions, n.openQuorum, n.register, n.serve} {
		if err := step(ctx); err != nil {
			_ = n.Close(time.Now()) // the first error is the one that counts
			return nil, err
		}
	}
	n.missComponents()
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
	paths := n.Config.LogDirs
	apart := n.Config.MetadataLogDir != "" && !slices.Contains(paths, n.Config.MetadataLogDir)
	if apart {
		paths = append(slices.Clip(paths), n.Config.MetadataLogDir)
	}
	dirs, err := logdir.OpenAll(n.Env.FS, paths, logdir.Meta{NodeID: n.Config.ID, ClusterID: n.clusterID(paths)}, n.rand(), n.Log)
	if err != nil {
		return err
	}
	n.home = dirs[max(0, slices.Index(paths, n.Config.MetadataLogDir))]
	if n.dirs = dirs; apart {
		n.dirs = dirs[:len(dirs)-1]
	}
	return nil
}

// clusterID is what log dirs that are new shall belong to. Dirs that have a cluster already stay with it, as in Apache Kafka's
// image.
func (n *Node) clusterID(paths []string) string {
	wanted, found := n.Static.ClusterID(), logdir.ClusterOf(n.Env.FS, paths)
	if wanted != "" && found != "" && wanted != found {
		n.Log.Warn("CLUSTER_ID of the environment has no effect: the log dirs belong to another cluster", "wanted", wanted, "cluster", found)
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
		Cleaner:            func() conf.CleanerConfig { return n.current.Load().Cleaner },
		RetentionInterval:  up.RetentionCheck,
		CheckpointInterval: up.RecoveryPointCheckpoint,
		WatermarkInterval:  up.HighWatermarkCheckpoint,
		OpenAtOnce:         up.RecoveryThreads * len(n.dirs),
	})
	return err
}

func (n *Node) layers(img *metadata.Image) conf.Layers {
	return layersIn(img, n.Config.ID, *n.static.Load())
}

// openQuorum opens the metadata log and returns when this node has caught up with it.
func (n *Node) openQuorum(ctx context.Context) (err error) {
	cfg := commitlog.DefaultConfig()
	cfg.SegmentBytes = max(n.Config.SnapshotBytes, 1<<20)
	cfg.Delete, cfg.RetentionAge = false, -1
	if n.log, err = n.home.OpenLog(metadataPartition, metadataTopicID(), cfg, time.Now(), n.rand()); err != nil {
		return err
	}
	n.quorum, err = quorum.Start(quorum.Config{
		NodeID: n.Config.ID, ClusterID: n.home.Meta().ClusterID,
		Log: quorum.CommitLog(n.log), FS: n.Env.FS, Dir: n.log.Dir(),
		Rand: n.rand(), Logger: n.Log.With("component", "quorum"),
		Controller: controller.New(controller.Config{
			DefaultPartitions:        func(*metadata.Image) int32 { return n.Config.Topics.Partitions },
			DefaultReplicationFactor: func(*metadata.Image) int16 { return n.Config.Topics.Replication },
			Rules:                    configRules{n.layers},
			Features:                 finalizedFeatures(),
		}),
		Publish:       n.publish,
		SnapshotBytes: n.Config.SnapshotBytes,
	})
	if err != nil {
		return err
	}
	select {
	case <-n.quorum.Ready():
		return nil
	case <-n.quorum.Done():
		return n.quorum.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// metadataTopicID is the id that Kafka gives its metadata log.
func metadataTopicID() kafka.TopicID { return kafka.TopicID{15: 1} }

// serve answers requests from here on.
func (n *Node) serve(context.Context) error {
	if n.Offline {
		return nil
	}
	n.watchClients()
	net := n.current.Load().Network
	requests := api.New(api.Config{
		NodeID: n.Config.ID, Log: n.Log.With("component", "api"),
		Controller: n.quorum, Metadata: n.quorum, Partitions: n.set,
		AutoCreate: n.autoCreate,
		Met:        n.met,
		Settings:   n.settings,
		Features:   n.features,
		Admin: api.Admin{
			Groups: n.groups, Layers: n.layers, LogDirs: n.describeLogDirs,
			CreateInternalTopic:   n.createOffsetsTopic,
			MaxDescribePartitions: int32(net.DescribePartitions),
			DeleteTopics:          n.Config.Topics.DeleteAllowed,
			Loggers:               n.levels,
		},
	})
	server := transport.New(transport.Config{
		Handler:     requests,
		Log:         n.Log.With("component", "transport"),
		Budget:      transport.NewBudget(net.RequestMemory),
		MaxFrame:    net.RequestMaxBytes,
		IdleTimeout: net.MaxIdle, ArrivalTime: net.Arrival, StallTime: net.Stall,
	})
	n.server.Store(server)
	n.limit(server, n.current.Load().Network) // now: a change may have been published before there was a server to tell
	for i, l := range n.listeners {
		server.Serve(l, n.Config.Listeners[i].Name)
	}
	n.listeners = nil // the server's now
	n.reveal(server, requests)
	return nil
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
	return api.Settings{AutoCreateTopics: c.Topics.AutoCreate, FetchMaxBytes: c.Network.FetchMaxBytes, FetchSessions: c.Network.FetchSessions}
}

// Addresses are those that clients connect to, in the order of the listeners.
func (n *Node) Addresses() []string {
	img := n.quorum.Image()
	self, ok := img.Node(n.Config.ID)
	if !ok {
		return nil
	}
	var all []string
	for _, l := range self.Listeners {
		all = append(all, net.JoinHostPort(l.Host, strconv.Itoa(int(l.Port))))
	}
	return all
}

// Close drains the connections, flushes, and marks the stop as clean. It stops what Start has come to, in reverse.
func (n *Node) Close(now time.Time) error {
	if n.admin != nil {
		n.admin.Stopping()
	}
	var all error
	for _, l := range n.listeners {
		all = errors.Join(all, l.Close())
	}
	if server := n.server.Load(); server != nil {
		ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
		server.Shutdown(ctx)
		cancel()
	}
	if n.watch != nil {
		n.watch.Close()
	}
	if n.groups != nil {
		n.groups.Close()
	}
	if n.quorum != nil {
		all = errors.Join(all, n.quorum.Close())
	}
	if n.log != nil {
		all = errors.Join(all, n.home.CloseLog(now, n.log, n.log.Flushed()))
	}
	return errors.Join(all, n.closeDirs(now), n.retire())
}

func (n *Node) closeDirs(now time.Time) (all error) {
	if n.set != nil {
		all = n.set.Close(now, n.epoch)
	} else {
		all = logdir.CloseAll(n.dirs)
	}
	if n.home != nil && !slices.Contains(n.dirs, n.home) {
		all = errors.Join(all, n.home.CloseClean(now, n.epoch, func(kafka.TopicPartition) kafka.Offset { return 0 }))
	}
	return all
}

func (n *Node) describeLogDirs(wanted func(kafka.TopicPartition) bool) []api.LogDir {
	var all []api.LogDir
	at := map[string]int{}
	for i, d := range n.dirs {
		path, err := filepath.Abs(d.Path())
		if err != nil {
			path = d.Path()
		}
		ld := api.LogDir{Path: path, Offline: d.Offline(), Total: -1, Free: -1}
		if total, free, err := d.Usage(); err == nil {
			ld.Total, ld.Free = total, free
		}
		at[d.Path()] = i
		all = append(all, ld)
	}
	for _, p := range n.set.All() {
		if !wanted(p.Name()) {
			continue
		}
		dir, size, err := p.Disk()
		if err != nil {
			continue // its dir is offline, which is told of the dir
		}
		ld := &all[at[dir]]
		ld.Partitions = append(ld.Partitions, api.LogDirPartition{Partition: p.Name(), Size: size})
	}
	return all
}
