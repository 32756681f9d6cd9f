package link

import (
	"bytes"
	"encoding/binary"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headrace/headrace/internal/base/peer"
)

// inbox is the raft messages that came to the other node.
type inbox struct {
	t        *testing.T
	mu       sync.Mutex
	messages [][]byte
	frames   int
}

func (i *inbox) take(r received) {
	var req peer.RaftRequest
	if err := req.ReadFrom(r.body); err != nil || req.From != int32(self) {
		i.t.Errorf("raft messages from %d: %v", req.From, err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.messages = append(i.messages, req.Messages...)
	i.frames++
}

func numbered(n, size int) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(n)), bytes.Repeat([]byte{byte(n)}, size)...)
}

func TestRaftMessagesComeInOrderHoweverLargeTheyAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		o := listen(w)
		in := &inbox{t: t}
		o.take = in.take
		o.start()
		const count = 3000
		for n := 0; n < count; n += 3 {
			size := 100
			if n == 300 {
				size = 20 << 20 // a snapshot
			}
			w.pool.Raft(far, [][]byte{numbered(n, 10), numbered(n+1, size), numbered(n+2, 0)})
			if n%30 == 0 {
				synctest.Wait()
			}
		}
		synctest.Wait()
		if len(in.messages) != count || w.unreached() != 0 {
			t.Fatalf("%d of %d messages came, %d times unreachable", len(in.messages), count, w.unreached())
		}
		for n, m := range in.messages {
			if got := int(binary.BigEndian.Uint32(m)); got != n {
				t.Fatalf("message %d came in the place of %d", got, n)
			}
		}
		if in.frames > count/3+1 {
			t.Errorf("%d messages came in %d frames", count, in.frames)
		}
		w.pool.Close()
		o.fall()
	})
}

func TestMessagesThatAreReadyGoTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		o := listen(w)
		in := &inbox{t: t}
		o.take = in.take
		o.start()
		for n := range 1000 {
			w.pool.Raft(far, [][]byte{numbered(n, 996)})
		}
		synctest.Wait()
		if len(in.messages) != 1000 || in.frames > 100 {
			t.Errorf("%d messages in %d frames", len(in.messages), in.frames)
		}
		w.pool.Close()
		o.fall()
	})
}

// A node that takes nothing costs a bounded amount of memory, no time, and raft is told.
func TestRaftNeverBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		o := listen(w)
		stuck := make(chan struct{})
		o.take = func(received) { <-stuck }
		o.start()
		since := time.Now()
		small, large := make([]byte, 10000), make([]byte, largeMessage)
		for n := range 10 * queuedMessages {
			w.pool.Raft(far, [][]byte{small})
			if n%1000 == 0 {
				w.pool.Raft(far, [][]byte{large})
			}
		}
		for range queuedMessages {
			w.pool.Raft(far, [][]byte{small[:1]})
		}
		out := &w.pool.mu.nodes[far].outbox
		out.mu.Lock()
		if len(out.mu.messages) > queuedMessages || out.mu.bytes > queuedBytes || out.mu.large > queuedLarge {
			t.Errorf("%d messages of %d bytes wait, and %d large ones", len(out.mu.messages), out.mu.bytes, out.mu.large)
		}
		out.mu.Unlock()
		if !time.Now().Equal(since) {
			t.Errorf("posting took %v", time.Since(since))
		}
		// The connection is given up in the end.
		time.Sleep(writeTime + time.Second)
		if w.breaks() == 0 || w.unreached() == 0 {
			t.Errorf("%d breaks, %d times unreachable", w.breaks(), w.unreached())
		}
		close(stuck)
		w.pool.Close()
		o.fall()
	})
}

func TestWhatIsDroppedIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		o := listen(w)
		in := &inbox{t: t}
		stuck := make(chan struct{})
		o.take = func(r received) {
			<-stuck
			in.take(r)
		}
		o.start()
		for n := range 3 * queuedMessages {
			w.pool.Raft(far, [][]byte{numbered(n, 10000)})
		}
		close(stuck)
		synctest.Wait()
		if n := len(in.messages); n == 0 || n == 3*queuedMessages || w.breaks() != 0 || w.unreached() == 0 {
			t.Errorf("%d messages came, %d breaks, %d times unreachable", n, w.breaks(), w.unreached())
		}
		w.pool.Close()
		o.fall()
	})
}

func TestRaftGoesOnWhenTheNodeIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for n := range 50 { // as a leader does while a node is away
			w.pool.Raft(far, [][]byte{numbered(n, 10)})
			time.Sleep(100 * time.Millisecond)
		}
		if n := w.unreached(); n < 5 || n > 20 || len(w.dials) > 20 {
			t.Errorf("%d times unreachable, %d attempts in 5 s", n, len(w.dials))
		}
		o := listen(w)
		in := &inbox{t: t}
		o.take = in.take
		o.start()
		w.pool.Heard(far)
		w.pool.Raft(far, [][]byte{numbered(50, 10)})
		since := time.Now()
		synctest.Wait()
		if n := len(in.messages); n == 0 || binary.BigEndian.Uint32(in.messages[n-1]) != 50 || !time.Now().Equal(since) {
			t.Errorf("%d messages came at once", n)
		}
		// What was under way when a connection broke may be lost: raft is told.
		before := w.unreached()
		o.cut()
		synctest.Wait()
		if w.breaks() != 1 || w.unreached() != before+1 {
			t.Errorf("%d breaks, %d times unreachable, before %d", w.breaks(), w.unreached(), before)
		}
		w.pool.Close()
		o.fall()
	})
}

func TestAMessageTooLargeForAFrameIsDroppedAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(c *Config) { c.MaxFrame = 1 << 20 })
		o := listen(w)
		in := &inbox{t: t}
		o.take = in.take
		o.start()
		w.pool.Raft(far, [][]byte{numbered(0, 10), numbered(1, 1<<20), numbered(2, 10)})
		synctest.Wait()
		if len(in.messages) != 2 || binary.BigEndian.Uint32(in.messages[1]) != 2 || w.unreached() != 1 {
			t.Errorf("%d messages came, %d times unreachable", len(in.messages), w.unreached())
		}
		w.pool.Close()
		o.fall()
	})
}

// Close ends senders that wait for the next attempt, that connect, and that write; the bubble tells of any that is left.
func TestCloseEndsSenders(t *testing.T) {
	for _, then := range []func(w *world) *other{
		func(w *world) *other { return nil },
		func(w *world) *other { return listen(w) }, // nobody accepts
		func(w *world) *other { // nobody greets
			o := listen(w)
			o.greeting = nil
			return o.start()
		},
		func(w *world) *other {
			o := listen(w)
			o.take = func(r received) { time.Sleep(time.Hour) }
			return o.start()
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			o := then(w)
			for n := range 100 {
				w.pool.Raft(far, [][]byte{numbered(n, 1<<20)})
			}
			go func() { _, _ = w.ask(t.Context(), "x") }()
			synctest.Wait()
			since := time.Now()
			w.pool.Close()
			if !time.Now().Equal(since) {
				t.Errorf("Close took %v", time.Since(since))
			}
			w.pool.Raft(far, [][]byte{[]byte("late")})
			if o != nil {
				o.fall()
			}
		})
	}
}
