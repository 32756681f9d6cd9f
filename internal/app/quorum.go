package app

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/headrace/headrace/internal/base/conf"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/peer"
	"github.com/headrace/headrace/internal/core/controller"
	"github.com/headrace/headrace/internal/core/metadata"
	"github.com/headrace/headrace/internal/node/quorum"
	"github.com/headrace/headrace/internal/storage/commitlog"
)

// hasState tells whether the disk of this node knows a metadata quorum. What cannot be read is for the quorum to tell.
func (n *Node) hasState() bool {
	used, err := quorum.UsedDir(n.Env.FS, filepath.Join(n.Config.MetadataLogDir, metadataPartition.String()))
	return used || err != nil
}

// openQuorum opens the metadata log and returns when this node has caught up with it. Where it is damaged the
// node first has the others take it in anew.
func (n *Node) openQuorum(ctx context.Context) error {
	err := n.startQuorum(ctx)
	if !errors.Is(err, quorum.ErrDamaged) {
		return err
	}
	if err := n.rejoin(ctx, err); err != nil {
		return err
	}
	return n.startQuorum(ctx)
}

// startQuorum does it once. An error that is quorum.ErrDamaged says that what is there cannot be used; it is as it was.
func (n *Node) startQuorum(ctx context.Context) (err error) {
	cfg := commitlog.DefaultConfig()
	cfg.SegmentBytes = metadataSegment(n.Config)
	cfg.Delete, cfg.RetentionAge = false, -1
	if n.log, err = n.home.OpenLog(metadataPartition, metadataTopicID(), cfg, time.Now(), n.rand()); err != nil {
		if errors.Is(err, commitlog.ErrDamaged) {
			err = fmt.Errorf("%w: %w", quorum.ErrDamaged, err)
		}
		return err
	}
	id := n.home.Meta().ClusterID
	n.peers.clusterID.Store(&id)
	n.quorum, err = quorum.Start(n.quorumConfig())
	if err != nil {
		return err
	}
	n.peers.quorum.Store(n.quorum)
	if st := n.quorum.Status(); len(st.Voters) != 1 || st.Voters[0] != n.Config.ID || len(st.Learners) > 0 {
		n.answerPeers()
	}
	return n.catchUp(ctx)
}

// metadataSegment is the size of the segments of the metadata log. One has room for whatever a single request changes, of which the
// largest are those that make thousands of partitions, however often snapshots are wanted.
func metadataSegment(c conf.Node) int64 {
	const least = 20 << 20
	return min(max(c.SnapshotBytes, least), math.MaxInt32)
}

func (n *Node) quorumConfig() quorum.Config {
	c := quorum.Config{
		NodeID: n.Config.ID, ClusterID: n.home.Meta().ClusterID,
		Joined: n.way == wayJoins, Directory: n.home.Meta().DirectoryID, MaxVoters: n.Config.Cluster.MaxVoters, Listener: n.interBroker(),
		Log: quorum.CommitLog(n.log), FS: n.Env.FS, Dir: n.log.Dir(),
		Rand: n.rand(), Logger: n.Log.With("component", "quorum"),
		Controller: controller.New(controller.Config{
			DefaultPartitions:        func(*metadata.Image) int32 { return n.Config.Topics.Partitions },
			DefaultReplicationFactor: func(*metadata.Image) int16 { return n.Config.Topics.Replication },
			InternalReplicationFactor: func(topic string) int16 {
				switch topic {
				case kafka.OffsetsTopic:
					return n.Config.Groups.OffsetsReplication
				case kafka.TxnTopic:
					return txnLogReplication
				case kafka.ShareTopic:
					return n.Config.ShareCoordinator.Replication
				}
				return 0
			},
			Rules:    configRules{n.layers},
			Features: n.finalizedFeatures(), Supported: n.supportedFeatures(),
		}),
		Publish:       n.publish,
		Led:           func(leads bool, _ int32) { n.guard.led(leads) },
		SnapshotBytes: n.Config.SnapshotBytes, MaxBatchBytes: metadataSegment(n.Config),
	}
	if n.way == wayFounds {
		for _, v := range n.Config.Cluster.Voters {
			c.Voters = append(c.Voters, v.ID)
		}
	}
	if !n.Offline {
		c.Send, c.Forward, c.Down = n.sendRaft, n.forward, n.link.Down
	}
	return c
}

// catchUp waits until this node knows what was decided while it was away. Where nobody leads for long it says whom it waits
// for, and tells the nodes that it can find where it is: they may know it by another address.
func (n *Node) catchUp(ctx context.Context) error {
	const patience = 2 * time.Second
	t := time.NewTicker(patience)
	defer t.Stop()
	began, told := time.Now(), time.Time{}
	ctx, stop := context.WithCancel(ctx)
	var telling sync.WaitGroup
	defer telling.Wait()
	defer stop()
	if n.gate != nil {
		telling.Go(func() { n.greet(ctx) })
	}
	for {
		select {
		case <-n.quorum.Ready():
			return nil
		case <-n.quorum.Done():
			return n.quorum.Err()
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
		if n.Offline {
			return fmt.Errorf("node %d is one of a cluster, whose other nodes are needed to change its metadata", n.Config.ID)
		}
		silent := n.announce(ctx)
		if time.Since(told) > tellWaiting && ctx.Err() == nil {
			told = time.Now()
			st := n.quorum.Status()
			n.Log.Warn("waiting for the metadata quorum, of whose voters most are needed", "since", time.Since(began).Round(time.Second).String(),
				"voters", words(st.Voters), "no_answer", strings.Join(silent, ", "), "leader", st.Leader)
		}
	}
}

// greet tells the other nodes that this one is back: they call it less and less often while it is away, and not at all at an
// address that they do not know.
func (n *Node) greet(ctx context.Context) {
	host, port, err := n.peerAddress()
	if h, p, known := n.quorum.Address(n.Config.ID); err == nil && known && (h != host || p != port) {
		n.announce(ctx)
		return
	}
	var all sync.WaitGroup
	defer all.Wait()
	for at := range n.addresses() {
		all.Go(func() { _, _ = n.link.Hello(ctx, at) }) // who is away is called by the quorum
	}
}

// announce tells the nodes at the addresses of the configuration, and those of the metadata, where this one is, and the leader that
// they name. It returns those at which nobody answered.
func (n *Node) announce(ctx context.Context) (silent []string) {
	host, port, err := n.peerAddress()
	if err != nil {
		return nil // register tells
	}
	req := &peer.JoinRequest{
		ClusterID: n.peers.cluster(), NodeID: int32(n.Config.ID), Incarnation: n.incarnation, Host: host, Port: port,
		DirectoryIDs: [][16]byte{n.home.Meta().DirectoryID},
	}
	ask := slices.Collect(n.addresses())
	for i := 0; i < len(ask); i++ {
		at := ask[i]
		ctx, cancel := context.WithTimeout(ctx, helloTime)
		hello, err := n.link.Hello(ctx, at)
		if err != nil {
			silent = append(silent, at+" ("+reasonOf(err)+")")
		} else if id := kafka.NodeID(hello.NodeID); id != n.Config.ID {
			if known, ok := n.peers.resolve(id); !ok || known != at && !n.isAt(ctx, known, id) {
				n.peers.reach(id, at, hello.Incarnation)
			}
			// What comes of it shows in the quorum; but the leader has to know, wherever it has moved meanwhile.
			if resp, err := n.link.Join(ctx, at, req); err == nil {
				if leader, ok := n.meetLeader(resp); ok && !slices.Contains(ask, leader) {
					ask = append(ask, leader)
				}
			}
		}
		cancel()
	}
	return silent
}

// isAt tells whether a node answers at an address.
func (n *Node) isAt(ctx context.Context, at string, id kafka.NodeID) bool {
	hello, err := n.link.Hello(ctx, at)
	return err == nil && kafka.NodeID(hello.NodeID) == id
}

// meetLeader notes where the leader is by the answer of a node that follows it: this node's metadata may be of before it moved, and
// without an answer to the leader it would get no newer.
func (n *Node) meetLeader(resp *peer.JoinResponse) (at string, ok bool) {
	for _, m := range resp.Members {
		if m.ID == resp.Leader && m.Host != "" && kafka.NodeID(m.ID) != n.Config.ID {
			at = address(m.Host, m.Port)
			n.peers.reach(kafka.NodeID(m.ID), at, kafka.TopicID{})
			return at, true
		}
	}
	return "", false
}

// sendRaft hands messages of the quorum to the links, in the order of each receiver.
func (n *Node) sendRaft(messages []*raftpb.Message) {
	var order []kafka.NodeID
	byNode := map[kafka.NodeID][][]byte{}
	for _, m := range messages {
		to, b, err := quorum.Marshal(m)
		if err != nil {
			n.Log.Error("a message of the quorum cannot be sent", "err", err)
			continue
		}
		if _, ok := byNode[to]; !ok {
			order = append(order, to)
		}
		byNode[to] = append(byNode[to], b)
	}
	for _, to := range order {
		n.link.Raft(to, byNode[to])
	}
}

// forward has the active controller, another node, answer a request.
func (n *Node) forward(ctx context.Context, leader kafka.NodeID, key, version int16, body []byte) ([]byte, kafka.Offset, error) {
	const longest = 30 * time.Second
	wait := longest
	if end, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(end))
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	resp, err := n.link.Request(ctx, leader, &peer.SubmitRequest{
		TimeoutMs: int32(max(1, wait.Milliseconds())), RequestKey: key, Version: version, Body: body,
	})
	if err != nil {
		return nil, -1, err
	}
	return quorum.Answer(resp.(*peer.SubmitResponse))
}

func words(ids []kafka.NodeID) string {
	var all []string
	for _, id := range ids {
		all = append(all, fmt.Sprint(id))
	}
	return strings.Join(all, ", ")
}
