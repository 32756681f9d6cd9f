package api

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"weak"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/compress"
)

// inflation bounds the memory of all compressed batches that are being checked at once. What a batch inflates to is not known
// before, and a bomb of twenty kilobytes comes to all that one batch may have, so a batch is tried with little first, and
// goes on to a gate with more room and fewer places when that was not enough. Batches of ordinary size never wait behind bombs.
type inflation struct{ gates []gate }

// gate lets as many batches in at once as it has places, each with room bytes for its records. Where that is much, the memory
// is used again while it is warm, since garbage would come to a multiple of the room; else batch's own pool does better.
type gate struct {
	room   int64
	places chan struct{}
	memory *spares
}

func newGate(room int64, places int) gate {
	return gate{room: room, places: make(chan struct{}, places), memory: &spares{room: room}}
}

// spares are memory that nobody uses just now, until the next garbage collection. A sync.Pool would come to hold one for
// each processor, and as many again of before: a multiple of what the places bound.
type spares struct {
	room int64
	mu   sync.Mutex
	all  []weak.Pointer[[]byte]
}

func (s *spares) take() *[]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := len(s.all) - 1; n >= 0; n-- {
		memory := s.all[n].Value()
		s.all = s.all[:n]
		if memory != nil {
			return memory
		}
	}
	b := make([]byte, 0, s.room)
	return &b
}

func (s *spares) giveBack(memory *[]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, weak.Make(memory))
}

// muchRoom is more memory than batch keeps for the next one.
const muchRoom = 16 << 20

func newInflation() inflation {
	// More at once than there are processors would be no quicker.
	places := min(runtime.GOMAXPROCS(0), 16)
	return inflation{gates: []gate{newGate(1<<20, places), newGate(muchRoom, places), newGate(batch.DefaultMaxDecompressed, 1)}}
}

// validate is batch.ValidateProduce within the bounds. It fails with ctx's error when that ends while it waits.
func (n inflation) validate(ctx context.Context, records []byte, rules batch.ProduceRules) (batch.Validated, error) {
	h, err := batch.ParseHeader(records)
	if err != nil || h.Attributes.Codec() == compress.None {
		return batch.ValidateProduce(records, rules)
	}
	const likely = 4 // times what it has, an honest batch inflates to
	for i, g := range n.gates {
		last := i == len(n.gates)-1
		if !last && int64(len(records))*likely > g.room {
			continue
		}
		v, err := g.validate(ctx, records, rules)
		if last || !errors.Is(err, compress.ErrLimit) {
			return v, err
		}
	}
	panic("api: inflation has no gates")
}

func (g gate) validate(ctx context.Context, records []byte, rules batch.ProduceRules) (batch.Validated, error) {
	select {
	case g.places <- struct{}{}:
	case <-ctx.Done():
		return batch.Validated{}, ctx.Err()
	}
	defer func() { <-g.places }()
	rules.MaxDecompressedBytes = g.room
	if g.room >= muchRoom {
		memory := g.memory.take()
		defer g.memory.giveBack(memory)
		rules.Scratch = *memory
	}
	return batch.ValidateProduce(records, rules)
}
