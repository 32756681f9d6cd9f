package batch

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/base/compress"
)

var benchRules = ProduceRules{
	Now: time.UnixMilli(oracleNow), TimestampBeforeMax: NoTimestampLimit, TimestampAfterMax: time.Hour,
	MaxMessageBytes: 2 << 20, ZstdAllowed: true,
}

// benchBatch is a batch of about size bytes before compression, of records of about 100 bytes.
func benchBatch(c compress.Codec, size int) []byte {
	b := NewBuilder(BuilderConfig{Codec: c})
	for i := 0; b.Size() < size-100; i++ {
		b.Append(oracleNow+int64(i), fmt.Appendf(nil, "user-%06d", i*7919%100_000), fmt.Appendf(nil, `{"item":%d,"price":%d,"note":"%s"}`, i, i*31%997, bytes.Repeat([]byte("n"), 50)), nil)
	}
	return b.Bytes(nil)
}

func BenchmarkValidateProduce(b *testing.B) {
	for _, size := range []int{16 << 10, 1 << 20} {
		for c := compress.None; c <= compress.Zstd; c++ {
			b.Run(fmt.Sprintf("%s/%dKiB", c, size>>10), func(b *testing.B) {
				in := benchBatch(c, size)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := ValidateProduce(in, benchRules); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkRecompress(b *testing.B) {
	in := benchBatch(compress.None, 64<<10)
	for c := compress.Gzip; c <= compress.Zstd; c++ {
		b.Run(c.String(), func(b *testing.B) {
			rules := benchRules
			rules.TargetCodec = RecompressTo(c)
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ValidateProduce(in, rules); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCheckCRC(b *testing.B) {
	in := benchBatch(compress.None, 1<<20)
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		if err := CheckCRC(in); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseHeader(b *testing.B) {
	in := benchBatch(compress.None, 16<<10)
	for b.Loop() {
		if _, err := ParseHeader(in); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReader(b *testing.B) {
	in := benchBatch(compress.None, 1<<20)
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	var r Reader
	var rec Record
	for b.Loop() {
		if err := r.Reset(in, 0); err != nil {
			b.Fatal(err)
		}
		for {
			more, err := r.Next(&rec)
			if err != nil {
				b.Fatal(err)
			}
			if !more {
				break
			}
		}
	}
}

func BenchmarkBuilder(b *testing.B) {
	key, value := []byte("user-000001"), bytes.Repeat([]byte("v"), 100)
	builder := NewBuilder(BuilderConfig{})
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		builder.Reset(BuilderConfig{})
		for i := range int64(100) {
			builder.Append(oracleNow+i, key, value, nil)
		}
		out = builder.Bytes(out[:0])
	}
	b.SetBytes(int64(len(out)))
}
