// Package segment is one segment of a partition's log in Kafka's on-disk format: a file of record batches with its offset,
// time and transaction indexes. storage/commitlog owns every Segment and serialises its use; Views, taken under that
// owner's lock, are read without it. It starts no goroutine.
package segment

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/headrace/headrace/internal/base/kafka"
)

// The endings of the files that begin with a segment's 20-digit base offset.
const (
	LogSuffix       = ".log"
	IndexSuffix     = ".index"
	TimeIndexSuffix = ".timeindex"
	TxnIndexSuffix  = ".txnindex"
	SnapshotSuffix  = ".snapshot"

	// DeletedSuffix is added to files that are to be removed a while later.
	DeletedSuffix = ".deleted"
	// CleanedSuffix and SwapSuffix are added to files that compaction makes; see storage/commitlog on opening.
	CleanedSuffix = ".cleaned"
	SwapSuffix    = ".swap"
)

// FileName is the name of the file of the segment, or the snapshot, that begins at base.
func FileName(base kafka.Offset, suffix string) string {
	return fmt.Sprintf("%020d%s", int64(base), suffix)
}

// ParseFileName splits what FileName made. Names of other files are not ok.
func ParseFileName(name string) (base kafka.Offset, suffix string, ok bool) {
	const digits = 20
	if len(name) <= digits || name[digits] != '.' || strings.ContainsAny(name[:digits], "+-") {
		return 0, "", false
	}
	n, err := strconv.ParseInt(name[:digits], 10, 64)
	if err != nil {
		return 0, "", false
	}
	return kafka.Offset(n), name[digits:], true
}

func (s *Segment) path(suffix string) string {
	return filepath.Join(s.dir, FileName(s.base, suffix)+s.suffix)
}
