package compress

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

var codecs = []Codec{None, Gzip, Snappy, LZ4, Zstd}

// inputs are of every kind that a codec treats differently.
func inputs() map[string][]byte {
	rng := rand.New(rand.NewPCG(1, 2))
	random := make([]byte, 150_000)
	for i := range random {
		random[i] = byte(rng.Uint32())
	}
	var text []byte
	for i := range 5_000 {
		text = fmt.Appendf(text, `{"id":%d,"name":"user-%d","score":%d}`, i, rng.IntN(1000), rng.IntN(100))
	}
	return map[string][]byte{
		"empty": {}, "byte": {7}, "zeros": make([]byte, 300_000), "random": random, "text": text,
		"block": text[:lz4WriteBlock], "block+1": text[:lz4WriteBlock+1], "xerial block": text[:xerialBlock],
	}
}

func TestRoundTripOfEveryCodecAndLevel(t *testing.T) {
	levels := map[Codec][]int{None: {0}, Gzip: {0, -1, 1, 6, 9}, Snappy: {0}, LZ4: {0, 1, 8, 9, 10, 17}, Zstd: {0, -131072, -1, 1, 3, 8, 22}}
	for _, c := range codecs {
		for name, in := range inputs() {
			for _, level := range levels[c] {
				packed, err := Compress([]byte("head"), in, c, level)
				if err != nil || string(packed[:4]) != "head" {
					t.Fatalf("%s level %d of %s: %v", c, level, name, err)
				}
				out, err := Decompress([]byte("before"), packed[4:], c, int64(len(in)))
				if err != nil || !bytes.Equal(out, append([]byte("before"), in...)) {
					t.Errorf("%s level %d of %s: %d bytes came back of %d, %v", c, level, name, len(out)-6, len(in), err)
				}
			}
		}
	}
}

func TestLevelsAndCodecsThatDoNotExistAreRefused(t *testing.T) {
	for _, bad := range []struct {
		codec Codec
		level int
	}{{Gzip, 10}, {Gzip, -2}, {LZ4, 18}, {LZ4, -1}, {Zstd, 23}, {Zstd, -131073}, {Snappy, 1}, {None, 1}, {5, 0}, {-1, 0}, {7, 0}} {
		if _, err := Compress(nil, []byte("x"), bad.codec, bad.level); err == nil {
			t.Errorf("%s has level %d", bad.codec, bad.level)
		}
	}
	if _, err := Decompress(nil, []byte("x"), 5, 10); !errors.Is(err, ErrUnknownCodec) {
		t.Errorf("codec 5: %v", err)
	}
}

func TestNamesOfCodecs(t *testing.T) {
	for _, c := range codecs {
		if got, err := Parse(c.String()); got != c || err != nil {
			t.Errorf("%s parses to %s, %v", c, got, err)
		}
	}
	if _, err := Parse("brotli"); !errors.Is(err, ErrUnknownCodec) {
		t.Error(err)
	}
}

func TestTheLimitHoldsToTheByte(t *testing.T) {
	for _, c := range codecs {
		for name, in := range inputs() {
			if len(in) == 0 {
				continue
			}
			packed, err := Compress(nil, in, c, DefaultLevel)
			if err != nil {
				t.Fatal(err)
			}
			for _, limit := range []int64{0, 1, int64(len(in)) / 2, int64(len(in)) - 1} {
				if limit >= int64(len(in)) {
					continue
				}
				if _, err := Decompress(nil, packed, c, limit); !errors.Is(err, ErrLimit) {
					t.Errorf("%s of %s with limit %d of %d: %v", c, name, limit, len(in), err)
				}
			}
		}
	}
}

// bombs inflate to 64 MiB.
func bombs(t testing.TB) map[Codec][]byte {
	const size = 64 << 20
	var gz, zs bytes.Buffer
	zeros := make([]byte, 1<<20)
	gw, _ := gzip.NewWriterLevel(&gz, 9)
	zw, err := zstd.NewWriter(&zs, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	for range size / len(zeros) {
		gw.Write(zeros)
		zw.Write(zeros)
	}
	gw.Close()
	zw.Close()

	block := s2.EncodeSnappy(nil, zeros)
	xerial := []byte(xerialHeader)
	for range size / len(zeros) {
		xerial = binary.BigEndian.AppendUint32(xerial, uint32(len(block)))
		xerial = append(xerial, block...)
	}

	frame, err := Compress(nil, zeros[:lz4WriteBlock], LZ4, DefaultLevel)
	if err != nil {
		t.Fatal(err)
	}
	lz := bytes.Clone(frame[:7])
	for range size / lz4WriteBlock {
		lz = append(lz, frame[7:len(frame)-4]...)
	}
	return map[Codec][]byte{Gzip: gz.Bytes(), Zstd: zs.Bytes(), Snappy: xerial, LZ4: append(lz, 0, 0, 0, 0)}
}

func TestBombsCostNoMoreThanTheLimit(t *testing.T) {
	if underRace {
		t.Skip("pools are not kept under the race detector")
	}
	const limit = 1 << 20
	for c, bomb := range bombs(t) {
		t.Run(c.String(), func(t *testing.T) {
			if _, err := Decompress(nil, bomb, c, limit); !errors.Is(err, ErrLimit) {
				t.Fatal(err) // and the pools are warm
			}
			if n := allocated(func() { Decompress(nil, bomb, c, limit) }); n > 4*limit {
				t.Errorf("a bomb of %d bytes took %d bytes with a limit of %d", len(bomb), n, limit)
			}
		})
	}
}

// TestDeclaredLengthsTakeNoMemory sends inputs that declare much and hold nothing.
func TestDeclaredLengthsTakeNoMemory(t *testing.T) {
	if underRace {
		t.Skip("pools are not kept under the race detector")
	}
	const limit = 1 << 30
	for name, in := range map[string]struct {
		codec Codec
		b     []byte
	}{
		"raw snappy":       {Snappy, []byte("\xff\xff\xff\xff\x03\x00a")},
		"xerial snappy":    {Snappy, []byte(xerialHeader + "\x00\x00\x00\x07\xff\xff\xff\xff\x03\x00a")},
		"xerial length":    {Snappy, []byte(xerialHeader + "\x7f\xff\xff\xff\x03\x00a")},
		"zstd frame":       {Zstd, []byte("\x28\xb5\x2f\xfd\xa0\x00\x00\x00\x20\x01\x00\x00")},
		"zstd window":      {Zstd, []byte("\x28\xb5\x2f\xfd\x00\x88\x01\x00\x00")},
		"zstd huge window": {Zstd, []byte("\x28\xb5\x2f\xfd\x00\xf8\x01\x00\x00")},
		"lz4 block size":   {LZ4, lz4Header(t, lz4Version|lz4Independent, 7<<4, "\x10\x00\x00\x00\x00\x00")},
	} {
		t.Run(name, func(t *testing.T) {
			Decompress(nil, in.b, in.codec, limit)
			if n := allocated(func() { Decompress(nil, in.b, in.codec, limit) }); n > 256<<10 {
				t.Errorf("%d bytes of input took %d", len(in.b), n)
			}
		})
	}
}

// allocated is the memory that f takes, the least of several runs: a pool may be emptied at any time.
func allocated(f func()) uint64 {
	least := uint64(math.MaxUint64)
	for range 5 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		least = min(least, after.TotalAlloc-before.TotalAlloc)
	}
	return least
}

func lz4Header(t testing.TB, flags, bd byte, rest string) []byte {
	t.Helper()
	b := binary.LittleEndian.AppendUint32(nil, lz4Magic)
	b = append(b, flags, bd)
	b = append(b, byte(xxh32(b[4:])>>8))
	return append(b, rest...)
}

func TestDamageIsFound(t *testing.T) {
	in := inputs()["text"][:5000]
	for _, c := range codecs[1:] {
		packed, err := Compress(nil, in, c, DefaultLevel)
		if err != nil {
			t.Fatal(err)
		}
		for n := range len(packed) {
			// Cut at the border of a block, the xerial framing has no end of its own.
			if out, err := Decompress(nil, packed[:n], c, 1<<20); err == nil && !(c == Snappy && (n == len(xerialHeader) || n == 0)) {
				t.Errorf("%s cut to %d of %d bytes gave %d bytes", c, n, len(packed), len(out))
			} else if err != nil && !errors.Is(err, ErrCorrupt) {
				t.Errorf("%s cut to %d bytes: %v", c, n, err)
			}
		}
	}
}

func TestSnappyOfEveryFraming(t *testing.T) {
	in := inputs()["text"][:100_000]
	raw := s2.EncodeSnappy(nil, in)
	framed, err := Compress(nil, in, Snappy, DefaultLevel)
	if err != nil {
		t.Fatal(err)
	}
	twice := append(bytes.Clone(framed), framed...)
	for name, c := range map[string]struct{ in, want []byte }{
		"raw": {raw, in}, "xerial": {framed, in}, "two streams": {twice, append(bytes.Clone(in), in...)},
	} {
		if out, err := Decompress(nil, c.in, Snappy, 1<<20); err != nil || !bytes.Equal(out, c.want) {
			t.Errorf("%s: %d bytes, %v", name, len(out), err)
		}
	}
	if _, err := Decompress(nil, s2.Encode(nil, make([]byte, 10_000)), Snappy, 1<<20); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a block that only S2 can read: %v", err)
	}
}

func TestLZ4FramesOfOtherWriters(t *testing.T) {
	in := inputs()["text"]
	for _, size := range []lz4.BlockSize{lz4.Block64Kb, lz4.Block256Kb, lz4.Block1Mb, lz4.Block4Mb} {
		for _, sums := range []bool{false, true} {
			var out bytes.Buffer
			w := lz4.NewWriter(&out)
			if err := w.Apply(lz4.BlockSizeOption(size), lz4.ChecksumOption(sums), lz4.BlockChecksumOption(sums), lz4.SizeOption(uint64(len(in)))); err != nil {
				t.Fatal(err)
			}
			w.Write(in)
			w.Close()
			if got, err := Decompress(nil, out.Bytes(), LZ4, 4<<20); err != nil || !bytes.Equal(got, in) {
				t.Errorf("blocks of %d, checksums %v: %d bytes, %v", size, sums, len(got), err)
			}
		}
	}
	ours, err := Compress(nil, in, LZ4, DefaultLevel)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(lz4.NewReader(bytes.NewReader(ours))); err != nil || !bytes.Equal(got, in) {
		t.Errorf("the library reads %d bytes, %v", len(got), err)
	}
}

func TestLZ4FramesThatKafkaDoesNotReadAreRefused(t *testing.T) {
	good := byte(lz4Version | lz4Independent)
	for name, b := range map[string][]byte{
		"linked blocks": lz4Header(t, lz4Version, lz4Block64KiB, "\x00\x00\x00\x00"),
		"dictionary":    lz4Header(t, good|1, lz4Block64KiB, "\x00\x00\x00\x00"),
		"version 2":     lz4Header(t, 2<<6|lz4Independent, lz4Block64KiB, "\x00\x00\x00\x00"),
		"block size 3":  lz4Header(t, good, 3<<4, "\x00\x00\x00\x00"),
		"reserved bits": lz4Header(t, good, lz4Block64KiB|1, "\x00\x00\x00\x00"),
		"large block":   lz4Header(t, good, lz4Block64KiB, "\x01\x00\x01\x00"),
		// Java takes it for the end of the frame; other libraries look for another block behind it, and fail.
		"empty block": lz4Header(t, good, lz4Block64KiB, "\x00\x00\x00\x80"),
		// Java reads one frame and no further; other libraries want another frame there.
		"bytes behind":               lz4Header(t, good, lz4Block64KiB, "\x00\x00\x00\x00\x00"),
		"bytes behind content's sum": lz4Header(t, good|lz4ContentSum, lz4Block64KiB, "\x00\x00\x00\x00\x05\x5d\xcc\x02\x00"),
		"another frame":              lz4Header(t, good, lz4Block64KiB, "\x00\x00\x00\x00"+string(lz4Header(t, good, lz4Block64KiB, "\x00\x00\x00\x00"))),
	} {
		if _, err := Decompress(nil, b, LZ4, 1<<20); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if out, err := Decompress(nil, lz4Header(t, good, lz4Block64KiB, "\x00\x00\x00\x00"), LZ4, 0); err != nil || len(out) != 0 {
		t.Errorf("the frame of no blocks: %d bytes, %v", len(out), err)
	}
}

func TestGzipOfSeveralMembers(t *testing.T) {
	one, err := Compress(nil, []byte("one"), Gzip, DefaultLevel)
	if err != nil {
		t.Fatal(err)
	}
	two, err := Compress(one, []byte("two"), Gzip, DefaultLevel)
	if err != nil {
		t.Fatal(err)
	}
	for _, padding := range []string{"", "\x00\x00\x00\x00"} {
		if out, err := Decompress(nil, append(bytes.Clone(two), padding...), Gzip, 6); string(out) != "onetwo" || err != nil {
			t.Errorf("%q, %v", out, err)
		}
	}
	if _, err := Decompress(nil, two, Gzip, 5); !errors.Is(err, ErrLimit) {
		t.Error(err)
	}
}

func TestXXH32(t *testing.T) {
	// The vectors are those of the algorithm's specification and of the lz4 library's frames above.
	for in, want := range map[string]uint32{"": 0x02cc5d05, "a": 0x550d7456, "abc": 0x32d153ff, "Nobody inspects the spammish repetition": 0xe2293b2f} {
		if got := xxh32([]byte(in)); got != want {
			t.Errorf("%q: %#x, want %#x", in, got, want)
		}
	}
}

func FuzzDecompress(f *testing.F) {
	for _, c := range codecs {
		for _, in := range []string{"", "a", "hello hello hello hello hello hello"} {
			packed, err := Compress(nil, []byte(in), c, DefaultLevel)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(packed, int8(c))
		}
	}
	f.Add(s2.EncodeSnappy(nil, make([]byte, 100)), int8(Snappy))
	f.Add([]byte("\x28\xb5\x2f\xfd\xa0\x00\x00\x00\x20\x01\x00\x00"), int8(Zstd))
	f.Fuzz(func(t *testing.T, in []byte, codec int8) {
		const limit = 1 << 16
		prefix := []byte("prefix")
		out, err := Decompress(prefix, in, Codec(codec), limit)
		if err != nil {
			if !errors.Is(err, ErrLimit) && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrUnknownCodec) {
				t.Fatalf("an error of no kind: %v", err)
			}
			return
		}
		if len(out) > limit+len(prefix) || string(out[:len(prefix)]) != "prefix" {
			t.Fatalf("%d bytes with a limit of %d", len(out), limit)
		}
		again, err := Decompress(make([]byte, 0, 32), in, Codec(codec), int64(len(out)-len(prefix)))
		if err != nil || !bytes.Equal(again, out[len(prefix):]) {
			t.Fatalf("the second time differs: %v", err)
		}
	})
}

func BenchmarkCompress(b *testing.B)   { benchmark(b, true) }
func BenchmarkDecompress(b *testing.B) { benchmark(b, false) }

func benchmark(b *testing.B, compress bool) {
	text := inputs()["text"][:64<<10]
	for _, c := range codecs[1:] {
		b.Run(c.String(), func(b *testing.B) {
			packed, err := Compress(nil, text, c, DefaultLevel)
			if err != nil {
				b.Fatal(err)
			}
			buf := make([]byte, 0, 128<<10)
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if compress {
					_, err = Compress(buf, text, c, DefaultLevel)
				} else {
					_, err = Decompress(buf, packed, c, 1<<20)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestCompressingEndsAtTheLimit(t *testing.T) {
	src := make([]byte, 24<<20) // random, so that it stays as large
	rand.NewChaCha8([32]byte{}).Read(src)
	for _, c := range []Codec{None, Gzip, Snappy, LZ4, Zstd} {
		const limit = 1 << 20
		if _, err := CompressWithin(nil, src, c, DefaultLevel, limit); !errors.Is(err, ErrLimit) {
			t.Errorf("%v: %v", c, err)
		}
		// Encoders are kept, and take memory of their own the first time.
		if n := allocated(func() { CompressWithin(nil, src, c, DefaultLevel, limit) }); n > 16*limit {
			t.Errorf("%v: %d bytes with a limit of %d", c, n, limit)
		}
		for _, n := range []int{0, 1000, 12 << 20} { // beyond zstdAtOnce, too
			one, err := CompressWithin([]byte("before"), src[:n], c, DefaultLevel, 13<<20)
			if err != nil {
				t.Fatalf("%v: %v", c, err)
			}
			if got, err := Decompress(nil, one[len("before"):], c, 13<<20); err != nil || !bytes.Equal(got, src[:n]) {
				t.Errorf("%v: %d bytes come back as %d: %v", c, n, len(got), err)
			}
		}
	}
}
