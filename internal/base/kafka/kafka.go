// Package kafka holds the nouns of the Kafka protocol as distinct types, so that an offset can never be passed for an
// epoch. Everything imports it; it imports nothing of the project and starts no goroutine.
package kafka

import (
	"encoding/base64"
	"fmt"
	"strconv"
)

// Offset is the position of a record in a partition's log, starting at 0.
type Offset int64

// LeaderEpoch counts the leaders a partition has had (KIP-101). NoLeaderEpoch means unknown.
type LeaderEpoch int32

// NodeID identifies a node of the cluster (node.id). NoNode means none.
type NodeID int32

// ProducerID identifies an idempotent or transactional producer. NoProducerID means a plain producer.
type ProducerID int64

// ProducerEpoch fences older instances of one ProducerID.
type ProducerEpoch int16

// Values that stand for "none" on the wire and on disk.
const (
	NoOffset        Offset        = -1
	NoLeaderEpoch   LeaderEpoch   = -1
	NoNode          NodeID        = -1
	NoProducerID    ProducerID    = -1
	NoProducerEpoch ProducerEpoch = -1
	NoSequence      int32         = -1
	NoTimestamp     int64         = -1
)

// TopicID is a topic's UUID (KIP-516); it survives a reuse of the name. The zero value means "none".
type TopicID [16]byte

// IsZero tells whether id is the "none" value.
func (id TopicID) IsZero() bool { return id == TopicID{} }

// String is the form that Kafka prints and keeps in partition.metadata: 22 characters of unpadded base64url.
func (id TopicID) String() string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// ParseTopicID reads what String wrote.
func ParseTopicID(s string) (TopicID, error) {
	var id TopicID
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) != len(id) {
		return id, fmt.Errorf("topic id %q: want 22 characters of base64url", s)
	}
	copy(id[:], b)
	return id, nil
}

// TopicPartition names one partition by its topic's name.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// String is the partition's folder name: topic-partition.
func (tp TopicPartition) String() string { return tp.Topic + "-" + strconv.Itoa(int(tp.Partition)) }

// ParseTopicPartition reads a folder name "topic-N"; topics may themselves contain dashes.
func ParseTopicPartition(s string) (TopicPartition, error) {
	for i := len(s) - 1; i > 0; i-- {
		if s[i] != '-' {
			continue
		}
		n, err := strconv.ParseUint(s[i+1:], 10, 31)
		if err != nil || strconv.FormatUint(n, 10) != s[i+1:] {
			break
		}
		tp := TopicPartition{Topic: s[:i], Partition: int32(n)}
		return tp, ValidateTopicName(tp.Topic)
	}
	return TopicPartition{}, fmt.Errorf("%q is not a partition folder: want topic-number", s)
}

// Topics that Kafka keeps for itself.
const (
	OffsetsTopic  = "__consumer_offsets"
	TxnTopic      = "__transaction_state"
	ShareTopic    = "__share_group_state"
	MetadataTopic = "__cluster_metadata"
)

// IsInternalTopic tells whether clients other than "__admin_client" may not write to the topic.
func IsInternalTopic(name string) bool {
	return name == OffsetsTopic || name == TxnTopic || name == ShareTopic
}

// MaxTopicNameLen is the longest topic name in bytes.
const MaxTopicNameLen = 249

// ValidateTopicName applies Kafka's rules: 1 to 249 of [a-zA-Z0-9._-], not "." or "..".
func ValidateTopicName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("topic name is empty")
	case name == "." || name == "..":
		return fmt.Errorf("topic name cannot be %q", name)
	case len(name) > MaxTopicNameLen:
		return fmt.Errorf("topic name has %d characters, more than %d", len(name), MaxTopicNameLen)
	}
	for i := 0; i < len(name); i++ {
		if !topicNameByte(name[i]) {
			return fmt.Errorf("topic name %q contains %q: only ASCII letters, digits, '.', '_' and '-' are allowed", name, name[i])
		}
	}
	return nil
}

func topicNameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-'
}

// JavaHash is java.lang.String.hashCode of s: 31-polynomial over its UTF-16 code units.
func JavaHash(s string) int32 {
	var h int32
	for _, r := range s {
		if r >= 0x10000 {
			r -= 0x10000
			h = 31*h + (0xd800 + r>>10)
			h = 31*h + (0xdc00 + r&0x3ff)
			continue
		}
		h = 31*h + r
	}
	return h
}

// CoordinatorPartition is the partition of __consumer_offsets or __transaction_state, of n, that owns a group or
// transactional id: Kafka's Utils.abs(hashCode) % n, in which abs clears the sign bit's meaning of MinInt32 to 0.
func CoordinatorPartition(id string, n int32) int32 {
	h := JavaHash(id)
	switch {
	case h == -1<<31:
		h = 0
	case h < 0:
		h = -h
	}
	return h % n
}
