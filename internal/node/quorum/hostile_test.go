package quorum

import (
	"testing"
	"testing/synctest"
	"time"
)

// Node 1 began the cluster alone, and its configuration still says so: with a new disk it begins another one. It must not be taken
// for the voter that it was, whose votes and entries it has forgotten.
func TestAFounderWithANewDiskIsNotTheVoterThatItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := three(t, 31, nil)
		w.create(1, "before")
		w.kill(1)
		w.eventually("another leads", func() bool { return w.leader() != 1 })
		w.newDisk(1)
		w.start(1, false)
		time.Sleep(5 * time.Second)
		if st := w.q(1).Status(); st.Leader != 1 {
			t.Errorf("the node with a new disk follows node %d", st.Leader)
		}
		w.create(2, "after")
		w.kill(3)
		time.Sleep(10 * time.Second)
		if st := w.q(2).Status(); st.Leads {
			t.Error("node 2 leads by the vote of a node that has forgotten what it had acknowledged")
		}
	})
}
