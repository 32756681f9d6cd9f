package batch

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/compress"
	"github.com/headrace/headrace/internal/base/kafka"
)

// DeleteHorizon is the time in ms from which compaction may drop the tombstones, or the marker, of the batch. Compaction stamps
// it in the place of the base timestamp when it first meets them; before that there is none.
func (h Header) DeleteHorizon() (ms int64, ok bool) {
	return h.BaseTimestamp, h.Attributes&attrDeleteHorizon != 0
}

// A Sieve goes through the records of one batch after another and makes each batch anew with some of them, as compaction does.
// It uses its memory again. The zero value is ready.
type Sieve struct {
	one      []byte
	header   Header
	records  []byte // of one, inflated
	inflated []byte // memory for records
	kept     []bool // by the last Sift, a record each
	body     []byte // memory for the records of a batch made anew
}

// SieveRecord is what compaction knows a record by. A Key of nil is none. It aliases the batch or the Sieve.
type SieveRecord struct {
	Offset    kafka.Offset
	Key       []byte
	Tombstone bool // without a value
}

// Sifted says what a Sift found.
type Sifted struct {
	Records, Kept int
	Tombstones    bool // some of those kept
}

// Load takes a batch, whose checksum it compares first. Records are inflated to at most limit bytes. The errors are those of
// Records, and ErrCRC.
func (s *Sieve) Load(one []byte, limit int64) (Header, error) {
	h, err := ParseHeader(one)
	switch {
	case err != nil:
		return h, err
	case h.Size() != len(one):
		return h, fmt.Errorf("batch of %d bytes declares %d: %w", len(one), h.Size(), kerr.CorruptMessage)
	case h.Count < 0:
		return h, errRecordCount
	case h.CRC != checksum(one):
		return h, ErrCRC
	}
	s.one, s.header, s.records, s.kept = one, h, one[HeaderSize:], s.kept[:0]
	codec := h.Attributes.Codec()
	if codec == compress.None || h.Count == 0 && len(s.records) == 0 {
		return h, nil
	}
	if s.inflated, err = inflate(s.inflated[:0], s.records, codec, limit); err != nil {
		return h, err
	}
	s.records = s.inflated
	return h, nil
}

// Each shows the records to fn, in order, until it returns false.
func (s *Sieve) Each(fn func(r SieveRecord) bool) error {
	return s.each(func(_ int, raw *rawRecord) bool { return fn(s.record(raw)) })
}

func (s *Sieve) record(raw *rawRecord) SieveRecord {
	return SieveRecord{Offset: s.header.BaseOffset + kafka.Offset(raw.offsetDelta), Key: raw.key, Tombstone: raw.value == nil}
}

func (s *Sieve) each(fn func(i int, raw *rawRecord) bool) (err error) {
	rest := s.records
	var raw rawRecord
	for i := range int(s.header.Count) {
		if rest, err = cutRecord(rest, &raw); err != nil {
			return err
		}
		if !fn(i, &raw) {
			return nil
		}
	}
	if len(rest) != 0 {
		return errMoreRecords
	}
	return nil
}

// Sift asks keep about each record, in order.
func (s *Sieve) Sift(keep func(r SieveRecord) bool) (Sifted, error) {
	var found Sifted
	s.kept = s.kept[:0]
	err := s.each(func(_ int, raw *rawRecord) bool {
		ok := keep(s.record(raw))
		s.kept = append(s.kept, ok)
		if ok {
			found.Kept++
			found.Tombstones = found.Tombstones || raw.value == nil
		}
		return true
	})
	found.Records = len(s.kept)
	return found, err
}

// AppendKept appends to dst the batch with the records that the last Sift kept, at least one: they have the offsets, the
// timestamps and the codec that they had, and the batch the producer, the sequence and the last offset. A horizon of 0 or
// more is stamped as its delete horizon; with a negative one it keeps the one that it may have.
func (s *Sieve) AppendKept(dst []byte, horizon int64) ([]byte, Header, error) {
	h := s.header
	stamped := h.Attributes.TimestampType() == LogAppendTime
	h.Attributes &= attrCodec | attrLogAppendTime | attrTransactional | attrControl | attrDeleteHorizon
	if horizon < 0 {
		horizon = kafka.NoTimestamp
		if at, ok := h.DeleteHorizon(); ok {
			horizon = at
		}
	} else {
		h.Attributes |= attrDeleteHorizon
	}
	h.BaseTimestamp, h.Count = horizon, 0
	if !stamped {
		h.MaxTimestamp = kafka.NoTimestamp
	}
	s.body = s.body[:0]
	err := s.each(func(i int, raw *rawRecord) bool {
		if !s.kept[i] {
			return true
		}
		ts := s.header.BaseTimestamp + raw.timestampDelta
		if stamped {
			ts = s.header.MaxTimestamp
		}
		if h.Count == 0 && h.Attributes&attrDeleteHorizon == 0 {
			h.BaseTimestamp = ts
		}
		h.MaxTimestamp = max(h.MaxTimestamp, ts)
		h.Count++
		s.body = appendRaw(s.body, raw.offsetDelta, ts-h.BaseTimestamp, raw)
		return true
	})
	if err != nil {
		return dst, h, err
	}
	dst, h = assemble(dst, h, s.body, compress.DefaultLevel)
	return dst, h, nil
}

// AppendAsIs appends the batch as it was loaded.
func (s *Sieve) AppendAsIs(dst []byte) []byte { return append(dst, s.one...) }

// AppendEmpty appends the batch of h without its records: what is left says which offsets, sequences and leader epoch were
// there, and when.
func AppendEmpty(dst []byte, h Header) ([]byte, Header) {
	h.Attributes &= attrLogAppendTime | attrTransactional | attrControl
	h.BaseTimestamp, h.Count = kafka.NoTimestamp, 0
	return assemble(dst, h, nil, compress.DefaultLevel)
}

// AppendFiller appends an empty batch that says nothing but that the offsets of h, in its leader epoch, were there.
func AppendFiller(dst []byte, h Header) ([]byte, Header) {
	h.ProducerID, h.ProducerEpoch, h.BaseSequence = kafka.NoProducerID, kafka.NoProducerEpoch, kafka.NoSequence
	h.Attributes, h.MaxTimestamp = 0, kafka.NoTimestamp
	return AppendEmpty(dst, h)
}
