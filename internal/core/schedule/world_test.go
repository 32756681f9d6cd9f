package schedule

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/headrace/headrace/internal/base/kafka"
)

// inboxRecord is a record of the inbox: one that waits, one that cancels, or a Move.
type inboxRecord struct {
	stamp  int64
	due    int64 // as it was asked for
	key    Key
	cancel bool
	plain  bool // asks for nothing
	move   []byte
}

// topicBatch is one move as the topic's log has it.
type topicBatch struct {
	move Move
	now  int64 // the newest clock that anybody had seen
}

// world is an inbox and a topic, each replicated: what lies below safe survives the death of its leader, of the rest any part.
// Leaders of the inbox come and go, with clocks that differ; what they sent to the topic may get there long after.
type world struct {
	t     *testing.T
	rng   *rand.Rand
	eager bool // the inbox is read and made safe at once
	now   int64
	skew  int64
	clock int64 // the newest that any leader stamped by

	config Config
	p      *Partition
	start  kafka.Offset
	inbox  []inboxRecord
	safe   kafka.Offset

	topic     []topicBatch
	topicSafe int
	late      []Move // on the way to the topic
	lostTopic bool   // the topic has lost what was safe
}

func newWorld(t *testing.T, seed uint64) *world {
	rng := rand.New(rand.NewPCG(seed, 21))
	w := &world{t: t, rng: rng, eager: seed%2 == 1, now: 1000, config: Config{Near: 1 + rng.IntN(6), Records: 1 + rng.IntN(4), Bytes: 50}}
	w.p = New(w.config, 0)
	return w
}

func (w *world) time() int64       { return w.now + w.skew }
func (w *world) end() kafka.Offset { return kafka.Offset(len(w.inbox)) }

// read tells the Partition what it wants of the inbox, at most n records.
func (w *world) read(n int) {
	if w.p.Wants() < w.start {
		w.t.Fatalf("wants offset %d, the inbox begins at %d", w.p.Wants(), w.start)
	}
	for ; n > 0 && w.p.Wants() < w.end(); n-- {
		w.tell(w.p.Wants())
	}
}

func (w *world) tell(at kafka.Offset) {
	r := &w.inbox[at]
	switch {
	case r.move != nil:
		m, err := ReadMove(r.move)
		if err != nil {
			w.t.Fatal(err)
		}
		w.p.TakeMove(at, m, r.stamp)
	case r.cancel:
		w.p.TakeCancel(at, r.key, r.stamp)
	default:
		w.p.Take(Waiting{Place: Place{r.due, at}, Key: r.key, Size: 20}, r.stamp)
	}
}

// append appends to the inbox; if the Partition has all before it, it is told at once.
func (w *world) append(r inboxRecord) {
	r.stamp = w.p.Stamp(w.time())
	w.clock = max(w.clock, r.stamp)
	w.inbox = append(w.inbox, r)
	if w.p.Wants() == w.end()-1 {
		w.tell(w.end() - 1)
	}
}

func (w *world) produce() {
	r := inboxRecord{due: w.time(), key: KeyOf([]byte{byte(w.rng.IntN(4))})}
	switch w.rng.IntN(8) {
	case 0, 1:
		r.cancel = true
	case 2, 3, 4, 5:
		r.due += w.rng.Int64N(300) - 20
	default:
		r.plain = true
	}
	w.append(r)
}

func (w *world) decide() {
	w.clock = max(w.clock, w.time())
	if m, ok := w.p.Decide(w.time(), w.end()); ok {
		w.append(inboxRecord{move: AppendMove(nil, m)})
	}
}

func (w *world) send() {
	if m, ok := w.p.Open(w.safe); ok {
		w.late = append(w.late, m)
	}
}

// arrive has one of the moves that were sent reach the topic; it may reach it again.
func (w *world) arrive() {
	if len(w.late) == 0 {
		return
	}
	i := w.rng.IntN(len(w.late))
	m := w.late[i]
	if w.rng.IntN(2) == 0 {
		w.late = slices.Delete(w.late, i, i+1)
	}
	last := w.last(len(w.topic))
	inOrder := last.Epoch == m.Epoch && last.Sequence == before(m.Sequence)
	if inOrder || m.Epoch > last.Epoch && m.Sequence == 0 {
		w.topic = append(w.topic, topicBatch{m, w.clock})
	}
}

func (w *world) last(end int) Last {
	if end == 0 {
		return Last{kafka.NoProducerEpoch, kafka.NoSequence}
	}
	m := w.topic[end-1].move
	return Last{m.Epoch, m.last()}
}

// acknowledge tells the Partition that the topic has the open move, once that is safe.
func (w *world) acknowledge() {
	m, ok := w.p.Open(w.safe)
	if !ok {
		return
	}
	for _, b := range w.topic[:w.topicSafe] {
		if b.move.Epoch == m.Epoch && b.move.Sequence == m.Sequence {
			w.p.Moved()
		}
	}
}

// elect gives the inbox another leader, which may lack what was not safe.
func (w *world) elect() {
	w.inbox = w.inbox[:w.safe+kafka.Offset(w.rng.IntN(int(w.end()-w.safe)+1))]
	w.safe = w.end()
	w.skew = w.rng.Int64N(101) - 50
	w.p = New(w.config, w.start)
	w.read(len(w.inbox))
	w.reached()
}

// reached asks the topic's leader when all that it has is safe.
func (w *world) reached() {
	w.topicSafe = len(w.topic)
	if m, ok := w.p.Reached(w.last(len(w.topic))); ok {
		if !w.lostTopic {
			w.t.Fatalf("renewed a move at %d though nothing was lost", m.Offsets[0])
		}
		w.append(inboxRecord{move: AppendMove(nil, m)})
	}
}

func (w *world) step() {
	if w.eager {
		w.read(len(w.inbox))
		w.safe = w.end()
	}
	switch n := w.rng.IntN(100); {
	case n < 30:
		w.produce()
	case n < 40:
		w.now += w.rng.Int64N(40)
	case n < 52:
		w.safe += kafka.Offset(w.rng.IntN(int(w.end()-w.safe) + 1))
	case n < 64:
		w.decide()
	case n < 70:
		w.send()
	case n < 78:
		w.arrive()
	case n < 82:
		w.topicSafe += w.rng.IntN(len(w.topic) - w.topicSafe + 1)
	case n < 88:
		w.acknowledge()
	case n < 94:
		w.read(1 + w.rng.IntN(20))
	case n < 96:
		w.elect()
	case n < 98:
		w.topic = w.topic[:w.topicSafe+w.rng.IntN(len(w.topic)-w.topicSafe+1)]
	default:
		w.start = max(w.start, min(w.p.Low(), w.safe))
	}
}

// drain lets all time pass, with nothing going wrong.
func (w *world) drain() {
	w.now += 10_000
	w.late = nil
	for quiet := 0; quiet < 4; quiet++ {
		before := w.end()
		w.safe = w.end()
		w.read(len(w.inbox))
		w.reached()
		w.safe = w.end()
		w.send()
		for len(w.late) > 0 {
			w.arrive()
		}
		w.topicSafe = len(w.topic)
		w.acknowledge()
		wants := w.p.Wants()
		w.decide()
		if w.end() > before || w.p.Wants() != wants {
			quiet = 0
		}
	}
}
