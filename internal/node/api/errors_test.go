package api

import (
	"maps"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestErrorsInAnswersAreCountedByAPIAndCode(t *testing.T) {
	w := newWorld(t)
	w.topic("t", 1, nil)
	w.produce("t", 0, "fine")

	produce := kmsg.NewPtrProduceRequest()
	produce.Acks, produce.TimeoutMillis = -1, 1000
	produce.Topics = []kmsg.ProduceRequestTopic{{Topic: "nowhere", Partitions: []kmsg.ProduceRequestTopicPartition{{}, {Partition: 1}}}}
	w.call(produce, 9)
	fetch := kmsg.NewPtrFetchRequest()
	fetch.ReplicaID, fetch.SessionEpoch, fetch.MaxBytes = -1, -1, 1<<20
	fetch.Topics = []kmsg.FetchRequestTopic{{Topic: "t", Partitions: []kmsg.FetchRequestTopicPartition{{FetchOffset: 99, CurrentLeaderEpoch: -1}}}}
	w.call(fetch, 11)
	list := kmsg.NewPtrListOffsetsRequest()
	list.ReplicaID = -1
	list.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: "t", Partitions: []kmsg.ListOffsetsRequestTopicPartition{{Timestamp: -1, CurrentLeaderEpoch: -1}, {Partition: 7, Timestamp: -1, CurrentLeaderEpoch: -1}}}}
	w.call(list, 5)

	unknown := kerr.UnknownTopicOrPartition.Code
	want := map[FailureKind]uint64{{int16(kmsg.Produce), unknown}: 2, {int16(kmsg.Fetch), kerr.OffsetOutOfRange.Code}: 1, {int16(kmsg.ListOffsets), unknown}: 1}
	if got := w.srv.Failures(); !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// What is counted by looking into an answer is found at every depth.
func TestEveryAPIHasItsErrorCodesFound(t *testing.T) {
	for key, least := range map[kmsg.Key]int{kmsg.Metadata: 2, kmsg.Heartbeat: 1, kmsg.OffsetFetch: 3, kmsg.CreateTopics: 1} {
		resp := kmsg.ResponseForKey(int16(key))
		switch r := resp.(type) {
		case *kmsg.MetadataResponse:
			r.Topics = []kmsg.MetadataResponseTopic{{ErrorCode: 3, Partitions: []kmsg.MetadataResponseTopicPartition{{ErrorCode: 5}}}}
		case *kmsg.HeartbeatResponse:
			r.ErrorCode = 25
		case *kmsg.OffsetFetchResponse:
			r.ErrorCode = 15
			r.Groups = []kmsg.OffsetFetchResponseGroup{{ErrorCode: 16, Topics: []kmsg.OffsetFetchResponseGroupTopic{{Partitions: []kmsg.OffsetFetchResponseGroupTopicPartition{{ErrorCode: 14}}}}}}
		case *kmsg.CreateTopicsResponse:
			r.Topics = []kmsg.CreateTopicsResponseTopic{{ErrorCode: 36}}
		}
		s := &Server{}
		s.failuresOf(key)(resp)
		if got := s.Failures(); len(got) != least {
			t.Errorf("%v: %v", key, got)
		}
	}
}

func BenchmarkCountingTheErrorsOfAnAnswer(b *testing.B) {
	s := &Server{}
	count := s.failuresOf(kmsg.Metadata)
	r := kmsg.NewPtrMetadataResponse()
	r.Topics = []kmsg.MetadataResponseTopic{{Partitions: make([]kmsg.MetadataResponseTopicPartition, 100)}}
	b.ReportAllocs()
	for b.Loop() {
		count(r)
	}
}
