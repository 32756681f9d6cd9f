package batch

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/headrace/headrace/internal/base/compress"
	"github.com/headrace/headrace/internal/base/kafka"
)

// sieved is a batch of five records, the third without a value, of producer 7.
func sieved(c compress.Codec, t TimestampType) []byte {
	b := NewBuilder(BuilderConfig{Codec: c, ProducerID: 7, Epoch: 2, BaseSequence: 40, BaseOffset: 1000, LeaderEpoch: 3,
		Transactional: true, TimestampType: t, AppendTime: 5000})
	for i := range 5 {
		value := bytes.Repeat([]byte{byte('a' + i)}, 40)
		if i == 2 {
			value = nil
		}
		b.Append(int64(100+10*i), fmt.Appendf(nil, "k%d", i), value, []RecordHeader{{Key: "h", Value: []byte{byte(i)}}, {Key: ""}})
	}
	return b.Bytes(nil)
}

func recordsOf(t *testing.T, b []byte) []Record {
	t.Helper()
	if err := CheckCRC(b); err != nil {
		t.Fatal(err)
	}
	var all []Record
	for r, err := range Records(b, 1<<20) {
		if err != nil {
			t.Fatal(err)
		}
		r.Headers = slices.Clone(r.Headers)
		all = append(all, r)
	}
	return all
}

func equalRecord(a, b Record) bool {
	return a.Offset == b.Offset && a.Timestamp == b.Timestamp && bytes.Equal(a.Key, b.Key) && bytes.Equal(a.Value, b.Value) &&
		(a.Value == nil) == (b.Value == nil) && slices.EqualFunc(a.Headers, b.Headers, func(x, y RecordHeader) bool {
		return x.Key == y.Key && bytes.Equal(x.Value, y.Value) && (x.Value == nil) == (y.Value == nil)
	})
}

func TestASieveKeepsWhatTheRecordsAndTheBatchWere(t *testing.T) {
	var s Sieve
	for _, codec := range []compress.Codec{compress.None, compress.Gzip, compress.Snappy, compress.LZ4, compress.Zstd} {
		for _, tt := range []TimestampType{CreateTime, LogAppendTime} {
			one := sieved(codec, tt)
			all := recordsOf(t, one)
			for set := 1; set < 32; set++ {
				for _, horizon := range []int64{-1, 777_000} {
					was, err := s.Load(one, 1<<20)
					if err != nil {
						t.Fatal(err)
					}
					i := -1
					found, err := s.Sift(func(SieveRecord) bool { i++; return set&(1<<i) != 0 })
					if err != nil || found.Records != 5 || found.Tombstones != (set&4 != 0) {
						t.Fatalf("%v %v %+v", err, set, found)
					}
					got, h, err := s.AppendKept([]byte("before"), horizon)
					if err != nil || string(got[:6]) != "before" {
						t.Fatal(err)
					}
					got = got[6:]
					var want []Record
					for i, r := range all {
						if set&(1<<i) != 0 {
							want = append(want, r)
						}
					}
					if rs := recordsOf(t, got); !slices.EqualFunc(rs, want, equalRecord) || len(rs) != found.Kept {
						t.Fatalf("%v %v set %b horizon %d: %v, want %v", codec, tt, set, horizon, rs, want)
					}
					parsed, err := ParseHeader(got)
					if err != nil || parsed != h {
						t.Fatalf("%v: %+v, told %+v", err, parsed, h)
					}
					if at, ok := h.DeleteHorizon(); ok != (horizon >= 0) || ok && at != horizon {
						t.Fatalf("horizon %d %v, want %d", at, ok, horizon)
					}
					maxTs := want[0].Timestamp
					for _, r := range want {
						maxTs = max(maxTs, r.Timestamp)
					}
					if h.BaseOffset != was.BaseOffset || h.LastOffsetDelta != 4 || h.ProducerID != 7 || h.ProducerEpoch != 2 || h.BaseSequence != 40 ||
						h.LeaderEpoch != 3 || h.Attributes.Codec() != codec || !h.Attributes.IsTransactional() || h.MaxTimestamp != maxTs {
						t.Fatalf("header %+v of %+v", h, was)
					}
				}
			}
		}
	}
}

func TestADeleteHorizonStaysWhenTheBatchIsMadeAnew(t *testing.T) {
	one := sieved(compress.Zstd, CreateTime)
	all := recordsOf(t, one)
	var s Sieve
	sift := func(b []byte, horizon int64, keep func(SieveRecord) bool) []byte {
		t.Helper()
		if _, err := s.Load(b, 1<<20); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Sift(keep); err != nil {
			t.Fatal(err)
		}
		got, _, err := s.AppendKept(nil, horizon)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	stamped := sift(one, 900, func(SieveRecord) bool { return true })
	again := sift(stamped, -1, func(r SieveRecord) bool { return r.Offset > 1000 })
	h, _ := ParseHeader(again)
	if at, ok := h.DeleteHorizon(); !ok || at != 900 {
		t.Errorf("horizon %d %v", at, ok)
	}
	if got := recordsOf(t, again); !slices.EqualFunc(got, all[1:], equalRecord) {
		t.Errorf("records %v, want %v", got, all[1:])
	}
}

func TestAnEmptiedBatchTellsItsOffsetsAndItsProducer(t *testing.T) {
	one := sieved(compress.LZ4, CreateTime)
	was, _ := ParseHeader(one)
	got, h := AppendEmpty(nil, was)
	if len(got) != HeaderSize || len(recordsOf(t, got)) != 0 {
		t.Fatalf("%d bytes", len(got))
	}
	if h.LastOffset() != was.LastOffset() || h.BaseOffset != was.BaseOffset || h.LastSequence() != was.LastSequence() || h.ProducerID != 7 ||
		h.MaxTimestamp != was.MaxTimestamp || !h.Attributes.IsTransactional() || h.Attributes.Codec() != compress.None || h.LeaderEpoch != 3 {
		t.Errorf("header %+v of %+v", h, was)
	}
	got, h = AppendFiller(nil, was)
	if h.LastOffset() != was.LastOffset() || h.HasProducer() || h.Attributes != 0 || h.MaxTimestamp != kafka.NoTimestamp || h.LeaderEpoch != 3 {
		t.Errorf("filler %+v", h)
	}
	var s Sieve
	if _, err := s.Load(got, 0); err != nil {
		t.Error(err)
	}
	if found, err := s.Sift(func(SieveRecord) bool { return true }); err != nil || found.Records != 0 {
		t.Error(found, err)
	}
}

func TestASieveTakesNoChangedByte(t *testing.T) {
	one := sieved(compress.Gzip, CreateTime)
	var s Sieve
	for i := range one {
		b := bytes.Clone(one)
		b[i] ^= 4
		_, err := s.Load(b, 1<<20)
		outside := i < atLength || i >= atLeaderEpoch && i < atMagic // what the checksum does not cover
		if (err == nil) != outside {
			t.Errorf("byte %d changed: %v", i, err)
		}
	}
}

func FuzzSieve(f *testing.F) {
	for _, c := range []compress.Codec{compress.None, compress.Zstd} {
		one := sieved(c, CreateTime)
		f.Add(one, uint64(5))
	}
	f.Fuzz(func(t *testing.T, one []byte, set uint64) {
		if len(one) >= HeaderSize {
			one = bytes.Clone(one)
			stampCRC(one)
		}
		var s Sieve
		if _, err := s.Load(one, 1<<20); err != nil {
			return
		}
		i := -1
		found, err := s.Sift(func(SieveRecord) bool { i++; return set&(1<<(i%64)) != 0 })
		if err != nil || found.Kept == 0 {
			return
		}
		b, h, err := s.AppendKept(nil, int64(set))
		if err != nil || int(h.Count) != found.Kept || CheckCRC(b) != nil {
			t.Fatalf("%v, %d of %d records", err, h.Count, found.Kept)
		}
		n := 0
		for _, err := range Records(b, 1<<22) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		if n != found.Kept {
			t.Fatalf("%d records, kept %d", n, found.Kept)
		}
	})
}
