//go:build linux

package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/headrace/headrace/interop/go/cluster"
)

// fault is one way to break a cluster. Strike breaks it and returns what ends that and what was struck, in words.
type fault struct {
	name, what string
	isolated   bool          // needs networks and disks of the nodes' own
	least      time.Duration // how long it lasts
	most       time.Duration
	mayEnd     bool // a node may end by itself, saying why
	strike     func(*stage) (heal func() error, struck string, err error)
}

// The targets.
const (
	random     = "random"
	leader     = "leader"
	controller = "controller"
)

// catalogue is all the faults there are.
func catalogue() []fault {
	const ms, s = time.Millisecond, time.Second
	return []fault{
		{name: "kill-random", what: "kill -9 of a node", most: 4 * s, strike: killOf(random)},
		{name: "kill-leader", what: "kill -9 of the leader of a partition", most: 4 * s, strike: killOf(leader)},
		{name: "kill-controller", what: "kill -9 of the leader of the metadata quorum", most: 4 * s, strike: killOf(controller)},
		{name: "kill-all", what: "kill -9 of all nodes at once", most: 2 * s, strike: killAll},
		{name: "restart", what: "SIGTERM of a node, and its start", most: s, strike: restart},
		{name: "pause-random", what: "SIGSTOP of a node", least: 200 * ms, most: 14 * s, strike: pauseOf(random)},
		{name: "pause-leader", what: "SIGSTOP of the leader of a partition", least: 200 * ms, most: 14 * s, strike: pauseOf(leader)},
		{name: "pause-controller", what: "SIGSTOP of the leader of the metadata quorum", least: 200 * ms, most: 14 * s, strike: pauseOf(controller)},
		{name: "isolate-leader", what: "no packets between the leader of a partition and the other nodes; clients reach all", isolated: true, least: s, most: 15 * s, strike: isolateOf(leader)},
		{name: "isolate-controller", what: "the same for the leader of the metadata quorum", isolated: true, least: s, most: 15 * s, strike: isolateOf(controller)},
		{name: "unplug", what: "no packets to or from a node", isolated: true, least: s, most: 15 * s, strike: unplug},
		{name: "one-way-out", what: "no packets from a leader to the other nodes, while theirs arrive", isolated: true, least: s, most: 15 * s, strike: oneWay(true)},
		{name: "one-way-in", what: "no packets from the other nodes to a leader, while its own arrive", isolated: true, least: s, most: 15 * s, strike: oneWay(false)},
		{name: "ring", what: "no packets between a leader and one other node: each node sees a majority, two of them not the same", isolated: true, least: s, most: 15 * s, strike: ring},
		{name: "power-one", what: "power cut of a node: what was not synced is gone", isolated: true, most: 3 * s, strike: powerOne},
		{name: "power-all", what: "power cut of all nodes at once", isolated: true, most: 2 * s, strike: powerAll},
		{name: "power-pause", what: "power cut of one node while another is paused", isolated: true, least: s, most: 8 * s, strike: powerPause},
		{name: "disk-full", what: "the disk of a node is full to the last block", isolated: true, least: s, most: 8 * s, mayEnd: true, strike: diskFull},
		{name: "bit-flips", what: "a stopped node has bits turned in its files, and starts", isolated: true, most: s, mayEnd: true, strike: bitFlips},
	}
}

// chooseFaults picks faults by name. Without isolation there are fewer.
func chooseFaults(names string, plain bool) (chosen []fault, err error) {
	all := catalogue()
	if names == "all" {
		return slices.DeleteFunc(all, func(f fault) bool { return plain && f.isolated }), nil
	}
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(all, func(f fault) bool { return f.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no fault %q; -list names them", name)
		}
		if plain && all[i].isolated {
			return nil, fmt.Errorf("%s needs networks and disks of the nodes' own: run as root, without -plain", name)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

func killOf(target string) func(*stage) (func() error, string, error) {
	return func(s *stage) (func() error, string, error) {
		n, who, err := s.target(target)
		if err != nil {
			return nil, "", err
		}
		n.Kill()
		return n.Start, who, nil
	}
}

func killAll(s *stage) (func() error, string, error) {
	for _, n := range s.cluster.Nodes {
		if err := n.Signal(syscall.SIGKILL); err != nil {
			return nil, "", err
		}
	}
	for _, n := range s.cluster.Nodes {
		n.Kill()
	}
	return s.cluster.Start, "all nodes", nil
}

func restart(s *stage) (func() error, string, error) {
	n, who, err := s.target(random)
	if err != nil {
		return nil, "", err
	}
	if err := n.Stop(stopTime); err != nil {
		s.report.anomaly("not-stopped", err.Error()+", in restart")
	}
	return n.Start, who, nil
}

func pauseOf(target string) func(*stage) (func() error, string, error) {
	return func(s *stage) (func() error, string, error) {
		n, who, err := s.target(target)
		if err != nil {
			return nil, "", err
		}
		return func() error { return n.Signal(syscall.SIGCONT) }, who, n.Signal(syscall.SIGSTOP)
	}
}

func isolateOf(target string) func(*stage) (func() error, string, error) {
	return func(s *stage) (func() error, string, error) {
		n, who, err := s.target(target)
		if err != nil {
			return nil, "", err
		}
		for _, other := range s.others(n) {
			err = errors.Join(err, s.cluster.Network.Drop(n.ID, other.ID, true))
		}
		return s.cluster.Network.Heal, who, err
	}
}

func unplug(s *stage) (func() error, string, error) {
	n, who, err := s.target(random)
	if err != nil {
		return nil, "", err
	}
	return s.cluster.Network.Heal, who, s.cluster.Network.Unplug(n.ID)
}

func oneWay(out bool) func(*stage) (func() error, string, error) {
	return func(s *stage) (func() error, string, error) {
		n, who, err := s.target(leader)
		if err != nil {
			return nil, "", err
		}
		for _, other := range s.others(n) {
			from, to := n.ID, other.ID
			if !out {
				from, to = to, from
			}
			err = errors.Join(err, s.cluster.Network.Drop(from, to, false))
		}
		return s.cluster.Network.Heal, who, err
	}
}

func ring(s *stage) (func() error, string, error) {
	n, who, err := s.target(leader)
	if err != nil {
		return nil, "", err
	}
	other := s.others(n)[s.chance.IntN(cluster.Size-1)]
	return s.cluster.Network.Heal, fmt.Sprintf("%s and node %d", who, other.ID), s.cluster.Network.Drop(n.ID, other.ID, true)
}

func powerOne(s *stage) (func() error, string, error) {
	n, who, err := s.target(random)
	if err != nil {
		return nil, "", err
	}
	if err := s.cutPower(n); err != nil {
		return nil, "", err
	}
	return n.Start, who, nil
}

func powerAll(s *stage) (func() error, string, error) {
	return s.cluster.Start, "all nodes", s.cutPower(s.cluster.Nodes[:]...)
}

func powerPause(s *stage) (func() error, string, error) {
	n, who, err := s.target(random)
	if err != nil {
		return nil, "", err
	}
	other := s.others(n)[s.chance.IntN(cluster.Size-1)]
	if err := errors.Join(other.Signal(syscall.SIGSTOP), s.cutPower(n)); err != nil {
		return nil, "", err
	}
	heal := func() error { return errors.Join(n.Start(), other.Signal(syscall.SIGCONT)) }
	if s.chance.IntN(2) == 0 { // the one without power comes back first, to a leader that sleeps
		if err := n.Start(); err != nil {
			return nil, "", err
		}
		heal = func() error { return other.Signal(syscall.SIGCONT) }
	}
	return heal, fmt.Sprintf("%s, while node %d is paused", who, other.ID), nil
}

// cutPower cuts the wires first, so that nothing is acknowledged after the moment, then the disks, and ends the processes. The disks
// have then what was on them.
func (s *stage) cutPower(nodes ...*cluster.Node) error {
	for _, n := range nodes {
		if err := s.cluster.Network.Unplug(n.ID); err != nil {
			return err
		}
	}
	for _, n := range nodes {
		if err := s.cluster.Disks[n.ID-1].Cut(); err != nil {
			return err
		}
	}
	for _, n := range nodes {
		n.Kill()
		if err := s.cluster.Disks[n.ID-1].Remount(); err != nil {
			return err
		}
	}
	return s.cluster.Network.Heal()
}

func diskFull(s *stage) (func() error, string, error) {
	n, who, err := s.target(random)
	if err != nil {
		return nil, "", err
	}
	d := s.cluster.Disks[n.ID-1]
	return d.Empty, who, d.Fill()
}

// bitFlips leaves the files alone that tell whose the folder is, and locks: they are of no use to anybody with other bytes.
func bitFlips(s *stage) (func() error, string, error) {
	n, who, err := s.target(random)
	if err != nil {
		return nil, "", err
	}
	n.Kill()
	flips, err := s.flip(n)
	if err != nil {
		return nil, "", err
	}
	return n.Start, fmt.Sprintf("%s, %d bits", who, len(flips)), nil
}
