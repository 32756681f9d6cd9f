package replica

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/twmb/franz-go/pkg/kerr"
)

// rule is one that the model can be told to break, to see that the invariants notice.
type rule string

const (
	noRule           rule = ""
	appendAnyEpoch   rule = "fetched records are appended whatever the epoch"
	leaderAlone      rule = "the high watermark is what is safe on the leader"
	neverTruncate    rule = "a follower that diverges goes on from where it is"
	countUnflushed   rule = "a follower asks from what it has written"
	forgetPending    rule = "a proposed ISR does not count before it is decided"
	joinBelowStart   rule = "a follower joins below the start of the epoch"
	joinBelowHW      rule = "a follower joins below the high watermark"
	leadUnregistered rule = "a node leads again before it has registered"
)

// model is one partition on three nodes with a controller, in one goroutine: logs that lose what was not flushed, metadata that each
// node applies in its own time, requests that are delayed, reordered and lost. Leaders come from the ISR only, so nothing that was
// committed may ever be lost.
type model struct {
	rng    *rand.Rand
	broken rule
	now    time.Time
	minISR int
	// trouble is how many of 200 steps are a crash, a fenced node or an election.
	trouble int
	nodes   []*modelNode
	metas   []meta // what the controller decided, in order
	mail    []func()
	// committed is what some leader's high watermark has passed, committedIn the epochs of the first leaders whose did.
	committed   []record
	committedIn []kafka.LeaderEpoch
	value       int
	wrong       string
}

// meta is the partition and the active nodes after one decision.
type meta struct {
	leader         kafka.NodeID
	epoch          kafka.LeaderEpoch
	partitionEpoch int32
	isr            []kafka.NodeID
	active         Nodes
}

type record struct {
	epoch kafka.LeaderEpoch
	value int
}

func newModel(seed uint64, broken rule) *model {
	m := &model{rng: rand.New(rand.NewPCG(seed, 7)), broken: broken, now: began}
	m.minISR, m.trouble = 1+m.rng.IntN(2), 1+m.rng.IntN(16)
	first := meta{leader: 1, isr: nodes(1, 2, 3), active: Nodes{1: 1, 2: 2, 3: 3}}
	m.metas = []meta{first}
	for id := range kafka.NodeID(3) {
		m.nodes = append(m.nodes, &modelNode{m: m, id: id + 1, brokerEpoch: int64(id + 1)})
	}
	return m
}

func (m *model) fail(format string, args ...any) {
	if m.wrong == "" {
		m.wrong = fmt.Sprintf(format, args...)
	}
}

// step does one thing by chance.
func (m *model) step() {
	m.now = m.now.Add(time.Duration(m.rng.IntN(100)) * time.Millisecond)
	n := m.nodes[m.rng.IntN(len(m.nodes))]
	if m.rng.IntN(200) < m.trouble {
		m.disturb(n)
		return
	}
	switch x := m.rng.IntN(100); {
	case x < 30 && len(m.mail) > 0:
		i := m.rng.IntN(len(m.mail))
		do := m.mail[i]
		m.mail = slices.Delete(m.mail, i, i+1)
		if m.rng.IntN(10) > 0 {
			do()
		}
	case x < 50:
		n.apply()
	case x < 65:
		n.fetch()
	case x < 80:
		n.flush()
	case x < 90:
		n.produce()
	default:
		n.propose()
	}
}

func (m *model) disturb(n *modelNode) {
	switch m.rng.IntN(4) {
	case 0:
		n.crash()
	case 1:
		m.fence(n.id)
	case 2:
		m.register(n)
	default:
		m.elect(m.last(), n.id)
	}
}

func (m *model) last() meta { return m.metas[len(m.metas)-1] }

func (m *model) decide(d meta) {
	d.partitionEpoch++
	m.metas = append(m.metas, d)
}

// fence takes a node out; the last member of the ISR stays in it.
func (m *model) fence(n kafka.NodeID) {
	d := m.last()
	if _, ok := d.active[n]; !ok {
		return
	}
	d.active = maps.Clone(d.active)
	delete(d.active, n)
	if len(d.isr) > 1 {
		d.isr = slices.DeleteFunc(slices.Clone(d.isr), func(o kafka.NodeID) bool { return o == n })
	}
	if d.leader == n {
		d.leader = kafka.NoNode
		d.epoch++
		if i := slices.IndexFunc(d.isr, func(o kafka.NodeID) bool { _, ok := d.active[o]; return ok }); i >= 0 {
			d.leader = d.isr[i]
		}
	}
	m.decide(d)
}

// register gives a node a new registration, by which it gives up what it led.
func (m *model) register(n *modelNode) {
	m.fence(n.id)
	d := m.last()
	d.active = maps.Clone(d.active)
	n.brokerEpoch = int64(len(m.metas) + 10)
	d.active[n.id] = n.brokerEpoch
	if d.leader == kafka.NoNode && slices.Contains(d.isr, n.id) {
		d.leader = n.id
		d.epoch++
	}
	m.decide(d)
}

// elect makes a member of the ISR the leader, though there is one.
func (m *model) elect(d meta, n kafka.NodeID) {
	if _, ok := d.active[n]; ok && slices.Contains(d.isr, n) {
		d.leader = n
		d.epoch++
		m.decide(d)
	}
}

// alter is AlterPartition.
func (m *model) alter(p Proposal) error {
	d := m.last()
	switch {
	case p.LeaderEpoch != d.epoch:
		return kerr.FencedLeaderEpoch
	case p.PartitionEpoch != d.partitionEpoch:
		return kerr.InvalidUpdateVersion
	}
	d.isr = nil
	for _, member := range p.ISR {
		e, active := d.active[member.ID]
		if !active || member.BrokerEpoch != -1 && member.BrokerEpoch != e {
			return kerr.IneligibleReplica
		}
		d.isr = append(d.isr, member.ID)
	}
	m.decide(d)
	return nil
}

// play runs one seed and says what went wrong.
func play(seed uint64, broken rule) (m *model, wrong string) {
	m = newModel(seed, broken)
	for _, n := range m.nodes {
		n.takeRole(-1)
	}
	for i := 0; i < 600 && m.wrong == ""; i++ {
		m.step()
	}
	return m, m.wrong
}

func TestNothingCommittedIsLostWhateverTheSchedule(t *testing.T) {
	committed, epochs := 0, 0
	for seed := range uint64(3000) {
		m, wrong := play(seed, noRule)
		if wrong != "" {
			t.Fatalf("seed %d: %s", seed, wrong)
		}
		committed, epochs = committed+len(m.committed), epochs+int(m.last().epoch)
	}
	if committed < 3000*5 || epochs < 3000*5 {
		t.Fatalf("only %d records were committed in %d epochs", committed, epochs)
	}
}

func TestEachBrokenRuleIsNoticed(t *testing.T) {
	for _, broken := range []rule{
		appendAnyEpoch, leaderAlone, neverTruncate, countUnflushed, forgetPending, joinBelowStart, joinBelowHW, leadUnregistered,
	} {
		t.Run(string(broken), func(t *testing.T) {
			for seed := range uint64(20000) {
				if _, wrong := play(seed, broken); wrong != "" {
					t.Logf("seed %d: %s", seed, wrong)
					return
				}
			}
			t.Error("no seed shows what it is good for")
		})
	}
}
