package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/headrace/headrace/bench/proc"
	"github.com/headrace/headrace/bench/side"
	"github.com/headrace/headrace/bench/tool"
	"github.com/headrace/headrace/bench/wire"
)

const (
	startTimeout = 3 * time.Minute
	workTimeout  = 10 * time.Minute
	settle       = 5 * time.Second // before memory is read
)

// stage is one system with what a work needs to do its thing to it.
type stage struct {
	ctx    context.Context // of one work
	system side.System
	nodes  side.Nodes // one, or those of a cluster; none in a session whose works start their own
	dir    string     // for servers of the work's own
	tools  tool.Set
	size   size
}

// start makes a server in dir, which is prepared first, and waits until it serves what p wants.
func (s *stage) start(dir string, p wire.Probe) (*side.Server, wire.Ready, error) {
	if err := s.system.Prepare(dir); err != nil {
		return nil, wire.Ready{}, err
	}
	server, err := s.system.Start(dir)
	if err != nil {
		return nil, wire.Ready{}, err
	}
	ctx, cancel := context.WithTimeout(s.ctx, startTimeout)
	defer cancel()
	ctx, release := server.Context(ctx)
	defer release()
	ready, err := wire.Await(ctx, server.Address, p)
	if err != nil {
		err = errors.Join(server.Alive(), err)
		server.Kill()
		return nil, wire.Ready{}, fmt.Errorf("%s is not ready: %w", s.system.Name, err)
	}
	return server, ready, nil
}

// ready makes what a session runs on: one server, or a cluster.
func (s *stage) ready(dir string, count int) (side.Nodes, error) {
	if count > 1 {
		return s.cluster(dir, count)
	}
	server, _, err := s.start(dir, wire.Probe{Topic: "ready", Partitions: 1, Create: true})
	if err != nil {
		return nil, err
	}
	return side.Nodes{server}, nil
}

// topic makes a topic with a replica on every node and waits until all its partitions have a leader.
func (s *stage) topic(name string, partitions int32, configs map[string]*string) error {
	return s.topics([]string{name}, partitions, configs)
}

func (s *stage) topics(names []string, partitions int32, configs map[string]*string) error {
	if err := s.create(names, partitions, configs); err != nil {
		return err
	}
	client, err := s.client()
	if err != nil {
		return err
	}
	defer client.Close()
	_, err = kadm.NewClient(client).ListEndOffsets(s.ctx, names...)
	return err
}

// create makes topics with a replica on every node.
func (s *stage) create(names []string, partitions int32, configs map[string]*string) error {
	client, err := s.client()
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	made, err := admin.CreateTopics(s.ctx, partitions, int16(len(s.nodes)), configs, names...)
	if err == nil {
		err = made.Error()
	}
	if err != nil {
		return fmt.Errorf("create topics: %w", err)
	}
	return nil
}

func (s *stage) client(more ...kgo.Opt) (*kgo.Client, error) {
	seeds := kgo.SeedBrokers(strings.Split(s.nodes.Addresses(), ",")...)
	return kgo.NewClient(append(more, seeds)...)
}

// cpu measures the processor time of the nodes over f.
func (s *stage) cpu(f func() error) (time.Duration, error) {
	before, err := proc.CPU(s.nodes.PIDs()...)
	if err != nil {
		return 0, err
	}
	if err := f(); err != nil {
		return 0, err
	}
	after, err := proc.CPU(s.nodes.PIDs()...)
	return after - before, err
}

// wait lets time pass, for memory to settle or a load to run.
func (s *stage) wait(d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
}

func megabytes(bytes int64) float64 { return float64(bytes) / 1e6 }

// partitionDirs tells whether a path lies in a folder of a partition of the topic.
func partitionDirs(topic string) func(path string) bool {
	return func(path string) bool {
		ok, _ := filepath.Match(topic+"-*", filepath.Base(filepath.Dir(path))) // the pattern is good
		return ok
	}
}

// remove deletes a session's folder; what it held must be out of the disk's way before the next one is timed.
func remove(dir string) error {
	err := os.RemoveAll(dir)
	syncDisks()
	return err
}
