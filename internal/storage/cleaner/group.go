package cleaner

import (
	"math"

	"github.com/headrace/headrace/internal/base/kafka"
)

// Piece is a segment that is to be cleaned.
type Piece struct {
	Base, Next kafka.Offset // Next is where the segment after it begins
	Bytes      int64
	IndexBytes int // of the larger index
}

// Limits bound what one segment may hold.
type Limits struct {
	SegmentBytes int64
	IndexBytes   int
}

// Groups cuts pieces, which follow one another, into runs that each fit into one segment as they are: compaction makes
// segments smaller, and they would become ever more and ever smaller if they were not joined. A run is the number of its
// pieces.
func Groups(pieces []Piece, l Limits) (runs []int) {
	for len(pieces) > 0 {
		n, bytes, index := 1, pieces[0].Bytes, pieces[0].IndexBytes
		for n < len(pieces) {
			p := pieces[n]
			bytes, index = bytes+p.Bytes, index+p.IndexBytes
			far := p.Bytes > 0 && p.Next-1-pieces[0].Base > math.MaxInt32
			if bytes > l.SegmentBytes || index > l.IndexBytes || far {
				break
			}
			n++
		}
		runs = append(runs, n)
		pieces = pieces[n:]
	}
	return runs
}
