package group

import (
	"strings"
	"testing"
	"time"
)

// Offsets of a group of the consumer protocol go when they are older than the retention and no member, of either protocol, subscribes to
// their topic; a group that is left with neither members nor offsets goes, too.
func TestOffsetsOfConsumerGroupsExpire(t *testing.T) {
	w := newWorld(1)
	w.cfg.OffsetRetention, w.cfg.RetentionCheckInterval = time.Minute, 10*time.Second
	w.s = New(w.cfg)
	run := func(line string) string {
		w.out.Reset()
		if err := w.run(strings.Fields(line)); err != nil {
			t.Fatal(err)
		}
		return w.out.String()
	}
	has := func(want ...string) {
		t.Helper()
		got := run("fetch all")
		for _, offset := range []string{"t-0=5", "u-0=6", "v-0=7"} {
			if strings.Contains(got, offset) != strings.Contains(strings.Join(want, " "), offset) {
				t.Errorf("committed are %swant %v", got, want)
			}
		}
	}
	run("hb m 0 join=1 topics=t")
	run("join c id=c proto=range:u own=none session=30s")
	run("commit t-0=5 u-0=6 v-0=7 id=m gen=2")
	has("t-0=5", "u-0=6", "v-0=7")
	for range 5 {
		run("advance 20s")
		run("hb m 0 join=1 topics=t")
		run("join c id=c proto=range:u own=none session=30s")
	}
	has("t-0=5", "u-0=6")
	run("leave c")
	run("advance 11s")
	has("t-0=5")
	if got := run("list"); !strings.Contains(got, "g consumer") {
		t.Errorf("the group is gone with a member: %s", got)
	}
	run("hb m -1")
	run("advance 11s")
	has()
	if got := run("list"); strings.Contains(got, "g consumer") {
		t.Errorf("the group is still there, without members and offsets: %s", got)
	}
}
