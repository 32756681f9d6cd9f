package timeline

// queue is a double-ended queue on a slice; its memory is given back when it runs empty.
type queue[T any] struct {
	items []T
	head  int
}

func (q *queue[T]) len() int     { return len(q.items) - q.head }
func (q *queue[T]) front() *T    { return &q.items[q.head] }
func (q *queue[T]) back() *T     { return &q.items[len(q.items)-1] }
func (q *queue[T]) pushBack(v T) { q.items = append(q.items, v) }

func (q *queue[T]) popFront() T {
	var none T
	v := q.items[q.head]
	q.items[q.head] = none
	q.head++
	q.shrink()
	return v
}

func (q *queue[T]) popBack() T {
	var none T
	last := len(q.items) - 1
	v := q.items[last]
	q.items[last] = none
	q.items = q.items[:last]
	q.shrink()
	return v
}

// shrink forgets an empty queue's array, and moves a long one down when more than half of it was taken.
func (q *queue[T]) shrink() {
	switch {
	case q.len() == 0:
		q.items, q.head = nil, 0
	case q.head > 64 && q.head > len(q.items)/2:
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
}
