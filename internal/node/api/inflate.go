package api

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/compress"
)

// inflation bounds the memory of all compressed batches that are being checked at once. What a batch inflates to is not known
// before, and a bomb of twenty kilobytes comes to all that one batch may have, so a batch is tried with little first, and
// goes on to a gate with more room and fewer places when that was not enough. Batches of ordinary size never wait behind bombs.
type inflation struct{ gates []gate }

// gate lets as many batches in at once as it has places, each with room bytes for its records. A place is the memory that
// the batch before had, or nil: while others wait it is handed on, since garbage would come to a multiple of the room. Where
// the room is not much, batch's own pool does better.
type gate struct {
	room    int64
	places  chan []byte
	waiting *atomic.Int32
}

func newGate(room int64, places int) gate {
	g := gate{room: room, places: make(chan []byte, places), waiting: new(atomic.Int32)}
	for range places {
		g.places <- nil
	}
	return g
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
	g.waiting.Add(1)
	var memory []byte
	select {
	case memory = <-g.places:
		g.waiting.Add(-1)
	case <-ctx.Done():
		g.waiting.Add(-1)
		return batch.Validated{}, ctx.Err()
	}
	defer func() {
		if g.waiting.Load() == 0 {
			memory = nil
		}
		g.places <- memory
	}()
	if memory == nil && g.room >= muchRoom {
		memory = make([]byte, 0, g.room)
	}
	rules.Scratch, rules.MaxDecompressedBytes = memory, g.room
	return batch.ValidateProduce(records, rules)
}
