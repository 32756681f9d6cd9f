package api

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/compress"
)

// zeros is a batch that inflates to about so many bytes.
func zeros(codec compress.Codec, size int) []byte {
	b := batch.NewBuilder(batch.BuilderConfig{Codec: codec})
	b.Append(time.Now().UnixMilli(), nil, make([]byte, size), nil)
	return b.Bytes(nil)
}

func anyBatch() batch.ProduceRules {
	return batch.ProduceRules{
		Now: time.Now(), TimestampBeforeMax: batch.NoTimestampLimit, TimestampAfterMax: batch.NoTimestampLimit,
		MaxMessageBytes: 1 << 20, ZstdAllowed: true,
	}
}

func TestBatchesOfEverySizeGoThroughInflation(t *testing.T) {
	n := newInflation()
	for _, codec := range []compress.Codec{compress.None, compress.Gzip, compress.LZ4, compress.Zstd} {
		for size, want := range map[int]error{100: nil, 1 << 20: nil, 3 << 20: nil, 20 << 20: nil, 130 << 20: kerr.MessageTooLarge} {
			b := zeros(codec, size)
			if len(b) > 1<<20 {
				continue
			}
			v, err := n.validate(context.Background(), b, anyBatch())
			if !errors.Is(err, want) || want == nil && v.Header.Count != 1 {
				t.Errorf("%v of %d: %v", codec, size, err)
			}
		}
	}
}

func TestBombsTogetherTakeTheRoomOfOne(t *testing.T) {
	n := newInflation()
	bomb := zeros(compress.Zstd, 200<<20)
	// What the gates have room for, and as much again for buffers that grow.
	most := uint64(0)
	for _, g := range n.gates {
		most += 2 * uint64(g.room) * uint64(cap(g.places))
	}
	runtime.GC() // of what the bomb was made from
	peak := heap()
	most += peak
	watch, stop := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for watch.Err() == nil {
			peak = max(peak, heap())
			<-tick.C
		}
	})
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			if _, err := n.validate(context.Background(), bomb, anyBatch()); !errors.Is(err, kerr.MessageTooLarge) {
				t.Error(err)
			}
		})
	}
	// An ordinary batch passes by all of them.
	small := zeros(compress.Gzip, 1000)
	if _, err := n.validate(context.Background(), small, anyBatch()); err != nil {
		t.Error(err)
	}
	all.Wait()
	stop()
	watching.Wait()
	if peak > most {
		t.Errorf("16 bombs took %d MiB together, more than %d MiB", peak>>20, most>>20)
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}

func TestAConnectionThatIsGoneDoesNotWaitForInflation(t *testing.T) {
	n := newInflation()
	g := n.gates[len(n.gates)-1]
	<-g.places
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		_, err := n.validate(ctx, zeros(compress.Zstd, 20<<20), anyBatch())
		done <- err
	}()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
