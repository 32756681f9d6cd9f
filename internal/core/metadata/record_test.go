package metadata

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/headrace/headrace/internal/base/kafka"
)

func text(s string) *string { return &s }

func id(n byte) kafka.TopicID { return kafka.TopicID{15: n} }

// someRecords hold every field of every record, set and unset.
func someRecords() []Record {
	change := NewPartitionChange(id(1), 2)
	change.ISR, change.Leader, change.Removing, change.LeaderRecoveryState = []kafka.NodeID{1, 2}, kafka.NoNode, []kafka.NodeID{}, 0
	all := NewPartitionChange(id(1), 0)
	all.ISR, all.Replicas, all.Removing, all.Adding = []kafka.NodeID{}, []kafka.NodeID{1}, []kafka.NodeID{2}, []kafka.NodeID{3}
	all.Leader, all.LeaderRecoveryState = 1, 1
	all.ELR, all.LastKnownELR, all.Directories = []kafka.NodeID{4}, []kafka.NodeID{5}, []kafka.TopicID{id(6)}
	return []Record{
		&TopicRecord{Name: "orders", ID: id(1)},
		&RemoveTopicRecord{ID: id(1)},
		&PartitionRecord{
			Partition: 3, Topic: id(1), Replicas: []kafka.NodeID{1, 2}, ISR: []kafka.NodeID{1}, Removing: []kafka.NodeID{2},
			Adding: []kafka.NodeID{3}, Leader: 1, LeaderRecoveryState: 1, LeaderEpoch: 7, PartitionEpoch: 8,
			Directories: []kafka.TopicID{id(4), id(5)}, ELR: []kafka.NodeID{2}, LastKnownELR: []kafka.NodeID{},
		},
		&PartitionRecord{Topic: id(1), Leader: kafka.NoNode},
		change, all, NewPartitionChange(id(2), 1),
		&ConfigRecord{Resource: ConfigResource{TopicConfig, "orders"}, Name: "retention.ms", Value: text("5")},
		&ConfigRecord{Resource: ConfigResource{BrokerConfig, ""}, Name: "log.cleaner.threads"},
		&RegisterBrokerRecord{
			Node: 1, Incarnation: id(2), Epoch: 9, Rack: text("r"), Fenced: true, InControlledShutdown: true,
			Listeners: []Listener{{"PLAINTEXT", "localhost", 65535, Plaintext}, {"SSL", "::1", 1, SSL}},
			Features:  []FeatureRange{{"metadata.version", 7, 30}}, LogDirs: []kafka.TopicID{id(3)}, CordonedLogDirs: []kafka.TopicID{},
		},
		&RegisterBrokerRecord{Node: 1},
		UnregisterBroker(1, 2), FenceBroker(1, 2), UnfenceBroker(1, 2),
		&BrokerRegistrationChangeRecord{Node: 1, Epoch: 2, Fenced: -1, InControlledShutdown: 1, LogDirs: []kafka.TopicID{id(1)}, CordonedLogDirs: []kafka.TopicID{}},
		&BrokerRegistrationChangeRecord{Node: 1, Epoch: 2},
		&FeatureLevelRecord{Name: "metadata.version", Level: 30},
		&ProducerIDsRecord{Node: 1, NodeEpoch: 2, Next: 3000},
		&NoOpRecord{},
	}
}

func TestRecordsAreReadAsTheyWereWritten(t *testing.T) {
	for _, r := range someRecords() {
		b := AppendRecord(nil, r)
		got, err := DecodeRecord(b)
		if err != nil {
			t.Errorf("%T: %v", r, err)
			continue
		}
		if !reflect.DeepEqual(got, r) {
			t.Errorf("got %+v, want %+v", got, r)
		}
		for n := range b {
			if _, err := DecodeRecord(b[:n]); err == nil {
				t.Errorf("%T: the first %d of %d bytes are a record", r, n, len(b))
			}
		}
		if _, err := DecodeRecord(append(b, 0)); !errors.Is(err, ErrCorruptRecord) {
			t.Errorf("%T with a byte behind it: %v", r, err)
		}
	}
}

// TestRecordsHaveKafkasBytes compares with bytes that Apache Kafka 4.3.1's MetadataRecordSerde wrote.
func TestRecordsHaveKafkasBytes(t *testing.T) {
	for _, c := range kafkaBytes() {
		want, err := hex.DecodeString(c.hex)
		if err != nil {
			t.Fatal(err)
		}
		if got := AppendRecord(nil, c.record); !bytes.Equal(got, want) {
			t.Errorf("%+v:\n got %x\nwant %x", c.record, got, want)
		}
		got, err := DecodeRecord(want)
		if err != nil || !reflect.DeepEqual(got, c.record) {
			t.Errorf("decoded %+v (%v), want %+v", got, err, c.record)
		}
	}
}

func TestDecodeRefusesWhatItDoesNotKnow(t *testing.T) {
	for name, b := range map[string][]byte{
		"frame version 0":   {0, 2, 0},
		"frame version 2":   {2, 2, 0},
		"unknown type":      {1, 99, 0},
		"access control":    {1, 18, 0},
		"huge type":         {1, 0xff, 0xff, 0xff, 0xff, 0x0f, 0},
		"version above":     {1, 2, 1},
		"version far above": {1, 20, 0xff, 0xff, 0xff, 0xff, 0x0f},
	} {
		if _, err := DecodeRecord(b); !errors.Is(err, ErrUnsupportedRecord) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, b := range map[string][]byte{
		"empty":         {},
		"null name":     append([]byte{1, 2, 0, 0}, make([]byte, 17)...),
		"huge array":    append(append([]byte{1, 3, 0}, make([]byte, 20)...), 0xff, 0xff, 0xff, 0xff, 0x0f),
		"tag too long":  {1, 20, 0, 1, 5, 100},
		"tags twice":    {1, 20, 0, 2, 5, 0, 5, 0},
		"tags descend":  {1, 20, 0, 2, 5, 0, 4, 0},
		"too many tags": {1, 20, 0, 0xff, 0xff, 0xff, 0xff, 0x0f},
	} {
		if _, err := DecodeRecord(b); !errors.Is(err, ErrCorruptRecord) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A newer node's tag is no reason to stop.
	if _, err := DecodeRecord([]byte{1, 20, 0, 1, 5, 1, 7}); err != nil {
		t.Errorf("unknown tag: %v", err)
	}
}

func FuzzDecodeRecord(f *testing.F) {
	for _, r := range someRecords() {
		f.Add(AppendRecord(nil, r))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := DecodeRecord(b)
		if err != nil {
			return
		}
		again, err := DecodeRecord(AppendRecord(nil, r))
		if err != nil || !reflect.DeepEqual(again, r) {
			t.Fatalf("%+v was read back as %+v (%v)", r, again, err)
		}
	})
}

// A newer node may add a tagged field to any record that is known here: it is skipped, wherever the others are.
func TestFieldsOfNewerRecordsAreSkipped(t *testing.T) {
	for _, r := range someRecords() {
		b, skipped := AppendRecord(nil, r), false
		for i := len(b) - 1; i > 2 && !skipped; i-- { // the count of the tags is somewhere
			newer := append(slices.Clone(b), 100, 3, 'n', 'e', 'w')
			newer[i]++
			got, err := DecodeRecord(newer)
			skipped = err == nil && reflect.DeepEqual(got, r)
		}
		if !skipped {
			t.Errorf("%T is not read when it has a field more", r)
		}
	}
}
