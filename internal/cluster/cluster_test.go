package cluster

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// within says that something took no longer than it may.
func within(t *testing.T, what string, took, most time.Duration) {
	t.Helper()
	t.Logf("%s took %s", what, took)
	if took > most {
		t.Errorf("%s took %s, more than %s", what, took, most)
	}
}

func TestAKilledLeaderIsReplacedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.topic("t", 1)
		l := w.load("t")
		for range 3 {
			l.goesOn()
			leader := int(w.partition("t").Leader)
			w.kill(leader, false)
			within(t, "the next acknowledgement after a kill", l.goesOn(), time.Second)
			w.start(leader)
			w.inSync("t")
		}
		l.check(t)
	})
}

func TestASilentLeaderIsReplacedWhenItsSessionIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.topic("t", 1)
		l := w.load("t")
		l.goesOn()
		leader := w.node(int(w.partition("t").Leader))
		began := time.Now()
		leader.host.silence()
		for w.seenBy("t", leader.id%3+1).Leader == int32(leader.id) {
			time.Sleep(10 * time.Millisecond)
		}
		within(t, "the election of another leader", time.Since(began), 3500*time.Millisecond)
		l.goesOn() // when depends on the client's patience with the silent node
		leader.host.heal()
		w.inSync("t")
		l.check(t)
	})
}

func TestNothingIsLostWhenTheWholeClusterLosesPower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.topic("t", 1)
		l := w.load("t")
		for range 3 {
			l.goesOn()
			for id := 1; id <= 3; id++ {
				w.kill(id, true)
			}
			w.startAll()
			within(t, "the next acknowledgement after the power is back", l.goesOn(), 10*time.Second)
		}
		w.inSync("t")
		l.check(t)
	})
}

// startAll starts all nodes at once: none is ready before most are.
func (w *world) startAll() { w.startTogether(w.nodes...) }

func (w *world) startTogether(nodes ...*node) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	failed := make(chan error, len(nodes))
	for _, nd := range nodes {
		go func() { failed <- w.tryStart(ctx, nd.id) }()
	}
	for range nodes {
		if err := <-failed; err != nil {
			w.t.Fatal(err)
		}
	}
}

func TestARollingRestartIsNotNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.topic("t", 1)
		l := w.load("t")
		l.goesOn()
		l.gap()
		for id := 1; id <= 3; id++ {
			w.stop(id)
			w.start(id)
			w.inSync("t")
		}
		l.goesOn()
		within(t, "the longest time between two acknowledgements", l.gap(), 500*time.Millisecond)
		l.check(t)
	})
}

func TestANodeWithAnEmptyDiskComesBackAsANewOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.topic("t", 1)
		l := w.load("t")
		l.goesOn()
		w.kill(3, false)
		l.goesOn()
		w.node(3).disk = w.node(3).disk.CrashClone(nil)
		if err := w.node(3).disk.RemoveAll("/data"); err != nil {
			t.Fatal(err)
		}
		w.start(3)
		w.inSync("t")
		w.voters(3)
		w.kill(int(w.partition("t").Leader), false)
		l.goesOn()
		l.check(t)
	})
}

func TestAGroupGoesOnWhenItsCoordinatorDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.topic("t", 1)
		l := w.load("t")
		consumer := w.client(kgo.ConsumeTopics("t"), kgo.ConsumerGroup("g"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
			kgo.AutoCommitInterval(100*time.Millisecond))
		read := func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			for seen := 0; seen < 50; {
				seen += consumer.PollFetches(ctx).NumRecords()
				if ctx.Err() != nil {
					t.Fatal("the consumer reads nothing for a minute")
				}
			}
		}
		read()
		w.inSync("__consumer_offsets")
		w.kill(int(w.partition("__consumer_offsets").Leader), false)
		read()
		if err := consumer.CommitUncommittedOffsets(t.Context()); err != nil {
			t.Errorf("commit: %v", err)
		}
		l.check(t)
	})
}

func TestWithoutMostVotersMetadataDoesNotChangeAndReadsGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.topic("t", 1)
		l := w.load("t")
		l.goesOn()
		leader := int(w.partition("t").Leader)
		for id := 1; id <= 3; id++ {
			if id != leader {
				w.kill(id, false)
			}
		}
		time.Sleep(10 * time.Second)
		cl := w.client()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		_, err := createTopic(ctx, cl, "other")
		if !errors.Is(err, kerr.NotController) {
			t.Errorf("a topic made without a quorum: %v", err)
		}
		if n := len(w.read("t", 1)); n == 0 {
			t.Error("what was committed cannot be read")
		}
		for id := 1; id <= 3; id++ {
			if id != leader {
				go w.tryStart(t.Context(), id)
			}
		}
		l.goesOn()
		w.inSync("t")
		l.check(t)
	})
}

// createTopic asks one node once, without the patience of an admin client.
func createTopic(ctx context.Context, cl *kgo.Client, name string) (string, error) {
	req := kmsg.NewPtrCreateTopicsRequest()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, 1, 1
	req.Topics = append(req.Topics, topic)
	req.TimeoutMillis = 15_000
	for _, b := range cl.SeedBrokers() {
		resp, err := req.RequestWith(ctx, b)
		if err != nil {
			continue
		}
		return name, kerr.ErrorForCode(resp.Topics[0].ErrorCode)
	}
	return "", errors.New("nobody answers")
}

// The others are elsewhere, as are those whom the configuration names: one of them is enough to find them all, even if it does not lead.
func TestANodeThatWasAwayWhileAllMovedFindsThem(t *testing.T) {
	for _, named := range []int{1, 2, 3} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 3)
			w.start(w.add(both)) // it follows, without a vote
			for id := range 4 {
				w.kill(id+1, false)
			}
			for id := range 4 {
				w.node(id + 1).at = address(id + 101)
				w.node(id + 1).join = address(101)
			}
			w.node(1).join = ""
			w.startTogether(w.nodes[:3]...)
			w.node(4).join = address(named + 100)
			w.start(4)
		})
	}
}
