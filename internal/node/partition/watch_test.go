package partition

import (
	"testing"
	"time"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/core/metadata"
	"github.com/headrace/headrace/internal/node/await"
)

// Who serves a follower's long poll sleeps until its places ring: it must hear of everything after which it would answer otherwise.
func TestAWatchRingsWhenTheRoleChanges(t *testing.T) {
	for _, c := range []struct {
		what   string
		before func(*pair)
		change func(*pair)
	}{
		{"a leader is replaced", nil, func(r *pair) { r.elect(2) }},
		{"a leader leads on in a new epoch", nil, func(r *pair) { r.elect(1) }},
		{"a leader gives up and there is none", nil, func(r *pair) { r.elect(kafka.NoNode) }},
		{"a follower leads", func(r *pair) { r.elect(2) }, func(r *pair) { r.elect(1) }},
		{"a follower follows another epoch", func(r *pair) { r.elect(2) }, func(r *pair) { r.elect(2) }},
		{"the ISR changes", nil, func(r *pair) { r.isr(1) }},
		{"the node's id is taken by another process", nil, func(r *pair) {
			r.hosts[0].Incarnation = topicID("another")
			r.hosts[0].apply(&metadata.RegisterBrokerRecord{Node: 1, Epoch: 103})
		}},
		{"the partition is deleted", nil, func(r *pair) { r.hosts[0].apply(&metadata.RemoveTopicRecord{ID: topicID("t")}) }},
	} {
		t.Run(c.what, func(t *testing.T) {
			r := newPair(t, vfs.NewMem(), vfs.NewMem())
			defer r.abandon()
			p := r.node(1)
			put(t, p, "one")
			settle(t, p)
			if c.before != nil {
				c.before(r)
			}
			watch := await.NewWatch()
			var watching, left await.Place
			watching.Watched(watch, p, false)
			left.Watched(watch, nil, false)
			p.Watch(&watching)
			p.Watch(&left)
			p.Unwatch(&left)
			c.change(r)
			select {
			case <-watch.Bell():
			case <-time.After(10 * time.Second): // a deletion is a job of the janitor's
				t.Error("it does not ring")
			}
			if got := watch.Take(nil); len(got) != 1 || got[0] != &watching {
				t.Errorf("%d places have news", len(got))
			}
			p.Unwatch(&watching)
			if p.watchers.list.Load() != nil {
				t.Error("somebody watches on")
			}
		})
	}
}
