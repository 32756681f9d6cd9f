package quorum

import (
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/core/metadata"
)

var foreignID = kafka.TopicID{1, 2, 3}

// foreignBatch is a batch of the metadata log with records as Kafka frames them.
func foreignBatch(base kafka.Offset, records ...[]byte) []byte {
	b := batch.NewBuilder(batch.BuilderConfig{BaseOffset: base, LeaderEpoch: 1})
	for _, r := range records {
		b.Append(1, nil, r, nil)
	}
	return b.Bytes(nil)
}

func frame(r metadata.Record) []byte { return metadata.AppendRecord(nil, r) }

func configOf(name, value string) []byte {
	return frame(&metadata.ConfigRecord{Resource: metadata.ConfigResource{Type: metadata.TopicConfig, Name: "orders"}, Name: name, Value: kmsg.StringPtr(value)})
}

func writeForeign(t testing.TB, fs vfs.FS, name string, b []byte) {
	t.Helper()
	if err := vfs.Replace(fs, "/k/"+name, b); err != nil {
		t.Fatal(err)
	}
}

func foreignDir(t testing.TB) *vfs.Mem {
	t.Helper()
	fs := vfs.NewMem()
	if err := fs.MkdirAll("/k", 0o755); err != nil {
		t.Fatal(err)
	}
	return fs
}

func TestReadForeignJoinsSnapshotAndLog(t *testing.T) {
	fs := foreignDir(t)
	partition := &metadata.PartitionRecord{Topic: foreignID, Replicas: []kafka.NodeID{4}, ISR: []kafka.NodeID{4}, Leader: 4, LeaderEpoch: 6}
	writeForeign(t, fs, checkpointName(3, 1), []byte("an older one, which is not read"))
	snapshot := controlBatch(batch.ControlSnapshotHeader, []byte{0, 0, 0}, 0, 1, 1)
	snapshot = append(snapshot, foreignBatch(1, frame(&metadata.TopicRecord{Name: "orders", ID: foreignID}), frame(partition),
		configOf("retention.ms", "1"), []byte{1, 18, 0, 99})...) // an ACL, whatever it says
	writeForeign(t, fs, checkpointName(10, 1), snapshot)
	change := metadata.NewPartitionChange(foreignID, 0)
	change.Leader = kafka.NoNode
	log := foreignBatch(8, configOf("retention.ms", "0"), configOf("segment.ms", "5"), // before and at the snapshot's end
		configOf("retention.ms", "2"))
	log = append(log, foreignBatch(11, frame(change), []byte{1, 27, 0}, []byte{1, 14, 0, 1}, frame(&metadata.ProducerIDsRecord{Node: 4, Next: 3000}))...)
	torn := foreignBatch(15, configOf("retention.ms", "3"))
	writeForeign(t, fs, "00000000000000000000.log", append(log, torn[:len(torn)-1]...))

	f, err := ReadForeign(fs, "/k")
	if err != nil {
		t.Fatal(err)
	}
	topic, ok := f.Image.TopicByID(foreignID)
	if !ok || topic.Name != "orders" || topic.Partitions[0].LeaderEpoch != 7 {
		t.Errorf("topic %+v", topic)
	}
	configs := f.Image.Config(metadata.ConfigResource{Type: metadata.TopicConfig, Name: "orders"})
	if len(configs) != 1 || configs["retention.ms"] != "2" {
		t.Errorf("configs %v", configs)
	}
	if f.Image.NextProducerID() != 3000 || !slices.Equal(f.Left, []string{"ACLs", "client quotas"}) {
		t.Errorf("next producer %d, left %v", f.Image.NextProducerID(), f.Left)
	}
}

func TestReadForeignRefusesWhatContradictsItself(t *testing.T) {
	fs := foreignDir(t)
	writeForeign(t, fs, "00000000000000000000.log", foreignBatch(0, frame(&metadata.RemoveTopicRecord{ID: foreignID})))
	if _, err := ReadForeign(fs, "/k"); err == nil {
		t.Error("a topic that was never made was removed")
	}
}

func FuzzReadForeign(f *testing.F) {
	f.Add(foreignBatch(0, frame(&metadata.TopicRecord{Name: "orders", ID: foreignID}), []byte{1, 18, 0}))
	f.Add(encodeSnapshot(metadata.New("c"), 1, time.Unix(1, 0).UnixMilli()))
	f.Fuzz(func(t *testing.T, b []byte) {
		fs := foreignDir(t)
		writeForeign(t, fs, checkpointName(2, 1), b)
		writeForeign(t, fs, "00000000000000000000.log", b)
		_, _ = ReadForeign(fs, "/k")
	})
}
