package logdir

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/headrace/headrace/internal/base/vfs"
)

// markerFile is there only between a clean stop and the next start.
const markerFile = ".kafka_cleanshutdown"

// marker is its content; a reader ignores fields that it does not know.
type marker struct {
	Version     int   `json:"version"`
	BrokerEpoch int64 `json:"brokerEpoch"`
}

// noBrokerEpoch stands for a marker without a readable epoch.
const noBrokerEpoch = -1

// takeMarker removes the marker durably, so that a crash from here on is seen as one, and tells whether it was there.
// Its being there is what counts: one that cannot be parsed only has no epoch.
func takeMarker(fsys vfs.FS, dir string) (clean bool, brokerEpoch int64, err error) {
	name := filepath.Join(dir, markerFile)
	if _, err := fsys.Stat(name); errors.Is(err, fs.ErrNotExist) {
		return false, noBrokerEpoch, nil
	} else if err != nil {
		return false, noBrokerEpoch, err
	}
	b, _, err := readSmall(fsys, name)
	if err != nil {
		return false, noBrokerEpoch, err
	}
	if err := fsys.Remove(name); err != nil {
		return false, noBrokerEpoch, err
	}
	if err := fsys.SyncDir(dir); err != nil {
		return false, noBrokerEpoch, err
	}
	return true, parseMarker(b), nil
}

func parseMarker(b []byte) int64 {
	m := struct {
		Version     int    `json:"version"`
		BrokerEpoch *int64 `json:"brokerEpoch"`
	}{}
	if err := json.Unmarshal(b, &m); err != nil || m.BrokerEpoch == nil || *m.BrokerEpoch < 0 {
		return noBrokerEpoch
	}
	return *m.BrokerEpoch
}

func writeMarker(fsys vfs.FS, dir string, brokerEpoch int64) error {
	b, err := json.Marshal(marker{BrokerEpoch: brokerEpoch})
	if err != nil {
		return fmt.Errorf("encode %s: %w", markerFile, err)
	}
	return vfs.Replace(fsys, filepath.Join(dir, markerFile), b)
}
