// Package timeline holds maps that coordinators keep ahead of what is committed: they answer with the newest value or
// with the committed one, and go back when an append fails. A map belongs to the one goroutine that runs its machine;
// the package starts none and has no locks.
package timeline

import (
	"iter"

	"github.com/headrace/headrace/internal/base/kafka"
)

// History orders the uncommitted changes of all maps made with it. The zero value is ready, with nothing committed.
type History struct {
	committed kafka.Offset // everything below it is committed and can no longer be reverted
	// changes are the uncommitted ones, by ascending offset. Invariant: each one is the next entry of its map's own queue.
	changes queue[change]
}

type change struct {
	off kafka.Offset
	in  undoer
}

// undoer is a map as its History sees it: the change at either end of the map's own queue is settled.
type undoer interface {
	commitOldest()
	revertNewest()
}

// Committed is the offset below which everything is committed.
func (h *History) Committed() kafka.Offset { return h.committed }

// Pending tells how many changes are not committed.
func (h *History) Pending() int { return h.changes.len() }

// Commit makes the changes below upto final. An offset that is not ahead is ignored.
func (h *History) Commit(upto kafka.Offset) {
	if upto <= h.committed {
		return
	}
	h.committed = upto
	for h.changes.len() > 0 && h.changes.front().off < upto {
		h.changes.popFront().in.commitOldest()
	}
}

// Revert undoes the changes at from and above, the newest first.
func (h *History) Revert(from kafka.Offset) {
	for h.changes.len() > 0 && h.changes.back().off >= from {
		h.changes.popBack().in.revertNewest()
	}
}

// Map is a map that remembers, for each key changed above the committed offset, what it held there. A key costs
// nothing more than in a plain map once its changes are committed.
type Map[K comparable, V any] struct {
	history *History
	latest  map[K]V
	// shadow has an entry for each key with uncommitted changes. It is nil while there are none.
	shadow map[K]shadowed[V]
	undo   queue[undo[K, V]]
}

// shadowed is the committed value of a key, and how many uncommitted changes lie on it.
type shadowed[V any] struct {
	value   V
	present bool
	changes int
}

type undo[K comparable, V any] struct {
	key            K
	before, after  V
	was, isPresent bool
}

// NewMap makes an empty map whose changes are ordered by h.
func NewMap[K comparable, V any](h *History) *Map[K, V] {
	return &Map[K, V]{history: h, latest: make(map[K]V)}
}

// Get returns the newest value of k.
func (m *Map[K, V]) Get(k K) (V, bool) {
	v, ok := m.latest[k]
	return v, ok
}

// Committed returns the committed value of k.
func (m *Map[K, V]) Committed(k K) (V, bool) {
	if s, ok := m.shadow[k]; ok {
		return s.value, s.present
	}
	return m.Get(k)
}

// Len counts the keys of the newest state.
func (m *Map[K, V]) Len() int { return len(m.latest) }

// Unused tells that the map holds nothing, neither now nor in what is committed.
func (m *Map[K, V]) Unused() bool { return len(m.latest) == 0 && m.undo.len() == 0 }

// All walks the newest state in no order.
func (m *Map[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for k, v := range m.latest {
			if !yield(k, v) {
				return
			}
		}
	}
}

// AllCommitted walks the committed state in no order.
func (m *Map[K, V]) AllCommitted() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for k, v := range m.latest {
			if _, changed := m.shadow[k]; !changed && !yield(k, v) {
				return
			}
		}
		for k, s := range m.shadow {
			if s.present && !yield(k, s.value) {
				return
			}
		}
	}
}

// Set gives k the value v by the record at off. Offsets never go back, except after a Revert.
func (m *Map[K, V]) Set(off kafka.Offset, k K, v V) {
	if off >= m.history.committed {
		m.remember(off, k, v, true)
	}
	m.latest[k] = v
}

// Delete removes k by the record at off.
func (m *Map[K, V]) Delete(off kafka.Offset, k K) {
	if _, ok := m.latest[k]; !ok {
		return
	}
	if off >= m.history.committed {
		var none V
		m.remember(off, k, none, false)
	}
	delete(m.latest, k)
}

func (m *Map[K, V]) remember(off kafka.Offset, k K, after V, isPresent bool) {
	before, was := m.latest[k]
	if m.shadow == nil {
		m.shadow = make(map[K]shadowed[V])
	}
	s, ok := m.shadow[k]
	if !ok {
		s = shadowed[V]{value: before, present: was}
	}
	s.changes++
	m.shadow[k] = s
	m.undo.pushBack(undo[K, V]{key: k, before: before, was: was, after: after, isPresent: isPresent})
	m.history.changes.pushBack(change{off: off, in: m})
}

func (m *Map[K, V]) commitOldest() {
	u := m.undo.popFront()
	m.settle(u.key, func(s *shadowed[V]) { s.value, s.present = u.after, u.isPresent })
}

func (m *Map[K, V]) revertNewest() {
	u := m.undo.popBack()
	if u.was {
		m.latest[u.key] = u.before
	} else {
		delete(m.latest, u.key)
	}
	m.settle(u.key, func(*shadowed[V]) {})
}

// settle takes one change off the shadow of k; update is called when others remain.
func (m *Map[K, V]) settle(k K, update func(*shadowed[V])) {
	s := m.shadow[k]
	if s.changes--; s.changes > 0 {
		update(&s)
		m.shadow[k] = s
		return
	}
	delete(m.shadow, k)
	if len(m.shadow) == 0 {
		m.shadow = nil
	}
}
