package quorum

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kbin"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/core/metadata"
)

// A snapshot file is the whole Image as batches of records, in Kafka's form: a control batch with a SnapshotHeader record,
// batches of records, a control batch with a SnapshotFooter record. Offsets in it count from 0.

const (
	checkpointSuffix = ".checkpoint"
	// partSuffix marks a file that vfs.Replace was writing.
	partSuffix = ".tmp"
	// snapshotBatch is about how many bytes of records share a batch.
	snapshotBatch = 256 << 10
	// maxSnapshotBytes is far more than the metadata of a million partitions takes.
	maxSnapshotBytes = 4 << 30
)

// checkpointName is Kafka's name for the snapshot of everything below end, whose last record is of epoch.
func checkpointName(end kafka.Offset, epoch int32) string {
	return fmt.Sprintf("%020d-%010d%s", end, epoch, checkpointSuffix)
}

// parseCheckpointName tells which snapshot a file is.
func parseCheckpointName(name string) (end kafka.Offset, epoch int32, ok bool) {
	stem, isCheckpoint := strings.CutSuffix(name, checkpointSuffix)
	offset, term, both := strings.Cut(stem, "-")
	o, err1 := strconv.ParseInt(offset, 10, 64)
	e, err2 := strconv.ParseInt(term, 10, 32)
	ok = isCheckpoint && both && err1 == nil && err2 == nil && checkpointName(kafka.Offset(o), int32(e)) == name
	return kafka.Offset(o), int32(e), ok
}

// encodeSnapshot writes img; ms is when its last record was appended.
func encodeSnapshot(img *metadata.Image, epoch int32, ms int64) []byte {
	header := kbin.AppendInt64(kbin.AppendInt16(nil, 0), ms)
	out := controlBatch(batch.ControlSnapshotHeader, append(header, 0), 0, uint64(epoch), ms)
	next := kafka.Offset(1)
	var b *batch.Builder
	var value []byte
	flush := func() {
		if b != nil {
			out = b.Bytes(out)
			next += kafka.Offset(b.Count())
			b = nil
		}
	}
	for _, r := range img.Records() {
		if b == nil {
			b = batch.NewBuilder(batch.BuilderConfig{BaseOffset: next, LeaderEpoch: kafka.LeaderEpoch(epoch)})
		}
		value = metadata.AppendRecord(value[:0], r)
		b.Append(ms, nil, value, nil)
		if b.Size() >= snapshotBatch {
			flush()
		}
	}
	flush()
	footer := append(kbin.AppendInt16(nil, 0), 0)
	return append(out, controlBatch(batch.ControlSnapshotFooter, footer, next, uint64(epoch), ms)...)
}

// decodeSnapshot reads what encodeSnapshot wrote, as the Image of everything below end.
func decodeSnapshot(b []byte, clusterID string, end kafka.Offset) (*metadata.Image, error) {
	var recs []metadata.Record
	var header, footer bool
	for one, err := range batch.Split(b) {
		if err == nil {
			err = batch.CheckCRC(one)
		}
		if err != nil {
			return nil, err
		}
		if footer {
			return nil, errors.New("batches after the footer")
		}
		h, err := batch.ParseHeader(one)
		if err != nil {
			return nil, err
		}
		if !h.Attributes.IsControl() {
			more, err := decodeRecords(one)
			if err != nil {
				return nil, err
			}
			recs = append(recs, more...)
			continue
		}
		t, _, err := controlRecord(one)
		switch {
		case err != nil:
			return nil, err
		case t == batch.ControlSnapshotHeader:
			header = true
		case t == batch.ControlSnapshotFooter:
			footer = true
		}
	}
	if !header || !footer {
		return nil, errors.New("header or footer is missing")
	}
	img, _, err := metadata.New(clusterID).Replay(recs, end-1)
	return img, err
}

func loadSnapshot(fsys vfs.FS, dir, clusterID string, p snapshotPoint) (*metadata.Image, error) {
	if p.Index == 0 {
		return metadata.New(clusterID), nil
	}
	name := checkpointName(p.Offset, p.Epoch)
	b, err := vfs.ReadFile(fsys, filepath.Join(dir, name), maxSnapshotBytes)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w: snapshot %s is missing", ErrDamaged, name)
	case err != nil:
		return nil, fmt.Errorf("read snapshot: %w", err)
	}
	img, err := decodeSnapshot(b, clusterID, p.Offset)
	if err != nil {
		return nil, fmt.Errorf("%w: snapshot %s: %w", ErrDamaged, name, err)
	}
	return img, nil
}

func saveSnapshot(fsys vfs.FS, dir string, p snapshotPoint, b []byte) error {
	name := checkpointName(p.Offset, p.Epoch)
	if err := vfs.Replace(fsys, filepath.Join(dir, name), b); err != nil {
		return fmt.Errorf("write snapshot %s: %w", name, err)
	}
	return nil
}

// removeOtherSnapshots deletes every snapshot, whole or in part, but the one in use. What is left by an error or a crash
// is deleted the next time.
func removeOtherSnapshots(fsys vfs.FS, dir string, used snapshotPoint) error {
	entries, err := fsys.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("remove old snapshots: %w", err)
	}
	for _, e := range entries {
		whole, isPart := strings.CutSuffix(e.Name(), partSuffix)
		_, _, ok := parseCheckpointName(whole)
		if !ok || !isPart && whole == checkpointName(used.Offset, used.Epoch) {
			continue
		}
		if err := fsys.Remove(filepath.Join(dir, e.Name())); err != nil {
			return fmt.Errorf("remove old snapshot: %w", err)
		}
	}
	return nil
}
