package api

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
	"github.com/headrace/headrace/internal/node/transport"
)

func producedPartition(w *world, req *kmsg.ProduceRequest, version int16) kmsg.ProduceResponseTopicPartition {
	w.t.Helper()
	resp := ask[*kmsg.ProduceResponse](w, req, version)
	return resp.Topics[0].Partitions[0]
}

func TestProduceEveryVersionAndAcks(t *testing.T) {
	w := newWorld(t)
	id := w.topic("t", 1, nil)
	want := int64(0)
	for version := int16(3); version <= 13; version++ {
		for _, acks := range []int16{1, -1} {
			p := producedPartition(w, produceRequest("t", id, 0, acks, records("a", "b")), version)
			if p.ErrorCode != 0 || p.BaseOffset != want {
				t.Fatalf("version %d acks %d: code %d, base offset %d, want %d", version, acks, p.ErrorCode, p.BaseOffset, want)
			}
			want += 2
		}
	}
}

func TestProduceWithoutAcksAnswersNothing(t *testing.T) {
	w := newWorld(t)
	w.topic("t", 1, nil)
	if resp, ok := w.call(produceRequest("t", kafka.TopicID{}, 0, 0, records("a")), 9); ok {
		t.Fatalf("answered %v", resp)
	}
	if got := w.produce("t", 0, "b"); got != 1 {
		t.Fatalf("next offset %d, want 1", got)
	}
}

func TestProduceWithoutAcksHangsUpOnError(t *testing.T) {
	w := newWorld(t)
	op, _ := w.srv.Lookup(0, 9)
	req := produceRequest("missing", kafka.TopicID{}, 0, 0, records("a"))
	req.SetVersion(9)
	r := op.Begin(t.Context(), &Call{Version: 9, Request: req}).Finish(t.Context())
	if _, ok := r.(transport.Hangup); !ok {
		t.Fatalf("answered %v, want a hangup", r)
	}
}

func TestProduceErrors(t *testing.T) {
	w := newWorld(t)
	w.topic("t", 1, nil)
	w.topic("small", 1, map[string]string{"max.message.bytes": "100"})
	w.topic("compacted", 1, map[string]string{"cleanup.policy": "compact"})
	w.topic("strict", 1, map[string]string{"min.insync.replicas": "2"})
	w.topic("__consumer_offsets", 1, nil)
	corrupt := records("a")
	corrupt[len(corrupt)-1] ^= 1
	noKey := batch.NewBuilder(batch.BuilderConfig{ProducerID: -1, Epoch: -1, BaseSequence: -1})
	noKey.Append(1, nil, []byte("v"), nil)
	txn := recordsOf(batch.BuilderConfig{ProducerID: 5, Transactional: true}, "x")
	cases := map[string]struct {
		topic   string
		number  int32
		acks    int16
		records []byte
		want    *kerr.Error
	}{
		"unknown topic":     {"missing", 0, 1, records("a"), kerr.UnknownTopicOrPartition},
		"unknown partition": {"t", 7, 1, records("a"), kerr.UnknownTopicOrPartition},
		"negative number":   {"t", -1, 1, records("a"), kerr.UnknownTopicOrPartition},
		"acks":              {"t", 0, 2, records("a"), kerr.InvalidRequiredAcks},
		"null records":      {"t", 0, 1, nil, kerr.InvalidRecord},
		"crc":               {"t", 0, 1, corrupt, kerr.CorruptMessage},
		"two batches":       {"t", 0, 1, append(records("a"), records("b")...), kerr.InvalidRecord},
		"too large":         {"small", 0, 1, records("this value is quite a bit longer than the topic wants it to be, by any measure"), kerr.MessageTooLarge},
		"no key":            {"compacted", 0, 1, noKey.Bytes(nil), kerr.InvalidRecord},
		"internal topic":    {"__consumer_offsets", 0, 1, records("a"), kerr.InvalidTopicException},
		"transactional":     {"t", 0, -1, txn, kerr.UnsupportedVersion},
	}
	for name, c := range cases {
		p := producedPartition(w, produceRequest(c.topic, kafka.TopicID{}, c.number, c.acks, c.records), 9)
		if p.ErrorCode != c.want.Code || p.BaseOffset != -1 {
			t.Errorf("%s: code %d, offset %d; want %v", name, p.ErrorCode, p.BaseOffset, c.want)
		}
		if name == "no key" && len(p.ErrorRecords) != 1 {
			t.Errorf("%s: %d record errors, want 1", name, len(p.ErrorRecords))
		}
	}
	p := producedPartition(w, produceRequest("strict", kafka.TopicID{}, 0, -1, records("a")), 9)
	if p.ErrorCode != 0 {
		t.Errorf("min.insync.replicas above the number of replicas: code %d", p.ErrorCode)
	}
	p = producedPartition(w, produceRequest("", kafka.TopicID{1}, 0, 1, records("a")), 13)
	if p.ErrorCode != kerr.UnknownTopicID.Code {
		t.Errorf("unknown topic id: code %d", p.ErrorCode)
	}
	req := produceRequest("t", kafka.TopicID{}, 0, -1, records("a"))
	req.TransactionID = kmsg.StringPtr("tx")
	if p = producedPartition(w, req, 9); p.ErrorCode != kerr.UnsupportedVersion.Code {
		t.Errorf("transactional request: code %d", p.ErrorCode)
	}
}

func TestAdminClientMayWriteInternalTopics(t *testing.T) {
	w := newWorld(t)
	w.topic("__consumer_offsets", 1, nil)
	req := produceRequest("__consumer_offsets", kafka.TopicID{}, 0, 1, records("a"))
	resp, ok := w.callAs(transport.Client{ID: "__admin_client", Listener: worldListener}, req, 9)
	if !ok || resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode != 0 {
		t.Fatalf("refused: %v", resp)
	}
}

func TestDuplicateBatchIsAnsweredWithItsFirstOffset(t *testing.T) {
	w := newWorld(t)
	w.topic("t", 1, nil)
	c := batch.BuilderConfig{ProducerID: 7, Epoch: 0, BaseSequence: 0}
	for range 2 {
		p := producedPartition(w, produceRequest("t", kafka.TopicID{}, 0, -1, recordsOf(c, "a", "b")), 9)
		if p.ErrorCode != 0 || p.BaseOffset != 0 {
			t.Fatalf("code %d, offset %d", p.ErrorCode, p.BaseOffset)
		}
	}
	c.BaseSequence = 5
	p := producedPartition(w, produceRequest("t", kafka.TopicID{}, 0, -1, recordsOf(c, "z")), 9)
	if p.ErrorCode != kerr.OutOfOrderSequenceNumber.Code {
		t.Fatalf("gap in sequence: code %d", p.ErrorCode)
	}
}

func TestProduceToSeveralPartitionsAnswersEach(t *testing.T) {
	w := newWorld(t)
	w.topic("t", 3, nil)
	req := produceRequest("t", kafka.TopicID{}, 0, -1, records("a"))
	for _, n := range []int32{1, 9, 2, 1} {
		p := kmsg.NewProduceRequestTopicPartition()
		p.Partition, p.Records = n, records("a", "b")
		req.Topics[0].Partitions = append(req.Topics[0].Partitions, p)
	}
	req.Topics = append(req.Topics, produceRequest("other", kafka.TopicID{}, 0, -1, records("a")).Topics...)
	resp := ask[*kmsg.ProduceResponse](w, req, 9)
	var codes []int16
	var bases []int64
	for _, topic := range resp.Topics {
		for _, p := range topic.Partitions {
			codes, bases = append(codes, p.ErrorCode), append(bases, p.BaseOffset)
		}
	}
	if !slices.Equal(codes, []int16{0, 0, 3, 0, 0, 3}) || !slices.Equal(bases, []int64{0, 0, -1, 0, 2, -1}) {
		t.Fatalf("codes %v, offsets %v", codes, bases)
	}
}

// staleMetadata still has a topic that was deleted, and made anew, since a request looked it up.
type staleMetadata struct{ img *metadata.Image }

func (m staleMetadata) Image() *metadata.Image { return m.img }

func TestProduceByIDNeverReachesALaterTopicOfTheName(t *testing.T) {
	w := newWorld(t)
	first := w.topic("t", 1, nil)
	before := w.Image()
	w.deleteTopic("t")
	w.topic("t", 1, nil)
	w.srv.Metadata = staleMetadata{before}
	resp := ask[*kmsg.ProduceResponse](w, produceRequest("", first, 0, -1, records("of the first life")), 13)
	if code := resp.Topics[0].Partitions[0].ErrorCode; code != kerr.UnknownTopicID.Code {
		t.Errorf("code %d, want %d", code, kerr.UnknownTopicID.Code)
	}
	p, err := w.set.Get(kafka.TopicPartition{Topic: "t"})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, _, end, err := p.Offsets(); err != nil || end != 0 {
		t.Errorf("the new topic ends at %d, %v", end, err)
	}
}
