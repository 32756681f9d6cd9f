// Package session is the share sessions of a node (KIP-932), pure: which partitions a member fetches there, and in which
// order its requests come. A session ends with its connection, and gives back what the member had acquired. Its user has
// one Sessions, under one mutex.
package session

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/kafka"
)

// The epochs that are not the number of a request in its session.
const (
	Open  = 0  // begins a session, and ends the one before
	Close = -1 // ends it
)

// Key names a session.
type Key struct{ Group, Member string }

// Partition names a partition of a session.
type Partition struct {
	Topic kafka.TopicID
	Index int32
}

// Sessions are all sessions of a node.
type Sessions struct {
	max    int // group.share.max.share.sessions
	all    map[Key]*session
	byConn map[uint64][]Key
}

// session is one session. Invariant: tell has only partitions of it.
type session struct {
	conn       uint64
	epoch      int32       // that the next request must have
	partitions []Partition // those that brought records last come last
	tell       map[Partition]bool
}

// New makes room for max sessions.
func New(max int) *Sessions {
	return &Sessions{max: max, all: make(map[Key]*session), byConn: make(map[uint64][]Key)}
}

// Len counts the sessions.
func (s *Sessions) Len() int { return len(s.all) }

// Partitions lists what the session has, nil when there is no such session.
func (s *Sessions) Partitions(k Key) []Partition {
	if one := s.all[k]; one != nil {
		return slices.Clone(one.partitions)
	}
	return nil
}

// Fetch takes in a ShareFetch of a connection, and returns what to fetch, in order. add are the partitions that the request
// names, forget those that it forgets, and acks tells that it acknowledges something. A Close fetches nothing, and leaves
// the session to End: what the request acknowledges comes first.
func (s *Sessions) Fetch(conn uint64, k Key, epoch int32, add, forget []Partition, acks bool) ([]Partition, error) {
	switch epoch {
	case Close:
		return nil, s.check(k, epoch)
	case Open:
		return s.open(conn, k, add, acks)
	}
	if err := s.check(k, epoch); err != nil {
		return nil, err
	}
	one := s.all[k]
	one.advance()
	for _, p := range add {
		if !slices.Contains(one.partitions, p) {
			one.partitions = append(one.partitions, p)
			one.tell[p] = true
		}
	}
	one.partitions = slices.DeleteFunc(one.partitions, func(p Partition) bool {
		gone := slices.Contains(forget, p)
		if gone {
			delete(one.tell, p)
		}
		return gone
	})
	return rotated(one.partitions, epoch), nil
}

func (s *Sessions) open(conn uint64, k Key, partitions []Partition, acks bool) ([]Partition, error) {
	if acks {
		return nil, fmt.Errorf("acknowledgements before the session of member %q of group %q: %w", k.Member, k.Group, kerr.InvalidRequest)
	}
	s.End(k)
	if len(s.all) >= s.max {
		return nil, fmt.Errorf("there are %d share sessions: %w", len(s.all), kerr.ShareSessionLimitReached)
	}
	k = Key{strings.Clone(k.Group), strings.Clone(k.Member)}
	one := &session{conn: conn, epoch: 1, tell: make(map[Partition]bool)}
	for _, p := range partitions {
		if !slices.Contains(one.partitions, p) {
			one.partitions = append(one.partitions, p)
		}
	}
	s.all[k] = one
	s.byConn[conn] = append(s.byConn[conn], k)
	return slices.Clone(one.partitions), nil
}

// Acknowledge takes in a ShareAcknowledge: it cannot open a session, and leaves a Close to End.
func (s *Sessions) Acknowledge(k Key, epoch int32) error {
	if epoch == Open {
		return fmt.Errorf("acknowledgements with epoch 0: %w", kerr.InvalidShareSessionEpoch)
	}
	if err := s.check(k, epoch); err != nil {
		return err
	}
	if epoch != Close {
		s.all[k].advance()
	}
	return nil
}

func (s *Sessions) check(k Key, epoch int32) error {
	one := s.all[k]
	if one == nil {
		return fmt.Errorf("member %q of group %q has no session: %w", k.Member, k.Group, kerr.ShareSessionNotFound)
	}
	if epoch != Close && epoch != one.epoch {
		return fmt.Errorf("epoch %d of member %q of group %q should be %d: %w", epoch, k.Member, k.Group, one.epoch, kerr.InvalidShareSessionEpoch)
	}
	return nil
}

func (one *session) advance() {
	if one.epoch == math.MaxInt32 {
		one.epoch = 0
	}
	one.epoch++
}

// rotated begins with another partition each time, so that none is first always.
func rotated(partitions []Partition, epoch int32) []Partition {
	if len(partitions) == 0 {
		return nil
	}
	n := int(epoch) % len(partitions)
	return slices.Concat(partitions[n:], partitions[:n])
}

// Tells tells whether the answer to a Fetch has the partition: it brings records, or an error, or is told for the first time
// or since an error. An answer to an Open has all.
func (s *Sessions) Tells(k Key, p Partition, records, failed bool) bool {
	one := s.all[k]
	if one == nil {
		return true
	}
	i := slices.Index(one.partitions, p)
	if i < 0 {
		return true
	}
	told := records || failed || one.tell[p]
	delete(one.tell, p)
	if failed {
		one.tell[p] = true
	}
	if records {
		one.partitions = append(slices.Delete(one.partitions, i, i+1), p)
	}
	return told
}

// End ends a session, and returns its partitions: what the member acquired of them is to be released.
func (s *Sessions) End(k Key) []Partition {
	one := s.all[k]
	if one == nil {
		return nil
	}
	delete(s.all, k)
	keys := slices.DeleteFunc(s.byConn[one.conn], func(other Key) bool { return other == k })
	if len(keys) == 0 {
		delete(s.byConn, one.conn)
	} else {
		s.byConn[one.conn] = keys
	}
	return one.partitions
}

// Disconnected lists the sessions of a connection that is gone: each is to be ended.
func (s *Sessions) Disconnected(conn uint64) []Key { return slices.Clone(s.byConn[conn]) }
