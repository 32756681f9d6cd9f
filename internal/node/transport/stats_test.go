package transport

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestStatsTellWhatWasCarriedAndHowLongItTook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.srv.Close()
		c := w.l.dial()
		ask := request(keyHandle, 4, 1, "slow")
		w.send(c, ask)
		w.wantBegun("slow")
		time.Sleep(300 * time.Millisecond) // the bubble's clock
		w.gate("slow") <- text("done")
		w.wantAnswer(c, 1, "done")
		synctest.Wait()

		s := w.srv.Stats()
		h := s.Requests[keyHandle]
		if len(s.Requests) != 1 || h.Count() != 1 || h.Sum != 300*time.Millisecond {
			t.Errorf("requests %v", s.Requests)
		}
		if s.Received != uint64(len(ask)) || s.Sent != 4+4+4 {
			t.Errorf("%d bytes received, %d sent", s.Received, s.Sent)
		}
		if s.Accepted != 1 || s.Connections["PLAINTEXT"] != 1 || s.Queued != 0 || s.Memory != 0 || s.MemoryLimit != 4<<20 {
			t.Errorf("%+v", s)
		}
	})
}

func TestAConnectionIsCountedByWhatEndedIt(t *testing.T) {
	ways := map[Closed]func(w *world){
		ClosedByPeer:  func(w *world) { w.l.dial().Close() },
		ClosedIdle:    func(w *world) { w.wantClosed(w.l.dial()) },
		ClosedRefused: func(w *world) { c := w.l.dial(); w.send(c, request(77, 0, 1, "")[:8]); w.wantClosed(c) },
		ClosedSlow: func(w *world) {
			c := w.l.dial()
			w.send(c, request(keyHandle, 4, 1, "never whole")[:20])
			w.wantClosed(c)
		},
		ClosedDefect:   func(w *world) { c := w.l.dial(); w.send(c, request(keyHandle, 4, 1, "panic")); w.wantClosed(c) },
		ClosedShutdown: func(w *world) { w.l.dial(); synctest.Wait(); w.srv.Close() },
		ClosedTooMany: func(w *world) {
			w.srv.SetLimits(0, 1)
			w.wantClosed(w.l.dial())
		},
	}
	for why, end := range ways {
		t.Run(why.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, func(c *Config) { c.IdleTimeout = time.Minute })
				defer w.srv.Close()
				end(w)
				synctest.Wait()
				for other, n := range w.srv.Stats().Closed {
					if want := Closed(other) == why; (n == 1) != want {
						t.Errorf("%d connections closed by %v", n, Closed(other))
					}
				}
			})
		})
	}
	if len(ways) != closedReasons {
		t.Errorf("%d of %d reasons are tried", len(ways), closedReasons)
	}
}
