package metadata

import (
	"github.com/twmb/franz-go/pkg/kbin"

	"github.com/headrace/headrace/internal/base/kafka"
)

// RegisterBrokerRecord registers a node, or a new incarnation of one; it replaces what was known of the node.
type RegisterBrokerRecord struct {
	Node                 kafka.NodeID
	Migrating            bool // of ZooKeeper's times; always false in what we write
	Incarnation          kafka.TopicID
	Epoch                int64 // the offset of this record in the log
	Listeners            []Listener
	Features             []FeatureRange
	Rack                 *string
	Fenced               bool
	InControlledShutdown bool
	LogDirs              []kafka.TopicID
	CordonedLogDirs      []kafka.TopicID // nil when not told (versions below 4)
}

// FeatureRange is what one node supports of a feature.
type FeatureRange struct {
	Name     string
	Min, Max int16
}

// Type implements Record.
func (*RegisterBrokerRecord) Type() RecordType { return TypeRegisterBroker }

// Version implements Record.
func (b *RegisterBrokerRecord) Version() int16 {
	if b.CordonedLogDirs != nil {
		return 4
	}
	return 3
}
func (*RegisterBrokerRecord) maxVersion() int16 { return 4 }

func (b *RegisterBrokerRecord) appendFields(dst []byte, version int16) []byte {
	dst = kbin.AppendInt32(dst, int32(b.Node))
	dst = kbin.AppendBool(dst, b.Migrating)
	dst = kbin.AppendUuid(dst, b.Incarnation)
	dst = kbin.AppendInt64(dst, b.Epoch)
	dst = kbin.AppendCompactArrayLen(dst, len(b.Listeners))
	for _, l := range b.Listeners {
		dst = kbin.AppendCompactString(dst, l.Name)
		dst = kbin.AppendCompactString(dst, l.Host)
		dst = kbin.AppendUint16(dst, l.Port)
		dst = kbin.AppendInt16(dst, int16(l.Protocol))
		dst = appendNoTags(dst)
	}
	dst = kbin.AppendCompactArrayLen(dst, len(b.Features))
	for _, f := range b.Features {
		dst = kbin.AppendCompactString(dst, f.Name)
		dst = kbin.AppendInt16(dst, f.Min)
		dst = kbin.AppendInt16(dst, f.Max)
		dst = appendNoTags(dst)
	}
	dst = kbin.AppendCompactNullableString(dst, b.Rack)
	dst = kbin.AppendBool(dst, b.Fenced)
	dst = kbin.AppendBool(dst, b.InControlledShutdown)
	var t tagged
	if len(b.LogDirs) > 0 {
		t.add(0, appendUUIDs(nil, b.LogDirs))
	}
	if version >= 4 && b.CordonedLogDirs != nil {
		t.add(1, appendUUIDs(nil, b.CordonedLogDirs))
	}
	return t.appendTo(dst)
}

func (b *RegisterBrokerRecord) readFields(r *reader, version int16) {
	b.Node = r.node()
	if version >= 2 {
		b.Migrating = r.Bool()
	}
	b.Incarnation = r.uuid()
	b.Epoch = r.Int64()
	// The smallest listener takes 7 bytes and the smallest feature 6.
	b.Listeners = list(r, 7, false, func() Listener {
		l := Listener{Name: r.CompactString(), Host: r.CompactString(), Port: r.Uint16(), Protocol: SecurityProtocol(r.Int16())}
		r.noTags()
		return l
	})
	b.Features = list(r, 6, false, func() FeatureRange {
		f := FeatureRange{Name: r.CompactString(), Min: r.Int16(), Max: r.Int16()}
		r.noTags()
		return f
	})
	b.Rack = r.CompactNullableString()
	b.Fenced = r.Bool()
	if version >= 1 {
		b.InControlledShutdown = r.Bool()
	}
	r.tags(func(tag uint32) bool {
		switch {
		case tag == 0 && version >= 3:
			b.LogDirs = r.uuids()
		case tag == 1 && version >= 4:
			b.CordonedLogDirs = r.nullableUUIDs()
		default:
			return false
		}
		return true
	})
}

// UnregisterBrokerRecord forgets a node.
type UnregisterBrokerRecord struct{ nodeEpoch }

// Type implements Record.
func (*UnregisterBrokerRecord) Type() RecordType { return TypeUnregisterBroker }

// FenceBrokerRecord keeps a node from leading and from being counted in sync.
type FenceBrokerRecord struct{ nodeEpoch }

// Type implements Record.
func (*FenceBrokerRecord) Type() RecordType { return TypeFenceBroker }

// UnfenceBrokerRecord ends what FenceBrokerRecord began.
type UnfenceBrokerRecord struct{ nodeEpoch }

// Type implements Record.
func (*UnfenceBrokerRecord) Type() RecordType { return TypeUnfenceBroker }

// nodeEpoch is the whole of the three records that name one incarnation of a node.
type nodeEpoch struct {
	Node  kafka.NodeID
	Epoch int64
}

// UnregisterBroker, FenceBroker and UnfenceBroker make the records of those names.
func UnregisterBroker(id kafka.NodeID, epoch int64) *UnregisterBrokerRecord {
	return &UnregisterBrokerRecord{nodeEpoch{id, epoch}}
}

// FenceBroker makes the record that fences one incarnation of a node.
func FenceBroker(id kafka.NodeID, epoch int64) *FenceBrokerRecord {
	return &FenceBrokerRecord{nodeEpoch{id, epoch}}
}

// UnfenceBroker makes the record that unfences one incarnation of a node.
func UnfenceBroker(id kafka.NodeID, epoch int64) *UnfenceBrokerRecord {
	return &UnfenceBrokerRecord{nodeEpoch{id, epoch}}
}

// Version implements Record.
func (*nodeEpoch) Version() int16    { return 0 }
func (*nodeEpoch) maxVersion() int16 { return 0 }

func (n *nodeEpoch) appendFields(dst []byte, _ int16) []byte {
	dst = kbin.AppendInt32(dst, int32(n.Node))
	dst = kbin.AppendInt64(dst, n.Epoch)
	return appendNoTags(dst)
}

func (n *nodeEpoch) readFields(r *reader, _ int16) {
	n.Node = r.node()
	n.Epoch = r.Int64()
	r.noTags()
}

// BrokerRegistrationChangeRecord changes what is set of a registration: Fenced and InControlledShutdown are 1 for true,
// -1 for false, 0 for unchanged; nil slices leave the directories as they are.
type BrokerRegistrationChangeRecord struct {
	Node                 kafka.NodeID
	Epoch                int64
	Fenced               int8
	InControlledShutdown int8
	LogDirs              []kafka.TopicID
	CordonedLogDirs      []kafka.TopicID
}

// Type implements Record.
func (*BrokerRegistrationChangeRecord) Type() RecordType { return TypeBrokerRegistrationChange }

// Version implements Record.
func (b *BrokerRegistrationChangeRecord) Version() int16 {
	switch {
	case b.CordonedLogDirs != nil:
		return 3
	case len(b.LogDirs) > 0:
		return 2
	case b.InControlledShutdown != 0:
		return 1
	}
	return 0
}
func (*BrokerRegistrationChangeRecord) maxVersion() int16 { return 3 }

func (b *BrokerRegistrationChangeRecord) appendFields(dst []byte, _ int16) []byte {
	dst = kbin.AppendInt32(dst, int32(b.Node))
	dst = kbin.AppendInt64(dst, b.Epoch)
	var t tagged
	if b.Fenced != 0 {
		t.add(0, kbin.AppendInt8(nil, b.Fenced))
	}
	if b.InControlledShutdown != 0 {
		t.add(1, kbin.AppendInt8(nil, b.InControlledShutdown))
	}
	if len(b.LogDirs) > 0 {
		t.add(2, appendUUIDs(nil, b.LogDirs))
	}
	if b.CordonedLogDirs != nil {
		t.add(3, appendUUIDs(nil, b.CordonedLogDirs))
	}
	return t.appendTo(dst)
}

func (b *BrokerRegistrationChangeRecord) readFields(r *reader, version int16) {
	b.Node = r.node()
	b.Epoch = r.Int64()
	r.tags(func(tag uint32) bool {
		switch {
		case tag == 0:
			b.Fenced = r.Int8()
		case tag == 1 && version >= 1:
			b.InControlledShutdown = r.Int8()
		case tag == 2 && version >= 2:
			b.LogDirs = r.uuids()
		case tag == 3 && version >= 3:
			b.CordonedLogDirs = r.nullableUUIDs()
		default:
			return false
		}
		return true
	})
}
