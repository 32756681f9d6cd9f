package hostile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/headrace/headrace/internal/app"
	"github.com/headrace/headrace/internal/base/conf"
	"github.com/headrace/headrace/internal/base/vfs"
)

// fileKinds are the files that a node keeps, by what their paths contain.
var fileKinds = map[string]func(path string) bool{
	"log":                func(p string) bool { return strings.HasSuffix(p, ".log") && strings.Contains(p, "flips-") },
	"offset index":       func(p string) bool { return strings.HasSuffix(p, ".index") && strings.Contains(p, "flips-") },
	"time index":         func(p string) bool { return strings.HasSuffix(p, ".timeindex") && strings.Contains(p, "flips-") },
	"producer snapshot":  func(p string) bool { return strings.HasSuffix(p, ".snapshot") && strings.Contains(p, "flips-") },
	"leader epochs":      func(p string) bool { return strings.HasSuffix(p, "leader-epoch-checkpoint") },
	"partition.metadata": func(p string) bool { return strings.HasSuffix(p, "partition.metadata") },
	"meta.properties":    func(p string) bool { return strings.HasSuffix(p, "meta.properties") },
	"recovery points":    func(p string) bool { return strings.HasSuffix(p, "recovery-point-offset-checkpoint") },
	"log starts":         func(p string) bool { return strings.HasSuffix(p, "log-start-offset-checkpoint") },
	"high watermarks":    func(p string) bool { return strings.HasSuffix(p, "replication-offset-checkpoint") },
	"clean stop":         func(p string) bool { return strings.HasSuffix(p, "kafka_cleanshutdown") },
	"quorum state":       func(p string) bool { return strings.HasSuffix(p, "quorum-state") },
	"metadata snapshot":  func(p string) bool { return strings.HasSuffix(p, ".checkpoint") },
	"metadata log":       func(p string) bool { return strings.HasSuffix(p, ".log") && strings.Contains(p, "__cluster_metadata") },
	"group's log":        func(p string) bool { return strings.HasSuffix(p, ".log") && strings.Contains(p, "__consumer_offsets") },
}

const flipsTopic = "flips"

// flipsRecords are in each of the topic's two partitions, in several segments.
const flipsRecords = 600

// flipsValue is what the record at an offset must be.
func flipsValue(partition int32, offset int64) string {
	return fmt.Sprintf("%d/%d/%s", partition, offset, strings.Repeat(strconv.FormatInt(offset, 36), 2000))
}

// startOn starts a node on a disk; what it says goes to v.said.
func startOn(disk vfs.FS) (*app.Node, *said, error) {
	static, err := conf.NewStatic(map[string]string{
		"node.id": "1", "listeners": "PLAINTEXT://127.0.0.1:0", "log.dirs": "/data", "offsets.topic.num.partitions": "1",
		"offsets.topic.replication.factor": "1", "group.initial.rebalance.delay.ms": "0",
		"metadata.log.max.record.bytes.between.snapshots": "2000",
	})
	if err != nil {
		return nil, nil, err
	}
	cfg, err := conf.NewNode(conf.Layers{Static: static})
	if err != nil {
		return nil, nil, err
	}
	env := app.OSEnv()
	env.FS = disk
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	heard := &said{}
	n, err := app.Start(ctx, app.Options{Config: cfg, Static: static, Env: env, Log: slog.New(slog.NewTextHandler(heard, nil))})
	return n, heard, err
}

// flipsDisks makes a disk as a clean stop leaves it, and as a kill does.
func flipsDisks(t *testing.T) (clean, killed *vfs.Mem) {
	t.Helper()
	clean = vfs.NewMem()
	n, _, err := startOn(clean)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(n.Addresses()[0]), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(64<<10),
		kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	if _, err := adm.CreateTopic(ctx, 2, 1, map[string]*string{"segment.bytes": kadm.StringPtr("1048576")}, flipsTopic); err != nil {
		t.Fatal(err)
	}
	for i := range 40 { // enough for a snapshot of the metadata
		if _, err := adm.CreateTopic(ctx, 1, 1, nil, fmt.Sprintf("other%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	for off := range int64(flipsRecords) {
		for p := range int32(2) {
			cl.Produce(ctx, &kgo.Record{Topic: flipsTopic, Partition: p, Value: []byte(flipsValue(p, off))}, nil)
		}
	}
	if err := cl.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	var starts, offsets = kadm.Offsets{}, kadm.Offsets{}
	starts.AddOffset(flipsTopic, 1, 5, -1)
	offsets.AddOffset(flipsTopic, 0, 7, -1)
	if _, err := adm.DeleteRecords(ctx, starts); err != nil {
		t.Fatal(err)
	}
	if _, err := adm.CommitOffsets(ctx, "flips-group", offsets); err != nil {
		t.Fatal(err)
	}
	killed = clean.Clone()
	if err := n.Close(time.Now()); err != nil {
		t.Fatal(err)
	}
	return clean, killed
}

// filesOf lists the files of a kind.
func filesOf(t *testing.T, disk vfs.FS, dir string, is func(string) bool) (paths []string) {
	t.Helper()
	entries, err := disk.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if e.IsDir() {
			paths = append(paths, filesOf(t, disk, path, is)...)
		} else if fi, err := e.Info(); err == nil && fi.Size() > 0 && is(path) {
			paths = append(paths, path)
		}
	}
	return paths
}

// flip turns one bit over, and tells where.
func flip(t *testing.T, rng *rand.Rand, disk vfs.FS, paths []string) string {
	t.Helper()
	path := paths[rng.IntN(len(paths))]
	f, err := disk.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		t.Fatal(err)
	}
	at, bit := rng.Int64N(size), rng.IntN(8)
	b := make([]byte, 1)
	_, rerr := f.ReadAt(b, at)
	b[0] ^= 1 << bit
	_, werr := f.WriteAt(b, at)
	if rerr != nil && size != at+1 || werr != nil {
		t.Fatal(rerr, werr)
	}
	return fmt.Sprintf("bit %d of byte %d of %s", bit, at, path)
}

// TestABitFlipServesNoWrongByte flips a bit at random places of every kind of file, of a node that was stopped and of one that
// was killed. The node then starts, or refuses in a line that tells why; whoever reads gets the right records or an error, and
// of partitions that the flip is not in gets all of them.
func TestABitFlipServesNoWrongByte(t *testing.T) {
	rng, refusals := chance(t), 0
	clean, killed := flipsDisks(t)
	for _, kind := range slices.Sorted(func(yield func(string) bool) {
		for k := range fileKinds {
			if !yield(k) {
				return
			}
		}
	}) {
		tally, seen := map[string]int{}, 0
		for how, disk := range map[string]*vfs.Mem{"stopped": clean, "killed": killed} {
			paths := filesOf(t, disk, "/data", fileKinds[kind])
			if len(paths) == 0 {
				continue
			}
			for range either(3, 100) {
				seen++
				hurt := disk.Clone()
				where := how + ", " + flip(t, rng, hurt, paths)
				tally[readHurt(t, hurt, where, &refusals)]++
			}
		}
		t.Logf("%s: %v", kind, tally)
		if seen == 0 {
			t.Errorf("there are no files of the kind %s", kind)
		}
	}
}

// readHurt starts a node on the disk and reads it all. It tells what came of it.
func readHurt(t *testing.T, disk vfs.FS, where string, refusals *int) string {
	t.Helper()
	n, heard, err := startOn(disk)
	if err != nil {
		if strings.Contains(err.Error(), "\n") || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: the node refuses with %q", where, err)
		}
		if n := *refusals; n < 30 {
			t.Logf("%s: refused: %v", where, err)
		}
		*refusals++
		return "refused"
	}
	defer func() { _ = n.Close(time.Now()) }() // a disk like this may well not be closed cleanly
	result := "all read"
	for p := range int32(2) {
		read, err := readFlips(n.Addresses()[0], p)
		switch {
		case errors.Is(err, errWrong):
			t.Errorf("%s: partition %d: %v", where, p, err)
		case err != nil || read < flipsRecords-5*int(p):
			result = "a part read"
			if !strings.Contains(where, fmt.Sprintf("%s-%d", flipsTopic, p)) && strings.Contains(where, flipsTopic+"-") {
				t.Errorf("%s: of partition %d only %d records are read: %v", where, p, read, err)
			}
		}
	}
	if strings.Contains(heard.String(), "panic") {
		t.Errorf("%s: the node said\n%s", where, heard)
	}
	return result
}

var errWrong = errors.New("wrong record")

// readFlips reads a partition until its end, or until nothing more comes.
func readFlips(addr string, partition int32) (read int, err error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.FetchMaxWait(20*time.Millisecond), kgo.RetryTimeout(time.Second), kgo.RequestRetries(2),
		kgo.KeepRetryableFetchErrors(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{flipsTopic: {partition: kgo.NewOffset().AtStart()}}))
	if err != nil {
		return 0, err
	}
	defer cl.Close()
	for last := time.Now(); time.Since(last) < raceCost*400*time.Millisecond; {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		fetches := cl.PollFetches(ctx)
		cancel()
		for _, e := range fetches.Errors() {
			if !errors.Is(e.Err, context.DeadlineExceeded) {
				err = e.Err
			}
		}
		for r := range fetches.RecordsAll() {
			if string(r.Value) != flipsValue(partition, r.Offset) {
				return read, fmt.Errorf("%w at offset %d: %.60q", errWrong, r.Offset, r.Value)
			}
			read, last = read+1, time.Now()
			if r.Offset == flipsRecords-1 {
				return read, nil
			}
		}
	}
	return read, err
}
