package conf

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/headrace/headrace/internal/base/kafka"
)

const (
	leaderThrottle   = "leader.replication.throttled.replicas"
	followerThrottle = "follower.replication.throttled.replicas"
)

var throttledReplica = regexp.MustCompile("^[0-9]+:[0-9]+$")

// throttledReplicas accepts what Kafka's ThrottledReplicaListValidator does.
var throttledReplicas = rule{words: "*, or a list of partition:node", why: func(v value) string {
	if slices.Equal(v.list, []string{"*"}) || !slices.ContainsFunc(v.list, func(s string) bool { return !throttledReplica.MatchString(s) }) {
		return ""
	}
	return "Invalid value [" + strings.Join(v.list, ", ") + "] for configuration {}: {} must be the literal '*' or a list of replicas in the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],..."
}}

// Throttled are replicas whose catching up is bounded. The zero value names none.
type Throttled struct {
	all      bool
	replicas []throttled
}

type throttled struct {
	partition int32
	node      kafka.NodeID
}

// throttledOf reads a list that its definition accepts; numbers that no partition or node can have name none.
func throttledOf(list []string) (t Throttled) {
	for _, s := range list {
		if s == "*" {
			return Throttled{all: true}
		}
		before, after, _ := strings.Cut(s, ":")
		partition, err := strconv.ParseInt(before, 10, 32)
		node, err2 := strconv.ParseInt(after, 10, 32)
		if err == nil && err2 == nil {
			t.replicas = append(t.replicas, throttled{int32(partition), kafka.NodeID(node)})
		}
	}
	return t
}

// Names tells whether the partition's replica on the node is one of them.
func (t Throttled) Names(partition int32, node kafka.NodeID) bool {
	return t.all || slices.Contains(t.replicas, throttled{partition, node})
}
