// Package replicas compares the log of a partition as several nodes keep it, batch by batch and byte by byte. It reads the files of
// nodes that have stopped. The fault runs call it; it has no state and no goroutines.
package replicas

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/maphash"
	"io"
	"os"
)

// Batch is one record batch on a disk.
type Batch struct {
	Base, Last int64
	Hash       uint64 // of all its bytes
	Whole      bool   // its checksum is right
}

const (
	header    = 61 // of a batch
	lengthAt  = 8
	checkedAt = 21
	maxLength = 64 << 20
)

// Read lists the batches of a partition's files. What follows the last whole frame of a file is the room that it has left.
func Read(files []string, seed maphash.Seed) (list []Batch, err error) {
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		in := bufio.NewReaderSize(f, 1<<16)
		for {
			b, err := next(in, seed)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				f.Close()
				return nil, fmt.Errorf("%s after %d batches: %w", name, len(list), err)
			}
			list = append(list, b)
		}
		f.Close()
	}
	return list, nil
}

// next reads a batch; io.EOF where none begins.
func next(in *bufio.Reader, seed maphash.Seed) (Batch, error) {
	head := make([]byte, header)
	if _, err := io.ReadFull(in, head[:lengthAt+4]); err != nil {
		return Batch{}, io.EOF
	}
	length := int(binary.BigEndian.Uint32(head[lengthAt:]))
	if length == 0 {
		return Batch{}, io.EOF
	}
	if length < header-lengthAt-4 || length > maxLength {
		return Batch{}, fmt.Errorf("a batch of length %d", length)
	}
	b := append(head[:lengthAt+4], make([]byte, length)...)
	if _, err := io.ReadFull(in, b[lengthAt+4:]); err != nil {
		return Batch{}, io.EOF
	}
	base := int64(binary.BigEndian.Uint64(b))
	return Batch{
		Base:  base,
		Last:  base + int64(binary.BigEndian.Uint32(b[23:])),
		Hash:  maphash.Bytes(seed, b),
		Whole: crc32.Checksum(b[checkedAt:], crc32.MakeTable(crc32.Castagnoli)) == binary.BigEndian.Uint32(b[17:]),
	}, nil
}

// Difference is where two replicas are not the same.
type Difference struct {
	Offset int64
	Text   string
}

// Compare holds two replicas against each other below an offset, from where both begin.
func Compare(a, b []Batch, below int64) *Difference {
	start := int64(0)
	for _, l := range [][]Batch{a, b} {
		if len(l) > 0 {
			start = max(start, l[0].Base)
		}
	}
	a, b = within(a, start, below), within(b, start, below)
	for i := range max(len(a), len(b)) {
		switch {
		case i >= len(a) || i >= len(b):
			longer, at := a, "the second"
			if i >= len(a) {
				longer, at = b, "the first"
			}
			return &Difference{longer[i].Base, fmt.Sprintf("%s has no batch at offset %d", at, longer[i].Base)}
		case a[i].Base != b[i].Base || a[i].Last != b[i].Last:
			return &Difference{min(a[i].Base, b[i].Base), fmt.Sprintf("batches of offsets %d to %d, and %d to %d", a[i].Base, a[i].Last, b[i].Base, b[i].Last)}
		case a[i].Hash != b[i].Hash:
			return &Difference{a[i].Base, fmt.Sprintf("the batch at offset %d has other bytes; checksums right: %v and %v", a[i].Base, a[i].Whole, b[i].Whole)}
		}
	}
	return nil
}

func within(list []Batch, start, below int64) (some []Batch) {
	for _, b := range list {
		if b.Base >= start && b.Base < below {
			some = append(some, b)
		}
	}
	return some
}
