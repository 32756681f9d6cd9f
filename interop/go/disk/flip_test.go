//go:build linux

package disk

import (
	"bytes"
	"math/bits"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

func TestFlippedBitsAreThoseNamedAndGoBack(t *testing.T) {
	folder := t.TempDir()
	content := map[string][]byte{
		"a/1.log":         append([]byte("records"), make([]byte, 1<<12)...), // room left at the end
		"a/1.index":       []byte("index"),
		"b/2.log":         []byte("more records"),
		"meta.properties": []byte("whose it is"),
		"empty":           nil,
	}
	for name, text := range content {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// changed counts the bits that are not as they were.
	changed := func() (n int) {
		for name, text := range content {
			now, err := os.ReadFile(filepath.Join(folder, name))
			if err != nil || len(now) != len(text) {
				t.Fatalf("%s: %d bytes, %v", name, len(now), err)
			}
			for i := range now {
				n += bits.OnesCount8(now[i] ^ text[i])
			}
			if end := len(bytes.TrimRight(text, "\x00")); !bytes.Equal(now[end:], text[end:]) {
				t.Errorf("%s is changed where nothing is", name)
			}
		}
		return n
	}
	chance := rand.New(rand.NewPCG(1, 1))
	kinds := map[string]int{}
	for range 60 {
		flips, err := FlipBits(folder, 1, chance, "meta")
		if err != nil || len(flips) != 1 || changed() != 1 {
			t.Fatalf("%v %v: %d bits changed", flips, err, changed())
		}
		kinds[filepath.Ext(flips[0].Path)]++
		if err := flips[0].Turn(); err != nil || changed() != 0 {
			t.Fatalf("turned back: %v, %d bits changed", err, changed())
		}
	}
	if kinds[".log"] < 15 || kinds[".index"] < 15 || kinds[".properties"] != 0 {
		t.Errorf("%v: kinds of files are to come alike, and none that is to be left alone", kinds)
	}
}
