package partition

import (
	"testing"

	"github.com/headrace/headrace/internal/base/vfs"
)

func TestThePlaceOnDiskIsToldWithoutOpeningTheLog(t *testing.T) {
	disk := vfs.NewMem()
	h := newHost(t, disk, nil)
	h.topic("t", 1)
	mustWrite(t, h.part("t", 0), "one")
	_, size, err := h.part("t", 0).Disk()
	if err != nil || size == 0 {
		t.Fatalf("open: %d bytes, %v", size, err)
	}
	h.Abandon()
	got, err := segmentBytes(disk, h.Dirs[0].Path()+"/t-0")
	if err != nil || got != size {
		t.Errorf("closed: %d bytes, %v; open there were %d", got, err, size)
	}
	if got, err := segmentBytes(disk, "/nowhere/t-0"); err != nil || got != 0 {
		t.Errorf("not there: %d bytes, %v", got, err)
	}
}
