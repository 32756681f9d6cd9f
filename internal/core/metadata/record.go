package metadata

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kbin"

	"github.com/headrace/headrace/internal/base/kafka"
)

// RecordType is the number under which Kafka writes a kind of metadata record (its apiKey).
type RecordType int16

// The kinds that an Image holds.
const (
	TypeRegisterBroker           RecordType = 0
	TypeUnregisterBroker         RecordType = 1
	TypeTopic                    RecordType = 2
	TypePartition                RecordType = 3
	TypeConfig                   RecordType = 4
	TypePartitionChange          RecordType = 5
	TypeFenceBroker              RecordType = 7
	TypeUnfenceBroker            RecordType = 8
	TypeRemoveTopic              RecordType = 9
	TypeFeatureLevel             RecordType = 12
	TypeProducerIDs              RecordType = 15
	TypeBrokerRegistrationChange RecordType = 17
	TypeNoOp                     RecordType = 20
)

// Record is one change of the metadata: a pointer to one of the record structs of this package. Records are not changed
// after they were decoded or handed to AppendRecord or Apply; Images keep slices of them.
type Record interface {
	// Type says which struct it is.
	Type() RecordType
	// Version is the lowest version of Kafka's schema that holds what the record says.
	Version() int16

	appendFields(dst []byte, version int16) []byte
	readFields(r *reader, version int16)
	maxVersion() int16
	apply(d *draft)
}

// ErrUnsupportedRecord marks a record of a type, version or frame that this version does not know. Going on without it
// would make this node's Image differ from the others', so callers stop.
var ErrUnsupportedRecord = errors.New("unsupported metadata record")

// ErrCorruptRecord marks bytes that are not a whole record of the type and version that they claim.
var ErrCorruptRecord = errors.New("corrupt metadata record")

// frameVersion precedes type and version in every record's value.
const frameVersion = 1

// AppendRecord appends r in Kafka's framing: frame version, type and version as unsigned varints, then the fields.
func AppendRecord(dst []byte, r Record) []byte {
	dst = kbin.AppendUvarint(dst, frameVersion)
	dst = kbin.AppendUvarint(dst, uint32(r.Type()))
	dst = kbin.AppendUvarint(dst, uint32(r.Version()))
	return r.appendFields(dst, r.Version())
}

// DecodeRecord reads what AppendRecord, or Kafka's controller, wrote. The record keeps nothing of b.
func DecodeRecord(b []byte) (Record, error) {
	r := &reader{Reader: kbin.Reader{Src: b}}
	frame, typ, version := r.Uvarint(), r.Uvarint(), r.Uvarint()
	if !r.Ok() {
		return nil, fmt.Errorf("%w: %d bytes end within the frame", ErrCorruptRecord, len(b))
	}
	if frame != frameVersion {
		return nil, fmt.Errorf("%w: frame version %d, only %d is known", ErrUnsupportedRecord, frame, frameVersion)
	}
	rec := emptyRecord(typ)
	if rec == nil {
		return nil, fmt.Errorf("%w: type %d", ErrUnsupportedRecord, typ)
	}
	if version > uint32(rec.maxVersion()) {
		return nil, fmt.Errorf("%w: version %d of type %d, the highest known is %d", ErrUnsupportedRecord, version, typ, rec.maxVersion())
	}
	rec.readFields(r, int16(version))
	switch {
	case !r.Ok() || r.bad:
		return nil, fmt.Errorf("%w: fields of type %d version %d", ErrCorruptRecord, typ, version)
	case len(r.Src) > 0:
		return nil, fmt.Errorf("%w: %d bytes after the fields of type %d version %d", ErrCorruptRecord, len(r.Src), typ, version)
	}
	return rec, nil
}

func emptyRecord(typ uint32) Record {
	switch RecordType(min(typ, 1<<15-1)) {
	case TypeRegisterBroker:
		return &RegisterBrokerRecord{}
	case TypeUnregisterBroker:
		return &UnregisterBrokerRecord{}
	case TypeTopic:
		return &TopicRecord{}
	case TypePartition:
		return &PartitionRecord{}
	case TypeConfig:
		return &ConfigRecord{}
	case TypePartitionChange:
		return &PartitionChangeRecord{}
	case TypeFenceBroker:
		return &FenceBrokerRecord{}
	case TypeUnfenceBroker:
		return &UnfenceBrokerRecord{}
	case TypeRemoveTopic:
		return &RemoveTopicRecord{}
	case TypeFeatureLevel:
		return &FeatureLevelRecord{}
	case TypeProducerIDs:
		return &ProducerIDsRecord{}
	case TypeBrokerRegistrationChange:
		return &BrokerRegistrationChangeRecord{}
	case TypeNoOp:
		return &NoOpRecord{}
	}
	return nil
}

// reader reads the fields of flexible versions. Every length is held against the bytes that remain before memory is
// taken for it.
type reader struct {
	kbin.Reader
	// bad is set by what kbin lets pass: null where it is not allowed, tags out of order, a tag's size that lies.
	bad bool
}

func (r *reader) fail() {
	r.bad = true
	r.Src = nil
}

// count reads the length of an array whose elements take at least size bytes each; -1 is null.
func (r *reader) count(size int) int {
	n := int(r.Uvarint()) - 1
	if n > len(r.Src)/size {
		r.fail()
		return -1
	}
	return n
}

// list reads an array of size-byte elements. Null is refused unless nullable; an empty array is nil unless null has to
// be told from empty.
func list[T any](r *reader, size int, nullable bool, one func() T) []T {
	n := r.count(size)
	switch {
	case n < 0 && !nullable:
		r.fail()
		return nil
	case n < 0, n == 0 && !nullable:
		return nil
	}
	out := make([]T, n)
	for i := range out {
		out[i] = one()
	}
	return out
}

func (r *reader) node() kafka.NodeID  { return kafka.NodeID(r.Int32()) }
func (r *reader) uuid() kafka.TopicID { return kafka.TopicID(r.Uuid()) }

func (r *reader) nodes() []kafka.NodeID         { return list(r, 4, false, r.node) }
func (r *reader) nullableNodes() []kafka.NodeID { return list(r, 4, true, r.node) }
func (r *reader) uuids() []kafka.TopicID        { return list(r, 16, false, r.uuid) }
func (r *reader) nullableUUIDs() []kafka.TopicID {
	return list(r, 16, true, r.uuid)
}

// tags reads the tagged fields that end every struct: known is called with the reader narrowed to one field and returns
// whether it read it. Unknown tags are skipped: a newer node wrote what an older one need not know.
func (r *reader) tags(known func(tag uint32) bool) {
	last := int64(-1)
	for n := r.count(1) + 1; n > 0 && !r.bad; n-- {
		tag, size := r.Uvarint(), r.Uvarint()
		if !r.Ok() || int64(tag) <= last || uint64(size) > uint64(len(r.Src)) {
			r.fail()
			return
		}
		last = int64(tag)
		rest := r.Src[size:]
		r.Src = r.Src[:size:size]
		if known(tag) && (!r.Ok() || len(r.Src) > 0) {
			r.fail()
			return
		}
		r.Src = rest
	}
}

func (r *reader) noTags() { r.tags(func(uint32) bool { return false }) }

// tagged collects the tagged fields of one struct, in ascending order of their tags.
type tagged struct {
	n    uint32
	body []byte
}

func (t *tagged) add(tag uint32, value []byte) {
	t.n++
	t.body = kbin.AppendUvarint(t.body, tag)
	t.body = kbin.AppendUvarint(t.body, uint32(len(value)))
	t.body = append(t.body, value...)
}

func (t *tagged) appendTo(dst []byte) []byte {
	return append(kbin.AppendUvarint(dst, t.n), t.body...)
}

func appendNoTags(dst []byte) []byte { return append(dst, 0) }

func appendNodes(dst []byte, ids []kafka.NodeID) []byte {
	dst = kbin.AppendCompactArrayLen(dst, len(ids))
	for _, id := range ids {
		dst = kbin.AppendInt32(dst, int32(id))
	}
	return dst
}

func appendUUIDs(dst []byte, ids []kafka.TopicID) []byte {
	dst = kbin.AppendCompactArrayLen(dst, len(ids))
	for _, id := range ids {
		dst = kbin.AppendUuid(dst, id)
	}
	return dst
}
