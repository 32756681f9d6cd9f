package metadata

import "iter"

// tree is an immutable sorted map: an AVL tree whose set and remove copy only the path to the key, so that an Image
// with one changed topic shares the rest of its ten thousand with the Image before. The zero value with cmp set is the
// empty map.
type tree[K, V any] struct {
	cmp  func(a, b K) int
	root *branch[K, V]
	size int
}

// branch is never changed after the set or remove that made it returned, but by the draft that copied it: see replace.
// Invariant: the heights of left and right differ by at most one.
type branch[K, V any] struct {
	key         K
	value       V
	height      int
	left, right *branch[K, V]
	owner       *owner
}

// owner marks the branches that one draft made, and that nobody else has seen yet.
type owner struct{ _ byte }

func newTree[K, V any](cmp func(a, b K) int) tree[K, V] { return tree[K, V]{cmp: cmp} }

func (t tree[K, V]) find(key K) (V, bool) {
	for b := t.root; b != nil; {
		switch c := t.cmp(key, b.key); {
		case c < 0:
			b = b.left
		case c > 0:
			b = b.right
		default:
			return b.value, true
		}
	}
	var none V
	return none, false
}

func (t tree[K, V]) set(key K, value V) tree[K, V] {
	if _, ok := t.find(key); !ok {
		t.size++
	}
	t.root = t.insert(t.root, key, value)
	return t
}

// replace sets a key that is there. The branches on the way are by's own from then on: the next one to take the way changes
// them in place, so that a draft that changes every value copies every branch once, not every way.
func (t tree[K, V]) replace(key K, value V, by *owner) tree[K, V] {
	for link := &t.root; ; {
		b := *link
		if b.owner != by {
			own := *b
			own.owner = by
			b, *link = &own, &own
		}
		switch c := t.cmp(key, b.key); {
		case c < 0:
			link = &b.left
		case c > 0:
			link = &b.right
		default:
			b.value = value
			return t
		}
	}
}

func (t tree[K, V]) remove(key K) tree[K, V] {
	if _, ok := t.find(key); !ok {
		return t
	}
	t.size--
	t.root = t.cut(t.root, key)
	return t
}

// all walks the map in ascending order of its keys.
func (t tree[K, V]) all() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) { t.root.walk(yield) }
}

// from walks the keys that are not below key, in ascending order.
func (t tree[K, V]) from(key K) iter.Seq2[K, V] {
	return func(yield func(K, V) bool) { t.walkFrom(t.root, key, yield) }
}

func (t tree[K, V]) walkFrom(b *branch[K, V], key K, yield func(K, V) bool) bool {
	if b == nil {
		return true
	}
	if t.cmp(b.key, key) < 0 {
		return t.walkFrom(b.right, key, yield)
	}
	return t.walkFrom(b.left, key, yield) && yield(b.key, b.value) && b.right.walk(yield)
}

func (b *branch[K, V]) walk(yield func(K, V) bool) bool {
	return b == nil || b.left.walk(yield) && yield(b.key, b.value) && b.right.walk(yield)
}

func (t tree[K, V]) insert(b *branch[K, V], key K, value V) *branch[K, V] {
	if b == nil {
		return &branch[K, V]{key: key, value: value, height: 1}
	}
	switch c := t.cmp(key, b.key); {
	case c < 0:
		return b.with(t.insert(b.left, key, value), b.right)
	case c > 0:
		return b.with(b.left, t.insert(b.right, key, value))
	}
	return &branch[K, V]{key: key, value: value, height: b.height, left: b.left, right: b.right}
}

func (t tree[K, V]) cut(b *branch[K, V], key K) *branch[K, V] {
	switch c := t.cmp(key, b.key); {
	case c < 0:
		return b.with(t.cut(b.left, key), b.right)
	case c > 0:
		return b.with(b.left, t.cut(b.right, key))
	case b.left == nil:
		return b.right
	case b.right == nil:
		return b.left
	}
	next := b.right
	for next.left != nil {
		next = next.left
	}
	return next.with(b.left, t.cut(b.right, next.key))
}

// with returns b's key over other children, rotated where their heights have drifted two apart.
func (b *branch[K, V]) with(left, right *branch[K, V]) *branch[K, V] {
	switch d := left.depth() - right.depth(); {
	case d > 1 && left.left.depth() < left.right.depth():
		pivot := left.right
		return pivot.over(left.over(left.left, pivot.left), b.over(pivot.right, right))
	case d > 1:
		return left.over(left.left, b.over(left.right, right))
	case d < -1 && right.right.depth() < right.left.depth():
		pivot := right.left
		return pivot.over(b.over(left, pivot.left), right.over(pivot.right, right.right))
	case d < -1:
		return right.over(b.over(left, right.left), right.right)
	}
	return b.over(left, right)
}

func (b *branch[K, V]) over(left, right *branch[K, V]) *branch[K, V] {
	return &branch[K, V]{
		key: b.key, value: b.value, left: left, right: right,
		height: 1 + max(left.depth(), right.depth()),
	}
}

func (b *branch[K, V]) depth() int {
	if b == nil {
		return 0
	}
	return b.height
}
