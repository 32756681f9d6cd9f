package quorum

import "github.com/headrace/headrace/internal/base/kafka"

// Unreachable tells that messages to a node were lost. It never waits.
func (q *Quorum) Unreachable(id kafka.NodeID) {}

// LeaderLost tells that the process of a node is gone. If it is the leader the voters elect another at once. It never waits.
func (q *Quorum) LeaderLost(id kafka.NodeID) {}
