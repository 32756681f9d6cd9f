package hostile

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/compress"
)

// Where the fields of a batch are.
const (
	atBaseOffset, atLength, atMagic, atCRC, atAttributes     = 0, 8, 16, 17, 21
	atLastOffsetDelta, atProducerID, atBaseSequence, atCount = 23, 43, 53, 57
)

// set writes a number of so many bits into a batch.
func set(at, bits int, n int64) func([]byte) []byte {
	return func(b []byte) []byte {
		switch bits {
		case 8:
			b[at] = byte(n)
		case 16:
			binary.BigEndian.PutUint16(b[at:], uint16(n))
		case 32:
			binary.BigEndian.PutUint32(b[at:], uint32(n))
		case 64:
			binary.BigEndian.PutUint64(b[at:], uint64(n))
		}
		return b
	}
}

// sealed makes a batch's checksum right after what was done to it.
func sealed(change func([]byte) []byte) func([]byte) []byte {
	return func(b []byte) []byte {
		b = change(b)
		binary.BigEndian.PutUint32(b[atCRC:], crc32.Checksum(b[atAttributes:], crc32.MakeTable(crc32.Castagnoli)))
		return b
	}
}

// body replaces the records of a batch, and makes length and checksum right.
func body(records []byte) func([]byte) []byte {
	return sealed(func(b []byte) []byte {
		b = append(b[:batch.HeaderSize:batch.HeaderSize], records...)
		binary.BigEndian.PutUint32(b[atLength:], uint32(len(b)-batch.LogOverhead))
		return b
	})
}

// record is one record of fields that are varints or bytes, behind a length that is off by lie.
func record(lie int64, fields ...any) []byte {
	var b []byte
	for _, f := range fields {
		switch f := f.(type) {
		case int:
			b = binary.AppendVarint(b, int64(f))
		case string:
			b = append(b, f...)
		}
	}
	return append(binary.AppendVarint(nil, int64(len(b))+lie), b...)
}

// lies are changes to a batch of one record, and the error that Apache Kafka has for each.
func lies() map[string]struct {
	want   *kerr.Error
	change func([]byte) []byte
} {
	type lie = struct {
		want   *kerr.Error
		change func([]byte) []byte
	}
	corrupt, invalid, codec := kerr.CorruptMessage, kerr.InvalidRecord, kerr.UnsupportedCompressionType
	whole := func(b []byte) []byte { return b }
	return map[string]lie{
		"a wrong checksum":            {corrupt, set(atCRC, 32, 7)},
		"a changed byte":              {corrupt, func(b []byte) []byte { b[len(b)-1] ^= 1; return b }},
		"magic 0":                     {invalid, sealed(set(atMagic, 8, 0))},
		"magic 1":                     {invalid, sealed(set(atMagic, 8, 1))},
		"magic 3":                     {corrupt, sealed(set(atMagic, 8, 3))},
		"magic -1":                    {corrupt, sealed(set(atMagic, 8, -1))},
		"a base offset":               {invalid, sealed(set(atBaseOffset, 64, 5))},
		"a negative base offset":      {invalid, sealed(set(atBaseOffset, 64, -5))},
		"no records, it says":         {invalid, sealed(set(atCount, 32, 0))},
		"less than no records":        {invalid, sealed(set(atCount, 32, -1))},
		"more records than there are": {invalid, sealed(set(atCount, 32, 2))},
		"records without end":         {invalid, sealed(set(atCount, 32, math.MaxInt32))},
		"a last delta without record": {invalid, sealed(set(atLastOffsetDelta, 32, 4))},
		"the largest last delta":      {invalid, sealed(set(atLastOffsetDelta, 32, math.MaxInt32))},
		"a negative last delta":       {invalid, sealed(set(atLastOffsetDelta, 32, -1))},
		"count and delta that agree": {invalid, sealed(func(b []byte) []byte {
			return set(atCount, 32, math.MaxInt32)(set(atLastOffsetDelta, 32, math.MaxInt32-1)(b))
		})},
		"a negative length":           {corrupt, set(atLength, 32, -1)},
		"a length of nothing":         {corrupt, set(atLength, 32, 0)},
		"the length of an old header": {corrupt, set(atLength, 32, 14)},
		"the largest length":          {corrupt, set(atLength, 32, math.MaxInt32)},
		"a length past the end":       {invalid, set(atLength, 32, 1<<20)},
		"a length short of the end": {corrupt, func(b []byte) []byte {
			return set(atLength, 32, int64(len(b)-batch.LogOverhead-3))(b)
		}},
		"a control record":          {invalid, sealed(set(atAttributes, 16, 0x20))},
		"no sequence of a producer": {invalid, sealed(set(atProducerID, 64, 7))},
		"a transaction": {kerr.UnsupportedVersion, sealed(func(b []byte) []byte {
			return set(atAttributes, 16, 0x10)(set(atProducerID, 64, 7)(set(atProducerID+8, 16, 0)(set(atBaseSequence, 32, 0)(b))))
		})},
		"codec 5":                     {codec, sealed(set(atAttributes, 16, 5))},
		"codec 6":                     {codec, sealed(set(atAttributes, 16, 6))},
		"codec 7":                     {codec, sealed(set(atAttributes, 16, 7))},
		"gzip that is none":           {invalid, sealed(set(atAttributes, 16, 1))},
		"snappy that is none":         {invalid, sealed(set(atAttributes, 16, 2))},
		"lz4 that is none":            {invalid, sealed(set(atAttributes, 16, 3))},
		"zstd that is none":           {invalid, sealed(set(atAttributes, 16, 4))},
		"nothing":                     {invalid, func([]byte) []byte { return nil }},
		"a header without a batch":    {invalid, func(b []byte) []byte { return b[:batch.HeaderSize] }},
		"a header without its end":    {invalid, func(b []byte) []byte { return b[:40] }},
		"half a batch":                {invalid, func(b []byte) []byte { return b[:len(b)-1] }},
		"two batches":                 {invalid, func(b []byte) []byte { return append(b, b...) }},
		"an empty body":               {invalid, body(nil)},
		"half a record":               {invalid, body(record(5, 0, 0, 0, -1, -1, 0))},
		"a record longer than it is":  {invalid, body(append(record(2, 0, 0, 0, -1, -1, 0), 0))},
		"a record shorter than it is": {invalid, body(record(-1, 0, 0, 0, -1, -1, 0))},
		"a record of nothing":         {invalid, body([]byte{0})},
		"a record of less than that":  {invalid, body([]byte{1})},
		"the longest record":          {invalid, body(binary.AppendVarint(nil, math.MaxInt32))},
		"a record past all numbers":   {invalid, body(bytes.Repeat([]byte{0xff}, 12))},
		"a key past the end":          {invalid, body(record(0, 0, 0, 0, 100, "key"))},
		"the longest key":             {invalid, body(record(0, 0, 0, 0, math.MaxInt32, "key"))},
		"a value past the end":        {invalid, body(record(0, 0, 0, 0, 1, "k", math.MaxInt32-1, "v"))},
		"headers without end":         {invalid, body(record(0, 0, 0, 0, -1, -1, math.MaxInt32))},
		"less than no headers":        {invalid, body(record(0, 0, 0, 0, -1, -1, -1))},
		"a header without a key":      {invalid, body(record(0, 0, 0, 0, -1, -1, 1, -1, -1))},
		"a header past the end":       {invalid, body(record(0, 0, 0, 0, -1, -1, 1, 100, "k"))},
		"bytes after the records":     {invalid, body(append(record(0, 0, 0, 0, -1, -1, 0), 1, 2, 3))},
		"a record that is whole":      {nil, body(record(0, 0, 0, 0, -1, -1, 0))},
		"what is right":               {nil, whole},
	}
}

// produce sends one batch and returns the answer's code, with acks=all.
func (p *peer) produce(topic string, version int16, b []byte) (int16, outcome) {
	p.send(produceFrame(topic, version, b))
	answer, got := p.read(patience)
	if got != answered {
		return 0, got
	}
	resp, err := decode(int16(kmsg.Produce), version, answer[4:])
	if err != nil {
		p.t.Errorf("the answer cannot be read: %v", err)
		return 0, wrong
	}
	return resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode, answered
}

func produceFrame(topic string, version int16, b []byte) []byte {
	req := kmsg.NewPtrProduceRequest()
	req.SetVersion(version)
	req.Acks, req.TimeoutMillis = -1, 5000
	t := kmsg.NewProduceRequestTopic()
	t.Topic = topic
	part := kmsg.NewProduceRequestTopicPartition()
	part.Records = b
	t.Partitions = append(t.Partitions, part)
	req.Topics = append(req.Topics, t)
	return frame(req)
}

func nameOf(code int16) string {
	if err := kerr.ErrorForCode(code); err != nil {
		return err.Error()
	}
	return "no error"
}

// TestBatchesThatLieAreRefused has every lie answered with its code, on a connection that stays; in every codec the
// lies that are told inside of it. A true batch behind each shows that nothing of the lie was kept.
func TestBatchesThatLieAreRefused(t *testing.T) {
	v := here(t)
	v.beside(patience)
	p := v.peer(t)
	defer p.close()
	for what, lie := range lies() {
		want := int16(0)
		if lie.want != nil {
			want = lie.want.Code
		}
		for _, version := range []int16{3, 7, 9, 12} {
			b := lie.change(records(batch.BuilderConfig{}, 1))
			if b != nil && version < 7 && what == "zstd that is none" {
				continue // zstd is not known yet
			}
			if code, got := p.produce(v.topic, version, b); got != answered || code != want {
				t.Fatalf("%s in version %d: %v, %v instead of %v", what, version, got, nameOf(code), nameOf(want))
			}
		}
	}
	v.lieInside(t, p)
	zstd := records(batch.BuilderConfig{Codec: compress.Zstd}, 1)
	if code, got := p.produce(v.topic, 6, zstd); got != answered || code != kerr.UnsupportedCompressionType.Code {
		t.Errorf("zstd before it was known: %v, %v", got, nameOf(code))
	}
}

// lieInside tells the lies of records within compressed batches, and cuts those off at every length.
func (v *victim) lieInside(t *testing.T, p *peer) {
	t.Helper()
	one := records(batch.BuilderConfig{}, 1)
	for _, codec := range codecs()[1:] {
		for what, lie := range lies() {
			b := lie.change(bytes.Clone(one))
			if h, err := batch.ParseHeader(b); err != nil || h.Size() != len(b) || h.BaseOffset != 0 || !bytes.Equal(b[atAttributes:batch.HeaderSize], one[atAttributes:batch.HeaderSize]) || batch.CheckCRC(b) != nil {
				continue // not a lie of the records
			}
			inside, err := compress.Compress(nil, b[batch.HeaderSize:], codec, compress.DefaultLevel)
			if err != nil {
				t.Fatal(err)
			}
			want := kerr.InvalidRecord.Code
			if lie.want == nil {
				want = 0
			}
			b = compressed(codec, inside)
			if code, got := p.produce(v.topic, 9, b); got != answered || code != want {
				t.Errorf("%s inside %v: %v, %v", what, codec, got, nameOf(code))
			}
		}
		inside, _ := compress.Compress(nil, one[batch.HeaderSize:], codec, compress.DefaultLevel)
		for n := range len(inside) {
			if code, got := p.produce(v.topic, 9, compressed(codec, inside[:n])); got != answered || code != kerr.InvalidRecord.Code {
				t.Errorf("%v cut off at %d of %d: %v, %v", codec, n, len(inside), got, nameOf(code))
			}
		}
	}
}

// compressed is a batch of one record, it says, with the records as they are given.
func compressed(codec compress.Codec, inside []byte) []byte {
	b := body(inside)(records(batch.BuilderConfig{}, 1))
	return sealed(set(atAttributes, 16, int64(codec)))(b)
}

// resized makes a batch's length right.
func resized(b []byte) []byte { return set(atLength, 32, int64(len(b)-batch.LogOverhead))(b) }

// TestChangedBatchesAreRefusedOrStored changes batches of all codecs at random, checksum put right, so that what lies behind it
// is reached. What is stored is read by a client that checks it.
func TestChangedBatchesAreRefusedOrStored(t *testing.T) {
	v := here(t)
	v.beside(patience)
	rng := chance(t)
	p := v.peer(t)
	defer p.close()
	var originals [][]byte
	for _, codec := range codecs() {
		originals = append(originals, records(batch.BuilderConfig{Codec: codec}, 1), records(batch.BuilderConfig{Codec: codec}, 20))
	}
	stored, refused := 0, map[string]int{}
	for range either(4000, 200_000) {
		b := bytes.Clone(originals[rng.IntN(len(originals))])
		for range 1 + rng.IntN(2) {
			at := rng.IntN(len(b))
			switch rng.IntN(6) {
			case 0:
				b[at] ^= 1 << rng.IntN(8)
			case 1:
				b[at] = byte(rng.Uint32())
			case 2:
				copy(b[at:], varints[rng.IntN(len(varints))])
			case 3:
				copy(b[at:], binary.BigEndian.AppendUint32(nil, uint32(hostile32[rng.IntN(len(hostile32))])))
			case 4: // bytes more, mostly at the end
				at = max(batch.HeaderSize, min(len(b), at+rng.IntN(2)*len(b)))
				if batch.Attributes(b[atAttributes+1]).Codec() == compress.Gzip {
					at = batch.HeaderSize // Java takes bytes behind gzip for padding, so they are stored, though others fail on them
				}
				b = resized(slices.Insert(b, at, randomBytes(rng, 1+rng.IntN(30))...))
			case 5: // or less
				at = max(batch.HeaderSize, at)
				b = resized(slices.Delete(b, at, min(len(b), at+1+rng.IntN(8))))
			}
		}
		b = sealed(func(b []byte) []byte { return b })(b)
		code, got := p.produce(v.topic, 9, b)
		switch {
		case got != answered || code == kerr.UnknownServerError.Code:
			t.Fatalf("%v, %v to % x", got, nameOf(code), b)
		case code == 0:
			stored++
			if err := readable(b); err != nil {
				t.Fatalf("stored what clients cannot read: %v: % x", err, b)
			}
		default:
			refused[nameOf(code)]++
		}
	}
	t.Logf("%d stored, refused: %v", stored, refused)
	v.readAll(t, stored)
}
