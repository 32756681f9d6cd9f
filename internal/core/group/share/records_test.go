package share

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/twmb/franz-go/pkg/kbin"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/timeline"
)

// Records that Apache Kafka 4.3.1 wrote for the group g with the member m1.
var kafkaRecords = []struct{ key, value string }{
	{"000a00016700026d31", "000000010b2f3132372e302e302e3102027400"},
	{"000b000167", "000000000002264b7b020374376100"},
	{"000d00016700026d31", "00000100"},
	{"000c000167", "000000000002010008000001a2087dce30"},
	{"000e00016700026d31", "00000000000200000000000100"},
	{"000f000167", "0000020c04a314660e463ea2332e7d06077e66027403000000000000000100010100"},
	{"000f000167", "000001020c04a314660e463ea2332e7d06077e660274030000000000000001000100"},
	{"000d00016700026d31", "0000020c04a314660e463ea2332e7d06077e660300000000000000010000"},
	{"000e00016700026d31", "0000000000030000000200020c04a314660e463ea2332e7d06077e660300000000000000010000"},
}

func unhex(t testing.TB, s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// again is the record of a kind as the group writes it now.
func (g *Group) again(kind int16, member string) []byte {
	switch kind {
	case MemberKind:
		return memberRecord(g.ID, g.Member(member)).Value
	case EpochKind:
		return epochRecord(g.ID, g.now()).Value
	case TargetEpochKind:
		return targetEpochRecord(g.ID, g.now()).Value
	case TargetKind:
		target, _ := g.target.Get(member)
		return targetRecord(g.ID, member, target).Value
	case AssignmentKind:
		return assignmentRecord(g.ID, g.Member(member)).Value
	}
	return stateRecord(g.ID, g.state()).Value
}

func TestRecordsAreThoseOfApacheKafka(t *testing.T) {
	g := NewGroup("g", &timeline.History{})
	for i, r := range kafkaRecords {
		key := kbin.Reader{Src: unhex(t, r.key)}
		kind := key.Int16()
		group, member, err := ReadKey(kind, &key)
		if err != nil || group != "g" {
			t.Fatal(group, err)
		}
		value := unhex(t, r.value)
		if err := g.Apply(kafka.Offset(i), kind, member, value); err != nil {
			t.Fatal(err)
		}
		if again := g.again(kind, member); !bytes.Equal(again, value) {
			t.Errorf("record %x: %x becomes %x", r.key, value, again)
		}
	}
	m := g.Member("m1")
	if m.Epoch != 3 || m.Previous != 2 || m.Assigned.Len() != 2 || m.Host != "/127.0.0.1" || len(m.Topics) != 1 || m.Topics[0] != "t" {
		t.Errorf("the member is %+v", m)
	}
}

// Whatever a log has, it is read without harm, and what is understood is written as it was.
func FuzzRecords(f *testing.F) {
	for _, r := range kafkaRecords {
		f.Add(unhex(f, r.key), unhex(f, r.value))
	}
	f.Fuzz(func(t *testing.T, key, value []byte) {
		g := NewGroup("g", &timeline.History{})
		r := kbin.Reader{Src: key}
		kind := r.Int16()
		_, member, err := ReadKey(kind, &r)
		if err != nil || kind < MemberKind || kind > StateKind || g.Apply(0, kind, member, value) != nil || value == nil {
			return
		}
		once := g.again(kind, member)
		if err := g.Apply(1, kind, member, once); err != nil || !bytes.Equal(once, g.again(kind, member)) {
			t.Errorf("%x becomes %x, and then %x: %v", value, once, g.again(kind, member), err)
		}
	})
}
