package controller

import (
	"github.com/headrace/headrace/internal/base/kafka"
)

// FenceNode fences or unfences a node. Epoch is that of its registration.
type FenceNode struct {
	ID     kafka.NodeID
	Epoch  int64
	Fenced bool
}

// FencedNode replies to FenceNode; Changed tells whether the node was not so already.
type FencedNode struct{ Changed bool }

// AllocateProducerIDs asks for the next block of producer ids for a node.
type AllocateProducerIDs struct {
	Node  kafka.NodeID
	Epoch int64 // of the node's registration
}

// ProducerIDs is a block of producer ids that no one else gets.
type ProducerIDs struct {
	First kafka.ProducerID
	Count int32
}

// BalanceLeaders gives partitions back to their preferred replica, the first, where it is active and in sync: the active
// controller asks for it from time to time while auto.leader.rebalance.enable is set.
type BalanceLeaders struct{}

// BalancedLeaders replies to BalanceLeaders. More tells that there were more than one request may move.
type BalancedLeaders struct {
	Moved int
	More  bool
}

// ElectUnclean elects leaders for the partitions that have none, and whose topic allows that to lose records
// (unclean.leader.election.enable). The active controller asks for it from time to time, and when that key changed.
type ElectUnclean struct{}

// ElectedUnclean replies to ElectUnclean. More tells that there were more than one request may elect.
type ElectedUnclean struct {
	Elected int
	More    bool
}

// GrowInternalTopics gives the partitions of internal topics the replicas that they could not be made with, for want of nodes, by
// reassignments. The active controller asks for it from time to time.
type GrowInternalTopics struct{}

// GrownInternalTopics replies to GrowInternalTopics. More tells that there were more than one request begins.
type GrownInternalTopics struct {
	Begun int
	More  bool
}

// Bootstrap finalises Config.Features in a log that has none. The quorum asks for it when it begins to lead.
type Bootstrap struct{}

// Bootstrapped replies to Bootstrap.
type Bootstrapped struct{}

// AdoptTopic registers a topic under the id that its folders on the disk already have, so that the folders written by
// Apache Kafka can be served: every partition is led by Node.
type AdoptTopic struct {
	Name       string
	ID         kafka.TopicID // zero draws a new one
	Partitions int32
	Node       kafka.NodeID
	Configs    map[string]string
	// Epochs are the leader epochs that the partitions begin with, above those in their logs; nil begins with 0.
	Epochs []kafka.LeaderEpoch
}

// AdoptedTopic replies to AdoptTopic.
type AdoptedTopic struct{ ID kafka.TopicID }

// RaiseProducerIDs sees to it that no producer id below Next is handed out any more: the records that came with adopted
// topics bear them.
type RaiseProducerIDs struct{ Next kafka.ProducerID }

// RaisedProducerIDs replies to RaiseProducerIDs.
type RaisedProducerIDs struct{}
