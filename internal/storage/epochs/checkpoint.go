package epochs

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"github.com/headrace/headrace/internal/base/kafka"
)

// FileName is the checkpoint's name in the partition's folder.
const FileName = "leader-epoch-checkpoint"

// ErrCorrupt marks a checkpoint that cannot be read.
var ErrCorrupt = errors.New("corrupt leader-epoch-checkpoint")

// Append encodes the cache as Kafka does: a line with version 0, a line with the count, a line "epoch start" each.
func (c *Cache) Append(dst []byte) []byte {
	dst = append(dst, "0\n"...)
	dst = strconv.AppendInt(dst, int64(len(c.entries)), 10)
	dst = append(dst, '\n')
	for _, e := range c.entries {
		dst = strconv.AppendInt(dst, int64(e.Epoch), 10)
		dst = append(dst, ' ')
		dst = strconv.AppendInt(dst, int64(e.Start), 10)
		dst = append(dst, '\n')
	}
	return dst
}

// Decode reads what Append or Kafka wrote. Entries are assigned in order, so a contradiction inside the file resolves as
// it would have in memory.
func Decode(b []byte) (Cache, error) {
	var c Cache
	version, b, ok := cutLine(b)
	if !ok || string(version) != "0" {
		return c, fmt.Errorf("%w: version %.20q, want 0", ErrCorrupt, version)
	}
	count, b, ok := cutLine(b)
	n, err := strconv.ParseUint(string(count), 10, 31)
	if !ok || err != nil {
		return c, fmt.Errorf("%w: bad count %.20q", ErrCorrupt, count)
	}
	for ; n > 0; n-- {
		var line []byte
		line, b, ok = cutLine(b)
		if !ok {
			return c, fmt.Errorf("%w: fewer entries than the count says", ErrCorrupt)
		}
		e, err := parseEntry(line)
		if err != nil {
			return c, err
		}
		c.Assign(e.Epoch, e.Start)
	}
	if len(bytes.TrimSpace(b)) > 0 {
		return c, fmt.Errorf("%w: more entries than the count says", ErrCorrupt)
	}
	return c, nil
}

func parseEntry(line []byte) (Entry, error) {
	epoch, start, ok := bytes.Cut(line, []byte(" "))
	e, err1 := strconv.ParseInt(string(epoch), 10, 32)
	o, err2 := strconv.ParseInt(string(start), 10, 64)
	if !ok || err1 != nil || err2 != nil || e < 0 || o < 0 {
		return Entry{}, fmt.Errorf("%w: bad entry %.40q", ErrCorrupt, line)
	}
	return Entry{Epoch: kafka.LeaderEpoch(e), Start: kafka.Offset(o)}, nil
}

// cutLine wants a whole line: a last line without its end is a torn write.
func cutLine(b []byte) (line, rest []byte, ok bool) {
	line, rest, ok = bytes.Cut(b, []byte("\n"))
	return bytes.TrimSuffix(line, []byte("\r")), rest, ok
}
