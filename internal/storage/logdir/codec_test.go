package logdir

import (
	"bytes"
	"errors"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/headrace/headrace/internal/base/kafka"
)

// What Apache Kafka 4.3.1 wrote.
const (
	kafkaMeta = "#\n#Sun Nov 22 17:42:50 UTC 2026\nnode.id=1\ndirectory.id=iXG4_sEpTLmKTuCNm0P9KA\nversion=1\n" +
		"cluster.id=PynISErySFqN0dnQ6L3B3A\n"
	kafkaCheckpoint        = "0\n4\n__transaction_state 1 13\norders 0 261\norders 1 73\norders 2 70\n"
	kafkaMarker            = `{"version":0,"brokerEpoch":14}`
	kafkaPartitionMetadata = "version: 0\ntopic_id: bBDowzzaTwq5IGaDksh_Aw"
)

func id(t testing.TB, text string) kafka.TopicID {
	t.Helper()
	i, err := kafka.ParseTopicID(text)
	must(t, err)
	return i
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestReadsWhatApacheKafkaWrote(t *testing.T) {
	m, err := parseMeta([]byte(kafkaMeta))
	must(t, err)
	if want := (Meta{"PynISErySFqN0dnQ6L3B3A", 1, id(t, "iXG4_sEpTLmKTuCNm0P9KA")}); m != want {
		t.Errorf("meta.properties: %v", m)
	}
	o, err := parseOffsets([]byte(kafkaCheckpoint))
	must(t, err)
	if len(o) != 4 || o[kafka.TopicPartition{Topic: "orders", Partition: 1}] != 73 {
		t.Errorf("checkpoint: %v", o)
	}
	if epoch := parseMarker([]byte(kafkaMarker)); epoch != 14 {
		t.Errorf("marker: %d", epoch)
	}
	topic, err := parsePartitionMetadata([]byte(kafkaPartitionMetadata))
	must(t, err)
	if topic != id(t, "bBDowzzaTwq5IGaDksh_Aw") {
		t.Errorf("partition.metadata: %v", topic)
	}
}

func TestWritesWhatApacheKafkaWrites(t *testing.T) {
	o, err := parseOffsets([]byte(kafkaCheckpoint))
	must(t, err)
	if got := string(appendOffsets(nil, o)); got != kafkaCheckpoint {
		t.Errorf("checkpoint: %q", got)
	}
	m, err := parseMeta([]byte(kafkaMeta))
	must(t, err)
	want := "#\ncluster.id=PynISErySFqN0dnQ6L3B3A\ndirectory.id=iXG4_sEpTLmKTuCNm0P9KA\nnode.id=1\nversion=1\n"
	if got := string(appendMeta(nil, m)); got != want {
		t.Errorf("meta.properties: %q", got)
	}
}

func TestMetaKeepsAnyClusterID(t *testing.T) {
	for _, cluster := range []string{"a", " a b ", `a\b=c:d#e!f`, "naïve", "日本", "tab\tnewline\n", "${x}", "a\x00b"} {
		m := Meta{cluster, 7, id(t, "bBDowzzaTwq5IGaDksh_Aw")}
		got, err := parseMeta(appendMeta(nil, m))
		if err != nil || got != m {
			t.Errorf("%q: got %q, %v", cluster, got.ClusterID, err)
		}
	}
}

func TestPropertiesAreReadAsJavaDoes(t *testing.T) {
	text := "# comment\\\n! another\n\n a = 1 \r\nb:2\rc 3\n\\:d\\ e\\=\t=\tx\\\n   y\\\\\nf\ng=\\u0041\\t\\q\\\xe9\xe9\na=9\nh=\\\n#i\nlast=\\"
	got, err := parseProperties([]byte(text))
	must(t, err)
	want := map[string]string{"a": "9", "b": "2", "c": "3", ":d e=": "xy\\", "f": "", "g": "A\tqéé", "h": "#i", "last": ""}
	if !maps.Equal(got, want) {
		t.Fatalf("got %q", got)
	}
}

func TestMetaIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"":                                                      "version",
		"version=0\nbroker.id=1\ncluster.id=a\n":                "version",
		"version=1\nnode.id=1\n":                                "cluster.id",
		"version=1\ncluster.id=a\n":                             "node.id",
		"version=1\ncluster.id=a\nnode.id=x\n":                  "node.id",
		"version=1\ncluster.id=a\nnode.id=-1\n":                 "node.id",
		"version=1\ncluster.id=a\nnode.id=4294967297\n":         "node.id",
		"version=1\ncluster.id=a\nnode.id=1\ndirectory.id=zz\n": "directory.id",
		"version=1\ncluster.id=a\nnode.id=1\ndirectory.id=AAAAAAAAAAAAAAAAAAAAAQ\n": "reserved",
		"\\u12": "properties",
	} {
		if _, err := parseMeta([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestCheckpointIsRefusedWhole(t *testing.T) {
	for _, text := range []string{
		"0", "1\n0\n", "x\n", "0\n", "0\n-1\n", "0\nx\n", "0\n1\n", "0\n0\na 0 1\n", "0\n1\na 0\n", "0\n1\na 0 1 2\n",
		"0\n1\na x 1\n", "0\n1\na 0 x\n", "0\n1\na -1 1\n", "0\n1\na 0 -1\n", "0\n1\na 0 1", "0\n2\na 0 1\na 0 2\n",
		"0\n1\n\n", "0\n1\n.. 0 1\n", "0\n1\na 0 99999999999999999999\n", "0\n1\na 4294967296 1\n", "0\n99999999999\n",
		"0\n1\na 0 1\n\n", "\x00\x00\x00\x00",
	} {
		if o, err := parseOffsets([]byte(text)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%q: %v, %v", text, o, err)
		}
	}
	for cut := 1; cut < len(kafkaCheckpoint); cut++ {
		if _, err := parseOffsets([]byte(kafkaCheckpoint[:cut])); err == nil {
			t.Errorf("a file torn after %d bytes was accepted", cut)
		}
	}
}

func TestEmptyCheckpointHasNoEntries(t *testing.T) {
	for _, text := range []string{"", "0\n0\n", "0\r\n0\r\n"} {
		if o, err := parseOffsets([]byte(text)); err != nil || len(o) != 0 {
			t.Errorf("%q: %v, %v", text, o, err)
		}
	}
}

func TestMarkerWithoutReadableEpochHasNone(t *testing.T) {
	for _, text := range []string{"", "{}", "{", `{"brokerEpoch":null}`, `{"brokerEpoch":-5}`, `{"brokerEpoch":"x"}`, "\x00"} {
		if epoch := parseMarker([]byte(text)); epoch != noBrokerEpoch {
			t.Errorf("%q: %d", text, epoch)
		}
	}
	if epoch := parseMarker([]byte(`{"version":7,"brokerEpoch":3,"new":[]}`)); epoch != 3 {
		t.Errorf("unknown fields: %d", epoch)
	}
}

func TestPartitionMetadataIsRefused(t *testing.T) {
	for _, text := range []string{
		"", "version: 0", "version: 0\n", "version: x\ntopic_id: bBDowzzaTwq5IGaDksh_Aw", "version: -1\ntopic_id: bBDowzzaTwq5IGaDksh_Aw",
		"topic_id: bBDowzzaTwq5IGaDksh_Aw\nversion: 0", "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAA", "version: 0\ntopic_id: short",
		"version 0\ntopic_id: bBDowzzaTwq5IGaDksh_Aw",
	} {
		if topic, err := parsePartitionMetadata([]byte(text)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%q: %v, %v", text, topic, err)
		}
	}
	if _, err := parsePartitionMetadata([]byte("version: 1\r\ntopic_id: bBDowzzaTwq5IGaDksh_Aw\r\nmore: x\n")); err != nil {
		t.Error(err)
	}
}

func TestNewIDCanBeAnArgument(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	seen := map[kafka.TopicID]bool{}
	for range 1000 {
		i := NewID(rnd)
		if i.String()[0] == '-' || seen[i] || reservedID(i) || i[6]>>4 != 4 || i[8]>>6 != 2 {
			t.Fatalf("id %v", i)
		}
		seen[i] = true
	}
}

func TestDeletedFolderNames(t *testing.T) {
	topic := id(t, "bBDowzzaTwq5IGaDksh_Aw")
	tp := kafka.TopicPartition{Topic: "orders", Partition: 3}
	if got := nameAside(tp, topic, deleteSuffix); got != "orders-3.6c10e8c33cda4f0ab920668392c87f03-delete" {
		t.Errorf("got %s", got)
	}
	tp.Topic = strings.Repeat("t", kafka.MaxTopicNameLen)
	if got := nameAside(tp, topic, deleteSuffix); len(got) != maxName || !hasUniqueSuffix(got, deleteSuffix) {
		t.Errorf("got %d bytes: %s", len(got), got)
	}
	for _, name := range []string{"x-delete", "a.b-delete", "a-0-delete", "a-0.-delete", ".x-delete"} {
		if hasUniqueSuffix(name, deleteSuffix) {
			t.Errorf("%s would be removed", name)
		}
	}
}

func FuzzParseOffsets(f *testing.F) {
	f.Add([]byte(kafkaCheckpoint))
	f.Add([]byte(""))
	f.Add([]byte("0\n1\na 0 -1\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := parseOffsets(b)
		if err != nil {
			return
		}
		again, err := parseOffsets(appendOffsets(nil, o))
		if err != nil || !maps.Equal(o, again) {
			t.Fatalf("%v became %v, %v", o, again, err)
		}
	})
}

func FuzzParseMeta(f *testing.F) {
	f.Add([]byte(kafkaMeta))
	f.Add([]byte("version:1\\\n\ncluster.id = \\u0041\nnode.id\t1"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseMeta(b)
		if err != nil {
			return
		}
		if m.DirectoryID.IsZero() {
			m.DirectoryID[0] = 1 // as complete does: no file is written without one
		}
		if again, err := parseMeta(appendMeta(nil, m)); err != nil || again != m {
			t.Fatalf("%v became %v, %v", m, again, err)
		}
	})
}

func FuzzParseMarker(f *testing.F) {
	f.Add([]byte(kafkaMarker))
	f.Fuzz(func(t *testing.T, b []byte) {
		if epoch := parseMarker(b); epoch < noBrokerEpoch {
			t.Fatalf("epoch %d", epoch)
		}
	})
}

func FuzzParsePartitionMetadata(f *testing.F) {
	f.Add([]byte(kafkaPartitionMetadata))
	f.Fuzz(func(t *testing.T, b []byte) {
		if topic, err := parsePartitionMetadata(b); err == nil && topic.IsZero() {
			t.Fatal("zero id accepted")
		} else if err == nil && !bytes.Contains(b, []byte(topic.String()[:21])) {
			t.Fatalf("%v is not in %q", topic, b)
		}
	})
}
