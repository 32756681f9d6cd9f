package quorum

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/headrace/headrace/internal/base/vfs"
)

// OwnsDir tells whether the state in a folder of __cluster_metadata-0 was written by a Quorum. That of Apache Kafka has no
// part "raft". A folder without a state is nobody's.
func OwnsDir(fsys vfs.FS, dir string) (bool, error) {
	name := filepath.Join(dir, stateFile)
	b, err := vfs.ReadFile(fsys, name, maxStateBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var s struct {
		Raft *json.RawMessage `json:"raft"`
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return false, fmt.Errorf("%s: %w", name, err)
	}
	return s.Raft != nil, nil
}

// UsedDir tells whether a Quorum has used a folder of __cluster_metadata-0: it owns the state, or the state is gone and the log is not.
// Who has lost its state is not one that has nothing to lose.
func UsedDir(fsys vfs.FS, dir string) (bool, error) {
	own, err := OwnsDir(fsys, dir)
	if own || err != nil {
		return own, err
	}
	if _, err := fsys.Stat(filepath.Join(dir, stateFile)); !errors.Is(err, fs.ErrNotExist) {
		return false, err // it is another's
	}
	entries, err := fsys.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	for _, e := range entries {
		if filepath.Ext(e.Name()) != ".log" {
			continue
		}
		if i, err := e.Info(); err != nil || i.Size() > 0 {
			return err == nil, err
		}
	}
	return false, err
}
