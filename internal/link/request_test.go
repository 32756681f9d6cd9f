package link

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/peer"
)

func TestManyRequestsAreUnderWayOnOneConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		o := listen(w)
		var mu sync.Mutex
		var held []received
		release := false
		o.take = func(r received) {
			mu.Lock()
			defer mu.Unlock()
			if held = append(held, r); release {
				answer(&held)
			}
		}
		o.start()
		var wg sync.WaitGroup
		for i := range inFlight + 20 {
			wg.Go(func() {
				want := fmt.Sprint("request ", i)
				if got, err := w.ask(t.Context(), want); got != want {
					t.Errorf("%s: %q, %v", want, got, err)
				}
			})
		}
		synctest.Wait()
		mu.Lock()
		if len(held) != inFlight || o.connections() != 1 {
			t.Errorf("%d requests under way on %d connections, want %d on one", len(held), o.connections(), inFlight)
		}
		release = true
		answer(&held)
		mu.Unlock()
		wg.Wait()
		w.pool.Close()
		o.fall()
	})
}

func answer(held *[]received) {
	for _, r := range *held {
		echo(r)
	}
	*held = nil
}

func TestBrokenConnectionIsNoticedAtOnceAndMadeAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		o := listen(w)
		o.take = echo
		o.start()
		if _, err := w.ask(t.Context(), "first"); err != nil {
			t.Fatal(err)
		}
		if down := w.pool.Down(); len(down) != 0 {
			t.Errorf("down: %v", down)
		}
		time.Sleep(2 * shortLife)
		cutAt := time.Now()
		o.cut()
		synctest.Wait()
		if w.breaks() != 1 || !w.broken[0].Equal(cutAt) {
			t.Errorf("broken at %v, cut at %v", w.broken, cutAt)
		}
		if down := w.pool.Down(); len(down) != 1 || down[0] != far {
			t.Errorf("down: %v", down)
		}
		if got, err := w.ask(t.Context(), "second"); got != "second" || !time.Now().Equal(cutAt) {
			t.Errorf("%q, %v at %v", got, err, time.Since(cutAt))
		}
		w.pool.Close()
		if w.breaks() != 1 {
			t.Error("Close was told as a break")
		}
		o.fall()
	})
}

func TestRequestsThatMayHaveTakenEffectSaySo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		o := listen(w)
		o.take = func(r received) { r.conn.Close() }
		o.start()
		if _, err := w.ask(t.Context(), "x"); !errors.Is(err, ErrMaybe) {
			t.Errorf("answered %v", err)
		}
		o.fall()
		time.Sleep(2 * mostPause)
		if _, err := w.ask(t.Context(), "x"); err == nil || errors.Is(err, ErrMaybe) {
			t.Errorf("answered %v", err)
		}
		w.pool.Close()
		if _, err := w.ask(t.Context(), "x"); !errors.Is(err, ErrClosed) {
			t.Errorf("answered %v after Close", err)
		}
	})
}

// What was not sent when a connection broke is sent on the next one.
func TestRequestsThatWereNotSentAreSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		o := listen(w)
		stuck := make(chan struct{})
		o.take = func(r received) { <-stuck }
		o.start()
		var mu sync.Mutex
		answered, maybe := 0, 0
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				_, err := w.ask(t.Context(), strings.Repeat("x", 2*chunk))
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					answered++
				case errors.Is(err, ErrMaybe):
					maybe++
				default:
					t.Error(err)
				}
			})
		}
		time.Sleep(2 * shortLife)
		o.takes(echo)
		o.cut()
		close(stuck)
		wg.Wait()
		if maybe != 2 || answered != 18 { // one was read, and one was being sent
			t.Errorf("%d answered, %d may have taken effect", answered, maybe)
		}
		w.pool.Close()
		o.fall()
	})
}

func TestACallerMayLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		o := listen(w)
		var slow []received
		o.take = func(r received) {
			if strings.Contains(string(r.body), "slow") {
				slow = append(slow, r)
				return
			}
			for _, s := range append(slow, r) {
				echo(s)
			}
			slow = nil
		}
		o.start()
		for range 2 * inFlight { // also those that left give their places back
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			if _, err := w.ask(ctx, "slow"); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("answered %v", err)
			}
			cancel()
			if got, err := w.ask(t.Context(), "quick"); got != "quick" {
				t.Fatalf("%q, %v", got, err)
			}
		}
		w.pool.Close()
		o.fall()
	})
}

// Callers that leave before their request is written give their places back.
func TestCallersMayLeaveAConnectionThatIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		o := listen(w)
		stuck := make(chan struct{})
		o.take = func(r received) {
			<-stuck
			echo(r)
		}
		o.start()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var wg sync.WaitGroup
		for range 3 * inFlight {
			wg.Go(func() {
				if _, err := w.ask(ctx, strings.Repeat("x", 2*chunk)); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("answered %v", err)
				}
			})
		}
		wg.Wait()
		close(stuck)
		for range inFlight {
			if got, err := w.ask(t.Context(), "x"); got != "x" || w.breaks() != 0 {
				t.Fatalf("%q, %v, %d breaks", got, err, w.breaks())
			}
		}
		if n := len(w.pool.mu.nodes[far].mu.requests.stream.slots); n != 0 {
			t.Errorf("%d places are taken by callers that have gone", n)
		}
		w.pool.Close()
		o.fall()
	})
}

func TestAttemptsAreFurtherAndFurtherApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for range 600 {
			if _, err := w.ask(t.Context(), "x"); err == nil || !strings.Contains(err.Error(), "connection refused") {
				t.Fatalf("answered %v", err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		for i := 1; i < len(w.dials); i++ {
			gap, want := w.dials[i].Sub(w.dials[i-1]), min(leastPause<<(i-1), mostPause)
			if gap < want*3/4 || gap > want*5/4+10*time.Millisecond {
				t.Errorf("attempt %d came after %v, want about %v", i, gap, want)
			}
		}
		if n := len(w.dials); n < 8 || n > 14 {
			t.Errorf("%d attempts in 6 s", n)
		}
		// Who is called by the node need not wait.
		for n := len(w.dials); len(w.dials) == n; time.Sleep(10 * time.Millisecond) {
			_, _ = w.ask(t.Context(), "x")
		}
		o := listen(w)
		o.take = echo
		o.start()
		if _, err := w.ask(t.Context(), "x"); err == nil {
			t.Fatal("the next attempt was due already")
		}
		w.pool.Heard(far)
		if got, err := w.ask(t.Context(), "x"); got != "x" {
			t.Errorf("%q, %v", got, err)
		}
		w.pool.Close()
		o.fall()
	})
}

// A node that takes connections and breaks them is not called without a pause.
func TestShortLivesCountAsFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		o := listen(w)
		o.take = func(r received) { r.conn.Close() }
		o.start()
		for range 100 {
			_, _ = w.ask(t.Context(), "x")
			synctest.Wait()
			time.Sleep(time.Millisecond)
		}
		if n := len(w.dials); n > 4 {
			t.Errorf("%d attempts in 100 ms", n)
		}
		w.pool.Close()
		o.fall()
	})
}

func TestSilenceIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		o := listen(w)
		o.take = echo
		o.start()
		if _, err := w.ask(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
		w.pool.Raft(far, [][]byte{[]byte("beat")})
		time.Sleep(time.Minute)
		if n := o.greeted(); n < 30 || n > 70 || w.breaks() != 0 {
			t.Errorf("%d Hellos in a minute of quiet, %d breaks", n, w.breaks())
		}
		o.greets(nil)
		since := time.Now()
		for w.breaks() == 0 && time.Since(since) < time.Minute {
			time.Sleep(100 * time.Millisecond)
		}
		if took := time.Since(since); took > quietTime+graceTime+3*watchTime {
			t.Errorf("noticed after %v", took)
		}
		synctest.Wait()
		if n := o.connections(); n != 0 {
			t.Errorf("%d connections are left to a node that is silent", n)
		}
		w.pool.Close()
		o.fall()
	})
}

// An answer may take as long as its caller waits.
func TestASlowAnswerIsNoSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		o := listen(w)
		o.take = func(r received) {
			time.Sleep(40 * time.Second)
			echo(r)
		}
		o.start()
		if got, err := w.ask(t.Context(), "x"); got != "x" || w.breaks() != 0 {
			t.Errorf("%q, %v, %d breaks", got, err, w.breaks())
		}
		// And when the caller waits no longer, the connection is given up soon after.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := w.ask(ctx, "y"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("answered %v", err)
		}
		time.Sleep(graceTime + 2*watchTime)
		if w.breaks() != 1 {
			t.Errorf("%d breaks", w.breaks())
		}
		w.pool.Close()
		o.fall()
	})
}

// A request that hardly waits may be behind one that waits long.
func TestAnswersThatWaitForOthersAreNoSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		o := listen(w)
		queue := make(chan received, 3)
		o.take = func(r received) { queue <- r }
		o.wg.Go(func() {
			for r := range queue {
				if strings.Contains(string(r.body), "slow") {
					time.Sleep(40 * time.Second)
				} else {
					time.Sleep(3 * time.Second)
				}
				echo(r)
			}
		})
		o.start()
		var wg sync.WaitGroup
		wg.Go(func() {
			if got, err := w.ask(t.Context(), "slow"); got != "slow" {
				t.Errorf("%q, %v", got, err)
			}
		})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := w.ask(ctx, "quick"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("answered %v", err)
		}
		wg.Wait()
		if got, err := w.ask(t.Context(), "last"); got != "last" || w.breaks() != 0 {
			t.Errorf("%q, %v, %d breaks", got, err, w.breaks())
		}
		w.pool.Close()
		close(queue)
		o.fall()
	})
}

// Where one connection finds that the node is silent, the others need not find out.
func TestSilenceIsThatOfTheWholeNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		o := listen(w)
		o.start()
		w.pool.Raft(far, [][]byte{[]byte("beat")})
		told := make(chan error)
		go func() {
			_, err := w.ask(t.Context(), "x") // may take a minute
			told <- err
		}()
		synctest.Wait()
		o.greets(nil)
		since := time.Now()
		if err := <-told; !errors.Is(err, ErrMaybe) || time.Since(since) > quietTime+graceTime+3*watchTime {
			t.Errorf("%v after %v", err, time.Since(since))
		}
		w.pool.Close()
		o.fall()
	})
}

func TestSizesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(c *Config) { c.MaxFrame = 1 << 20 })
		o := listen(w)
		o.take = echo
		o.start()
		if _, err := w.ask(t.Context(), strings.Repeat("x", 1<<20)); err == nil || w.breaks() != 0 || len(w.dials) != 0 {
			t.Errorf("a request that is too large was answered %v", err)
		}
		large := strings.Repeat("x", 1<<20-100)
		if got, err := w.ask(t.Context(), large); got != large {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		for _, size := range []uint32{0, 3, 1<<20 + maxExtra + 1, 1<<31 - 1, 1 << 31, 1<<32 - 1} {
			o.takes(func(r received) {
				_, _ = r.conn.Write(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, size), uint32(r.correlation)))
			})
			since := time.Now()
			if _, err := w.ask(t.Context(), "x"); !errors.Is(err, ErrMaybe) || !time.Now().Equal(since) {
				t.Errorf("an answer of %d bytes: %v after %v", size, err, time.Since(since))
			}
			time.Sleep(2 * mostPause)
		}
		w.pool.Close()
		o.fall()
	})
}

func TestAnswersThatAreNotDueEndTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		o := listen(w)
		o.take = func(r received) {
			r.correlation += 5
			echo(r)
		}
		o.start()
		if _, err := w.ask(t.Context(), "x"); !errors.Is(err, ErrMaybe) {
			t.Errorf("answered %v", err)
		}
		w.pool.Close()
		o.fall()
	})
}

func TestForgottenNodesAreHungUpOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		o := listen(w)
		o.start()
		got := make(chan error)
		go func() {
			_, err := w.ask(t.Context(), "x")
			got <- err
		}()
		w.pool.Raft(far, [][]byte{[]byte("beat")})
		synctest.Wait()
		if n := o.connections(); n != 2 {
			t.Errorf("%d connections, want one for requests and one for raft", n)
		}
		w.pool.Forget(far)
		if err := <-got; !errors.Is(err, ErrClosed) {
			t.Errorf("answered %v", err)
		}
		synctest.Wait()
		if n := o.connections(); n != 0 || w.breaks() != 0 || len(w.pool.Down()) != 0 {
			t.Errorf("%d connections, %d breaks, down %v", n, w.breaks(), w.pool.Down())
		}
		o.takes(echo)
		if got, err := w.ask(t.Context(), "x"); got != "x" {
			t.Errorf("%q, %v", got, err)
		}
		w.pool.Close()
		o.fall()
	})
}

func TestNodesWithoutAnAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		if _, err := w.pool.Request(t.Context(), 7, submit("x")); !errors.Is(err, ErrNoAddress) {
			t.Error(err)
		}
		if _, err := w.pool.Dial(t.Context(), 7); !errors.Is(err, ErrNoAddress) {
			t.Error(err)
		}
		if _, err := w.pool.Probe(t.Context(), 7, kafka.TopicID{}); !errors.Is(err, ErrNoAddress) {
			t.Error(err)
		}
		if _, err := w.pool.Request(t.Context(), 7, &peer.RaftRequest{}); err == nil {
			t.Error("raft messages were sent as a request")
		}
		w.pool.Close()
	})
}
