package side

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Nodes are the servers of one cluster in the order of their ids, or one server that is alone.
type Nodes []*Server

// StartCluster makes so many folders below dir, each the home of a node, and starts the nodes. All are voters of the metadata from
// the start. It does not wait until they answer.
func (s System) StartCluster(dir string, count int) (Nodes, error) {
	all, err := places(count)
	if err != nil {
		return nil, err
	}
	for _, p := range all {
		home := nodeDir(dir, p.id)
		if err := os.MkdirAll(home, 0o700); err != nil {
			return nil, err
		}
		if err := s.settle(home, p); err != nil {
			return nil, err
		}
	}
	var nodes Nodes
	for _, p := range all {
		v, err := s.Start(nodeDir(dir, p.id))
		if err != nil {
			nodes.Kill()
			return nil, err
		}
		nodes = append(nodes, v)
	}
	return nodes, nil
}

func nodeDir(dir string, id int) string { return filepath.Join(dir, strconv.Itoa(id)) }

// Restart starts the node with the id again, whose process has ended.
func (n Nodes) Restart(id int) error {
	v, err := n[id-1].System.Start(n[id-1].dir)
	if err == nil {
		n[id-1] = v
	}
	return err
}

// Addresses are those of all nodes, as clients take them.
func (n Nodes) Addresses() string {
	var all []string
	for _, v := range n {
		all = append(all, v.Address)
	}
	return strings.Join(all, ",")
}

// PIDs are the numbers of the processes.
func (n Nodes) PIDs() []int {
	var all []int
	for _, v := range n {
		all = append(all, v.PID())
	}
	return all
}

// Alive is nil as long as all processes run.
func (n Nodes) Alive() error {
	var all error
	for i, v := range n {
		if err := v.Alive(); err != nil {
			all = errors.Join(all, fmt.Errorf("node %d: %w", i+1, err))
		}
	}
	return all
}

// Context ends with ctx or with the first process that ends.
func (n Nodes) Context(ctx context.Context) (context.Context, context.CancelFunc) {
	var releases []context.CancelFunc
	for _, v := range n {
		var release context.CancelFunc
		ctx, release = v.Context(ctx)
		releases = append(releases, release)
	}
	return ctx, func() {
		for _, release := range releases {
			release()
		}
	}
}

// Kill ends all processes with SIGKILL and waits for their end.
func (n Nodes) Kill() {
	for _, v := range n {
		v.cmd.Process.Kill() // fails only where the process has ended
	}
	for _, v := range n {
		<-v.ended
	}
}
