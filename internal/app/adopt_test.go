package app

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/cli"
)

// disown makes the metadata log one of another cluster: Kafka's state file has the same fields but for ours.
func disown(t *testing.T, fs vfs.FS) {
	t.Helper()
	f, err := fs.OpenFile("/data/__cluster_metadata-0/quorum-state", os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte(`{"leaderId":1,"leaderEpoch":3,"votedId":1,"data_version":1}`), 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// makeAllFolders gives each partition of the topics a folder, as Apache Kafka does when it first hears of one: ours come with the
// first record.
func makeAllFolders(t *testing.T, fsys vfs.FS, topics map[string]int) {
	t.Helper()
	for topic, partitions := range topics {
		metadata := func(p int) string { return fmt.Sprintf("/data/%s-%d/partition.metadata", topic, p) }
		var id []byte
		for p := 0; p < partitions && id == nil; p++ {
			id, _ = vfs.ReadFile(fsys, metadata(p), 1000)
		}
		for p := range partitions {
			err := fsys.MkdirAll(filepath.Dir(metadata(p)), 0o755)
			if err == nil {
				err = vfs.Replace(fsys, metadata(p), id)
			}
			if err != nil || id == nil {
				t.Fatalf("the folder of %s-%d: %v", topic, p, err)
			}
		}
	}
}

func (w *world) adopt(more ...string) string {
	w.t.Helper()
	var out bytes.Buffer
	env := w.env
	env.Stdout = &out
	if err := env.adopt(w.ctx, cli.AdoptOptions{Dirs: append([]string{"/data"}, more...)}); err != nil {
		w.t.Fatal(err)
	}
	return out.String()
}

func (w *world) leaderEpoch(topic string) int32 {
	w.t.Helper()
	all, err := w.admin.Metadata(w.ctx, topic)
	if err != nil {
		w.t.Fatal(err)
	}
	return all.Topics[topic].Partitions[0].LeaderEpoch
}

// otherClusters is a disk with a stopped node whose producer 0 wrote one record, and whose partitions are in their second epoch.
func otherClusters(t *testing.T) (disk vfs.FS, epoch int32) {
	mem := vfs.NewMem()
	w := newWorld(t, mem, nil)
	w.start()
	retention := "3600000"
	w.create("orders", map[string]*string{"retention.ms": &retention})
	w.produce("orders", "first")
	if id, _, err := w.client.ProducerID(w.ctx); err != nil || id != 0 {
		t.Fatalf("producer %d: %v", id, err)
	}
	w.consume("billing", "orders", 1)
	cut := mem.CrashClone(nil)
	w.stop()

	w = newWorld(t, cut, nil)
	w.start()
	epoch = w.leaderEpoch("orders")
	topics, err := w.admin.ListTopicsWithInternal(w.ctx)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]int{}
	for name, d := range topics {
		all[name] = len(d.Partitions)
	}
	w.stop()
	makeAllFolders(t, cut, all)
	disown(t, cut)
	return cut, epoch
}

func checkAdopted(t *testing.T, w *world, epoch int32) {
	t.Helper()
	if now := w.leaderEpoch("orders"); now <= epoch {
		t.Errorf("leader epoch %d follows %d: clients take it for old news", now, epoch)
	}
	// The key of the only record so far, so that it goes to the same partition with the same sequence.
	w.produce("orders", "first")
	if id, _, err := w.client.ProducerID(w.ctx); err != nil || id < 1 {
		t.Errorf("a new producer has the id %d of one before: %v", id, err)
	}
	ends, err := w.admin.ListEndOffsets(w.ctx, "orders")
	if err != nil {
		t.Fatal(err)
	}
	var records int64
	for _, p := range ends["orders"] {
		records += p.Offset
	}
	if records != 2 {
		t.Errorf("%d records, want the old one and the new one", records)
	}
	offsets, err := w.admin.FetchOffsets(w.ctx, "billing")
	if err != nil {
		t.Fatal(err)
	}
	var committed int64
	for _, o := range offsets["orders"] {
		committed += o.At
	}
	if committed != 1 {
		t.Errorf("committed %d, want 1", committed)
	}
}

func TestAdoptTakesConfigsEpochsAndProducerIDsOver(t *testing.T) {
	disk, epoch := otherClusters(t)
	w := newWorld(t, disk, nil)
	if said := w.adopt(); !strings.Contains(said, "2 of 2 topics") {
		t.Error(said)
	}
	if said := w.adopt(); !strings.Contains(said, "0 of 2 topics") || strings.Contains(said, "moved") {
		t.Errorf("the second time it says %s", said)
	}
	w.start()
	checkAdopted(t, w, epoch)
	described, err := w.admin.DescribeTopicConfigs(w.ctx, "orders", "__consumer_offsets")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, r := range described {
		for _, c := range r.Configs {
			if c.Source == kmsg.ConfigSourceDynamicTopicConfig {
				got[r.Name+" "+c.Key] = c.MaybeValue()
			}
		}
	}
	if got["orders retention.ms"] != "3600000" || got["__consumer_offsets cleanup.policy"] != "compact" || got["__consumer_offsets segment.bytes"] == "" {
		t.Errorf("configs are %v", got)
	}
	w.stop()
}

// A broker may keep its metadata log elsewhere, or it is lost.
func TestAdoptWithoutAMetadataLogSaysSo(t *testing.T) {
	disk, epoch := otherClusters(t)
	if err := disk.RemoveAll("/data/__cluster_metadata-0"); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, disk, nil)
	if said := w.adopt(); !strings.Contains(said, "topic configs are not carried over") {
		t.Error(said)
	}
	w.start()
	checkAdopted(t, w, epoch-1) // what the logs bear is all that is known
	w.stop()
}

func TestAdoptTakesABrokerWithSeveralLogDirs(t *testing.T) {
	disk := vfs.NewMem()
	w := newWorld(t, disk, map[string]string{"log.dirs": "/data,/more"})
	w.start()
	w.create("orders", nil)
	w.produce("orders", values(0, 100)...)
	w.stop()
	if entries, err := disk.ReadDir("/more"); err != nil || !strings.Contains(fmt.Sprint(entries), "orders-") {
		t.Fatalf("nothing lies in the second dir: %v %v", entries, err)
	}
	disown(t, disk)
	if said := w.adopt("/more"); !strings.Contains(said, "1 of 1 topics in /data,/more") {
		t.Error(said)
	}
	w.start()
	if got := w.consume("audit", "orders", 100); len(got) != 100 {
		t.Errorf("%d records of 100", len(got))
	}
	w.stop()
}
