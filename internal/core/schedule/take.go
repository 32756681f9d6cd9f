package schedule

import (
	"slices"

	"github.com/headrace/headrace/internal/base/kafka"
)

// Take takes in a record of the inbox that was stamped at stamp and is to be delivered at w.Place.Due, or at once if that is past.
// Like the other Take functions it passes over what lies below Wants.
func (p *Partition) Take(w Waiting, stamp int64) {
	if !p.step(w.Place.Offset, stamp) {
		return
	}
	w.Place.Due = max(w.Place.Due, stamp)
	if w.Place.Compare(p.cursor) <= 0 || w.Place.Offset < p.passed && w.Place.Compare(p.gone) < 0 {
		return
	}
	if p.seen == kafka.NoOffset {
		p.seen = w.Place.Offset
	}
	if p.far && w.Place.Compare(p.horizon) >= 0 {
		return
	}
	at, _ := slices.BinarySearchFunc(p.near, w.Place, func(n Waiting, to Place) int { return n.Place.Compare(to) })
	p.near = slices.Insert(p.near, at, w)
	if len(p.near) > p.config.Near {
		p.far, p.horizon = true, p.near[len(p.near)-1].Place
		p.near = p.near[:len(p.near)-1]
	}
}

// TakeCancel takes in a record of the inbox that cancels those before it that have the same key and have not left. Those beyond the
// horizon are cancelled when the inbox is gone over again: then it comes by again, too, and after them.
func (p *Partition) TakeCancel(at kafka.Offset, k Key, stamp int64) {
	if !p.step(at, stamp) || k == (Key{}) {
		return
	}
	p.near = slices.DeleteFunc(p.near, func(w Waiting) bool { return w.Key == k })
}

// TakeMove takes in a Move of the inbox, whoever wrote it.
func (p *Partition) TakeMove(at kafka.Offset, m Move, stamp int64) {
	if !p.step(at, stamp) || at <= p.moveAt {
		return
	}
	p.move, p.moveAt, p.done, p.cursor = m, at, false, m.Cursor
	p.epoch, p.sequence = m.Epoch, m.next()
	left := 0
	for left < len(p.near) && p.near[left].Place.Compare(p.cursor) <= 0 {
		left++
	}
	if p.near = slices.Delete(p.near, 0, left); len(p.near) == 0 {
		p.near = nil // an inbox that is empty again costs no memory
	}
}

// Skip passes over what else the inbox holds, to next.
func (p *Partition) Skip(next kafka.Offset) { p.next = max(p.next, next) }

func (p *Partition) step(at kafka.Offset, stamp int64) bool {
	if at < p.next {
		return false
	}
	p.next, p.stamp = at+1, max(p.stamp, stamp)
	return true
}
