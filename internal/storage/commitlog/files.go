package commitlog

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/storage/segment"
)

// metadataName is the file that ties the folder to a topic id.
const metadataName = "partition.metadata"

// maxSmallFile bounds the files that are read whole: checkpoints, producer snapshots, partition.metadata.
const maxSmallFile = 1 << 30

// writeFile makes or overwrites a file and syncs it. Its name is durable after a SyncDir.
func writeFile(fsys vfs.FS, name string, b []byte) error {
	return writeAnd(fsys, name, b, vfs.File.Sync)
}

// writeUnsynced makes or overwrites a file that a power cut may take.
func writeUnsynced(fsys vfs.FS, name string, b []byte) error {
	return writeAnd(fsys, name, b, func(vfs.File) error { return nil })
}

func writeAnd(fsys vfs.FS, name string, b []byte, then func(vfs.File) error) error {
	f, err := fsys.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	if err == nil {
		err = then(f)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// replaceFile puts b in the place of a file so that, whatever happens, the old or the new content is there.
func replaceFile(fsys vfs.FS, name string, b []byte) error {
	return replaceBy(writeFile, fsys, name, b)
}

// replaceUnsynced is replaceFile for who syncs the whole file system next. A power cut before that may leave an empty or torn file
// in its place; one that a reader can tell from a whole one, as no other content was ever in it.
func replaceUnsynced(fsys vfs.FS, name string, b []byte) error {
	return replaceBy(writeUnsynced, fsys, name, b)
}

const tmpSuffix = ".tmp"

func replaceBy(write func(vfs.FS, string, []byte) error, fsys vfs.FS, name string, b []byte) error {
	tmp := name + tmpSuffix
	err := write(fsys, tmp, b)
	if err == nil {
		err = fsys.Rename(tmp, name)
	}
	if err != nil {
		return errors.Join(err, segment.RemoveIfThere(fsys, tmp)) // the next try begins with a file of its own
	}
	return nil
}

// checkTopicID reads partition.metadata and compares it with want. Where there is none, beside files that are older than it, it is
// written, and durable after a SyncDir. The error is errHalfMade for one that may never have been synced.
func checkTopicID(fsys vfs.FS, dir string, want kafka.TopicID) (kafka.TopicID, error) {
	name := filepath.Join(dir, metadataName)
	b, err := vfs.ReadFile(fsys, name, maxSmallFile)
	if errors.Is(err, fs.ErrNotExist) {
		if want.IsZero() {
			return want, nil
		}
		return want, replaceFile(fsys, name, metadataText(want))
	}
	if err != nil {
		return want, err
	}
	id, err := parseMetadata(b)
	if err != nil && halfMade(b, want) {
		err = fmt.Errorf("%w: %w", errHalfMade, err)
	}
	if err != nil {
		return want, fmt.Errorf("%s: %w: %w", name, ErrForeign, err)
	}
	if !want.IsZero() && id != want {
		return want, fmt.Errorf("%s is of topic id %v, not %v: %w: %w", dir, id, want, ErrForeign, kerr.InconsistentTopicID)
	}
	return id, nil
}

// parseMetadata reads partition.metadata: the lines "version: 0" and "topic_id: <base64url>".
func parseMetadata(b []byte) (id kafka.TopicID, err error) {
	version := ""
	text := ""
	lines := bufio.NewScanner(bytes.NewReader(b))
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), ":")
		switch strings.TrimSpace(key) {
		case "version":
			version = strings.TrimSpace(value)
		case "topic_id":
			text = strings.TrimSpace(value)
		}
	}
	if version != "0" {
		return id, fmt.Errorf("partition.metadata has version %.20q, want 0: %w", version, kerr.CorruptMessage)
	}
	if id, err = kafka.ParseTopicID(text); err != nil {
		return id, fmt.Errorf("partition.metadata: %w: %w", err, kerr.CorruptMessage)
	}
	if id.IsZero() {
		return id, fmt.Errorf("partition.metadata has a topic id of zeros: %w", kerr.CorruptMessage)
	}
	return id, nil
}
