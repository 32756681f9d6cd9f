package share

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	recordbatch "github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
)

var (
	kafkaAddr  = flag.String("kafka", "", "address of an Apache Kafka to ask the same of")
	kafkaSeeds = flag.Uint64("kafka-seeds", 3, "how many random runs to play with Apache Kafka")
)

// step is a fetch of a member, or what it acknowledges, and what Apache Kafka answers.
type step struct {
	member string
	want   Want              // of a fetch
	acks   []Acknowledgement // not of a fetch
	answer string
}

// The log of the steps has batches of these sizes.
var stepSizes = []int{10, 10, 3, 20, 1}

func fetches(member string, most, together int, answer string) step {
	return step{member: member, want: Want{Member: member, MaxRecords: most, BatchSize: together}, answer: answer}
}

func fetchesAtMost(member string, most int, answer string) step {
	return step{member: member, want: Want{Member: member, MaxRecords: most, BatchSize: most, RecordLimit: true}, answer: answer}
}

func says(member, answer string, acks ...Acknowledgement) step {
	return step{member: member, acks: acks, answer: answer}
}

func to(first, last kafka.Offset, types ...AcknowledgeType) Acknowledgement {
	return Acknowledgement{First: first, Last: last, Types: types}
}

var steps = []step{
	fetches("a", 500, 12, "0-19#1 20-42#1 43-43#1"),
	fetches("b", 500, 500, ""),
	says("a", "ok", to(5, 7, Release)),
	fetches("b", 500, 500, "5-7#2"),
	says("a", "INVALID_RECORD_STATE", to(5, 5, Accept)),
	says("b", "INVALID_RECORD_STATE", to(0, 7, Accept)),
	says("a", "INVALID_REQUEST", to(43, 44, Accept)),
	says("a", "INVALID_REQUEST", to(50, 51, Accept)),
	says("a", "INVALID_REQUEST", to(4, 3, Accept)),
	says("a", "INVALID_REQUEST", to(0, 4, Accept, Accept)),
	says("a", "INVALID_REQUEST", to(0, 4, 5)),
	says("a", "INVALID_REQUEST", to(0, 4, Accept), to(3, 4, Accept)),
	says("a", "INVALID_RECORD_STATE", to(0, 4, Accept), to(4, 4, Accept)),
	says("a", "ok", to(0, 4, Accept), to(8, 19, Accept)),
	says("a", "INVALID_RECORD_STATE", to(8, 8, Accept)),
	says("a", "ok", to(0, 3, Release)), // long done
	says("b", "ok", to(5, 7, Release, Accept, Reject)),
	fetches("b", 500, 500, "5-5#3"),
	says("b", "ok", to(5, 5, Release)),
	fetches("b", 500, 500, "5-5#4"),
	says("b", "ok", to(5, 5, Release)),
	fetches("b", 500, 500, "5-5#5"),
	says("b", "ok", to(5, 5, Release)), // for the last time
	fetches("b", 500, 500, ""),

	says("a", "ok", to(20, 42, Release)),
	fetchesAtMost("b", 4, "20-23#2"),
	fetches("b", 7, 7, "24-42#2"), // a batch of the log is not divided
	says("b", "ok", to(20, 42, Release)),
	fetches("b", 500, 500, "20-42#3"),
	says("b", "ok", to(42, 42, Renew)),
	says("b", "ok", to(20, 42, Release)),
	fetches("b", 500, 500, "20-30#4"), // half of the batch
	fetches("b", 500, 500, "31-41#4"),
	fetches("b", 500, 500, "42-42#4"),
	says("b", "ok", to(20, 30, Release)),
	fetches("b", 500, 500, "20-20#5"), // the last delivery is alone
	fetches("b", 500, 500, "21-21#5"),
	says("b", "INVALID_RECORD_STATE", to(22, 41, Accept)), // 22 to 30 were given back
	says("b", "ok", to(31, 41, Accept)),
	fetches("a", 500, 500, "22-22#5"),
}

func stepName(err error) string {
	var k *kerr.Error
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &k):
		return k.Message
	}
	return err.Error()
}

func TestStepsAreAnsweredAsByApacheKafka(t *testing.T) {
	p := load(t, DefaultSettings(), 0)
	for i, s := range steps {
		if got := s.run(p); got != s.answer {
			t.Errorf("step %d, %+v\nis answered %q\nand not     %q", i, s, got, s.answer)
		}
	}
}

// run goes the step with p.
func (s step) run(p *Partition) string {
	if s.acks == nil {
		var parts []string
		for _, a := range fetch(p, s.want, batches(0, stepSizes...)) {
			parts = append(parts, fmt.Sprintf("%d-%d#%d", a.First, a.Last, a.Deliveries))
		}
		return strings.Join(parts, " ")
	}
	err := CheckAcknowledgements(s.acks, true)
	if err == nil {
		_, err = p.Acknowledge(start, s.member, s.acks)
	}
	if _, ok := p.NextWrite(); ok {
		p.Settle(start, nil)
	}
	return stepName(err)
}

// TestRandomStepsWithApacheKafka goes steps of chance, and expects what the Partition answers.
func TestRandomStepsWithApacheKafka(t *testing.T) {
	if *kafkaAddr == "" {
		t.Skip("no -kafka")
	}
	for seed := range *kafkaSeeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 17))
			k, p := newKafkaSide(t), load(t, DefaultSettings(), 0)
			begun := time.Now()
			for i := range 200 {
				s := randomStep(rng, p)
				got, want := k.run(s), s.run(p)
				if time.Since(begun) > 25*time.Second {
					break // locks end
				}
				if got != want && strings.HasPrefix(got, want+" ") {
					t.Logf("step %d: Apache Kafka acquires %q and not %q", i, got, want)
					return // it oversteps its bound when records that are not suspected come first
				}
				if got != want {
					t.Fatalf("step %d, %+v\nis answered %q\nand not     %q", i, s, got, want)
				}
			}
		})
	}
}

// randomStep is a fetch, or acknowledges some of what a member has, now and then too much.
func randomStep(rng *rand.Rand, p *Partition) step {
	member := []string{"a", "b"}[rng.IntN(2)]
	fetch := step{member: member, want: Want{Member: member, MaxRecords: 1 + rng.IntN(30), BatchSize: 1 + rng.IntN(30), RecordLimit: rng.IntN(3) == 0}}
	if rng.IntN(3) == 0 {
		return fetch
	}
	s := step{member: member}
	types := []AcknowledgeType{Gap, Accept, Release, Release, Release, Release, Reject, Renew}
	for _, b := range p.batches {
		for _, r := range b.runs {
			first := r.first + kafka.Offset(rng.IntN(r.len()))
			last := first + kafka.Offset(rng.IntN(int(r.last-first)+1))
			if r.heldBy(member) && rng.IntN(3) > 0 || rng.IntN(60) == 0 {
				s.acks = append(s.acks, to(first, last, types[rng.IntN(len(types))]))
			}
		}
	}
	if s.acks == nil {
		return fetch
	}
	return s
}

// TestStepsWithApacheKafka has Apache Kafka go the same steps. It needs a broker such as that of
//
//	interop/kafka-oracle.sh start 29392 DIR
func TestStepsWithApacheKafka(t *testing.T) {
	if *kafkaAddr == "" {
		t.Skip("no -kafka")
	}
	k := newKafkaSide(t)
	for i, s := range steps {
		if got := k.run(s); got != s.answer {
			t.Errorf("step %d, %+v\nis answered %q\nand not     %q", i, s, got, s.answer)
		}
	}
}

// kafkaSide is a group of its own with two members, each with a session on a connection.
type kafkaSide struct {
	t     *testing.T
	group string
	topic [16]byte
	conns map[string]net.Conn
	epoch map[string]int32 // of the next request
}

func newKafkaSide(t *testing.T) *kafkaSide {
	name := fmt.Sprintf("s%d", time.Now().UnixNano())
	k := &kafkaSide{t: t, group: name, conns: map[string]net.Conn{}, epoch: map[string]int32{}}
	for _, member := range []string{"a", "b"} {
		conn, err := net.Dial("tcp", *kafkaAddr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		k.conns[member] = conn
	}
	create := kmsg.NewPtrCreateTopicsRequest()
	create.Version, create.TimeoutMillis = 7, 10_000
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, 1, 1
	create.Topics = append(create.Topics, topic)
	k.topic = k.call("a", create).(*kmsg.CreateTopicsResponse).Topics[0].TopicID

	configure := kmsg.NewPtrIncrementalAlterConfigsRequest()
	configure.Version = 1
	resource := kmsg.NewIncrementalAlterConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = 32, name
	resource.Configs = []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: "share.auto.offset.reset", Value: kmsg.StringPtr("earliest")}}
	configure.Resources = append(configure.Resources, resource)
	k.call("a", configure)
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.Version, find.CoordinatorKeys = 6, []string{name}
	k.call("a", find)
	time.Sleep(2 * time.Second)
	k.produce(name)
	k.join(name)
	time.Sleep(2 * time.Second) // until the partition's state is begun
	for range 20 {
		if k.open("a") && k.open("b") {
			return k
		}
		time.Sleep(200 * time.Millisecond)
	}
	t.Fatal("no session")
	return nil
}

func (k *kafkaSide) join(topic string) {
	beat := kmsg.NewPtrShareGroupHeartbeatRequest()
	beat.Version, beat.GroupID, beat.MemberID, beat.SubscribedTopicNames = 1, k.group, "a", []string{topic}
	for range 50 {
		if k.call("a", beat).(*kmsg.ShareGroupHeartbeatResponse).ErrorCode == 0 {
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
	k.t.Fatal("no group")
}

func (k *kafkaSide) produce(topic string) {
	for _, n := range stepSizes {
		b := recordbatch.NewBuilder(recordbatch.BuilderConfig{ProducerID: kafka.NoProducerID, Epoch: kafka.NoProducerEpoch, BaseSequence: kafka.NoSequence})
		for range n {
			b.Append(1000, nil, []byte("v"), nil)
		}
		req := kmsg.NewPtrProduceRequest()
		req.Version, req.Acks, req.TimeoutMillis = 13, -1, 5000
		rt := kmsg.NewProduceRequestTopic()
		rt.TopicID = k.topic
		rp := kmsg.NewProduceRequestTopicPartition()
		rp.Records = b.Bytes(nil)
		rt.Partitions = append(rt.Partitions, rp)
		req.Topics = append(req.Topics, rt)
		if p := k.call("a", req).(*kmsg.ProduceResponse).Topics[0].Partitions[0]; p.ErrorCode != 0 {
			k.t.Fatalf("produce: error %d", p.ErrorCode)
		}
	}
}

// open begins the member's session, without fetching a record.
func (k *kafkaSide) open(member string) bool {
	req := k.request(member)
	req.ShareSessionEpoch, req.MaxRecords, req.BatchSize = 0, 0, 0
	resp := k.call(member, req).(*kmsg.ShareFetchResponse)
	k.epoch[member] = 1
	return resp.ErrorCode == 0
}

func (k *kafkaSide) request(member string) *kmsg.ShareFetchRequest {
	req := kmsg.NewPtrShareFetchRequest()
	req.Version, req.GroupID, req.MemberID, req.ShareSessionEpoch = 2, &k.group, &member, k.epoch[member]
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = 100, 1, 1<<20
	req.Topics = []kmsg.ShareFetchRequestTopic{{TopicID: k.topic, Partitions: []kmsg.ShareFetchRequestTopicPartition{kmsg.NewShareFetchRequestTopicPartition()}}}
	k.epoch[member]++
	return req
}

func (k *kafkaSide) run(s step) string {
	if s.acks == nil {
		return k.fetch(s.want)
	}
	return k.acknowledge(s.member, s.acks)
}

func (k *kafkaSide) fetch(w Want) string {
	req := k.request(w.Member)
	req.MaxRecords, req.BatchSize = int32(w.MaxRecords), int32(w.BatchSize)
	if w.RecordLimit {
		req.ShareAcquireMode = 1
	}
	resp := k.call(w.Member, req).(*kmsg.ShareFetchResponse)
	if resp.ErrorCode != 0 {
		return kerr.TypedErrorForCode(resp.ErrorCode).Message
	}
	var parts []string
	for _, topic := range resp.Topics {
		for _, p := range topic.Partitions {
			if p.ErrorCode != 0 {
				return kerr.TypedErrorForCode(p.ErrorCode).Message
			}
			for _, a := range p.AcquiredRecords {
				parts = append(parts, fmt.Sprintf("%d-%d#%d", a.FirstOffset, a.LastOffset, a.DeliveryCount))
			}
		}
	}
	return strings.Join(parts, " ")
}

func (k *kafkaSide) acknowledge(member string, acks []Acknowledgement) string {
	req := kmsg.NewPtrShareAcknowledgeRequest()
	req.Version, req.GroupID, req.MemberID, req.ShareSessionEpoch, req.IsRenewAck = 2, &k.group, &member, k.epoch[member], true
	k.epoch[member]++
	p := kmsg.NewShareAcknowledgeRequestTopicPartition()
	for _, a := range acks {
		b := kmsg.ShareAcknowledgeRequestTopicPartitionAcknowledgementBatch{FirstOffset: int64(a.First), LastOffset: int64(a.Last)}
		for _, t := range a.Types {
			b.AcknowledgeTypes = append(b.AcknowledgeTypes, int8(t))
		}
		p.AcknowledgementBatches = append(p.AcknowledgementBatches, b)
	}
	req.Topics = []kmsg.ShareAcknowledgeRequestTopic{{TopicID: k.topic, Partitions: []kmsg.ShareAcknowledgeRequestTopicPartition{p}}}
	resp := k.call(member, req).(*kmsg.ShareAcknowledgeResponse)
	if resp.ErrorCode != 0 {
		return "request: " + kerr.TypedErrorForCode(resp.ErrorCode).Message
	}
	if code := resp.Topics[0].Partitions[0].ErrorCode; code != 0 {
		return kerr.TypedErrorForCode(code).Message
	}
	return "ok"
}

func (k *kafkaSide) call(member string, req kmsg.Request) kmsg.Response {
	k.t.Helper()
	conn := k.conns[member]
	if _, err := conn.Write(kmsg.NewRequestFormatter().AppendRequest(nil, req, 1)); err != nil {
		k.t.Fatal(err)
	}
	var size [4]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		k.t.Fatal(err)
	}
	frame := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(conn, frame); err != nil {
		k.t.Fatal(err)
	}
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	if err := resp.ReadFrom(frame[5:]); err != nil { // after the correlation id and no tags
		k.t.Fatal(err)
	}
	return resp
}
