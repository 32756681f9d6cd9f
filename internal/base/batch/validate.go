package batch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/compress"
	"github.com/headrace/headrace/internal/base/kafka"
)

// Errors that need no facts. Each wraps the error that Apache Kafka answers with.
var (
	errNoBatch    = fmt.Errorf("no whole record batch was sent: %w", kerr.InvalidRecord)
	errTwoBatches = fmt.Errorf("more than one record batch was sent: %w", kerr.InvalidRecord)
	errOldBatch   = fmt.Errorf("record batch is of a format before 2: %w", kerr.InvalidRecord)
	errZstd       = fmt.Errorf("zstd is not allowed before version 7 of Produce: %w", kerr.UnsupportedCompressionType)
	errControl    = fmt.Errorf("clients may not write control records: %w", kerr.InvalidRecord)
)

// ValidateProduce checks what a client sent for one partition: exactly one batch of format 2, its checksum, header and
// records, against the topic's rules. It answers as Apache Kafka does, except that it
//
//   - gives records whose offset deltas are not 0, 1, 2, … new ones in uncompressed batches too, where Kafka stores them as they are;
//   - holds coordinators to the rules for offsets and counts, too;
//   - refuses records of compressed batches that do not fill the length they declare, which Kafka stores unread;
//   - says INVALID_RECORD for records that do not inflate, and UNSUPPORTED_COMPRESSION_TYPE for an unknown codec, where Kafka
//     says UNKNOWN_SERVER_ERROR.
//
// Bytes after the batch that are no whole batch are cut off. The batch is changed in place where timestamps have to be. The
// result aliases records, or is new memory when the batch was compressed anew. Uncompressed batches allocate nothing.
func ValidateProduce(records []byte, r ProduceRules) (Validated, error) {
	one, err := onlyBatch(records, r.ZstdAllowed)
	if err != nil {
		return Validated{}, err
	}
	h, err := checkBatch(one, &r)
	if err != nil {
		return Validated{}, err
	}
	body := one[HeaderSize:]
	if h.Attributes.Codec() != compress.None {
		s := scratches.Get().(*scratch)
		defer s.release()
		if cap(r.Scratch) > cap(s.b) {
			own := s.b
			s.b = r.Scratch
			defer func() { s.b = own }()
		}
		if s.b, err = inflate(s.b[:0], body, h.Attributes.Codec(), r.maxDecompressed()); err != nil {
			if errors.Is(err, kerr.CorruptMessage) {
				// The checksum is right, so sending it again would not help, which is what CORRUPT_MESSAGE invites to.
				err = fmt.Errorf("records do not inflate: %w", kerr.InvalidRecord)
			}
			return Validated{}, err
		}
		body = s.b
	}
	w, err := walk(body, &h, &r)
	if err != nil {
		return Validated{}, err
	}
	return accept(one, h, body, w, &r)
}

// onlyBatch finds the one batch in b, with the errors of Kafka's checks of a produce request.
func onlyBatch(b []byte, zstdAllowed bool) ([]byte, error) {
	n, err := wholeBatch(b)
	switch {
	case err != nil:
		return nil, err
	case n == 0:
		return nil, errNoBatch
	case b[atMagic] < Magic:
		return nil, errOldBatch
	case n < HeaderSize:
		return nil, errLength
	}
	if !zstdAllowed && Attributes(binary.BigEndian.Uint16(b[atAttributes:])).Codec() == compress.Zstd {
		return nil, errZstd
	}
	more, err := wholeBatch(b[n:])
	switch {
	case err != nil:
		return nil, err
	case more > 0:
		return nil, errTwoBatches
	}
	return b[:n:n], nil
}

// wholeBatch is the size of the batch, of any format, that b begins with, or 0 when b ends before it does.
func wholeBatch(b []byte) (int, error) {
	if len(b) < LogOverhead {
		return 0, nil
	}
	length := int32(binary.BigEndian.Uint32(b[atLength:]))
	if length < oldOverhead || length > MaxLength {
		return 0, errLength
	}
	if len(b) <= atMagic {
		return 0, nil
	}
	if b[atMagic] > Magic {
		return 0, errMagic
	}
	if n := LogOverhead + int(length); n <= len(b) {
		return n, nil
	}
	return 0, nil
}

// checkBatch checks all of a batch but its records.
func checkBatch(one []byte, r *ProduceRules) (Header, error) {
	h, err := ParseHeader(one)
	if err != nil {
		return h, err
	}
	if !r.InternalClient && h.BaseOffset != 0 {
		return h, fmt.Errorf("base offset of the record batch is %d instead of 0: %w", h.BaseOffset, kerr.InvalidRecord)
	}
	if len(one) > r.MaxMessageBytes {
		return h, tooLarge(len(one), r)
	}
	if h.CRC != checksum(one) {
		return h, ErrCRC
	}
	if c := h.Attributes.Codec(); !c.Known() {
		return h, fmt.Errorf("record batch has the unknown compression type %d: %w", int8(c), kerr.UnsupportedCompressionType)
	}
	return h, checkFields(&h, r.InternalClient)
}

// checkFields checks what the header's fields say of each other.
func checkFields(h *Header, internal bool) error {
	switch {
	case h.LastOffsetDelta < 0:
		return fmt.Errorf("record batch ends at offset delta %d: %w", h.LastOffsetDelta, kerr.InvalidRecord)
	case h.Count <= 0:
		return fmt.Errorf("record batch declares %d records: %w", h.Count, kerr.InvalidRecord)
	case int64(h.LastOffsetDelta)+1 != int64(h.Count):
		return fmt.Errorf("record batch of %d records ends at offset delta %d: %w", h.Count, h.LastOffsetDelta, kerr.InvalidRecord)
	case internal:
		return nil
	case h.Attributes.IsControl():
		return errControl
	case h.HasProducer() && h.BaseSequence < 0:
		return fmt.Errorf("record batch of producer %d has the sequence %d: %w", h.ProducerID, h.BaseSequence, kerr.InvalidRecord)
	}
	return nil
}

func tooLarge(size int, r *ProduceRules) error {
	return fmt.Errorf("record batch has %d bytes, more than the %d allowed: %w", size, r.MaxMessageBytes, kerr.MessageTooLarge)
}

func (r *ProduceRules) maxDecompressed() int64 {
	if r.MaxDecompressedBytes > 0 {
		return r.MaxDecompressedBytes
	}
	return DefaultMaxDecompressed
}

// walked is what a walk over the records found.
type walked struct {
	max         int64
	offsetOfMax int32
	gapless     bool // offset deltas are 0, 1, 2, …
}

// walk checks every record of body, which is inflated, once.
func walk(body []byte, h *Header, r *ProduceRules) (walked, error) {
	w := walked{max: kafka.NoTimestamp, gapless: true}
	window := timestampWindow{
		now: r.Now.UnixMilli(), before: limitMs(r.TimestampBeforeMax), after: limitMs(r.TimestampAfterMax),
		checked: r.TimestampType == CreateTime, stamped: h.Attributes.TimestampType() == LogAppendTime,
	}
	var rejected rejections
	var raw rawRecord
	var err error
	for i := int32(0); i < h.Count; i++ {
		if body, err = cutRecord(body, &raw); err != nil {
			return w, err
		}
		ts := h.BaseTimestamp + raw.timestampDelta
		if window.stamped {
			ts = h.MaxTimestamp
		}
		if ts > w.max {
			w.max, w.offsetOfMax = ts, i
		}
		w.gapless = w.gapless && raw.offsetDelta == i
		if r.Compacted && raw.key == nil {
			rejected.noKey(i)
		} else if !window.allows(ts) {
			rejected.timestamp(i, ts, &window)
		}
	}
	if len(body) != 0 {
		return w, errMoreRecords
	}
	return w, rejected.err()
}

// timestampWindow decides on the timestamps of records, in milliseconds.
type timestampWindow struct {
	now, before, after int64
	checked            bool // the topic keeps the clients' timestamps
	stamped            bool // the batch claims to have the timestamps of a log
}

// allows follows Kafka to the letter: a batch that claims LogAppendTime passes where its timestamp is in the window.
func (w *timestampWindow) allows(ts int64) bool {
	if w.checked && ts != kafka.NoTimestamp {
		age := w.now - ts
		return age <= w.before && -age <= w.after
	}
	return !w.stamped
}

func limitMs(d time.Duration) int64 {
	if d == NoTimestampLimit {
		return math.MaxInt64
	}
	return d.Milliseconds()
}

// accept makes the batch ready to be appended: in place where its records may stay as they are.
func accept(one []byte, h Header, body []byte, w walked, r *ProduceRules) (Validated, error) {
	v := Validated{MaxTimestamp: w.max, OffsetOfMaxTimestamp: w.offsetOfMax, LogAppendTime: kafka.NoTimestamp}
	if r.TimestampType == LogAppendTime {
		now := r.Now.UnixMilli()
		v.MaxTimestamp, v.OffsetOfMaxTimestamp, v.LogAppendTime = now, 0, now
	}
	source := h.Attributes.Codec()
	target := r.TargetCodec.of(source)
	if source == compress.None && h.Attributes.IsControl() {
		target = compress.None // control records are not compressed unless they came so
	}
	if w.gapless && source == target {
		if h.MaxTimestamp != v.MaxTimestamp || h.Attributes.TimestampType() != r.TimestampType {
			h.MaxTimestamp = v.MaxTimestamp
			h.Attributes, h.CRC = stampTimestamp(one, r.TimestampType, v.MaxTimestamp)
		}
		v.Batch, v.Header = one, h
		return v, nil
	}
	if err := rewrite(&v, h, body, w, target, r); err != nil {
		return Validated{}, err
	}
	return v, nil
}

// rewrite makes v's batch anew, of the inflated records in body, with another codec or offset deltas.
func rewrite(v *Validated, h Header, body []byte, w walked, target compress.Codec, r *ProduceRules) error {
	if !target.Known() || !compress.ValidLevel(target, r.TargetLevel) {
		return fmt.Errorf("topic has no valid compression: %s, level %d", target, r.TargetLevel)
	}
	stamped := h.Attributes.TimestampType() == LogAppendTime
	if !w.gapless || stamped {
		s := scratches.Get().(*scratch)
		defer s.release()
		var err error
		if s.b, h.BaseTimestamp, err = renumber(slices.Grow(s.b[:0], len(body)), &h, body); err != nil {
			return err
		}
		body = s.b
	}
	h.Attributes = Attributes(target) | h.Attributes&(attrTransactional|attrControl)
	if r.TimestampType == LogAppendTime {
		h.Attributes |= attrLogAppendTime
	}
	h.MaxTimestamp = v.MaxTimestamp
	// What was a bomb may be one no longer: no more memory is taken than it may have.
	limit := r.MaxMessageBytes - HeaderSize
	var err error
	v.Batch, v.Header, err = assembleWithin(make([]byte, 0, HeaderSize+min(len(body), max(limit, 0))), h, body, r.TargetLevel, int64(limit))
	if errors.Is(err, compress.ErrLimit) {
		return fmt.Errorf("record batch has more than the %d bytes allowed when it is compressed anew: %w", r.MaxMessageBytes, kerr.MessageTooLarge)
	}
	return err
}

// renumber appends the records of body, which a walk has checked, to dst with the offset deltas 0, 1, 2, …, and with timestamps of
// their own where the batch has one for all. It returns the base of those timestamps.
func renumber(dst []byte, h *Header, body []byte) ([]byte, int64, error) {
	base := h.BaseTimestamp
	if h.Attributes.TimestampType() == LogAppendTime {
		base = h.MaxTimestamp
	}
	var raw rawRecord
	for i := int32(0); i < h.Count; i++ {
		var err error
		if body, err = cutRecord(body, &raw); err != nil {
			return dst, base, err
		}
		delta := raw.timestampDelta
		if h.Attributes.TimestampType() == LogAppendTime {
			delta = 0
		}
		dst = appendRaw(dst, i, delta, &raw)
	}
	return dst, base, nil
}

// scratch is memory for inflated records.
type scratch struct{ b []byte }

// maxScratch is the largest memory that is kept for the next batch.
const maxScratch = 4 << 20

var scratches = sync.Pool{New: func() any { return new(scratch) }}

func (s *scratch) release() {
	if cap(s.b) <= maxScratch {
		scratches.Put(s)
	}
}
