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
	tmp := name + ".tmp"
	if err := writeFile(fsys, tmp, b); err != nil {
		return err
	}
	return fsys.Rename(tmp, name)
}

// checkTopicID reads partition.metadata, compares it with want, and writes it if there is none; it is durable after a
// SyncDir.
func checkTopicID(fsys vfs.FS, dir string, want kafka.TopicID) (kafka.TopicID, error) {
	name := filepath.Join(dir, metadataName)
	b, err := vfs.ReadFile(fsys, name, maxSmallFile)
	if errors.Is(err, fs.ErrNotExist) {
		if want.IsZero() {
			return want, nil
		}
		return want, writeTopicID(fsys, dir, want)
	}
	if err != nil {
		return want, err
	}
	id, err := parseMetadata(b)
	if err != nil {
		return want, fmt.Errorf("%s: %w: %w", name, ErrForeign, err)
	}
	if !want.IsZero() && id != want {
		return want, fmt.Errorf("%s is of topic id %v, not %v: %w: %w", dir, id, want, ErrForeign, kerr.InconsistentTopicID)
	}
	return id, nil
}

func writeTopicID(fsys vfs.FS, dir string, id kafka.TopicID) error {
	b := fmt.Appendf(nil, "version: 0\ntopic_id: %s", id)
	return replaceFile(fsys, filepath.Join(dir, metadataName), b)
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
