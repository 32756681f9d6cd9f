package liveness

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/controller"
	"github.com/headrace/headrace/internal/core/metadata"
)

// world is what surrounds the Watch of a node, 1 as a rule: an Image, a controller that notes what it is asked, processes that live or not.
type world struct {
	t *testing.T
	*Watch
	self kafka.NodeID

	mu     sync.Mutex
	img    *metadata.Image
	asked  []string // what the controller was asked, besides heartbeats
	beats  []kmsg.BrokerHeartbeatRequest
	answer kmsg.BrokerHeartbeatResponse

	refuses bool // there is no controller
	unmoved int  // requests until all leaders are given back
	dead    map[kafka.NodeID]bool
	cutOff  map[kafka.NodeID]bool // probes of them have no answer
	answers chan struct{}         // closed when probes are to be answered; nil: at once
	down    []kafka.NodeID
	alone   bool // no majority is in reach
	heard   map[kafka.NodeID]time.Time
}

func start(t *testing.T, nodes ...kafka.NodeID) *world {
	t.Helper()
	return startBalancing(t, 0, nodes...)
}

// startBalancing has the controller give leaders back from time to time.
func startBalancing(t *testing.T, balance time.Duration, nodes ...kafka.NodeID) *world {
	t.Helper()
	return startNode(t, 1, balance, nodes...)
}

// startAs starts the Watch of another node than 1.
func startAs(t *testing.T, self kafka.NodeID, nodes ...kafka.NodeID) *world {
	t.Helper()
	return startNode(t, self, 0, nodes...)
}

func startNode(t *testing.T, self kafka.NodeID, balance time.Duration, nodes ...kafka.NodeID) *world {
	t.Helper()
	w := &world{t: t, self: self, img: metadata.New("c"), dead: map[kafka.NodeID]bool{}, cutOff: map[kafka.NodeID]bool{}, heard: map[kafka.NodeID]time.Time{}}
	for _, id := range nodes {
		w.apply(&metadata.RegisterBrokerRecord{Node: id, Incarnation: kafka.TopicID{byte(id)}, Epoch: int64(id) * 10})
	}
	watch, err := Start(Config{
		Self: self, Log: slog.New(slog.DiscardHandler), Image: w.image, Submit: w.submit, Probe: w.probe,
		Down: func() []kafka.NodeID { return w.down }, LastHeard: func(id kafka.NodeID) time.Time { return w.heard[id] },
		Majority: func() bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return !w.alone
		},
		LeaderLost: func(id kafka.NodeID) { w.note("leader lost: %d", id) },
		Register:   w.register,
		Session:    3 * time.Second, Heartbeat: 500 * time.Millisecond, Balance: balance,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.Watch = watch
	t.Cleanup(watch.Close)
	w.Changed(w.image())
	return w
}

func (w *world) image() *metadata.Image {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.img
}

func (w *world) apply(recs ...metadata.Record) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.img, _ = w.img.Apply(recs, w.img.Offset()+1)
}

// led makes a node the active controller.
func (w *world) led(id kafka.NodeID) {
	w.mu.Lock()
	w.img = w.img.WithController(id)
	w.mu.Unlock()
	w.Changed(w.image())
	w.Led(id == w.self)
}

func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, fmt.Sprintf(format, args...))
}

func (w *world) submit(_ context.Context, req any) (any, error) {
	switch req := req.(type) {
	case *kmsg.BrokerHeartbeatRequest:
		w.mu.Lock()
		defer w.mu.Unlock()
		w.beats = append(w.beats, *req)
		if w.refuses {
			return nil, kerr.NotController
		}
		answer := w.answer
		return &answer, nil
	case controller.FenceNode:
		if !req.Fenced {
			return nil, kerr.InvalidRequest
		}
		w.note("fence %d of epoch %d", req.ID, req.Epoch)
		w.mu.Lock()
		refuses := w.refuses
		w.mu.Unlock()
		if refuses {
			return nil, kerr.NotController
		}
		w.apply(metadata.FenceBroker(req.ID, req.Epoch))
		w.Changed(w.image())
		return controller.FencedNode{Changed: true}, nil
	case controller.BalanceLeaders:
		w.note("give leaders back")
		w.mu.Lock()
		defer w.mu.Unlock()
		w.unmoved = max(w.unmoved-1, 0)
		return controller.BalancedLeaders{More: w.unmoved > 0}, nil
	}
	return nil, kerr.UnsupportedVersion
}

// register has the controller take heartbeats again.
func (w *world) register(context.Context) error {
	w.note("register")
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answer.ErrorCode = 0
	return nil
}

func (w *world) probe(_ context.Context, to kafka.NodeID, incarnation kafka.TopicID) (bool, error) {
	if w.answers != nil {
		<-w.answers
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if incarnation != (kafka.TopicID{byte(to)}) {
		w.t.Errorf("probe of node %d asks for %v", to, incarnation)
	}
	if w.cutOff[to] {
		return false, errors.New("no answer")
	}
	return !w.dead[to], nil
}

// within runs the world for a time, in which the named nodes send heartbeats to node 1, and tells what was asked.
func (w *world) within(d time.Duration, beating ...kafka.NodeID) []string {
	for end := time.Now().Add(d); time.Now().Before(end); {
		for _, id := range beating {
			w.Heard(id)
		}
		time.Sleep(min(500*time.Millisecond, time.Until(end)))
	}
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	asked := w.asked
	w.asked = nil
	return asked
}

func (w *world) want(got []string, want ...string) {
	w.t.Helper()
	if !slices.Equal(got, want) {
		w.t.Errorf("asked %q, want %q", got, want)
	}
}

func TestAKilledNodeIsFencedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, 1, 2, 3)
		w.led(1)
		w.dead[2] = true
		w.Suspect(2)
		w.want(w.within(time.Millisecond, 3), "fence 2 of epoch 20")
	})
}

func TestABrokenConnectionToALivingNodeFencesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, 1, 2, 3)
		w.led(1)
		w.cutOff[3] = true
		w.Suspect(2)
		w.Suspect(3)
		w.want(w.within(time.Hour, 2, 3))
	})
}

func TestASilentNodeIsFencedWhenItsSessionIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, 1, 2, 3)
		w.led(1)
		w.want(w.within(2900*time.Millisecond, 3))
		w.want(w.within(700*time.Millisecond, 3), "fence 2 of epoch 20")
		w.want(w.within(time.Hour, 3))
	})
}

func TestTheEndOfASessionIsSeenWhenItComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, 1, 2, 3)
		w.led(1)
		time.Sleep(230 * time.Millisecond) // between two looks
		w.Heard(2)
		w.want(w.within(2990*time.Millisecond, 3))
		w.want(w.within(20*time.Millisecond, 3), "fence 2 of epoch 20")
	})
}

func TestAFenceThatFailsIsTriedAgainAtTheNextLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, 1, 2, 3)
		w.led(1)
		w.mu.Lock()
		w.refuses = true
		w.mu.Unlock()
		if asked := w.within(10*time.Second, 3); len(asked) < 2 || len(asked) > 2*(10-3)+1 {
			t.Errorf("asked %d times", len(asked))
		}
	})
}

// One request moves so many leaders at most.
func TestAllLeadersAreGivenBackOneRequestAfterTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startBalancing(t, 5*time.Minute, 1, 2, 3)
		w.led(1)
		w.unmoved = 3
		w.want(w.within(5*time.Minute-time.Second, 2, 3))
		w.want(w.within(4*time.Second, 2, 3), "give leaders back", "give leaders back", "give leaders back")
		w.want(w.within(4*time.Minute, 2, 3))
		w.want(w.within(time.Minute, 2, 3), "give leaders back")
	})
}

func TestANewControllerProbesTheOneBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, 1, 2, 3)
		w.led(2)
		w.dead[2], w.down = true, []kafka.NodeID{2}
		w.led(1)
		w.want(w.within(time.Millisecond, 3), "fence 2 of epoch 20")
	})
}

func TestTheSessionOfTheControllerBeforeBeganWhenItWasLastHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, 1, 2, 3)
		w.led(2)
		w.heard[2] = time.Now()
		w.within(1500 * time.Millisecond)
		w.led(1)
		w.want(w.within(1400*time.Millisecond, 3))
		w.want(w.within(700*time.Millisecond, 3), "fence 2 of epoch 20")
	})
}

// The controller before had its heartbeats confirmed by a majority, which this node need not have been one of: it may have heard
// nothing of it for long, while that goes on leading its partitions for as long as it is sure to.
func TestTheControllerBeforeIsNotFencedBeforeItHasLapsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, next := startAs(t, 2, 1, 2, 3), start(t, 1, 2, 3)
		for _, w := range []*world{old, next} {
			w.led(2)
		}
		next.heard[2] = time.Now()
		old.within(10*time.Second, 1, 3) // node 1 is cut off, node 3 is not
		old.mu.Lock()
		old.refuses = true
		old.mu.Unlock()
		next.led(1)
		begun := time.Now()
		for fenced := false; !fenced && time.Since(begun) < time.Minute; {
			fenced = len(next.within(10*time.Millisecond, 3)) > 0
			if fenced && !old.Lapsed() {
				t.Errorf("fenced after %v, and sure to lead yet", time.Since(begun))
			}
		}
	})
}

func TestOthersLookAfterTheControllerAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, 1, 2, 3)
		w.led(2)
		w.dead[2], w.dead[3] = true, true
		w.Suspect(3)
		w.want(w.within(time.Second))
		w.Suspect(2)
		w.want(w.within(time.Millisecond), "leader lost: 2")
	})
}

func TestANodeAloneSendsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, 1)
		w.led(1)
		w.want(w.within(time.Hour))
		if len(w.beats) > 0 {
			t.Errorf("%d heartbeats", len(w.beats))
		}
		w.apply(&metadata.RegisterBrokerRecord{Node: 2, Incarnation: kafka.TopicID{2}, Epoch: 20})
		w.Changed(w.image())
		w.within(10*time.Second, 2)
		w.mu.Lock()
		defer w.mu.Unlock()
		if n := len(w.beats); n < 19 || n > 22 {
			t.Errorf("%d heartbeats in ten seconds with another node", n)
		}
	})
}

func TestAFencedNodeSendsAHeartbeatAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, 1)
		w.apply(metadata.FenceBroker(1, 10))
		w.Changed(w.image())
		synctest.Wait()
		if len(w.beats) != 1 || w.beats[0].BrokerEpoch != 10 || w.beats[0].CurrentMetadataOffset != int64(w.image().Offset()) {
			t.Errorf("%+v", w.beats)
		}
	})
}

func TestANodeWhoseRegistrationIsGoneRegistersAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, code := range []*kerr.Error{kerr.StaleBrokerEpoch, kerr.BrokerIDNotRegistered} {
			w := start(t, 1, 2)
			w.mu.Lock()
			w.answer.ErrorCode = code.Code
			w.mu.Unlock()
			w.want(w.within(500*time.Millisecond), "register")
			w.Close()
			if n := len(w.beats); n < 2 {
				t.Errorf("%d heartbeats: the first after the registration is due at once", n)
			}
		}
	})
}

func TestAStopWaitsUntilOthersLead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, 1, 2)
		w.led(2)
		go func() {
			time.Sleep(300 * time.Millisecond)
			w.mu.Lock()
			w.answer.ShouldShutdown = true
			w.mu.Unlock()
		}()
		began := time.Now()
		if err := w.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(began); d < 300*time.Millisecond || d > 350*time.Millisecond {
			t.Errorf("it took %s", d)
		}
		w.Close()
		if last := w.beats[len(w.beats)-1]; !last.WantShutdown {
			t.Errorf("%+v", last)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := start(t, 1).Shutdown(ctx); err != nil {
			t.Errorf("a node alone: %v", err)
		}
		if err := start(t, 1, 2).Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a controller that moves nothing: %v", err)
		}
		w = start(t, 1, 2)
		w.mu.Lock()
		w.refuses = true
		w.mu.Unlock()
		began = time.Now()
		if err := w.Shutdown(t.Context()); !errors.Is(err, ErrNoController) || time.Since(began) > 3*time.Second {
			t.Errorf("no controller: %v after %s", err, time.Since(began))
		}
		w = start(t, 1, 2, 3)
		w.mu.Lock()
		w.refuses, w.alone = true, true
		w.mu.Unlock()
		began = time.Now()
		if err := w.Shutdown(t.Context()); !errors.Is(err, ErrNoController) || time.Since(began) > 400*time.Millisecond {
			t.Errorf("nobody to be a controller: %v after %s", err, time.Since(began))
		}
	})
}

// A process that was stopped finds all sessions over at once, with the heartbeats of the time unread.
func TestSessionsDoNotCountTheTimeTheControllerSlept(t *testing.T) {
	at := func(ms int) time.Time { return time.UnixMilli(int64(ms)) }
	s := newSessions(3*time.Second, time.Second)
	s.keep(at(0), []kafka.NodeID{2, 3})
	if over := s.due(at(500)); over != nil {
		t.Errorf("at first: %v", over)
	}
	if over := s.due(at(60_000)); over != nil {
		t.Errorf("after a minute asleep: %v", over)
	}
	s.touch(at(60_100), 3)
	var over []kafka.NodeID
	for ms := 60_500; over == nil; ms += 500 {
		over = s.due(at(ms))
		if ms > 62_000 {
			t.Fatalf("at %d nobody's session is over", ms)
		}
	}
	if !slices.Equal(over, []kafka.NodeID{2}) {
		t.Errorf("over: %v", over)
	}
	s.keep(at(61_000), []kafka.NodeID{3})
	if over := s.due(at(62_000)); over != nil {
		t.Errorf("a node that is no longer watched: %v", over)
	}
}

func TestANodeThatHearsOfNoControllerIsNotSureThatItLeads(t *testing.T) {
	for name, controller := range map[string]kafka.NodeID{"a follower of the metadata": 2, "the controller": 1} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := start(t, 1, 2, 3)
				w.led(controller)
				w.within(10*time.Second, 2, 3)
				if w.Lapsed() {
					t.Error("lapsed while the controller answers")
				}
				w.mu.Lock()
				w.refuses = true
				w.mu.Unlock()
				// The last heartbeat that was answered was sent at most half a second ago.
				w.within(3*time.Second+time.Millisecond, 2, 3)
				if !w.Lapsed() {
					t.Error("not lapsed when a controller that had no heartbeat would fence it")
				}
				w.mu.Lock()
				w.refuses = false
				w.mu.Unlock()
				w.within(time.Second, 2, 3)
				if w.Lapsed() {
					t.Error("lapsed though the controller answers again")
				}
			})
		})
	}
}

func TestANodeAloneIsSureThatItLeads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, 1)
		w.within(time.Hour)
		if w.Lapsed() {
			t.Error("lapsed, with nobody there to lead in its place")
		}
		w.apply(&metadata.RegisterBrokerRecord{Node: 2, Incarnation: kafka.TopicID{2}, Epoch: 20})
		w.Changed(w.image())
		if w.Lapsed() {
			t.Error("lapsed at the moment at which another node comes")
		}
	})
}

// A probe takes a while, and the node may be back before it ends: what was found of one process says nothing of the next.
func TestThatAProcessIsGoneSaysNothingOfTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, 1, 2, 3)
		w.led(1)
		w.dead[3], w.answers = true, make(chan struct{})
		w.Suspect(3)
		w.within(100*time.Millisecond, 2, 3)
		w.apply(&metadata.RegisterBrokerRecord{Node: 3, Incarnation: kafka.TopicID{33}, Epoch: 300})
		w.Changed(w.image())
		close(w.answers)
		w.want(w.within(time.Second, 2, 3))
	})
}
