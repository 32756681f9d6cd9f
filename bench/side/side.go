// Package side holds the two systems that are compared: Apache Kafka and headrace, each as a process that is started in a folder of
// its own, told apart by nothing but their name once they run. The benchmark's sessions call it. A Server owns one goroutine, which
// waits for the process's end.
package side

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Name tells the systems apart.
type Name string

// The two systems.
const (
	Kafka    Name = "kafka"
	Headrace Name = "headrace"
)

const (
	// the ports that servers get; the first free one is taken
	firstPort, lastPort = 21100, 21199

	stopTimeout = 90 * time.Second
)

// System is one of the two, installed and ready to be started.
type System struct {
	Name    Name
	prepare func(dir string, port int) error // writes the config below dir and formats the data folder if need be
	command func(dir string) *exec.Cmd
}

// Server is a running process of a system.
type Server struct {
	System  System
	Address string
	Started time.Time // when the process was made
	dir     string
	cmd     *exec.Cmd
	log     *os.File
	ended   chan struct{} // closed when the process has ended
	err     error         // how it ended; read after ended
}

// Prepare makes dir the home of a server and returns the port it will listen on. A dir that was prepared keeps its port and data.
func (s System) Prepare(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if _, err := readPort(dir); err == nil {
		return nil
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	if err := s.prepare(dir, port); err != nil {
		return fmt.Errorf("prepare %s: %w", s.Name, err)
	}
	return os.WriteFile(filepath.Join(dir, "port"), []byte(strconv.Itoa(port)), 0o600)
}

func readPort(dir string) (int, error) {
	text, err := os.ReadFile(filepath.Join(dir, "port"))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(text))
}

// freePort finds a port that nothing listens on, and whose successor is free too: Kafka's controller takes that.
func freePort() (int, error) {
	for port := firstPort; port < lastPort; port += 2 {
		if free(port) && free(port+1) {
			return port, nil
		}
	}
	return 0, fmt.Errorf("no free port from %d to %d", firstPort, lastPort)
}

func free(port int) bool {
	l, err := net.Listen("tcp", address(port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// DataDir is where a server in dir keeps its logs.
func DataDir(dir string) string { return filepath.Join(dir, "data") }

// Start makes the process; it does not wait until the server answers. Dir must have been prepared.
func (s System) Start(dir string) (*Server, error) {
	port, err := readPort(dir)
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(filepath.Join(dir, "server.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	v := &Server{System: s, Address: address(port), dir: dir, cmd: s.command(dir), log: log, ended: make(chan struct{})}
	v.cmd.Dir, v.cmd.Stdout, v.cmd.Stderr = dir, log, log
	// The server is not to get the terminal's Ctrl-C; the runner stops it.
	v.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	v.Started = time.Now()
	if err := v.cmd.Start(); err != nil {
		log.Close()
		return nil, fmt.Errorf("start %s: %w", s.Name, err)
	}
	go func() {
		v.err = v.cmd.Wait()
		log.Close()
		close(v.ended)
	}()
	return v, nil
}

// PID is the process's number.
func (v *Server) PID() int { return v.cmd.Process.Pid }

// DataDir is where the server keeps its logs.
func (v *Server) DataDir() string { return DataDir(v.dir) }

// Alive is nil as long as the process runs.
func (v *Server) Alive() error {
	select {
	case <-v.ended:
		return fmt.Errorf("%s has ended (%v); its log ends with: %s", v.System.Name, v.err, v.LogTail())
	default:
		return nil
	}
}

// Context ends with ctx or with the process.
func (v *Server) Context(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := make(chan struct{})
	go func() {
		select {
		case <-v.ended:
			cancel(v.Alive())
		case <-stop:
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		close(stop)
		cancel(nil)
	}
}

// Stop ends the process cleanly and returns how long that took. A process that does not end in time is killed, which is an error.
func (v *Server) Stop() (time.Duration, error) {
	begin := time.Now()
	if err := v.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return 0, err
	}
	select {
	case <-v.ended:
		return time.Since(begin), nil
	case <-time.After(stopTimeout):
		v.Kill()
		return 0, fmt.Errorf("%s did not stop within %s", v.System.Name, stopTimeout)
	}
}

// Kill ends the process with SIGKILL and waits for its end.
func (v *Server) Kill() {
	v.cmd.Process.Kill() // fails only where the process has ended
	<-v.ended
}

// LogTail is the end of the server's log in one line.
func (v *Server) LogTail() string {
	text, err := os.ReadFile(filepath.Join(v.dir, "server.log"))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], " | ")
}
