package quorum

import (
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/peer"
	"github.com/headrace/headrace/internal/core/controller"
	"github.com/headrace/headrace/internal/core/metadata"
)

// submission is one call of Submit. reply has room for the one outcome, so that the loop never waits for the caller.
type submission struct {
	req   any
	until time.Time // when the caller gives up; zero for never
	reply chan outcome
}

type outcome struct {
	reply any
	// offset is that of the newest metadata that the reply may depend on.
	offset kafka.Offset
	err    error
}

// leadership is what the loop knows while this node leads, from the moment that its first entry is applied.
//
// Step has to see what was proposed before, applied or not: of two CreateTopics for one name the second must fail. So it
// sees the speculative Image: the applied one with all proposals applied to it. Its correctness rests on three facts. The
// entries of this leader's term reach the log in the order of their proposals, and nothing comes between. The batch of a
// proposal carries its offset, which follows from the speculative Image; storage refuses one that does not fit. And a
// proposal is lost only together with the leadership, on which the speculative Image is dropped. The interleavings:
//
//   - A is proposed, B is submitted before A is durable: Step(B) sees A. Both share a flush or not; A has the lower index,
//     so that A is applied before or together with B, and B's reply, which may be about A's topic, is given after A's.
//   - A is proposed, B needs no records (its topic exists already, because of A): B's reply waits at A's index. It would
//     otherwise tell of a topic that a crash could still take back.
//   - A is proposed, then this node loses the leadership before A is committed: A's caller gets NOT_CONTROLLER; whether A
//     stays is up to the next leader. speculative is dropped, so that nothing more is decided upon A. When this node leads
//     again, its first entry comes after everything that stayed, and speculative begins anew from the Image after it.
//   - A is proposed, a new leader's first entry overwrites it: storage truncates; A was never applied, the applied Image
//     has no trace of it.
//   - A is proposed, the flush fails: the loop ends, and everyone who waits is told. After a restart A is there or is not.
//   - The process dies between A's flush and its reply: A is applied after the restart, its caller saw an error. Kafka's
//     clients face the same and ask again.
type leadership struct {
	// electedAt is the index of this term's first entry once it is applied; 0 before.
	electedAt uint64
	active    bool
	since     time.Time // when it became active
	// speculative is the Image after the entry at proposed. Invariant: proposed >= applied while active.
	speculative *metadata.Image
	proposed    uint64
	// begun are the proposals that are not applied, by index: what Stats.Commits times.
	begun []begun
	// waiting are ordered by index and by read.
	waiting []ticket
	// changeAt is the index of the newest change of members that this leader proposed: one at a time. wants are the changes
	// that were asked for.
	changeAt uint64
	wants    []*want
	// told says that Config.Led knows of this leadership.
	told  bool
	reads reads
	// held came in after the election was won and before the first entry was applied.
	held []*submission
}

// begun is when the entry at index was proposed.
type begun struct {
	index uint64
	at    time.Time
}

// ticket is a reply that is due when the entry at index is applied and published, and this node known to lead since the read.
type ticket struct {
	index uint64
	read  uint64
	to    *submission
	reply any
}

// maxTurn submissions share a turn; more would let the first wait for the last.
const maxTurn = 256

// take handles a submission and those that wait behind it.
func (l *loop) take(s *submission) {
	now := time.Now()
	for n := 1; ; n++ {
		l.submit(now, s)
		if n == maxTurn {
			return
		}
		select {
		case s = <-l.q.inbox:
		default:
			return
		}
	}
}

func (l *loop) submit(now time.Time, s *submission) {
	switch {
	case l.lead.active:
		l.decide(now, s)
	case l.leading && len(l.lead.held) < inboxSize:
		l.lead.held = append(l.lead.held, s)
	default:
		s.reply <- outcome{err: l.errNotLeader()}
	}
}

// decide answers what is about the quorum itself; the controller does the rest.
func (l *loop) decide(now time.Time, s *submission) {
	switch req := s.req.(type) {
	case *kmsg.DescribeQuorumRequest:
		s.reply <- outcome{reply: l.describe(now, req), offset: l.image.Offset()}
	case *kmsg.AddRaftVoterRequest:
		l.addVoter(now, s, req)
	case *kmsg.RemoveRaftVoterRequest:
		l.removeVoter(now, s, req)
	case *kmsg.BrokerRegistrationRequest:
		l.register(now, s, req)
	case *kmsg.UnregisterBrokerRequest:
		l.unregister(now, s, req)
	case *peer.JoinRequest:
		l.join(now, s, req)
	default:
		l.step(now, s)
	}
}

// step decides one request and proposes its records.
func (l *loop) step(now time.Time, s *submission) {
	out := l.cfg.Controller.Step(now, l.cfg.Rand, l.lead.speculative, s.req)
	if out.Err == nil && len(out.Records) > 0 {
		out.Err = l.propose(now, out.Records)
	}
	if out.Err != nil {
		// An error too may be about what is not applied yet, but it promises nothing.
		s.reply <- outcome{err: out.Err}
		return
	}
	t := ticket{index: l.lead.proposed, to: s, reply: out.Reply}
	if len(out.Records) == 0 && !l.decidesAlone() {
		t.read = l.lead.reads.want()
	}
	if t.read == 0 && t.index == l.applied && len(l.lead.waiting) == 0 {
		s.reply <- outcome{reply: out.Reply, offset: l.image.Offset()}
		return
	}
	l.lead.waiting = append(l.lead.waiting, t)
}

func (l *loop) propose(now time.Time, recs []metadata.Record) error {
	base := l.lead.speculative.Offset() + 1
	data := encodeRecords(recs, base, l.term, now.UnixMilli())
	if most := l.cfg.MaxBatchBytes; most > 0 && int64(len(data)) > most {
		return fmt.Errorf("a change of %d bytes of metadata, more than %d: %w", len(data), most, kerr.PolicyViolation)
	}
	if err := l.node.Propose(data); err != nil {
		return errors.Join(fmt.Errorf("propose: %w", err), kerr.NotController)
	}
	l.lead.proposed++
	l.lead.begun = append(l.lead.begun, begun{l.lead.proposed, now})
	l.q.proposed.Add(uint64(len(recs)))
	l.lead.speculative, _ = l.lead.speculative.Apply(recs, base+kafka.Offset(len(recs))-1)
	return nil
}

// activate begins to decide requests once this term's first entry is applied: then everything before it is too, and
// nothing comes after it.
func (l *loop) activate() error {
	if !l.leading || l.lead.active || l.lead.electedAt == 0 {
		return nil
	}
	l.lead.active = true
	l.lead.speculative, l.lead.proposed = l.image, l.applied
	now := time.Now()
	l.lead.since = now
	boot := l.cfg.Controller.Step(now, l.cfg.Rand, l.image, controller.Bootstrap{})
	if boot.Err != nil {
		return fmt.Errorf("bootstrap: %w", boot.Err)
	}
	if len(boot.Records) > 0 {
		if err := l.propose(now, boot.Records); err != nil {
			return err
		}
	}
	held := l.lead.held
	l.lead.held = nil
	for _, s := range held {
		l.decide(now, s)
	}
	l.lead.told = true
	if l.cfg.Led != nil {
		l.cfg.Led(true, int32(l.term))
	}
	return nil
}

// answer gives the replies that are due.
func (l *loop) answer() {
	l.timeCommits()
	due := 0
	for due < len(l.lead.waiting) && l.lead.waiting[due].due(l) {
		t := &l.lead.waiting[due]
		t.to.reply <- outcome{reply: t.reply, offset: l.image.Offset()}
		due++
	}
	if due == len(l.lead.waiting) {
		l.lead.waiting = l.lead.waiting[:0]
		return
	}
	l.lead.waiting = append([]ticket(nil), l.lead.waiting[due:]...)
}

func (t *ticket) due(l *loop) bool { return t.index <= l.applied && t.read <= l.lead.reads.confirmed }

// timeCommits takes the time of the proposals that are applied.
func (l *loop) timeCommits() {
	n, now := 0, time.Now()
	for n < len(l.lead.begun) && l.lead.begun[n].index <= l.applied {
		l.q.commits.Observe(now.Sub(l.lead.begun[n].at))
		n++
	}
	l.lead.begun = append(l.lead.begun[:0], l.lead.begun[n:]...)
}

// resign ends the leadership: nobody who waits can be told more than why.
func (l *loop) resign(why error) {
	for _, t := range l.lead.waiting {
		t.to.reply <- outcome{err: why}
	}
	for _, s := range l.lead.held {
		s.reply <- outcome{err: why}
	}
	for _, w := range l.lead.wants {
		w.end(why)
	}
	if l.lead.told && l.cfg.Led != nil {
		l.cfg.Led(false, int32(l.term))
	}
	l.lead = leadership{}
}
