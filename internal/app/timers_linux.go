package app

import (
	"context"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// timerSlack is by how much the kernel may wake a thread later than it asked for. Nothing in a node needs better: its shortest
// timers are milliseconds, and what is urgent comes by an event.
const timerSlack = 4_000_000 // nanoseconds

// timersEnv marks a process that has begun anew, so that it does so once whatever becomes of the slack on the way. Who sets it
// to anything keeps the node from it.
const timersEnv = "HEADRACE_TIMERS"

// CoarseTimers lets the kernel be late with timers, for the sake of one: Go's monitor thread asks to sleep for 20 µs again and
// again while system calls block, as flushes do, and the timer, the wake-up and the switch cost as much as a third of all
// that a produced byte costs. Threads inherit the slack from the one that makes them, and the monitor is the first thread
// that there is, so the process begins anew: same program, arguments and process id. A process that was given a slack keeps it,
// one that cannot begin anew goes on as it is, and so does one whose context has ended: the signal that did it is told once.
func CoarseTimers(ctx context.Context) {
	const kernelDefault = 50_000
	if _, told := os.LookupEnv(timersEnv); told {
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if slack, err := timerSlackNow(); err != nil || slack != kernelDefault {
		return
	}
	program, err := os.Executable()
	if err != nil || unix.Prctl(unix.PR_SET_TIMERSLACK, timerSlack, 0, 0, 0) != nil {
		return
	}
	if ctx.Err() == nil {
		_ = syscall.Exec(program, os.Args, append(os.Environ(), timersEnv+"=coarse")) // it returns only when it failed
	}
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, kernelDefault, 0, 0, 0)
}

// timerSlackNow is the slack of the calling thread.
func timerSlackNow() (int, error) {
	return unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
}
