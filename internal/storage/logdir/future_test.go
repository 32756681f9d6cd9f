package logdir

import (
	"math/rand/v2"
	"testing"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/storage/commitlog"
)

// otherDir opens a dir with an id of its own.
func otherDir(t *testing.T, f vfs.FS, path string, seed uint64) *Dir {
	t.Helper()
	d, err := Open(f, path, node1(), rand.New(rand.NewPCG(seed, 2)), discard())
	must(t, err)
	return d
}

func copyIn(t *testing.T, d *Dir) (name string, l *commitlog.Log) {
	t.Helper()
	name = FutureName(orders0, kafka.TopicID{1})
	l, err := d.OpenFuture(name, orders0, kafka.TopicID{1}, commitlog.DefaultConfig(), fixedNow(), seeded())
	must(t, err)
	fill(t, l, 3)
	return name, l
}

// A replica that stayed outlives the copy that was to come in its place, until it moves to the same dir again: then what it leaves must not
// take the place of what was written there since.
func TestAMoveThatEndsTakesBackThatAnEarlierOneDidNot(t *testing.T) {
	m := vfs.NewMem()
	a, b := otherDir(t, m, "/a", 1), otherDir(t, m, "/b", 2)
	fill(t, openLog(t, a, orders0), 3)

	_, first := copyIn(t, b)
	must(t, b.Claim(first, a, 3))
	_, err := b.Promote(fixedNow(), first, commitlog.DefaultConfig(), 0, 3, seeded())
	must(t, err)
	must(t, a.Keep(orders0, b))
	if !a.Outlives(b, orders0) || b.Supersedes(a, orders0) {
		t.Fatal("the replica that stayed does not count")
	}
	must(t, b.Delete(orders0, nil)) // as the next start does

	_, second := copyIn(t, b)
	must(t, b.Claim(second, a, 3))
	_, err = b.Promote(fixedNow(), second, commitlog.DefaultConfig(), 0, 3, seeded())
	must(t, err)
	if a.Outlives(b, orders0) || !b.Supersedes(a, orders0) {
		t.Error("what the replica left counts, though it has moved")
	}
}
