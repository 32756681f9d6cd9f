package group

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The records of __consumer_offsets are Kafka's. A key begins with the kind of record: 0 and 1 are a committed offset
// (group, topic, partition), 2 is a classic group. Later kinds belong to group types that this Shard does not hold, and
// are skipped.
//
// Values begin with their version. Written are version 3 of a group and version 4 of an offset (which has the topic's
// id), or 1 for the one that an old client asked to expire; read are all of Kafka's, 0 to 4.

const (
	legacyOffsetKey  = 0
	offsetKeyKind    = 1
	groupKeyKind     = 2
	groupVersion     = 3
	offsetVersion    = 4
	expiringVersion  = 1
	maxValueVersion  = 4
	firstFlexible    = 4
	offsetTopicIDTag = 0
)

func groupKey(id string) []byte {
	k := kmsg.GroupMetadataKey{Version: groupKeyKind, Group: id}
	return k.AppendTo(nil)
}

func emptyGroupValue(stateSince int64) []byte {
	v := kmsg.GroupMetadataValue{Version: groupVersion, CurrentStateTimestamp: stateSince}
	return v.AppendTo(nil)
}

// value is the group as its record has it. parts, when not nil, holds the assignments instead of the members.
func (g *group) value(parts map[string][]byte) []byte {
	v := kmsg.GroupMetadataValue{
		Version: groupVersion, ProtocolType: g.protocolType, Generation: g.generation,
		Protocol: nullable(g.protocol), Leader: nullable(g.leader), CurrentStateTimestamp: g.stateSince,
		Members: make([]kmsg.GroupMetadataValueMember, len(g.members)),
	}
	for i, m := range g.members {
		assigned := m.assignment
		if parts != nil {
			assigned = parts[m.id]
		}
		v.Members[i] = kmsg.GroupMetadataValueMember{
			MemberID: m.id, InstanceID: m.instance, ClientID: m.clientID, ClientHost: m.clientHost,
			RebalanceTimeoutMillis: int32(m.rebalanceTimeout / time.Millisecond),
			SessionTimeoutMillis:   int32(m.sessionTimeout / time.Millisecond),
			Subscription:           m.metadata(g.protocol), Assignment: assigned,
		}
	}
	return v.AppendTo(nil)
}

// savedGroup is what a group's record holds. A group that has committed offsets but no record is the zero value.
type savedGroup struct {
	protocolType, protocol, leader string
	generation                     int32
	stateSince                     int64
	members                        []savedMember
}

type savedMember struct {
	id                               string
	instance                         *string
	clientID, clientHost             string
	rebalanceTimeout, sessionTimeout time.Duration
	subscription, assignment         []byte
}

// restore makes the live group that a record describes: stable when it has members, for then its last rebalance ended.
func (v savedGroup) restore(id string) *group {
	g := &group{
		id: id, stateSince: v.stateSince, generation: v.generation,
		protocolType: v.protocolType, protocol: v.protocol, leader: v.leader,
	}
	if len(v.members) > 0 {
		g.prepareMembers()
	}
	for _, m := range v.members {
		g.add(&member{
			id: m.id, instance: m.instance, clientID: m.clientID, clientHost: m.clientHost,
			rebalanceTimeout: m.rebalanceTimeout, sessionTimeout: m.sessionTimeout, protocolType: v.protocolType,
			protocols: []protocol{{name: v.protocol, metadata: m.subscription}}, assignment: m.assignment,
		})
	}
	if len(g.members) > 0 {
		g.state, g.previous = stable, completing
	}
	g.findSubscribed()
	return g
}

// readGroup reads the value of a group's record.
func readGroup(value []byte) (savedGroup, error) {
	r := kbin.Reader{Src: value}
	version := r.Int16()
	if version < 0 || version > maxValueVersion {
		return savedGroup{}, fmt.Errorf("group value of version %d", version)
	}
	f := fields{Reader: r, flexible: version >= firstFlexible}
	v := savedGroup{protocolType: f.text(), generation: f.Int32(), stateSince: -1}
	v.protocol, v.leader = deref(f.nullableText()), deref(f.nullableText())
	if version >= 2 {
		v.stateSince = f.Int64()
	}
	n := f.arrayLen()
	for ; n > 0 && f.Ok(); n-- {
		m := savedMember{id: f.text()}
		if version >= 3 {
			m.instance = f.nullableText()
		}
		m.clientID, m.clientHost = f.text(), f.text()
		rebalance := int32(-1)
		if version >= 1 {
			rebalance = f.Int32()
		}
		session := f.Int32()
		if rebalance == -1 {
			rebalance = session
		}
		m.rebalanceTimeout = time.Duration(rebalance) * time.Millisecond
		m.sessionTimeout = time.Duration(session) * time.Millisecond
		m.subscription, m.assignment = f.bytes(), f.bytes()
		f.tags(nil)
		v.members = append(v.members, m)
	}
	f.tags(nil)
	if err := f.Complete(); err != nil {
		return savedGroup{}, fmt.Errorf("group value: %w", err)
	}
	return v, v.check()
}

// check refuses members that cannot live in one group.
func (v savedGroup) check() error {
	ids := make(map[string]struct{}, 2*len(v.members))
	for _, m := range v.members {
		keys := []string{"m" + m.id}
		if m.instance != nil {
			keys = append(keys, "i"+*m.instance)
		}
		for _, k := range keys {
			if _, twice := ids[k]; twice {
				return fmt.Errorf("group value has member %q twice", m.id)
			}
			ids[k] = struct{}{}
		}
	}
	return nil
}

// readOffset reads the value of an offset's record.
func readOffset(value []byte) (Offset, error) {
	r := kbin.Reader{Src: value}
	version := r.Int16()
	if version < 0 || version > maxValueVersion {
		return Offset{}, fmt.Errorf("offset value of version %d", version)
	}
	f := fields{Reader: r, flexible: version >= firstFlexible}
	o := Offset{Offset: f.Int64(), LeaderEpoch: -1, ExpireTimestamp: -1}
	if version >= 3 {
		o.LeaderEpoch = f.Int32()
	}
	o.Metadata = f.text()
	o.CommitTimestamp = f.Int64()
	if version == expiringVersion {
		o.ExpireTimestamp = f.Int64()
	}
	f.tags(func(tag uint32, r *kbin.Reader) {
		if tag == offsetTopicIDTag {
			o.TopicID = r.Uuid()
		}
	})
	if err := f.Complete(); err != nil {
		return Offset{}, fmt.Errorf("offset value: %w", err)
	}
	return o, nil
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
