package batch

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/compress"
)

// TargetCodec is a topic's compression.type. The zero value keeps the producer's codec.
type TargetCodec int8

// KeepCodec is compression.type=producer.
const KeepCodec TargetCodec = 0

// RecompressTo is the target that stores every batch with codec c; compress.None inflates.
func RecompressTo(c compress.Codec) TargetCodec { return TargetCodec(c) + 1 }

// ParseTargetCodec reads a compression.type: producer, uncompressed, gzip, snappy, lz4 or zstd.
func ParseTargetCodec(s string) (TargetCodec, error) {
	if s == "producer" {
		return KeepCodec, nil
	}
	c, err := compress.Parse(s)
	if err != nil || s == "none" {
		return KeepCodec, fmt.Errorf("compression type %q: want producer, uncompressed, gzip, snappy, lz4 or zstd", s)
	}
	return RecompressTo(c), nil
}

// of is the codec that a batch of codec source is stored with.
func (t TargetCodec) of(source compress.Codec) compress.Codec {
	if t == KeepCodec {
		return source
	}
	return compress.Codec(t - 1)
}

// NoTimestampLimit is a TimestampBeforeMax or TimestampAfterMax that allows everything.
const NoTimestampLimit = time.Duration(math.MaxInt64)

// ProduceRules are what a topic's configuration and the request's version say about the batches that clients send.
type ProduceRules struct {
	// Now is when the batch arrived.
	Now time.Time
	// TimestampType is message.timestamp.type; LogAppendTime overwrites every record's timestamp with Now.
	TimestampType TimestampType
	// TimestampBeforeMax and TimestampAfterMax bound how far CreateTime timestamps may be from Now. Zero means "exactly now";
	// NoTimestampLimit is for none.
	TimestampBeforeMax time.Duration
	TimestampAfterMax  time.Duration
	// Compacted topics take no record without a key.
	Compacted bool
	// MaxMessageBytes bounds the whole batch as stored.
	MaxMessageBytes int
	// MaxDecompressedBytes bounds the records of a batch when inflated; zero is DefaultMaxDecompressed.
	MaxDecompressedBytes int64
	// Scratch is memory that records may be inflated into; without it, or where it is too small, some is taken. Nothing of the
	// result aliases it.
	Scratch []byte
	// TargetCodec is compression.type, TargetLevel its level (compress.DefaultLevel for the default).
	TargetCodec TargetCodec
	TargetLevel int
	// ZstdAllowed is false for Produce requests before version 7.
	ZstdAllowed bool
	// InternalClient says that a coordinator of this node built the batch: control records, any base offset, and a producer
	// without a sequence are allowed.
	InternalClient bool
}

// Validated is a batch that may be appended.
type Validated struct {
	// Batch is exactly one batch with base offset 0 as yet. It aliases what was checked, or is new memory.
	Batch []byte
	// Header is that of Batch.
	Header Header
	// MaxTimestamp is the largest timestamp of the records, or LogAppendTime.
	MaxTimestamp int64
	// OffsetOfMaxTimestamp is the offset delta of the first record that has MaxTimestamp.
	OffsetOfMaxTimestamp int32
	// LogAppendTime is what the Produce response tells the client: -1 unless the topic overwrites timestamps.
	LogAppendTime int64
}

// RecordError says what is wrong with one record of a batch, by its index.
type RecordError struct {
	Index   int32
	Message string
}

// RecordErrors rejects a batch because of single records. It unwraps to the protocol's error: InvalidRecord or InvalidTimestamp.
type RecordErrors struct {
	Errors  []RecordError
	Message string
	Err     *kerr.Error
}

// Error names the first records that are wrong.
func (e *RecordErrors) Error() string {
	var s strings.Builder
	s.WriteString(e.Message)
	for i, r := range e.Errors {
		if i == 3 {
			fmt.Fprintf(&s, "; and %d more", len(e.Errors)-i)
			break
		}
		fmt.Fprintf(&s, "; record %d: %s", r.Index, r.Message)
	}
	return s.String()
}

// Unwrap is the protocol's error.
func (e *RecordErrors) Unwrap() error { return e.Err }
