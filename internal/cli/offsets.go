package cli

import (
	"context"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// partition names one partition of a topic.
type partition struct {
	topic  string
	number int32
}

// bound is the range of offsets that a partition holds: start is the first, end is one past the last. err says why neither is
// known.
type bound struct {
	start, end int64
	err        error
}

type bounds map[partition]bound

// The timestamps that ListOffsets takes for the two ends of a partition.
const (
	atStart int64 = -2
	atEnd   int64 = -1
)

func partitionsOf(details kadm.TopicDetails) []partition {
	var all []partition
	for _, d := range details.Sorted() {
		for _, p := range d.Partitions.Sorted() {
			all = append(all, partition{d.Topic, p.Partition})
		}
	}
	return all
}

// listBounds asks for both ends of the partitions.
func listBounds(ctx context.Context, client *kgo.Client, parts []partition) (bounds, error) {
	starts, err := listOffsets(ctx, client, parts, atStart)
	if err != nil {
		return nil, err
	}
	ends, err := listOffsets(ctx, client, parts, atEnd)
	if err != nil {
		return nil, err
	}
	all := bounds{}
	for _, p := range parts {
		b := bound{start: starts[p].offset, end: ends[p].offset, err: starts[p].err}
		if b.err == nil {
			b.err = ends[p].err
		}
		all[p] = b
	}
	return all, nil
}

type listed struct {
	offset int64 // -1 where no record is as late as the time asked for
	err    error
}

// listOffsets asks the leaders for the offset at a time, or at an end. Records of transactions that are open do not count. (The
// function of kadm leaves out internal topics.)
func listOffsets(ctx context.Context, client *kgo.Client, parts []partition, at int64) (map[partition]listed, error) {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	req.IsolationLevel = 1
	byTopic := map[string]int{}
	for _, p := range parts {
		i, ok := byTopic[p.topic]
		if !ok {
			i = len(req.Topics)
			byTopic[p.topic] = i
			t := kmsg.NewListOffsetsRequestTopic()
			t.Topic = p.topic
			req.Topics = append(req.Topics, t)
		}
		rp := kmsg.NewListOffsetsRequestTopicPartition()
		rp.Partition, rp.Timestamp = p.number, at
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, rp)
	}
	found := map[partition]listed{}
	if len(parts) == 0 {
		return found, nil
	}
	for _, shard := range client.RequestSharded(ctx, req) {
		if shard.Err != nil {
			return nil, shard.Err
		}
		for _, t := range shard.Resp.(*kmsg.ListOffsetsResponse).Topics {
			for _, p := range t.Partitions {
				found[partition{t.Topic, p.Partition}] = listed{p.Offset, kerr.ErrorForCode(p.ErrorCode)}
			}
		}
	}
	return found, nil
}
