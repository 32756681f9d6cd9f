//go:build linux

// Package cluster is three nodes of a product as real processes, each on a network and, if wanted, a disk of its own, and what a
// client can learn of them: who leads and which replicas are in sync. The fault runs call it. A running node has one goroutine, which
// waits for the process's end.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/interop/go/disk"
	"github.com/headrace/headrace/interop/go/netns"
)

// Size is how many nodes a cluster has.
const Size = 3

// Config says what is started, and where.
type Config struct {
	Product Product
	Folder  string
	// Isolated: every node has a network of its own. Otherwise they share the loopback.
	Isolated bool
	// DiskSize is the size of each node's file system; 0 for a plain folder.
	DiskSize int64
	// Settings are lines for every node's config, after all others.
	Settings []string
}

// Cluster is what was started.
type Cluster struct {
	Product Product
	Nodes   [Size]*Node
	Folder  string
	// Network is nil where the nodes share the loopback.
	Network *netns.Network
	// Disks are nil where the nodes keep their data in plain folders.
	Disks  [Size]*disk.Disk
	client *kgo.Client
	admin  *kadm.Client
}

// New prepares the folders, networks and disks of the nodes. The caller must Close it, even after an error.
func New(cfg Config) (*Cluster, error) {
	c := &Cluster{Product: cfg.Product, Folder: cfg.Folder}
	if cfg.Isolated {
		var err error
		if c.Network, err = netns.New(Size); err != nil {
			return c, err
		}
	}
	for i := range Size {
		if err := c.furnish(cfg, i); err != nil {
			return c, err
		}
	}
	for _, n := range c.Nodes {
		if err := cfg.Product.prepare(c, n, cfg.Settings); err != nil {
			return c, fmt.Errorf("prepare node %d: %w", n.ID, err)
		}
	}
	// What was installed is on the disks: the power cuts are about what runs.
	for _, d := range c.Disks {
		if d == nil {
			continue
		}
		if err := d.Sync(); err != nil {
			return c, err
		}
	}
	var err error
	c.client, err = kgo.NewClient(kgo.SeedBrokers(c.Addresses()...), kgo.MetadataMinAge(50*time.Millisecond), kgo.DialTimeout(time.Second),
		kgo.RequestTimeoutOverhead(2*time.Second), kgo.RetryTimeout(10*time.Second),
		kgo.RetryBackoffFn(func(int) time.Duration { return 50 * time.Millisecond }))
	if err == nil {
		c.admin = kadm.NewClient(c.client)
		c.admin.SetTimeoutMillis(10_000)
	}
	return c, err
}

// furnish makes what node i needs before it has a config.
func (c *Cluster) furnish(cfg Config, i int) error {
	n := &Node{ID: i + 1, Home: filepath.Join(cfg.Folder, fmt.Sprintf("node%d", i+1)), run: cfg.Product.command, start: (*exec.Cmd).Start}
	c.Nodes[i] = n
	if err := os.MkdirAll(n.Home, 0o755); err != nil {
		return err
	}
	n.Host, n.Port, n.Control = "127.0.0.1", 0, 0
	if c.Network != nil {
		n.Host, n.Port, n.Control = netns.Address(n.ID), 9092, 9093
		n.start = func(cmd *exec.Cmd) error { return c.Network.Start(n.ID, cmd) }
	} else if err := n.choosePorts(); err != nil {
		return err
	}
	n.Data = filepath.Join(n.Home, "data")
	if cfg.DiskSize > 0 {
		d, err := disk.New(n.Home, cfg.DiskSize)
		if err != nil {
			return err
		}
		c.Disks[i], n.Data = d, filepath.Join(d.Folder, "data")
	}
	return nil
}

func (n *Node) choosePorts() error {
	for _, port := range []*int{&n.Port, &n.Control} {
		l, err := net.Listen("tcp", n.Host+":0")
		if err != nil {
			return err
		}
		defer l.Close()
		*port = l.Addr().(*net.TCPAddr).Port
	}
	return nil
}

// Addresses are those of all nodes.
func (c *Cluster) Addresses() (list []string) {
	for _, n := range c.Nodes {
		list = append(list, n.Address())
	}
	return list
}

// Node is the node of that id.
func (c *Cluster) Node(id int) *Node { return c.Nodes[id-1] }

// Start starts all nodes that do not run.
func (c *Cluster) Start() error {
	for _, n := range c.Nodes {
		if n.Alive() {
			continue
		}
		if err := n.Start(); err != nil {
			return err
		}
	}
	return nil
}

// Stop ends all nodes cleanly, side by side.
func (c *Cluster) Stop(within time.Duration) error {
	errs := make(chan error, Size)
	for _, n := range c.Nodes {
		go func() { errs <- n.Stop(within) }()
	}
	var all error
	for range Size {
		all = errors.Join(all, <-errs)
	}
	return all
}

// Close kills what is left. Networks and mounts end with the process's namespaces.
func (c *Cluster) Close() {
	if c.client != nil {
		c.client.Close()
	}
	for _, n := range c.Nodes {
		if n != nil {
			n.Kill()
		}
	}
}

// CreateTopic makes a topic with a replica on each node, and waits until the cluster is whole enough for that.
func (c *Cluster) CreateTopic(ctx context.Context, topic string, partitions int32, configs map[string]*string) error {
	return c.until(ctx, func(ctx context.Context) error {
		_, err := c.admin.CreateTopic(ctx, partitions, Size, configs, topic)
		if err != nil {
			return fmt.Errorf("create topic %s: %w", topic, err)
		}
		return nil
	})
}

// until tries again and again while the nodes that must run do.
func (c *Cluster) until(ctx context.Context, try func(context.Context) error) error {
	for {
		once, cancel := context.WithTimeout(ctx, 12*time.Second)
		err := try(once)
		cancel()
		if err == nil {
			return nil
		}
		for _, n := range c.Nodes {
			if n.ended != nil && !n.Alive() {
				return fmt.Errorf("node %d has ended (%v); its log ends with:\n%s", n.ID, n.err, n.LogTail())
			}
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// View is what the cluster says of a topic.
type View struct {
	Leaders map[int32]int   // by partition; -1 without a leader
	ISR     map[int32][]int // by partition
}

// Look asks for the leaders of a topic.
func (c *Cluster) Look(ctx context.Context, topic string) (View, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	v := View{Leaders: map[int32]int{}, ISR: map[int32][]int{}}
	m, err := c.admin.Metadata(ctx, topic)
	if err != nil {
		return v, err
	}
	if err := m.Topics[topic].Err; err != nil {
		return v, err
	}
	for _, p := range m.Topics[topic].Partitions {
		v.Leaders[p.Partition] = int(p.Leader)
		for _, id := range p.ISR {
			v.ISR[p.Partition] = append(v.ISR[p.Partition], int(id))
		}
	}
	return v, nil
}

// InSync waits until every partition of the topic has a leader and all its replicas in sync.
func (c *Cluster) InSync(ctx context.Context, topic string) error {
	return c.until(ctx, func(ctx context.Context) error {
		v, err := c.Look(ctx, topic)
		if err != nil {
			return err
		}
		for p, isr := range v.ISR {
			if len(isr) < Size || v.Leaders[p] < 0 {
				return fmt.Errorf("partition %d of %s: leader %d, in sync %v", p, topic, v.Leaders[p], isr)
			}
		}
		return nil
	})
}

// Controller is the node that leads the metadata quorum, or the one that Metadata names where the quorum cannot be described.
func (c *Cluster) Controller(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req := kmsg.NewPtrDescribeQuorumRequest()
	topic, partition := kmsg.NewDescribeQuorumRequestTopic(), kmsg.NewDescribeQuorumRequestTopicPartition()
	topic.Topic, topic.Partitions = "__cluster_metadata", append(topic.Partitions, partition)
	req.Topics = append(req.Topics, topic)
	if resp, err := req.RequestWith(ctx, c.client); err == nil && resp.ErrorCode == 0 {
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				if p.ErrorCode == 0 && p.LeaderID > 0 {
					return int(p.LeaderID), nil
				}
			}
		}
	}
	m, err := c.admin.BrokerMetadata(ctx)
	if err != nil {
		return 0, err
	}
	if m.Controller < 1 || m.Controller > Size {
		return 0, errors.New("the cluster names no controller")
	}
	return int(m.Controller), nil
}

// Features are the levels of the features that the cluster has finalized.
func (c *Cluster) Features(ctx context.Context) (map[string]int16, error) {
	levels := map[string]int16{}
	err := c.until(ctx, func(ctx context.Context) error {
		resp, err := kmsg.NewPtrApiVersionsRequest().RequestWith(ctx, c.client)
		if err != nil {
			return err
		}
		for _, f := range resp.FinalizedFeatures {
			levels[f.Name] = f.MaxVersionLevel
		}
		return kerr.ErrorForCode(resp.ErrorCode)
	})
	return levels, err
}

// Ends are the high watermarks of a topic.
func (c *Cluster) Ends(ctx context.Context, topic string) (map[int32]int64, error) {
	ends := map[int32]int64{}
	err := c.until(ctx, func(ctx context.Context) error {
		listed, err := c.admin.ListEndOffsets(ctx, topic)
		if err != nil {
			return err
		}
		listed.Each(func(o kadm.ListedOffset) {
			if o.Err != nil {
				err = o.Err
			}
			ends[o.Partition] = o.Offset
		})
		return err
	})
	return ends, err
}

// Reorder makes a node the preferred leader of a partition and has it elected: a planned move.
func (c *Cluster) Reorder(ctx context.Context, topic string, partition int32, first int) error {
	order := []int32{int32(first)}
	for _, n := range c.Nodes {
		if n.ID != first {
			order = append(order, int32(n.ID))
		}
	}
	var req kadm.AlterPartitionAssignmentsReq
	req.Assign(topic, partition, order)
	resp, err := c.admin.AlterPartitionAssignments(ctx, req)
	if err = errors.Join(err, resp.Error()); err != nil {
		return fmt.Errorf("reorder the replicas of %s-%d: %w", topic, partition, err)
	}
	return nil
}

// ElectPreferred moves the leadership of a topic's first partitions to their first replicas. One that is not in sync yet is waited for:
// what the cluster is known by may be the metadata of a node that lags.
func (c *Cluster) ElectPreferred(ctx context.Context, topic string, partitions int32) error {
	var set kadm.TopicsSet
	for p := range partitions {
		set.Add(topic, p)
	}
	return c.until(ctx, func(ctx context.Context) error {
		results, err := c.admin.ElectLeaders(ctx, kadm.ElectPreferredReplica, set)
		for _, r := range results[topic] {
			if !errors.Is(r.Err, kerr.ElectionNotNeeded) {
				err = errors.Join(err, r.Err)
			}
		}
		return err
	})
}

// Segments are the log files of a partition on a node, in the order of their offsets.
func (n *Node) Segments(topic string, partition int32) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(n.Data, topic+"-"+strconv.Itoa(int(partition)), "*.log"))
	slices.Sort(files)
	return files, err
}
