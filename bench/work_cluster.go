package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/headrace/headrace/bench/side"
	"github.com/headrace/headrace/bench/wire"
)

const (
	clusterNodes    = 3
	topicPartitions = 1000 // of each of many topics; Apache Kafka's controller takes fewer than 10,000 partitions in one request

	restartTimeout = 5 * time.Minute
	rest           = 10 * time.Second // before a cluster counts as idle
)

// durable are the configs of a topic that outlives a node.
func durable() map[string]*string {
	two := "2"
	return map[string]*string{"min.insync.replicas": &two}
}

// cluster makes nodes below dir and waits until each knows all the others and a topic of theirs takes records.
func (s *stage) cluster(dir string, count int) (side.Nodes, error) {
	nodes, err := s.system.StartCluster(dir, count)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(s.ctx, startTimeout)
	defer cancel()
	ctx, release := nodes.Context(ctx)
	defer release()
	for _, v := range nodes {
		if err == nil {
			err = wire.AwaitNodes(ctx, v.Address, count)
		}
	}
	on := *s
	on.ctx, on.nodes = ctx, nodes
	if err == nil {
		err = on.topic("ready", int32(count), durable())
	}
	if err == nil {
		err = on.recordEach([]string{"ready"}, count)
	}
	if err != nil {
		err = errors.Join(nodes.Alive(), err)
		nodes.Kill()
		return nil, fmt.Errorf("the cluster of %s is not ready: %w", s.system.Name, err)
	}
	return nodes, nil
}

// recordEach writes one record to each partition of the topics, acknowledged by all replicas in sync.
func (s *stage) recordEach(topics []string, partitions int) error {
	client, err := s.client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return err
	}
	defer client.Close()
	for _, t := range topics {
		var records []*kgo.Record
		for i := range partitions {
			records = append(records, &kgo.Record{Topic: t, Partition: int32(i), Value: []byte("one record")})
		}
		if err := client.ProduceSync(s.ctx, records...).FirstErr(); err != nil {
			return fmt.Errorf("a record to each partition of %s: %w", t, err)
		}
	}
	return nil
}

func clusterThroughput(s *stage) (figures, error) {
	return s.load("cluster-", s.size.ClusterWarmup, s.size.ClusterProduce, durable())
}

// spread makes topics of topicPartitions each and tells how long it took until every partition had a leader that serves.
func (s *stage) spread(topics []string) (time.Duration, error) {
	begin := time.Now()
	for _, t := range topics {
		if err := s.create([]string{t}, topicPartitions, durable()); err != nil {
			return 0, err
		}
	}
	served, err := wire.AwaitEnds(s.ctx, s.nodes[0].Address, len(topics)*topicPartitions)
	return served.Sub(begin), err
}

func topicNames(count int) (names []string) {
	for i := range count {
		names = append(names, fmt.Sprintf("spread-%d", i))
	}
	return names
}

func clusterIdle(s *stage) (figures, error) {
	topics := topicNames(s.size.ClusterIdleTopics)
	if _, err := s.spread(topics); err != nil {
		return nil, err
	}
	if err := s.recordEach(topics, topicPartitions); err != nil {
		return nil, err
	}
	if err := s.wait(rest); err != nil {
		return nil, err
	}
	cpu, err := s.cpu(func() error { return s.wait(s.size.ClusterIdle) })
	return figures{"cluster-idle-cpu": cpu.Seconds() * 1e3 / s.size.ClusterIdle.Seconds()}, err
}

func clusterPartitions(s *stage) (figures, error) {
	topics := topicNames(s.size.ClusterTopics)
	before, err := s.settled()
	if err != nil {
		return nil, err
	}
	took, err := s.spread(topics)
	if err != nil {
		return nil, err
	}
	made, err := s.settled()
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	if err := s.recordEach(topics, topicPartitions); err != nil {
		return nil, err
	}
	wrote := time.Since(begin)
	written, err := s.settled()
	if err != nil {
		return nil, err
	}
	f := figures{"cluster-create": took.Seconds(), "cluster-write-each": wrote.Seconds()}
	replicas := len(topics) * topicPartitions * clusterNodes
	f["cluster-replica"], f["cluster-replica-private"] = growth(before, made, replicas)
	f["cluster-replica-written"], f["cluster-replica-written-private"] = growth(before, written, replicas)
	return f, nil
}

func clusterRestart(s *stage) (figures, error) {
	nodes, err := s.cluster(filepath.Join(s.dir, "cluster"), clusterNodes)
	if err != nil {
		return nil, err
	}
	defer nodes.Kill()
	on := *s
	on.nodes = nodes
	topics := topicNames(s.size.ClusterTopics)
	if _, err := on.spread(topics); err != nil {
		return nil, err
	}
	if err := on.recordEach(topics, topicPartitions); err != nil {
		return nil, err
	}
	leader, err := wire.MetadataLeader(s.ctx, nodes[0].Address)
	if err == nil && (leader < 1 || leader > clusterNodes) {
		err = fmt.Errorf("node %d leads the metadata", leader)
	}
	if err != nil {
		return nil, err
	}
	return on.restart(leader, leader%clusterNodes+1, topics)
}

// restart kills a node and starts it again, as witness sees it.
func (s *stage) restart(witness, id int32, topics []string) (figures, error) {
	ctx, cancel := context.WithTimeout(s.ctx, restartTimeout)
	defer cancel()
	address := s.nodes[witness-1].Address
	begin := time.Now()
	s.nodes[id-1].Kill()
	gone, err := wire.AwaitShare(ctx, address, id, func(h wire.Share) bool { return h.InSync == 0 })
	if err != nil {
		return nil, fmt.Errorf("after the kill: %w", err)
	}
	if err := s.recordEach(topics, topicPartitions); err != nil {
		return nil, err
	}
	if err := s.nodes.Restart(int(id)); err != nil {
		return nil, err
	}
	whole := func(h wire.Share) bool { return h.Replicas >= len(topics)*topicPartitions && h.InSync == h.Replicas }
	back, err := wire.AwaitShare(ctx, address, id, whole)
	if err != nil {
		return nil, errors.Join(s.nodes.Alive(), fmt.Errorf("after the restart: %w", err))
	}
	return figures{
		"cluster-restart": back.Sub(s.nodes[id-1].Started).Seconds(), "cluster-kill-noticed": gone.Sub(begin).Seconds(),
	}, nil
}
