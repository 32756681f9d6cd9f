package batch

import (
	"errors"
	"fmt"
	"iter"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/compress"
	"github.com/headrace/headrace/internal/base/kafka"
)

// DefaultMaxDecompressed is the limit on the inflated records of one batch where the caller has none of its own.
const DefaultMaxDecompressed = 128 << 20

// Records walks the records of b, which is exactly one batch whose CRC the caller has checked or trusts. Compressed records are
// inflated to at most limit bytes. The records alias b, or, for a compressed batch, memory of their own; they may be kept
// as long as b may. An error ends the walk and wraps kerr.CorruptMessage (header, compression) or kerr.InvalidRecord.
func Records(b []byte, limit int64) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		var r Reader
		if err := r.Reset(b, limit); err != nil {
			yield(Record{}, err)
			return
		}
		for {
			var rec Record
			more, err := r.Next(&rec)
			if err != nil {
				yield(Record{}, err)
				return
			}
			if !more || !yield(rec, nil) {
				return
			}
		}
	}
}

// A Reader walks the records of one batch after another and uses its memory again: records of a compressed batch, and the
// Headers slice given to Next, are good until the next Reset or Next. The zero value is ready.
type Reader struct {
	header  Header
	rest    []byte
	left    int32
	scratch []byte
}

// Reset makes the reader read b, which is exactly one batch, as Records does.
func (r *Reader) Reset(b []byte, limit int64) error {
	r.rest, r.left = nil, 0
	h, err := ParseHeader(b)
	if err != nil {
		return err
	}
	if h.Size() != len(b) {
		return fmt.Errorf("batch of %d bytes declares %d: %w", len(b), h.Size(), kerr.CorruptMessage)
	}
	if h.Count < 0 {
		return errRecordCount
	}
	r.header = h
	r.rest = b[HeaderSize:]
	if codec := h.Attributes.Codec(); codec != compress.None {
		if h.Count == 0 && len(r.rest) == 0 {
			return nil // as the cleaner leaves a batch all of whose records are gone
		}
		if r.scratch, err = inflate(r.scratch[:0], r.rest, codec, limit); err != nil {
			return err
		}
		r.rest = r.scratch
	}
	r.left = h.Count
	return nil
}

// Header is that of the batch given to Reset.
func (r *Reader) Header() Header { return r.header }

// Next reads the next record into rec, or tells that there is none. rec.Headers is used again when it has room.
func (r *Reader) Next(rec *Record) (bool, error) {
	if r.left == 0 {
		if len(r.rest) != 0 {
			return false, errMoreRecords
		}
		return false, nil
	}
	var raw rawRecord
	rest, err := cutRecord(r.rest, &raw)
	if err != nil {
		return false, err
	}
	r.rest = rest
	r.left--
	rec.Offset = r.header.BaseOffset + kafka.Offset(raw.offsetDelta)
	rec.Timestamp = r.header.BaseTimestamp + raw.timestampDelta
	if r.header.Attributes.TimestampType() == LogAppendTime {
		rec.Timestamp = r.header.MaxTimestamp
	}
	rec.Key, rec.Value = raw.key, raw.value
	rec.Headers = raw.appendHeaders(rec.Headers[:0])
	return true, nil
}

// inflate appends the inflated records to dst, with the errors of this package.
func inflate(dst, src []byte, codec compress.Codec, limit int64) ([]byte, error) {
	dst, err := compress.Decompress(dst, src, codec, limit)
	switch {
	case err == nil:
		return dst, nil
	case errors.Is(err, compress.ErrUnknownCodec):
		return dst, fmt.Errorf("records: %w: %w", err, kerr.UnsupportedCompressionType)
	case errors.Is(err, compress.ErrLimit):
		return dst, fmt.Errorf("records: %w of %d bytes: %w", err, limit, kerr.MessageTooLarge)
	}
	return dst, fmt.Errorf("records: %w: %w", err, kerr.CorruptMessage)
}
