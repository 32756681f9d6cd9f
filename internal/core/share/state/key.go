package state

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/headrace/headrace/internal/base/kafka"
)

// Key names a partition of a share group.
type Key struct {
	Group     string
	Topic     kafka.TopicID
	Partition int32
}

// String is the key by which clients ask for the coordinator (FindCoordinator, type 2). Its hash says which partition of
// __share_group_state has the state.
func (k Key) String() string {
	return k.Group + ":" + k.Topic.String() + ":" + strconv.Itoa(int(k.Partition))
}

// ParseKey reads what String wrote. A group's id may have colons itself.
func ParseKey(s string) (Key, error) {
	rest, partition, _ := cutLast(s)
	group, topic, ok := cutLast(rest)
	if !ok || strings.TrimSpace(group) == "" {
		return Key{}, fmt.Errorf("share coordinator key %q: want group:topic id:partition", s)
	}
	id, err := kafka.ParseTopicID(topic)
	if err != nil {
		return Key{}, fmt.Errorf("share coordinator key %q: %w", s, err)
	}
	n, err := strconv.ParseInt(partition, 10, 32)
	if err != nil {
		return Key{}, fmt.Errorf("share coordinator key %q: partition: %w", s, err)
	}
	return Key{Group: group, Topic: id, Partition: int32(n)}, nil
}

func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}
