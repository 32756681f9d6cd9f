//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/headrace/headrace/interop/go/cluster"
	"github.com/headrace/headrace/interop/go/disk"
	"github.com/headrace/headrace/interop/go/history"
	"github.com/headrace/headrace/interop/go/load"
)

const (
	topic      = "promises"
	copies     = "copies" // of the topic's records, with -transactions
	partitions = 4

	stopTime    = 45 * time.Second // for a node to stop cleanly
	recoverTime = 90 * time.Second // from the end of a fault to acknowledgements in all partitions
	syncTime    = 60 * time.Second // until all replicas are in sync again
)

// stage is a cluster under load and the faults that strike it.
type stage struct {
	ctx     context.Context
	cluster *cluster.Cluster
	load    *load.Load
	// recorder has what the load's clients do and see.
	recorder *history.Recorder
	chance   *rand.Rand
	report   *report
	begun    time.Time
	// flips are the bits that were turned in the files of each node, and are not known to be repaired.
	flips map[int][]disk.Flip
	// restarts counts the nodes that ended by themselves.
	restarts int
}

func (s *stage) say(format string, args ...any) {
	fmt.Printf("%7.1fs  %s\n", time.Since(s.begun).Seconds(), fmt.Sprintf(format, args...))
}

// target finds the node that a fault strikes, and says who it is. Where nobody answers in time it is any.
func (s *stage) target(which string) (n *cluster.Node, who string, err error) {
	id := 1 + s.chance.IntN(cluster.Size)
	partition := s.chance.Int32N(partitions)
	leads, noController := s.cluster.Controller(s.ctx)
	switch which {
	case leader:
		if v, err := s.cluster.Look(s.ctx, topic); err == nil && v.Leaders[partition] > 0 {
			id = v.Leaders[partition]
		}
	case controller:
		if noController == nil {
			id = leads
		}
	}
	who = fmt.Sprintf("node %d", id)
	if noController == nil && leads == id {
		who += " (controller)"
	}
	return s.cluster.Node(id), who, s.ctx.Err()
}

func (s *stage) others(n *cluster.Node) (list []*cluster.Node) {
	for _, other := range s.cluster.Nodes {
		if other != n {
			list = append(list, other)
		}
	}
	return list
}

func (s *stage) wait(d time.Duration) {
	select {
	case <-time.After(d):
	case <-s.ctx.Done():
	}
}

// strike makes one fault, ends it, and waits until all partitions acknowledge again.
func (s *stage) strike(f fault) error {
	s.load.Acks.Label(f.name)
	s.recorder.Phase(fmt.Sprintf("%s at %.0f s", f.name, time.Since(s.begun).Seconds()))
	defer s.load.Acks.Label("")
	heal, struck, err := f.strike(s)
	if err != nil {
		return fmt.Errorf("%s: %w", f.name, err)
	}
	s.wait(f.least + time.Duration(s.chance.Int64N(int64(f.most-f.least))))
	healed := time.Now()
	if err := heal(); err != nil {
		return fmt.Errorf("end %s: %w", f.name, err)
	}
	if err := s.recover(f); err != nil {
		s.say("%-18s %s: %v", f.name, struck, err)
		s.report.anomaly("unavailable", fmt.Sprintf("%s of %s at %.0f s: %v", f.name, struck, healed.Sub(s.begun).Seconds(), err))
		return errStuck
	}
	took := time.Since(healed)
	s.report.struck(f.name, took)
	s.say("%-18s %s; all partitions acknowledge %v after its end", f.name, struck, took.Round(time.Millisecond))
	return nil
}

// errStuck ends the faults: the cluster does not come back.
var errStuck = errors.New("stuck")

// recover returns once all partitions acknowledge. Nodes that ended by themselves are started again.
func (s *stage) recover(f fault) error {
	ctx, cancel := context.WithTimeout(s.ctx, recoverTime)
	defer cancel()
	since := time.Now()
	if err := s.alive(ctx, f); err != nil {
		return err
	}
	for {
		once, cancel := context.WithTimeout(ctx, time.Second)
		err := s.load.Acks.Await(once, since)
		cancel()
		if alive := s.alive(ctx, f); alive != nil {
			return alive
		}
		if err == nil || ctx.Err() != nil {
			break
		}
	}
	if ctx.Err() != nil {
		return errors.Join(s.load.Acks.Await(ctx, since), s.ctx.Err())
	}
	if len(s.flips) > 0 {
		s.repaired()
	}
	return nil
}

// alive starts nodes again that have ended by themselves, and notes that.
func (s *stage) alive(ctx context.Context, f fault) error {
	for _, n := range s.cluster.Nodes {
		if n.Alive() {
			continue
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		text := fmt.Sprintf("node %d after %s: its log ends with:\n%s", n.ID, f.name, n.LogTail())
		if f.mayEnd {
			s.report.note("a node ended by itself, as it may", text)
		} else {
			s.report.anomaly("node-ended", text)
		}
		if s.restarts++; s.restarts > 100 {
			return fmt.Errorf("node %d ends again and again", n.ID)
		}
		if err := s.turnBack(n, "it does not run with them"); err != nil {
			return err
		}
		if err := n.Start(); err != nil {
			return err
		}
		s.wait(500 * time.Millisecond)
	}
	return nil
}

// flip turns a few bits in the files of a node. Those that tell whose the folder is stay, and locks, which hold nothing.
func (s *stage) flip(n *cluster.Node) ([]disk.Flip, error) {
	flips, err := disk.FlipBits(n.Data, 1+s.chance.IntN(4), s.chance, "meta.properties", "bootstrap.checkpoint", ".lock", ".kafka_cleanshutdown")
	s.flips[n.ID] = append(s.flips[n.ID], flips...)
	for _, f := range flips {
		s.say("%-18s %v", "", f)
	}
	return flips, err
}

// turnBack undoes what bit flips are left on a node, as a new disk with a copy would.
func (s *stage) turnBack(n *cluster.Node, why string) error {
	flips := s.flips[n.ID]
	delete(s.flips, n.ID)
	if len(flips) == 0 {
		return nil
	}
	s.report.note("bits had to be turned back", fmt.Sprintf("node %d: %s: %v", n.ID, why, flips))
	for _, f := range flips {
		if err := f.Turn(); err != nil {
			s.report.note("a bit could not be turned back", err.Error())
		}
	}
	return nil
}

// repaired waits until the replicas of nodes with turned bits are in sync. What does not get there has its bits turned back, so that
// never more than one node is damaged; of the rest, bits may lie in bytes that nobody has read yet.
func (s *stage) repaired() {
	ctx, cancel := context.WithTimeout(s.ctx, syncTime)
	defer cancel()
	err := s.cluster.InSync(ctx, topic)
	for id := range s.flips {
		n := s.cluster.Node(id)
		if err != nil {
			n.Kill()
			if back := s.turnBack(n, err.Error()); back != nil {
				err = back
			}
			if start := n.Start(); start != nil {
				s.say("%v", start)
			}
			continue
		}
		s.report.flipped[id] += len(s.flips[id])
		delete(s.flips, id)
	}
}

// heal ends whatever is still broken.
func (s *stage) heal() error {
	var err error
	if s.cluster.Network != nil {
		err = s.cluster.Network.Heal()
	}
	for i, n := range s.cluster.Nodes {
		err = errors.Join(err, n.Signal(syscall.SIGCONT))
		if d := s.cluster.Disks[i]; d != nil {
			err = errors.Join(err, d.Empty())
		}
	}
	return errors.Join(err, s.cluster.Start())
}
