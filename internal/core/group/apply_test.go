package group

import (
	"math/rand/v2"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/group/consumer"
	"github.com/headrace/headrace/internal/core/group/share"
	"github.com/headrace/headrace/internal/core/group/streams"
	"github.com/headrace/headrace/internal/core/machine"
)

// FuzzApply gives the machine junk: an error is all that may come of it.
func FuzzApply(f *testing.F) {
	instance := "i"
	g := &group{id: "g", protocolType: consumerProtocol, protocol: "range", leader: "m", generation: 3}
	g.prepareMembers()
	g.add(&member{id: "m", instance: &instance, protocolType: consumerProtocol, protocols: []protocol{{"range", subscription([]string{"t"})}}})
	for version := range int16(5) {
		v := kmsg.GroupMetadataValue{}
		if err := v.ReadFrom(g.value(nil)); err != nil {
			f.Fatal(err)
		}
		v.Version = version
		f.Add(groupKey("g"), v.AppendTo(nil))
		o := kmsg.OffsetCommitValue{Version: version, Offset: 5, Metadata: "meta", TopicID: [16]byte{1}}
		f.Add(offsetKey("g", "t", 1), o.AppendTo(nil))
	}
	f.Add([]byte{0, 9, 1}, []byte{0, 0})
	f.Add(groupKey("g"), []byte(nil))
	f.Fuzz(func(t *testing.T, key, value []byte) {
		s := New(DefaultConfig(rand.New(rand.NewPCG(1, 1))))
		if s.Apply(0, key, value, 0) != nil {
			return
		}
		s.Commit(1)
		_ = s.ApplyTransactional(1, 4, key, value)
		s.EndTransaction(2, 4, true)
		s.Step(newWorld(1).now, machine.Loaded{})
		for id := range s.saved.All() {
			s.describe(id, 6)
		}
		if err := s.Apply(3, key, nil, 0); err != nil {
			t.Errorf("the key of a record that was applied cannot be read for a tombstone: %v", err)
		}
	})
}

func TestValuesOfAllVersionsAreRead(t *testing.T) {
	instance := "i"
	for version := range int16(5) {
		v := kmsg.GroupMetadataValue{
			Version: version, ProtocolType: "consumer", Generation: 4, Protocol: kmsg.StringPtr("range"), Leader: kmsg.StringPtr("m"),
			CurrentStateTimestamp: 77, Members: []kmsg.GroupMetadataValueMember{{
				MemberID: "m", InstanceID: &instance, ClientID: "c", ClientHost: "/h", RebalanceTimeoutMillis: 9, SessionTimeoutMillis: 8,
				Subscription: []byte("s"), Assignment: []byte("a"),
			}},
		}
		v.UnknownTags.Set(9, []byte("tag"))
		got, err := readGroup(v.AppendTo(nil))
		if err != nil {
			t.Fatalf("version %d: %v", version, err)
		}
		m := got.members[0]
		if got.generation != 4 || m.id != "m" || string(m.assignment) != "a" || m.sessionTimeout.Milliseconds() != 8 {
			t.Errorf("version %d: %+v", version, got)
		}
		if rebalance := m.rebalanceTimeout.Milliseconds(); version == 0 && rebalance != 8 || version > 0 && rebalance != 9 {
			t.Errorf("version %d: rebalance timeout %d", version, rebalance)
		}
		if since := got.stateSince; version < 2 && since != -1 || version >= 2 && since != 77 {
			t.Errorf("version %d: state since %d", version, since)
		}
		o := kmsg.OffsetCommitValue{Version: version, Offset: 5, LeaderEpoch: 6, Metadata: "m", CommitTimestamp: 7, ExpireTimestamp: 8, TopicID: [16]byte{9}}
		off, err := readOffset(o.AppendTo(nil))
		if err != nil || off.Offset != 5 || off.Metadata != "m" || off.CommitTimestamp != 7 {
			t.Errorf("version %d: %+v, %v", version, off, err)
		}
		if (version == 4) != (off.TopicID == kafka.TopicID{9}) || (version == 1) != (off.ExpireTimestamp == 8) {
			t.Errorf("version %d: %+v", version, off)
		}
	}
}

func TestRecordsOfOtherGroupTypesAreSkipped(t *testing.T) {
	s := New(DefaultConfig(rand.New(rand.NewPCG(1, 1))))
	for kind := byte(9); kind < 40; kind++ {
		if kind == byte(consumer.RegexKind) || kind >= byte(share.MemberKind) && kind <= byte(share.StateKind) ||
			kind >= byte(streams.EpochKind) && kind <= byte(streams.TopologyKind) && kind != 18 {
			continue
		}
		if err := s.Apply(0, []byte{0, kind, 1, 2, 3}, []byte{0, 7, 9}, 0); err != nil {
			t.Errorf("kind %d: %v", kind, err)
		}
	}
	for _, bad := range [][2][]byte{{nil, nil}, {{0}, nil}, {{0, 2}, {0, 3}}, {groupKey("g"), {0, 5}}, {offsetKey("g", "t", 0), {0, 4}},
		{{0, 3, 1}, nil}, {{0, 5, 0, 1, 'g'}, nil}, {{0, 3, 0, 1, 'g'}, {0, 1}},
		{{0, 17, 1}, nil}, {{0, 19, 0, 1, 'g'}, nil}, {{0, 17, 0, 1, 'g'}, {0, 1}}} {
		if err := s.Apply(0, bad[0], bad[1], 0); err == nil {
			t.Errorf("key %v, value %v: no error", bad[0], bad[1])
		}
	}
}

func TestTagCountBeyondTheValueIsAnErrorAtOnce(t *testing.T) {
	v := kmsg.OffsetCommitValue{Version: 4, Metadata: "m"}
	b := v.AppendTo(nil)
	b = append(b[:len(b)-1], 0xff, 0xff, 0xff, 0xff, 0x0f)
	if _, err := readOffset(b); err == nil {
		t.Error("four thousand million tags in no bytes were read")
	}
}

func TestOffsetsOfATransactionCountFromItsMarker(t *testing.T) {
	s := New(DefaultConfig(rand.New(rand.NewPCG(1, 1))))
	put := func(off kafka.Offset, producer kafka.ProducerID, p int32, offset int64) {
		t.Helper()
		if err := s.apply(off, producer, offsetKey("g", "t", p), Offset{Offset: offset, ExpireTimestamp: -1}.value()); err != nil {
			t.Fatal(err)
		}
	}
	get := func(p int32) int64 {
		o, ok := read(s.offsets["g"], kafka.TopicPartition{Topic: "t", Partition: p}, true)
		if !ok {
			return -1
		}
		return o.Offset
	}
	put(0, kafka.NoProducerID, 0, 10)
	put(1, 7, 0, 20)
	put(2, 7, 1, 21)
	put(3, 8, 2, 30)
	if get(0) != 10 || get(1) != -1 || len(s.openOf("g")) != 3 || len(s.openOf("h")) != 0 {
		t.Error("an open transaction's offsets were read")
	}
	put(4, kafka.NoProducerID, 1, 99) // later than the transaction's
	s.EndTransaction(5, 7, true)
	s.EndTransaction(6, 8, false)
	if get(0) != 20 || get(1) != 99 || get(2) != -1 || len(s.openOf("g")) != 0 {
		t.Errorf("after the markers: %d %d %d", get(0), get(1), get(2))
	}
}

func BenchmarkApplyOffset(b *testing.B) {
	s := New(DefaultConfig(rand.New(rand.NewPCG(1, 1))))
	s.Commit(1 << 40)
	keys := make([][]byte, 1000)
	for i := range keys {
		keys[i] = offsetKey("group", "topic", int32(i))
	}
	value := Offset{Offset: 5, ExpireTimestamp: -1}.value()
	b.ReportAllocs()
	off := kafka.Offset(0)
	for b.Loop() {
		if err := s.Apply(off, keys[int(off)%len(keys)], value, 0); err != nil {
			b.Fatal(err)
		}
		off++
	}
}

// A transaction that commits the same partitions for hours takes memory for them once, and an append that fails takes back what it added.
func TestALongTransactionIsKeptShort(t *testing.T) {
	s := New(DefaultConfig(rand.New(rand.NewPCG(1, 1))))
	for off := range kafka.Offset(10_000) {
		value := Offset{Offset: int64(off), ExpireTimestamp: -1}.value()
		if err := s.ApplyTransactional(off, 7, offsetKey("g", "t", int32(off%100)), value); err != nil {
			t.Fatal(err)
		}
		if off == 9_000 {
			s.Commit(9_000)
		}
	}
	if open, _ := s.txns.Get(7); len(open) > 500 {
		t.Errorf("%d offsets are kept for 100 partitions", len(open))
	}
	s.Revert(9_500)
	s.EndTransaction(9_500, 7, true)
	for p := range 100 {
		o, _ := s.offsets["g"].Get(kafka.TopicPartition{Topic: "t", Partition: int32(p)})
		if o.Offset != int64(9_400+p) {
			t.Errorf("partition %d is at %d", p, o.Offset)
		}
	}
}

// An append that fails takes the records of a transaction back, and the tombstones that ended some of them.
func TestRevertReachesTheOffsetsOfATransaction(t *testing.T) {
	s := New(DefaultConfig(rand.New(rand.NewPCG(1, 1))))
	put := func(off kafka.Offset, p int32, offset int64) {
		t.Helper()
		value := Offset{Offset: offset, ExpireTimestamp: -1}.value()
		if err := s.ApplyTransactional(off, 7, offsetKey("g", "t", p), value); err != nil {
			t.Fatal(err)
		}
	}
	put(0, 0, 10)
	put(1, 1, 11)
	s.Commit(2)
	put(2, 0, 20)
	put(3, 2, 22)
	s.Revert(2)
	if err := s.Apply(2, offsetKey("g", "t", 1), nil, 0); err != nil {
		t.Fatal(err)
	}
	s.Revert(2)
	s.EndTransaction(2, 7, true)
	s.Commit(3)
	for p, want := range []int64{10, 11, -1} {
		got := int64(-1)
		if o, ok := s.offsets["g"].Get(kafka.TopicPartition{Topic: "t", Partition: int32(p)}); ok {
			got = o.Offset
		}
		if got != want {
			t.Errorf("partition %d is at %d, want %d", p, got, want)
		}
	}
}
