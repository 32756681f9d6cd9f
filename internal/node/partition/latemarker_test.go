package partition

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/storage/commitlog"
)

// transactor is a producer with its coordinator, as transaction.version 2 has them: the epoch of the transaction that goes on is that of
// its records, its marker has the next, and the next transaction begins when the marker is known to be replicated.
type transactor struct {
	writer
	ending *sentMarker
	fates  map[kafka.ProducerEpoch]batch.ControlType // by the epoch of the marker
}

// sentMarker is a marker on its way. It may arrive more than once, and as late as it likes.
type sentMarker struct {
	of    *transactor
	epoch kafka.ProducerEpoch
	kind  batch.ControlType
}

// lateMarkers is a partition of two replicas and those who write to it.
type lateMarkers struct {
	*pair
	rnd         *rand.Rand
	transactors []*transactor
	air         []sentMarker
	refused     int
	late        int // markers that arrived when a later transaction was open
}

// TestALateMarkerNeverTouchesALaterTransaction delivers markers late, twice and after elections, of which some lose what was not
// replicated: every record of a transaction is followed by a marker of its own, with the fate that the coordinator decided.
func TestALateMarkerNeverTouchesALaterTransaction(t *testing.T) {
	refused, late := 0, 0
	for seed := range uint64(60) {
		m := &lateMarkers{pair: newPair(t, vfs.NewMem(), vfs.NewMem(), "durability", "os"), rnd: rand.New(rand.NewPCG(seed, 1))}
		for id := range kafka.ProducerID(3) {
			m.transactors = append(m.transactors, &transactor{writer: writer{t: t, id: 7 + id}, fates: map[kafka.ProducerEpoch]batch.ControlType{}})
		}
		for range 300 {
			m.step()
			m.check(fmt.Sprint("seed ", seed))
		}
		refused, late = refused+m.refused, late+m.late
		m.abandon()
	}
	if refused < 100 || late < 100 {
		t.Errorf("%d markers were refused, %d arrived in a later transaction: too few to tell anything", refused, late)
	}
}

func (m *lateMarkers) leader() *Partition { return m.node(m.given.Leader) }

func (m *lateMarkers) follower() kafka.NodeID { return 3 - m.given.Leader }

func (m *lateMarkers) step() {
	x := m.transactors[m.rnd.IntN(len(m.transactors))]
	switch m.rnd.IntN(10) {
	case 0, 1, 2:
		if x.ending == nil {
			x.put(m.leader(), fmt.Sprint(x.epoch))
			m.sync(m.follower()) // what the producer was told is there
		}
	case 3:
		if x.ending == nil {
			x.end()
		}
		m.air = append(m.air, *x.ending)
	case 4:
		m.elect(m.follower())
		m.sync(m.follower())
	default:
		if len(m.air) > 0 {
			m.deliver(m.rnd.IntN(len(m.air)))
		}
	}
}

// end has the coordinator decide.
func (x *transactor) end() {
	kind := batch.ControlType(len(x.fates) % 2)
	x.ending = &sentMarker{of: x, epoch: x.epoch + 1, kind: kind}
	x.fates[x.epoch+1] = kind
}

func (m *lateMarkers) deliver(i int) {
	s := m.air[i]
	if m.rnd.IntN(3) > 0 {
		m.air = slices.Delete(m.air, i, i+1)
	}
	x := s.of
	if x.ending == nil && x.seq > 0 {
		m.late++
	}
	now := time.Now()
	v := batch.EndTxnMarker(x.id, s.epoch, 0, s.kind, now.UnixMilli())
	_, _, err := m.leader().Append(now, v, AllReplicas, commitlog.OriginOfMarker(2), 0)
	switch {
	case errors.Is(err, kerr.InvalidProducerEpoch):
		m.refused++
		return
	case err != nil:
		m.t.Fatal(err)
	case m.rnd.IntN(3) == 0:
		return // its answer is lost, and it may be, too
	}
	m.sync(m.follower())
	if x.ending != nil && *x.ending == s {
		x.epoch, x.seq, x.ending = s.epoch, 0, nil
	}
}

// check goes through the leader's log: the marker that follows a record is of the record's transaction.
func (m *lateMarkers) check(where string) {
	m.t.Helper()
	log := m.leader().openLog()
	if log == nil {
		return // nobody came yet
	}
	plan, err := log.Read(log.Start(), log.End(), 1<<20, true)
	if err != nil {
		m.t.Fatal(err)
	}
	defer plan.Release()
	b, err := plan.ReadAll(nil)
	if err != nil {
		m.t.Fatal(err)
	}
	open := map[kafka.ProducerID]kafka.ProducerEpoch{}
	for one, err := range batch.Split(b) {
		if err != nil {
			m.t.Fatal(err)
		}
		h, err := batch.ParseHeader(one)
		if err != nil {
			m.t.Fatal(err)
		}
		of, isOpen := open[h.ProducerID]
		if !h.Attributes.IsControl() {
			if isOpen && of != h.ProducerEpoch {
				m.t.Fatalf("%s: producer %d writes in epoch %d at offset %d, and did not end that of %d", where, h.ProducerID, h.ProducerEpoch, h.BaseOffset, of)
			}
			open[h.ProducerID] = h.ProducerEpoch
			continue
		}
		delete(open, h.ProducerID)
		for r, err := range batch.Records(one, 1<<10) {
			kind, kerr := batch.ControlRecordType(r.Key)
			if err != nil || kerr != nil {
				m.t.Fatal(err, kerr)
			}
			x := m.transactors[h.ProducerID-7]
			if isOpen && (h.ProducerEpoch != of+1 || x.fates[h.ProducerEpoch] != kind) {
				m.t.Fatalf("%s: the transaction of producer %d in epoch %d is ended at offset %d by the marker of epoch %d", where, h.ProducerID, of, h.BaseOffset, h.ProducerEpoch)
			}
		}
	}
}
