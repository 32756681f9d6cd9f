package api

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// moveDirsRequest asks for partitions of a topic to be moved to dirs, in this order.
func moveDirsRequest(topic string, wanted ...any) *kmsg.AlterReplicaLogDirsRequest {
	req := kmsg.NewPtrAlterReplicaLogDirsRequest()
	for i := 0; i < len(wanted); i += 2 {
		d, t := kmsg.NewAlterReplicaLogDirsRequestDir(), kmsg.NewAlterReplicaLogDirsRequestDirTopic()
		d.Dir, t.Topic, t.Partitions = wanted[i].(string), topic, wanted[i+1].([]int32)
		d.Topics = append(d.Topics, t)
		req.Dirs = append(req.Dirs, d)
	}
	return req
}

func TestMovesToLogDirsAreAnsweredForEachPartition(t *testing.T) {
	w := newWorld(t)
	w.srv.MoveReplica = w.set.MoveTo
	w.topic("a", 2, nil)
	own, _, err := w.set.All()[0].Disk()
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []int16{1, 2} {
		req := moveDirsRequest("a", "/nowhere", []int32{0, 1}, own, []int32{1, 7})
		resp := ask[*kmsg.AlterReplicaLogDirsResponse](w, req, version)
		none := moveDirsRequest("a", "/nowhere", []int32{})
		if resp := ask[*kmsg.AlterReplicaLogDirsResponse](w, none, version); len(resp.Topics) != 0 {
			t.Errorf("of a topic without partitions: %+v", resp)
		}
		if len(resp.Topics) != 1 || resp.Topics[0].Topic != "a" || len(resp.Topics[0].Partitions) != 3 {
			t.Fatalf("%+v", resp)
		}
		want := map[int32]int16{0: kerr.LogDirNotFound.Code, 1: 0, 7: kerr.UnknownTopicOrPartition.Code}
		for _, p := range resp.Topics[0].Partitions {
			if p.ErrorCode != want[p.Partition] {
				t.Errorf("partition %d has code %d, want %d", p.Partition, p.ErrorCode, want[p.Partition])
			}
		}
	}
}
