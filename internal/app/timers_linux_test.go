package app

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// inside marks the process that a test of CoarseTimers runs itself as, since that process is replaced.
const inside = "HEADRACE_TEST_TIMERS"

// timersOf runs CoarseTimers in a process of its own and gives what that prints, and its process id.
func timersOf(t *testing.T, ended bool, env ...string) (printed string, pid int) {
	t.Helper()
	if os.Getenv(inside) != "" {
		ctx, cancel := context.WithCancel(context.Background())
		if ended {
			cancel()
		}
		CoarseTimers(ctx)
		cancel()
		slack, err := timerSlackNow()
		fmt.Printf("process %d slack %d %v\n", os.Getpid(), slack, err)
		os.Exit(0)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, timersEnv) }), inside+"=1")
	cmd.Env = append(cmd.Env, env...)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	return out.String(), cmd.Process.Pid
}

func wantSlack(t *testing.T, printed string, pid, slack int) {
	t.Helper()
	if want := fmt.Sprintf("process %d slack %d <nil>\n", pid, slack); !strings.Contains(printed, want) {
		t.Errorf("got %q, want %q", printed, want)
	}
}

func TestCoarseTimersBeginTheProcessAnew(t *testing.T) {
	printed, pid := timersOf(t, false)
	wantSlack(t, printed, pid, timerSlack)
}

func TestAProcessBeginsAnewOnceAtMost(t *testing.T) {
	printed, pid := timersOf(t, false, timersEnv+"=exact")
	wantSlack(t, printed, pid, 50_000)
}

// A signal that has come would be lost with the process that took it.
func TestAProcessThatIsToEndDoesNotBeginAnew(t *testing.T) {
	printed, pid := timersOf(t, true)
	wantSlack(t, printed, pid, 50_000)
}
