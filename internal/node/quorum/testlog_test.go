package quorum

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/storage/commitlog"
)

type logOpener func(vfs.FS, string) (Log, error)

// eachLog runs a test over every implementation of Log.
func eachLog(t *testing.T, test func(*testing.T, logOpener)) {
	t.Run("fileLog", func(t *testing.T) {
		test(t, func(fsys vfs.FS, dir string) (Log, error) { return openFileLog(fsys, dir) })
	})
	t.Run("commitlog", func(t *testing.T) { test(t, openCommitLog) })
}

func openCommitLog(fsys vfs.FS, dir string) (Log, error) {
	return openSegments(fsys, dir, 4000) // small, so that snapshots let segments go
}

func openSegments(fsys vfs.FS, dir string, segmentBytes int64) (Log, error) {
	if err := makeDurableDir(fsys, filepath.Dir(dir)); err != nil {
		return nil, err
	}
	config := commitlog.DefaultConfig()
	config.SegmentBytes = segmentBytes
	l, err := commitlog.Open(commitlog.OpenOptions{
		FS: fsys, Dir: dir, Partition: kafka.TopicPartition{Topic: kafka.MetadataTopic}, Config: config, Now: time.Now(),
		Rand: rand.New(rand.NewPCG(1, 1)), Log: slog.New(slog.DiscardHandler), TopicID: kafka.TopicID{15: 1},
	})
	if err != nil {
		return nil, err
	}
	return CommitLog(l), nil
}

func makeDurableDir(fsys vfs.FS, dir string) error {
	if err := fsys.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for d := dir; d != filepath.Dir(d); d = filepath.Dir(d) {
		if err := fsys.SyncDir(filepath.Dir(d)); err != nil {
			return err
		}
	}
	return nil
}

// fileLog is the simplest Log over a vfs: one file of batches behind one another, and the start in its name. It finds its
// end again by checking every batch.
type fileLog struct {
	fs    vfs.FS
	dir   string
	start kafka.Offset
	f     vfs.File
	size  int64
	end   kafka.Offset
	bases []kafka.Offset
	at    []int64

	flushes, flushErrAfter int // the flush of this number fails; 0 for none
}

var errBrokenDisk = errors.New("broken disk")

func openFileLog(fsys vfs.FS, dir string) (*fileLog, error) {
	if err := makeDurableDir(fsys, dir); err != nil {
		return nil, err
	}
	entries, err := fsys.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	l := &fileLog{fs: fsys, dir: dir}
	for _, e := range entries {
		var start kafka.Offset
		if n, _ := fmt.Sscanf(e.Name(), "%d.testlog", &start); n == 1 && filepath.Ext(e.Name()) == ".testlog" {
			l.start = max(l.start, start)
		}
	}
	return l, l.open()
}

func (l *fileLog) open() (err error) {
	name := filepath.Join(l.dir, fmt.Sprintf("%d.testlog", l.start))
	if l.f, err = l.fs.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644); err != nil {
		return err
	}
	if err := l.fs.SyncDir(l.dir); err != nil {
		return err
	}
	size, err := l.f.Size()
	if err != nil {
		return err
	}
	b := make([]byte, size)
	if _, err := l.f.ReadAt(b, 0); err != nil && size > 0 {
		return err
	}
	l.size, l.end, l.bases, l.at = 0, l.start, nil, nil
	for len(b) > 0 {
		one, rest, err := batch.Next(b)
		if err != nil || batch.CheckCRC(one) != nil {
			break
		}
		l.add(one)
		b = rest
	}
	if err := l.f.Truncate(l.size); err != nil {
		return err
	}
	return l.f.Sync()
}

func (l *fileLog) add(one []byte) {
	h, err := batch.ParseHeader(one)
	if err != nil || h.BaseOffset != l.end {
		panic(fmt.Sprintf("batch at offset %d, the log ends at %d (%v)", h.BaseOffset, l.end, err))
	}
	l.bases, l.at = append(l.bases, h.BaseOffset), append(l.at, l.size)
	l.size += int64(len(one))
	l.end = h.NextOffset()
}

func (l *fileLog) Append(b []byte) error {
	if _, err := l.f.WriteAt(b, l.size); err != nil {
		return err
	}
	for one, err := range batch.Split(b) {
		if err != nil {
			return err
		}
		l.add(one)
	}
	return nil
}

func (l *fileLog) Flush() error {
	if l.flushes++; l.flushes == l.flushErrAfter {
		return errBrokenDisk
	}
	return l.f.Sync()
}

func (l *fileLog) Read(dst []byte, from kafka.Offset, maxBytes int) ([]byte, error) {
	for i := len(l.bases) - 1; i >= 0; i-- {
		if l.bases[i] > from {
			continue
		}
		stop := i + 1
		for stop < len(l.at) && l.position(stop+1)-l.at[i] <= int64(maxBytes) {
			stop++
		}
		b := make([]byte, l.position(stop)-l.at[i])
		if _, err := l.f.ReadAt(b, l.at[i]); err != nil {
			return nil, err
		}
		return append(dst, b...), nil
	}
	return dst, fmt.Errorf("offset %d is before the log's start", from)
}

func (l *fileLog) position(i int) int64 {
	if i < len(l.at) {
		return l.at[i]
	}
	return l.size
}

func (l *fileLog) TruncateTo(end kafka.Offset) error {
	for i, base := range l.bases {
		if base >= end {
			l.size, l.end = l.at[i], base
			l.bases, l.at = l.bases[:i], l.at[:i]
			break
		}
	}
	if err := l.f.Truncate(l.size); err != nil {
		return err
	}
	return l.f.Sync()
}

func (l *fileLog) StartAt(start kafka.Offset) error {
	old := l.f
	l.start = start
	name := filepath.Join(l.dir, fmt.Sprintf("%d.testlog", l.start))
	l.fs.Remove(name)
	if err := l.open(); err != nil {
		return err
	}
	if old.Name() != l.f.Name() {
		if err := l.fs.Remove(old.Name()); err != nil {
			return err
		}
	}
	return errors.Join(old.Close(), l.fs.SyncDir(l.dir))
}

// DropBefore keeps the file, as a log may keep a segment.
func (l *fileLog) DropBefore(kafka.Offset) error { return nil }
func (l *fileLog) Start() kafka.Offset           { return l.start }
func (l *fileLog) End() kafka.Offset             { return l.end }
