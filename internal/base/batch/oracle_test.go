package batch

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/compress"
	"github.com/headrace/headrace/internal/base/kafka"
)

// oracleNow is the clock of testdata/Oracle.java.
const oracleNow = 1_700_000_000_000

var (
	writeQuestions = flag.String("questions", "", "write questions for testdata/Oracle.java to this file")
	questionCount  = flag.Int("question-count", 300, "how many of them are mutations of good batches")
	answersFile    = flag.String("answers", "testdata/validate.golden", "the answers of testdata/Oracle.java")
)

// TestProduceValidationIsKafkas compares ValidateProduce with the answers of Kafka's own classes to the same batches.
func TestProduceValidationIsKafkas(t *testing.T) {
	if *writeQuestions != "" {
		if err := os.WriteFile(*writeQuestions, questions(*questionCount), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Open(*answersFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	counts := map[string]int{}
	for n := 1; lines.Scan(); n++ {
		field := strings.Split(lines.Text(), "\t")
		input, err := hex.DecodeString(field[1])
		if len(field) != 3 || err != nil {
			t.Fatalf("line %d is not rules, batch and answer", n)
		}
		got := ourAnswer(parseRules(t, field[0]), input)
		kind, ok := sameAnswer(field[2], got, codecOf(input) != compress.None)
		if !ok {
			t.Errorf("line %d, rules %s, batch %s:\n got %s\nwant %s", n, field[0], field[1], got, field[2])
		}
		counts[kind]++
	}
	if counts["OK"] == 0 || counts["error"] == 0 {
		t.Errorf("the answers hold too little: %v", counts)
	}
	t.Log(counts)
}

// sameAnswer compares Kafka's answer with ours, apart from the differences that ValidateProduce documents.
func sameAnswer(want, got string, compressed bool) (kind string, ok bool) {
	switch {
	case want == got && strings.HasPrefix(want, "OK"):
		return "OK", true
	case want == got:
		return "error", true
	case want == "UNKNOWN_SERVER_ERROR" && strings.HasPrefix(got, "OK"):
		// Kafka fails at rewriting: compressed records with gaps, which it skipped instead of reading, and odd producer fields.
		return "rewritten", strings.Split(got, " ")[2] == "new" && !hasGaps(got)
	case want == "UNKNOWN_SERVER_ERROR":
		// Kafka does not expect these; any error that the client understands will do.
		return "unexpected", got == "INVALID_RECORD" || got == "UNSUPPORTED_COMPRESSION_TYPE" || got == "CORRUPT_MESSAGE" || got == "MESSAGE_TOO_LARGE"
	case want == "OK UNREADABLE":
		return "unreadable", got == "INVALID_RECORD"
	case strings.HasPrefix(want, "INVALID_") && strings.Contains(want, " "):
		// Kafka names the records it rejects although it could not have read all of them.
		return "unread", compressed && got == "INVALID_RECORD"
	case strings.HasPrefix(want, "OK") && strings.HasPrefix(got, "OK"):
		return "renumbered", withoutOffsets(want) == withoutOffsets(got) && hasGaps(want) && !hasGaps(got)
	}
	return "different", false
}

func codecOf(b []byte) compress.Codec {
	if len(b) < HeaderSize {
		return compress.None
	}
	return Attributes(b[atAttributes+1]).Codec()
}

// The records of an answer follow 15 words: OK, largest timestamp, checksum and the twelve of the header, each beginning with its offset.
func withoutOffsets(answer string) string {
	words := strings.Split(answer, " ")
	words[2] = "" // the checksum
	for i := 15; i < len(words); i++ {
		_, words[i], _ = strings.Cut(words[i], ",")
	}
	return strings.Join(words, " ")
}

func hasGaps(answer string) bool {
	for i, word := range strings.Split(answer, " ")[15:] {
		if offset, _, _ := strings.Cut(word, ","); offset != strconv.Itoa(i) {
			return true
		}
	}
	return false
}

func parseRules(t *testing.T, s string) ProduceRules {
	t.Helper()
	w := strings.Split(s, " ")
	ms := func(s string) time.Duration {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if n == math.MaxInt64 {
			return NoTimestampLimit
		}
		return time.Duration(n) * time.Millisecond
	}
	target, err := ParseTargetCodec(w[6])
	if err != nil {
		t.Fatal(err)
	}
	version, _ := strconv.Atoi(w[0])
	size, _ := strconv.Atoi(w[5])
	r := ProduceRules{
		Now: time.UnixMilli(oracleNow), TimestampBeforeMax: ms(w[2]), TimestampAfterMax: ms(w[3]), Compacted: w[4] == "true",
		MaxMessageBytes: size, TargetCodec: target, ZstdAllowed: version >= 7, InternalClient: w[7] == "COORDINATOR",
	}
	if w[1] == "LogAppendTime" {
		r.TimestampType = LogAppendTime
	}
	return r
}

// ourAnswer is what Oracle.java would print if Kafka did as we do.
func ourAnswer(r ProduceRules, input []byte) string {
	input = bytes.Clone(input)
	v, err := ValidateProduce(input, r)
	var single *RecordErrors
	var protocol *kerr.Error
	switch {
	case errors.As(err, &single):
		s := single.Err.Message
		for _, e := range single.Errors {
			s += fmt.Sprintf(" %d", e.Index)
		}
		return s
	case errors.As(err, &protocol):
		return protocol.Message
	case err != nil:
		return err.Error()
	}
	crc := "new"
	if &v.Batch[0] == &input[0] {
		crc = strconv.FormatUint(uint64(v.Header.CRC), 16)
	}
	if err := CheckCRC(v.Batch); err != nil {
		return err.Error()
	}
	StampOffset(v.Batch, 0, 0)
	dump, err := dumpBatch(v.Batch)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("OK %d %s %s", v.MaxTimestamp, crc, dump)
}

// dumpBatch writes a batch as Oracle.java does.
func dumpBatch(b []byte) (string, error) {
	h, err := ParseHeader(b)
	if err != nil {
		return "", err
	}
	var s strings.Builder
	a := h.Attributes
	fmt.Fprint(&s, h.BaseOffset, " ", h.LastOffset(), " ", h.LeaderEpoch, " ", a.Codec(), " ", a.TimestampType(), " ", h.MaxTimestamp, " ",
		h.ProducerID, " ", h.ProducerEpoch, " ", h.BaseSequence, " ", a.IsTransactional(), " ", a.IsControl(), " ", h.Count)
	for r, err := range Records(b, DefaultMaxDecompressed) {
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&s, " %d,%d,%s,%s", r.Offset, r.Timestamp, hexOrNull(r.Key), hexOrNull(r.Value))
		for _, rh := range r.Headers {
			// Java replaces what is not UTF-8.
			fmt.Fprintf(&s, ",%x=%s", strings.ToValidUTF8(rh.Key, "\ufffd"), hexOrNull(rh.Value))
		}
	}
	return s.String(), nil
}

func hexOrNull(b []byte) string {
	if b == nil {
		return "null"
	}
	if len(b) > 500 {
		return fmt.Sprintf("%d#%x", len(b), crc32.ChecksumIEEE(b))
	}
	return hex.EncodeToString(b)
}

// questions makes the input of Oracle.java: the cases that someone thought of, and n random mutations of good batches.
func questions(n int) []byte {
	var out bytes.Buffer
	ask := func(rules string, b []byte) { fmt.Fprintf(&out, "%s\t%x\n", rules, b) }
	for _, c := range oracleCases() {
		ask(c.rules, c.batch)
	}
	rng := rand.New(rand.NewPCG(1, uint64(n)))
	for range n {
		ask(randomRules(rng), mutate(rng, randomBatch(rng)))
	}
	return out.Bytes()
}

const plainRules = "12 CreateTime 9223372036854775807 3600000 false 1048588 producer CLIENT"

type oracleCase struct {
	rules string
	batch []byte
}

func oracleCases() []oracleCase {
	var cases []oracleCase
	targets := []string{"producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"}
	for codec := compress.None; codec <= compress.Zstd; codec++ {
		b := smallBatch(codec, 3)
		for _, target := range targets {
			cases = append(cases, oracleCase{"12 CreateTime 9223372036854775807 3600000 false 1048588 " + target + " CLIENT", b})
		}
		for _, rules := range []string{
			"12 LogAppendTime 9223372036854775807 3600000 false 1048588 producer CLIENT",
			"12 LogAppendTime 0 0 false 1048588 gzip CLIENT",
			"12 CreateTime 1 3600000 false 1048588 producer CLIENT",
			"12 CreateTime 9223372036854775807 0 true 1048588 producer CLIENT",
			"12 CreateTime 9223372036854775807 3600000 true 1048588 producer CLIENT",
			"12 CreateTime 9223372036854775807 3600000 false 100 producer CLIENT",
			"12 CreateTime 9223372036854775807 3600000 false 150 uncompressed CLIENT",
			"6 CreateTime 9223372036854775807 3600000 false 1048588 producer CLIENT",
		} {
			cases = append(cases, oracleCase{rules, b})
		}
	}
	for _, codec := range []compress.Codec{compress.None, compress.LZ4} {
		b := smallBatch(codec, 3)
		for _, change := range headerChanges {
			c := bytes.Clone(b)
			change(c)
			cases = append(cases, oracleCase{plainRules, c})
			stampCRC(c)
			cases = append(cases, oracleCase{plainRules, c}, oracleCase{strings.Replace(plainRules, "CreateTime", "LogAppendTime", 1), c})
		}
		for _, cut := range []int{0, 1, 11, 12, 13, 16, 17, 25, 26, 60, 61, len(b) - 1} {
			cases = append(cases, oracleCase{plainRules, b[:cut]}, oracleCase{plainRules, append(bytes.Clone(b), b[:cut]...)})
		}
		cases = append(cases, oracleCase{plainRules, append(bytes.Clone(b), b...)},
			oracleCase{plainRules, append(bytes.Clone(b), make([]byte, 12)...)}, oracleCase{plainRules, append(bytes.Clone(b), make([]byte, 40)...)})
	}
	return append(cases, coordinatorCases()...)
}

// coordinatorCases are batches as only the node itself writes them.
func coordinatorCases() []oracleCase {
	offsets := NewBuilder(BuilderConfig{ProducerID: 7, Epoch: 1, BaseSequence: kafka.NoSequence, Transactional: true})
	offsets.Append(oracleNow, []byte("key"), nil, nil)
	var cases []oracleCase
	for _, b := range [][]byte{
		EndTxnMarker(7, 1, 2, ControlCommit, oracleNow).Batch, EndTxnMarker(0, 0, 0, ControlAbort, oracleNow).Batch, offsets.Bytes(nil),
	} {
		cases = append(cases, oracleCase{plainRules, b}, oracleCase{strings.Replace(plainRules, "CLIENT", "COORDINATOR", 1), b},
			oracleCase{"12 CreateTime 9223372036854775807 3600000 true 1048588 zstd COORDINATOR", b},
			oracleCase{"12 LogAppendTime 9223372036854775807 3600000 true 1048588 gzip COORDINATOR", b})
	}
	return cases
}

// headerChanges spoil one field each.
var headerChanges = []func(b []byte){
	func(b []byte) { b[atBaseOffset+7] = 1 },
	func(b []byte) { b[atBaseOffset] = 0xff },
	func(b []byte) { b[atLength+3]-- },
	func(b []byte) { b[atLength+3]++ },
	func(b []byte) { copy(b[atLength:], "\x00\x00\x00\x0d") },
	func(b []byte) { copy(b[atLength:], "\x00\x00\x00\x30") },
	func(b []byte) { copy(b[atLength:], "\xff\xff\xff\xff") },
	func(b []byte) { copy(b[atLength:], "\x7f\xff\xff\xff") },
	func(b []byte) { b[atLeaderEpoch] = 9 },
	func(b []byte) { b[atMagic] = 0 },
	func(b []byte) { b[atMagic] = 1 },
	func(b []byte) { b[atMagic] = 3 },
	func(b []byte) { b[atMagic] = 0xff },
	func(b []byte) { b[atCRC]++ },
	func(b []byte) { b[atAttributes+1] |= 7 },
	func(b []byte) { b[atAttributes+1] = b[atAttributes+1]&^7 | 5 },
	func(b []byte) { b[atAttributes+1] |= byte(attrLogAppendTime) },
	func(b []byte) {
		b[atAttributes+1] |= byte(attrLogAppendTime)
		copy(b[atMaxTimestamp:], "\xff\xff\xff\xff\xff\xff\xff\xff")
	},
	func(b []byte) { b[atAttributes+1] |= byte(attrTransactional) },
	func(b []byte) { b[atAttributes+1] |= byte(attrControl) },
	func(b []byte) { b[atAttributes+1] |= byte(attrDeleteHorizon) },
	func(b []byte) { b[atAttributes+1] |= 0x80 },
	func(b []byte) { b[atAttributes] = 0x55 },
	func(b []byte) { b[atLastOffsetDelta+3]++ },
	func(b []byte) { b[atLastOffsetDelta] = 0xff },
	func(b []byte) { copy(b[atLastOffsetDelta:], "\x7f\xff\xff\xff") },
	func(b []byte) { b[atBaseTimestamp+6]-- },
	func(b []byte) { b[atMaxTimestamp+7]++ },
	func(b []byte) { b[atMaxTimestamp+7] = 0 },
	func(b []byte) { copy(b[atBaseTimestamp:], "\xff\xff\xff\xff\xff\xff\xff\xff") },
	func(b []byte) { copy(b[atProducerID:], "\x00\x00\x00\x00\x00\x00\x00\x05") },
	func(b []byte) { copy(b[atProducerID:], "\x00\x00\x00\x00\x00\x00\x00\x05\x00\x01\x00\x00\x00\x00") },
	func(b []byte) { copy(b[atProducerID:], "\x00\x00\x00\x00\x00\x00\x00\x05\x00\x01\x7f\xff\xff\xff") },
	func(b []byte) { b[atCount+3]++ },
	func(b []byte) { b[atCount+3]--; b[atLastOffsetDelta+3]-- },
	func(b []byte) { b[atCount+3]++; b[atLastOffsetDelta+3]++ },
	func(b []byte) { copy(b[atCount:], "\x00\x00\x00\x00") },
	func(b []byte) { copy(b[atCount:], "\xff\xff\xff\xff") },
	func(b []byte) { copy(b[atCount:], "\x7f\xff\xff\xff"); copy(b[atLastOffsetDelta:], "\x7f\xff\xff\xfe") },
	func(b []byte) { b[HeaderSize]++ },
	func(b []byte) { b[len(b)-1]++ },
}

// smallBatch is a good batch of n records: with and without key, value and headers.
func smallBatch(codec compress.Codec, n int) []byte {
	b := NewBuilder(BuilderConfig{Codec: codec})
	for i := range n {
		var headers []RecordHeader
		if i%3 == 1 {
			headers = []RecordHeader{{Key: "h", Value: []byte("v")}, {Key: "", Value: nil}}
		}
		var key []byte
		if i%3 != 0 {
			key = []byte{'k', byte(i)}
		}
		b.Append(oracleNow+int64(i%3)-1, key, []byte("value"), headers)
	}
	return b.Bytes(nil)
}

func randomRules(rng *rand.Rand) string {
	pick := func(of ...string) string { return of[rng.IntN(len(of))] }
	return strings.Join([]string{
		pick("3", "12", "12"), pick("CreateTime", "CreateTime", "LogAppendTime"), pick("0", "100", "9223372036854775807", "9223372036854775807"),
		pick("0", "100", "3600000", "3600000"), pick("true", "false", "false"), pick("70", "1048588", "1048588", "1048588"),
		pick("producer", "producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"), "CLIENT",
	}, " ")
}

func randomBatch(rng *rand.Rand) []byte {
	config := BuilderConfig{Codec: compress.Codec(rng.IntN(5))}
	if rng.IntN(4) == 0 {
		config.ProducerID, config.Epoch, config.BaseSequence = 5, 0, rng.Int32N(3)-1
	}
	b := NewBuilder(config)
	random := func() []byte {
		if rng.IntN(4) == 0 {
			return nil
		}
		return bytes.Repeat([]byte{byte(rng.IntN(256))}, rng.IntN(12))
	}
	delta := int32(-1)
	gaps := rng.IntN(8) == 0
	for range 1 + rng.IntN(4) {
		var headers []RecordHeader
		for rng.IntN(3) == 0 {
			headers = append(headers, RecordHeader{Key: "h", Value: random()})
		}
		delta++
		if gaps {
			delta += rng.Int32N(2)
		}
		ts := oracleNow + rng.Int64N(400) - 200
		if rng.IntN(20) == 0 {
			ts = kafka.NoTimestamp
		}
		b.AppendAt(delta, ts, random(), random(), headers)
	}
	return b.Bytes(nil)
}

// mutate spoils b a little, and mostly makes its checksum right again: in one of the records, anywhere in the header or anywhere.
func mutate(rng *rand.Rand, b []byte) []byte {
	if rng.IntN(3) == 0 {
		return b
	}
	if a := Attributes(b[atAttributes+1]); a.Codec() != compress.None && rng.IntN(2) == 0 {
		return mutateInflated(rng, b)
	}
	for range 1 + rng.IntN(2) {
		at := rng.IntN(len(b))
		switch rng.IntN(3) {
		case 0:
			b[at] ^= 1 << rng.IntN(8)
		case 1:
			b[at] = byte(rng.IntN(256))
		case 2:
			if b[at]++; rng.IntN(2) == 0 {
				b[at] -= 2
			}
		}
	}
	if rng.IntN(8) != 0 {
		stampCRC(b)
	}
	return b
}

// mutateInflated changes bytes of the records before they are compressed.
func mutateInflated(rng *rand.Rand, b []byte) []byte {
	h, err := ParseHeader(b)
	if err != nil {
		return b
	}
	body, err := compress.Decompress(nil, b[HeaderSize:], h.Attributes.Codec(), 1<<20)
	if err != nil {
		return b
	}
	body[rng.IntN(len(body))] = byte(rng.IntN(256))
	b, _ = assemble(nil, h, body, compress.DefaultLevel)
	return b
}
