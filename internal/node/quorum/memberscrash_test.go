package quorum

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
)

// TestNoRestartGoesBackToMembersThatWereLeft cuts the power of one node before every change that it makes to its disk, while
// a cluster grows from one voter to three and one voter is replaced, and starts it on what is left. It must know the members
// by which it had acted, and must not elect itself alone when the others had been told of more voters.
func TestNoRestartGoesBackToMembersThatWereLeft(t *testing.T) {
	for victim := kafka.NodeID(1); victim <= 3; victim++ {
		for seed := range uint64(3) {
			synctest.Test(t, func(t *testing.T) { cutAtEveryWrite(t, victim, seed) })
		}
	}
}

func cutAtEveryWrite(t *testing.T, victim kafka.NodeID, seed uint64) {
	w := newWorld(t, seed)
	var torn *rand.Rand // seed 0 loses all that is not durable
	if seed > 0 {
		torn = rand.New(rand.NewPCG(seed, 8))
		w.config = func(c *Config) { c.SnapshotBytes = 3000 }
	}
	points := 0
	w.newDisk(victim)
	err := vfs.CrashPoints(w.nodes[victim].disk, torn, func(fsys vfs.FS) error {
		w.faulty(victim, fsys)
		w.growAndReplace()
		return nil
	}, func(next vfs.Op, after *vfs.Mem) {
		if next.Seq == 0 {
			return // the world is over
		}
		points++
		own, others := w.known(victim)
		checkRestart(t, next, victim, after, own, others)
	})
	if err != nil || points < 40 {
		t.Errorf("%d points, %v", points, err)
	}
}

func (w *world) faulty(id kafka.NodeID, fsys vfs.FS) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.nodes[id].fs, w.nodes[id].keepDisk = fsys, true
}

func (w *world) growAndReplace() {
	w.first()
	w.add(2)
	w.create(2, "a")
	w.add(3)
	w.voters(1, 2, 3)
	w.create(1, "b")
	w.add(4)
	if err := w.removeVoter(4, 2); err != nil {
		w.t.Error(err)
	}
	w.voters(1, 3, 4)
	w.create(2, "c")
	w.agree()
}

// growth is the voters and learners that growAndReplace goes through. A joint configuration shows the voters of both halves.
var growth = []string{"[1] []", "[1] [2]", "[1] [2 3]", "[1 2 3] []", "[1 2 3] [4]", "[1 2 3 4] [2]", "[1 3 4] [2]"}

const threeVote = 3 // from here on in growth no node may decide alone

// stage is the place of some members in growth, -1 for none.
func stage(voters, learners []kafka.NodeID) int {
	return slices.Index(growth, fmt.Sprint(voters, learners))
}

// known is the stage that a node knows, and the last one that any other knows.
func (w *world) known(id kafka.NodeID) (own, others int) {
	own, others = -1, -1
	w.mu.Lock()
	defer w.mu.Unlock()
	for other, n := range w.nodes {
		if n.q == nil {
			continue
		}
		if st := n.q.Status(); other == id {
			own = stage(st.Voters, st.Learners)
		} else {
			others = max(others, stage(st.Voters, st.Learners))
		}
	}
	return own, others
}

// checkRestart starts a loop on a disk and lets it do what it can alone.
func checkRestart(t *testing.T, next vfs.Op, id kafka.NodeID, disk *vfs.Mem, own, others int) {
	t.Helper()
	l, err := offline(t, id, disk)
	if err != nil {
		t.Errorf("node %d before %v: %v", id, next, err)
		return
	}
	at := stage(l.voters, l.learners)
	if at < 0 && len(l.voters) > 0 {
		t.Errorf("node %d before %v: voters %v, learners %v", id, next, l.voters, l.learners)
	}
	if at < own {
		t.Errorf("node %d before %v: it had acted by %s, and knows %s after a restart", id, next, growth[own], fmt.Sprint(l.voters, l.learners))
	}
	if l.leading && others >= threeVote {
		t.Errorf("node %d before %v: it leads alone, and others know %s", id, next, growth[others])
	}
}

// offline starts a loop on a disk, reaching nobody, and lets it do what it can.
func offline(t *testing.T, id kafka.NodeID, disk *vfs.Mem) (*loop, error) {
	log, err := openSegments(disk, testDir, 4000)
	if err != nil {
		return nil, err
	}
	cfg := testConfig(t, disk, log)
	if cfg.NodeID = id; id != 1 {
		cfg.Voters, cfg.Joined, cfg.Directory = nil, true, kafka.TopicID{1}
	}
	cfg.Send = func([]*raftpb.Message) {}
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	l, err := newLoop(&cfg, newQuorum(&cfg))
	if err != nil {
		return nil, err
	}
	if l.decidesAlone() {
		err = l.node.Campaign()
	}
	return l, errors.Join(err, l.settleAll())
}
