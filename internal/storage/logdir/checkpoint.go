package logdir

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/headrace/headrace/internal/base/kafka"
)

// The checkpoints of a log dir, all in one format: an offset a partition.
const (
	recoveryFile      = "recovery-point-offset-checkpoint" // all below is on disk
	highWatermarkFile = "replication-offset-checkpoint"
	logStartFile      = "log-start-offset-checkpoint" // only where records of the first segment were deleted
	cleanerFile       = "cleaner-offset-checkpoint"   // up to where logs were compacted, of those that were
)

func checkpointFiles() []string {
	return []string{recoveryFile, highWatermarkFile, logStartFile, cleanerFile}
}

// ErrCorrupt marks a file of a log dir whose content makes no sense.
var ErrCorrupt = errors.New("corrupt file")

// offsets is the content of a checkpoint.
type offsets map[kafka.TopicPartition]kafka.Offset

// appendOffsets encodes o sorted: a line with version 0, a line with the count, a line "topic partition offset" each.
func appendOffsets(dst []byte, o offsets) []byte {
	dst = append(dst, "0\n"...)
	dst = strconv.AppendInt(dst, int64(len(o)), 10)
	dst = append(dst, '\n')
	for _, tp := range slices.SortedFunc(maps.Keys(o), comparePartitions) {
		dst = append(dst, tp.Topic...)
		dst = append(dst, ' ')
		dst = strconv.AppendInt(dst, int64(tp.Partition), 10)
		dst = append(dst, ' ')
		dst = strconv.AppendInt(dst, int64(o[tp]), 10)
		dst = append(dst, '\n')
	}
	return dst
}

func comparePartitions(a, b kafka.TopicPartition) int {
	return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
}

// parseOffsets reads what appendOffsets or Apache Kafka wrote. An empty file has no entries: Kafka makes one so before
// its first checkpoint. Whatever is doubtful makes the whole file corrupt, as a wrong recovery point loses records.
func parseOffsets(b []byte) (offsets, error) {
	o := offsets{}
	if len(b) == 0 {
		return o, nil
	}
	version, b, ok := cutLine(b)
	if !ok || string(version) != "0" {
		return nil, fmt.Errorf("%w: version %.20q, want 0", ErrCorrupt, version)
	}
	count, b, ok := cutLine(b)
	n, err := strconv.ParseInt(string(count), 10, 32)
	if !ok || err != nil || n < 0 {
		return nil, fmt.Errorf("%w: count %.20q", ErrCorrupt, count)
	}
	for len(b) > 0 {
		var line []byte
		if line, b, ok = cutLine(b); !ok {
			return nil, fmt.Errorf("%w: its last line has no end", ErrCorrupt)
		}
		tp, off, err := parseOffset(line)
		if err != nil {
			return nil, err
		}
		if _, twice := o[tp]; twice {
			return nil, fmt.Errorf("%w: %v is there twice", ErrCorrupt, tp)
		}
		o[tp] = off
	}
	if int64(len(o)) != n {
		return nil, fmt.Errorf("%w: %d entries, but its count says %d", ErrCorrupt, len(o), n)
	}
	return o, nil
}

func parseOffset(line []byte) (kafka.TopicPartition, kafka.Offset, error) {
	fields := bytes.Fields(line)
	if len(fields) != 3 {
		return kafka.TopicPartition{}, 0, fmt.Errorf("%w: line %.80q, want topic, partition and offset", ErrCorrupt, line)
	}
	tp := kafka.TopicPartition{Topic: string(fields[0])}
	p, perr := strconv.ParseInt(string(fields[1]), 10, 32)
	off, oerr := strconv.ParseInt(string(fields[2]), 10, 64)
	if kafka.ValidateTopicName(tp.Topic) != nil || perr != nil || p < 0 || oerr != nil || off < 0 {
		return tp, 0, fmt.Errorf("%w: line %.300q", ErrCorrupt, line)
	}
	tp.Partition = int32(p)
	return tp, kafka.Offset(off), nil
}

// cutLine wants a whole line: one without its end was not written to its end.
func cutLine(b []byte) (line, rest []byte, ok bool) {
	line, rest, ok = bytes.Cut(b, []byte("\n"))
	return bytes.TrimSuffix(line, []byte("\r")), rest, ok
}
