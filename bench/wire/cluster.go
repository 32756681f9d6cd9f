package wire

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// lookAgain is the pause between two looks at all partitions of a cluster: an answer has a megabyte, which is to cost little.
const lookAgain = 50 * time.Millisecond

// AwaitNodes asks the node at address until it knows so many nodes that serve.
func AwaitNodes(ctx context.Context, address string, count int) error {
	a := &asker{ctx: ctx, address: address, pause: askAgain}
	defer a.close()
	return a.until(func(c *Conn) error {
		m, err := describe(c, []kmsg.MetadataRequestTopic{})
		if err == nil && len(m.Brokers) != count {
			err = fmt.Errorf("%d nodes are there, not %d", len(m.Brokers), count)
		}
		return err
	})
}

// Share are the replicas that a node has, and how many of them are in sync.
type Share struct{ Replicas, InSync int }

// AwaitShare asks the node at address until what it knows of a node's replicas is enough, and tells when that was.
func AwaitShare(ctx context.Context, address string, node int32, enough func(Share) bool) (time.Time, error) {
	a := &asker{ctx: ctx, address: address, pause: lookAgain}
	defer a.close()
	err := a.until(func(c *Conn) error {
		m, err := describe(c, nil)
		if err != nil {
			return err
		}
		if s := shareOf(m, node); !enough(s) {
			return fmt.Errorf("node %d has %d replicas, of them %d in sync", node, s.Replicas, s.InSync)
		}
		return nil
	})
	return time.Now(), err
}

func shareOf(m *kmsg.MetadataResponse, node int32) (s Share) {
	count := func(nodes []int32) (n int) {
		for _, id := range nodes {
			if id == node {
				n++
			}
		}
		return n
	}
	for _, t := range m.Topics {
		for _, p := range t.Partitions {
			s.Replicas += count(p.Replicas)
			s.InSync += count(p.ISR)
		}
	}
	return s
}

// AwaitEnds asks the node at address who leads the partitions, of which there are count, and each leader for the ends of its own,
// until all have told, and tells when that was.
func AwaitEnds(ctx context.Context, address string, count int) (time.Time, error) {
	a := &asker{ctx: ctx, address: address, pause: lookAgain}
	defer a.close()
	err := a.until(func(c *Conn) error {
		m, err := describe(c, nil)
		if err != nil {
			return err
		}
		told := 0
		for _, b := range m.Brokers {
			n, err := endsAt(ctx, b, m.Topics)
			if err != nil {
				return fmt.Errorf("node %d: %w", b.NodeID, err)
			}
			told += n
		}
		if told < count {
			return fmt.Errorf("%d of %d partitions have told their ends", told, count)
		}
		return nil
	})
	return time.Now(), err
}

// endsAt asks a node for the ends of the partitions that it leads, and returns how many these are.
func endsAt(ctx context.Context, b kmsg.MetadataResponseBroker, topics []kmsg.MetadataResponseTopic) (int, error) {
	r := kmsg.NewPtrListOffsetsRequest()
	r.Version, r.ReplicaID = 6, -1
	asked := 0
	for _, t := range topics {
		ask := kmsg.NewListOffsetsRequestTopic()
		ask.Topic = *t.Topic
		for _, p := range t.Partitions {
			if p.Leader != b.NodeID {
				continue
			}
			part := kmsg.NewListOffsetsRequestTopicPartition()
			part.Partition, part.CurrentLeaderEpoch, part.Timestamp = p.Partition, -1, -1
			ask.Partitions = append(ask.Partitions, part)
			asked++
		}
		if len(ask.Partitions) > 0 {
			r.Topics = append(r.Topics, ask)
		}
	}
	if asked == 0 {
		return 0, nil
	}
	c, err := Dial(ctx, net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port))))
	if err != nil {
		return 0, err
	}
	defer c.Close()
	answered, err := c.ends(r)
	if err == nil && answered != asked {
		err = fmt.Errorf("%d of %d partitions answered", answered, asked)
	}
	return answered, err
}

// ends counts the partitions that answer r; the first that refuses is an error.
func (c *Conn) ends(r *kmsg.ListOffsetsRequest) (answered int, err error) {
	got, err := c.Ask(r)
	if err != nil {
		return 0, err
	}
	for _, t := range got.(*kmsg.ListOffsetsResponse).Topics {
		for _, part := range t.Partitions {
			if err := kerr.ErrorForCode(part.ErrorCode); err != nil {
				return answered, fmt.Errorf("partition %d: %w", part.Partition, err)
			}
			answered++
		}
	}
	return answered, nil
}

// MetadataLeader asks the node at address which node leads the cluster's metadata.
func MetadataLeader(ctx context.Context, address string) (int32, error) {
	c, err := Dial(ctx, address)
	if err != nil {
		return -1, err
	}
	defer c.Close()
	r := kmsg.NewPtrDescribeQuorumRequest()
	t := kmsg.NewDescribeQuorumRequestTopic()
	t.Topic = "__cluster_metadata"
	t.Partitions = append(t.Partitions, kmsg.NewDescribeQuorumRequestTopicPartition())
	r.Topics = append(r.Topics, t)
	got, err := c.Ask(r)
	if err != nil {
		return -1, err
	}
	q := got.(*kmsg.DescribeQuorumResponse)
	if err := kerr.ErrorForCode(q.ErrorCode); err != nil {
		return -1, err
	}
	for _, t := range q.Topics {
		for _, p := range t.Partitions {
			return p.LeaderID, kerr.ErrorForCode(p.ErrorCode)
		}
	}
	return -1, fmt.Errorf("an answer without the partition")
}

// describe asks for the nodes and for the topics, where nil is all.
func describe(c *Conn, topics []kmsg.MetadataRequestTopic) (*kmsg.MetadataResponse, error) {
	r := kmsg.NewPtrMetadataRequest()
	r.Version = 12
	r.Topics = topics
	got, err := c.Ask(r)
	if err != nil {
		return nil, err
	}
	m := got.(*kmsg.MetadataResponse)
	for _, t := range m.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return nil, fmt.Errorf("topic %s: %w", *t.Topic, err)
		}
	}
	return m, nil
}
