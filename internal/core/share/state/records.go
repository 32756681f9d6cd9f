package state

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kbin"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/share"
)

// The records of __share_group_state are Kafka's. A key begins with the kind of record: 0 is a snapshot, 1 an update of the
// snapshot before it. Both go on with the group, the topic's id and the partition. Values begin with their version, 0, which
// is a flexible one.

const (
	snapshotKind = 0
	updateKind   = 1

	deliveryCompleteTag = 0
	noDeliveryComplete  = -1
	noStateEpoch        = -1
)

func (k Key) record(kind int16) []byte {
	b := kbin.AppendInt16(nil, kind)
	b = kbin.AppendString(b, k.Group)
	b = kbin.AppendUuid(b, k.Topic)
	return kbin.AppendInt32(b, k.Partition)
}

// readKey reads a record's key. The group's name aliases it.
func readKey(key []byte) (int16, Key, error) {
	r := kbin.Reader{Src: key}
	kind := r.Int16()
	if r.Ok() && kind != snapshotKind && kind != updateKind {
		return kind, Key{}, nil
	}
	k := Key{Group: r.UnsafeString(), Topic: r.Uuid(), Partition: r.Int32()}
	if err := r.Complete(); err != nil {
		return 0, Key{}, fmt.Errorf("key of %d bytes: %w", len(key), err)
	}
	return kind, k, nil
}

// appendSnapshot is the value of a snapshot.
func (v *saved) appendSnapshot(b []byte) []byte {
	b = kbin.AppendInt16(b, 0)
	b = kbin.AppendInt32(b, v.snapshotEpoch)
	b = kbin.AppendInt32(b, v.stateEpoch)
	b = kbin.AppendInt32(b, int32(v.leaderEpoch))
	b = kbin.AppendInt64(b, int64(v.start))
	b = kbin.AppendInt64(b, v.created)
	b = kbin.AppendInt64(b, v.written)
	return v.appendRest(b)
}

// update is what an update changes.
type update struct {
	snapshotEpoch int32
	leaderEpoch   kafka.LeaderEpoch // NoLeaderEpoch: as it was
	start         kafka.Offset      // NoOffset: as it was
	complete      int32
	batches       []share.StateBatch
}

func (u update) appendUpdate(b []byte) []byte {
	b = kbin.AppendInt16(b, 0)
	b = kbin.AppendInt32(b, u.snapshotEpoch)
	b = kbin.AppendInt32(b, int32(u.leaderEpoch))
	b = kbin.AppendInt64(b, int64(u.start))
	return (&saved{complete: u.complete, batches: u.batches}).appendRest(b)
}

func (v *saved) appendRest(b []byte) []byte {
	b = kbin.AppendCompactArrayLen(b, len(v.batches))
	for _, s := range v.batches {
		b = kbin.AppendInt64(b, int64(s.First))
		b = kbin.AppendInt64(b, int64(s.Last))
		b = kbin.AppendInt8(b, int8(s.State))
		b = kbin.AppendInt16(b, s.Deliveries)
		b = append(b, 0) // no tags
	}
	if v.complete == noDeliveryComplete {
		return append(b, 0)
	}
	b = append(b, 1, deliveryCompleteTag, 4)
	return kbin.AppendInt32(b, v.complete)
}

func readSnapshot(value []byte) (*saved, error) {
	r := kbin.Reader{Src: value}
	if version := r.Int16(); version != 0 {
		return nil, fmt.Errorf("snapshot of version %d", version)
	}
	v := &saved{snapshotEpoch: r.Int32(), stateEpoch: r.Int32(), leaderEpoch: kafka.LeaderEpoch(r.Int32()), start: kafka.Offset(r.Int64())}
	v.created, v.written = r.Int64(), r.Int64()
	v.batches, v.complete = readRest(&r)
	if err := r.Complete(); err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	return v, checkBatches(v.batches)
}

func readUpdate(value []byte) (update, error) {
	r := kbin.Reader{Src: value}
	if version := r.Int16(); version != 0 {
		return update{}, fmt.Errorf("update of version %d", version)
	}
	u := update{snapshotEpoch: r.Int32(), leaderEpoch: kafka.LeaderEpoch(r.Int32()), start: kafka.Offset(r.Int64())}
	u.batches, u.complete = readRest(&r)
	if err := r.Complete(); err != nil {
		return update{}, fmt.Errorf("update: %w", err)
	}
	return u, checkBatches(u.batches)
}

func readRest(r *kbin.Reader) (batches []share.StateBatch, complete int32) {
	for n := r.CompactArrayLen(); n > 0 && r.Ok(); n-- {
		b := share.StateBatch{First: kafka.Offset(r.Int64()), Last: kafka.Offset(r.Int64()), State: share.DeliveryState(r.Int8()), Deliveries: r.Int16()}
		tags(r, nil)
		batches = append(batches, b)
	}
	complete = noDeliveryComplete
	tags(r, func(tag uint32, field *kbin.Reader) {
		if tag == deliveryCompleteTag {
			complete = field.Int32()
		}
	})
	return batches, complete
}

// tags walks tagged fields. Their count is not trusted: the walk ends with the bytes.
func tags(r *kbin.Reader, each func(tag uint32, field *kbin.Reader)) {
	for n := r.Uvarint(); n > 0 && r.Ok(); n-- {
		tag, size := r.Uvarint(), r.Uvarint()
		field := kbin.Reader{Src: r.Span(int(size))}
		if each == nil {
			continue
		}
		if each(tag, &field); !field.Ok() {
			r.Span(-1)
		}
	}
}

func checkBatches(batches []share.StateBatch) error {
	for _, b := range batches {
		if b.First < 0 || b.Last < b.First {
			return fmt.Errorf("state batch of %d to %d", b.First, b.Last)
		}
	}
	return nil
}
