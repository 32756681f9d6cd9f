package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
)

// LogDir is one log directory as DescribeLogDirs shows it.
type LogDir struct {
	Path        string
	Offline     error // not nil when the directory was taken out of service
	Total, Free int64 // bytes of its file system; -1 when unknown
	Partitions  []LogDirPartition
}

// LogDirPartition is one partition's log in a directory. Lag is how far its end is behind the high watermark. Future is a copy that is
// to take the place of the log in another directory; its lag is behind the end of that, or -1 where that is not known.
type LogDirPartition struct {
	Partition kafka.TopicPartition
	Size, Lag int64
	Future    bool
}

// describeLogDirs answers DescribeLogDirs (35): every log directory with the partitions asked for; no topics means all.
func (s *Server) describeLogDirs(_ context.Context, _ *Call, req *kmsg.DescribeLogDirsRequest) Response {
	resp := req.ResponseKind().(*kmsg.DescribeLogDirsResponse)
	for _, d := range s.LogDirs(wantedPartitions(req)) {
		out := kmsg.NewDescribeLogDirsResponseDir()
		out.Dir, out.TotalBytes, out.UsableBytes = d.Path, d.Total, d.Free
		if d.Offline != nil {
			out.ErrorCode = kerr.KafkaStorageError.Code
		} else {
			out.Topics = logDirTopics(d.Partitions)
		}
		resp.Dirs = append(resp.Dirs, out)
	}
	return resp
}

// wantedPartitions tells which partitions are asked for: all, where no topics are given (null).
func wantedPartitions(req *kmsg.DescribeLogDirsRequest) func(kafka.TopicPartition) bool {
	if req.Topics == nil {
		return func(kafka.TopicPartition) bool { return true }
	}
	want := map[kafka.TopicPartition]bool{}
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			want[kafka.TopicPartition{Topic: t.Topic, Partition: p}] = true
		}
	}
	return func(tp kafka.TopicPartition) bool { return want[tp] }
}

// logDirTopics groups partitions by topic, in the order they come.
func logDirTopics(all []LogDirPartition) []kmsg.DescribeLogDirsResponseDirTopic {
	var topics []kmsg.DescribeLogDirsResponseDirTopic
	at := map[string]int{}
	for _, l := range all {
		i, ok := at[l.Partition.Topic]
		if !ok {
			i = len(topics)
			at[l.Partition.Topic] = i
			t := kmsg.NewDescribeLogDirsResponseDirTopic()
			t.Topic = l.Partition.Topic
			topics = append(topics, t)
		}
		p := kmsg.NewDescribeLogDirsResponseDirTopicPartition()
		p.Partition, p.Size, p.OffsetLag, p.IsFuture = l.Partition.Partition, l.Size, l.Lag, l.Future
		topics[i].Partitions = append(topics[i].Partitions, p)
	}
	return topics
}
