package api

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/node/partition"
	"github.com/headrace/headrace/internal/node/transport"
)

// A follower reads thousands of partitions in one session, most of which are idle. What an answer costs goes by what has news:
// a session keeps a place in each of its partitions (await.Watch), and looks only at those that the request names, that noted
// news, or that did not fit into the answer before. Once in a while it looks at all of them, since a follower that says nothing
// new about a partition says that it still has what it had.

// replicaVersion is the first version in which followers say of which registration they are (KIP-903); who says in an older one
// that he is a follower is none of this cluster's.
const replicaVersion = 15

// looksALag is how often a session looks at all of its partitions in replica.lag.time.max.ms: a follower of an idle partition
// counts as caught up when it was last looked at, so that it may lag for a share of that time less than it should.
const looksALag = 8

// replicaFetch is one Fetch of a follower.
type replicaFetch struct {
	s        *Server
	client   transport.Client
	version  int16
	session  *replicaSession
	epoch    int32 // of this request in the session
	replica  kafka.NodeID
	broker   int64 // epoch of its registration
	minBytes int
	maxBytes int
	deadline time.Time
	held     time.Duration // until a partition that was held back by a throttle may go on; 0 when none was
	results  []fetchResult
}

func (s *Server) fetchAsReplica(ctx context.Context, c *Call, req *kmsg.FetchRequest) Response {
	if req.SessionID != noSession && req.SessionEpoch > initialEpoch && req.MaxWaitMillis < 0 {
		return s.hurryReplica(c, req)
	}
	session, err := s.replicas.begin(s, req, c.Received)
	if err != nil {
		return fetchError(c.Version, s.codeOf(err, "fetch session of a follower"))
	}
	f := &replicaFetch{
		s: s, client: c.Client, version: c.Version, session: session, epoch: req.SessionEpoch,
		replica: kafka.NodeID(req.ReplicaState.ID), broker: req.ReplicaState.Epoch,
		deadline: c.Received.Add(time.Duration(max(req.MaxWaitMillis, 0)) * time.Millisecond),
		maxBytes: int(max(req.MaxBytes, 0)), minBytes: int(max(req.MinBytes, 0)),
	}
	return f.answer(ctx)
}

// hurryReplica lets a session's request wait no longer: that of the epoch named, which may wait now or be still on its way. A
// follower asks for it, on another connection, when it has something else to say. By its negative wait it is told from that
// request itself, which it looks like.
func (s *Server) hurryReplica(c *Call, req *kmsg.FetchRequest) Response {
	session := s.replicas.find(req.SessionID)
	if session == nil {
		return fetchError(c.Version, kerr.FetchSessionIDNotFound.Code)
	}
	session.hurried.Store(req.SessionEpoch)
	session.watch.Ring()
	return newFetchResponse(c.Version, 0, session.id, nil)
}

// answer looks for news until there are enough, or the time is over.
func (f *replicaFetch) answer(ctx context.Context) Response {
	for {
		enough, err := f.look()
		if err != nil {
			return fetchError(f.version, f.s.codeOf(err, "fetch session of a follower"))
		}
		if enough || !f.await(ctx) {
			return f.respond()
		}
	}
}

// look reads the partitions that are due, and tells whether an answer should go out now.
func (f *replicaFetch) look() (enough bool, err error) {
	s := f.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.overtaken(f.epoch) {
		f.release()
		return false, kerr.InvalidFetchSessionEpoch
	}
	now := time.Now()
	s.gather(now)
	f.release()
	f.held = 0
	left, bytes := f.maxBytes, 0
	kept := s.due[:0]
	for _, p := range s.due {
		r := f.read(now, p, max(left, 0), bytes == 0)
		left, bytes = left-r.plan.Bytes, bytes+r.plan.Bytes
		p.limited = p.held || r.code == 0 && r.plan.Bytes == 0 && bytes > 0 && left < p.want.maxBytes
		news := p.news(&r)
		if p.due = news || p.limited; p.due {
			kept = append(kept, p)
		}
		if news {
			f.results = append(f.results, r)
			enough = enough || r.code != 0 || r.diverging != nil || s.keen && r.highWatermark > p.hw || p.start >= 0 && r.logStart > p.start
		}
	}
	clear(s.due[len(kept):])
	s.due = kept
	return enough || bytes >= max(f.minBytes, 1), nil
}

func (f *replicaFetch) release() {
	for i := range f.results {
		f.results[i].release()
	}
	clear(f.results)
	f.results = f.results[:0]
}

// read reads one partition; the session is locked.
func (f *replicaFetch) read(now time.Time, p *replicaPartition, left int, first bool) fetchResult {
	r := fetchResult{want: p.want, highWatermark: -1, lso: -1, logStart: -1, preferred: kafka.NoNode}
	if err := f.s.resolve(p); err != nil {
		f.fail(&r, err)
		return r
	}
	most := min(p.want.maxBytes, left)
	if p.held = f.hold(now, p.part); p.held {
		most, first = 0, false // what the follower says of itself counts all the same
	}
	got, err := p.part.FetchAsReplica(now, partition.FollowerFetch{
		Replica: f.replica, BrokerEpoch: f.broker, Offset: p.want.offset, Epoch: p.want.epoch, LastEpoch: p.want.lastEpoch,
		LogStart: p.logStart, MaxBytes: most, MinOne: first,
	})
	r.part, r.plan, r.diverging = p.part, got.Plan, got.Diverging
	if err == nil {
		r.highWatermark, r.lso, r.logStart = int64(got.HighWatermark), int64(got.LSO), int64(got.Start)
		return r
	}
	if errors.Is(err, kerr.OffsetOutOfRange) {
		r.logStart = int64(got.Start) // so that the follower knows where to begin, without asking
	}
	f.fail(&r, err)
	p.leave() // it may have ended: the next look finds what is there then
	return r
}

// hold tells whether a partition has to wait for its throttle (leader.replication.throttled.rate).
func (f *replicaFetch) hold(now time.Time, p *partition.Partition) bool {
	if !p.ThrottledTo(f.replica) {
		return false
	}
	wait := f.s.throttled.Over(now, f.s.Settings().Throttle.Leader)
	if wait > 0 && (f.held == 0 || wait < f.held) {
		f.held = wait
	}
	return wait > 0
}

func (f *replicaFetch) fail(r *fetchResult, err error) {
	tp := kafka.TopicPartition{Partition: r.want.key.partition}
	if name, err := f.s.topicName(r.want.key.id); err == nil {
		tp.Topic = name
	}
	r.code = f.s.codeOf(err, "fetch by a follower from "+tp.String())
	movedOn := r.code == kerr.NotLeaderForPartition.Code || r.code == kerr.FencedLeaderEpoch.Code
	if movedOn && f.version >= fetchHintsFrom {
		if h, ok := f.s.leaderHint(tp, f.client.Listener); ok {
			r.leader = &h
		}
	}
}

// await waits for news, or until a throttle lets somebody go on, and tells whether to look again.
func (f *replicaFetch) await(ctx context.Context) bool {
	left := time.Until(f.deadline)
	if left <= 0 || f.session.hurried.Load() == f.epoch {
		return false
	}
	again := f.held > 0 && f.held < left
	if again {
		left = f.held
	}
	t := time.NewTimer(left)
	defer t.Stop()
	select {
	case <-f.session.watch.Bell():
		return true
	case <-t.C:
		return again
	case <-ctx.Done():
		return false
	}
}

// respond makes the answer of the last look.
func (f *replicaFetch) respond() Response {
	s := f.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.overtaken(f.epoch) {
		f.release()
		return fetchError(f.version, kerr.InvalidFetchSessionEpoch.Code)
	}
	s.told(f.results)
	f.count(time.Now())
	if s.id == noSession {
		s.close()
	}
	return newFetchResponse(f.version, 0, s.id, f.results)
}

// ThrottledPerSecond is the rate in bytes at which this node sends, as a leader, to replicas whose catching up is bounded.
func (s *Server) ThrottledPerSecond(now time.Time) float64 { return s.throttled.PerSecond(now) }

// count measures what is sent by the leader's throttle.
func (f *replicaFetch) count(now time.Time) {
	for i := range f.results {
		if r := &f.results[i]; r.plan.Bytes > 0 && r.part.ThrottledTo(f.replica) {
			f.s.throttled.Add(now, r.plan.Bytes)
		}
	}
}
