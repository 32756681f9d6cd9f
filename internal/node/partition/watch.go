package partition

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/headrace/headrace/internal/node/await"
)

// watchers are the places of those who read many partitions, which followers' fetch sessions do: at most a few each. Their list
// is replaced and never changed, so that an append looks at it without a lock.
type watchers struct {
	changing sync.Mutex
	list     atomic.Pointer[[]*await.Place]
}

// Watch notes w from now on when the log's end moves, the role changes or the partition ends, and hints at a new high
// watermark. The caller looks at the partition after that: what came before is not noted.
func (p *Partition) Watch(w *await.Place) {
	p.watchers.change(func(l []*await.Place) []*await.Place { return append(l, w) })
}

// Unwatch ends that.
func (p *Partition) Unwatch(w *await.Place) {
	p.watchers.change(func(l []*await.Place) []*await.Place {
		return slices.DeleteFunc(l, func(o *await.Place) bool { return o == w })
	})
}

func (w *watchers) change(f func([]*await.Place) []*await.Place) {
	w.changing.Lock()
	defer w.changing.Unlock()
	var l []*await.Place
	if was := w.list.Load(); was != nil {
		l = slices.Clone(*was)
	}
	if l = f(l); len(l) == 0 {
		w.list.Store(nil)
		return
	}
	w.list.Store(&l)
}

func (w *watchers) note() {
	if l := w.list.Load(); l != nil {
		for _, place := range *l {
			place.Note()
		}
	}
}

func (w *watchers) hint() {
	if l := w.list.Load(); l != nil {
		for _, place := range *l {
			place.Hint()
		}
	}
}
