package load

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestGapsBelongToTheFaultInWhichTheyEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAcks(2)
		both := func() { a.note(0, time.Now()); a.note(1, time.Now()) }
		both()
		time.Sleep(time.Second)
		both()
		a.Label("kill")
		time.Sleep(3 * time.Second)
		a.note(0, time.Now())
		time.Sleep(2 * time.Second)
		a.note(1, time.Now())
		if g := a.Gaps(); g[""] != time.Second || g["kill"] != 5*time.Second {
			t.Errorf("%v", g)
		}
	})
}

// A record that was on its way before the moment does not count: it may have been written before the fault.
func TestAwaitWantsARecordOfEachPartitionThatWasSentLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAcks(2)
		before := time.Now()
		time.Sleep(time.Second)
		moment := time.Now()
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		done := make(chan error, 1)
		go func() { done <- a.Await(ctx, moment) }()
		waits := func(when string) {
			t.Helper()
			synctest.Wait()
			select {
			case err := <-done:
				t.Fatalf("done %s: %v", when, err)
			default:
			}
		}
		waits("before any")
		a.note(0, time.Now())
		waits("after one partition")
		a.note(1, before)
		waits("after an old record")
		a.note(1, time.Now())
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := a.Await(ctx, time.Now()); err == nil {
			t.Error("done without a record")
		}
	})
}
