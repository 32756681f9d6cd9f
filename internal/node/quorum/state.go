package quorum

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path/filepath"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
)

// stateFile keeps what raft must not forget: the term and the vote. Its name, its form and the names of these fields are
// those of Kafka's; the fields below "raft" are ours.
const stateFile = "quorum-state"

// maxStateBytes is more than the file has with hundreds of voters.
const maxStateBytes = 1 << 20

// state is the content of quorum-state. It is replaced as a whole before anything that depends on it is done.
type state struct {
	LeaderID    int32     `json:"leaderId"` // as far as known when the file was written; raft does not need it
	LeaderEpoch int32     `json:"leaderEpoch"`
	VotedID     int32     `json:"votedId"`
	Raft        raftState `json:"raft"`
	DataVersion int       `json:"data_version"`
}

type raftState struct {
	ClusterID string `json:"clusterId"`
	NodeID    int32  `json:"nodeId"`
	// Member is this node's id in raft; a file of an earlier version has none, and that of a voter that the quorum began with
	// needs none. Vote is the one whose node is votedId.
	Member uint64 `json:"member,omitempty"`
	Vote   uint64 `json:"vote,omitempty"`
	// Commit is a lower bound: commits alone are not written down, a new leader finds them again.
	Commit uint64 `json:"commit"`
	// Joined says that this node knows no members but those that a leader's snapshot will name.
	Joined bool `json:"joined,omitempty"`
	// Snapshot is where the log begins for raft. Index 0 is the empty Image.
	Snapshot snapshotPoint `json:"snapshot"`
	// Checksum is the CRC-32C of the file as it is without this field; a file of an earlier version has none. It is in no state
	// but that of a file.
	Checksum *uint32 `json:"checksum,omitempty"`
}

// snapshotPoint names a snapshot: everything below Offset, which are the entries up to Index, the last of term Epoch.
type snapshotPoint struct {
	Offset kafka.Offset `json:"offset"`
	Epoch  int32        `json:"epoch"`
	Index  uint64       `json:"index"`
	Conf   confState    `json:"conf"`
	// Notes are on the members in Conf.
	Notes notes `json:"members,omitempty"`
}

// confState are raft's members as of a snapshot, by raft's ids (ids.go).
type confState struct {
	Voters         []uint64 `json:"voters"`
	VotersOutgoing []uint64 `json:"votersOutgoing,omitempty"`
	Learners       []uint64 `json:"learners,omitempty"`
	LearnersNext   []uint64 `json:"learnersNext,omitempty"`
	AutoLeave      bool     `json:"autoLeave,omitempty"`
}

func toConfState(c *raftpb.ConfState) confState {
	return confState{
		Voters: c.GetVoters(), VotersOutgoing: c.GetVotersOutgoing(), Learners: c.GetLearners(),
		LearnersNext: c.GetLearnersNext(), AutoLeave: c.GetAutoLeave(),
	}
}

func (c confState) raft() *raftpb.ConfState {
	return &raftpb.ConfState{
		Voters: c.Voters, VotersOutgoing: c.VotersOutgoing, Learners: c.Learners,
		LearnersNext: c.LearnersNext, AutoLeave: &c.AutoLeave,
	}
}

func (r *raftState) member() uint64 {
	if r.Member == 0 {
		return founderID(kafka.NodeID(r.NodeID))
	}
	return r.Member
}

// vote is the member that was voted for in this term, 0 for none.
func (s *state) vote() uint64 {
	switch {
	case s.VotedID < 0:
		return 0
	case nodeID(s.Raft.Vote) != kafka.NodeID(s.VotedID): // of an earlier version
		return founderID(kafka.NodeID(s.VotedID))
	}
	return s.Raft.Vote
}

// parseState reads quorum-state. It refuses what would make raft panic or trust a foreign file.
func parseState(b []byte) (state, error) {
	var s state
	if err := json.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err := s.verify(); err != nil {
		return s, err
	}
	p := s.Raft.Snapshot
	switch {
	case s.DataVersion != 1:
		return s, fmt.Errorf("data_version %d, only 1 is known", s.DataVersion)
	case s.LeaderEpoch < 0 || s.VotedID < -1:
		return s, fmt.Errorf("leaderEpoch %d, votedId %d", s.LeaderEpoch, s.VotedID)
	case s.Raft.Member != 0 && nodeID(s.Raft.Member) != kafka.NodeID(s.Raft.NodeID):
		return s, fmt.Errorf("member %d is not of node %d", s.Raft.Member, s.Raft.NodeID)
	case len(p.Conf.Voters) == 0 && (!s.Raft.Joined || p.Index > 0):
		return s, errors.New("no voters")
	case p.Offset < 0 || p.Epoch < 0 || p.Epoch > s.LeaderEpoch || (p.Index == 0) != (p.Offset == 0):
		return s, fmt.Errorf("snapshot at offset %d of epoch %d, index %d", p.Offset, p.Epoch, p.Index)
	}
	return s, nil
}

// verify checks what was read against its checksum, and takes this out.
func (s *state) verify() error {
	told := s.Raft.Checksum
	s.Raft.Checksum = nil
	if told == nil {
		return nil
	}
	sum, err := s.checksum()
	if err == nil && sum != *told {
		err = fmt.Errorf("%w: its checksum is %d, not %d", ErrDamaged, sum, *told)
	}
	return err
}

// checksum is that of the state without one.
func (s *state) checksum() (uint32, error) {
	b, err := json.Marshal(s)
	return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)), err
}

// loadState returns nothing where there is no file.
func loadState(fsys vfs.FS, dir string) (s state, found bool, err error) {
	b, err := vfs.ReadFile(fsys, filepath.Join(dir, stateFile), maxStateBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return s, false, nil
	}
	if err == nil {
		s, err = parseState(b)
	}
	if err != nil {
		return s, false, fmt.Errorf("read %s: %w", stateFile, err)
	}
	return s, true, nil
}

// encode is the content of the file, with its checksum.
func (s state) encode() ([]byte, error) {
	sum, err := s.checksum()
	if err != nil {
		return nil, err
	}
	s.Raft.Checksum = &sum
	return json.Marshal(s)
}

func saveState(fsys vfs.FS, dir string, s state) error {
	b, err := s.encode()
	if err == nil {
		err = vfs.Replace(fsys, filepath.Join(dir, stateFile), append(b, '\n'))
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", stateFile, err)
	}
	return nil
}
