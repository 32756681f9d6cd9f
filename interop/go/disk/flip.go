//go:build linux

package disk

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// Flip is one bit of one file that was turned.
type Flip struct {
	Path string
	At   int64
	Bit  uint8
}

func (f Flip) String() string { return fmt.Sprintf("bit %d of byte %d of %s", f.Bit, f.At, f.Path) }

// FlipBits turns n random bits of the files below folder. Each kind of file, by its ending, comes as often as every other: the records
// would take all otherwise. Files whose names start with one of skip are left alone.
func FlipBits(folder string, n int, chance *rand.Rand, skip ...string) ([]Flip, error) {
	kinds, names := map[string][]string{}, []string{}
	err := filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || skipped(e.Name(), skip) {
			return err
		}
		info, err := e.Info()
		if err != nil || info.Size() == 0 {
			return err
		}
		kind := filepath.Ext(path)
		if kind == "" {
			kind = e.Name()
		}
		if kinds[kind] == nil {
			names = append(names, kind)
		}
		kinds[kind] = append(kinds[kind], path)
		return nil
	})
	if err != nil || len(names) == 0 {
		return nil, err
	}
	var flips []Flip
	for range n {
		files := kinds[names[chance.IntN(len(names))]]
		f := Flip{Path: files[chance.IntN(len(files))], Bit: uint8(chance.IntN(8))}
		if f.At, err = place(f.Path, chance); err != nil {
			return flips, err
		}
		if err := f.Turn(); err != nil {
			return flips, err
		}
		flips = append(flips, f)
	}
	return flips, nil
}

func skipped(name string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

// place chooses a byte that holds something: files that are made larger than their content end in zeros.
func place(path string, chance *rand.Rand) (int64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	end := len(text)
	for end > 1 && text[end-1] == 0 {
		end--
	}
	return chance.Int64N(int64(end)), nil
}

// Turn turns the bit, and back when it is called again.
func (f Flip) Turn() error {
	file, err := os.OpenFile(f.Path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	var b [1]byte
	if _, err := file.ReadAt(b[:], f.At); err != nil {
		return fmt.Errorf("%v: %w", f, err)
	}
	b[0] ^= 1 << f.Bit
	_, err = file.WriteAt(b[:], f.At)
	return err
}
