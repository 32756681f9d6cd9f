package quorum

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kbin"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/core/metadata"
)

// Foreign is what the metadata log of a cluster of Apache Kafka says of topics.
type Foreign struct {
	// Image has topics, configs and the next producer id. Nodes and features are the other cluster's own and left out.
	Image *metadata.Image
	// Left names the kinds of records that an Image has no place for, sorted.
	Left []string
}

// ReadForeign reads the folder __cluster_metadata-0 of a stopped node of Apache Kafka: its newest snapshot, and the log
// behind it. A batch that is not whole ends the log, as it would end that node's own recovery.
func ReadForeign(fsys vfs.FS, dir string) (Foreign, error) {
	snapshot, end, logs, err := foreignFiles(fsys, dir)
	if err != nil {
		return Foreign{}, err
	}
	f := foreign{left: map[string]bool{}}
	if snapshot != "" {
		if err := f.read(fsys, filepath.Join(dir, snapshot), 0); err != nil {
			return Foreign{}, err
		}
	}
	for _, name := range logs {
		if err := f.read(fsys, filepath.Join(dir, name), end); err != nil {
			return Foreign{}, err
		}
	}
	img, _, err := metadata.New("").Replay(f.recs, kafka.Offset(len(f.recs)))
	if err != nil {
		return Foreign{}, fmt.Errorf("replay %s: %w", dir, err)
	}
	out := Foreign{Image: img}
	for kind := range f.left {
		out.Left = append(out.Left, kind)
	}
	slices.Sort(out.Left)
	return out, nil
}

// foreignFiles finds the newest snapshot, the offset where it ends, and the segments in their order.
func foreignFiles(fsys vfs.FS, dir string) (snapshot string, end kafka.Offset, logs []string, err error) {
	entries, err := fsys.ReadDir(dir)
	if err != nil {
		return "", 0, nil, err
	}
	for _, e := range entries {
		// Names are numbers of one width, so that the order of names is that of offsets.
		if o, _, ok := parseCheckpointName(e.Name()); ok && e.Name() > snapshot {
			snapshot, end = e.Name(), o
		}
		if strings.HasSuffix(e.Name(), ".log") {
			logs = append(logs, e.Name())
		}
	}
	slices.Sort(logs)
	return snapshot, end, logs, nil
}

type foreign struct {
	recs []metadata.Record
	left map[string]bool
}

// read takes the records from an offset on.
func (f *foreign) read(fsys vfs.FS, name string, from kafka.Offset) error {
	b, err := vfs.ReadFile(fsys, name, maxSnapshotBytes)
	if err != nil {
		return err
	}
	for one, err := range batch.Split(b) {
		if err == nil {
			err = batch.CheckCRC(one)
		}
		if err != nil {
			return nil // the torn end
		}
		h, err := batch.ParseHeader(one)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if h.Attributes.IsControl() || h.NextOffset() <= from {
			continue
		}
		for r, err := range batch.Records(one, maxInflated) {
			if err == nil && r.Offset >= from {
				err = f.take(r.Value)
			}
			if err != nil {
				return fmt.Errorf("%s: offset %d: %w", name, h.BaseOffset, err)
			}
		}
	}
	return nil
}

func (f *foreign) take(value []byte) error {
	r := kbin.Reader{Src: value}
	_, typ := r.Uvarint(), metadata.RecordType(r.Uvarint())
	switch typ {
	case metadata.TypeTopic, metadata.TypePartition, metadata.TypePartitionChange, metadata.TypeRemoveTopic,
		metadata.TypeConfig, metadata.TypeProducerIDs:
		rec, err := metadata.DecodeRecord(value)
		if errors.Is(err, metadata.ErrUnsupportedRecord) {
			return fmt.Errorf("written by a newer Apache Kafka: %w", err)
		}
		if err == nil {
			f.recs = append(f.recs, rec)
		}
		return err
	}
	if kind, ok := leftBehind(typ); ok {
		f.left[kind] = true
	}
	return nil
}

// leftBehind names what a user may miss. Everything else that is skipped is about the other cluster's nodes.
func leftBehind(typ metadata.RecordType) (kind string, ok bool) {
	switch typ {
	case 10:
		return "delegation tokens", true
	case 11:
		return "SCRAM users", true
	case 14:
		return "client quotas", true
	case 18:
		return "ACLs", true
	}
	return "", false
}
