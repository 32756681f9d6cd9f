package group

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/headrace/headrace/internal/cli/offsets"
)

// lagPatience is how long first records are waited for; what has not come by then is not known.
const lagPatience = 3 * time.Second

// firstBatch is how many bytes of a partition are asked for to find its first batch: more than the 16 KiB that most clients gather.
const firstBatch = 32 << 10

// firstUncommitted finds when the first record that the group has not committed was written, in each partition that has one, by
// reading it.
func (c *commands) firstUncommitted(ctx context.Context, list []standing) (map[offsets.Partition]time.Time, error) {
	written := map[offsets.Partition]time.Time{}
	starts := map[string]map[int32]kgo.Offset{}
	wanted := 0
	for _, s := range list {
		if s.Lag <= 0 {
			continue
		}
		if starts[s.Topic] == nil {
			starts[s.Topic] = map[int32]kgo.Offset{}
		}
		starts[s.Topic][s.Partition] = kgo.NewOffset().At(max(s.Committed, s.Start))
		wanted++
	}
	if wanted == 0 {
		return written, nil
	}
	// A node fills every partition up to its limit, and passes it, to the whole of a batch, for one partition an answer alone.
	client, err := c.at.Connect(ctx, kgo.ConsumePartitions(starts), kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchMaxPartitionBytes(firstBatch), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	patient, cancel := context.WithTimeout(ctx, lagPatience)
	defer cancel()
	answered := map[offsets.Partition]bool{}
	for len(answered) < wanted && patient.Err() == nil {
		client.PollFetches(patient).EachPartition(func(p kgo.FetchTopicPartition) {
			if p.Err == nil && len(p.Records) == 0 || p.Topic == "" {
				return
			}
			key := offsets.Partition{Topic: p.Topic, Number: p.Partition}
			if p.Err == nil && !answered[key] && p.Records[0].Timestamp.UnixMilli() >= 0 {
				written[key] = p.Records[0].Timestamp
			}
			answered[key] = true
			client.PauseFetchPartitions(map[string][]int32{p.Topic: {p.Partition}})
		})
	}
	return written, ctx.Err()
}
