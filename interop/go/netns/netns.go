//go:build linux

// Package netns puts each node of a cluster on a machine of its own, as far as the network goes: a namespace with one link to a router,
// which is a namespace too, and drops what it is told to. The router drops without a word, as a broken cable does, so that partitions
// work one way as well as both. Only iproute2 is needed: what is dropped is a policy rule.
//
// All of it belongs to the network and mount namespaces of the calling process, which must be its own (see cmd/faults), and ends with
// it. The fault runs call it; it has no goroutines that outlive a call.
package netns

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	folder = "/run/netns"
	router = "router"
	// Client is the number of the side that the calling process is on.
	Client = 0
)

// Network is a router with the links 0 (the calling process) to Nodes.
type Network struct {
	Nodes   int
	dropped map[[2]int]bool
}

// New makes the namespaces and their links.
func New(nodes int) (*Network, error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	// ip keeps its names there; they are to be seen by this process's tree alone.
	if err := unix.Mount("tmpfs", folder, "tmpfs", 0, ""); err != nil {
		return nil, fmt.Errorf("mount %s: %w", folder, err)
	}
	n := &Network{Nodes: nodes, dropped: map[[2]int]bool{}}
	if err := ip("link set lo up", "netns add "+router); err != nil {
		return nil, err
	}
	if err := inside(router, func() error { return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644) }); err != nil {
		return nil, fmt.Errorf("let the router forward: %w", err)
	}
	for i := range nodes + 1 {
		if err := n.link(i); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// Address is where node i is.
func Address(i int) string { return fmt.Sprintf("10.77.%d.2", i) }

func gateway(i int) string { return fmt.Sprintf("10.77.%d.1", i) }

func name(i int) string { return fmt.Sprintf("node%d", i) }

func (n *Network) link(i int) error {
	port := fmt.Sprintf("port%d", i)
	if err := ip(fmt.Sprintf("link add %s netns %s type veth peer name link%d", port, router, i)); err != nil {
		return err
	}
	at := func(commands ...string) error { return ip(commands...) }
	if i != Client {
		if err := ip("netns add "+name(i), fmt.Sprintf("link set link%d netns %s", i, name(i))); err != nil {
			return err
		}
		at = func(commands ...string) error { return ipIn(name(i), commands...) }
	}
	if err := ipIn(router, fmt.Sprintf("addr add %s/24 dev %s", gateway(i), port), "link set "+port+" up"); err != nil {
		return err
	}
	return at(fmt.Sprintf("addr add %s/24 dev link%d", Address(i), i), fmt.Sprintf("link set link%d up", i), "link set lo up", "route add default via "+gateway(i))
}

// Drop loses all packets from one side to another, from now on, both ways if asked.
func (n *Network) Drop(from, to int, both bool) error {
	pairs := [][2]int{{from, to}}
	if both {
		pairs = append(pairs, [2]int{to, from})
	}
	var commands []string
	for _, p := range pairs {
		if !n.dropped[p] {
			n.dropped[p] = true
			commands = append(commands, rule("add", p))
		}
	}
	return ipIn(router, commands...)
}

// Unplug loses all packets to and from node i.
func (n *Network) Unplug(i int) error {
	for j := range n.Nodes + 1 {
		if j != i {
			if err := n.Drop(i, j, true); err != nil {
				return err
			}
		}
	}
	return nil
}

// Heal lets everything through again.
func (n *Network) Heal() error {
	var commands []string
	for p := range n.dropped {
		commands = append(commands, rule("del", p))
	}
	clear(n.dropped)
	return ipIn(router, commands...)
}

func rule(verb string, p [2]int) string {
	return fmt.Sprintf("rule %s pref %d from %s to %s blackhole", verb, 100+10*p[0]+p[1], Address(p[0]), Address(p[1]))
}

// Start starts a process on the machine of node i.
func (n *Network) Start(i int, cmd *exec.Cmd) error { return inside(name(i), cmd.Start) }

// inside calls f in a thread that is in the namespace, from which processes that f starts inherit it.
func inside(namespace string, f func() error) error {
	ns, err := os.Open(filepath.Join(folder, namespace))
	if err != nil {
		return err
	}
	defer ns.Close()
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		home, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			done <- err
			return
		}
		defer home.Close()
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- err
			return
		}
		err = f()
		// A process whose parent's thread ends would get its death signal, so the thread must live: it goes home.
		if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
			panic(fmt.Sprintf("a thread cannot leave %s: %v", namespace, back))
		}
		runtime.UnlockOSThread()
		done <- err
	}()
	return <-done
}

func ip(commands ...string) error { return ipIn("", commands...) }

// ipIn runs commands of ip in a namespace of the folder, in this one if it is empty.
func ipIn(namespace string, commands ...string) error {
	if len(commands) == 0 {
		return nil
	}
	args := []string{"-batch", "-"}
	if namespace != "" {
		args = append([]string{"-n", namespace}, args...)
	}
	cmd := exec.Command("ip", args...)
	cmd.Stdin = strings.NewReader(strings.Join(commands, "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(commands, "; "), err, bytes.TrimSpace(out))
	}
	return nil
}
