package batch

import (
	"bytes"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/compress"
	"github.com/headrace/headrace/internal/base/kafka"
)

var writeBuilt = flag.String("built", "", "write the batches that testdata/Oracle.java is to read to this folder")

// goldenRecord is record i of testdata/golden, as Oracle.java makes it.
func goldenRecord(i int) Record {
	r := Record{Offset: kafka.Offset(i), Timestamp: oracleNow + int64(i*37%11)}
	if i%5 != 0 {
		r.Key = fmt.Appendf(nil, "key-%d", i)
	}
	if i%7 != 0 {
		r.Value = bytes.Repeat(fmt.Appendf(nil, "value-%d-", i), i)
	}
	if i%3 == 0 {
		r.Headers = []RecordHeader{{Key: "hé", Value: []byte{byte(i)}}, {Key: ""}}
	}
	return r
}

const goldenRecords = 40

func goldenBuilder(c compress.Codec) *Builder {
	b := NewBuilder(BuilderConfig{Codec: c, ProducerID: 4242, Epoch: 7, BaseSequence: 100, LeaderEpoch: kafka.NoLeaderEpoch})
	for i := range goldenRecords {
		r := goldenRecord(i)
		b.Append(r.Timestamp, r.Key, r.Value, r.Headers)
	}
	return b
}

func golden(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "golden", name+".batch"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBatchesOfJavaAreReadExactly(t *testing.T) {
	for c := compress.None; c <= compress.Zstd; c++ {
		t.Run(c.String(), func(t *testing.T) {
			b := golden(t, c.String())
			h, err := ParseHeader(b)
			if err != nil {
				t.Fatal(err)
			}
			want := Header{
				Length: int32(len(b) - LogOverhead), LeaderEpoch: -1, Magic: 2, CRC: h.CRC, Attributes: Attributes(c), LastOffsetDelta: goldenRecords - 1,
				BaseTimestamp: oracleNow, MaxTimestamp: oracleNow + 10, ProducerID: 4242, ProducerEpoch: 7, BaseSequence: 100, Count: goldenRecords,
			}
			if diff := cmp.Diff(want, h); diff != "" {
				t.Error(diff)
			}
			if err := CheckCRC(b); err != nil {
				t.Error(err)
			}
			n := 0
			for r, err := range Records(b, 1<<20) {
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(goldenRecord(n), r); diff != "" {
					t.Error(diff)
				}
				n++
			}
			if n != goldenRecords {
				t.Errorf("%d records, want %d", n, goldenRecords)
			}
			v, err := ValidateProduce(b, ProduceRules{Now: parseRules(t, plainRules).Now, TimestampBeforeMax: NoTimestampLimit,
				TimestampAfterMax: NoTimestampLimit, MaxMessageBytes: 1 << 20, ZstdAllowed: true})
			if err != nil || v.MaxTimestamp != oracleNow+10 || v.OffsetOfMaxTimestamp != 8 {
				t.Errorf("validated to %d at %d, %v", v.MaxTimestamp, v.OffsetOfMaxTimestamp, err)
			}
		})
	}
}

func TestBuilderWritesTheBytesOfJava(t *testing.T) {
	if got := goldenBuilder(compress.None).Bytes(nil); !bytes.Equal(got, golden(t, "none")) {
		t.Errorf("got  %x\nwant %x", got, golden(t, "none"))
	}
	marker := EndTxnMarker(4242, 7, 3, ControlCommit, oracleNow).Batch
	if want := golden(t, "commit"); !bytes.Equal(marker, want) {
		t.Errorf("got  %x\nwant %x", marker, want)
	}
}

func TestControlRecordsOfJavaAreRead(t *testing.T) {
	for r, err := range Records(golden(t, "commit"), 0) {
		if err != nil {
			t.Fatal(err)
		}
		typ, err := ControlRecordType(r.Key)
		if typ != ControlCommit || err != nil {
			t.Errorf("type %d, %v", typ, err)
		}
		if m, err := ParseEndTxn(r.Value); m.CoordinatorEpoch != 3 || err != nil {
			t.Errorf("marker %+v, %v", m, err)
		}
	}
}

// builtBatches are batches of every kind that Builder makes.
func builtBatches() map[string][]byte {
	built := map[string][]byte{}
	for c := compress.None; c <= compress.Zstd; c++ {
		b := goldenBuilder(c)
		built[c.String()] = b.Bytes(nil)
		b.Reset(BuilderConfig{Codec: c, TimestampType: LogAppendTime, AppendTime: oracleNow + 99, Transactional: true, ProducerID: 1, BaseOffset: 1000, LeaderEpoch: 3})
		b.Append(5, nil, bytes.Repeat([]byte("0123456789"), 20_000), nil)
		b.AppendAt(7, 3, []byte{}, []byte{}, []RecordHeader{{Key: "k", Value: []byte{}}})
		built[c.String()+"-appendtime"] = b.Bytes(nil)
		b.Reset(BuilderConfig{Codec: c})
		b.Append(math.MaxInt64, nil, nil, nil)
		b.Append(0, nil, nil, nil)
		built[c.String()+"-extremes"] = b.Bytes(nil)
	}
	built["abort"] = EndTxnMarker(0, 0, 0, ControlAbort, oracleNow).Batch
	return built
}

func TestKafkaReadsWhatIsBuilt(t *testing.T) {
	built := builtBatches()
	if *writeBuilt != "" {
		for name, b := range built {
			if err := os.MkdirAll(*writeBuilt, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(*writeBuilt, name+".batch"), b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	dump, err := os.ReadFile("testdata/ours.dump")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(dump)), "\n")
	if len(lines) != len(built) {
		t.Errorf("Kafka read %d batches, %d are built", len(lines), len(built))
	}
	for _, line := range lines {
		name, want, _ := strings.Cut(line, ".batch\t")
		got, err := dumpBatch(built[name])
		if got != want || err != nil {
			t.Errorf("%s:\n got %s, %v\nwant %s", name, got, err, want)
		}
	}
}

func TestFranzGoReadsWhatIsBuilt(t *testing.T) {
	for c := compress.None; c <= compress.Zstd; c++ {
		t.Run(c.String(), func(t *testing.T) {
			partition := kmsg.NewFetchResponseTopicPartition()
			partition.HighWatermark = goldenRecords
			partition.RecordBatches = goldenBuilder(c).Bytes(nil)
			fetched, _ := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{Topic: "t"}, &partition, kgo.DefaultDecompressor(), nil)
			if fetched.Err != nil || len(fetched.Records) != goldenRecords {
				t.Fatalf("%d records, %v", len(fetched.Records), fetched.Err)
			}
			for i, r := range fetched.Records {
				got := Record{Offset: kafka.Offset(r.Offset), Timestamp: r.Timestamp.UnixMilli(), Key: r.Key, Value: r.Value}
				for _, h := range r.Headers {
					got.Headers = append(got.Headers, RecordHeader{Key: h.Key, Value: h.Value})
				}
				if diff := cmp.Diff(goldenRecord(i), got); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}
