package metrics

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/node/groups"
)

// surveys counts how often it is asked.
type surveys struct {
	asked int
	err   error
}

func (s *surveys) Survey(context.Context, int) (groups.Survey, error) {
	s.asked++
	return groups.Survey{Left: s.asked}, s.err
}

func TestGroupsAreLookedAtOnceAWhile(t *testing.T) {
	s := &surveys{}
	l := lags{groups: s, most: 10}
	now := time.Unix(1000, 0)
	for range 5 {
		if v := l.look(now, nil); v.Left != 1 {
			t.Fatalf("%+v", v)
		}
		now = now.Add(time.Second)
	}
	now = now.Add(refresh)
	if v := l.look(now, nil); v.Left != 2 || s.asked != 2 {
		t.Errorf("%+v after asking %d times", v, s.asked)
	}
	s.err = errors.New("busy")
	if v := l.look(now.Add(2*refresh), nil); v.Left != 2 || s.asked != 3 {
		t.Errorf("%+v after a look that failed", v)
	}
}

func TestLagIsNeverNegativeAndItsAgeIsThatOfTheFirstRecord(t *testing.T) {
	now := time.UnixMilli(10_000)
	for _, c := range []struct {
		offset, end int64
		written     written
		lag, age    float64
		ok          bool
	}{
		{5, 5, written{}, 0, 0, true},
		{7, 5, written{}, 0, 0, true},
		{3, 5, written{3, 7_500, true}, 2, 2.5, true},
		{3, 5, written{3, 20_000, true}, 2, 0, true}, // a clock elsewhere is ahead
		{3, 5, written{}, 2, 0, false},
	} {
		b := behind{offset: kafka.Offset(c.offset), end: kafka.Offset(c.end), written: c.written}
		age, ok := b.seconds(now)
		if b.lag() != c.lag || ok != c.ok || ok && age != c.age {
			t.Errorf("%+v: lag %v, age %v %v", c, b.lag(), age, ok)
		}
	}
}

func TestReadsForAgesAreBounded(t *testing.T) {
	b := budget{left: 10, until: time.Now().Add(time.Hour)}
	n := 0
	for b.take() {
		n++
	}
	if n != 10 {
		t.Errorf("%d reads of 10", n)
	}
	late := budget{left: 1 << 20, until: time.Now().Add(-time.Second)}
	for n = 0; late.take(); n++ {
	}
	if n > 16 {
		t.Errorf("%d reads after the time was over", n)
	}
}
