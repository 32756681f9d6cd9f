package batch

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/kafka"
)

// RecordHeader is one header of a record. Value nil is null.
type RecordHeader struct {
	Key   string
	Value []byte
}

// Record is one record of a batch. Key and Value nil are null, which an empty slice is not.
type Record struct {
	Offset    kafka.Offset
	Timestamp int64
	Key       []byte
	Value     []byte
	Headers   []RecordHeader
}

// Errors of records. Each wraps kerr.InvalidRecord.
var (
	errRecordSize     = fmt.Errorf("record is not as long as it declares: %w", kerr.InvalidRecord)
	errRecordField    = fmt.Errorf("record has a field that goes past its end: %w", kerr.InvalidRecord)
	errRecordHeaders  = fmt.Errorf("record has an impossible number of headers: %w", kerr.InvalidRecord)
	errHeaderKey      = fmt.Errorf("record has a header without a key: %w", kerr.InvalidRecord)
	errMissingRecords = fmt.Errorf("batch has fewer records than it declares: %w", kerr.InvalidRecord)
	errMoreRecords    = fmt.Errorf("batch has bytes after its last record: %w", kerr.InvalidRecord)
	errRecordCount    = fmt.Errorf("batch declares a negative number of records: %w", kerr.InvalidRecord)
)

// rawRecord is a record as it lies in the batch, its headers unread but walked.
type rawRecord struct {
	timestampDelta int64
	offsetDelta    int32
	key, value     []byte
	headers        []byte // from the first header on
	headerCount    int32
}

// cutRecord reads the record that b, the rest of a batch's records inflated, begins with, into r, and returns what follows it.
func cutRecord(b []byte, r *rawRecord) ([]byte, error) {
	size, n := varint32(b)
	if n == 0 {
		return nil, errMissingRecords
	}
	b = b[n:]
	if size < 1 || int(size) > len(b) {
		return nil, errRecordSize
	}
	rest := b[size:]
	b = b[1:size] // without the attributes, which mean nothing yet
	if r.timestampDelta, n = varint64(b); n == 0 {
		return nil, errRecordField
	}
	b = b[n:]
	if r.offsetDelta, n = varint32(b); n == 0 {
		return nil, errRecordField
	}
	b = b[n:]
	var ok bool
	if r.key, b, ok = cutBytes(b); !ok {
		return nil, errRecordField
	}
	if r.value, b, ok = cutBytes(b); !ok {
		return nil, errRecordField
	}
	if r.headerCount, n = varint32(b); n == 0 {
		return nil, errRecordField
	}
	b = b[n:]
	r.headers = b
	if r.headerCount != 0 {
		return rest, checkHeaders(b, r.headerCount)
	}
	if len(b) != 0 {
		return nil, errRecordSize
	}
	return rest, nil
}

// cutBytes cuts a length and as many bytes off b. Any negative length is null.
func cutBytes(b []byte) (field, rest []byte, ok bool) {
	size, n := varint32(b)
	if n == 0 {
		return nil, nil, false
	}
	b = b[n:]
	if size < 0 {
		return nil, b, true
	}
	if int(size) > len(b) {
		return nil, nil, false
	}
	return b[:size:size], b[size:], true
}

// checkHeaders walks count headers, which must fill b.
func checkHeaders(b []byte, count int32) error {
	if count < 0 || int(count) > len(b) {
		return errRecordHeaders
	}
	for ; count > 0; count-- {
		key, rest, ok := cutBytes(b)
		if !ok {
			return errRecordField
		}
		if key == nil {
			return errHeaderKey
		}
		if _, b, ok = cutBytes(rest); !ok {
			return errRecordField
		}
	}
	if len(b) != 0 {
		return errRecordSize
	}
	return nil
}

// appendHeaders appends the headers of r, which cutRecord has walked. Their values alias the batch.
func (r *rawRecord) appendHeaders(dst []RecordHeader) []RecordHeader {
	b := r.headers
	for i := int32(0); i < r.headerCount; i++ {
		var key, value []byte
		key, b, _ = cutBytes(b)
		value, b, _ = cutBytes(b)
		dst = append(dst, RecordHeader{Key: string(key), Value: value})
	}
	return dst
}
