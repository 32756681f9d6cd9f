package session

import (
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var kafkaAddr = flag.String("kafka", "", "address of an Apache Kafka to ask the same of")

// TestRequestsToApacheKafka sends the requests to Apache Kafka, on one connection. It needs a broker such as that of
//
//	interop/kafka-oracle.sh start 29392 DIR
func TestRequestsToApacheKafka(t *testing.T) {
	if *kafkaAddr == "" {
		t.Skip("no -kafka")
	}
	conn, err := net.Dial("tcp", *kafkaAddr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	create := kmsg.NewPtrCreateTopicsRequest()
	create.Version, create.TimeoutMillis = 7, 10_000
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = fmt.Sprintf("t%d", time.Now().UnixNano()), 1, 1
	create.Topics = append(create.Topics, topic)
	id := call(t, conn, create).(*kmsg.CreateTopicsResponse).Topics[0].TopicID
	time.Sleep(time.Second)
	for i, r := range requests {
		var code int16
		if r.acknowledge {
			req := kmsg.NewPtrShareAcknowledgeRequest()
			req.Version, req.GroupID, req.MemberID, req.ShareSessionEpoch = 2, &member.Group, &member.Member, r.epoch
			code = call(t, conn, req).(*kmsg.ShareAcknowledgeResponse).ErrorCode
		} else {
			code = call(t, conn, shareFetch(id, r)).(*kmsg.ShareFetchResponse).ErrorCode
		}
		want := int16(0)
		if r.answer != nil {
			want = r.answer.Code
		}
		if code != want {
			t.Errorf("request %d: error %d, want %d", i, code, want)
		}
	}
}

func shareFetch(id [16]byte, r request) *kmsg.ShareFetchRequest {
	req := kmsg.NewPtrShareFetchRequest()
	req.Version, req.GroupID, req.MemberID, req.ShareSessionEpoch = 2, &member.Group, &member.Member, r.epoch
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.MaxRecords, req.BatchSize = 100, 1, 1<<20, 10, 10
	p := kmsg.NewShareFetchRequestTopicPartition()
	if r.acks {
		p.AcknowledgementBatches = []kmsg.ShareFetchRequestTopicPartitionAcknowledgementBatch{{AcknowledgeTypes: []int8{1}}}
	}
	req.Topics = []kmsg.ShareFetchRequestTopic{{TopicID: id, Partitions: []kmsg.ShareFetchRequestTopicPartition{p}}}
	return req
}

func call(t *testing.T, conn net.Conn, req kmsg.Request) kmsg.Response {
	t.Helper()
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
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	if err := resp.ReadFrom(frame[5:]); err != nil { // after the correlation id and no tags
		t.Fatal(err)
	}
	return resp
}
