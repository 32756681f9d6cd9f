package transport

import "testing"

// hinted is a file that notes what it is told to read ahead.
type hinted struct {
	t    *testing.T
	from int64 // where the next hint has to begin
}

func (*hinted) ReadAt([]byte, int64) (int, error) { panic("read") }

func (h *hinted) ReadAhead(off, n int64) {
	if off != h.from || n <= 0 {
		h.t.Errorf("hint of %d bytes at %d, after one that ended at %d", n, off, h.from)
	}
	h.from = off + n
}

// However much the socket takes at a time, what is sent next has been hinted, once, and never more than twice aheadStep nor beyond the
// piece.
func TestWhatIsSentIsReadAheadOnce(t *testing.T) {
	for _, length := range []int{copyBelow, aheadStep - 1, aheadStep, 2 * aheadStep, 2*aheadStep + 1, 5*aheadStep + 77} {
		for _, taken := range []int{1000, 100_000, aheadStep} {
			f := &hinted{t: t, from: 17}
			p := Piece{File: f, Off: 17, Len: length}
			end, ahead := p.Off+int64(p.Len), p.Off
			for p.Len > 0 {
				ahead = p.readAhead(ahead)
				next := min(p.Off+aheadStep, end)
				if ahead != f.from || ahead < next || ahead > min(p.Off+2*aheadStep, end) {
					t.Fatalf("%d of %d bytes are left: hinted up to %d, told %d, the next part ends at %d", p.Len, length, f.from, ahead, next)
				}
				n := min(taken, p.Len)
				p.Off, p.Len = p.Off+int64(n), p.Len-n
			}
			if f.from != end {
				t.Errorf("%d bytes: hints end %d bytes before the end", length, end-f.from)
			}
		}
	}
}
