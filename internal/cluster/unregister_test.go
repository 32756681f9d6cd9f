package cluster

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func (w *world) unregister(id int32) {
	w.t.Helper()
	req := kmsg.NewPtrUnregisterBrokerRequest()
	req.BrokerID = id
	if resp, err := req.RequestWith(w.t.Context(), w.client()); err != nil || resp.ErrorCode != 0 {
		w.t.Fatalf("%+v, %v", resp, err)
	}
}

// A node alone that is unregistered by mistake leads what it led as soon as it has noticed.
func TestANodeAloneThatIsUnregisteredComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.topic("t", 1)
		l := w.load("t")
		l.goesOn()
		w.unregister(1)
		within(t, "the next acknowledgement", l.goesOn(), 200*time.Millisecond)
		l.check(t)
	})
}

// One of several that is unregistered may have been decommissioned: it stops, and comes back when it is started again.
func TestANodeThatIsUnregisteredStopsAndComesBackWhenStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.topic("t", 1)
		l := w.load("t")
		l.goesOn()
		id := w.partition("t").Leader
		w.unregister(id)
		within(t, "the next acknowledgement", l.goesOn(), time.Second)
		select {
		case <-w.node(int(id)).process.Failed():
		case <-time.After(10 * time.Second):
			t.Fatal("the node goes on")
		}
		w.stop(int(id))
		w.start(int(id))
		w.inSync("t")
		l.check(t)
	})
}

// What the leader had still to tell it is of before it was removed, and passes for news of the cluster; nothing comes after it.
func TestANodeThatIsUnregisteredWhileItIsDownComesBackAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.topic("t", 1)
		w.stop(3)
		w.unregister(3)
		began := time.Now()
		w.start(3)
		within(t, "the start", time.Since(began), 10*time.Second)
		w.voters(3)
		w.inSync("t")
	})
}
