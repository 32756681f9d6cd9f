package batch

import (
	"bytes"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/compress"
)

func addGolden(f *testing.F, add func(b []byte)) {
	for _, name := range []string{"none", "gzip", "snappy", "lz4", "zstd", "commit"} {
		add(golden(f, name))
	}
	for c := compress.None; c <= compress.Zstd; c++ {
		add(smallBatch(c, 3))
	}
	add(append(smallBatch(compress.None, 1), smallBatch(compress.LZ4, 2)...))
	add(nil)
}

func isProtocolError(err error) bool {
	var protocol *kerr.Error
	return errors.As(err, &protocol)
}

func FuzzParseHeader(f *testing.F) {
	addGolden(f, func(b []byte) { f.Add(b) })
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := ParseHeader(b)
		if err != nil {
			if !isProtocolError(err) {
				t.Fatalf("an error of no protocol meaning: %v", err)
			}
			return
		}
		if again := appendHeader(nil, h); !bytes.Equal(again, b[:HeaderSize]) {
			t.Fatalf("%+v becomes %x instead of %x", h, again, b[:HeaderSize])
		}
		if h.Size() < HeaderSize || h.Magic != Magic {
			t.Fatalf("accepted %+v", h)
		}
		total := 0
		for one, err := range Split(b) {
			if err != nil {
				break
			}
			total += len(one)
			StampOffset(one, 7, 8)
			_ = CheckCRC(one)
		}
		if total > len(b) {
			t.Fatalf("%d bytes of %d were split off", total, len(b))
		}
	})
}

func FuzzRecords(f *testing.F) {
	addGolden(f, func(b []byte) { f.Add(b) })
	f.Fuzz(func(t *testing.T, b []byte) {
		const limit = 1 << 20
		h, _ := ParseHeader(b)
		var n, size int
		for r, err := range Records(b, limit) {
			if err != nil {
				if !isProtocolError(err) {
					t.Fatalf("an error of no protocol meaning: %v", err)
				}
				return
			}
			if typ, err := ControlRecordType(r.Key); err == nil && typ == ControlCommit {
				_, _ = ParseEndTxn(r.Value)
			}
			n++
			size += len(r.Key) + len(r.Value)
		}
		if n != int(h.Count) || size > limit && h.Attributes.Codec() != compress.None {
			t.Fatalf("%d records of %d, %d bytes", n, h.Count, size)
		}
	})
}

// FuzzValidateProduce makes the checksum right, so that what lies behind it is reached.
func FuzzValidateProduce(f *testing.F) {
	addGolden(f, func(b []byte) {
		for target := int8(0); target <= 5; target++ {
			f.Add(b, target, target%2 == 0, target%3 == 0, int64(3_600_000))
		}
	})
	f.Fuzz(func(t *testing.T, b []byte, target int8, appendTime, compacted bool, window int64) {
		b = bytes.Clone(b)
		if size, err := sizeOf(b); err == nil && size <= len(b) {
			stampCRC(b[:size])
		}
		if target < 0 || target > 5 {
			target = 0
		}
		r := ProduceRules{
			Now: time.UnixMilli(oracleNow), TimestampBeforeMax: time.Duration(window), TimestampAfterMax: NoTimestampLimit, Compacted: compacted,
			MaxMessageBytes: 1 << 20, MaxDecompressedBytes: 1 << 20, TargetCodec: TargetCodec(target), ZstdAllowed: true,
		}
		if appendTime {
			r.TimestampType = LogAppendTime
		}
		v, err := ValidateProduce(b, r)
		if err != nil {
			if !isProtocolError(err) {
				t.Fatalf("an error of no protocol meaning: %v", err)
			}
			return
		}
		checkValidated(t, v, r)
	})
}

// checkValidated holds what is accepted to what everyone relies on.
func checkValidated(t *testing.T, v Validated, r ProduceRules) {
	t.Helper()
	if err := CheckCRC(v.Batch); err != nil {
		t.Fatal(err)
	}
	if h, err := ParseHeader(v.Batch); err != nil || h != v.Header || h.Size() != len(v.Batch) {
		t.Fatalf("header %+v of %d bytes is said to be %+v, %v", h, len(v.Batch), v.Header, err)
	}
	if v.Header.Attributes.TimestampType() != r.TimestampType || v.Header.MaxTimestamp != v.MaxTimestamp {
		t.Fatalf("timestamps of %+v", v.Header)
	}
	next, latest, at := int32(0), int64(math.MinInt64), int32(-1)
	for rec, err := range Records(v.Batch, 4<<20) {
		if err != nil {
			t.Fatalf("accepted what cannot be read: %v", err)
		}
		if int32(rec.Offset) != next || r.Compacted && rec.Key == nil {
			t.Fatalf("record %d has offset %d and key %q", next, rec.Offset, rec.Key)
		}
		if rec.Timestamp > latest {
			latest, at = rec.Timestamp, next
		}
		next++
	}
	if next != v.Header.Count || next-1 != v.Header.LastOffsetDelta {
		t.Fatalf("%d records in %+v", next, v.Header)
	}
	if latest == v.MaxTimestamp && at != v.OffsetOfMaxTimestamp {
		t.Fatalf("largest timestamp is at %d, not %d", at, v.OffsetOfMaxTimestamp)
	}
	again := r
	again.TargetCodec = KeepCodec
	if r.TimestampType == CreateTime {
		if _, err := ValidateProduce(bytes.Clone(v.Batch), again); err != nil {
			t.Fatalf("what was accepted is not accepted again: %v", err)
		}
	}
}
