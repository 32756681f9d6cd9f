package replicas

import (
	"encoding/binary"
	"hash/crc32"
	"hash/maphash"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func batch(base int64, records int, fill byte) []byte {
	b := make([]byte, header+10*records)
	for i := header; i < len(b); i++ {
		b[i] = fill
	}
	binary.BigEndian.PutUint64(b, uint64(base))
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)-12))
	binary.BigEndian.PutUint32(b[23:], uint32(records-1))
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

var seed = maphash.MakeSeed()

func replica(t *testing.T, segments ...[]byte) []Batch {
	t.Helper()
	var files []string
	for i, s := range segments {
		name := filepath.Join(t.TempDir(), string(rune('a'+i))+".log")
		if err := os.WriteFile(name, s, 0o644); err != nil {
			t.Fatal(err)
		}
		files = append(files, name)
	}
	list, err := Read(files, seed)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func join(parts ...[]byte) (all []byte) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func TestSegmentsMayEndElsewhereAndFilesMayHaveRoomLeft(t *testing.T) {
	one, two, three := batch(0, 3, 1), batch(3, 1, 2), batch(4, 2, 3)
	a := replica(t, join(one, two), join(three, make([]byte, 4096)))
	b := replica(t, one, join(two, three, two[:30]))
	if d := Compare(a, b, 6); d != nil {
		t.Error(d)
	}
	if len(a) != 3 || !a[2].Whole || a[2].Last != 5 {
		t.Errorf("%+v", a)
	}
}

func TestDifferencesAreFoundBelowTheHighWatermark(t *testing.T) {
	one, two := batch(0, 3, 1), batch(3, 1, 2)
	damaged := batch(3, 1, 2)
	damaged[len(damaged)-1] ^= 4
	whole := replica(t, join(one, two))
	for name, c := range map[string]struct {
		other []byte
		says  string
	}{
		"missing": {one, "the second has no batch at offset 3"},
		"damaged": {join(one, damaged), "right: true and false"},
		"other":   {join(one, batch(3, 1, 9)), "right: true and true"},
		"cut":     {join(batch(0, 2, 1), two), "batches of offsets 0 to 2, and 0 to 1"},
	} {
		other := replica(t, c.other)
		if d := Compare(whole, other, 4); d == nil || !strings.Contains(d.Text, c.says) {
			t.Errorf("%s: %v", name, d)
		}
		if d := Compare(whole, other, 3); d != nil && name != "cut" {
			t.Errorf("%s: %v, which is not below the high watermark", name, d)
		}
	}
}
