package state

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/headrace/headrace/internal/base/kafka"
)

// Records that Apache Kafka 4.3.1 wrote: of a partition that was initialized, of a leader that read it, with batches, of one
// initialized anew at an offset, and a tombstone.
var kafkaRecords = []struct{ key, value string }{
	{"000000016741862c7ee92e48d69355402f0557e7ff00000000",
		"0000000000000000000100000000ffffffffffffffff000001a2086d8938000001a2086d89380100"},
	{"000100016741862c7ee92e48d69355402f0557e7ff00000000",
		"00000000000000000003ffffffffffffffff0100"},
	{"000100016741862c7ee92e48d69355402f0557e7ff00000000",
		"00000000000000000003000000000000000a03000000000000000c000000000000000d02000100000000000000000f00000000000000130000020001000400000002"},
	{"000100016741862c7ee92e48d69355402f0557e7ff00000000",
		"00000000000000000003ffffffffffffffff02000000000000000e00000000000000100400020000"},
	{"000000016741862c7ee92e48d69355402f0557e7ff00000000",
		"00000000000100000001000000000000000000000005000001a2086d8981000001a2086d89810101000400000000"},
	{"000000016741862c7ee92e48d69355402f0557e7ff00000001", ""},
}

func unhex(t testing.TB, s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) == 0 {
		return nil
	}
	return b
}

func TestRecordsAreThoseOfApacheKafka(t *testing.T) {
	for _, r := range kafkaRecords {
		key, value := unhex(t, r.key), unhex(t, r.value)
		kind, k, err := readKey(key)
		if err != nil || k.Group != "g" {
			t.Fatal(k, err)
		}
		if again := k.record(kind); !bytes.Equal(again, key) {
			t.Errorf("key %x becomes %x", key, again)
		}
		if again, err := rewrite(kind, value); err != nil || !bytes.Equal(again, value) {
			t.Errorf("value %x becomes %x, %v", value, again, err)
		}
	}
}

// rewrite reads a value and writes it again.
func rewrite(kind int16, value []byte) ([]byte, error) {
	switch {
	case value == nil:
		return nil, nil
	case kind == snapshotKind:
		v, err := readSnapshot(value)
		if err != nil {
			return nil, err
		}
		return v.appendSnapshot(nil), nil
	}
	u, err := readUpdate(value)
	if err != nil {
		return nil, err
	}
	return u.appendUpdate(nil), nil
}

func TestALogOfApacheKafkaIsLoaded(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	id, err := kafka.ParseTopicID("QYYsfukuSNaTVUAvBVfn_w")
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range kafkaRecords[:4] {
		if err := w.s.Apply(kafka.Offset(i), unhex(t, r.key), unhex(t, r.value), 0); err != nil {
			t.Fatal(err)
		}
	}
	w.s.Commit(4)
	if got, want := w.ask(readRequest(id, 0, 3)), "epoch 1 start 10 12-13:2#1 14-16:4#2 17-19:0#2"; got != want {
		t.Errorf("it says %q, want %q", got, want)
	}
	if err := w.s.Apply(4, unhex(t, kafkaRecords[4].key), unhex(t, kafkaRecords[4].value), 0); err != nil {
		t.Fatal(err)
	}
	if got := w.ask(readRequest(id, 0, 2)); got != "FENCED_LEADER_EPOCH" {
		t.Errorf("a leader of before is told %q", got)
	}
}

func TestRecordsOfOtherKindsAreSkipped(t *testing.T) {
	if err := New(DefaultConfig()).Apply(0, []byte{0, 2, 9, 9}, []byte{1}, 0); err != nil {
		t.Error(err)
	}
}

// Whatever a log has, it is read without harm, and what is understood is written as it was.
func FuzzRecords(f *testing.F) {
	for _, r := range kafkaRecords {
		f.Add(unhex(f, r.key), unhex(f, r.value))
	}
	f.Add([]byte{0, 0}, []byte{})
	f.Add(unhex(f, kafkaRecords[0].key), []byte{0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, key, value []byte) {
		s := New(DefaultConfig())
		base := kafkaRecords[0]
		if err := s.Apply(0, unhex(t, base.key), unhex(t, base.value), 0); err != nil {
			t.Fatal(err)
		}
		if s.Apply(1, key, value, 0) != nil || value == nil {
			return
		}
		kind, _, _ := readKey(key)
		if kind != snapshotKind && kind != updateKind {
			return
		}
		once, err := rewrite(kind, value)
		if err != nil {
			return // an update of what is not there
		}
		if twice, err := rewrite(kind, once); err != nil || !bytes.Equal(once, twice) {
			t.Errorf("%x becomes %x, and then %x: %v", value, once, twice, err)
		}
	})
}

func TestKeys(t *testing.T) {
	id := kafka.TopicID{1, 2, 3, 4}
	for _, k := range []Key{{"g", id, 0}, {"a:b", id, 12}, {":x", id, 1<<31 - 1}} {
		if again, err := ParseKey(k.String()); err != nil || again != k {
			t.Errorf("%q is read as %v, %v", k.String(), again, err)
		}
	}
	for _, s := range []string{"", "g", "g:0", ":" + id.String() + ":0", " :" + id.String() + ":0", "g:" + id.String(), "g:x:0", "g:" + id.String() + ":x",
		"g:" + id.String() + ":3000000000"} {
		if k, err := ParseKey(s); err == nil {
			t.Errorf("%q is read as %v", s, k)
		}
	}
}
