// Package side holds the two systems that are compared: Apache Kafka and headrace, each as a process that is started in a folder of
// its own, or as a cluster of such processes, told apart by nothing but their name once they run. The benchmark's sessions call it.
// A Server owns one goroutine, which waits for the process's end.
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
	prepare func(dir string, p place) error // writes the config below dir and formats the data folder if need be
	command func(dir string) *exec.Cmd
}

// place is where a server stands: alone, or among the nodes of a cluster.
type place struct {
	id      int    // of the node, from 1
	ports   []int  // of all nodes in the order of their ids; only one: it is alone
	cluster string // id of the cluster
}

func (p place) port() int   { return p.ports[p.id-1] }
func (p place) alone() bool { return len(p.ports) == 1 }

// voters is the list of all nodes with their addresses, for the key in which both systems have the first voters; beside is added to
// each port.
func (p place) voters(beside int) string {
	var voters []string
	for i, port := range p.ports {
		voters = append(voters, fmt.Sprintf("%d@%s", i+1, address(port+beside)))
	}
	return strings.Join(voters, ",")
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
	all, err := places(1)
	if err != nil {
		return err
	}
	return s.settle(dir, all[0])
}

// places are those of so many nodes of a new cluster.
func places(count int) ([]place, error) {
	ports, err := freePorts(count)
	if err != nil {
		return nil, err
	}
	cluster, err := clusterID()
	if err != nil {
		return nil, err
	}
	var all []place
	for i := range ports {
		all = append(all, place{id: i + 1, ports: ports, cluster: cluster})
	}
	return all, nil
}

// settle makes dir the home of the server at p.
func (s System) settle(dir string, p place) error {
	if err := s.prepare(dir, p); err != nil {
		return fmt.Errorf("prepare %s: %w", s.Name, err)
	}
	return os.WriteFile(filepath.Join(dir, "port"), []byte(strconv.Itoa(p.port())), 0o600)
}

func readPort(dir string) (int, error) {
	text, err := os.ReadFile(filepath.Join(dir, "port"))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(text))
}

// freePorts finds ports that nothing listens on, and whose successors are free too: Kafka's controller takes these.
func freePorts(count int) ([]int, error) {
	var found []int
	for port := firstPort; port < lastPort; port += 2 {
		if free(port) && free(port+1) {
			found = append(found, port)
		}
		if len(found) == count {
			return found, nil
		}
	}
	return nil, fmt.Errorf("%d free ports from %d to %d, not %d", len(found), firstPort, lastPort, count)
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
