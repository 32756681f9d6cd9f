package kafkatools

import (
	"context"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// topicInfo is what the cluster tells of a topic.
type topicInfo struct {
	name       string
	id         [16]byte
	partitions []partitionInfo
}

type partitionInfo struct {
	number, leader int32 // leader -1: there is none
	replicas, isr  []int32
	elr, lastELR   []int32
	elrKnown       bool // the cluster has eligible leader replicas
}

// topicNames are the names of all topics, in order.
func (k *cluster) topicNames(ctx context.Context) ([]string, error) {
	all, err := k.metadata(ctx, nil)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, t := range all.Topics {
		if t.Topic != nil {
			names = append(names, *t.Topic)
		}
	}
	slices.Sort(names)
	return names, nil
}

// metadata of all topics, or of these.
func (k *cluster) metadata(ctx context.Context, topics []string) (*kmsg.MetadataResponse, error) {
	ctx, cancel := k.bounded(ctx)
	defer cancel()
	req := kmsg.NewPtrMetadataRequest()
	if topics != nil {
		req.Topics = []kmsg.MetadataRequestTopic{}
	}
	for _, name := range topics {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(name)
		req.Topics = append(req.Topics, t)
	}
	return req.RequestWith(ctx, k.Client)
}

// describe tells of topics, in the order of their names.
func (k *cluster) describe(ctx context.Context, names []string) ([]topicInfo, error) {
	var all []topicInfo
	var err error
	if len(names) == 0 {
		return nil, nil
	}
	if k.can(kmsg.NewPtrDescribeTopicPartitionsRequest()) == nil {
		all, err = k.describeWithELR(ctx, names)
	} else {
		all, err = k.describeByMetadata(ctx, names)
	}
	slices.SortFunc(all, func(a, b topicInfo) int { return strings.Compare(a.name, b.name) })
	for _, t := range all {
		slices.SortFunc(t.partitions, func(a, b partitionInfo) int { return int(a.number - b.number) })
	}
	return all, err
}

func (k *cluster) describeByMetadata(ctx context.Context, names []string) ([]topicInfo, error) {
	resp, err := k.metadata(ctx, names)
	if err != nil {
		return nil, err
	}
	var all []topicInfo
	for _, t := range resp.Topics {
		if err := ofCode(t.ErrorCode, nil); err != nil {
			return nil, err
		}
		info := topicInfo{name: *t.Topic, id: t.TopicID}
		for _, p := range t.Partitions {
			info.partitions = append(info.partitions, partitionInfo{number: p.Partition, leader: p.Leader, replicas: p.Replicas, isr: p.ISR})
		}
		all = append(all, info)
	}
	return all, nil
}

// describeWithELR asks page by page.
func (k *cluster) describeWithELR(ctx context.Context, names []string) ([]topicInfo, error) {
	ctx, cancel := k.bounded(ctx)
	defer cancel()
	req := kmsg.NewPtrDescribeTopicPartitionsRequest()
	for _, name := range slices.Sorted(slices.Values(names)) {
		t := kmsg.NewDescribeTopicPartitionsRequestTopic()
		t.Topic = name
		req.Topics = append(req.Topics, t)
	}
	byName := map[string]*topicInfo{}
	for {
		resp, err := req.RequestWith(ctx, k.Client)
		if err != nil {
			return nil, err
		}
		for _, t := range resp.Topics {
			if err := ofCode(t.ErrorCode, nil); err != nil {
				return nil, err
			}
			info := byName[*t.Topic]
			if info == nil {
				info = &topicInfo{name: *t.Topic, id: t.TopicID}
				byName[*t.Topic] = info
			}
			for _, p := range t.Partitions {
				info.partitions = append(info.partitions, partitionInfo{p.Partition, p.LeaderID, p.Replicas, p.ISR,
					p.EligibleLeaderReplicas, p.LastKnownELR, true})
			}
		}
		if resp.NextCursor == nil {
			break
		}
		cursor := kmsg.NewDescribeTopicPartitionsRequestCursor()
		cursor.Topic, cursor.Partition = resp.NextCursor.Topic, resp.NextCursor.Partition
		req.Cursor = &cursor
		req.Topics = slices.DeleteFunc(req.Topics, func(t kmsg.DescribeTopicPartitionsRequestTopic) bool { return t.Topic < cursor.Topic })
	}
	var all []topicInfo
	for _, info := range byName {
		all = append(all, *info)
	}
	return all, nil
}

// reassignments are the partitions that are being moved.
func (k *cluster) reassignments(ctx context.Context) (map[topicPartition]kmsg.ListPartitionReassignmentsResponseTopicPartition, error) {
	moves := map[topicPartition]kmsg.ListPartitionReassignmentsResponseTopicPartition{}
	req := kmsg.NewPtrListPartitionReassignmentsRequest()
	if k.can(req) != nil {
		return moves, nil
	}
	ctx, cancel := k.bounded(ctx)
	defer cancel()
	resp, err := req.RequestWith(ctx, k.Client)
	if err == nil {
		err = ofCode(resp.ErrorCode, resp.ErrorMessage)
	}
	if err != nil {
		return nil, err
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			moves[topicPartition{t.Topic, p.Partition}] = p
		}
	}
	return moves, nil
}

// topicPartition is a partition of a topic, printed as in Java.
type topicPartition struct {
	topic  string
	number int32
}

func compare(a, b topicPartition) int {
	if c := strings.Compare(a.topic, b.topic); c != 0 {
		return c
	}
	return int(a.number - b.number)
}

// configsOf describes the configs of resources of one type. to is the node that must be asked, or -1.
func (k *cluster) configsOf(ctx context.Context, kind kmsg.ConfigResourceType, names []string, synonyms bool, to int32) (map[string][]kmsg.DescribeConfigsResponseResourceConfig, error) {
	ctx, cancel := k.bounded(ctx)
	defer cancel()
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.IncludeSynonyms = synonyms
	for _, name := range names {
		r := kmsg.NewDescribeConfigsRequestResource()
		r.ResourceType, r.ResourceName = kind, name
		req.Resources = append(req.Resources, r)
	}
	resp, err := kgoRequest(ctx, k.Client, req, to)
	if err != nil {
		return nil, err
	}
	found := map[string][]kmsg.DescribeConfigsResponseResourceConfig{}
	for _, r := range resp.(*kmsg.DescribeConfigsResponse).Resources {
		if err := ofCode(r.ErrorCode, r.ErrorMessage); err != nil {
			return nil, err
		}
		found[r.ResourceName] = r.Configs
	}
	return found, nil
}

// kgoRequest sends a request to a node, or to whichever it belongs to (-1).
func kgoRequest(ctx context.Context, client *kgo.Client, req kmsg.Request, to int32) (kmsg.Response, error) {
	if to < 0 {
		return client.Request(ctx, req)
	}
	return client.Broker(int(to)).RetriableRequest(ctx, req)
}
