package quorum

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kbin"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
)

// One raft entry is one batch of the log, and the batch's leader epoch is the entry's term:
//
//	entry                          batch
//	normal, with data              the data: the records of one Step, base offset and epoch already set by the proposer
//	normal, empty (a new leader's) control batch, one LeaderChange record as Kafka's controllers write it
//	conf change                    control batch, one record of controlConfChange: the entry's type and data
//
// The proposer knows the offset because a leader's entries enter its log in the order in which it proposed them, and
// because every entry's number of offsets is known: the number of its records, or 1.

// controlConfChange is the type of our own control record. Kafka's tools print types that they do not know by number.
const controlConfChange batch.ControlType = 1000

// maxInflated bounds what a compressed batch of the metadata log may hold. We write them uncompressed.
const maxInflated = 64 << 20

// encodeRecords makes the batch of one proposal.
func encodeRecords(recs []metadata.Record, base kafka.Offset, term uint64, ms int64) []byte {
	b := batch.NewBuilder(batch.BuilderConfig{BaseOffset: base, LeaderEpoch: kafka.LeaderEpoch(term)})
	var value []byte
	for _, r := range recs {
		value = metadata.AppendRecord(value[:0], r)
		b.Append(ms, nil, value, nil)
	}
	return b.Bytes(nil)
}

// encodeEntry makes the batch of an entry that is stored at base. leader is written where the entry begins a term;
// NoNode where it is not known any more.
func encodeEntry(e *raftpb.Entry, base kafka.Offset, ms int64, leader kafka.NodeID, voters []kafka.NodeID) []byte {
	switch {
	case e.GetType() == raftpb.EntryNormal && len(e.GetData()) > 0:
		return e.GetData()
	case e.GetType() == raftpb.EntryNormal:
		return controlBatch(batch.ControlLeaderChange, leaderChange(leader, voters), base, e.GetTerm(), ms)
	}
	value := append([]byte{byte(e.GetType())}, e.GetData()...)
	return controlBatch(controlConfChange, value, base, e.GetTerm(), ms)
}

func controlBatch(t batch.ControlType, value []byte, base kafka.Offset, term uint64, ms int64) []byte {
	b := batch.NewBuilder(batch.BuilderConfig{Control: true, BaseOffset: base, LeaderEpoch: kafka.LeaderEpoch(term)})
	b.Append(ms, batch.AppendControlKey(nil, t), value, nil)
	return b.Bytes(nil)
}

// leaderChange is Kafka's LeaderChangeMessage, version 0.
func leaderChange(leader kafka.NodeID, voters []kafka.NodeID) []byte {
	dst := kbin.AppendInt16(nil, 0)
	dst = kbin.AppendInt32(dst, int32(leader))
	dst = appendVoters(dst, voters)
	dst = appendVoters(dst, nil) // those who granted their vote are not kept by raft
	return append(dst, 0)
}

func appendVoters(dst []byte, voters []kafka.NodeID) []byte {
	dst = kbin.AppendCompactArrayLen(dst, len(voters))
	for _, id := range voters {
		dst = kbin.AppendInt32(dst, int32(id))
		dst = append(dst, 0)
	}
	return dst
}

// decodeEntry reads back the entry that b, exactly one batch, stands for. The entry keeps b.
func decodeEntry(b []byte, index uint64) (*raftpb.Entry, error) {
	h, err := batch.ParseHeader(b)
	if err != nil {
		return nil, err
	}
	if err := batch.CheckCRC(b); err != nil {
		return nil, fmt.Errorf("batch at offset %d: %w", h.BaseOffset, err)
	}
	e := &raftpb.Entry{}
	term := uint64(h.LeaderEpoch)
	e.Index, e.Term = &index, &term
	typ := raftpb.EntryNormal
	if !h.Attributes.IsControl() {
		e.Type, e.Data = &typ, b
		return e, nil
	}
	t, value, err := controlRecord(b)
	switch {
	case err != nil:
		return nil, fmt.Errorf("control batch at offset %d: %w", h.BaseOffset, err)
	case t == controlConfChange && len(value) > 0:
		typ = raftpb.EntryType(value[0])
		e.Data = value[1:]
	case t != batch.ControlLeaderChange:
		return nil, fmt.Errorf("control batch at offset %d: unexpected type %d", h.BaseOffset, t)
	}
	e.Type = &typ
	return e, nil
}

// controlRecord returns the only record of a control batch.
func controlRecord(b []byte) (t batch.ControlType, value []byte, err error) {
	n := 0
	for r, err := range batch.Records(b, maxInflated) {
		if err != nil {
			return 0, nil, err
		}
		if t, err = batch.ControlRecordType(r.Key); err != nil {
			return 0, nil, err
		}
		value = r.Value
		n++
	}
	if n != 1 {
		return 0, nil, fmt.Errorf("%d records, want 1", n)
	}
	return t, value, nil
}

// decodeRecords reads the metadata records of a batch.
func decodeRecords(b []byte) ([]metadata.Record, error) {
	var recs []metadata.Record
	for r, err := range batch.Records(b, maxInflated) {
		if err != nil {
			return nil, err
		}
		rec, err := metadata.DecodeRecord(r.Value)
		if err != nil {
			return nil, fmt.Errorf("record at offset %d: %w", r.Offset, err)
		}
		recs = append(recs, rec)
	}
	return recs, nil
}
