package quorum

import (
	"encoding/json"
	"fmt"
	"slices"

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
	// Gone is the raft id that it had when it was removed, 0 for a member. If it comes back with its disk it has that id still.
	Gone uint64 `json:"gone,omitempty"`
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

// with returns the notes with one replaced. Of nodes that are gone as many are remembered as there may be members.
func (n notes) with(one note) notes {
	gone := 0
	next := slices.DeleteFunc(slices.Clone(n), func(o note) bool {
		if o.Gone != 0 {
			gone++
		}
		return o.ID == one.ID || gone > maxMembers
	})
	next = append(next, one)
	slices.SortFunc(next, func(a, b note) int { return int(a.ID) - int(b.ID) })
	return next
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
