package api

import (
	"context"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// moveRequest asks for other replicas of a partition; nil cancels.
func moveRequest(topic string, partition int32, replicas []int32) *kmsg.AlterPartitionAssignmentsRequest {
	req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	t, p := kmsg.NewAlterPartitionAssignmentsRequestTopic(), kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
	t.Topic, p.Partition, p.Replicas = topic, partition, replicas
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

func TestPartitionsMoveAndAreListedWhileTheyDo(t *testing.T) {
	w := newWorld(t)
	other := kmsg.NewPtrBrokerRegistrationRequest()
	other.Version, other.BrokerID, other.ClusterID = 4, 2, w.Image().ClusterID()
	other.IncarnationID, other.LogDirs = [16]byte{8}, [][16]byte{{7}}
	l := kmsg.NewBrokerRegistrationRequestListener()
	l.Name, l.Host, l.Port = worldListener, "127.0.0.1", 9192
	other.Listeners = append(other.Listeners, l)
	w.must(w.Submit(context.Background(), other))
	w.topic("a", 2, nil)
	move := func(version int16, topic string, replicas []int32) int16 {
		t.Helper()
		resp := ask[*kmsg.AlterPartitionAssignmentsResponse](w, moveRequest(topic, 1, replicas), version)
		if resp.ErrorCode != 0 || len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
			t.Fatalf("%+v", resp)
		}
		return resp.Topics[0].Partitions[0].ErrorCode
	}
	list := func() string {
		all := kmsg.NewPtrListPartitionReassignmentsRequest()
		return fmt.Sprintf("%+v", ask[*kmsg.ListPartitionReassignmentsResponse](w, all, 0).Topics)
	}
	for _, c := range []struct {
		version  int16
		topic    string
		replicas []int32
		want     *kerr.Error
	}{
		{1, "a", nil, kerr.NoReassignmentInProgress},
		{1, "a", []int32{}, kerr.InvalidReplicaAssignment},
		{0, "a", []int32{3}, kerr.InvalidReplicaAssignment},
		{0, "ghost", []int32{1}, kerr.UnknownTopicOrPartition},
	} {
		if code := move(c.version, c.topic, c.replicas); code != c.want.Code {
			t.Errorf("%+v: code %d", c, code)
		}
	}
	// Version 0 knows nothing of the replication factor, and allows it to change.
	if code := move(0, "a", []int32{1, 2}); code != 0 {
		t.Fatal(code)
	}
	if got := list(); got != "[{Topic:a Partitions:[{Partition:1 Replicas:[1 2] AddingReplicas:[2] RemovingReplicas:[] UnknownTags:{keyvals:map[]}}] UnknownTags:{keyvals:map[]}}]" {
		t.Error(got)
	}
	if code := move(1, "a", nil); code != 0 {
		t.Fatal(code)
	}
	if got := list(); got != "[]" {
		t.Error(got)
	}
}
