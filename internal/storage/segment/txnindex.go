package segment

import (
	"encoding/binary"
	"fmt"
	"os"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
)

// AbortedTxn is an entry of the transaction index: a transaction of which the marker at Last aborted what the producer
// wrote from First on. Stable is the last stable offset after it.
type AbortedTxn struct {
	ProducerID          kafka.ProducerID
	First, Last, Stable kafka.Offset
}

const (
	abortedVersion = 0
	abortedWidth   = 2 + 4*8
)

// AppendAborted encodes the entry.
func (a AbortedTxn) AppendAborted(dst []byte) []byte {
	be := binary.BigEndian
	dst = be.AppendUint16(dst, abortedVersion)
	dst = be.AppendUint64(dst, uint64(a.ProducerID))
	dst = be.AppendUint64(dst, uint64(a.First))
	dst = be.AppendUint64(dst, uint64(a.Last))
	return be.AppendUint64(dst, uint64(a.Stable))
}

// DecodeAborted reads the whole entries that b begins with; an entry that is cut off, or not of version 0, is an error
// only if whole entries follow a wrong one.
func DecodeAborted(b []byte) ([]AbortedTxn, error) {
	be := binary.BigEndian
	txns := make([]AbortedTxn, 0, len(b)/abortedWidth)
	for ; len(b) >= abortedWidth; b = b[abortedWidth:] {
		a := AbortedTxn{ProducerID: kafka.ProducerID(be.Uint64(b[2:])), First: kafka.Offset(be.Uint64(b[10:])),
			Last: kafka.Offset(be.Uint64(b[18:])), Stable: kafka.Offset(be.Uint64(b[26:]))}
		if be.Uint16(b) != abortedVersion || !a.follows(txns) {
			return txns, fmt.Errorf("bad entry %d of a transaction index: %w", len(txns), kerr.CorruptMessage)
		}
		txns = append(txns, a)
	}
	return txns, nil
}

// follows tells whether a can be the entry after txns. A Stable beyond the marker would hide the entries that follow from
// who looks for those before an offset.
func (a AbortedTxn) follows(txns []AbortedTxn) bool {
	if a.First < 0 || a.First >= a.Last || a.Stable < 0 || a.Stable > a.Last+1 {
		return false
	}
	n := len(txns)
	return n == 0 || a.Last > txns[n-1].Last && a.Stable >= txns[n-1].Stable
}

// AddAborted appends an entry to the segment's transaction index. Without room for it the entry waits in memory for the
// next one, or for the flush, which needs it in the file.
func (s *Segment) AddAborted(a AbortedTxn) error {
	s.txns = append(s.txns, a)
	return roomless(s.writeTxns())
}

func (s *Segment) writeTxns() error {
	if len(s.txns) == 0 {
		return nil
	}
	f, err := s.fs.OpenFile(s.path(TxnIndexSuffix), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	s.noTxnIndex = false
	size, err := f.Size()
	if err != nil {
		return err
	}
	s.txnDirty = true
	var b []byte
	for _, a := range s.txns {
		b = a.AppendAborted(b)
	}
	end := size - size%abortedWidth
	if _, err = f.WriteAt(b, end); err == nil {
		s.txns = nil
		return nil
	}
	if vfs.Refused(err) { // whole entries may be there, which come again
		if cerr := f.Truncate(end); cerr != nil {
			return fmt.Errorf("%w, after %v", cerr, err)
		}
	}
	return err
}

// WithoutTxnIndex says that the segment has no transaction index yet.
func (s *Segment) WithoutTxnIndex() { s.noTxnIndex = true }

// Aborted reads the transaction index. Segments without aborted transactions have no such file.
func (s *Segment) Aborted() ([]AbortedTxn, error) {
	txns, err := s.abortedOnDisk()
	if err != nil || len(s.txns) == 0 {
		return txns, err
	}
	return append(txns, s.txns...), nil
}

func (s *Segment) abortedOnDisk() ([]AbortedTxn, error) {
	if s.noTxnIndex {
		return nil, nil
	}
	f, err := s.fs.OpenFile(s.path(TxnIndexSuffix), os.O_RDONLY, 0)
	if err != nil {
		if isNotExist(err) {
			s.noTxnIndex, err = true, nil
		}
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	b := make([]byte, size)
	if err := readFull(f, b, 0); err != nil {
		return nil, err
	}
	txns, err := DecodeAborted(b)
	if len(txns) > 0 && txns[0].Last < s.base { // entries grow, so the first alone can lie before the segment: zeros
		txns, err = txns[:0], fmt.Errorf("first entry ends before the segment: %w", kerr.CorruptMessage)
	}
	if err != nil {
		return txns, fmt.Errorf("%s: %w", f.Name(), err)
	}
	return txns, nil
}

// TruncateTxns drops the entries whose markers are at or beyond offset o, and what follows an entry that is not right:
// recovery adds them again.
func (s *Segment) TruncateTxns(o kafka.Offset) error {
	s.txns = slices.DeleteFunc(s.txns, func(a AbortedTxn) bool { return a.Last >= o })
	txns, err := s.abortedOnDisk()
	if txns == nil && err == nil {
		return nil
	}
	keep := 0
	for keep < len(txns) && txns[keep].Last < o {
		keep++
	}
	return truncateIfLonger(s.fs, s.path(TxnIndexSuffix), int64(keep)*abortedWidth)
}
