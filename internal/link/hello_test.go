package link

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/peer"
)

func TestEveryConnectionBeginsWithHello(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		o := listen(w)
		o.take = echo
		o.start()
		if _, err := w.ask(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
		c, err := w.pool.Dial(t.Context(), far)
		if err != nil {
			t.Fatal(err)
		}
		if len(o.hellos) != 2 {
			t.Errorf("%d Hellos on two connections", len(o.hellos))
		}
		h := o.hellos[0]
		if h.ClusterID != cluster || h.NodeID != int32(self) || h.Incarnation != (kafka.TopicID{1, 1}) || h.Newest != peer.MaxVersion {
			t.Errorf("said %+v", h)
		}
		c.Close()
		w.pool.Close()
		o.fall()
	})
}

func TestWhoIsNotWelcomeIsTold(t *testing.T) {
	for name, try := range map[string]struct {
		answer func(*peer.HelloResponse)
		want   error
		words  string
	}{
		"another cluster, says the other": {func(h *peer.HelloResponse) {
			h.ErrorCode, h.ErrorMessage = kerr.InconsistentClusterID.Code, "this is cluster B"
		}, kerr.InconsistentClusterID, "this is cluster B"},
		"another cluster, says this one": {func(h *peer.HelloResponse) { h.ClusterID = "B" }, kerr.InconsistentClusterID, "of cluster B, this one of " + cluster},
		"the id is taken": {func(h *peer.HelloResponse) {
			h.ErrorCode, h.ErrorMessage = kerr.DuplicateBrokerRegistration.Code, "node 1 runs elsewhere"
		}, kerr.DuplicateBrokerRegistration, "runs elsewhere"},
		"no common version": {func(h *peer.HelloResponse) { h.Version = peer.MaxVersion + 1 }, kerr.UnsupportedVersion, "version"},
		"another node":      {func(h *peer.HelloResponse) { h.NodeID = 5 }, nil, "is node 5"},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			o := listen(w)
			o.greeting = func(*peer.HelloRequest) *peer.HelloResponse {
				h := welcome()
				try.answer(h)
				return h
			}
			o.take = func(r received) { t.Errorf("%s: request %d came all the same", name, r.key) }
			o.start()
			for range 2 { // the second time it is known, and nobody is called
				_, err := w.ask(t.Context(), "x")
				if err == nil || errors.Is(err, ErrMaybe) || !strings.Contains(err.Error(), try.words) || try.want != nil && !errors.Is(err, try.want) {
					t.Errorf("%s: %v", name, err)
				}
			}
			hello, err := w.pool.Hello(t.Context(), address)
			if hello == nil || (err != nil) != (try.want != nil) || try.want != nil && !errors.Is(err, try.want) {
				t.Errorf("%s: %v, %v", name, hello, err)
			}
			synctest.Wait()
			if n := o.connections(); n != 0 || w.breaks() != 0 {
				t.Errorf("%s: %d connections are left, %d breaks", name, n, w.breaks())
			}
			w.pool.Close()
			o.fall()
		})
	}
}

func TestNodesWithoutAClusterAreTakenByAny(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(c *Config) { c.ClusterID, c.Self = func() string { return "" }, kafka.NoNode })
		o := listen(w)
		o.take = func(r received) {
			var req peer.JoinRequest
			if err := req.ReadFrom(r.body); err != nil || !req.Fresh || req.NodeID != 4 {
				t.Errorf("%+v, %v", req, err)
			}
			r.answer(&peer.JoinResponse{ErrorCode: kerr.NotController.Code, Leader: 3, Members: []peer.Member{{ID: 3, Host: "three", Port: 9092}}})
		}
		o.start()
		hello, err := w.pool.Hello(t.Context(), address)
		if err != nil || hello.ClusterID != cluster || hello.Incarnation != farLife {
			t.Errorf("%+v, %v", hello, err)
		}
		resp, err := w.pool.Join(t.Context(), address, &peer.JoinRequest{NodeID: 4, Fresh: true})
		if err != nil || resp.ErrorCode != kerr.NotController.Code || len(resp.Members) != 1 {
			t.Errorf("%+v, %v", resp, err)
		}
		synctest.Wait()
		if n := o.connections(); n != 0 {
			t.Errorf("%d connections are left", n)
		}
		w.pool.Close()
		o.fall()
	})
}

func TestProbe(t *testing.T) {
	type verdict struct{ alive, told bool }
	for name, try := range map[string]struct {
		node func(*world) *other
		want verdict
		took time.Duration
	}{
		"alive":             {func(w *world) *other { return listen(w).start() }, verdict{true, true}, 0},
		"refused":           {func(*world) *other { return nil }, verdict{false, true}, 0},
		"another life":      {greetedBy(func(h *peer.HelloResponse) { h.Incarnation = kafka.TopicID{2, 3} }), verdict{false, true}, 0},
		"alive and hostile": {greetedBy(func(h *peer.HelloResponse) { h.ErrorCode = kerr.DuplicateBrokerRegistration.Code }), verdict{true, true}, 0},
		"another node":      {greetedBy(func(h *peer.HelloResponse) { h.NodeID = 3 }), verdict{false, false}, 0},
		"silent":            {func(w *world) *other { o := listen(w); o.greeting = nil; return o.start() }, verdict{false, false}, helloTime},
		"nobody accepts":    {func(w *world) *other { return listen(w) }, verdict{false, false}, dialTime},
		// The process is dying: the connection is taken, and reset, before the listener goes.
		"dying": {func(w *world) *other {
			o := listen(w)
			o.greeting = func(*peer.HelloRequest) *peer.HelloResponse {
				if o.greeted() == 3 {
					o.l.Close()
				}
				return nil
			}
			return o.start()
		}, verdict{false, true}, 70 * time.Millisecond},
		"hangs up": {func(w *world) *other {
			o := listen(w)
			o.greeting = func(*peer.HelloRequest) *peer.HelloResponse { return nil }
			return o.start()
		}, verdict{false, false}, 310 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			o := try.node(w)
			since := time.Now()
			alive, err := w.pool.Probe(t.Context(), far, farLife)
			if got := (verdict{alive, err == nil}); got != try.want || time.Since(since) != try.took {
				t.Errorf("%s: %v, %v after %v", name, alive, err, time.Since(since))
			}
			w.pool.Close()
			if o != nil {
				o.fall()
			}
		})
	}
}

func greetedBy(change func(*peer.HelloResponse)) func(*world) *other {
	return func(w *world) *other {
		o := listen(w)
		o.greeting = func(*peer.HelloRequest) *peer.HelloResponse {
			h := welcome()
			change(h)
			return h
		}
		return o.start()
	}
}

func TestProbesEndWithTheirContextAndWithThePool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		o := listen(w)
		o.greeting = nil
		o.start()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		since := time.Now()
		if _, err := w.pool.Probe(ctx, far, farLife); !errors.Is(err, context.DeadlineExceeded) || time.Since(since) != 10*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(since))
		}
		told := make(chan error)
		go func() {
			_, err := w.pool.Probe(t.Context(), far, farLife)
			told <- err
		}()
		synctest.Wait()
		w.pool.Close()
		if err := <-told; !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		if _, err := w.pool.Hello(t.Context(), address); err == nil {
			t.Error("said Hello after Close")
		}
		o.fall()
	})
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		o := listen(w) // and accepts nobody
		told := make(chan error)
		go func() {
			_, err := w.pool.Hello(t.Context(), address)
			told <- err
		}()
		synctest.Wait()
		since := time.Now()
		w.pool.Close()
		if err := <-told; !errors.Is(err, ErrClosed) || !time.Now().Equal(since) {
			t.Errorf("%v after %v", err, time.Since(since))
		}
		o.fall()
	})
}

func TestClocksAreComparedByHello(t *testing.T) {
	for name, try := range map[string]struct {
		clock func() int64
		want  time.Duration
		told  bool
	}{
		"the same":     {func() int64 { return time.Now().UnixMilli() }, 0, true},
		"an hour on":   {func() int64 { return time.Now().Add(time.Hour).UnixMilli() }, time.Hour, true},
		"a day behind": {func() int64 { return time.Now().Add(-24 * time.Hour).UnixMilli() }, -24 * time.Hour, true},
		"not told":     {func() int64 { return 0 }, 0, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			told := false
			w := newWorld(t, func(c *Config) {
				c.Clock = func(node kafka.NodeID, ahead, within time.Duration) {
					if told = true; node != far || (ahead-try.want).Abs() > within || within > time.Second {
						t.Errorf("%s: node %d is %v ahead, give or take %v", name, node, ahead, within)
					}
				}
			})
			o := listen(w)
			o.greeting = func(*peer.HelloRequest) *peer.HelloResponse {
				h := welcome()
				h.Clock = try.clock()
				return h
			}
			o.start()
			if _, err := w.pool.Hello(t.Context(), address); err != nil {
				t.Error(err)
			}
			if told != try.told {
				t.Errorf("%s: told %v", name, told)
			}
			w.pool.Close()
			o.fall()
		})
	}
}
