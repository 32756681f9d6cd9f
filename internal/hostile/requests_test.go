package hostile

import (
	"context"
	"reflect"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/compress"
)

// author fills in requests so that they are valid: names of things that are there, sane numbers, every array populated.
type author struct {
	topic string
	id    [16]byte
	width int  // elements of an outermost array of names; they are distinct
	inner bool // within such an array
}

// request is a valid one of a key and version.
func (a author) request(key, version int16) kmsg.Request {
	req := kmsg.RequestForKey(key)
	a.fill(key, "", reflect.ValueOf(req).Elem(), 0)
	req.SetVersion(version)
	if join, ok := req.(*kmsg.JoinGroupRequest); ok {
		join.Group += "-" + strconv.Itoa(int(version)) // or each would wait for the member that another left behind
	}
	return req
}

// frame is a request as it goes over the wire, its length first.
func frame(req kmsg.Request) []byte {
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("hostile")).AppendRequest(nil, req, correlation)
}

// correlation is that of every hostile request.
const correlation = 0x01020304

// numbers are the values of fields for which neither what kmsg takes by default nor 1 will do.
var numbers = map[string]int64{
	"Acks": -1, "TimeoutMillis": 1000, "MaxWaitMillis": 5, "MaxBytes": 1 << 20, "PartitionMaxBytes": 1 << 20,
	"ReplicaID": -1, "ID": -1, "Epoch": -1, "SessionID": 0, "SessionEpoch": -1, "CurrentLeaderEpoch": -1, "FetchOffset": 0,
	"LastFetchedEpoch": -1, "LogStartOffset": -1, "IsolationLevel": 0, "HighWatermark": -1, "Timestamp": -1,
	"SessionTimeoutMillis": 6000, "RebalanceTimeoutMillis": 1000, "Generation": -1, "RetentionTimeMillis": -1, "Offset": 0,
	"LeaderEpoch": 0, "MemberEpoch": -1, "CoordinatorType": 0, "NumPartitions": -1, "ReplicationFactor": -1,
	"TransactionTimeoutMillis": 60000, "ProducerID": -1, "ProducerEpoch": -1, "NodeID": -1, "ResourceType": 2, "ResourceTypes": 2,
	"Op": 0, "Count": 3, "EndpointType": 1, "ResponsePartitionLimit": 100, "Replicas": 1,
}

// texts are those of strings; what is not here is absent.
var texts = map[string]string{
	"Group": "target-group", "Groups": "target-group", "CoordinatorKey": "target-group", "CoordinatorKeys": "target-group",
	"ProtocolType": "consumer", "Protocol": "range", "Metadata": "note", "Reason": "because", "Rack": "rack",
	"ClientSoftwareName": "hostile", "ClientSoftwareVersion": "1.0", "StatesFilter": "Stable", "TypesFilter": "classic",
	"TopicNames": "absent", "Name": "retention.ms", "Value": "100000", "ConfigNames": "retention.ms", "ResourceName": targetTopic,
}

// nulls are the strings that are null in a request that nothing is wrong with.
var nulls = map[string]bool{"TransactionID": true, "TransactionalID": true, "InstanceID": true, "ClusterID": true}

// many are the fields that hold as many elements as the author likes.
var many = map[string]bool{
	"Topics": true, "Groups": true, "CoordinatorKeys": true, "TopicNames": true, "Resources": true, "Members": true,
	"GroupAssignment": true, "Protocols": true, "ForgottenTopics": true,
}

func (a author) fill(key int16, name string, v reflect.Value, index int) {
	if d, ok := v.Addr().Interface().(interface{ Default() }); ok {
		d.Default()
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if f.Type != reflect.TypeFor[kmsg.Tags]() && f.Name != "Version" {
				a.fill(key, f.Name, v.Field(i), index)
			}
		}
	case reflect.Pointer:
		if nulls[name] || name == "Cursor" {
			return
		}
		v.Set(reflect.New(v.Type().Elem()))
		a.fill(key, name, v.Elem(), index)
	case reflect.Slice:
		a.slice(key, name, v)
	case reflect.Array:
		if name == "TopicID" && key != int16(kmsg.Metadata) && key != int16(kmsg.DeleteTopics) {
			v.Set(reflect.ValueOf(a.id))
		}
	case reflect.String:
		v.SetString(a.text(key, name, index))
	case reflect.Bool:
		v.SetBool(name != "AllowAutoTopicCreation")
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if n, ok := numbers[name]; ok {
			v.SetInt(n)
		} else if name == "Partition" || name == "Partitions" {
			v.SetInt(int64(index % 2))
		} else {
			v.SetInt(1)
		}
	}
}

func (a author) slice(key int16, name string, v reflect.Value) {
	switch {
	case name == "Records":
		v.SetBytes(records(batch.BuilderConfig{ProducerID: -1, Epoch: -1, BaseSequence: -1}, 3))
		return
	case v.Type().Elem().Kind() == reflect.Uint8:
		v.SetBytes([]byte{0, 0, 0, 0, 0, 1, 0, 6, 't', 'a', 'r', 'g', 'e', 't'})
		return
	}
	n := 1
	switch {
	case many[name] && a.width > 0 && !a.inner:
		n = a.width
		a.inner = true
	case name == "Partitions" && v.Type().Elem().Kind() != reflect.Struct:
		n = 2
	}
	v.Set(reflect.MakeSlice(v.Type(), n, n))
	for i := range n {
		a.fill(key, name, v.Index(i), i)
	}
}

func (a author) text(key int16, name string, index int) string {
	text := texts[name]
	switch {
	case key == int16(kmsg.DeleteTopics):
		text = "absent"
	case name == "Topic" && key == int16(kmsg.CreateTopics):
		text = "new"
	case name == "Topic":
		text = a.topic
	case name == "Name" && key == int16(kmsg.JoinGroup):
		text = "range"
	}
	if a.width > 1 && text != "" && name != "ConfigNames" && name != "Value" && name != "ProtocolType" {
		text += "-" + strconv.Itoa(index)
	}
	return text
}

// records is a batch of so many records.
func records(c batch.BuilderConfig, n int) []byte {
	b := batch.NewBuilder(c)
	for range n {
		b.Append(time.Now().UnixMilli(), []byte("key"), []byte("value"), []batch.RecordHeader{{Key: "header", Value: []byte("value")}})
	}
	return b.Bytes(nil)
}

// recorded is a valid request as it goes over the wire.
type recorded struct {
	key, version int16
	frame        []byte
}

// recordAll makes a valid request of every key and version that the node says it speaks, and holds that the node answers it.
func (v *victim) recordAll() []recorded {
	v.t.Helper()
	cl := v.client()
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ask := kmsg.NewPtrApiVersionsRequest()
	ask.ClientSoftwareName, ask.ClientSoftwareVersion = "hostile", "1.0"
	served, err := ask.RequestWith(ctx, cl)
	if err != nil {
		v.t.Fatal(err)
	}
	var all []recorded
	a := author{topic: v.topic, id: v.target}
	for _, k := range served.ApiKeys {
		for version := max(k.MinVersion, firstProduce(k.ApiKey)); version <= k.MaxVersion; version++ {
			all = append(all, recorded{k.ApiKey, version, frame(a.request(k.ApiKey, version))})
		}
	}
	return all
}

// firstProduce is the first version of Produce that is served: those before are only said to be.
func firstProduce(key int16) int16 {
	if key == int16(kmsg.Produce) {
		return 3
	}
	return 0
}

// TestValidRequestsAreAnswered holds the ground on which the other tests stand: what they change was right before.
func TestValidRequestsAreAnswered(t *testing.T) {
	v := here(t)
	all := v.recordAll()
	if len(all) < 150 {
		t.Fatalf("only %d keys and versions are served", len(all))
	}
	for _, r := range all {
		p := v.peer(t)
		p.send(r.frame)
		if got := p.answer(r.key, r.version, correlation); got != answered {
			t.Errorf("%s version %d: %v", kmsg.Key(r.key).Name(), r.version, got)
		}
		p.close()
	}
}

// codecs are all that there are.
func codecs() []compress.Codec {
	return []compress.Codec{compress.None, compress.Gzip, compress.Snappy, compress.LZ4, compress.Zstd}
}
