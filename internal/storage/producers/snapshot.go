package producers

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/headrace/headrace/internal/base/kafka"
)

// ErrCorrupt marks a snapshot that cannot be used.
var ErrCorrupt = errors.New("corrupt producer snapshot")

// castagnoli is read only.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

const (
	snapshotVersion = 1
	snapshotHead    = 2 + 4 + 4 // version, CRC of what follows it, count
	snapshotEntry   = 8 + 2 + 4 + 8 + 4 + 8 + 4 + 8
	afterCRC        = 2 + 4
)

// SnapshotSize is the length of the snapshot in bytes.
func (t *Table) SnapshotSize() int { return snapshotHead + len(t.entries)*snapshotEntry }

// AppendSnapshot encodes the table as Kafka's .snapshot file.
func (t *Table) AppendSnapshot(dst []byte) []byte {
	be := binary.BigEndian
	at := len(dst)
	dst = be.AppendUint16(dst, snapshotVersion)
	dst = be.AppendUint32(dst, 0)
	dst = be.AppendUint32(dst, uint32(len(t.entries)))
	for _, s := range t.States() {
		dst = be.AppendUint64(dst, uint64(s.ProducerID))
		dst = be.AppendUint16(dst, uint16(s.Epoch))
		dst = be.AppendUint32(dst, uint32(s.LastSequence))
		dst = be.AppendUint64(dst, uint64(s.LastOffset))
		dst = be.AppendUint32(dst, uint32(s.OffsetDelta))
		dst = be.AppendUint64(dst, uint64(s.LastTimestamp))
		dst = be.AppendUint32(dst, uint32(s.CoordinatorEpoch))
		dst = be.AppendUint64(dst, uint64(s.TxnStart))
	}
	be.PutUint32(dst[at+2:], crc32.Checksum(dst[at+afterCRC:], castagnoli))
	return dst
}

// DecodeSnapshot reads what AppendSnapshot or Kafka wrote.
func DecodeSnapshot(b []byte) ([]State, error) {
	be := binary.BigEndian
	if len(b) < snapshotHead {
		return nil, fmt.Errorf("%w: %d bytes", ErrCorrupt, len(b))
	}
	if v := be.Uint16(b); v != snapshotVersion {
		return nil, fmt.Errorf("%w: version %d, want %d", ErrCorrupt, v, snapshotVersion)
	}
	if be.Uint32(b[2:]) != crc32.Checksum(b[afterCRC:], castagnoli) {
		return nil, fmt.Errorf("%w: wrong checksum", ErrCorrupt)
	}
	n := int64(be.Uint32(b[afterCRC:]))
	b = b[snapshotHead:]
	if n*snapshotEntry > int64(len(b)) {
		return nil, fmt.Errorf("%w: %d producers in %d bytes", ErrCorrupt, n, len(b))
	}
	states := make([]State, n)
	for i := range states {
		states[i] = decodeState(b[i*snapshotEntry:])
		if states[i].ProducerID < 0 {
			return nil, fmt.Errorf("%w: producer %d", ErrCorrupt, states[i].ProducerID)
		}
	}
	return states, nil
}

func decodeState(b []byte) State {
	be := binary.BigEndian
	s := State{
		ProducerID:       kafka.ProducerID(be.Uint64(b)),
		Epoch:            kafka.ProducerEpoch(be.Uint16(b[8:])),
		LastSequence:     int32(be.Uint32(b[10:])),
		LastOffset:       kafka.Offset(be.Uint64(b[14:])),
		OffsetDelta:      int32(be.Uint32(b[22:])),
		LastTimestamp:    int64(be.Uint64(b[26:])),
		CoordinatorEpoch: int32(be.Uint32(b[34:])),
		TxnStart:         kafka.Offset(be.Uint64(b[38:])),
	}
	if s.TxnStart < 0 {
		s.TxnStart = kafka.NoOffset
	}
	if s.LastOffset < 0 {
		s.LastOffset = kafka.NoOffset
	}
	return s
}
