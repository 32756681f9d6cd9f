package partition

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/core/metadata"
)

const metadataFile = "/data/t-0/partition.metadata"

// overwrite puts other bytes into partition.metadata, with the length that it has.
func overwrite(t *testing.T, disk vfs.FS, change func(string) string) {
	t.Helper()
	f, err := disk.OpenFile(metadataFile, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte(change(string(slurp(t, disk, metadataFile)))), 0); err != nil {
		t.Fatal(err)
	}
}

// asideOf lists the folders of t-0 that were set aside.
func asideOf(t *testing.T, disk vfs.FS) (folders []string) {
	t.Helper()
	entries, err := disk.ReadDir("/data")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "t-0.") && strings.HasSuffix(e.Name(), "-stray") {
			folders = append(folders, "/data/"+e.Name())
		}
	}
	return folders
}

// A replica that cannot tell whose its folder is, or takes it for another topic's because of a bit, has all that was committed: it may
// be elected until it is counted no longer, and must not be empty then.
func TestAReplicaWithDamagedPartitionMetadataBeginsAnewWhenItIsCountedNoLonger(t *testing.T) {
	for name, change := range map[string]func(string) string{
		"no topic id":    func(s string) string { return strings.Replace(s, "topic_id", "topic.id", 1) },
		"another":        func(s string) string { return s[:len(s)-4] + "AAAA" },
		"no version":     func(s string) string { return strings.Replace(s, "version: 0", "version: ?", 1) },
		"a version more": func(s string) string { return strings.Replace(s, "version: 0", "version: 1", 1) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				disk := vfs.NewMem()
				r := newPair(t, vfs.NewMem(), disk)
				put(t, r.node(1), "one")
				put(t, r.node(1), "two")
				r.sync(2)
				r.hosts[1].Abandon()
				log := slurp(t, disk, firstLog)
				overwrite(t, disk, change)
				r.hosts[1] = r.start(1, disk)
				defer r.abandon()
				p := r.node(2)
				left := func(what string) {
					t.Helper()
					synctest.Wait()
					if aside := asideOf(t, disk); !p.Damaged() || len(aside) > 0 || !bytes.Equal(slurp(t, disk, firstLog), log) {
						t.Fatalf("%s: damaged %v, set aside %v, or changed", what, p.Damaged(), aside)
					}
					if _, err := p.use(); err == nil {
						t.Fatalf("%s: it is used", what)
					}
					if pr, ok := p.ProposeISR(time.Now(), time.Second); !ok || len(pr.ISR) != 1 || pr.ISR[0].ID != 1 {
						t.Fatalf("%s: it proposes %v %v", what, pr, ok)
					}
				}
				left("in sync")
				r.elect(2)
				left("elected")
				r.change(func(g *metadata.PartitionRecord) {
					g.Leader, g.LeaderEpoch, g.ISR = 1, g.LeaderEpoch+1, []kafka.NodeID{1}
				})
				synctest.Wait()
				aside := asideOf(t, disk)
				if p.Damaged() || len(aside) != 1 || !bytes.Equal(slurp(t, disk, aside[0]+"/00000000000000000000.log"), log) {
					t.Fatalf("counted no longer: damaged %v, set aside %v", p.Damaged(), aside)
				}
				r.sync(2)
				if got := contents(t, p); len(got) != 2 || got[0] != "one" || got[1] != "two" {
					t.Errorf("healed: %v", got)
				}
			})
		})
	}
}

func TestARemovedReplicaWithDamagedPartitionMetadataIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := vfs.NewMem()
		r := newPair(t, vfs.NewMem(), disk)
		put(t, r.node(1), "one")
		r.sync(2)
		r.hosts[1].Abandon()
		overwrite(t, disk, func(s string) string { return s[:len(s)-4] + "AAAA" })
		r.hosts[1] = r.start(1, disk)
		defer r.abandon()
		r.change(func(g *metadata.PartitionRecord) { g.Replicas, g.ISR = []kafka.NodeID{1}, []kafka.NodeID{1} })
		synctest.Wait()
		if aside := asideOf(t, disk); len(aside) != 1 {
			t.Errorf("set aside: %v", aside)
		}
	})
}
