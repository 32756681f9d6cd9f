package transport

import (
	"sync"
	"sync/atomic"
	"time"
)

// unread bounds the memory of large answers that clients do not take. An answer cannot wait for room, as it is there already;
// but where more is there than may be, those whose clients have taken nothing for a moment cost them their connections. Parts
// of answers that lie in files take no memory and are not counted.
type unread struct {
	limit int64

	mu    sync.Mutex
	total int64
	of    map[*writer]*debt
}

// debt is one large answer.
type debt struct {
	bytes int64
	moved atomic.Int64 // when the client last took some, in Unix nanoseconds
	cut   func()
}

// owed counts an answer of n bytes until paid, and cuts others off if it has to.
func (u *unread) owed(w *writer, n int64, now time.Time) *debt {
	d := &debt{bytes: n, cut: w.cut}
	d.moved.Store(now.UnixNano())
	u.mu.Lock()
	defer u.mu.Unlock()
	u.total += n
	u.of[w] = d
	if u.total > u.limit {
		for _, other := range u.of {
			if now.Sub(time.Unix(0, other.moved.Load())) > pressureGrace {
				other.cut()
			}
		}
	}
	return d
}

func (u *unread) paid(w *writer, d *debt) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.total -= d.bytes
	delete(u.of, w)
}
