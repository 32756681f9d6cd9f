package state

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/machine"
)

var _ machine.Machine = New(DefaultConfig())

func (w *world) expect(req kmsg.Request, want string) {
	w.t.Helper()
	if got := w.ask(req); got != want {
		w.t.Errorf("%T is answered %q, want %q", req, got, want)
	}
}

// kinds tells of each record in the log whether it is a snapshot, an update or a tombstone.
func (w *world) kinds() string {
	var b strings.Builder
	for _, r := range w.log {
		kind, _, err := readKey(r.Key)
		if err != nil {
			w.t.Fatal(err)
		}
		switch {
		case r.Value == nil:
			b.WriteByte('t')
		case kind == snapshotKind:
			b.WriteByte('S')
		default:
			b.WriteByte('u')
		}
	}
	return b.String()
}

func TestEachSoManyUpdatesThereIsASnapshot(t *testing.T) {
	cfg := DefaultConfig()
	cfg.UpdatesPerSnapshot = 3
	w := newWorld(t, cfg)
	w.expect(initRequest(topic, 0, 0, 0), "ok")
	w.expect(readRequest(topic, 0, 1), "epoch 0 start 0")
	for i := range 8 {
		n := int64(i)
		w.expect(writeRequest(topic, 0, 0, 1, 0, 0, batch{FirstOffset: 2 * n, LastOffset: 2 * n, DeliveryState: 2, DeliveryCount: 1}), "ok")
	}
	if got := w.kinds(); got != "SuuuSuuuSu" {
		t.Errorf("the log is %s", got)
	}
	for i, off := range []int{0, 4, 8} {
		if v, err := readSnapshot(w.log[off].Value); err != nil || int(v.snapshotEpoch) != i {
			t.Errorf("snapshot %d is %+v, %v", i, v, err)
		}
	}
	before := w.ask(readRequest(topic, 0, 1))
	w.reload()
	w.expect(readRequest(topic, 0, 1), before)
	if want := "epoch 0 start 0 0-0:2#1 2-2:2#1 4-4:2#1 6-6:2#1 8-8:2#1 10-10:2#1 12-12:2#1 14-14:2#1"; before != want {
		t.Errorf("it says %q", before)
	}
}

func TestWhatIsNotCommittedIsNotSeenAndCanBeUndone(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	w.expect(initRequest(topic, 0, 0, 3), "ok")
	w.expect(readRequest(topic, 0, 1), "epoch 0 start 3")
	w.hold = true
	end := w.end()
	out := w.step(machine.Request{Ticket: 1, Version: 1, Req: writeRequest(topic, 0, 0, 1, 8, 1)})
	if !out.Replies[0].AfterCommit {
		t.Error("a write is answered before it is committed")
	}
	if out := w.step(machine.Request{Ticket: 2, Req: summaryRequest(topic, 0, 1)}); out.Replies[0].AfterCommit {
		t.Error("a summary waits")
	}
	w.expect(summaryRequest(topic, 0, 1), "epoch 0 leader 1 start 3 complete 0")
	w.s.Revert(end)
	w.log = w.log[:end]
	w.expect(readRequest(topic, 0, 1), "epoch 0 start 3")
}

func TestTheLogIsPrunedBelowAllSnapshots(t *testing.T) {
	cfg := DefaultConfig()
	cfg.UpdatesPerSnapshot = 5
	w := newWorld(t, cfg)
	w.expect(initRequest(topic, 0, 0, 7), "ok") // hardly ever written to
	w.expect(initRequest(topic, 1, 0, 0), "ok")
	for i := range 12 {
		w.expect(writeRequest(topic, 1, 0, 0, int64(i), 0), "ok")
	}
	w.advance(cfg.PruneInterval) // has the first partition get a snapshot as well
	if len(w.tasks) != 0 {
		t.Errorf("pruning of %v, with all in use", w.tasks)
	}
	w.advance(cfg.PruneInterval)
	w.prune()
	if got := w.kinds(); got != "SS" && got != "SSS" || w.first == 0 {
		t.Errorf("the log is %s from %d on", got, w.first)
	}
	if w.advance(cfg.PruneInterval); len(w.tasks) != 0 {
		t.Errorf("pruning of %v again", w.tasks)
	}
	w.reload()
	w.expect(readRequest(topic, 0, 0), "epoch 0 start 7")
	w.expect(readRequest(topic, 1, 0), "epoch 0 start 11")
	w.advance(cfg.PruneInterval)
	w.advance(cfg.PruneInterval)
	if got := w.kinds(); len(got) > 3 {
		t.Errorf("the log is %s, though nothing happened", got)
	}
	w.expect(deleteRequest(topic, 0), "ok")
	w.expect(deleteRequest(topic, 1), "ok")
	w.advance(cfg.PruneInterval)
	w.prune()
	if got := w.kinds(); got != "" {
		t.Errorf("the log is %s", got)
	}
	if !w.timer.IsZero() {
		t.Error("a timer runs for nothing")
	}
}

func TestALeaderIsFencedAlsoWhenTheStateBeganAnew(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	w.expect(initRequest(topic, 0, 4, 7), "ok")
	w.expect(readRequest(topic, 0, 3), "epoch 4 start 7")
	w.expect(initRequest(topic, 0, 5, 9), "ok")
	w.advance(w.cfg.PruneInterval)
	w.prune()
	if v, err := readSnapshot(w.log[0].Value); err != nil || len(w.log) != 1 || v.snapshotEpoch != 1 {
		t.Fatalf("the log is %s, begins with %+v", w.kinds(), v)
	}
	w.reload()
	w.expect(writeRequest(topic, 0, 5, 2, 10, 0), "FENCED_LEADER_EPOCH")
	w.expect(writeRequest(topic, 0, 4, 3, 10, 0), "FENCED_STATE_EPOCH")
	w.expect(readRequest(topic, 0, 3), "epoch 5 start 9")
}

func TestTheStateOfDeletedTopicsEnds(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	other := kafka.TopicID{9}
	w.expect(initRequest(topic, 0, 0, 1), "ok")
	w.expect(initRequest(topic, 1, 0, 1), "ok")
	w.expect(initRequest(other, 0, 0, 1), "ok")
	w.step(TopicsDeleted{Topics: []kafka.TopicID{topic}})
	w.expect(readRequest(topic, 1, 0), "INVALID_REQUEST")
	w.expect(readRequest(other, 0, 0), "epoch 0 start 1")
	if got := w.kinds(); got != "SSStt" {
		t.Errorf("the log is %s", got)
	}
}

func TestRefusalsAreInTheShapeOfTheAnswer(t *testing.T) {
	for _, req := range []kmsg.Request{initRequest(topic, 0, 0, 0), readRequest(topic, 0, 0), writeRequest(topic, 0, 0, 0, 0, 0), deleteRequest(topic, 0),
		summaryRequest(topic, 0, 0)} {
		if got := show(Refuse(req, 0, fmt.Errorf("moved: %w", kerr.NotCoordinator))); got != "NOT_COORDINATOR" {
			t.Errorf("%T is refused as %q", req, got)
		}
		if got := show(Refuse(req, 0, errors.New("odd"))); got != "UNKNOWN_SERVER_ERROR" {
			t.Errorf("%T is refused as %q", req, got)
		}
	}
}

func TestBatchesThatMakeNoSenseAreRefused(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	w.expect(initRequest(topic, 0, 0, 0), "ok")
	w.expect(writeRequest(topic, 0, 0, 0, 0, 0, batch{FirstOffset: 5, LastOffset: 4}), "INVALID_REQUEST")
	w.expect(writeRequest(topic, 0, 0, 0, 0, 0, batch{FirstOffset: -5, LastOffset: 4}), "INVALID_REQUEST")
	w.expect(writeRequest(topic, 0, 0, 0, 0, 0, batch{FirstOffset: 1, LastOffset: 1<<63 - 1}), "ok")
	w.expect(writeRequest(topic, 0, 0, 0, 3, 0, batch{FirstOffset: 9, LastOffset: 1<<63 - 1, DeliveryState: 2}), "ok")
	w.expect(readRequest(topic, 0, 0), "epoch 0 start 3 3-8:0#0 9-9223372036854775807:2#0")
}

// told is what one record of a group is known to be.
type told struct {
	state int8
	count int16
}

// Random writes, reverts, reloads and pruning, beside a map of single records.
func TestStateAgainstOneRecordAtATime(t *testing.T) {
	for seed := range uint64(150) {
		rng := rand.New(rand.NewPCG(seed, 11))
		cfg := DefaultConfig()
		cfg.UpdatesPerSnapshot = 1 + rng.IntN(12)
		w := newWorld(t, cfg)
		w.expect(initRequest(topic, 0, 0, 0), "ok")
		w.expect(initRequest(topic, 1, 0, 0), "ok")
		start, records := [2]int64{}, [2]map[int64]told{{}, {}}
		for range 120 {
			p := rng.Int32N(2)
			was, before := start[p], maps.Clone(records[p])
			req := randomWrite(rng, p, &start[p], records[p])
			w.hold = rng.IntN(4) == 0
			end := w.end()
			w.expect(req, "ok")
			if w.hold && rng.IntN(2) == 0 {
				w.s.Revert(end)
				w.log = w.log[:end-w.first]
				start[p], records[p] = was, before
			}
			w.hold = false
			w.s.Commit(w.end())
			switch rng.IntN(12) {
			case 0:
				w.reload()
			case 1:
				w.advance(cfg.PruneInterval)
				w.prune()
			}
			w.expect(readRequest(topic, p, 0), inBatches(start[p], records[p]))
		}
		if t.Failed() {
			t.Fatal("seed", seed)
		}
	}
}

// randomWrite is a write, and takes it in.
func randomWrite(rng *rand.Rand, p int32, start *int64, records map[int64]told) kmsg.Request {
	from := int64(-1)
	if rng.IntN(3) > 0 {
		from = *start + rng.Int64N(4)
		*start = from
	}
	var batches []batch
	for range rng.IntN(6) {
		first := *start + rng.Int64N(40) - 5
		b := batch{FirstOffset: max(0, first), LastOffset: max(0, first) + rng.Int64N(8), DeliveryState: 2 * int8(rng.IntN(3)), DeliveryCount: int16(rng.IntN(4))}
		batches = append(batches, b)
		for off := b.FirstOffset; off <= b.LastOffset; off++ {
			if old, ok := records[off]; !ok || b.DeliveryCount > old.count || b.DeliveryCount == old.count && b.DeliveryState > old.state {
				records[off] = told{b.DeliveryState, b.DeliveryCount}
			}
		}
	}
	maps.DeleteFunc(records, func(off int64, _ told) bool { return off < *start })
	return writeRequest(topic, p, 0, 0, from, 0, batches...)
}

func inBatches(start int64, records map[int64]told) string {
	text := fmt.Sprintf("epoch 0 start %d", start)
	offs := slices.Sorted(maps.Keys(records))
	for i := 0; i < len(offs); {
		n := i + 1
		for n < len(offs) && offs[n] == offs[n-1]+1 && records[offs[n]] == records[offs[i]] {
			n++
		}
		text += fmt.Sprintf(" %d-%d:%d#%d", offs[i], offs[n-1], records[offs[i]].state, records[offs[i]].count)
		i = n
	}
	return text
}

func TestTheTimerRunsWhileThereIsState(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	w.step(machine.Loaded{})
	if !w.timer.IsZero() {
		t.Error("a timer runs without state")
	}
	w.expect(initRequest(topic, 0, 0, 0), "ok")
	if w.timer != w.now.Add(5*time.Minute) {
		t.Errorf("the timer is at %v", w.timer)
	}
	w.reload()
	if w.timer.IsZero() {
		t.Error("no timer after a load")
	}
}
