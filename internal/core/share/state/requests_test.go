package state

import (
	"cmp"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
)

var kafkaAddr = flag.String("kafka", "", "address of an Apache Kafka to ask the same of")

// exchange is a request and what Apache Kafka answers.
type exchange struct {
	req    kmsg.Request
	answer string
	ours   string // where that is something else
}

// keepsEpoch is why ours is something else: a leader's epoch outlasts a later initialization. Apache Kafka goes on fencing
// by it as well, until its log is loaded again.
const keepsEpoch = "epoch 1 leader 3 start 5 complete 0"

// exchanges go through the life of partitions 0 and 1 of a topic.
func exchanges(id kafka.TopicID) []exchange {
	return []exchange{
		{readRequest(id, 0, 1), "INVALID_REQUEST", ""},
		{writeRequest(id, 0, 0, 1, 0, 0), "INVALID_REQUEST", ""},
		{summaryRequest(id, 0, 1), "epoch 0 leader 0 start -1 complete -1", ""},
		{deleteRequest(id, 0), "ok", ""},
		{initRequest(id, -1, 1, 0), "INVALID_REQUEST", ""},
		{readRequest(id, -1, 1), "INVALID_REQUEST", ""},
		{summaryRequest(id, -1, 1), "INVALID_REQUEST", ""},
		{deleteRequest(id, -1), "INVALID_REQUEST", ""},

		{initRequest(id, 0, 1, -1), "ok", ""},
		{summaryRequest(id, 0, 0), "epoch 1 leader 0 start -1 complete -1", ""},
		{readRequest(id, 0, 3), "epoch 1 start -1", ""},
		{summaryRequest(id, 0, 0), "epoch 1 leader 3 start -1 complete -1", ""},
		{readRequest(id, 0, 2), "FENCED_LEADER_EPOCH", ""},
		{readRequest(id, 0, -1), "epoch 1 start -1", ""},
		{writeRequest(id, 0, 1, 2, 10, 0), "FENCED_LEADER_EPOCH", ""},
		{writeRequest(id, 0, 0, 3, 10, 0), "FENCED_STATE_EPOCH", ""},
		{writeRequest(id, 0, 0, 2, 10, 0), "FENCED_LEADER_EPOCH", ""},
		{writeRequest(id, 0, 1, 3, 10, 2, batch{FirstOffset: 12, LastOffset: 13, DeliveryState: 2, DeliveryCount: 1},
			batch{FirstOffset: 15, LastOffset: 19, DeliveryState: 0, DeliveryCount: 2}), "ok", ""},
		{readRequest(id, 0, 3), "epoch 1 start 10 12-13:2#1 15-19:0#2", ""},
		{summaryRequest(id, 0, -1), "epoch 1 leader 3 start 10 complete 2", ""},
		{writeRequest(id, 0, 1, 3, -1, -1, batch{FirstOffset: 14, LastOffset: 16, DeliveryState: 4, DeliveryCount: 2}), "ok", ""},
		{readRequest(id, 0, 3), "epoch 1 start 10 12-13:2#1 14-16:4#2 17-19:0#2", ""},
		{summaryRequest(id, 0, -1), "epoch 1 leader 3 start 10 complete -1", ""},
		{writeRequest(id, 0, 1, 3, 13, 2, batch{FirstOffset: 14, LastOffset: 18, DeliveryState: 0, DeliveryCount: 1},
			batch{FirstOffset: 19, LastOffset: 19, DeliveryState: 4, DeliveryCount: 2}), "ok", ""}, // a delivery from before
		{readRequest(id, 0, 3), "epoch 1 start 13 13-13:2#1 14-16:4#2 17-18:0#2 19-19:4#2", ""},
		{writeRequest(id, 0, 1, 5, 20, 0), "ok", ""},
		{readRequest(id, 0, 3), "epoch 1 start 20", ""}, // a write does not tell of a leader
		{writeRequest(id, 0, -1, -1, 21, 0), "ok", ""},
		{writeRequest(id, 0, 4, 3, 22, 0), "ok", ""},
		{readRequest(id, 0, 3), "epoch 1 start 22", ""},

		{initRequest(id, 0, 0, 5), "FENCED_STATE_EPOCH", ""},
		{initRequest(id, 0, 1, 5), "ok", ""},
		{summaryRequest(id, 0, 0), "epoch 1 leader 0 start 5 complete 0", keepsEpoch},
		{readRequest(id, 0, 3), "epoch 1 start 5", ""},
		{summaryRequest(id, 0, 0), "epoch 1 leader 0 start 5 complete 0", keepsEpoch},
		{initRequest(id, 0, 2, 7), "ok", ""},
		{writeRequest(id, 0, 1, 3, 10, 0), "FENCED_STATE_EPOCH", ""},
		{readRequest(id, 0, 2), "FENCED_LEADER_EPOCH", ""},
		{readRequest(id, 0, 3), "epoch 2 start 7", ""},
		{deleteRequest(id, 0), "ok", ""},
		{readRequest(id, 0, 3), "INVALID_REQUEST", ""},
		{initRequest(id, 0, 0, 0), "ok", ""},
		{readRequest(id, 0, 1), "epoch 0 start 0", ""},

		{initRequest(id, 1, 0, 0), "ok", ""},
		{readRequest(id, 1, 0), "epoch 0 start 0", ""},
		{deleteRequest(id, 1), "ok", ""},
	}
}

func TestAnswersAreThoseOfApacheKafka(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	for i, e := range exchanges(topic) {
		if got, want := w.ask(e.req), cmp.Or(e.ours, e.answer); got != want {
			t.Errorf("exchange %d, %T %+v\nis answered %q\nand not     %q", i, e.req, e.req, got, want)
		}
	}
}

// notYet is what a coordinator answers before it has loaded and knows the topic.
var notYet = []string{"COORDINATOR_LOAD_IN_PROGRESS", "NOT_COORDINATOR", "COORDINATOR_NOT_AVAILABLE", "UNKNOWN_TOPIC_OR_PARTITION"}

// TestExchangesWithApacheKafka asks Apache Kafka the same. It needs a broker such as that of
//
//	interop/kafka-oracle.sh start 29392 DIR
func TestExchangesWithApacheKafka(t *testing.T) {
	if *kafkaAddr == "" {
		t.Skip("no -kafka")
	}
	create := kmsg.NewPtrCreateTopicsRequest()
	create.Version, create.TimeoutMillis = 7, 10_000
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = fmt.Sprintf("t%d", time.Now().UnixNano()), 2, 1
	create.Topics = append(create.Topics, topic)
	id := kafka.TopicID(call(t, create).(*kmsg.CreateTopicsResponse).Topics[0].TopicID)
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.Version, find.CoordinatorType = 6, 2
	find.CoordinatorKeys = []string{Key{"g", id, 0}.String(), Key{"g", id, 1}.String()}
	for range 50 {
		if call(t, find).(*kmsg.FindCoordinatorResponse).Coordinators[0].ErrorCode == 0 {
			break
		}
		time.Sleep(200 * time.Millisecond)
	}
	for i, e := range exchanges(id) {
		e.req.SetVersion(newest(e.req))
		var got string
		for range 50 {
			if got = show(call(t, e.req)); !slices.Contains(notYet, got) {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		if got != e.answer {
			t.Errorf("exchange %d, %T %+v\nis answered %q\nand not     %q", i, e.req, e.req, got, e.answer)
		}
	}
}

func call(t *testing.T, req kmsg.Request) kmsg.Response {
	t.Helper()
	conn, err := net.Dial("tcp", *kafkaAddr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(kmsg.NewRequestFormatter().AppendRequest(nil, req, 1)); err != nil {
		t.Fatal(err)
	}
	var size [4]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		t.Fatal(err)
	}
	frame := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(conn, frame); err != nil {
		t.Fatal(err)
	}
	frame = frame[4:] // correlation id
	if req.IsFlexible() {
		frame = frame[1:] // no tags
	}
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	if err := resp.ReadFrom(frame); err != nil {
		t.Fatal(err)
	}
	return resp
}
