package batch

import (
	"encoding/binary"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/kafka"
)

// ControlType is what the record of a control batch says.
type ControlType int16

// The control records of the protocol. Others may come from newer nodes and are to be skipped.
const (
	ControlAbort          ControlType = 0
	ControlCommit         ControlType = 1
	ControlLeaderChange   ControlType = 2
	ControlSnapshotHeader ControlType = 3
	ControlSnapshotFooter ControlType = 4
	ControlKRaftVersion   ControlType = 5
	ControlKRaftVoters    ControlType = 6
)

// controlKeySize is the length of a control record's key in version 0: version and type, two bytes each. Later versions may only
// append to it.
const controlKeySize = 4

// endTxnValueSize is the length of an end-of-transaction marker's value in version 0: version and coordinator epoch.
const endTxnValueSize = 6

// ControlRecordType reads the key of a control record. A type that has no constant is not an error.
func ControlRecordType(key []byte) (ControlType, error) {
	if len(key) < controlKeySize {
		return 0, fmt.Errorf("key of a control record has %d bytes, fewer than %d: %w", len(key), controlKeySize, kerr.InvalidRecord)
	}
	if version := int16(binary.BigEndian.Uint16(key)); version < 0 {
		return 0, fmt.Errorf("key of a control record has version %d: %w", version, kerr.InvalidRecord)
	}
	return ControlType(binary.BigEndian.Uint16(key[2:])), nil
}

// AppendControlKey appends the key of a control record of type t.
func AppendControlKey(dst []byte, t ControlType) []byte {
	dst = binary.BigEndian.AppendUint16(dst, 0)
	return binary.BigEndian.AppendUint16(dst, uint16(t))
}

// EndTxn is the value of a commit or abort marker.
type EndTxn struct {
	CoordinatorEpoch int32
}

// ParseEndTxn reads the value of a record of type ControlCommit or ControlAbort.
func ParseEndTxn(value []byte) (EndTxn, error) {
	if len(value) < endTxnValueSize {
		return EndTxn{}, fmt.Errorf("transaction marker has %d bytes, fewer than %d: %w", len(value), endTxnValueSize, kerr.InvalidRecord)
	}
	if version := int16(binary.BigEndian.Uint16(value)); version < 0 {
		return EndTxn{}, fmt.Errorf("transaction marker has version %d: %w", version, kerr.InvalidRecord)
	}
	return EndTxn{CoordinatorEpoch: int32(binary.BigEndian.Uint32(value[2:]))}, nil
}

// AppendEndTxn appends the value that ParseEndTxn reads.
func AppendEndTxn(dst []byte, m EndTxn) []byte {
	dst = binary.BigEndian.AppendUint16(dst, 0)
	return binary.BigEndian.AppendUint32(dst, uint32(m.CoordinatorEpoch))
}

// EndTxnMarker is the batch that ends a transaction of a producer: a control batch of one commit or abort record.
func EndTxnMarker(id kafka.ProducerID, epoch kafka.ProducerEpoch, coordinatorEpoch int32, t ControlType, ts int64) Validated {
	b := NewBuilder(BuilderConfig{
		ProducerID: id, Epoch: epoch, BaseSequence: kafka.NoSequence, Transactional: true, Control: true,
	})
	b.Append(ts, AppendControlKey(nil, t), AppendEndTxn(nil, EndTxn{CoordinatorEpoch: coordinatorEpoch}), nil)
	return b.Finish()
}
