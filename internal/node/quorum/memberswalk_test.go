package quorum

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
)

// TestMembersComeAndGoThroughCrashesAndCuts is a random walk of a cluster of up to six nodes: topics through any node, while
// voters are removed and added, nodes are killed, cut off, stopped, wiped and unregistered, also in the middle of changes, and
// messages are late, lost and overtake one another. At most one voter is away at a time. At the end all agree, no term had
// two leaders, and nothing acknowledged is missing.
func TestMembersComeAndGoThroughCrashesAndCuts(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { (&memberWalk{rng: rand.New(rand.NewPCG(seed, 21))}).run(t, seed) })
		})
	}
}

type memberWalk struct {
	*world
	rng   *rand.Rand
	acked []string
	n     int
}

func (m *memberWalk) run(t *testing.T, seed uint64) {
	m.world = newWorld(t, seed)
	m.config = func(c *Config) { c.SnapshotBytes = 4000 }
	m.first()
	m.add(2)
	m.add(3)
	m.voters(1, 2, 3)
	m.mu.Lock()
	m.delay = 4 * time.Millisecond
	m.mu.Unlock()
	for range 60 {
		m.setLoss([]float64{0, 0, 0.05, 0.2}[m.rng.IntN(4)])
		m.one()
		if m.rng.IntN(3) > 0 {
			m.topic(m.any())
		}
	}
	m.setLoss(0)
	m.agree()
	for id, q := range m.alive() {
		for _, name := range m.acked {
			if _, ok := q.Image().Topic(name); !ok {
				t.Errorf("node %d: acknowledged %s is missing", id, name)
			}
		}
	}
}

// one does something to one node, and waits until the cluster is whole again.
func (m *memberWalk) one() {
	id := m.any()
	switch m.rng.IntN(9) {
	case 0:
		m.around(func() { m.kill(id) })
		m.hint(id)
		m.outage()
		m.start(id, false)
		m.back(id)
	case 1:
		m.around(func() { m.setCut(id, true) })
		m.hint(id)
		m.outage()
		m.setCut(id, false)
		m.leader()
	case 2:
		m.close(id)
		m.start(id, false)
		m.back(id)
	case 3:
		m.around(func() { m.kill(id) })
		m.wipe(id)
	case 4:
		m.change(id, func(l kafka.NodeID) { _ = m.tryVoter(l, id, false) })
	case 5:
		m.change(id, func(l kafka.NodeID) { _ = m.tryVoter(l, id, true) })
	case 6:
		if next := kafka.NodeID(len(m.nodes) + 1); next <= 6 {
			m.add(next)
		}
	case 7:
		m.unregister(id)
	case 8:
		for other, q := range m.alive() { // a hint that is wrong
			if m.rng.IntN(2) == 0 {
				q.LeaderLost(id)
			}
			q.Unreachable(other)
		}
	}
}

func (m *memberWalk) any() kafka.NodeID {
	ids := slices.Sorted(maps.Keys(m.alive()))
	return ids[m.rng.IntN(len(ids))]
}

// around does something while others are being asked for topics.
func (m *memberWalk) around(do func()) {
	asked := m.any()
	m.n++
	name := fmt.Sprintf("during%d", m.n)
	done := make(chan bool, 1)
	q := m.q(asked)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		r, err := q.Submit(ctx, createTopics(name))
		done <- err == nil && r.(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode == 0
	}()
	time.Sleep(time.Duration(m.rng.Int64N(int64(12 * time.Millisecond))))
	do()
	if <-done {
		m.acked = append(m.acked, name)
	}
}

func (m *memberWalk) hint(lost kafka.NodeID) {
	for id, q := range m.alive() {
		if id != lost && m.rng.IntN(3) > 0 {
			q.LeaderLost(lost)
			q.Unreachable(lost)
		}
	}
}

// outage lasts from a blink to several elections; topics go on where there is a majority.
func (m *memberWalk) outage() {
	m.pause()
	if m.rng.IntN(2) == 0 && m.majority() {
		m.topic(m.any())
	}
}

func (m *memberWalk) pause() { time.Sleep(time.Duration(m.rng.Int64N(int64(4 * time.Second)))) }

// majority tells whether most voters, as any node knows them, are alive.
func (m *memberWalk) majority() bool {
	alive := m.alive()
	for _, q := range alive {
		n := 0
		voters := q.Status().Voters
		for _, v := range voters {
			if alive[v] != nil {
				n++
			}
		}
		if n*2 <= len(voters) {
			return false
		}
	}
	return true
}

func (m *memberWalk) topic(through kafka.NodeID) {
	m.n++
	name := fmt.Sprintf("t%d", m.n)
	m.create(through, name)
	m.acked = append(m.acked, name)
}

func (m *memberWalk) back(id kafka.NodeID) {
	m.ready(id)
	m.register(id)
}

// wipe brings a node that was killed back with an empty disk, if the others can go on without it.
func (m *memberWalk) wipe(id kafka.NodeID) {
	if !m.majority() {
		m.start(id, false)
		m.back(id)
		return
	}
	m.fence(id)
	m.newDisk(id)
	m.join(id, true)
	if m.rng.IntN(4) == 0 { // its process dies, and asks again
		m.join(id, true)
	}
	m.start(id, true)
	m.back(id)
}

// change asks for a change of voters, and may kill a node in the middle of it.
func (m *memberWalk) change(id kafka.NodeID, ask func(leader kafka.NodeID)) {
	done := make(chan struct{})
	through := m.any()
	go func() {
		ask(through)
		close(done)
	}()
	if m.rng.IntN(2) == 0 {
		time.Sleep(time.Duration(m.rng.Int64N(int64(40 * time.Millisecond))))
		victim := m.any()
		m.kill(victim)
		m.hint(victim)
		m.pause() // the change may leave two voters, of which one is away
		m.start(victim, false)
		defer m.back(victim)
	}
	<-done
}

func (m *memberWalk) tryVoter(through, id kafka.NodeID, vote bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
	defer cancel()
	q := m.q(through)
	if q == nil {
		return nil
	}
	var req any
	if vote {
		add := kmsg.NewPtrAddRaftVoterRequest()
		add.VoterID, add.TimeoutMillis = int32(id), 3000
		req = add
	} else {
		remove := kmsg.NewPtrRemoveRaftVoterRequest()
		remove.VoterID = int32(id)
		req = remove
	}
	_, err := q.Submit(ctx, req)
	return err
}

// unregister kills a node for good, and brings it back with the disk that it has.
func (m *memberWalk) unregister(id kafka.NodeID) {
	m.kill(id)
	if !m.majority() || len(m.alive()) < 3 {
		m.start(id, false)
		m.back(id)
		return
	}
	m.fence(id)
	req := kmsg.NewPtrUnregisterBrokerRequest()
	req.BrokerID = int32(id)
	r := m.submit(m.any(), req).(*kmsg.UnregisterBrokerResponse)
	if r.ErrorCode != 0 && r.ErrorCode != kerr.BrokerIDNotRegistered.Code {
		m.t.Fatal(kerr.ErrorForCode(r.ErrorCode))
	}
	m.eventually(fmt.Sprintf("node %d has left", id), func() bool {
		for _, q := range m.alive() {
			if st := q.Status(); contains(st.Voters, id) || contains(st.Learners, id) {
				return false
			}
		}
		return true
	})
	m.start(id, false)
	m.join(id, false)
	m.back(id)
}
