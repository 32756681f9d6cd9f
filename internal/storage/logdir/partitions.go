package logdir

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
)

// Suffixes of folders that were partitions (deleted, no longer assigned here) or are going to be (moving between dirs).
const (
	deleteSuffix = "-delete"
	straySuffix  = "-stray"
	futureSuffix = "-future"
)

// maxName is the longest name of a folder on the usual file systems.
const maxName = 255

// partitionMetadataFile tells the topic id of the partition's folder it is in.
const partitionMetadataFile = "partition.metadata"

// Found is a partition's folder on disk.
type Found struct {
	Partition kafka.TopicPartition
	TopicID   kafka.TopicID // zero when the folder has no partition.metadata
	Dir       string
	Err       error // partition.metadata cannot be read: this partition cannot be opened
}

type entryKind int

const (
	kindOther    entryKind = iota // a file, or a folder that is none of the others
	kindLog                       // topic-partition
	kindDeleted                   // …-delete
	kindStray                     // …-stray
	kindFuture                    // …-future
	kindMetadata                  // the log of the metadata quorum
)

func kindOf(e fs.DirEntry) entryKind {
	name := e.Name()
	switch {
	case !e.IsDir():
		return kindOther
	case name == metadataLog:
		return kindMetadata
	case hasUniqueSuffix(name, deleteSuffix):
		return kindDeleted
	case hasUniqueSuffix(name, straySuffix):
		return kindStray
	case hasUniqueSuffix(name, futureSuffix):
		return kindFuture
	}
	if _, err := kafka.ParseTopicPartition(name); err == nil {
		return kindLog
	}
	return kindOther
}

// metadataLog is the folder of the quorum's log, which is no partition of a topic.
const metadataLog = kafka.MetadataTopic + "-0"

// hasUniqueSuffix tells names of the form topic-partition.uniqueid-suffix. The topic may have been cut short.
func hasUniqueSuffix(name, suffix string) bool {
	rest, ok := strings.CutSuffix(name, suffix)
	dot := strings.LastIndexByte(rest, '.')
	return ok && dot > 0 && dot < len(rest)-1 && strings.IndexByte(rest[:dot], '-') > 0
}

// nameAside is the name that a partition's folder gets when it is deleted, or set aside. The topic id makes it unique, where
// Kafka draws a random one.
func nameAside(tp kafka.TopicPartition, id kafka.TopicID, suffix string) string {
	end := "-" + strconv.Itoa(int(tp.Partition)) + "." + hex.EncodeToString(id[:]) + suffix
	return tp.Topic[:min(len(tp.Topic), maxName-len(end))] + end
}

// scan removes the folders that were being deleted and notes the partitions that are there.
func (d *Dir) scan() error {
	entries, err := d.fs.ReadDir(d.path)
	if err != nil {
		return err
	}
	d.mu.untouched = map[kafka.TopicPartition]bool{}
	for _, e := range entries {
		path := filepath.Join(d.path, e.Name())
		switch kindOf(e) {
		case kindDeleted:
			d.log.Info("removing a deleted partition", "folder", path)
			if err := d.fs.RemoveAll(path); err != nil {
				return err
			}
		case kindStray:
			d.log.Info("ignoring a partition that is no longer assigned to this node", "folder", path)
		case kindFuture:
			if tp, ok := futureOf(e.Name()); ok {
				d.mu.untouched[tp] = true
			}
		case kindLog, kindMetadata:
			tp, err := kafka.ParseTopicPartition(e.Name())
			if err != nil {
				return err
			}
			d.mu.untouched[tp] = true
		case kindOther:
			if e.IsDir() {
				d.log.Debug("ignoring a folder that is no partition", "folder", path)
			}
		}
	}
	d.forgetMissing()
	return nil
}

// forgetMissing drops what the checkpoints say of partitions without a folder.
func (d *Dir) forgetMissing() {
	d.mu.stale = map[kafka.TopicPartition]bool{}
	for _, o := range d.mu.offsets {
		for tp := range o {
			if !d.mu.untouched[tp] {
				d.forget(tp)
			}
		}
	}
}

// Partitions lists the partitions' folders, sorted by name, without the metadata log.
func (d *Dir) Partitions() ([]Found, error) {
	found, _, err := findPartitions(d.fs, d.path)
	if err != nil {
		return nil, fmt.Errorf("list log dir %s: %w", d.path, err)
	}
	return found, nil
}

// findPartitions also gives the names of the other folders by their kind.
func findPartitions(fsys vfs.FS, dir string) ([]Found, map[entryKind][]string, error) {
	entries, err := fsys.ReadDir(dir)
	if err != nil {
		return nil, nil, err
	}
	var found []Found
	others := map[entryKind][]string{}
	for _, e := range entries {
		kind := kindOf(e)
		if kind != kindLog {
			if e.IsDir() {
				others[kind] = append(others[kind], e.Name())
			}
			continue
		}
		f := Found{Dir: filepath.Join(dir, e.Name())}
		if f.Partition, err = kafka.ParseTopicPartition(e.Name()); err != nil {
			return nil, nil, err
		}
		f.TopicID, f.Err = readTopicID(fsys, f.Dir)
		found = append(found, f)
	}
	return found, others, nil
}

// readTopicID is zero when the folder has no partition.metadata.
func readTopicID(fsys vfs.FS, dir string) (kafka.TopicID, error) {
	name := filepath.Join(dir, partitionMetadataFile)
	b, found, err := readSmall(fsys, name)
	if err != nil || !found {
		return kafka.TopicID{}, err
	}
	id, err := parsePartitionMetadata(b)
	if err != nil {
		return kafka.TopicID{}, fmt.Errorf("%s: %w", name, err)
	}
	return id, nil
}

// parsePartitionMetadata reads the lines "version: 0" and "topic_id: <id>". Later versions may add lines.
func parsePartitionMetadata(b []byte) (kafka.TopicID, error) {
	version, err := metadataField(&b, "version")
	if err != nil {
		return kafka.TopicID{}, err
	}
	if n, err := strconv.ParseInt(version, 10, 32); err != nil || n < 0 {
		return kafka.TopicID{}, fmt.Errorf("%w: version %.20q", ErrCorrupt, version)
	}
	text, err := metadataField(&b, "topic_id")
	if err != nil {
		return kafka.TopicID{}, err
	}
	id, err := kafka.ParseTopicID(text)
	if err == nil && id.IsZero() {
		err = errors.New("the topic id is zero")
	}
	if err != nil {
		return kafka.TopicID{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return id, nil
}

func metadataField(b *[]byte, key string) (string, error) {
	line, rest, _ := bytes.Cut(*b, []byte("\n"))
	*b = rest
	k, v, ok := strings.Cut(strings.TrimSuffix(string(line), "\r"), ":")
	if !ok || k != key {
		return "", fmt.Errorf("%w: line %.80q, want %q", ErrCorrupt, line, key+": …")
	}
	return strings.TrimSpace(v), nil
}
