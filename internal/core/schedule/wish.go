package schedule

import (
	"fmt"
	"strconv"
	"time"

	"github.com/headrace/headrace/internal/base/batch"
)

// The headers by which a producer says when a record is delivered. The two times are decimal milliseconds: at since 1970, after
// since the record came. The value of cancel is empty or null.
const (
	AtHeader     = "headrace-deliver-at-ms"
	AfterHeader  = "headrace-deliver-after-ms"
	CancelHeader = "headrace-cancel"
)

// Wish is what the headers of a record ask for.
type Wish struct {
	Due    int64 // milliseconds since 1970; when the record came if it asks for nothing
	Cancel bool  // not to be delivered, but to cancel the records before it that have its key
}

// ReadWish reads the headers of a record that came at stamp, and may ask for no more than longest. The error says in words which
// header is wrong: it becomes the record's error in the answer to the producer.
func ReadWish(headers []batch.RecordHeader, key []byte, stamp int64, longest time.Duration) (Wish, error) {
	w := Wish{Due: stamp}
	var found string
	for _, h := range headers {
		switch h.Key {
		case AtHeader, AfterHeader, CancelHeader:
		default:
			continue
		}
		if found != "" {
			return w, fmt.Errorf("headers %s and %s: a record takes one of %s, %s and %s, once",
				found, h.Key, AtHeader, AfterHeader, CancelHeader)
		}
		found = h.Key
		if err := w.read(h, key, stamp, longest); err != nil {
			return w, err
		}
	}
	return w, nil
}

func (w *Wish) read(h batch.RecordHeader, key []byte, stamp int64, longest time.Duration) error {
	if h.Key == CancelHeader {
		w.Cancel = true
		switch {
		case len(h.Value) > 0:
			return fmt.Errorf("header %s has a value of %d bytes: it takes none", h.Key, len(h.Value))
		case key == nil:
			return fmt.Errorf("header %s on a record without a key: what it cancels is found by its key", h.Key)
		}
		return nil
	}
	ms, err := strconv.ParseUint(string(h.Value), 10, 63)
	if err != nil {
		return fmt.Errorf("header %s is %.40q: it takes milliseconds in decimal digits", h.Key, h.Value)
	}
	delay := int64(ms)
	if h.Key == AtHeader {
		delay -= stamp
	}
	if delay > longest.Milliseconds() {
		return fmt.Errorf("header %s asks for a delay of %d ms, the topic allows %d", h.Key, delay, longest.Milliseconds())
	}
	w.Due = stamp + max(delay, 0)
	return nil
}
