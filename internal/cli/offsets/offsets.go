// Package offsets finds places in partitions: their first and last records, the record at a time, and the words that name such
// places on a command line. Commands that read or move along partitions call it; it starts no goroutine.
package offsets

import (
	"cmp"
	"context"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Partition names one partition of a topic.
type Partition struct {
	Topic  string
	Number int32
}

// Compare orders partitions by topic and number.
func (p Partition) Compare(q Partition) int {
	switch {
	case p.Topic < q.Topic || p.Topic == q.Topic && p.Number < q.Number:
		return -1
	case p == q:
		return 0
	}
	return 1
}

// Bound is the range of offsets that a partition holds: Start is the first, End is one past the last. Err says why neither is
// known.
type Bound struct {
	Start, End int64
	Err        error
}

// Bounds are those of several partitions.
type Bounds map[Partition]Bound

// The timestamps that ListOffsets takes for the two ends of a partition.
const (
	AtStart int64 = -2
	AtEnd   int64 = -1
)

// Isolation says whether records of transactions that are open or aborted count.
type Isolation int8

// The isolations.
const (
	ReadUncommitted Isolation = 0
	ReadCommitted   Isolation = 1
)

// Of lists the partitions of topics, in order.
func Of(details kadm.TopicDetails) []Partition {
	var all []Partition
	for _, d := range details.Sorted() {
		for _, p := range d.Partitions.Sorted() {
			all = append(all, Partition{d.Topic, p.Partition})
		}
	}
	return all
}

// ListBounds asks for both ends of the partitions.
func ListBounds(ctx context.Context, client *kgo.Client, parts []Partition, isolation Isolation) (Bounds, error) {
	starts, err := List(ctx, client, parts, AtStart, isolation)
	if err != nil {
		return nil, err
	}
	ends, err := List(ctx, client, parts, AtEnd, isolation)
	if err != nil {
		return nil, err
	}
	return bounds(parts, starts, ends), nil
}

// KnownBounds is ListBounds as far as leaders can be asked; where one cannot, its partitions have the error.
func KnownBounds(ctx context.Context, client *kgo.Client, parts []Partition, isolation Isolation) Bounds {
	starts, _ := list(ctx, client, parts, AtStart, isolation)
	ends, _ := list(ctx, client, parts, AtEnd, isolation)
	return bounds(parts, starts, ends)
}

func bounds(parts []Partition, starts, ends map[Partition]Listed) Bounds {
	all := Bounds{}
	for _, p := range parts {
		b := Bound{Start: starts[p].Offset, End: ends[p].Offset, Err: starts[p].Err}
		if b.Err == nil {
			b.Err = ends[p].Err
		}
		all[p] = b
	}
	return all
}

// Listed is the answer for one partition.
type Listed struct {
	Offset    int64 // -1 where no record is as late as the time asked for
	Timestamp int64 // of the record at Offset, where a time was asked for
	Err       error
}

// List asks the leaders for the offset at a time in milliseconds, or at an end. (The function of kadm leaves out internal topics.)
func List(ctx context.Context, client *kgo.Client, parts []Partition, at int64, isolation Isolation) (map[Partition]Listed, error) {
	found, err := list(ctx, client, parts, at, isolation)
	if err != nil {
		return nil, err
	}
	return found, nil
}

// list returns what it got, and the first error of a leader that was asked in vain.
func list(ctx context.Context, client *kgo.Client, parts []Partition, at int64, isolation Isolation) (map[Partition]Listed, error) {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	req.IsolationLevel = int8(isolation)
	byTopic := map[string]int{}
	for _, p := range parts {
		i, ok := byTopic[p.Topic]
		if !ok {
			i = len(req.Topics)
			byTopic[p.Topic] = i
			t := kmsg.NewListOffsetsRequestTopic()
			t.Topic = p.Topic
			req.Topics = append(req.Topics, t)
		}
		rp := kmsg.NewListOffsetsRequestTopicPartition()
		rp.Partition, rp.Timestamp = p.Number, at
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, rp)
	}
	found := map[Partition]Listed{}
	if len(parts) == 0 {
		return found, nil
	}
	var first error
	for _, shard := range client.RequestSharded(ctx, req) {
		if shard.Err != nil {
			first = cmp.Or(first, shard.Err)
			for _, t := range shard.Req.(*kmsg.ListOffsetsRequest).Topics {
				for _, p := range t.Partitions {
					found[Partition{t.Topic, p.Partition}] = Listed{-1, -1, shard.Err}
				}
			}
			continue
		}
		for _, t := range shard.Resp.(*kmsg.ListOffsetsResponse).Topics {
			for _, p := range t.Partitions {
				found[Partition{t.Topic, p.Partition}] = Listed{p.Offset, p.Timestamp, kerr.ErrorForCode(p.ErrorCode)}
			}
		}
	}
	return found, first
}
