// Package check judges what a client program reported in its event log against the data set. It is used by cmd/verify.
package check

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/headrace/headrace/interop/go/flights"
	"github.com/headrace/headrace/interop/go/play"
)

// Position is where a record lies in the topic.
type Position struct {
	Partition int
	Offset    int64
}

// Seen is the content of a topic: every record as a line of the data set.
type Seen map[Position]string

// Log is what an event log says.
type Log struct {
	Seen Seen
	// Codecs are those the client said it produced with, in order.
	Codecs []string
	// Rebalances counts the changes of the first member's partitions after its first assignment.
	Rebalances int
	// Redelivered counts records that were given again because their offset was not committed.
	Redelivered int
}

// reader folds an event log, line by line.
type reader struct {
	log       Log
	acked     int // rows acknowledged
	resumed   bool
	committed [play.Partitions]int64
	owned     map[string][]string // each member's assignments, oldest first
	// last is each member's latest offset by partition, forgotten when the member's partitions change.
	last map[string]map[int]int64
}

// ReadLog reads an event log and checks what needs no data set: that each partition was read in order and without a
// gap, that a committed offset was never delivered again, that a redelivered record is the same, and that the group had
// the rebalances which the scenario asks for.
func ReadLog(path string, rows int) (Log, error) {
	lines, err := flights.Lines(path)
	if err != nil {
		return Log{}, err
	}
	r := reader{log: Log{Seen: make(Seen, rows)}, owned: map[string][]string{}, last: map[string]map[int]int64{}}
	for i, line := range lines {
		if err := r.line(string(line)); err != nil {
			return Log{}, fmt.Errorf("%s:%d: %w", path, i+1, err)
		}
	}
	if r.acked != rows {
		return Log{}, fmt.Errorf("%d rows acknowledged, want %d", r.acked, rows)
	}
	if !r.resumed {
		return Log{}, errors.New("the group was not resumed")
	}
	if err := r.rebalances(); err != nil {
		return Log{}, err
	}
	return r.log, r.log.Seen.dense()
}

// ReadDump reads a file of M events alone: a topic read whole, outside a group.
func ReadDump(path string, rows int) (Seen, error) {
	lines, err := flights.Lines(path)
	if err != nil {
		return nil, err
	}
	seen := make(Seen, rows)
	for i, line := range lines {
		fields := strings.SplitN(string(line), "\t", 5)
		if fields[0] != "M" || len(fields) != 5 {
			return nil, fmt.Errorf("%s:%d: not a record: %q", path, i+1, line)
		}
		p, offset, err := position(fields[2], fields[3])
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, i+1, err)
		}
		seen[Position{p, offset}] = fields[4]
	}
	return seen, seen.dense()
}

func (r *reader) line(line string) error {
	kind, rest, _ := strings.Cut(line, "\t")
	fields := strings.SplitN(rest, "\t", 4)
	switch {
	case kind == "M" && len(fields) == 4:
		p, offset, err := position(fields[1], fields[2])
		if err != nil {
			return err
		}
		return r.record(fields[0], p, offset, fields[3])
	case kind == "C" && len(fields) == 3:
		p, offset, err := position(fields[1], fields[2])
		if err != nil {
			return err
		}
		r.committed[p] = offset
	case kind == "J" && len(fields) == 2:
		r.owned[fields[0]] = append(r.owned[fields[0]], fields[1])
		r.last[fields[0]] = map[int]int64{}
	case kind == "P" && len(fields) == 3:
		return r.produced(fields[0], fields[1], fields[2])
	case kind == "S":
		return r.resume()
	default:
		return fmt.Errorf("unknown event %q", line)
	}
	return nil
}

func position(partition, offset string) (int, int64, error) {
	p, err1 := strconv.Atoi(partition)
	o, err2 := strconv.ParseInt(offset, 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		return 0, 0, err
	}
	if p < 0 || p >= play.Partitions {
		return 0, 0, fmt.Errorf("there is no partition %d", p)
	}
	return p, o, nil
}

func (r *reader) record(member string, p int, offset int64, line string) error {
	if last, ok := r.last[member][p]; ok && offset != last+1 {
		return fmt.Errorf("member %s was given offset %d of partition %d after %d", member, offset, p, last)
	}
	if r.last[member] == nil {
		return fmt.Errorf("member %s was given a record before a partition", member)
	}
	r.last[member][p] = offset
	if offset < r.committed[p] {
		return fmt.Errorf("offset %d of partition %d was delivered although %d is committed", offset, p, r.committed[p])
	}
	at := Position{p, offset}
	before, again := r.log.Seen[at]
	if again && r.resumed {
		return fmt.Errorf("offset %d of partition %d was delivered again to the resumed group", offset, p)
	}
	if again && before != line {
		return fmt.Errorf("offset %d of partition %d was %q when delivered first and is %q now", offset, p, before, line)
	}
	if again {
		r.log.Redelivered++
	}
	r.log.Seen[at] = line
	return nil
}

func (r *reader) produced(codec, from, to string) error {
	first, err1 := strconv.Atoi(from)
	end, err2 := strconv.Atoi(to)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if first != r.acked {
		return fmt.Errorf("rows from %d acknowledged after row %d", first, r.acked)
	}
	r.acked = end
	if !slices.Contains(r.log.Codecs, codec) {
		r.log.Codecs = append(r.log.Codecs, codec)
	}
	return nil
}

// resume ends the group's first life: all that was acknowledged must have been seen.
func (r *reader) resume() error {
	if len(r.log.Seen) != r.acked {
		return fmt.Errorf("%d records seen in the first life, %d were acknowledged", len(r.log.Seen), r.acked)
	}
	r.resumed = true
	return nil
}

// rebalances checks that member A had all partitions, then some, with others at B, and then all again.
func (r *reader) rebalances() error {
	all := "0,1,2,3"
	a := slices.DeleteFunc(slices.Compact(slices.Clone(r.owned["A"])), func(owned string) bool { return owned == "" })
	a = slices.Compact(a)
	shared := slices.IndexFunc(a, func(owned string) bool { return owned != all })
	b := slices.IndexFunc(r.owned["B"], func(owned string) bool { return owned != "" && owned != all })
	if len(a) < 3 || a[0] != all || shared < 0 || a[len(a)-1] != all || b < 0 {
		return fmt.Errorf("members' partitions were A %q, B %q; want all, a share each, all", a, r.owned["B"])
	}
	r.log.Rebalances = len(a) - 1
	return nil
}

func (s Seen) dense() error {
	var count, highest [play.Partitions]int64
	for at := range s {
		count[at.Partition]++
		highest[at.Partition] = max(highest[at.Partition], at.Offset)
	}
	for p, n := range count {
		if n > 0 && highest[p] != n-1 {
			return fmt.Errorf("partition %d: %d records up to offset %d", p, n, highest[p])
		}
	}
	return nil
}

// Content compares every record with the data set: each row once, nothing else, rows of one key in one partition and in
// their order. A row whose time is "*" may have any timestamp.
func (s Seen) Content(rows [][]byte) error {
	ordered := make([]Position, 0, len(s))
	for at := range s {
		ordered = append(ordered, at)
	}
	slices.SortFunc(ordered, func(x, y Position) int {
		if x.Partition != y.Partition {
			return x.Partition - y.Partition
		}
		return int(x.Offset - y.Offset)
	})
	anyTime := len(rows) > 0 && bytes.HasPrefix(rows[0], []byte("*\t"))
	want, unkeyed := index(rows)
	home := map[string]int{}
	for _, at := range ordered {
		line := s[at]
		stamp, rest, _ := strings.Cut(line, "\t")
		key, _, _ := strings.Cut(rest, "\t")
		if anyTime {
			if t, err := strconv.ParseInt(stamp, 10, 64); err != nil || t <= 0 {
				return fmt.Errorf("partition %d offset %d: timestamp %q", at.Partition, at.Offset, stamp)
			}
			line = "*\t" + rest
		}
		if key == flights.Null {
			if unkeyed[line] == 0 {
				return fmt.Errorf("partition %d offset %d: unexpected record %q", at.Partition, at.Offset, line)
			}
			unkeyed[line]--
			continue
		}
		if p, ok := home[key]; ok && p != at.Partition {
			return fmt.Errorf("key %q is in partitions %d and %d", key, p, at.Partition)
		}
		home[key] = at.Partition
		next := want[key]
		if len(next) == 0 {
			return fmt.Errorf("partition %d offset %d: a record too many of key %q: %q", at.Partition, at.Offset, key, line)
		}
		if next[0] != line {
			return fmt.Errorf("partition %d offset %d: record of key %q is %q, want %q", at.Partition, at.Offset, key, line, next[0])
		}
		want[key] = next[1:]
	}
	return missing(want, unkeyed)
}

// index gives the rows of each key in order, and how often each row without a key occurs.
func index(rows [][]byte) (keyed map[string][]string, unkeyed map[string]int) {
	keyed, unkeyed = map[string][]string{}, map[string]int{}
	for _, row := range rows {
		line := string(row)
		if key := strings.SplitN(line, "\t", 3)[1]; key != flights.Null {
			keyed[key] = append(keyed[key], line)
		} else {
			unkeyed[line]++
		}
	}
	return keyed, unkeyed
}

func missing(keyed map[string][]string, unkeyed map[string]int) error {
	n, example := 0, ""
	for _, lines := range keyed {
		if len(lines) > 0 {
			n, example = n+len(lines), lines[0]
		}
	}
	for line, count := range unkeyed {
		if count > 0 {
			n, example = n+count, line
		}
	}
	if n > 0 {
		return fmt.Errorf("%d records are missing, one is %q", n, example)
	}
	return nil
}

// Same compares with what another client read.
func (s Seen) Same(other Seen) error {
	if len(s) != len(other) {
		return fmt.Errorf("%d records, the other client read %d", len(s), len(other))
	}
	for at, line := range s {
		if other[at] != line {
			return fmt.Errorf("partition %d offset %d is %q, the other client read %q", at.Partition, at.Offset, line, other[at])
		}
	}
	return nil
}
