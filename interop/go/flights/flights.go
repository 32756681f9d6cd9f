// Package flights reads and writes the tab-separated records that every client of the suite sends and reports. The
// client programs read the data set with it, the verifier reads both the data set and what the clients saw.
package flights

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// Null is how a null key or value is written.
const Null = `\N`

// Header is one record header; a name may occur more than once in a record.
type Header struct {
	Name  string
	Value []byte
}

// Row is one record of the data set. A nil Key or Value is a null one.
type Row struct {
	// Time is the record's timestamp in milliseconds since the epoch.
	Time    int64
	Key     []byte
	Value   []byte
	Headers []Header
}

// Lines reads the file whole, split at its line ends.
func Lines(path string) ([][]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return bytes.Split(bytes.TrimSuffix(data, []byte("\n")), []byte("\n")), nil
}

// Read reads a data set written by prepare.py.
func Read(path string) ([]Row, error) {
	lines, err := Lines(path)
	if err != nil {
		return nil, err
	}
	rows := make([]Row, len(lines))
	for i, line := range lines {
		if rows[i], err = parse(line); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, i+1, err)
		}
	}
	return rows, nil
}

func parse(line []byte) (Row, error) {
	fields := bytes.Split(line, []byte("\t"))
	if len(fields) != 4 {
		return Row{}, fmt.Errorf("%d fields, want 4", len(fields))
	}
	stamp, err := strconv.ParseInt(string(fields[0]), 10, 64)
	if err != nil {
		return Row{}, err
	}
	row := Row{Time: stamp, Key: orNull(fields[1]), Value: orNull(fields[2])}
	for _, pair := range bytes.Split(fields[3], []byte(",")) {
		name, value, _ := bytes.Cut(pair, []byte("="))
		row.Headers = append(row.Headers, Header{string(name), value})
	}
	return row, nil
}

func orNull(field []byte) []byte {
	if string(field) == Null {
		return nil
	}
	return field
}

// Append writes the row as a line of the data set, without the line's end.
func (r Row) Append(dst []byte) []byte {
	dst = strconv.AppendInt(dst, r.Time, 10)
	dst = appendField(append(dst, '\t'), r.Key)
	dst = appendField(append(dst, '\t'), r.Value)
	dst = append(dst, '\t')
	for i, h := range r.Headers {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(append(append(dst, h.Name...), '='), h.Value...)
	}
	return dst
}

func appendField(dst, field []byte) []byte {
	if field == nil {
		return append(dst, Null...)
	}
	return append(dst, field...)
}

// NewWriter creates the file with a buffer that suits an event log.
func NewWriter(path string) (*os.File, *bufio.Writer, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, nil, err
	}
	return f, bufio.NewWriterSize(f, 1<<20), nil
}
