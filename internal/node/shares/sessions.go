package shares

import (
	"context"

	"github.com/headrace/headrace/internal/core/share/session"
)

// BeginFetch takes a ShareFetch of a session in, and returns which partitions to fetch. A session that begins ends with ctx, which
// is the connection's.
func (s *Shares) BeginFetch(ctx context.Context, k session.Key, epoch int32, add, forget []session.Partition, acks bool) ([]session.Partition, error) {
	s.mu.Lock()
	var before []session.Partition
	if epoch == session.Open {
		before = s.mu.sessions.Partitions(k)
	}
	id := s.mu.lastConn + 1
	wants, err := s.mu.sessions.Fetch(id, k, epoch, add, forget, acks)
	if err == nil && epoch == session.Open {
		s.mu.lastConn = id
		if old, ok := s.mu.conns[k]; ok {
			old.stop()
		}
		s.mu.conns[k] = conn{id, context.AfterFunc(ctx, func() { s.disconnected(id) })}
	}
	s.mu.Unlock()
	if err == nil {
		s.release(k, before)
	}
	return wants, err
}

// BeginAcknowledge takes a ShareAcknowledge of a session in.
func (s *Shares) BeginAcknowledge(k session.Key, epoch int32) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.sessions.Acknowledge(k, epoch)
}

// Tells tells whether the answer to a fetch has the partition.
func (s *Shares) Tells(k session.Key, p session.Partition, records, failed bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.sessions.Tells(k, p, records, failed)
}

// EndSession ends a session: what its member has acquired and not acknowledged is given back.
func (s *Shares) EndSession(k session.Key) {
	s.mu.Lock()
	partitions := s.mu.sessions.End(k)
	if c, ok := s.mu.conns[k]; ok {
		c.stop()
		delete(s.mu.conns, k)
	}
	s.mu.Unlock()
	s.release(k, partitions)
}

func (s *Shares) disconnected(id uint64) {
	s.mu.Lock()
	keys := s.mu.sessions.Disconnected(id)
	s.mu.Unlock()
	for _, k := range keys {
		s.EndSession(k)
	}
}

func (s *Shares) release(k session.Key, partitions []session.Partition) {
	for _, p := range partitions {
		if l := s.existing(key{k.Group, p}); l != nil {
			l.release(k.Member)
		}
	}
}
