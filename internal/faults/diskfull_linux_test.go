package faults

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sys/unix"
)

const (
	shortFillings = 4
	spare         = "spare" // takes what is too large for a disk that is nearly full
)

// TestAFullDiskLosesNothingAndWritesGoOnByThemselves fills a small ext4 file system under load to its last block, again and
// again. While it is full producers, commits and changes of metadata are answered with an error and everything that was
// acknowledged is read; as soon as there is room all goes on, without a restart. Every other time the node is killed while
// the disk is full, and started when it is not.
func TestAFullDiskLosesNothingAndWritesGoOnByThemselves(t *testing.T) {
	d := newDisk(t, 192<<20)
	n := newNode(t, filepath.Join(d.mountpoint, "data"))
	n.start()
	createTopic(t, n.addr)
	cl, err := kgo.NewClient(kgo.SeedBrokers(n.addr), kgo.DisableIdempotentWrite(), kgo.RecordRetries(0), kgo.RequestRetries(0))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	if _, err := adm.CreateTopic(context.Background(), 1, 1, nil, spare); err != nil {
		t.Fatal(err)
	}
	commit(t, adm, 1)
	l := startLoad(t, n.addr)
	rnd := schedule(t)
	slowest := time.Duration(0)
	count := faultsToMake(shortFillings)
	for i := range count {
		l.progress(1 + rnd.IntN(2000))
		d.fill()
		refusedForWantOfRoom(t, cl, adm)
		readsGoOn(t, n.addr)
		if i%2 == 1 {
			n.kill()
			d.empty()
			n.start()
		}
		d.empty()
		begun := time.Now()
		l.progress(1)
		commit(t, adm, int64(i+2))
		slowest = max(slowest, time.Since(begun))
	}
	l.finish()
	l.check(n.addr)
	t.Logf("%d times full; writes went on within %v", count, slowest)
	if slowest > 10*time.Second {
		t.Errorf("writes went on only after %v", slowest)
	}
	n.kill()
}

// filler is the file that takes all the room.
func (d *disk) filler() string { return filepath.Join(d.mountpoint, "filler") }

// fill takes what room there is, by large steps and then by small ones.
func (d *disk) fill() {
	d.t.Helper()
	f, err := os.OpenFile(d.filler(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	for size := 8 << 20; size >= 1; size /= 2 {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
		if !errors.Is(err, unix.ENOSPC) {
			d.t.Fatal(err)
		}
	}
}

func (d *disk) empty() {
	d.t.Helper()
	if err := os.Remove(d.filler()); err != nil && !errors.Is(err, os.ErrNotExist) {
		d.t.Fatal(err)
	}
}

// commit commits an offset of a group, which must be answered well within a minute.
func commit(t *testing.T, adm *kadm.Client, at int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		err := tryCommit(ctx, adm, at)
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("commit %d: %v", at, err)
		}
		<-time.After(50 * time.Millisecond) // as a client does between attempts
	}
}

func tryCommit(ctx context.Context, adm *kadm.Client, at int64) error {
	var offsets kadm.Offsets
	offsets.AddOffset(topic, 0, at, -1)
	resps, err := adm.CommitOffsets(ctx, "fullness", offsets)
	if err != nil {
		return err
	}
	return resps.Error()
}

// refusedForWantOfRoom returns when records of a size that nothing is left for are refused, with the code for it, and so are
// commits and topics.
func refusedForWantOfRoom(t *testing.T, cl *kgo.Client, adm *kadm.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	big := make([]byte, 500<<10)
	for {
		err := cl.ProduceSync(ctx, &kgo.Record{Topic: spare, Value: big}).FirstErr()
		if errors.Is(err, kerr.KafkaStorageError) {
			break
		}
		if ctx.Err() != nil {
			t.Fatalf("produce to a full disk: %v", err)
		}
	}
	if err := tryCommit(ctx, adm, 0); err != nil && ctx.Err() != nil {
		t.Errorf("a commit on a full disk is not answered: %v", err)
	}
	if _, err := adm.CreateTopic(ctx, 1, 1, nil, "one-more"); err != nil && ctx.Err() != nil {
		t.Errorf("a new topic on a full disk is not answered: %v", err)
	}
	_, _ = adm.DeleteTopic(ctx, "one-more") // it may not have been made
}

// readsGoOn reads the topic from its start.
func readsGoOn(t *testing.T, addr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for read := 0; read < 100; {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("read from a full disk: %v", err)
		}
		read += fetches.NumRecords()
	}
}
