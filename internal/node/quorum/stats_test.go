package quorum

import (
	"testing"

	"github.com/headrace/headrace/internal/base/vfs"
)

func TestCommitsAreTimedOnceEach(t *testing.T) {
	q := start(t, vfs.NewMem(), nil)
	before := q.Stats()
	register(t, q)
	mustCreate(t, q, "orders")
	after := q.Stats()
	if n := after.Commits.Count() - before.Commits.Count(); n != 3 || after.Commits.Sum <= before.Commits.Sum {
		t.Errorf("%d commits in %v", n, after.Commits.Sum-before.Commits.Sum)
	}
	if n := after.Proposed - before.Proposed; n < 4 { // a registration, an unfencing, a topic and its partition at least
		t.Errorf("%d records", n)
	}
	if s := q.Status(); !s.Leads || s.Vote != s.Leader {
		t.Errorf("%+v", s)
	}
}
