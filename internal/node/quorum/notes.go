package quorum

import (
	"encoding/json"
	"fmt"
	"slices"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/headrace/headrace/internal/base/kafka"
)

// note is what the quorum knows of a member that raft does not. The notes of all members travel in the context of every
// change of members, and with every snapshot, so that they are as durable and as equal on all nodes as the members are.
type note struct {
	ID kafka.NodeID `json:"id"`
	// Host and Port are where it was when it was admitted. Epoch is that of its registration then, -1 for none: what a later
	// registration says of its address is newer.
	Host  string `json:"host,omitempty"`
	Port  int32  `json:"port,omitempty"`
	Epoch int64  `json:"epoch"`
	// Dir is the directory id of its metadata log, as text.
	Dir string `json:"dir,omitempty"`
	// Held says that it was removed from the voters by request: only a request makes it one again.
	Held bool `json:"held,omitempty"`
}

// notes are sorted by id. They are never changed in place.
type notes []note

func (n notes) find(id kafka.NodeID) (note, bool) {
	for i := range n {
		if n[i].ID == id {
			return n[i], true
		}
	}
	return note{ID: id, Epoch: -1}, false
}

// with returns the notes with one replaced.
func (n notes) with(one note) notes {
	next := slices.DeleteFunc(slices.Clone(n), func(o note) bool { return o.ID == one.ID })
	next = append(next, one)
	slices.SortFunc(next, func(a, b note) int { return int(a.ID) - int(b.ID) })
	return next
}

// of returns those of the members of a configuration.
func (n notes) of(c *raftpb.ConfState) notes {
	return slices.DeleteFunc(slices.Clone(n), func(o note) bool { return !isMember(c, o.ID) })
}

func (n notes) held(id kafka.NodeID) bool {
	one, _ := n.find(id)
	return one.Held
}

func encodeNotes(n notes) ([]byte, error) { return json.Marshal(n) }

func decodeNotes(b []byte) (notes, error) {
	var n notes
	if len(b) > maxStateBytes {
		return nil, fmt.Errorf("notes on members of %d bytes", len(b))
	}
	if err := json.Unmarshal(b, &n); err != nil {
		return nil, fmt.Errorf("notes on members: %w", err)
	}
	return n, nil
}

// isVoter counts those of both halves of a joint configuration.
func isVoter(c *raftpb.ConfState, id kafka.NodeID) bool {
	return slices.Contains(c.GetVoters(), raftID(id)) || slices.Contains(c.GetVotersOutgoing(), raftID(id))
}

func isMember(c *raftpb.ConfState, id kafka.NodeID) bool {
	return isVoter(c, id) || slices.Contains(c.GetLearners(), raftID(id)) || slices.Contains(c.GetLearnersNext(), raftID(id))
}

func isJoint(c *raftpb.ConfState) bool { return len(c.GetVotersOutgoing()) > 0 }

// memberCount counts all, voters and learners.
func memberCount(c *raftpb.ConfState) int {
	return len(c.GetVoters()) + len(c.GetVotersOutgoing()) + len(c.GetLearners())
}
