//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/headrace/headrace/interop/go/cluster"
)

const inside = "HEADRACE_FAULTS_INSIDE"

func isolated() bool { return os.Getenv(inside) != "" }

// isolate runs the program again as the first process of its own namespaces. When it ends, by itself or by a signal, the kernel ends
// all processes that it started, and with them go the networks and the mounts.
func isolate(ctx context.Context, args []string, atMost time.Duration) (code int, err error) {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = nil, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWNS,
		Setpgid:    true, // a Ctrl-C reaches it once, from here
		Pdeathsig:  syscall.SIGKILL,
	}
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("start in namespaces (-plain goes without): %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	patience := time.After(atMost)
	for {
		select {
		case err = <-ended:
			var exit *exec.ExitError
			if err == nil || errors.As(err, &exit) && exit.ExitCode() >= 0 {
				return cmd.ProcessState.ExitCode(), nil
			}
			return 0, fmt.Errorf("the run was ended: %w", err)
		case <-ctx.Done():
			_ = cmd.Process.Signal(syscall.SIGTERM)
			ctx, patience = context.Background(), time.After(20*time.Second)
		case <-patience:
			_ = cmd.Process.Kill()
			patience = nil
		}
	}
}

// settle makes the mounts of this process its own and shows it its own processes.
func settle() error {
	if err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	return unix.Mount("proc", "/proc", "proc", 0, "")
}

// remove takes away the folder of a run. Disks are unmounted first, or their files would be removed one by one.
func remove(c *cluster.Cluster, folder string) {
	for _, d := range c.Disks {
		if d != nil {
			_ = unix.Unmount(d.Folder, unix.MNT_DETACH)
		}
	}
	if err := os.RemoveAll(folder); err != nil {
		fmt.Fprintln(os.Stderr, "faults: "+err.Error())
	}
}
