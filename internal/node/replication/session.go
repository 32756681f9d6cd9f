package replication

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/conf"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/node/partition"
)

// fetchVersion is the Fetch that followers speak: with topic ids, and with the registration that they are of.
const fetchVersion = 18

// key names a partition of one life of its topic.
type key struct {
	topic     kafka.TopicID
	partition int32
}

func keyOf(p *partition.Partition) key { return key{p.TopicID(), p.Name().Partition} }

// followed is one partition that a fetcher follows.
type followed struct {
	key
	part *partition.Partition
	at   partition.FetchState
	// named says that the leader's session has it, changed that it has it with another state or not at all, and that it is
	// in the session's list therefore.
	named, changed bool
	// failures are those in a row; it is not fetched before due, unless that is zero.
	failures int
	due      time.Time
}

// session is the follower's end of a fetch session (KIP-227): it makes requests that name only what changed since the one before.
// It belongs to a fetcher's goroutine, knows no clock and no network, and in the long run allocates nothing for a request.
type session struct {
	id, epoch int32
	none      bool // the leader kept none when it was last asked; its answers may wait all the same, or the rounds would spin
	parts     map[key]*followed
	changed   []*followed
	forgotten []key
	// asked are those named in the last request, which are known to the leader when it answers.
	asked []*followed
	req   kmsg.FetchRequest
}

func newSession(self kafka.NodeID) *session {
	s := &session{parts: map[key]*followed{}}
	s.req = kmsg.NewFetchRequest()
	s.req.Version = fetchVersion
	s.req.ReplicaState.ID = int32(self)
	return s
}

// put has f fetched from where it is now.
func (s *session) put(f *followed) {
	if old := s.parts[f.key]; old != nil && old != f {
		f.named = old.named
	}
	s.parts[f.key] = f
	if !f.changed {
		f.changed = true
		s.changed = append(s.changed, f)
	}
}

// drop has a partition fetched no longer.
func (s *session) drop(k key) {
	f := s.parts[k]
	if f == nil {
		return
	}
	delete(s.parts, k)
	if f.named {
		s.forgotten = append(s.forgotten, k)
	}
	f.named = false
}

// lost begins anew: the leader has forgotten the session, or answered in doubt. id is kept where the leader may still have it, so
// that the next request ends it.
func (s *session) lost(id int32) {
	s.id, s.epoch = id, 0
	s.forgotten = s.forgotten[:0]
	for _, f := range s.parts {
		f.named = false
		s.put(f)
	}
}

// request makes the next request; what it returns is the session's, until the next.
func (s *session) request(broker int64, wait time.Duration, c conf.ReplicasConfig) *kmsg.FetchRequest {
	r := &s.req
	r.ReplicaState.Epoch = broker
	r.MaxWaitMillis, r.MinBytes, r.MaxBytes = int32(wait.Milliseconds()), int32(c.FetchMinBytes), int32(c.ResponseBytes)
	r.SessionID, r.SessionEpoch = s.id, s.epoch
	r.Topics, r.ForgottenTopics = r.Topics[:0], r.ForgottenTopics[:0]
	s.asked = s.asked[:0]
	for _, f := range s.changed {
		f.changed = false
		if s.parts[f.key] == f { // else it was dropped
			s.name(f, c.FetchMaxBytes)
			s.asked = append(s.asked, f)
		}
	}
	for _, k := range s.forgotten {
		if s.parts[k] == nil { // else it is named again
			s.forget(k)
		}
	}
	clear(s.changed)
	s.changed, s.forgotten = s.changed[:0], s.forgotten[:0]
	return r
}

// name adds a partition to the request, into the memory of those before.
func (s *session) name(f *followed, maxBytes int) {
	ts := s.req.Topics
	if n := len(ts); n == 0 || ts[n-1].TopicID != f.topic {
		if n == cap(ts) {
			ts = append(ts, kmsg.NewFetchRequestTopic())
		}
		ts = ts[:n+1]
		ts[n].TopicID, ts[n].Partitions = f.topic, ts[n].Partitions[:0]
		s.req.Topics = ts
	}
	t := &ts[len(ts)-1]
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.PartitionMaxBytes = f.partition, int32(maxBytes)
	p.CurrentLeaderEpoch, p.LastFetchedEpoch = int32(f.at.Epoch), int32(f.at.LastEpoch)
	p.FetchOffset, p.LogStartOffset = int64(f.at.Offset), int64(f.at.LogStart)
	t.Partitions = append(t.Partitions, p)
}

func (s *session) forget(k key) {
	ts := s.req.ForgottenTopics
	if n := len(ts); n == 0 || ts[n-1].TopicID != k.topic {
		if n == cap(ts) {
			ts = append(ts, kmsg.NewFetchRequestForgottenTopic())
		}
		ts = ts[:n+1]
		ts[n].TopicID, ts[n].Partitions = k.topic, ts[n].Partitions[:0]
		s.req.ForgottenTopics = ts
	}
	t := &ts[len(ts)-1]
	t.Partitions = append(t.Partitions, k.partition)
}

// answered takes the answer to the request as far as the session goes. After an error the session begins anew.
func (s *session) answered(resp *kmsg.FetchResponse) error {
	switch err := kerr.ErrorForCode(resp.ErrorCode); {
	case err == kerr.FetchSessionIDNotFound:
		s.lost(0)
		return err
	case err != nil:
		s.lost(s.id)
		return err
	}
	s.id = resp.SessionID
	if s.none = s.id == 0; s.none { // each request names all
		s.lost(0)
		return nil
	}
	for _, f := range s.asked {
		f.named = s.parts[f.key] == f
	}
	s.epoch = max(s.epoch+1, 1) // the largest wraps below 0, and so to 1
	return nil
}
