package commitlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/storage/segment"
)

// filled is a disk with a cleanly closed log of several segments, and its batches.
func filled(t testing.TB, n int) (disk *vfs.Mem, batches [][]byte, end kafka.Offset) {
	t.Helper()
	disk = newDisk(t)
	l := mustOpen(t, options(disk))
	for i := range n {
		v := records(1+i%3, 20+i%50, int64(i*3))
		mustAppend(t, l, v)
		batches = append(batches, v.Batch)
	}
	end = l.End()
	must(t, l.Close(start))
	return disk, batches, end
}

func lastLog(t testing.TB, disk vfs.FS) string {
	t.Helper()
	last := ""
	for _, name := range names(t, disk) {
		if strings.HasSuffix(name, segment.LogSuffix) {
			last = filepath.Join(dir, name)
		}
	}
	return last
}

// The file is cut at every byte of the last two batches, and once more with what is cut off turned to zeros or noise.
// Whatever the recovery point said, whole batches stay and parts go.
func TestTornTailIsCutAtTheLastWholeBatch(t *testing.T) {
	disk, batches, end := filled(t, 60)
	name := lastLog(t, disk)
	file := slurp(t, disk, name)
	n := len(batches) - 1
	tail := len(batches[n]) + len(batches[n-1])
	for cut := len(file) - tail; cut <= len(file); cut++ {
		part := file[:cut:cut]
		checkTorn(t, disk, name, part, wholeIn(part, file, batches), false, 0)
		checkTorn(t, disk, name, part, wholeIn(part, file, batches), false, end)
		checkTorn(t, disk, name, part, wholeIn(part, file, batches), true, end)
		for _, filler := range []byte{0, 0xa5} {
			filled := append(part, bytes.Repeat([]byte{filler}, len(file)-cut)...)
			checkTorn(t, disk, name, filled, wholeIn(filled, file, batches), false, 0)
		}
	}
}

// wholeIn is what of the batches is whole when the last segment's file, once file, has become content.
func wholeIn(content, file []byte, batches [][]byte) []byte {
	end := len(file)
	for n := len(batches); ; n-- {
		if end <= len(content) && bytes.Equal(content[:end], file[:end]) {
			return bytes.Join(batches[:n], nil)
		}
		end -= len(batches[n-1])
	}
}

func checkTorn(t *testing.T, disk *vfs.Mem, name string, content, want []byte, clean bool, point kafka.Offset) {
	t.Helper()
	left := disk.Clone()
	spill(t, left, name, content)
	o := options(left)
	o.Clean, o.RecoveryPoint = clean, point
	l, err := Open(o)
	if err != nil {
		t.Fatalf("%d bytes, clean %v: %v", len(content), clean, err)
	}
	if got := readAll(t, l, 1000); !bytes.Equal(got, want) {
		t.Fatalf("%d bytes, clean %v, point %d: %d bytes read, want %d", len(content), clean, point, len(got), len(want))
	}
	v := records(2, 30, 1000)
	mustAppend(t, l, v)
	must(t, l.Close(start))
	o.Clean = true
	l = mustOpen(t, o)
	if got := readAll(t, l, 1000); !bytes.Equal(got, append(bytes.Clone(want), v.Batch...)) {
		t.Fatalf("%d bytes: the append after recovery is not there", len(content))
	}
	l.CloseAbrupt()
}

// Every index file is cut at every byte, and every byte of it is flipped in turn: reads stay right, after a clean stop as
// after a crash.
func TestDamagedIndexFilesDoNotChangeWhatIsRead(t *testing.T) {
	disk, batches, end := filled(t, 60)
	want := bytes.Join(batches, nil)
	for _, name := range names(t, disk) {
		if !strings.HasSuffix(name, segment.IndexSuffix) && !strings.HasSuffix(name, segment.TimeIndexSuffix) {
			continue
		}
		name = filepath.Join(dir, name)
		file := slurp(t, disk, name)
		for i := range len(file) + 1 {
			contents := [][]byte{file[:i], append(bytes.Clone(file[:i]), make([]byte, 24*10-i%24)...)}
			if i < len(file) {
				flipped := bytes.Clone(file)
				flipped[i] ^= 1 << (i % 8)
				contents = append(contents, flipped)
			}
			for _, content := range contents {
				checkIndex(t, disk, name, content, want, true, end)
				checkIndex(t, disk, name, content, want, false, end-3)
			}
		}
		left := disk.Clone()
		must(t, left.Remove(name))
		checkIndex(t, left, "", nil, want, true, end)
		checkIndex(t, left, "", nil, want, false, end)
	}
}

func checkIndex(t *testing.T, disk *vfs.Mem, name string, content, want []byte, clean bool, point kafka.Offset) {
	t.Helper()
	left := disk.Clone()
	if name != "" {
		spill(t, left, name, content)
	}
	o := options(left)
	o.Clean, o.RecoveryPoint = clean, point
	l, err := Open(o)
	if err != nil {
		t.Fatalf("%s with %d bytes, clean %v: %v", name, len(content), clean, err)
	}
	defer l.CloseAbrupt()
	if got := readAll(t, l, 300); !bytes.Equal(got, want) {
		t.Fatalf("%s with %d bytes, clean %v: read differs", name, len(content), clean)
	}
}

// A flipped bit below the recovery point is damage to what was flushed: the log does not open as if it ended there.
func TestDamageBelowTheRecoveryPointIsAnError(t *testing.T) {
	disk, batches, end := filled(t, 60)
	name := lastLog(t, disk)
	file := slurp(t, disk, name)
	at := len(file) - len(batches[59]) - len(batches[58])
	for _, byteAt := range []int{8, 9, 10, 16, 23} { // lengths, format, last offset delta
		flipped := bytes.Clone(file)
		flipped[at+byteAt] ^= 0x80
		left := disk.Clone()
		spill(t, left, name, flipped)
		o := options(left)
		o.RecoveryPoint = end
		_, err := Open(o)
		if !errors.Is(err, segment.ErrDamaged) {
			t.Errorf("byte %d: %v, want ErrDamaged", byteAt, err)
		}
	}
}

// Beyond the recovery point every flipped bit of a batch ends the log before it.
func TestEveryFlippedBitBeyondTheRecoveryPointIsNoticed(t *testing.T) {
	disk, batches, _ := filled(t, 60)
	name := lastLog(t, disk)
	file := slurp(t, disk, name)
	at := len(file) - len(batches[59]) - len(batches[58])
	want := bytes.Join(batches[:58], nil)
	for i := range len(batches[58]) {
		if i >= 12 && i < 16 {
			continue // the leader epoch: stamped, so outside of the checksum
		}
		flipped := bytes.Clone(file)
		flipped[at+i] ^= 1 << (i % 8)
		left := disk.Clone()
		spill(t, left, name, flipped)
		l := mustOpen(t, options(left))
		got := readAll(t, l, 1000)
		if i < 8 && len(got) > len(want) {
			continue // an offset that grew leaves a gap, as compaction does
		}
		if !bytes.Equal(got, want) {
			t.Errorf("byte %d of the batch: %d bytes read, want %d", i, len(got), len(want))
		}
		l.CloseAbrupt()
	}
}

func TestOldFormatsAreRefused(t *testing.T) {
	for _, magic := range []byte{0, 1} {
		for _, clean := range []bool{false, true} {
			disk := newDisk(t)
			must(t, disk.MkdirAll(dir, 0o755))
			old := make([]byte, 200) // offset 0, a length, and a message of the old format
			binary.BigEndian.PutUint32(old[8:], uint32(len(old)-12))
			old[16] = magic
			spill(t, disk, filepath.Join(dir, segment.FileName(0, segment.LogSuffix)), old)
			o := options(disk)
			o.Clean = clean
			_, err := Open(o)
			if !errors.Is(err, batch.ErrOldMagic) {
				t.Errorf("magic %d, clean %v: %v", magic, clean, err)
			}
			wantErr(t, err, kerr.UnsupportedForMessageFormat)
		}
	}
}

func TestFolderOfAnotherTopicIsRefused(t *testing.T) {
	disk, _, _ := filled(t, 3)
	o := options(disk)
	o.TopicID = kafka.TopicID{9}
	_, err := Open(o)
	wantErr(t, err, kerr.InconsistentTopicID)
	o.TopicID = kafka.TopicID{}
	l := mustOpen(t, o)
	if l.TopicID() != id {
		t.Errorf("adopted topic id %v, want %v", l.TopicID(), id)
	}
	spill(t, disk, filepath.Join(dir, "partition.metadata"), []byte("version: 0\ntopic_id: AAAA"))
	if _, err := Open(o); err == nil {
		t.Error("damaged partition.metadata accepted")
	}
}

func TestLostEpochCheckpointIsMadeAgain(t *testing.T) {
	disk := newDisk(t)
	l := mustOpen(t, options(disk))
	for i := range 20 {
		_, err := l.AppendLeader(start, records(2, 50, int64(i)), kafka.LeaderEpoch(i/4), OriginClient)
		must(t, err)
	}
	must(t, l.Close(start))
	name := filepath.Join(dir, "leader-epoch-checkpoint")
	for _, content := range [][]byte{nil, {}, []byte("0\n2\n0 0\n"), make([]byte, 30)} {
		left := disk.Clone()
		must(t, left.Remove(name))
		if content != nil {
			spill(t, left, name, content)
		}
		o := options(left)
		o.Clean = true
		l := mustOpen(t, o)
		for off := range kafka.Offset(40) {
			if got := l.EpochForOffset(off); got != kafka.LeaderEpoch(off/8) {
				t.Errorf("%q: epoch of %d is %d", content, off, got)
			}
		}
		if e, o := l.EndOffsetForEpoch(2); e != 2 || o != 24 {
			t.Errorf("end of epoch 2: %d %d", e, o)
		}
	}
}

// Every byte of every transaction index is flipped in turn: what is read stays right, the aborted transactions are told as
// they were but for the one whose entry it is. An index that is seen to be damaged is made again, durably, when the log is opened, and any
// by a recovery.
func TestADamagedTransactionIndexChangesNoRecord(t *testing.T) {
	disk := newDisk(t)
	l := mustOpen(t, options(disk))
	for i := range int64(30) {
		pid := kafka.ProducerID(1 + i%2)
		mustAppend(t, l, build(batch.BuilderConfig{ProducerID: pid, BaseSequence: int32(i / 2), Transactional: true}, 1, 100, i))
		kind := batch.ControlAbort
		if i%3 == 0 {
			kind = batch.ControlCommit
		}
		_, err := l.AppendLeader(start, batch.EndTxnMarker(pid, 0, 1, kind, start.UnixMilli()), 0, OriginReplication)
		must(t, err)
	}
	l.Replicated(l.End())
	want, end := readAll(t, l, 1000), l.End()
	aborted, err := l.AbortedTxns(0, end)
	must(t, err)
	must(t, l.Close(start))
	files := 0
	for _, name := range names(t, disk) {
		if !strings.HasSuffix(name, segment.TxnIndexSuffix) {
			continue
		}
		files++
		name = filepath.Join(dir, name)
		file := slurp(t, disk, name)
		for i := range file {
			flipped := bytes.Clone(file)
			flipped[i] ^= 1 << (i % 8)
			checkTxnIndex(t, disk, name, flipped, want, aborted, end)
		}
	}
	if files < 3 || len(aborted) != 20 {
		t.Errorf("%d files, %d aborted transactions", files, len(aborted))
	}
}

func checkTxnIndex(t *testing.T, disk *vfs.Mem, name string, content, want []byte, aborted []AbortedTxn, end kafka.Offset) {
	t.Helper()
	left := disk.Clone()
	spill(t, left, name, content)
	o := options(left)
	o.Clean, o.RecoveryPoint = true, end
	_, wrong := segment.DecodeAborted(content)
	damaged := wrong != nil
	l, err := Open(o)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if got := readAll(t, l, 1000); !bytes.Equal(got, want) {
		t.Fatalf("%s: %d bytes read, want %d", name, len(got), len(want))
	}
	got, err := l.AbortedTxns(0, end)
	must(t, err)
	same := 0
	for _, a := range got {
		if slices.Contains(aborted, a) {
			same++
		}
	}
	if same < len(aborted)-1 {
		t.Fatalf("%s: of %d aborted transactions %d are as they were", name, len(aborted), same)
	}
	if damaged {
		if !slices.Equal(got, aborted) {
			t.Fatalf("%s: made again, the index has %+v, want %+v", name, got, aborted)
		}
		o.FS = left.CrashClone(nil)
		power, err := Open(o)
		must(t, err)
		if got, err := power.AbortedTxns(0, end); err != nil || !slices.Equal(got, aborted) {
			t.Fatalf("%s: after a power cut %+v, %v", name, got, err)
		}
		power.CloseAbrupt()
		o.FS = left
	}
	l.CloseAbrupt()
	o.Clean, o.RecoveryPoint = false, 0
	l = mustOpen(t, o)
	l.Replicated(l.End())
	if got, err := l.AbortedTxns(0, end); err != nil || !slices.Equal(got, aborted) {
		t.Fatalf("%s: recovered with %d aborted transactions of %d: %v", name, len(got), len(aborted), err)
	}
	l.CloseAbrupt()
}
