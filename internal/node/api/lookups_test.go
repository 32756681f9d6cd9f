package api

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/node/transport"
)

func TestApiVersionsIsTheTable(t *testing.T) {
	w := newWorld(t)
	for version := int16(0); version <= 4; version++ {
		req := kmsg.NewPtrApiVersionsRequest()
		req.ClientSoftwareName, req.ClientSoftwareVersion = "test", "1.0"
		resp := ask[*kmsg.ApiVersionsResponse](w, req, version)
		if resp.ErrorCode != 0 || len(resp.ApiKeys) != len(w.srv.entries) {
			t.Fatalf("version %d: code %d, %d keys", version, resp.ErrorCode, len(resp.ApiKeys))
		}
		if k := resp.ApiKeys[0]; k.ApiKey != 0 || k.MinVersion != 0 || k.MaxVersion != 13 {
			t.Fatalf("produce is advertised as %+v", k)
		}
		for _, k := range resp.ApiKeys[1:] {
			for v := int16(0); v <= k.MaxVersion+1; v++ {
				_, served := w.srv.Lookup(k.ApiKey, v)
				if advertised := v >= k.MinVersion && v <= k.MaxVersion; served != advertised && k.ApiKey != 18 {
					t.Errorf("key %d version %d: served %v, advertised %v", k.ApiKey, v, served, advertised)
				}
			}
		}
	}
	if _, ok := w.srv.Lookup(0, 2); ok {
		t.Error("produce version 2 is served")
	}
}

func TestUnknownApiVersionsIsAnsweredInVersion0(t *testing.T) {
	w := newWorld(t)
	for _, version := range []int16{5, 99, -1} {
		op, ok := w.srv.Lookup(18, version)
		if !ok || !op.PlainReply {
			t.Fatalf("version %d: %v", version, ok)
		}
		req, err := op.Decode(version, []byte("whatever a later version may have"))
		if err != nil {
			t.Fatal(err)
		}
		c := &Call{Version: version, Request: req}
		resp := kmsg.NewPtrApiVersionsResponse()
		if err := resp.ReadFrom(op.Handle(t.Context(), c).AppendTo(nil)); err != nil {
			t.Fatal(err)
		}
		if resp.ErrorCode != kerr.UnsupportedVersion.Code || len(resp.ApiKeys) != 1 || resp.ApiKeys[0].MaxVersion != 4 {
			t.Fatalf("version %d: %+v", version, resp)
		}
	}
}

func TestApiVersionsRefusesStrangeSoftwareNames(t *testing.T) {
	w := newWorld(t)
	for name, want := range map[string]int16{"apache-kafka-java": 0, "a": 0, "": 42, "-a": 42, "a-": 42, "a b": 42} {
		req := kmsg.NewPtrApiVersionsRequest()
		req.ClientSoftwareName, req.ClientSoftwareVersion = name, "4.3.1"
		if got := ask[*kmsg.ApiVersionsResponse](w, req, 3).ErrorCode; got != want {
			t.Errorf("%q: code %d, want %d", name, got, want)
		}
	}
}

func TestFeaturesWithMinimum0AreLeftOutForOldClients(t *testing.T) {
	w := newWorld(t)
	w.srv.Features = func() Features {
		return Features{
			Supported: []FeatureRange{{"group.version", 0, 1}, {"metadata.version", 7, 29}},
			Finalized: []FeatureLevel{{"metadata.version", 29}}, Epoch: 5,
		}
	}
	for version, want := range map[int16]int{2: 0, 3: 1, 4: 2} {
		req := kmsg.NewPtrApiVersionsRequest()
		req.ClientSoftwareName, req.ClientSoftwareVersion = "test", "1.0"
		resp := ask[*kmsg.ApiVersionsResponse](w, req, version)
		if len(resp.SupportedFeatures) != want {
			t.Errorf("version %d: %v", version, resp.SupportedFeatures)
		}
		if version >= 3 && (resp.FinalizedFeaturesEpoch != 5 || len(resp.FinalizedFeatures) != 1) {
			t.Errorf("version %d: finalized %v at %d", version, resp.FinalizedFeatures, resp.FinalizedFeaturesEpoch)
		}
	}
}

func metadataOf(names ...string) *kmsg.MetadataRequest {
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{}
	for _, n := range names {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = &n
		req.Topics = append(req.Topics, t)
	}
	return req
}

func TestMetadataEveryVersion(t *testing.T) {
	w := newWorld(t)
	id := w.topic("t", 2, nil)
	w.topic("__consumer_offsets", 1, nil)
	for version := int16(0); version <= 13; version++ {
		req := metadataOf("t", "t", "__consumer_offsets")
		req.AllowAutoTopicCreation = false
		resp := ask[*kmsg.MetadataResponse](w, req, version)
		if len(resp.Brokers) != 1 || resp.Brokers[0].Port != 9092 || len(resp.Topics) != 2 {
			t.Fatalf("version %d: %+v", version, resp)
		}
		topic := resp.Topics[0]
		if *topic.Topic != "t" || len(topic.Partitions) != 2 || topic.Partitions[1].Leader != 1 || topic.Partitions[1].Partition != 1 {
			t.Fatalf("version %d: %+v", version, topic)
		}
		if version >= 10 && topic.TopicID != id || version >= 1 && !resp.Topics[1].IsInternal || version >= 1 && resp.ControllerID != 1 {
			t.Fatalf("version %d: %+v", version, resp)
		}
	}
}

func TestMetadataOfAllAndOfNone(t *testing.T) {
	w := newWorld(t)
	w.topic("b", 1, nil)
	w.topic("a", 1, nil)
	names := func(req *kmsg.MetadataRequest, version int16) (names []string) {
		for _, t := range ask[*kmsg.MetadataResponse](w, req, version).Topics {
			names = append(names, *t.Topic)
		}
		return names
	}
	all := kmsg.NewPtrMetadataRequest()
	if got := names(all, 9); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("all: %v", got)
	}
	if got := names(metadataOf(), 0); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("empty list in version 0: %v", got)
	}
	if got := names(metadataOf(), 9); len(got) != 0 {
		t.Errorf("empty list: %v", got)
	}
}

func TestMetadataByID(t *testing.T) {
	w := newWorld(t)
	id := w.topic("t", 1, nil)
	req := metadataOf("ignored")
	for _, want := range []kafka.TopicID{id, {5}} {
		t := kmsg.NewMetadataRequestTopic()
		t.TopicID = want
		req.Topics = append(req.Topics, t)
	}
	req.Topics = req.Topics[1:]
	resp := ask[*kmsg.MetadataResponse](w, req, 12)
	if len(resp.Topics) != 2 || *resp.Topics[0].Topic != "t" || resp.Topics[1].ErrorCode != kerr.UnknownTopicID.Code || resp.Topics[1].Topic != nil {
		t.Fatalf("%+v", resp.Topics)
	}
	if resp := ask[*kmsg.MetadataResponse](w, req, 10); resp.Topics[0].ErrorCode != kerr.InvalidRequest.Code {
		t.Fatalf("by id in version 10: %+v", resp.Topics)
	}
}

func TestMetadataCreatesTopicsWhereBothSidesAllowIt(t *testing.T) {
	w := newWorld(t)
	code := func(name string, allowed bool) int16 {
		req := metadataOf(name)
		req.AllowAutoTopicCreation = allowed
		return ask[*kmsg.MetadataResponse](w, req, 9).Topics[0].ErrorCode
	}
	if got := code("new", false); got != kerr.UnknownTopicOrPartition.Code {
		t.Errorf("client forbids: %d", got)
	}
	if got := code("bad name", true); got != kerr.InvalidTopicException.Code {
		t.Errorf("bad name: %d", got)
	}
	if got := code("new", true); got != 0 {
		t.Errorf("both allow: %d", got)
	}
	w.auto = false
	if got := code("other", true); got != kerr.UnknownTopicOrPartition.Code {
		t.Errorf("node forbids: %d", got)
	}
}

func TestMetadataOfAnotherListener(t *testing.T) {
	w := newWorld(t)
	w.topic("t", 1, nil)
	for version, want := range map[int16]*kerr.Error{5: kerr.LeaderNotAvailable, 6: kerr.ListenerNotFound} {
		resp, _ := w.callAs(transport.Client{Listener: "OTHER"}, metadataOf("t"), version)
		m := resp.(*kmsg.MetadataResponse)
		if len(m.Brokers) != 0 || m.Topics[0].Partitions[0].ErrorCode != want.Code || m.Topics[0].Partitions[0].Leader != -1 {
			t.Errorf("version %d: %+v", version, m)
		}
	}
}

func TestListOffsetsEveryVersionAndName(t *testing.T) {
	w := newWorld(t)
	w.topic("t", 1, nil)
	b := batch.NewBuilder(batch.BuilderConfig{ProducerID: -1, Epoch: -1, BaseSequence: -1})
	for _, ts := range []int64{1000, 5000, 3000} {
		b.Append(ts, nil, []byte("v"), nil)
	}
	if p := producedPartition(w, produceRequest("t", kafka.TopicID{}, 0, -1, b.Bytes(nil)), 9); p.ErrorCode != 0 {
		t.Fatalf("code %d", p.ErrorCode)
	}
	cases := []struct {
		timestamp, offset, found int64
		from                     int16
	}{
		{-1, 3, -1, 1}, {-2, 0, -1, 1}, {-3, 1, 5000, 7}, {-4, 0, -1, 8}, {-5, -1, -1, 9}, {-6, -1, -1, 11},
		{0, 0, 1000, 1}, {1001, 1, 5000, 1}, {5000, 1, 5000, 1}, {5001, -1, -1, 1}, {-7, -1, -1, 99},
	}
	for version := int16(1); version <= 11; version++ {
		for _, c := range cases {
			req := kmsg.NewPtrListOffsetsRequest()
			req.ReplicaID = -1
			rt := kmsg.NewListOffsetsRequestTopic()
			rt.Topic = "t"
			rp := kmsg.NewListOffsetsRequestTopicPartition()
			rp.Timestamp = c.timestamp
			rt.Partitions = append(rt.Partitions, rp)
			req.Topics = append(req.Topics, rt)
			p := ask[*kmsg.ListOffsetsResponse](w, req, version).Topics[0].Partitions[0]
			if version < c.from {
				if p.ErrorCode != kerr.UnsupportedVersion.Code {
					t.Errorf("version %d timestamp %d: code %d", version, c.timestamp, p.ErrorCode)
				}
				continue
			}
			if p.ErrorCode != 0 || p.Offset != c.offset || p.Timestamp != c.found {
				t.Errorf("version %d timestamp %d: code %d, offset %d at %d; want %d at %d", version, c.timestamp, p.ErrorCode, p.Offset, p.Timestamp, c.offset, c.found)
			}
			if want := int32(-1); version >= 4 {
				if p.Offset >= 0 {
					want = 0
				}
				if p.LeaderEpoch != want {
					t.Errorf("version %d timestamp %d: leader epoch %d, want %d", version, c.timestamp, p.LeaderEpoch, want)
				}
			}
		}
	}
}

func TestListOffsetsRefusesDuplicates(t *testing.T) {
	w := newWorld(t)
	w.topic("t", 1, nil)
	req := kmsg.NewPtrListOffsetsRequest()
	rt := kmsg.NewListOffsetsRequestTopic()
	rt.Topic = "t"
	rt.Partitions = make([]kmsg.ListOffsetsRequestTopicPartition, 2)
	req.Topics = append(req.Topics, rt)
	for _, p := range ask[*kmsg.ListOffsetsResponse](w, req, 7).Topics[0].Partitions {
		if p.ErrorCode != kerr.InvalidRequest.Code {
			t.Errorf("code %d", p.ErrorCode)
		}
	}
}

func TestInitProducerIDGivesEachProducerItsOwn(t *testing.T) {
	w := newWorld(t)
	seen := map[int64]bool{}
	for i := range 2500 {
		req := kmsg.NewPtrInitProducerIDRequest()
		resp := ask[*kmsg.InitProducerIDResponse](w, req, int16(i%6))
		if resp.ErrorCode != 0 || resp.ProducerEpoch != 0 || seen[resp.ProducerID] {
			t.Fatalf("%+v", resp)
		}
		seen[resp.ProducerID] = true
	}
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID = kmsg.StringPtr("tx")
	if resp := ask[*kmsg.InitProducerIDResponse](w, req, 5); resp.ErrorCode != kerr.UnsupportedVersion.Code || resp.ProducerID != -1 {
		t.Fatalf("transactional: %+v", resp)
	}
	req.TransactionalID = kmsg.StringPtr("")
	if resp := ask[*kmsg.InitProducerIDResponse](w, req, 5); resp.ErrorCode != kerr.InvalidRequest.Code {
		t.Fatalf("empty transactional id: %+v", resp)
	}
}

func TestDeleteRecordsMovesTheStart(t *testing.T) {
	w := newWorld(t)
	id := w.topic("t", 1, nil)
	w.topic("compacted", 1, map[string]string{"cleanup.policy": "compact"})
	w.topic("__consumer_offsets", 1, nil)
	w.produce("t", 0, "a", "b")
	w.produce("t", 0, "c")
	deleteTo := func(topic string, offset int64) kmsg.DeleteRecordsResponseTopicPartition {
		req := kmsg.NewPtrDeleteRecordsRequest()
		rt := kmsg.NewDeleteRecordsRequestTopic()
		rt.Topic = topic
		rp := kmsg.NewDeleteRecordsRequestTopicPartition()
		rp.Offset = offset
		rt.Partitions = append(rt.Partitions, rp)
		req.Topics = append(req.Topics, rt)
		return ask[*kmsg.DeleteRecordsResponse](w, req, 2).Topics[0].Partitions[0]
	}
	if p := deleteTo("t", 2); p.ErrorCode != 0 || p.LowWatermark != 2 {
		t.Fatalf("%+v", p)
	}
	wantShown(t, ask[*kmsg.FetchResponse](w, fetchOf("t", id, 2), 12), "0 code=0 hw=3 start=2 [c]")
	if code := ask[*kmsg.FetchResponse](w, fetchOf("t", id, 1), 12).Topics[0].Partitions[0].ErrorCode; code != kerr.OffsetOutOfRange.Code {
		t.Errorf("deleted offset: code %d", code)
	}
	for name, c := range map[string]struct {
		got  kmsg.DeleteRecordsResponseTopicPartition
		want *kerr.Error
	}{
		"beyond":    {deleteTo("t", 9), kerr.OffsetOutOfRange},
		"negative":  {deleteTo("t", -2), kerr.OffsetOutOfRange},
		"unknown":   {deleteTo("missing", 0), kerr.UnknownTopicOrPartition},
		"compacted": {deleteTo("compacted", -1), kerr.PolicyViolation},
		"internal":  {deleteTo("__consumer_offsets", -1), kerr.InvalidTopicException},
	} {
		if c.got.ErrorCode != c.want.Code || c.got.LowWatermark != -1 {
			t.Errorf("%s: %+v, want %v", name, c.got, c.want)
		}
	}
	if p := deleteTo("t", -1); p.ErrorCode != 0 || p.LowWatermark != 3 {
		t.Errorf("to the end: %+v", p)
	}
}

func TestOffsetForLeaderEpoch(t *testing.T) {
	w := newWorld(t)
	w.topic("t", 1, nil)
	w.produce("t", 0, "a", "b")
	end := func(topic string, current, epoch int32, version int16) kmsg.OffsetForLeaderEpochResponseTopicPartition {
		req := kmsg.NewPtrOffsetForLeaderEpochRequest()
		rt := kmsg.NewOffsetForLeaderEpochRequestTopic()
		rt.Topic = topic
		rp := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
		rp.CurrentLeaderEpoch, rp.LeaderEpoch = current, epoch
		rt.Partitions = append(rt.Partitions, rp)
		req.Topics = append(req.Topics, rt)
		return ask[*kmsg.OffsetForLeaderEpochResponse](w, req, version).Topics[0].Partitions[0]
	}
	for version := int16(2); version <= 4; version++ {
		if p := end("t", -1, 0, version); p.ErrorCode != 0 || p.LeaderEpoch != 0 || p.EndOffset != 2 {
			t.Errorf("version %d: %+v", version, p)
		}
	}
	if p := end("t", 7, 0, 4); p.ErrorCode != kerr.UnknownLeaderEpoch.Code || p.EndOffset != -1 {
		t.Errorf("newer epoch: %+v", p)
	}
	if p := end("missing", -1, 0, 4); p.ErrorCode != kerr.UnknownTopicOrPartition.Code {
		t.Errorf("unknown topic: %+v", p)
	}
}

func TestDescribeProducersTellsLastSequence(t *testing.T) {
	w := newWorld(t)
	w.topic("t", 1, nil)
	c := batch.BuilderConfig{ProducerID: 7, Epoch: 3, BaseSequence: 0}
	if p := producedPartition(w, produceRequest("t", kafka.TopicID{}, 0, -1, recordsOf(c, "a", "b")), 9); p.ErrorCode != 0 {
		t.Fatalf("code %d", p.ErrorCode)
	}
	req := kmsg.NewPtrDescribeProducersRequest()
	rt := kmsg.NewDescribeProducersRequestTopic()
	rt.Topic, rt.Partitions = "t", []int32{0, 5}
	req.Topics = append(req.Topics, rt)
	ps := ask[*kmsg.DescribeProducersResponse](w, req, 0).Topics[0].Partitions
	if len(ps[0].ActiveProducers) != 1 || ps[1].ErrorCode != kerr.UnknownTopicOrPartition.Code {
		t.Fatalf("%+v", ps)
	}
	if p := ps[0].ActiveProducers[0]; p.ProducerID != 7 || p.ProducerEpoch != 3 || p.LastSequence != 1 || p.CurrentTxnStartOffset != -1 {
		t.Fatalf("%+v", p)
	}
}
