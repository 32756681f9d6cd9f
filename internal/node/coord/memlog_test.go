package coord_test

import (
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
)

// memLog is a PartitionLog in memory. Its high watermark follows the end after delay, unless held.
type memLog struct {
	mu       sync.Mutex
	batches  [][]byte
	ends     []kafka.Offset // of each batch
	hw       kafka.Offset
	waiters  []memWaiter
	delay    time.Duration
	held     bool
	fail     error            // of every append
	fenced   kafka.ProducerID // whose epoch is over; 0 for nobody
	readWait time.Duration    // that every read takes
	writing  time.Duration    // that every append takes
	lost     bool
	// txnVersion is that of the last marker.
	txnVersion int16
}

type memWaiter struct {
	next kafka.Offset
	c    chan struct{}
}

func (l *memLog) end() kafka.Offset {
	if len(l.ends) == 0 {
		return 0
	}
	return l.ends[len(l.ends)-1]
}

func (l *memLog) Append(_ time.Time, epoch kafka.LeaderEpoch, v batch.Validated) (kafka.Offset, error) {
	l.mu.Lock()
	writing := l.writing
	l.mu.Unlock()
	time.Sleep(writing)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail != nil {
		return 0, l.fail
	}
	if l.fenced != 0 && v.Header.ProducerID == l.fenced {
		return 0, kerr.InvalidProducerEpoch
	}
	first := l.end()
	batch.StampOffset(v.Batch, first, epoch)
	l.batches = append(l.batches, v.Batch)
	l.ends = append(l.ends, first+kafka.Offset(v.Header.Count))
	switch {
	case l.held:
	case l.delay > 0:
		end := l.end()
		time.AfterFunc(l.delay, func() { l.raise(end) })
	default:
		l.advance(l.end())
	}
	return first, nil
}

func (l *memLog) AppendMarker(now time.Time, epoch kafka.LeaderEpoch, v batch.Validated, txnVersion int16) (kafka.Offset, error) {
	l.txnVersion = txnVersion
	return l.Append(now, epoch, v)
}

func (l *memLog) raise(hw kafka.Offset) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.advance(hw)
}

func (l *memLog) advance(hw kafka.Offset) {
	l.hw = max(l.hw, hw)
	kept := l.waiters[:0]
	for _, w := range l.waiters {
		if w.next <= l.hw {
			close(w.c)
		} else {
			kept = append(kept, w)
		}
	}
	l.waiters = kept
}

// lose ends the leadership: who waits is woken in vain.
func (l *memLog) lose() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost = true
	for _, w := range l.waiters {
		close(w.c)
	}
	l.waiters = nil
}

func (l *memLog) Read(dst []byte, off kafka.Offset, maxBytes int) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.readWait > 0 {
		l.mu.Unlock()
		time.Sleep(l.readWait)
		l.mu.Lock()
	}
	for i, b := range l.batches {
		if l.ends[i] > off {
			if len(dst) > 0 && len(dst)+len(b) > maxBytes {
				break
			}
			dst = append(dst, b...)
		}
	}
	return dst, nil
}

func (l *memLog) Offsets() (start, hw kafka.Offset) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return 0, l.hw
}

func (l *memLog) Reached(next kafka.Offset) (<-chan struct{}, func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := make(chan struct{})
	if l.lost || next <= l.hw {
		close(c)
		return c, func() {}
	}
	l.waiters = append(l.waiters, memWaiter{next, c})
	return c, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		for i, w := range l.waiters {
			if w.c == c {
				l.waiters = append(l.waiters[:i], l.waiters[i+1:]...)
				return
			}
		}
	}
}
