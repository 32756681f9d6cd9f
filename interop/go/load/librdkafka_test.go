package load

import (
	"strings"
	"testing"

	"github.com/headrace/headrace/interop/go/history"
)

func TestTheLinesOfAForeignClientBecomeAHistory(t *testing.T) {
	r := &history.Recorder{}
	f := &foreign{l: &Load{Gaps: newGaps()}, producer: r.Producer(), consumer: r.Consumer("c", "g"), begun: map[string]int64{}}
	text := "S 2\nS 2\nA 0 5\nE a poll: broker is away\nG 2\nP 2 5:0 6:1\nB 2 7\nC 2 7\nB 2 9\n"
	if err := follow(strings.NewReader(text), f); err != nil {
		t.Fatal(err)
	}
	h := r.History()
	if s := h.Sends[0]; len(s) != 2 || s[0] != (history.Send{Partition: 2, Offset: 5}) || s[1].Offset != -1 {
		t.Errorf("sends %+v", s)
	}
	events := h.Consumers[0].Events
	if len(events) != 5 || len(events[1].Reads) != 2 || events[1].Reads[1] != (history.Read{Offset: 6, Value: 1}) {
		t.Fatalf("events %+v", events)
	}
	if events[2].Moment != 0 || events[3].Moment == 0 || events[3].Begun != events[2].Begun || events[4].Moment != 0 {
		t.Errorf("commits %+v", events[2:])
	}
	for _, bad := range []string{"S\n", "S x\n", "P 1 2:x\n", "Q 1 2 3\n", "A 9 1\n"} {
		if err := follow(strings.NewReader(bad), f); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
