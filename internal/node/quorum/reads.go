package quorum

import (
	"encoding/binary"

	"go.etcd.io/raft/v3"
)

// reads are the times at which a leader had the others confirm that it leads. What it answers without writing anything may be wrong
// otherwise: it may have been replaced without knowing yet, and a partition's leader that is told by it that a proposal was not taken,
// or that its session lasts, would go by what is no longer so. Requests share one: that which begins after the last of them came.
type reads struct {
	begun, confirmed uint64
	wanted           bool
}

// want is the number of the read that a request waits for.
func (r *reads) want() uint64 {
	r.wanted = true
	return r.begun + 1
}

// beginRead asks the others, if anybody waits for it.
func (l *loop) beginRead() {
	r := &l.lead.reads
	if !r.wanted {
		return
	}
	r.wanted = false
	r.begun++
	l.node.ReadIndex(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, l.term), r.begun))
}

// noteReads takes raft's word that this node led when the reads were begun. Their numbers are those of one leadership.
func (l *loop) noteReads(states []raft.ReadState) {
	for _, s := range states {
		if len(s.RequestCtx) == 16 && l.leading && binary.BigEndian.Uint64(s.RequestCtx) == l.term {
			l.lead.reads.confirmed = max(l.lead.reads.confirmed, binary.BigEndian.Uint64(s.RequestCtx[8:]))
		}
	}
}
