package quorum

import (
	"encoding/binary"
	"slices"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/headrace/headrace/internal/base/kafka"
)

// A member's id in raft tells the node and its disk: a node that comes back with an empty disk has forgotten its votes and what it
// had acknowledged, and is another member under the same node id. Nothing that was said by, to or about the one before, however
// late it comes, is taken for the other's. The lower half is the node's id plus one, for raft takes 0 for none; the upper half is
// of the disk's directory id, or 0 for a voter that the quorum began with together with others, who did not know its directory.

// founderID is the id of one of several voters that the quorum began with.
func founderID(id kafka.NodeID) uint64 { return uint64(id) + 1 }

// joinerID is the id of a node that was admitted, or began the quorum alone, with the metadata in a directory.
func joinerID(id kafka.NodeID, dir kafka.TopicID) uint64 {
	return founderID(id) | uint64(binary.BigEndian.Uint32(dir[:])>>1|1)<<32
}

func nodeID(raft uint64) kafka.NodeID {
	if uint32(raft) == 0 {
		return kafka.NoNode
	}
	return kafka.NodeID(uint32(raft) - 1)
}

// nodeIDs are sorted.
func nodeIDs(raft ...[]uint64) []kafka.NodeID {
	ids := []kafka.NodeID{}
	for _, of := range raft {
		for _, id := range of {
			ids = append(ids, nodeID(id))
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// lookup finds a node among the members; 0 when it is none.
func lookup(c *raftpb.ConfState, id kafka.NodeID) uint64 {
	for _, of := range [][]uint64{c.GetVoters(), c.GetVotersOutgoing(), c.GetLearners(), c.GetLearnersNext()} {
		for _, raft := range of {
			if nodeID(raft) == id {
				return raft
			}
		}
	}
	return 0
}

func isMember(c *raftpb.ConfState, id kafka.NodeID) bool { return lookup(c, id) != 0 }

// isVoter counts those of both halves of a joint configuration.
func isVoter(c *raftpb.ConfState, id kafka.NodeID) bool {
	return slices.Contains(nodeIDs(c.GetVoters(), c.GetVotersOutgoing()), id)
}

func isJoint(c *raftpb.ConfState) bool { return len(c.GetVotersOutgoing()) > 0 }

// memberCount counts voters and learners.
func memberCount(c *raftpb.ConfState) int {
	return len(nodeIDs(c.GetVoters(), c.GetVotersOutgoing(), c.GetLearners()))
}
