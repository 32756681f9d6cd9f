package api

import (
	"cmp"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/node/await"
	"github.com/headrace/headrace/internal/node/partition"
)

// sessionsAReplica bounds the sessions of one follower: the most that num.replica.fetchers can be.
const sessionsAReplica = 64

// noEpoch is no request's epoch.
const noEpoch int32 = -2

// replicaPartition is one partition of a follower's session.
type replicaPartition struct {
	place    await.Place
	want     want
	logStart kafka.Offset // of the follower
	part     *partition.Partition
	due      bool // in the session's list
	held     bool // a throttle holds it back
	limited  bool // there was no room for what may be there, or it was held back
	// hw and start are what the follower was told last.
	hw, start int64
}

// news tells whether r says anything that the follower does not know.
func (p *replicaPartition) news(r *fetchResult) bool {
	return r.plan.Bytes > 0 || r.code != 0 || r.diverging != nil || p.hw != r.highWatermark || p.start != r.logStart
}

func (p *replicaPartition) leave() {
	if p.part != nil {
		p.part.Unwatch(&p.place)
		p.part = nil
	}
}

// resolve finds the partition here, and takes the place in it.
func (s *Server) resolve(p *replicaPartition) error {
	if p.part != nil {
		return nil
	}
	name, err := s.topicName(p.want.key.id)
	if err != nil {
		return err
	}
	part, err := s.hosted(kafka.TopicPartition{Topic: name, Partition: p.want.key.partition})
	switch {
	case err != nil:
		return err
	case part.TopicID() != p.want.key.id:
		return kerr.InconsistentTopicID
	}
	p.part = part
	part.Watch(&p.place)
	return nil
}

// replicaSession is what one fetcher of a follower reads. Its places are in the partitions until it is closed.
type replicaSession struct {
	id      int32 // noSession for one request
	replica kafka.NodeID
	broker  int64
	watch   *await.Watch
	keen    bool // a new high watermark alone is sent at once
	// hurried is the epoch of the request that shall not wait.
	hurried atomic.Int32

	mu     sync.Mutex
	closed bool
	epoch  int32 // of the next request
	parts  map[wantKey]*replicaPartition
	// due are the partitions to look at, in the order in which they came to be; taken is scratch space.
	due    []*replicaPartition
	taken  []*await.Place
	looked time.Time     // when all were looked at last
	every  time.Duration // after which they are again

	// used is the table's, guarded by its lock.
	used time.Time
}

// replicaSessions holds them. Lock order: the table's, then a session's.
type replicaSessions struct {
	mu       sync.Mutex
	sessions map[int32]*replicaSession
}

// find finds a session by its id; nil when there is none.
func (rs *replicaSessions) find(id int32) *replicaSession {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	return rs.sessions[id]
}

// begin finds or makes the session of a request, with what it says taken in.
func (rs *replicaSessions) begin(s *Server, req *kmsg.FetchRequest, now time.Time) (*replicaSession, error) {
	if req.SessionEpoch == initialEpoch || req.SessionEpoch == finalEpoch {
		session := &replicaSession{
			replica: kafka.NodeID(req.ReplicaState.ID), broker: req.ReplicaState.Epoch, watch: await.NewWatch(),
			keen: s.Settings().RackAware, parts: map[wantKey]*replicaPartition{}, used: now, looked: now, every: cmp.Or(s.Settings().ReplicaLag, defaultSettings().ReplicaLag) / looksALag,
		}
		session.hurried.Store(noEpoch)
		session.update(req)
		session.epoch = req.SessionEpoch + 1
		_, known := s.Metadata.Image().Node(session.replica)
		rs.add(session, req.SessionID, known && req.SessionEpoch == initialEpoch, now)
		return session, nil
	}
	session := rs.use(req.SessionID, now)
	if session == nil || session.replica != kafka.NodeID(req.ReplicaState.ID) {
		return nil, kerr.FetchSessionIDNotFound
	}
	session.mu.Lock()
	defer session.mu.Unlock()
	switch {
	case session.closed:
		return nil, kerr.FetchSessionIDNotFound
	case session.epoch != req.SessionEpoch:
		return nil, kerr.InvalidFetchSessionEpoch
	}
	session.update(req)
	session.epoch = nextEpoch(session.epoch)
	session.watch.Ring() // a request before that waits yet was given up
	return session, nil
}

func (rs *replicaSessions) use(id int32, now time.Time) *replicaSession {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	s := rs.sessions[id]
	if s != nil {
		s.used = now
	}
	return s
}

// add keeps a session, if asked to, and ends those that it comes in the place of: the one that the request names, those of earlier
// registrations of the replica, those that nobody uses any more, and the one that was not used for longest if there are too many.
func (rs *replicaSessions) add(s *replicaSession, before int32, keep bool, now time.Time) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	var of int
	var oldest *replicaSession
	for _, o := range rs.sessions {
		same := o.replica == s.replica
		switch {
		case same && (o.id == before || o.broker < s.broker), now.Sub(o.used) > evictAfter:
			rs.endLocked(o)
		case same:
			if of++; oldest == nil || o.used.Before(oldest.used) {
				oldest = o
			}
		}
	}
	if !keep {
		return
	}
	if of >= sessionsAReplica {
		rs.endLocked(oldest)
	}
	for s.id == noSession || rs.sessions[s.id] != nil {
		s.id = rand.Int32()
	}
	rs.sessions[s.id] = s
}

func (rs *replicaSessions) endLocked(s *replicaSession) {
	delete(rs.sessions, s.id)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.close()
	s.watch.Ring()
}

// close gives up the places; the session is locked.
func (s *replicaSession) close() {
	s.closed = true
	for _, p := range s.parts {
		p.leave()
	}
	s.due = nil
}

// overtaken tells whether the request of an epoch is not the session's last any more; the session is locked.
func (s *replicaSession) overtaken(epoch int32) bool {
	if epoch == finalEpoch {
		return false
	}
	return s.closed || s.epoch != nextEpoch(epoch)
}

// update adds, changes and forgets what a request says; the session is locked, or nobody's yet.
func (s *replicaSession) update(req *kmsg.FetchRequest) {
	for i := range req.Topics {
		t := &req.Topics[i]
		for j := range t.Partitions {
			s.name(wantOf(wantKey{id: t.TopicID, partition: t.Partitions[j].Partition}, &t.Partitions[j]), kafka.Offset(t.Partitions[j].LogStartOffset))
		}
	}
	for i := range req.ForgottenTopics {
		t := &req.ForgottenTopics[i]
		for _, n := range t.Partitions {
			k := wantKey{id: t.TopicID, partition: n}
			if p := s.parts[k]; p != nil {
				p.leave()
				delete(s.parts, k)
			}
		}
	}
}

func (s *replicaSession) name(w want, logStart kafka.Offset) {
	p := s.parts[w.key]
	if p == nil {
		p = &replicaPartition{hw: -1, start: -1}
		p.place.Watched(s.watch, p, s.keen)
		s.parts[w.key] = p
	}
	p.want, p.logStart = w, logStart
	s.add(p)
}

func (s *replicaSession) add(p *replicaPartition) {
	if !p.due {
		p.due = true
		s.due = append(s.due, p)
	}
}

// gather makes due what has news, and now and then all; the session is locked.
func (s *replicaSession) gather(now time.Time) {
	s.taken = s.watch.Take(s.taken[:0])
	for _, place := range s.taken {
		s.add(place.Owner.(*replicaPartition))
	}
	if now.Sub(s.looked) >= s.every {
		s.looked = now
		for _, p := range s.parts {
			s.add(p)
		}
	}
	kept := s.due[:0]
	for _, p := range s.due {
		if s.parts[p.want.key] == p { // else it was forgotten
			kept = append(kept, p)
		}
	}
	clear(s.due[len(kept):])
	s.due = kept
}

// told remembers what an answer says, and leaves due what had no room in it; the session is locked.
func (s *replicaSession) told(results []fetchResult) {
	for i := range results {
		r := &results[i]
		p := s.parts[r.want.key]
		if p == nil {
			continue
		}
		p.hw, p.start = r.highWatermark, r.logStart
		if r.code != 0 {
			p.hw = -1 // so that the end of the error is news
		}
	}
	kept := s.due[:0]
	for _, p := range s.due {
		if p.due = p.limited; p.due {
			kept = append(kept, p)
		}
	}
	clear(s.due[len(kept):])
	s.due = kept
}
