package quorum

import (
	"encoding/binary"
	"errors"
	"fmt"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
)

// takeSnapshot writes img, the Image after the entry at index, and lets the log before it go. The order makes every crash
// harmless: the file is durable before the state names it, and the state names it before the log loses anything.
func (s *storage) takeSnapshot(img *metadata.Image, index uint64, conf *raftpb.ConfState, about notes, ms int64) error {
	term, err := s.Term(index)
	if err != nil {
		return fmt.Errorf("take snapshot at index %d: %w", index, err)
	}
	p := snapshotPoint{Offset: s.offsetAfter(index), Epoch: int32(term), Index: index, Conf: toConfState(conf), Notes: about}
	if err := s.install(p, encodeSnapshot(img, p.Epoch, ms)); err != nil {
		return err
	}
	s.sinceSnapshot = 0
	keepFrom := index + 1
	if memberCount(conf) > 1 {
		keepFrom = max(s.first, keepFrom-min(keepFrom, trailingEntries), firstForOthers)
	}
	return s.dropBefore(keepFrom)
}

// install makes a snapshot the one that a restart begins from.
func (s *storage) install(p snapshotPoint, b []byte) error {
	if err := saveSnapshot(s.fs, s.dir, p, b); err != nil {
		return err
	}
	s.state.Raft.Snapshot = p
	s.state.Raft.Commit = max(s.state.Raft.Commit, p.Index)
	s.state.LeaderEpoch = max(s.state.LeaderEpoch, p.Epoch)
	if err := saveState(s.fs, s.dir, s.state); err != nil {
		return err
	}
	s.forgetConfs()
	return removeOtherSnapshots(s.fs, s.dir, p)
}

func (s *storage) dropBefore(index uint64) error {
	if index <= s.first {
		return nil
	}
	prev, err := s.Term(index - 1)
	if err != nil {
		return err
	}
	offset := s.offsetAfter(index - 1)
	s.refs = append([]entryRef(nil), s.refs[index-s.first:]...)
	s.first, s.prevTerm = index, prev
	if kept := uint64(len(s.refs)); uint64(len(s.cached)) > kept {
		s.cached = append([]*raftpb.Entry(nil), s.cached[uint64(len(s.cached))-kept:]...)
		s.cachedBytes = 0
		for _, e := range s.cached {
			s.cachedBytes += len(e.GetData())
		}
	}
	if err := s.log.DropBefore(offset); err != nil {
		return fmt.Errorf("drop the metadata log before offset %d: %w", offset, err)
	}
	return nil
}

// firstForOthers is the first entry that a newcomer may be sent. The members that a log began with are in none of its
// entries: a newcomer that replayed it from the first one would apply the changes of members to no members. So the first one
// goes as soon as there may be newcomers, and raft sends these a snapshot, which names the members.
const firstForOthers = 2

// receiveSnapshot puts a leader's snapshot in the place of the whole log.
func (s *storage) receiveSnapshot(snap *raftpb.Snapshot, clusterID string) (*metadata.Image, error) {
	b, about, offset, err := splitSnapshot(snap.GetData())
	if err != nil {
		return nil, fmt.Errorf("received snapshot: %w", err)
	}
	m := snap.GetMetadata()
	p := snapshotPoint{Offset: offset, Epoch: int32(m.GetTerm()), Index: m.GetIndex(), Conf: toConfState(m.GetConfState()), Notes: about}
	img, err := decodeSnapshot(b, clusterID, offset)
	if err != nil {
		return nil, fmt.Errorf("received snapshot %s: %w", checkpointName(p.Offset, p.Epoch), err)
	}
	if err := s.install(p, b); err != nil {
		return nil, err
	}
	s.first, s.prevTerm, s.refs = p.Index+1, uint64(p.Epoch), nil
	s.cached, s.cachedBytes, s.sinceSnapshot, s.confs = nil, 0, 0, nil
	if err := s.log.StartAt(offset); err != nil {
		return nil, fmt.Errorf("begin the metadata log anew at offset %d: %w", offset, err)
	}
	return img, nil
}

// A snapshot travels as its file, the notes on the members, their length, and its end offset: raft's own metadata knows the
// index and the members' ids alone.

func appendToSnapshot(b []byte, about notes, end kafka.Offset) ([]byte, error) {
	n, err := encodeNotes(about)
	if err != nil {
		return nil, err
	}
	b = binary.BigEndian.AppendUint32(append(b, n...), uint32(len(n)))
	return binary.BigEndian.AppendUint64(b, uint64(end)), nil
}

func splitSnapshot(data []byte) ([]byte, notes, kafka.Offset, error) {
	n := len(data) - 12
	if n < 0 {
		return nil, nil, 0, errors.New("no end offset")
	}
	end := kafka.Offset(binary.BigEndian.Uint64(data[n+4:]))
	if end < 1 {
		return nil, nil, 0, fmt.Errorf("end offset %d", end)
	}
	file := n - int(binary.BigEndian.Uint32(data[n:]))
	if file < 0 {
		return nil, nil, 0, errors.New("notes on members are longer than the snapshot")
	}
	about, err := decodeNotes(data[file:n])
	return data[:file], about, end, err
}
