//go:build linux

package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Node is one member of a cluster: a folder for its config and log, one for its data, and a process that comes and goes.
type Node struct {
	ID      int
	Home    string // config and log
	Data    string // what the node keeps
	Host    string
	Port    int
	Control int // port between controllers, where the product has one

	start func(*exec.Cmd) error
	run   func(*Node) *exec.Cmd
	cmd   *exec.Cmd
	ended chan struct{} // closed when the process has ended; nil before the first start
	err   error         // how it ended; read after ended
}

// Address is where clients find the node.
func (n *Node) Address() string { return fmt.Sprintf("%s:%d", n.Host, n.Port) }

// Use has the next start run another product's program, with the config that is there.
func (n *Node) Use(p Product) { n.run = p.command }

func (n *Node) logFile() string { return filepath.Join(n.Home, "node.log") }

// Start makes the process; it does not wait until the node answers.
func (n *Node) Start() error {
	if n.Alive() {
		return fmt.Errorf("node %d runs already", n.ID)
	}
	log, err := os.OpenFile(n.logFile(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	fmt.Fprintf(log, "--- started at %s\n", time.Now().Format(time.StampMilli))
	cmd := n.run(n)
	cmd.Dir, cmd.Stdout, cmd.Stderr = n.Home, log, log
	// The node gets no Ctrl-C of the terminal, and none outlives the harness.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := n.start(cmd); err != nil {
		return fmt.Errorf("start node %d: %w", n.ID, err)
	}
	ended := make(chan struct{})
	n.cmd, n.ended = cmd, ended
	go func() {
		n.err = cmd.Wait()
		close(ended)
	}()
	return nil
}

// Alive tells whether the process is there, if only paused.
func (n *Node) Alive() bool {
	if n.ended == nil {
		return false
	}
	select {
	case <-n.ended:
		return false
	default:
		return true
	}
}

// Signal sends a signal to the process if it is there.
func (n *Node) Signal(s syscall.Signal) error {
	if !n.Alive() {
		return nil
	}
	if err := n.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("node %d: %w", n.ID, err)
	}
	return nil
}

// Kill ends the process with SIGKILL and waits for its end.
func (n *Node) Kill() {
	if n.Alive() {
		_ = n.cmd.Process.Kill() // fails only where the process has ended
		<-n.ended
	}
}

// Stop ends the process cleanly. One that does not end in time is killed, which is an error; its log has the stacks of all that it
// was doing.
func (n *Node) Stop(within time.Duration) error {
	if err := n.Signal(syscall.SIGTERM); err != nil || n.ended == nil {
		return err
	}
	select {
	case <-n.ended:
		return nil
	case <-time.After(within):
		_ = n.Signal(syscall.SIGQUIT) // Go's runtime and Java's alike write the stacks
		select {
		case <-n.ended:
		case <-time.After(3 * time.Second):
		}
		n.Kill()
		return fmt.Errorf("node %d did not stop within %v", n.ID, within)
	}
}

// LogTail is the end of the node's log.
func (n *Node) LogTail() string {
	text, err := os.ReadFile(n.logFile())
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text[max(0, len(text)-4000):])), "\n")
	return strings.Join(lines[max(0, len(lines)-12):], "\n")
}

// Cries are lines of the log that no program in order writes.
func (n *Node) Cries() (lines []string) {
	text, err := os.ReadFile(n.logFile())
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(text)) {
		for _, cry := range []string{"panic:", "DATA RACE", "fatal error:"} {
			if strings.Contains(line, cry) {
				lines = append(lines, fmt.Sprintf("node %d: %s", n.ID, strings.TrimSpace(line)))
			}
		}
	}
	return lines
}
