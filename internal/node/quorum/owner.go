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
