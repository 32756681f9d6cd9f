package api

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
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

func TestOrdinaryBatchesPassByBombs(t *testing.T) {
	n := newInflation()
	last := n.gates[len(n.gates)-1]
	last.places <- struct{}{} // nobody else has one while the test has
	bomb := zeros(compress.Zstd, 200<<20)
	var bombs sync.WaitGroup
	var exploded atomic.Int32
	for range 16 {
		bombs.Go(func() {
			defer exploded.Add(1)
			if _, err := n.validate(context.Background(), bomb, anyBatch()); !errors.Is(err, kerr.MessageTooLarge) {
				t.Error(err)
			}
		})
	}
	for _, size := range []int{1000, 3 << 20} {
		if _, err := n.validate(context.Background(), zeros(compress.Gzip, size), anyBatch()); err != nil {
			t.Error(err)
		}
	}
	if n := exploded.Load(); n > 0 {
		t.Errorf("%d bombs did not wait", n)
	}
	<-last.places
	bombs.Wait()
}

func TestAConnectionThatIsGoneDoesNotWaitForInflation(t *testing.T) {
	n := newInflation()
	g := n.gates[len(n.gates)-1]
	g.places <- struct{}{}
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
