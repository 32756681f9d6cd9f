package cluster

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
)

func TestPartitionsThatAreAmissAreFoundByKind(t *testing.T) {
	part := func(n, leader int32, replicas, isr []int32) kadm.PartitionDetail {
		return kadm.PartitionDetail{Topic: "a", Partition: n, Leader: leader, Replicas: replicas, ISR: isr}
	}
	well := part(0, 1, []int32{1, 2, 3}, []int32{1, 2, 3})
	topics := func(parts ...kadm.PartitionDetail) kadm.TopicDetails {
		d := kadm.TopicDetail{Topic: "a", Partitions: kadm.PartitionDetails{}}
		for _, p := range parts {
			d.Partitions[p.Partition] = p
		}
		return kadm.TopicDetails{"a": d}
	}
	if found := partitionsAmiss(topics(well), map[string]int{"a": 2}); len(found) != 0 {
		t.Errorf("%+v", found)
	}
	found := partitionsAmiss(topics(well, part(1, -1, []int32{2}, nil), part(2, 1, []int32{1, 2, 3}, []int32{1}), part(3, 1, []int32{1, 2, 3}, []int32{1, 2})), map[string]int{"a": 2})
	for i, want := range []string{"1 partition without a leader, neither written nor read: [a:1]", "1 partition with fewer replicas in sync than min.insync.replicas", "1 partition with replicas that are behind: [a:3]"} {
		if len(found) != 3 || !strings.HasPrefix(found[i].Problem, want) || found[i].Advice == "" {
			t.Fatalf("%+v, want %q", found, want)
		}
	}
	if text := few([]string{"1", "2", "3", "4", "5", "6", "7"}); text != "[1 2 3 4 5] and 2 more" {
		t.Error(text)
	}
}
