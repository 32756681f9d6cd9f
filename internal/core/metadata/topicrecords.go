package metadata

import (
	"github.com/twmb/franz-go/pkg/kbin"

	"github.com/headrace/headrace/internal/base/kafka"
)

// TopicRecord creates a topic; its PartitionRecords follow in the same batch.
type TopicRecord struct {
	Name string
	ID   kafka.TopicID
}

// Type implements Record.
func (*TopicRecord) Type() RecordType { return TypeTopic }

// Version implements Record.
func (*TopicRecord) Version() int16    { return 0 }
func (*TopicRecord) maxVersion() int16 { return 0 }

func (t *TopicRecord) appendFields(dst []byte, _ int16) []byte {
	dst = kbin.AppendCompactString(dst, t.Name)
	dst = kbin.AppendUuid(dst, t.ID)
	return appendNoTags(dst)
}

func (t *TopicRecord) readFields(r *reader, _ int16) {
	t.Name = r.CompactString()
	t.ID = r.uuid()
	r.noTags()
}

// RemoveTopicRecord deletes a topic with its partitions and its configuration.
type RemoveTopicRecord struct{ ID kafka.TopicID }

// Type implements Record.
func (*RemoveTopicRecord) Type() RecordType { return TypeRemoveTopic }

// Version implements Record.
func (*RemoveTopicRecord) Version() int16    { return 0 }
func (*RemoveTopicRecord) maxVersion() int16 { return 0 }

func (t *RemoveTopicRecord) appendFields(dst []byte, _ int16) []byte {
	return appendNoTags(kbin.AppendUuid(dst, t.ID))
}

func (t *RemoveTopicRecord) readFields(r *reader, _ int16) {
	t.ID = r.uuid()
	r.noTags()
}

// PartitionRecord creates a partition, or in a snapshot states all of it.
type PartitionRecord struct {
	Partition           int32
	Topic               kafka.TopicID
	Replicas, ISR       []kafka.NodeID
	Removing, Adding    []kafka.NodeID
	Leader              kafka.NodeID
	LeaderRecoveryState int8 // 0 recovered, 1 recovering from an unclean election
	LeaderEpoch         kafka.LeaderEpoch
	PartitionEpoch      int32
	Directories         []kafka.TopicID // one a replica, or none (version 0)
	ELR, LastKnownELR   []kafka.NodeID  // nil when not known (versions 0 and 1)
}

// Type implements Record.
func (*PartitionRecord) Type() RecordType { return TypePartition }

// Version implements Record.
func (p *PartitionRecord) Version() int16 {
	if p.ELR != nil || p.LastKnownELR != nil {
		return 2
	}
	return 1
}
func (*PartitionRecord) maxVersion() int16 { return 2 }

func (p *PartitionRecord) appendFields(dst []byte, version int16) []byte {
	dst = kbin.AppendInt32(dst, p.Partition)
	dst = kbin.AppendUuid(dst, p.Topic)
	dst = appendNodes(dst, p.Replicas)
	dst = appendNodes(dst, p.ISR)
	dst = appendNodes(dst, p.Removing)
	dst = appendNodes(dst, p.Adding)
	dst = kbin.AppendInt32(dst, int32(p.Leader))
	dst = kbin.AppendInt32(dst, int32(p.LeaderEpoch))
	dst = kbin.AppendInt32(dst, p.PartitionEpoch)
	if version >= 1 {
		dst = appendUUIDs(dst, p.Directories)
	}
	var t tagged
	if p.LeaderRecoveryState != 0 {
		t.add(0, kbin.AppendInt8(nil, p.LeaderRecoveryState))
	}
	if version >= 2 && p.ELR != nil {
		t.add(1, appendNodes(nil, p.ELR))
	}
	if version >= 2 && p.LastKnownELR != nil {
		t.add(2, appendNodes(nil, p.LastKnownELR))
	}
	return t.appendTo(dst)
}

func (p *PartitionRecord) readFields(r *reader, version int16) {
	p.Partition = r.Int32()
	p.Topic = r.uuid()
	p.Replicas = r.nodes()
	p.ISR = r.nodes()
	p.Removing = r.nodes()
	p.Adding = r.nodes()
	p.Leader = r.node()
	p.LeaderEpoch = kafka.LeaderEpoch(r.Int32())
	p.PartitionEpoch = r.Int32()
	if version >= 1 {
		p.Directories = r.uuids()
	}
	r.tags(func(tag uint32) bool {
		switch {
		case tag == 0:
			p.LeaderRecoveryState = r.Int8()
		case tag == 1 && version >= 2:
			p.ELR = r.nullableNodes()
		case tag == 2 && version >= 2:
			p.LastKnownELR = r.nullableNodes()
		default:
			return false
		}
		return true
	})
}

// LeaderUnchanged is PartitionChangeRecord.Leader when the leader stays.
const LeaderUnchanged kafka.NodeID = -2

// PartitionChangeRecord changes what is set: nil slices, LeaderUnchanged and a LeaderRecoveryState of -1 leave the
// partition's as they are, empty slices empty them. NewPartitionChange makes one that changes nothing.
type PartitionChangeRecord struct {
	Partition           int32
	Topic               kafka.TopicID
	ISR                 []kafka.NodeID
	Leader              kafka.NodeID // NoNode takes the leader away
	Replicas            []kafka.NodeID
	Removing, Adding    []kafka.NodeID
	LeaderRecoveryState int8
	ELR, LastKnownELR   []kafka.NodeID
	Directories         []kafka.TopicID
}

// NewPartitionChange returns a change of nothing to one partition.
func NewPartitionChange(topic kafka.TopicID, partition int32) *PartitionChangeRecord {
	return &PartitionChangeRecord{Topic: topic, Partition: partition, Leader: LeaderUnchanged, LeaderRecoveryState: -1}
}

// Type implements Record.
func (*PartitionChangeRecord) Type() RecordType { return TypePartitionChange }

// Version implements Record.
func (p *PartitionChangeRecord) Version() int16 {
	switch {
	case p.ELR != nil || p.LastKnownELR != nil:
		return 2
	case p.Directories != nil:
		return 1
	}
	return 0
}
func (*PartitionChangeRecord) maxVersion() int16 { return 2 }

func (p *PartitionChangeRecord) appendFields(dst []byte, _ int16) []byte {
	dst = kbin.AppendInt32(dst, p.Partition)
	dst = kbin.AppendUuid(dst, p.Topic)
	var t tagged
	t.addNodes(0, p.ISR)
	if p.Leader != LeaderUnchanged {
		t.add(1, kbin.AppendInt32(nil, int32(p.Leader)))
	}
	t.addNodes(2, p.Replicas)
	t.addNodes(3, p.Removing)
	t.addNodes(4, p.Adding)
	if p.LeaderRecoveryState != -1 {
		t.add(5, kbin.AppendInt8(nil, p.LeaderRecoveryState))
	}
	t.addNodes(6, p.ELR)
	t.addNodes(7, p.LastKnownELR)
	if p.Directories != nil {
		t.add(8, appendUUIDs(nil, p.Directories))
	}
	return t.appendTo(dst)
}

// addNodes writes nothing for nil, which is the default of all of these fields.
func (t *tagged) addNodes(tag uint32, ids []kafka.NodeID) {
	if ids != nil {
		t.add(tag, appendNodes(nil, ids))
	}
}

func (p *PartitionChangeRecord) readFields(r *reader, version int16) {
	p.Partition = r.Int32()
	p.Topic = r.uuid()
	p.Leader, p.LeaderRecoveryState = LeaderUnchanged, -1
	r.tags(func(tag uint32) bool {
		switch {
		case tag == 0:
			p.ISR = r.nullableNodes()
		case tag == 1:
			p.Leader = r.node()
		case tag == 2:
			p.Replicas = r.nullableNodes()
		case tag == 3:
			p.Removing = r.nullableNodes()
		case tag == 4:
			p.Adding = r.nullableNodes()
		case tag == 5:
			p.LeaderRecoveryState = r.Int8()
		case tag == 6 && version >= 2:
			p.ELR = r.nullableNodes()
		case tag == 7 && version >= 2:
			p.LastKnownELR = r.nullableNodes()
		case tag == 8 && version >= 1:
			p.Directories = r.nullableUUIDs()
		default:
			return false
		}
		return true
	})
}
