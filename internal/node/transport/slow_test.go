package transport

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// drip sends bytes one by one, each a while after the one before, until the connection ends.
func drip(c net.Conn, b []byte, each time.Duration) {
	for i := range b {
		<-time.After(each)
		if _, err := c.Write(b[i : i+1]); err != nil {
			return
		}
	}
}

// TestARequestMayTakeOnlySoLong has clients that send byte by byte, that stop in the midst of a request at any place, and one
// whose line is slow: it alone is served.
func TestARequestMayTakeOnlySoLong(t *testing.T) {
	whole := request(keyBegin, 3, 1, strings.Repeat("x", 1<<10))
	for _, sent := range []int{1, 3, 4, 7, 8, 20, len(whole) - 1} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, func(c *Config) { c.ArrivalTime = 10 * time.Second })
			defer w.srv.Close()
			c := w.l.dial()
			w.send(c, whole[:sent])
			begun := time.Now()
			w.wantClosed(c)
			if d := time.Since(begun); d < 10*time.Second || d > 21*time.Second {
				t.Errorf("%d bytes and then nothing: closed after %v", sent, d)
			}
		})
	}
	for each, served := range map[time.Duration]bool{time.Second: false, 9 * time.Millisecond: true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, func(c *Config) { c.ArrivalTime = 10 * time.Second })
			defer w.srv.Close()
			c := w.l.dial()
			var dripping sync.WaitGroup
			defer dripping.Wait()
			dripping.Go(func() { drip(c, whole, each) })
			if !served {
				w.wantClosed(c)
				return
			}
			w.gate(strings.Repeat("x", 1<<10)) <- text("late")
			w.wantAnswer(c, 1, "late")
		})
	}
}

// TestAnAnswerThatNobodyTakesCostsTheConnection, after StallTime without any progress; one that is taken slowly does not,
// however long that lasts.
func TestAnAnswerThatNobodyTakesCostsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(c *Config) { c.StallTime = 20 * time.Second })
		defer w.srv.Close()
		silent, slow := w.l.dial(), w.l.dial()
		long := strings.Repeat("x", 1<<20)
		for _, c := range []net.Conn{silent, slow} {
			w.send(c, request(keyHandle, 4, 1, "long"))
			w.gate("long") <- text(long)
		}
		begun, got := time.Now(), 0
		for got < 8+len(long) {
			<-time.After(10 * time.Second)
			n, err := slow.Read(make([]byte, 50<<10))
			if err != nil {
				t.Fatalf("a slow client was cut off after %d bytes: %v", got, err)
			}
			got += n
		}
		if time.Since(begun) < 3*time.Minute {
			t.Errorf("read in %v: that is not slow", time.Since(begun))
		}
		if _, err := io.ReadAll(silent); w.srv.Connections() != 1 {
			t.Errorf("%d connections: the silent one is kept (%v)", w.srv.Connections(), err)
		}
	})
}

// count is how many answers are owed to clients.
func (u *unread) count() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.of)
}

// TestUnreadAnswersCannotTakeAllMemory has many clients that ask for large answers and read nothing. When there are too many
// of those, the ones that have taken nothing for a moment go; a client that reads is served.
func TestUnreadAnswersCannotTakeAllMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(c *Config) { c.Budget = NewBudget(4 << 20) })
		defer w.srv.Close()
		long := strings.Repeat("x", 512<<10)
		for range 20 {
			c := w.l.dial()
			w.send(c, request(keyHandle, 4, 1, "long"))
			w.gate("long") <- text(long)
			<-time.After(time.Second)
			if n := w.srv.unread.count(); n > 5 {
				t.Fatalf("%d answers of 512 KiB are kept", n)
			}
		}
		c := w.l.dial()
		w.send(c, request(keyHandle, 4, 1, "long"))
		w.gate("long") <- text(long)
		w.wantAnswer(c, 1, long)
	})
}
