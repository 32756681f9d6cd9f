package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
	server *side.Server // nil in a session whose works start their own
	dir    string       // for servers of the work's own
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

// topic makes a topic and waits until all its partitions have a leader.
func (s *stage) topic(name string, partitions int32, configs map[string]*string) error {
	return s.topics([]string{name}, partitions, configs)
}

func (s *stage) topics(names []string, partitions int32, configs map[string]*string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(s.server.Address))
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	made, err := admin.CreateTopics(s.ctx, partitions, 1, configs, names...)
	if err == nil {
		err = made.Error()
	}
	if err != nil {
		return fmt.Errorf("create topics: %w", err)
	}
	_, err = admin.ListEndOffsets(s.ctx, names...)
	return err
}

// cpu measures the processor time of the broker over f.
func (s *stage) cpu(f func() error) (time.Duration, error) {
	before, err := proc.CPU(s.server.PID())
	if err != nil {
		return 0, err
	}
	if err := f(); err != nil {
		return 0, err
	}
	after, err := proc.CPU(s.server.PID())
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
