package app

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestCoarseTimersBeginTheProcessAnew runs itself as a process of its own, since that process is replaced.
func TestCoarseTimersBeginTheProcessAnew(t *testing.T) {
	const inside = "HEADRACE_TEST_TIMERS"
	if os.Getenv(inside) != "" {
		CoarseTimers()
		slack, err := timerSlackNow()
		fmt.Printf("process %d slack %d %v\n", os.Getpid(), slack, err)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), inside+"=1")
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	want := fmt.Sprintf("process %d slack %d <nil>\n", cmd.Process.Pid, timerSlack)
	if !strings.Contains(out.String(), want) {
		t.Errorf("got %q, want %q: one process, and the slack from its first thread on", out.String(), want)
	}
}
