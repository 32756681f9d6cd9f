package coord

import (
	"testing"
	"time"
	"unsafe"

	"github.com/headrace/headrace/internal/core/machine"
)

// jump moves a time's wall clock and leaves its monotonic reading, as a correction of the machine's clock does. There is no
// other way to make such a time but to correct that clock.
func jump(t *testing.T, at time.Time, by time.Duration) time.Time {
	t.Helper()
	jumped := at
	raw := (*struct { // as in package time: a flag, 33 bits of seconds and 30 of nanoseconds, while there is a monotonic reading
		wall uint64
		ext  int64
		loc  *time.Location
	})(unsafe.Pointer(&jumped))
	raw.wall += uint64(int64(by/time.Second)) << 30
	if jumped.Sub(at) != 0 || jumped.Unix()-at.Unix() != int64(by/time.Second) {
		t.Fatalf("%v is no jump of %v by %v", jumped, at, by)
	}
	return jumped
}

var jumps = []time.Duration{0, time.Hour, -time.Hour, 100 * 24 * time.Hour, -100 * 24 * time.Hour}

// Sessions, rebalances and deadlines are over when their time has passed, whatever the wall clock says meanwhile.
func TestTimersDoNotSeeAClockThatJumps(t *testing.T) {
	began := time.Now()
	for _, before := range jumps {
		for _, after := range jumps {
			var ts timers
			id := machine.TimerID{Of: "g", Member: "m"}
			ts.change(machine.Timer{ID: id, At: jump(t, began, before).Add(10 * time.Second)})
			if _, over := ts.pop(jump(t, began.Add(9*time.Second), after)); over {
				t.Errorf("over after 9 s of 10, when the clock went from %v to %v", before, after)
			}
			if wait := ts.next().Sub(jump(t, began, after)); wait != 10*time.Second {
				t.Errorf("waits for %v when the clock went from %v to %v", wait, before, after)
			}
			if got, over := ts.pop(jump(t, began.Add(10*time.Second), after)); !over || got != id {
				t.Errorf("not over after 10 s, when the clock went from %v to %v", before, after)
			}
		}
	}
}
