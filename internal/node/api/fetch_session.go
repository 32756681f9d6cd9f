package api

import (
	"container/list"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
)

// A fetch session (KIP-227) remembers what a consumer reads, so that its requests name only what changed and the answers
// only what is new. It lives in the node's memory: one that is not found any more is begun anew by the client.

// The session epochs that mean something else than "the next request of the session".
const (
	noSession    int32 = 0
	initialEpoch int32 = 0  // begin a session
	finalEpoch   int32 = -1 // no session, and end the one named
)

// evictAfter is how long a session is safe from others when there are too many.
const evictAfter = 2 * time.Minute

// want is one partition that a fetch reads, and from where.
type want struct {
	key              wantKey
	epoch, lastEpoch kafka.LeaderEpoch
	offset           kafka.Offset
	maxBytes         int
}

// wantKey names a partition as the request does: by topic id from version 13 on, else by name.
type wantKey struct {
	id        kafka.TopicID
	topic     string
	partition int32
}

// sessionPartition is a want that is remembered, with what the client was last told about it.
type sessionPartition struct {
	want
	highWatermark, logStart int64
}

// fetchSession is guarded by its own lock: a client uses it from one connection after the other, but nothing makes it.
type fetchSession struct {
	id      int32
	byID    bool
	created time.Time

	mu    sync.Mutex
	epoch int32      // of the next request
	order *list.List // of *sessionPartition: what had records goes to the end, so that all get their turn
	index map[wantKey]*list.Element

	// used and size are the cache's, guarded by its lock.
	used time.Time
	size int
}

// fetchSessions holds the sessions. Lock order: a session's, then the cache's.
type fetchSessions struct {
	slots int

	mu       sync.Mutex
	sessions map[int32]*fetchSession
}

func newFetchSessions(slots int) *fetchSessions {
	return &fetchSessions{slots: slots, sessions: map[int32]*fetchSession{}}
}

// fetchContext is what one request reads: all of the wants, and the session that it begins or goes on with, if any.
type fetchContext struct {
	wants   []want
	begins  bool          // a session is to be begun with what is answered
	session *fetchSession // goes on
	epoch   int32         // of the session after this request
}

// begin finds out what a request reads.
func (fs *fetchSessions) begin(req *kmsg.FetchRequest, byID bool, now time.Time) (fetchContext, error) {
	if req.SessionEpoch == initialEpoch || req.SessionEpoch == finalEpoch {
		if req.SessionID != noSession {
			fs.drop(req.SessionID)
		}
		return fetchContext{wants: wantsOf(req, byID), begins: req.SessionEpoch == initialEpoch}, nil
	}
	s := fs.find(req.SessionID)
	if s == nil {
		return fetchContext{}, kerr.FetchSessionIDNotFound
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.epoch != req.SessionEpoch:
		return fetchContext{}, kerr.InvalidFetchSessionEpoch
	case s.byID != byID:
		return fetchContext{}, kerr.FetchSessionTopicIDError
	}
	s.update(req, byID)
	if s.order.Len() == 0 {
		fs.drop(s.id)
		return fetchContext{}, nil
	}
	s.epoch = nextEpoch(s.epoch)
	fs.touch(s, s.order.Len(), now)
	return fetchContext{wants: s.wants(), session: s, epoch: s.epoch}, nil
}

// nextEpoch skips the epochs with a meaning when it wraps.
func nextEpoch(e int32) int32 {
	if e < 0 {
		return finalEpoch
	}
	return max(e+1, 1) // the largest wraps below 0, and so to 1
}

func keyOf(byID bool, id kafka.TopicID, topic string, partition int32) wantKey {
	if byID {
		return wantKey{id: id, partition: partition}
	}
	return wantKey{topic: topic, partition: partition}
}

func wantOf(k wantKey, p *kmsg.FetchRequestTopicPartition) want {
	return want{
		key: k, epoch: kafka.LeaderEpoch(p.CurrentLeaderEpoch), lastEpoch: kafka.LeaderEpoch(p.LastFetchedEpoch),
		offset: kafka.Offset(p.FetchOffset), maxBytes: int(max(p.PartitionMaxBytes, 0)),
	}
}

// wantsOf lists what a request names, each partition once: a later naming replaces an earlier one.
func wantsOf(req *kmsg.FetchRequest, byID bool) []want {
	n := 0
	for i := range req.Topics {
		n += len(req.Topics[i].Partitions)
	}
	wants := make([]want, 0, n)
	var seen map[wantKey]int
	if n > 1 {
		seen = make(map[wantKey]int, n)
	}
	for i := range req.Topics {
		t := &req.Topics[i]
		for j := range t.Partitions {
			w := wantOf(keyOf(byID, t.TopicID, t.Topic, t.Partitions[j].Partition), &t.Partitions[j])
			if at, twice := seen[w.key]; twice {
				wants[at] = w
				continue
			}
			if seen != nil {
				seen[w.key] = len(wants)
			}
			wants = append(wants, w)
		}
	}
	return wants
}

// update adds, changes and forgets what a request says; s is locked.
func (s *fetchSession) update(req *kmsg.FetchRequest, byID bool) {
	for _, w := range wantsOf(req, byID) {
		if e, ok := s.index[w.key]; ok {
			e.Value.(*sessionPartition).want = w
			continue
		}
		s.index[w.key] = s.order.PushBack(&sessionPartition{want: w, highWatermark: -1, logStart: -1})
	}
	for i := range req.ForgottenTopics {
		f := &req.ForgottenTopics[i]
		for _, n := range f.Partitions {
			k := keyOf(byID, f.TopicID, f.Topic, n)
			if e, ok := s.index[k]; ok {
				s.order.Remove(e)
				delete(s.index, k)
			}
		}
	}
}

func (s *fetchSession) wants() []want {
	wants := make([]want, 0, s.order.Len())
	for e := s.order.Front(); e != nil; e = e.Next() {
		wants = append(wants, e.Value.(*sessionPartition).want)
	}
	return wants
}

// news keeps the results that tell the client something, and remembers them. It fails when another request of the session
// overtook this one.
func (s *fetchSession) news(results []fetchResult, epoch int32) ([]fetchResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.epoch != epoch {
		return nil, kerr.InvalidFetchSessionEpoch
	}
	kept := results[:0]
	for _, r := range results {
		e, ok := s.index[r.want.key]
		if !ok || !e.Value.(*sessionPartition).tell(&r) {
			r.release()
			continue
		}
		if r.plan.Bytes > 0 {
			s.order.MoveToBack(e)
		}
		kept = append(kept, r)
	}
	clear(results[len(kept):])
	return kept, nil
}

// tell remembers what r says, and tells whether that is new.
func (p *sessionPartition) tell(r *fetchResult) bool {
	news := r.plan.Bytes > 0 || r.code != 0 || r.diverging != nil || r.preferred != kafka.NoNode ||
		p.highWatermark != r.highWatermark || p.logStart != r.logStart
	p.highWatermark, p.logStart = r.highWatermark, r.logStart
	if r.code != 0 {
		p.highWatermark = -1 // so that the end of the error is news
	}
	return news
}

// create begins a session with what a full request reads; its id is noSession when there is no room.
func (fs *fetchSessions) create(results []fetchResult, byID bool, now time.Time) int32 {
	s := &fetchSession{
		byID: byID, created: now, used: now, size: len(results), epoch: 1,
		order: list.New(), index: make(map[wantKey]*list.Element, len(results)),
	}
	for i := range results {
		r := &results[i]
		p := &sessionPartition{want: r.want}
		p.tell(r)
		s.index[r.want.key] = s.order.PushBack(p)
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if len(fs.sessions) >= fs.slots && !fs.evict(s, now) {
		return noSession
	}
	for s.id == noSession || fs.sessions[s.id] != nil {
		s.id = rand.Int32()
	}
	fs.sessions[s.id] = s
	return s.id
}

// evict makes room for s: the session that was not used for longest goes if that is long; else the smallest of those that
// had their time, if s is larger.
func (fs *fetchSessions) evict(s *fetchSession, now time.Time) bool {
	var oldest, smallest *fetchSession
	for _, o := range fs.sessions {
		if oldest == nil || o.used.Before(oldest.used) {
			oldest = o
		}
		if now.Sub(o.created) > evictAfter && (smallest == nil || o.size < smallest.size) {
			smallest = o
		}
	}
	switch {
	case oldest == nil:
		return false
	case now.Sub(oldest.used) > evictAfter:
		delete(fs.sessions, oldest.id)
	case smallest != nil && s.size > smallest.size:
		delete(fs.sessions, smallest.id)
	default:
		return false
	}
	return true
}

func (fs *fetchSessions) find(id int32) *fetchSession {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.sessions[id]
}

func (fs *fetchSessions) touch(s *fetchSession, size int, now time.Time) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	s.used, s.size = now, size
}

func (fs *fetchSessions) drop(id int32) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	delete(fs.sessions, id)
}

// ids lists the sessions, sorted, for tests.
func (fs *fetchSessions) ids() []int32 {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	var ids []int32
	for id := range fs.sessions {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}
