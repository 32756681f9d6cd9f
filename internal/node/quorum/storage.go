package quorum

import (
	"fmt"
	"path/filepath"
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/core/metadata"
)

const (
	// cacheBytes of the newest entries stay in memory, so that what was just appended is applied and sent without
	// being read again.
	cacheBytes = 256 << 10
	readChunk  = 1 << 20
	// trailingEntries before a snapshot stay in the log of a quorum with several members, for those a little behind.
	trailingEntries = 1000
)

// storage is the log and the state file as raft sees them: it implements raft.Storage. The loop alone uses it.
//
// Entries have indexes without gaps, batches have offsets; refs holds the offset and the term of every entry after
// first-1. It is rebuilt at start from the log's batches after the snapshot, whose index the state file knows.
type storage struct {
	log Log
	fs  vfs.FS
	dir string

	state state
	// first is the index of refs[0]; the entry before it had prevTerm.
	first    uint64
	prevTerm uint64
	refs     []entryRef
	// cached are the entries at the end of the log, of cachedBytes in all.
	cached      []*raftpb.Entry
	cachedBytes int
	// sinceSnapshot are the bytes of the entries after the snapshot.
	sinceSnapshot int64
	buf           []byte
	// confs are the indexes of the changes of members in the log that the state file does not know as committed.
	confs []uint64
	// unread is why entries could not be read; raft panics with it.
	unread error
}

// entryRef is where an entry's batch begins.
type entryRef struct {
	base kafka.Offset
	term uint64
}

// openStorage reads what the folder holds; an empty one gets cfg's voters, and nothing is written yet.
func openStorage(cfg *Config) (*storage, *metadata.Image, error) {
	s := &storage{log: cfg.Log, fs: cfg.FS, dir: cfg.Dir}
	st, found, err := loadState(cfg.FS, cfg.Dir)
	switch {
	case err != nil:
		return nil, nil, err
	case !found && cfg.Log.End() > 0:
		return nil, nil, fmt.Errorf("%w: the log ends at offset %d, but %s is missing", ErrDamaged, cfg.Log.End(), stateFile)
	case !found:
		st = newState(cfg)
	case st.Raft.ClusterID != cfg.ClusterID:
		return nil, nil, fmt.Errorf("%s is of cluster %s, this is %s", stateFile, st.Raft.ClusterID, cfg.ClusterID)
	case st.Raft.NodeID != int32(cfg.NodeID):
		return nil, nil, fmt.Errorf("%s is of node %d, this is %d", stateFile, st.Raft.NodeID, cfg.NodeID)
	}
	s.state = st
	img, err := loadSnapshot(cfg.FS, cfg.Dir, cfg.ClusterID, st.Raft.Snapshot)
	if err != nil {
		return nil, nil, err
	}
	if err := s.alignLog(); err != nil {
		return nil, nil, err
	}
	if err := s.scan(); err != nil {
		return nil, nil, fmt.Errorf("scan the log from offset %d: %w", st.Raft.Snapshot.Offset, err)
	}
	// A commit index beyond the log cannot be: a commit is saved only once its entries are durable.
	if last := s.last(); s.state.Raft.Commit > last {
		return nil, nil, fmt.Errorf("%w: %s has commit %d, but the log ends at index %d", ErrDamaged, stateFile, s.state.Raft.Commit, last)
	}
	return s, img, nil
}

func newState(cfg *Config) state {
	voters := make([]uint64, len(cfg.Voters))
	for i, id := range cfg.Voters {
		voters[i] = founderID(id)
	}
	st := state{LeaderID: -1, VotedID: -1, DataVersion: 1}
	st.Raft.ClusterID, st.Raft.NodeID, st.Raft.Joined = cfg.ClusterID, int32(cfg.NodeID), cfg.Joined
	st.Raft.Snapshot.Conf.Voters = voters
	alone := len(voters) == 1 && !cfg.Directory.IsZero()
	if cfg.Joined || alone {
		st.Raft.Member = joinerID(cfg.NodeID, cfg.Directory)
	}
	if alone {
		voters[0] = st.Raft.Member
	}
	return st
}

// alignLog makes the log continue the snapshot. A received snapshot is written, then named by the state file, then the log
// is begun anew behind it. A crash between the last two leaves a log that ends before the snapshot, or that has other
// entries in its place; what we wrote ourselves has the snapshot's last batch, or begins where the snapshot ends.
func (s *storage) alignLog() error {
	p := s.state.Raft.Snapshot
	start, end := s.log.Start(), s.log.End()
	switch {
	case start > p.Offset && start < end:
		return fmt.Errorf("%w: the log begins at offset %d, after the snapshot's end at %d", ErrDamaged, start, p.Offset)
	case start == p.Offset:
		return nil
	case end < p.Offset || start > p.Offset:
		return s.log.StartAt(p.Offset)
	}
	b, err := s.log.Read(nil, p.Offset-1, 1)
	if err != nil {
		return fmt.Errorf("read the log before the snapshot's end at %d: %w", p.Offset, err)
	}
	h, err := batch.ParseHeader(b)
	if err != nil {
		return fmt.Errorf("read the log before the snapshot's end at %d: %w", p.Offset, err)
	}
	if h.NextOffset() == p.Offset && int32(h.LeaderEpoch) == p.Epoch {
		return nil
	}
	return s.log.StartAt(p.Offset)
}

// scan fills refs from the log's batches.
func (s *storage) scan() error {
	p := s.state.Raft.Snapshot
	s.first, s.prevTerm = p.Index+1, uint64(p.Epoch)
	for next := p.Offset; next < s.log.End(); {
		b, err := s.log.Read(s.buf[:0], next, readChunk)
		if err != nil {
			return err
		}
		s.buf = b
		if len(b) == 0 {
			return fmt.Errorf("%w: nothing at offset %d, the log ends at %d", ErrDamaged, next, s.log.End())
		}
		for one, err := range batch.Split(b) {
			if err == nil {
				err = batch.CheckCRC(one)
			}
			if err != nil {
				return fmt.Errorf("%w: at offset %d: %w", ErrDamaged, next, err)
			}
			h, err := batch.ParseHeader(one)
			if err != nil {
				return fmt.Errorf("%w: at offset %d: %w", ErrDamaged, next, err)
			}
			if h.BaseOffset != next || h.LeaderEpoch < 0 {
				return fmt.Errorf("%w: batch at offset %d of epoch %d where %d was expected", ErrDamaged, h.BaseOffset, h.LeaderEpoch, next)
			}
			s.refs = append(s.refs, entryRef{h.BaseOffset, uint64(h.LeaderEpoch)})
			if index := s.last(); h.Attributes.IsControl() && index > s.state.Raft.Commit {
				e, err := decodeEntry(one, index)
				if err != nil {
					return err
				}
				s.noteConf(e)
			}
			s.sinceSnapshot += int64(len(one))
			next = h.NextOffset()
		}
	}
	return nil
}

// last is the index of the last entry.
func (s *storage) last() uint64 { return s.first + uint64(len(s.refs)) - 1 }

// offsetAfter is the offset that follows an entry's.
func (s *storage) offsetAfter(index uint64) kafka.Offset {
	if index == s.last() {
		return s.log.End()
	}
	return s.refs[index+1-s.first].base
}

// endAt is offsetAfter for an entry that may be gone: then it is the log's start.
func (s *storage) endAt(index uint64) kafka.Offset {
	if index+1 < s.first || index > s.last() {
		return s.log.Start()
	}
	return s.offsetAfter(index)
}

// InitialState implements raft.Storage.
func (s *storage) InitialState() (*raftpb.HardState, *raftpb.ConfState, error) {
	term, vote := uint64(s.state.LeaderEpoch), s.state.vote()
	commit := max(s.state.Raft.Commit, s.state.Raft.Snapshot.Index)
	return &raftpb.HardState{Term: &term, Vote: &vote, Commit: &commit}, s.state.Raft.Snapshot.Conf.raft(), nil
}

// FirstIndex implements raft.Storage.
func (s *storage) FirstIndex() (uint64, error) { return s.first, nil }

// LastIndex implements raft.Storage.
func (s *storage) LastIndex() (uint64, error) { return s.last(), nil }

// Term implements raft.Storage.
func (s *storage) Term(index uint64) (uint64, error) {
	switch {
	case index == s.first-1:
		return s.prevTerm, nil
	case index < s.first:
		return 0, raft.ErrCompacted
	case index > s.last():
		return 0, raft.ErrUnavailable
	}
	return s.refs[index-s.first].term, nil
}

// Entries implements raft.Storage.
func (s *storage) Entries(lo, hi, maxSize uint64) ([]*raftpb.Entry, error) {
	switch {
	case lo < s.first:
		return nil, raft.ErrCompacted
	case hi > s.last()+1:
		return nil, raft.ErrUnavailable
	}
	if cachedFrom := s.last() + 1 - uint64(len(s.cached)); lo >= cachedFrom {
		var out []*raftpb.Entry
		size := uint64(0)
		for _, e := range s.cached[lo-cachedFrom : hi-cachedFrom] {
			if size += uint64(len(e.GetData())); len(out) > 0 && size > maxSize {
				break
			}
			out = append(out, e)
		}
		return out, nil
	}
	out, err := s.readEntries(lo, hi, maxSize)
	s.unread = err
	return out, err
}

func (s *storage) readEntries(lo, hi, maxSize uint64) ([]*raftpb.Entry, error) {
	var out []*raftpb.Entry
	size := uint64(0)
	for lo < hi {
		// The entries keep the memory that they are read into.
		b, err := s.log.Read(nil, s.refs[lo-s.first].base, int(min(readChunk, max(maxSize, 1))))
		if err != nil {
			return nil, fmt.Errorf("read entry %d: %w", lo, err)
		}
		if len(b) == 0 {
			return nil, fmt.Errorf("read entry %d: nothing at offset %d", lo, s.refs[lo-s.first].base)
		}
		for one, err := range batch.Split(b) {
			if err != nil {
				return nil, fmt.Errorf("read entry %d: %w", lo, err)
			}
			if size += uint64(len(one)); lo == hi || len(out) > 0 && size > maxSize {
				return out, nil
			}
			e, err := decodeEntry(one, lo)
			if err != nil {
				return nil, fmt.Errorf("read entry %d: %w", lo, err)
			}
			out = append(out, e)
			lo++
		}
	}
	return out, nil
}

// Snapshot implements raft.Storage: raft asks for it when a member needs entries that are gone.
func (s *storage) Snapshot() (*raftpb.Snapshot, error) {
	p := s.state.Raft.Snapshot
	if p.Index == 0 {
		return nil, raft.ErrSnapshotTemporarilyUnavailable
	}
	b, err := vfs.ReadFile(s.fs, filepath.Join(s.dir, checkpointName(p.Offset, p.Epoch)), maxSnapshotBytes)
	if err != nil {
		return nil, err
	}
	if b, err = appendToSnapshot(b, p.Notes, p.Offset); err != nil {
		return nil, err
	}
	term := uint64(p.Epoch)
	return &raftpb.Snapshot{
		Data:     b,
		Metadata: &raftpb.SnapshotMetadata{ConfState: p.Conf.raft(), Index: &p.Index, Term: &term},
	}, nil
}

// append writes entries, which flush makes durable. Where their indexes are taken, what is there belonged to a leader that
// lost, and goes. After an error for want of room it may be called again with the same.
func (s *storage) append(entries []*raftpb.Entry, encode func(*raftpb.Entry, kafka.Offset) []byte) error {
	if first := entries[0].GetIndex(); first <= s.last() {
		if err := s.truncate(first); err != nil {
			return err
		}
	}
	begin := s.log.End()
	end, next := begin, s.last()+1
	refs := make([]entryRef, 0, len(entries))
	out := s.buf[:0]
	for _, e := range entries {
		b := encode(e, end)
		h, err := batch.ParseHeader(b)
		if err != nil {
			return fmt.Errorf("append entry %d: %w", e.GetIndex(), err)
		}
		if h.BaseOffset != end || uint64(h.LeaderEpoch) != e.GetTerm() || e.GetIndex() != next {
			return fmt.Errorf("append entry %d of term %d: its batch has offset %d and epoch %d, the log ends at index %d, offset %d",
				e.GetIndex(), e.GetTerm(), h.BaseOffset, h.LeaderEpoch, next-1, end)
		}
		refs = append(refs, entryRef{end, e.GetTerm()})
		out = append(out, b...)
		end, next = h.NextOffset(), next+1
	}
	if s.buf = out; cap(out) > 2*readChunk {
		s.buf = nil
	}
	if err := s.log.Append(out); err != nil {
		err = fmt.Errorf("append to the metadata log: %w", err)
		if s.log.End() == begin {
			return err
		}
		if terr := s.log.TruncateTo(begin); terr != nil { // the first of several segments took its part
			return fmt.Errorf("%w, after %v", terr, err)
		}
		return err
	}
	s.refs = append(s.refs, refs...)
	for _, e := range entries {
		s.noteConf(e)
	}
	s.sinceSnapshot += int64(len(out))
	s.remember(entries)
	return nil
}

// flush makes durable what was appended.
func (s *storage) flush() error {
	if err := s.log.Flush(); err != nil {
		return fmt.Errorf("flush the metadata log: %w", err)
	}
	return nil
}

func (s *storage) truncate(from uint64) error {
	if from < s.first {
		return fmt.Errorf("truncate the metadata log at index %d: it begins at %d", from, s.first)
	}
	base := s.refs[from-s.first].base
	s.refs = s.refs[:from-s.first]
	s.confs = slices.DeleteFunc(s.confs, func(i uint64) bool { return i >= from })
	s.cached, s.cachedBytes = nil, 0
	if err := s.log.TruncateTo(base); err != nil {
		return fmt.Errorf("truncate the metadata log at offset %d: %w", base, err)
	}
	return nil
}

// remember keeps the newest entries in memory, those of the last append whatever their size: they are not applied yet.
func (s *storage) remember(entries []*raftpb.Entry) {
	for _, e := range entries {
		s.cachedBytes += len(e.GetData())
	}
	s.cached = append(s.cached, entries...)
	drop := 0
	for drop < len(s.cached)-len(entries) && s.cachedBytes > cacheBytes {
		s.cachedBytes -= len(s.cached[drop].GetData())
		drop++
	}
	if drop > 0 {
		s.cached = append(make([]*raftpb.Entry, 0, len(s.cached)-drop), s.cached[drop:]...)
	}
}
