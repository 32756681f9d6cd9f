//go:build !race

package transport

import (
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"runtime"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// instant answers every request at once: what is left is the connection's own work.
type instant struct{}

func (instant) Lookup(key, _ int16) (op Op, ok bool) {
	op.Decode = func(int16, []byte) (kmsg.Request, error) { return nil, nil }
	if key == 0 {
		op.Begin = func(context.Context, *Call) Pending { return instant{} }
	} else {
		op.Handle = func(context.Context, *Call) Response { return instant{} }
	}
	return op, true
}
func (instant) Ready() bool                     { return true }
func (instant) Finish(context.Context) Response { return instant{} }
func (instant) AppendTo(dst []byte) []byte      { return append(dst, "answer of 16 byte"...) }

// roundTrips connects to a server of instant and returns a function that sends one request of size bytes, by Begin or by
// Handle, and reads its answer.
func roundTrips(tb testing.TB, key int16, size int) func() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	srv := New(Config{Handler: instant{}, Log: slog.New(slog.DiscardHandler), Budget: NewBudget(64 << 20)})
	srv.Serve(l, "PLAINTEXT")
	tb.Cleanup(srv.Close)
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	frame := request(key, 0, 1, string(make([]byte, size)))
	var head [4]byte
	answer := make([]byte, 64)
	return func() {
		if _, err := c.Write(frame); err != nil {
			tb.Fatal(err)
		}
		if _, err := io.ReadFull(c, head[:]); err != nil {
			tb.Fatal(err)
		}
		if _, err := io.ReadFull(c, answer[:binary.BigEndian.Uint32(head[:])]); err != nil {
			tb.Fatal(err)
		}
	}
}

// The race detector makes pools forget: there is no budget under it.

// TestFramesAreReadIntoMemoryThatIsUsedAgain holds what a connection allocates for a request, whatever its size.
func TestFramesAreReadIntoMemoryThatIsUsedAgain(t *testing.T) {
	if testing.CoverMode() != "" {
		t.Skip("coverage counts too")
	}
	const objects, bytes = 12, 3 << 10
	for name, key := range map[string]int16{"begun": 0, "handled": 1} {
		t.Run(name, func(t *testing.T) {
			const runs = 300
			one := roundTrips(t, key, 96<<10)
			for range 50 {
				one()
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for range runs {
				one()
			}
			runtime.ReadMemStats(&after)
			n, b := (after.Mallocs-before.Mallocs)/runs, (after.TotalAlloc-before.TotalAlloc)/runs
			t.Logf("%d objects, %d bytes", n, b)
			if n > objects || b > bytes {
				t.Errorf("%d objects and %d bytes, budget %d and %d", n, b, objects, bytes)
			}
		})
	}
}

func BenchmarkRoundTrip(b *testing.B) {
	for name, size := range map[string]int{"100B": 100, "96KiB": 96 << 10} {
		b.Run(name, func(b *testing.B) {
			one := roundTrips(b, 0, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				one()
			}
		})
	}
}
