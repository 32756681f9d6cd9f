package main

import (
	"path/filepath"
	"strconv"

	"github.com/headrace/headrace/bench/side"
	"github.com/headrace/headrace/bench/wire"
)

func startEmpty(s *stage) (figures, error) {
	server, ready, err := s.start(filepath.Join(s.dir, "empty"), wire.Probe{Topic: "ready", Partitions: 1, Create: true})
	if err != nil {
		return nil, err
	}
	took := ready.Serves.Sub(server.Started)
	metadata := ready.Metadata.Sub(server.Started)
	stop, err := server.Stop()
	return figures{"start-empty": took.Seconds(), "start-empty-metadata": metadata.Seconds(), "stop-empty": stop.Seconds()}, err
}

func startFull(s *stage) (f figures, err error) {
	const topic = "full"
	dir := filepath.Join(s.dir, "full")
	server, _, err := s.start(dir, wire.Probe{Topic: "ready", Partitions: 1, Create: true})
	if err != nil {
		return nil, err
	}
	defer func() { server.Kill() }() // whichever is the last one
	on := *s
	on.nodes = side.Nodes{server}
	if err := on.topic(topic, s.size.FullPartitions, nil); err != nil {
		return nil, err
	}
	// Without keys a producer fills a batch of one partition, then of another by chance.
	if _, err := s.tools.Bench(s.ctx, server.Address, "produce", "--topic", topic, "--rate", "0", "--record-size", strconv.Itoa(recordSize),
		"--records", strconv.Itoa(s.size.FullRecords)); err != nil {
		return nil, err
	}
	server.Kill()

	f = figures{}
	probe := wire.Probe{Topic: topic, Partitions: s.size.FullPartitions}
	again := func(name string) error {
		next, ready, err := s.start(dir, probe)
		if err != nil {
			return err
		}
		server = next
		f[name] = ready.Serves.Sub(next.Started).Seconds()
		f[name+"-all"] = ready.All.Sub(next.Started).Seconds()
		f[name+"-metadata"] = ready.Metadata.Sub(next.Started).Seconds()
		return nil
	}
	if err := again("start-killed"); err != nil {
		return nil, err
	}
	stop, err := server.Stop()
	if err != nil {
		return nil, err
	}
	f["stop-clean"] = stop.Seconds()
	return f, again("start-clean")
}
