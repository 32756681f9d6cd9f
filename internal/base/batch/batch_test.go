package batch

import (
	"bytes"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/compress"
	"github.com/headrace/headrace/internal/base/kafka"
)

// TestProduceAllocates holds the hot path to its budget: nothing, once the pools are filled.
func TestProduceAllocates(t *testing.T) {
	if underRace {
		t.Skip("pools are not kept under the race detector")
	}
	budget := map[compress.Codec]float64{compress.None: 0, compress.Gzip: 0, compress.Snappy: 0, compress.LZ4: 0, compress.Zstd: 0}
	for c, most := range budget {
		for _, size := range []int{16 << 10, 1 << 20} {
			for _, typ := range []TimestampType{CreateTime, LogAppendTime} {
				in := benchBatch(c, size)
				attributes := in[atAttributes+1]
				rules := benchRules
				rules.TimestampType = typ
				n := fewestAllocs(func() {
					if _, err := ValidateProduce(in, rules); err != nil {
						t.Fatal(err)
					}
					in[atAttributes+1] = attributes // as a client sends it
					stampCRC(in)
				})
				if n > most {
					t.Errorf("%s, %d bytes, %s: %v allocations, %v are allowed", c, size, typ, n, most)
				}
			}
		}
	}
}

// fewestAllocs is the least of several runs: a pool may be emptied at any time.
func fewestAllocs(f func()) float64 {
	fewest := math.Inf(1)
	for range 10 {
		fewest = min(fewest, testing.AllocsPerRun(1, f))
	}
	return fewest
}

func TestReaderAllocatesNothing(t *testing.T) {
	if underRace {
		t.Skip("pools are not kept under the race detector")
	}
	in := benchBatch(compress.LZ4, 64<<10)
	var r Reader
	var rec Record
	if n := fewestAllocs(func() {
		if err := r.Reset(in, 1<<20); err != nil {
			t.Fatal(err)
		}
		for more := true; more; {
			var err error
			if more, err = r.Next(&rec); err != nil {
				t.Fatal(err)
			}
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestSequencesWrap(t *testing.T) {
	for _, c := range []struct {
		base, delta, want int32
	}{{0, 0, 0}, {5, 3, 8}, {math.MaxInt32, 0, math.MaxInt32}, {math.MaxInt32, 1, 0}, {math.MaxInt32 - 2, 5, 2}, {-1, 4, -1}} {
		if got := (Header{BaseSequence: c.base, LastOffsetDelta: c.delta}).LastSequence(); got != c.want {
			t.Errorf("%d + %d is %d, want %d", c.base, c.delta, got, c.want)
		}
	}
}

func TestOffsetAndEpochAreStampedOutsideTheChecksum(t *testing.T) {
	b := smallBatch(compress.None, 3)
	StampOffset(b, 1<<40, 9)
	h, err := ParseHeader(b)
	if err != nil || CheckCRC(b) != nil {
		t.Fatal(err, CheckCRC(b))
	}
	if h.BaseOffset != 1<<40 || h.LeaderEpoch != 9 || h.LastOffset() != 1<<40+2 || h.NextOffset() != 1<<40+3 {
		t.Errorf("%+v", h)
	}
}

func TestLogAppendTimeIsEveryRecordsTimestamp(t *testing.T) {
	b := smallBatch(compress.Zstd, 3)
	StampLogAppendTime(b, 77)
	if err := CheckCRC(b); err != nil {
		t.Fatal(err)
	}
	for r, err := range Records(b, 1<<20) {
		if err != nil || r.Timestamp != 77 {
			t.Errorf("record %d has %d, %v", r.Offset, r.Timestamp, err)
		}
	}
}

func TestSplitEndsWithTheFirstBadBatch(t *testing.T) {
	one, two := smallBatch(compress.None, 1), smallBatch(compress.Gzip, 2)
	all := append(bytes.Clone(one), two...)
	for cut := range len(two) {
		var got [][]byte
		var last error
		for b, err := range Split(all[:len(one)+cut]) {
			if last = err; err == nil {
				got = append(got, b)
			}
		}
		if len(got) != 1 || !bytes.Equal(got[0], one) || (cut > 0) != errors.Is(last, ErrShort) {
			t.Fatalf("cut at %d: %d batches, %v", cut, len(got), last)
		}
	}
	if _, _, err := Next(nil); !errors.Is(err, ErrShort) {
		t.Error(err)
	}
}

func TestParseHeaderTellsErrorsApart(t *testing.T) {
	good := smallBatch(compress.None, 1)
	change := func(at int, to ...byte) []byte {
		b := bytes.Clone(good)
		copy(b[at:], to)
		return b
	}
	for name, c := range map[string]struct {
		b    []byte
		want error
	}{
		"short": {good[:60], ErrShort}, "format 1": {change(atMagic, 1), ErrOldMagic}, "old wraps": {change(atMagic, 0), kerr.UnsupportedForMessageFormat},
		"format 3": {change(atMagic, 3), kerr.CorruptMessage}, "negative length": {change(atLength, 0xff), kerr.CorruptMessage},
		"length 48": {change(atLength, 0, 0, 0, 48), kerr.CorruptMessage}, "overflow": {change(atLength, 0x7f, 0xff, 0xff, 0xff), kerr.CorruptMessage},
		"empty": {nil, ErrShort},
	} {
		if _, err := ParseHeader(c.b); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ParseHeader(good[:HeaderSize]); err != nil {
		t.Errorf("a header alone: %v", err)
	}
}

func TestBuilderKnowsTheSizeBeforehand(t *testing.T) {
	b := NewBuilder(BuilderConfig{})
	for i := range 200 {
		r := goldenRecord(i % goldenRecords)
		want := b.SizeWith(r.Timestamp, r.Key, r.Value, r.Headers)
		b.Append(r.Timestamp, r.Key, r.Value, r.Headers)
		if b.Size() != want {
			t.Fatalf("record %d: size %d, announced %d", i, b.Size(), want)
		}
	}
	if out := b.Bytes([]byte("before")); len(out) != b.Size()+6 || string(out[:6]) != "before" {
		t.Errorf("%d bytes, announced %d", len(out)-6, b.Size())
	}
}

func TestThreeZerosAreNoProducer(t *testing.T) {
	b := NewBuilder(BuilderConfig{})
	b.Append(1, nil, nil, nil)
	if h := b.Finish().Header; h.HasProducer() || h.ProducerEpoch != -1 || h.BaseSequence != -1 {
		t.Errorf("%+v", h)
	}
	b.Reset(BuilderConfig{ZeroProducer: true})
	b.Append(1, nil, nil, nil)
	if h := b.Finish().Header; !h.HasProducer() || h.ProducerEpoch != 0 || h.BaseSequence != 0 {
		t.Errorf("%+v", h)
	}
}

func TestWhatIsBuiltIsWhatIsValidated(t *testing.T) {
	for c := compress.None; c <= compress.Zstd; c++ {
		built := goldenBuilder(c).Finish()
		StampOffset(built.Batch, 0, 0)
		rules := benchRules
		got, err := ValidateProduce(bytes.Clone(built.Batch), rules)
		if err != nil || !bytes.Equal(got.Batch, built.Batch) || got.MaxTimestamp != built.MaxTimestamp ||
			got.OffsetOfMaxTimestamp != built.OffsetOfMaxTimestamp || got.LogAppendTime != built.LogAppendTime {
			t.Errorf("%s: %+v and %+v, %v", c, got, built, err)
		}
	}
}

func TestRecordsOfABatchOverTheLimitAreTooLarge(t *testing.T) {
	for c := compress.Gzip; c <= compress.Zstd; c++ {
		rules := benchRules
		rules.MaxDecompressedBytes = 10_000
		if _, err := ValidateProduce(benchBatch(c, 64<<10), rules); !errors.Is(err, kerr.MessageTooLarge) {
			t.Errorf("%s: %v", c, err)
		}
	}
}

func TestMillionsOfWrongRecordsCostLittle(t *testing.T) {
	b := NewBuilder(BuilderConfig{})
	for range 100_000 {
		b.Append(0, nil, nil, nil)
	}
	rules := benchRules
	rules.Compacted = true
	_, err := ValidateProduce(b.Bytes(nil), rules)
	var single *RecordErrors
	if !errors.As(err, &single) || len(single.Errors) != maxRecordErrors || !errors.Is(err, kerr.InvalidRecord) {
		t.Fatal(err)
	}
}

func TestTheLevelOfTheTopicIsUsed(t *testing.T) {
	in := benchBatch(compress.None, 256<<10)
	size := map[int]int{}
	for _, level := range []int{1, 9} {
		rules := benchRules
		rules.TargetCodec, rules.TargetLevel = RecompressTo(compress.Gzip), level
		v, err := ValidateProduce(bytes.Clone(in), rules)
		if err != nil {
			t.Fatal(err)
		}
		size[level] = len(v.Batch)
	}
	if size[9] >= size[1] {
		t.Errorf("level 9 makes %d bytes, level 1 %d", size[9], size[1])
	}
	rules := benchRules
	rules.TargetCodec, rules.TargetLevel = RecompressTo(compress.Gzip), 99
	if _, err := ValidateProduce(in, rules); err == nil {
		t.Error("level 99 was taken")
	}
}

func TestControlKeysOfOtherVersions(t *testing.T) {
	for _, c := range []struct {
		key  string
		want ControlType
		ok   bool
	}{{"\x00\x00\x00\x01", ControlCommit, true}, {"\x00\x05\x00\x63more", 99, true}, {"\xff\xff\x00\x01", 0, false}, {"\x00\x00\x00", 0, false}, {"", 0, false}} {
		got, err := ControlRecordType([]byte(c.key))
		if got != c.want || (err == nil) != c.ok {
			t.Errorf("%x: %d, %v", c.key, got, err)
		}
	}
}

func TestTargetCodecNames(t *testing.T) {
	for name, want := range map[string]TargetCodec{"producer": KeepCodec, "uncompressed": RecompressTo(compress.None), "zstd": RecompressTo(compress.Zstd)} {
		if got, err := ParseTargetCodec(name); got != want || err != nil {
			t.Errorf("%s: %d, %v", name, got, err)
		}
	}
	for _, name := range []string{"none", "", "brotli"} {
		if _, err := ParseTargetCodec(name); err == nil {
			t.Errorf("%q was taken", name)
		}
	}
}

func TestARecordInThePastIsNamed(t *testing.T) {
	b := NewBuilder(BuilderConfig{})
	b.Append(oracleNow, nil, nil, nil)
	b.Append(oracleNow-61_000, nil, nil, nil)
	b.Append(kafka.NoTimestamp, nil, nil, nil)
	rules := benchRules
	rules.TimestampBeforeMax = time.Minute
	_, err := ValidateProduce(b.Bytes(nil), rules)
	var single *RecordErrors
	if !errors.As(err, &single) || !errors.Is(err, kerr.InvalidTimestamp) || len(single.Errors) != 1 || single.Errors[0].Index != 1 {
		t.Fatal(err)
	}
}
