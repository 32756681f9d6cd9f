package cleaner

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/storage/segment"
)

// ErrCorrupt says that a segment holds what cannot be cleaned: a batch whose checksum is wrong, or that cannot be read.
// Nothing was changed, and trying again is of no use.
var ErrCorrupt = fmt.Errorf("log cannot be cleaned: %w", kerr.CorruptMessage)

// Resources bound what a round takes.
type Resources struct {
	MapBytes    int64   // memory for the keys
	MapLoad     float64 // share of it that may be filled
	BufferBytes int     // read and written at a time
	// Throttle is told of the bytes that were read or are to be written, and may wait. Its error ends the round.
	Throttle func(bytes int) error
}

// minBuffer is the least that is read at a time.
const minBuffer = 4 << 10

// maxInflated bounds what one batch may inflate to: a batch takes the memory of its records.
const maxInflated = 256 << 20

// LastOf is the last that a producer wrote: the batch that ends there must stay, for its sequence. A producer that is known
// by its marker alone has NoOffset.
type LastOf struct {
	Offset kafka.Offset
	Epoch  kafka.ProducerEpoch
}

// Counts are what a round went through.
type Counts struct {
	BytesRead, BytesWritten       int64
	RecordsRead, RecordsKept      int64
	Keys                          int
	MapBytes                      int64
	Keyless                       int64 // records without a key, which a compacted log has no place for
	SegmentsBefore, SegmentsAfter int
}

// A Round cleans one log once: Index goes through the dirty segments and learns the last offset of each key, and Rewrite
// writes what then stays of all segments up to End.
type Round struct {
	State
	now       time.Time
	retention time.Duration
	res       Resources

	keys    *keyMap
	end     kafka.Offset // records at or beyond were not looked at
	index   *txns
	rewrite *txns
	sieve   batch.Sieve
	buf     []byte // read into
	out     []byte // batches to be written, and their headers
	headers []batch.Header
	tail    batch.Header // of the batch that was met last of those that go into one segment, if met
	met     bool

	Counts Counts
}

// NewRound begins a round over the log in state s. aborted lists, ordered by First, the aborted transactions that have
// records below s.Uncleanable.
func NewRound(now time.Time, s State, retention time.Duration, res Resources, aborted []segment.AbortedTxn) *Round {
	return &Round{State: s, now: now, retention: retention, res: res, keys: newKeyMap(res.MapBytes, res.MapLoad), end: s.FirstDirty,
		index: newTxns(endingFrom(s.FirstDirty, aborted)), rewrite: newTxns(aborted), buf: make([]byte, max(res.BufferBytes, minBuffer))}
}

// Now is when the round began.
func (r *Round) Now() time.Time { return r.now }

// End is the offset up to which the log is clean when everything below was rewritten.
func (r *Round) End() kafka.Offset { return r.end }

// Index learns the keys of a segment that has dirty records; next is where the segment after it begins. It must be shown
// these in order, until more is false: the map is full, and the round ends there.
func (r *Round) Index(v segment.View, next kafka.Offset) (more bool, err error) {
	full := false
	err = r.walk(v, r.FirstDirty, func(h batch.Header) error {
		if h.Attributes.IsControl() {
			key, err := r.controlKey()
			if err == nil {
				_, _, err = r.index.control(h, key)
			}
			return err
		}
		if !r.index.data(h) {
			if err := r.learn(&full); err != nil {
				return err
			}
		}
		if full {
			return errFull
		}
		r.end = max(r.end, h.NextOffset())
		return nil
	})
	if full || err != nil {
		if errors.Is(err, errFull) {
			err = nil
		}
		return false, err
	}
	r.end = next
	return true, nil
}

var errFull = errors.New("the map of keys is full")

// learn puts the keys of the loaded batch into the map, until it is full.
func (r *Round) learn(full *bool) error {
	return r.sieve.Each(func(x batch.SieveRecord) bool {
		if x.Key != nil && x.Offset >= r.FirstDirty {
			if !r.keys.put(x.Key, x.Offset) {
				*full = true
				return false
			}
			r.end = x.Offset + 1
		}
		return true
	})
}

// controlKey is the key of the loaded control batch's record, or nil when it has none.
func (r *Round) controlKey() (key []byte, err error) {
	err = r.sieve.Each(func(x batch.SieveRecord) bool {
		key = x.Key
		return false
	})
	return key, err
}

// walk loads the batches of v that reach from or beyond, one after the other, and shows them to fn. Whatever is wrong with
// one of them is ErrCorrupt.
func (r *Round) walk(v segment.View, from kafka.Offset, fn func(h batch.Header) error) error {
	unpaid := 0
	before := place{next: v.Base, epoch: kafka.NoLeaderEpoch}
	err := v.WalkThrough(r.buf, from, func(h batch.Header, whole func() ([]byte, error)) error {
		if err := before.allows(h, v); err != nil {
			return err
		}
		one, err := whole()
		if err != nil {
			return err
		}
		r.Counts.BytesRead += int64(len(one))
		if unpaid += len(one); unpaid >= len(r.buf) {
			if err := r.res.Throttle(unpaid); err != nil {
				return err
			}
			unpaid = 0
		}
		if _, err := r.sieve.Load(one, maxInflated); err != nil {
			return fmt.Errorf("batch at offset %d: %w", h.BaseOffset, err)
		}
		return fn(h)
	})
	if err == nil && unpaid > 0 {
		err = r.res.Throttle(unpaid)
	}
	return corrupt(v, err)
}

// place is where a batch ends, in offsets and in epochs. No checksum covers those of the next one.
type place struct {
	next  kafka.Offset
	epoch kafka.LeaderEpoch
}

// allows tells whether h can follow in v, and is then where that ends.
func (p *place) allows(h batch.Header, v segment.View) error {
	switch {
	case h.BaseOffset < p.next || h.LastOffset() >= v.Next:
		return fmt.Errorf("batch of the offsets %d to %d, not within %d and %d: %w", h.BaseOffset, h.LastOffset(), p.next, v.Next-1, kerr.CorruptMessage)
	case h.LeaderEpoch >= 0 && h.LeaderEpoch < p.epoch:
		return fmt.Errorf("batch at offset %d is of epoch %d, after %d: %w", h.BaseOffset, h.LeaderEpoch, p.epoch, kerr.CorruptMessage)
	}
	p.next, p.epoch = h.NextOffset(), max(p.epoch, h.LeaderEpoch)
	return nil
}

// corrupt marks an error that says what the log holds, and not how a file was read.
func corrupt(v segment.View, err error) error {
	for _, k := range []*kerr.Error{kerr.CorruptMessage, kerr.InvalidRecord, kerr.MessageTooLarge, kerr.UnsupportedCompressionType, kerr.UnsupportedForMessageFormat} {
		if errors.Is(err, k) {
			return fmt.Errorf("%s: %w: %w", v.Files().Log.Name(), ErrCorrupt, err)
		}
	}
	return err
}

// verdict is what becomes of a batch.
type verdict struct {
	drop      bool // none of its records stays
	keepEmpty bool // it stays though it has no records
	idle      bool // it is a marker of which the transaction is gone
}

// judge decides on a batch as a whole; a marker whose transaction is still there puts its entry into out's index.
func (r *Round) judge(h batch.Header, last map[kafka.ProducerID]LastOf, out *segment.Segment) (verdict, error) {
	var v verdict
	if h.Attributes.IsControl() {
		key, err := r.controlKey()
		if err != nil {
			return v, err
		}
		idle, entry, err := r.rewrite.control(h, key)
		if err != nil {
			return v, err
		}
		if entry != nil {
			if err := out.AddAborted(*entry); err != nil {
				return v, err
			}
		}
		v.idle = idle
		v.drop = idle && r.passed(h)
	} else {
		v.drop = r.rewrite.data(h)
	}
	v.keepEmpty = h.NextOffset() == r.Uncleanable || h.HasProducer() && isLast(h, last)
	return v, nil
}

// passed tells whether the batch has a delete horizon, and its time has come.
func (r *Round) passed(h batch.Header) bool {
	at, ok := h.DeleteHorizon()
	return ok && at <= r.now.UnixMilli()
}

// isLast tells whether the batch holds the last sequence of a live producer, or, for one without any, its epoch.
func isLast(h batch.Header, last map[kafka.ProducerID]LastOf) bool {
	l, ok := last[h.ProducerID]
	switch {
	case !ok:
		return false
	case l.Offset >= 0:
		return h.LastOffset() == l.Offset
	}
	return h.Attributes.IsControl() && h.ProducerEpoch == l.Epoch
}

// stays decides on a record of a batch that is not dropped.
func (r *Round) stays(h batch.Header, x batch.SieveRecord) bool {
	switch {
	case h.Attributes.IsControl() || x.Offset >= r.end:
		return true
	case x.Key == nil:
		r.Counts.Keyless++
		return false
	}
	return x.Offset >= r.keys.last(x.Key) && (!x.Tombstone || !r.passed(h))
}

// Rewrite appends to out, a segment made by CreateCleaned, what stays of a segment. All segments below End must be shown in
// order, from the first of the log on; closing says that no other goes into out. last are the last batches of the producers
// that live.
func (r *Round) Rewrite(out *segment.Segment, v segment.View, last map[kafka.ProducerID]LastOf, interval int, closing bool) error {
	err := r.walk(v, v.Base, func(h batch.Header) error {
		r.tail, r.met = h, true
		return r.rewriteBatch(out, h, last, interval)
	})
	if err != nil {
		return err
	}
	if closing {
		if r.met && r.tail.NextOffset() > r.next(out) {
			// A segment that ends before the next begins looks, after a crash, like one that has lost its end.
			r.add(batch.AppendFiller(r.out, r.tail))
		}
		r.met = false
	}
	return r.write(out, interval)
}

func (r *Round) next(out *segment.Segment) kafka.Offset {
	if n := len(r.headers); n > 0 {
		return r.headers[n-1].NextOffset()
	}
	if out.Size() == 0 {
		return 0
	}
	return out.Next()
}

func (r *Round) rewriteBatch(out *segment.Segment, h batch.Header, last map[kafka.ProducerID]LastOf, interval int) error {
	v, err := r.judge(h, last, out)
	if err != nil {
		return err
	}
	found, err := r.sieve.Sift(func(x batch.SieveRecord) bool { return !v.drop && r.stays(h, x) })
	if err != nil {
		return err
	}
	r.Counts.RecordsRead += int64(found.Records)
	r.Counts.RecordsKept += int64(found.Kept)
	_, stamped := h.DeleteHorizon()
	stamp := !stamped && (found.Tombstones || v.idle)
	switch {
	case found.Kept == 0 && !v.keepEmpty:
		return nil
	case found.Kept == 0:
		r.add(batch.AppendEmpty(r.out, h))
	case found.Kept == found.Records && !stamp:
		r.add(r.sieve.AppendAsIs(r.out), h)
	default:
		horizon := kafka.NoTimestamp
		if stamp {
			horizon = r.horizon()
		}
		b, made, err := r.sieve.AppendKept(r.out, horizon)
		if err != nil {
			return err
		}
		r.add(b, made)
	}
	if len(r.out) < len(r.buf) {
		return nil
	}
	return r.write(out, interval)
}

// horizon is until when tombstones stay that are met now for the first time.
func (r *Round) horizon() int64 {
	ms, now := r.retention.Milliseconds(), r.now.UnixMilli()
	if ms > math.MaxInt64-now {
		return math.MaxInt64
	}
	return max(now+ms, 0)
}

func (r *Round) add(longer []byte, h batch.Header) {
	r.out, r.headers = longer, append(r.headers, h)
}

// write puts the batches that were gathered into out.
func (r *Round) write(out *segment.Segment, interval int) error {
	if len(r.out) == 0 {
		return nil
	}
	if err := r.res.Throttle(len(r.out)); err != nil {
		return err
	}
	if out.Size()+int64(len(r.out)) > math.MaxInt32 {
		return fmt.Errorf("batches grow beyond a segment when they are compressed anew: %w", ErrCorrupt)
	}
	if err := out.Write(r.out); err != nil {
		return err
	}
	for _, h := range r.headers {
		if err := out.Added(h, interval); err != nil {
			return err
		}
	}
	r.Counts.BytesWritten += int64(len(r.out))
	r.out, r.headers = r.out[:0], r.headers[:0]
	r.Counts.Keys, r.Counts.MapBytes = r.keys.keys, r.keys.bytes()
	return nil
}
