package await

import (
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/headrace/headrace/internal/base/kafka"
)

func TestWaitersAreWokenInOrderOfTheirOffsets(t *testing.T) {
	var l Line
	rng := rand.New(rand.NewPCG(1, 2))
	waiters := map[kafka.Offset]*Waiter{}
	for _, i := range rng.Perm(200) {
		w := NewWaiter(1)
		waiters[kafka.Offset(i+1)] = w
		l.Join(w, kafka.Offset(i+1))
	}
	for _, i := range rng.Perm(200)[:50] {
		l.Leave(waiters[kafka.Offset(i+1)])
		delete(waiters, kafka.Offset(i+1))
	}
	for at := kafka.Offset(0); at <= 200; at += 7 {
		l.Advance(at)
		for offset, w := range waiters {
			if w.Done() != (offset <= at) {
				t.Fatalf("line at %d: waiter for %d woken = %v", at, offset, w.Done())
			}
		}
	}
}

func TestWaiterForSeveralIsWokenByTheLast(t *testing.T) {
	var a, b Line
	w := NewWaiter(2)
	a.Join(w, 5)
	b.Join(w, 7)
	a.Advance(9)
	if w.Done() {
		t.Fatal("woken by one of two")
	}
	b.Advance(7)
	<-w.Woken()
}

func TestPlaceThatIsReachedAlreadyCountsAtOnce(t *testing.T) {
	var l Line
	l.Advance(3)
	w := NewWaiter(1)
	l.Join(w, 3)
	<-w.Woken()
}

func TestBrokenLineWakesAllAndAllWhoCome(t *testing.T) {
	var l Line
	w := NewWaiter(3)
	l.Join(w, 5)
	l.Break()
	<-w.Woken()
	late := NewWaiter(1)
	l.Join(late, 9)
	<-late.Woken()
	l.Reset(9)
	after := NewWaiter(1)
	l.Join(after, 10)
	if after.Done() {
		t.Fatal("woken although the line began anew below its offset")
	}
}

func TestWakingFromManySidesClosesOnce(t *testing.T) {
	for range 200 {
		lines := make([]Line, 4)
		w := NewWaiter(2)
		for i := range lines {
			lines[i].Join(w, 1)
		}
		var wg sync.WaitGroup
		for i := range lines {
			wg.Go(func() {
				if i%2 == 0 {
					lines[i].Advance(1)
				} else {
					lines[i].Break()
				}
			})
		}
		wg.Wait()
		<-w.Woken()
	}
}
