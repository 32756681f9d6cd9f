package commitlog

import (
	"bytes"
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/kafka"
)

// TestALogThatIsShorterThanItWasIsLeftAlone has the end of a log gone that the checkpoints tell of.
func TestALogThatIsShorterThanItWasIsLeftAlone(t *testing.T) {
	whole, batches, end := filled(t, 60)
	name := lastLog(t, whole)
	file := slurp(t, whole, name)
	for cut := 1; cut < len(batches[59])+len(batches[58]); cut += 7 {
		for _, clean := range []bool{false, true} {
			for _, point := range []kafka.Offset{0, end} {
				disk := whole.Clone()
				spill(t, disk, name, file[:len(file)-cut])
				o := options(disk)
				o.Clean, o.RecoveryPoint, o.Known = clean, point, end
				if _, err := Open(o); !errors.Is(err, ErrShort) || !errors.Is(err, ErrDamaged) {
					t.Fatalf("%d bytes gone, clean %v, recovery point %d: %v", cut, clean, point, err)
				}
				if got := slurp(t, disk, name); len(got) != len(file)-cut {
					t.Fatalf("%d bytes gone, clean %v: cut to %d bytes", cut, clean, len(got))
				}
				o.Known = 0
				l := mustOpen(t, o)
				if l.End() >= end {
					t.Fatalf("ends at %d", l.End())
				}
				l.CloseAbrupt()
			}
		}
	}
	o := options(whole)
	o.Known = end
	mustOpen(t, o).CloseAbrupt()
}

func TestSalvageEndsTheLogBeforeTheFirstDamage(t *testing.T) {
	whole, batches, end := filled(t, 60)
	for n := range names(t, whole) {
		name := dir + "/" + names(t, whole)[n]
		if name[len(name)-4:] != ".log" {
			continue
		}
		file := slurp(t, whole, name)
		first := 0 // of the segment's batches
		for first < len(batches) && !bytes.HasPrefix(file, batches[first]) {
			first++
		}
		at := len(batches[first]) // the second batch
		for _, i := range []int{9, 17, 22, 40, len(batches[first+1]) - 1} {
			disk := whole.Clone()
			flipped := bytes.Clone(file)
			flipped[at+i] ^= 0x10
			spill(t, disk, name, flipped)
			o := options(disk)
			o.Clean, o.RecoveryPoint, o.Known, o.Salvage = true, end, end, true
			l := mustOpen(t, o)
			if got := readAll(t, l, 1000); !bytes.Equal(got, bytes.Join(batches[:first+1], nil)) {
				t.Errorf("%s, byte %d: not what comes before the damage", name, i)
			}
			mustAppend(t, l, records(1, 20, 0))
			l.CloseAbrupt()
		}
	}
}

func TestCheckFindsTheFirstDamagedBatch(t *testing.T) {
	disk := newDisk(t)
	o := options(disk)
	o.Config.SegmentBytes = 1 << 20
	l := mustOpen(t, o)
	defer l.CloseAbrupt()
	var starts []int
	size := 0
	for i, n := range []int{20, 70_000, 140_000, 10} { // less and more than what is read at a time
		starts = append(starts, size)
		v := records(1, n, int64(i))
		mustAppend(t, l, v)
		size += len(v.Batch)
	}
	name := lastLog(t, disk)
	file := slurp(t, disk, name)
	check := func() (kafka.Offset, error) {
		p := ReadPlan{Slices: nil}
		v, err := l.view(0)
		must(t, err)
		defer v.Release()
		p.First, p.Slices = 0, []Slice{{File: v.Files().Log, Off: 0, Len: size}}
		return p.Check()
	}
	if at, err := check(); err != nil {
		t.Fatal(at, err)
	}
	for i := 0; i < size; i += 1 + size/5000 {
		k := len(starts) - 1
		for starts[k] > i {
			k--
		}
		if d := i - starts[k]; d >= 12 && d < 16 {
			continue // the leader epoch is outside of the checksum
		}
		flipped := bytes.Clone(file)
		flipped[i] ^= 0x80
		spill(t, disk, name, flipped)
		at, err := check()
		if i < 8 && err == nil {
			continue
		}
		if !errors.Is(err, kerr.CorruptMessage) || at != kafka.Offset(k) && i-starts[k] >= 8 {
			t.Fatalf("byte %d of batch %d: at %d, %v", i-starts[k], k, at, err)
		}
	}
}
