package share

import (
	"encoding/binary"
	"flag"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var kafkaAddr = flag.String("kafka", "", "address of an Apache Kafka, with neither groups nor topics, to ask the same of")

// exchange is a heartbeat, after a while, and what Apache Kafka answers.
type exchange struct {
	wait   time.Duration
	req    *kmsg.ShareGroupHeartbeatRequest
	answer string
}

const soon, later = 0, 2 * time.Second

func exchanges() []exchange {
	noRack, noGroup := heartbeat("m1", 0, "t"), heartbeat("m1", 0, "t")
	noRack.RackID = kmsg.StringPtr("")
	noGroup.GroupID = ""
	return []exchange{
		{soon, heartbeat("m1", 5), "GROUP_ID_NOT_FOUND"},
		{soon, heartbeat("m1", -1), "GROUP_ID_NOT_FOUND"},
		{soon, heartbeat("m1", 0), "INVALID_REQUEST"},
		{soon, heartbeat("m1", -2), "INVALID_REQUEST"},
		{soon, heartbeat("", 0, "t"), "INVALID_REQUEST"},
		{soon, heartbeat(strings.Repeat("m", 37), 0, "t"), "INVALID_REQUEST"},
		{soon, noRack, "INVALID_REQUEST"},
		{soon, noGroup, "INVALID_REQUEST"},

		{soon, heartbeat("m1", 0, "t"), "m1 2 has []"},
		{later, heartbeat("m1", 2), "m1 3 has [2]"},
		{soon, heartbeat("m1", 3), "m1 3"},
		{soon, heartbeat("m1", 2), "m1 3"}, // the answer was lost
		{soon, heartbeat("m1", 8), "FENCED_MEMBER_EPOCH"},
		{soon, heartbeat("m2", 2), "UNKNOWN_MEMBER_ID"},
		{soon, heartbeat("m2", -1), "UNKNOWN_MEMBER_ID"},
		{soon, heartbeat("m1", 3, "t"), "m1 3 has [2]"},

		{later, heartbeat("m2", 0, "t"), "m2 4 has [1]"},
		{soon, heartbeat("m1", 3), "m1 4 has [1]"},
		{soon, heartbeat("m1", 2), "FENCED_MEMBER_EPOCH"},
		{soon, heartbeat("m2", -1), "m2 -1"},
		{later, heartbeat("m1", 4), "m1 5 has [2]"},
		{later, heartbeat("m1", 5, "t", "u"), "m1 6 has [2]"}, // u has no state yet
		{later, heartbeat("m1", 6), "m1 7 has [1 2]"},
		{later, heartbeat("m1", 7, "u", "u", "nosuch"), "m1 8 has [1]"},
		{later, heartbeat("m1", 0, "u", "t"), "m1 9 has [1 2]"},
		{soon, heartbeat("m1", 9, "t"), "m1 9 has [2]"}, // the next target is not due
		{later, heartbeat("m1", 9), "m1 10"},
		{soon, heartbeat("m1", -1), "m1 -1"},
		{soon, heartbeat("m1", 10), "UNKNOWN_MEMBER_ID"},
		{later, heartbeat("m3", 0, "t"), "m3 12 has [2]"},
	}
}

func TestHeartbeatsAreAnsweredAsByApacheKafka(t *testing.T) {
	w := newWorld(t)
	for i, e := range exchanges() {
		w.advance(e.wait)
		if got := w.ask(e.req); got != e.answer {
			t.Errorf("exchange %d, %s at epoch %d with %v\nis answered %q\nand not     %q", i, e.req.MemberID, e.req.MemberEpoch, e.req.SubscribedTopicNames, got, e.answer)
		}
	}
}

// TestHeartbeatsToApacheKafka asks Apache Kafka the same. It needs a broker such as that of
//
//	interop/kafka-oracle.sh start 29392 DIR
func TestHeartbeatsToApacheKafka(t *testing.T) {
	if *kafkaAddr == "" {
		t.Skip("no -kafka")
	}
	create := kmsg.NewPtrCreateTopicsRequest()
	create.Version, create.TimeoutMillis = 7, 10_000
	for name, n := range map[string]int32{"t": 2, "u": 1} {
		topic := kmsg.NewCreateTopicsRequestTopic()
		topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, n, 1
		create.Topics = append(create.Topics, topic)
	}
	call(t, create)
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.Version, find.CoordinatorKeys = 6, []string{"g"} // makes the topic of groups
	for _, kind := range []int8{0, 2} {
		for range 50 {
			if call(t, find).(*kmsg.FindCoordinatorResponse).Coordinators[0].ErrorCode == 0 {
				break
			}
			time.Sleep(200 * time.Millisecond)
		}
		find.CoordinatorType, find.CoordinatorKeys = kind+2, []string{"g:QYYsfukuSNaTVUAvBVfn_w:0"}
	}
	time.Sleep(3 * time.Second)
	for i, e := range exchanges() {
		time.Sleep(e.wait)
		if got := show(call(t, e.req).(*kmsg.ShareGroupHeartbeatResponse)); got != e.answer {
			t.Errorf("exchange %d, %s at epoch %d with %v\nis answered %q\nand not     %q", i, e.req.MemberID, e.req.MemberEpoch, e.req.SubscribedTopicNames, got, e.answer)
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
