package partition

import (
	"fmt"
	"sync"

	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/storage/commitlog"
)

// recoveries makes what recovery found in the logs of one dir durable: it may be in the page cache only. After a crash that is every
// log that was written to in the last minute, and to sync them one by one takes longer than all else. So it is a group commit: who
// comes while a sync goes on waits for the next, which is one for all who wait, and is made by the first of them.
type recoveries struct {
	dir *dir

	mu      sync.Mutex
	syncing bool
	waiting []*recovered
}

// recovered is a log that waits for its sync.
type recovered struct {
	log  *commitlog.Log
	err  error
	lead chan bool // true: make the next sync; false: it was made
}

// settleAtOnce bounds the logs that the openers recover ahead of a sync.
const settleAtOnce = 512

// secure returns when log is durable as it is.
func (r *recoveries) secure(log *commitlog.Log) error {
	own := &recovered{log: log, lead: make(chan bool, 1)}
	if r.join(own) || <-own.lead {
		r.run(r.take())
	}
	return own.err
}

// join tells whether w has to make the sync.
func (r *recoveries) join(w *recovered) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting = append(r.waiting, w)
	first := !r.syncing
	r.syncing = true
	return first
}

func (r *recoveries) take() []*recovered {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.waiting
	r.waiting = nil
	return all
}

// run makes one sync, and lets the next one begin.
func (r *recoveries) run(all []*recovered) {
	if method := r.dir.flusher.choice.method; method == FlushSyncfs || method == FlushAuto && len(all) >= syncfsFrom {
		r.syncAll(all)
	} else {
		together(len(all), func(i int) { _, all[i].err = all[i].log.Flush() })
	}
	for _, w := range all {
		w.lead <- false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.syncing = len(r.waiting) > 0; r.syncing {
		r.waiting[0].lead <- true
	}
}

func (r *recoveries) syncAll(all []*recovered) {
	together(len(all), func(i int) { _, all[i].err = all[i].log.Dirty() })
	err := r.dir.flusher.fs.SyncFS(r.dir.Path())
	if vfs.Refused(err) {
		err = fmt.Errorf("%w: %w", commitlog.ErrNoRoom, err)
	}
	for _, w := range all {
		switch {
		case w.err != nil:
		case err != nil:
			w.err = err
		default:
			w.log.MarkFlushed(w.log.End()) // nobody appends before it is the partition's
		}
	}
}
