package quorum

import (
	"slices"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/headrace/headrace/internal/base/kafka"
)

func (s *storage) noteConf(e *raftpb.Entry) {
	if e.GetType() != raftpb.EntryNormal {
		s.confs = append(s.confs, e.GetIndex())
	}
}

// commitsConf tells whether a commit covers a change of members that the state file does not know as committed.
//
// Such a commit is written down before anything is said or done about it. Commits are lower bounds otherwise, and a node
// that restarts may know fewer of them than before; but it must never go back to members that it had left. Say node 1 was
// the only voter, and 2 and 3 became voters. Restarted with the log, but with a commit from before, it would be alone again,
// elect itself, and commit what 2 and 3 know nothing of, while they elect one of themselves. For the same reason the
// commit of change n must be durable before the entry of change n+1 is acknowledged: both come in one message, for a leader
// proposes a change only when it has applied the one before.
func (s *storage) commitsConf(commit uint64) bool { return len(s.confs) > 0 && s.confs[0] <= commit }

// saveVote keeps term and vote, and leaves the commit as it is: what stands in the log there may be about to be replaced by the
// entries that are committed.
func (s *storage) saveVote(hs *raftpb.HardState, leader kafka.NodeID) error {
	s.state.LeaderID = int32(leader)
	s.state.LeaderEpoch, s.state.VotedID = int32(hs.GetTerm()), int32(nodeID(hs.GetVote()))
	s.state.Raft.Vote = hs.GetVote()
	return saveState(s.fs, s.dir, s.state)
}

// saveCommit writes the state with a commit that is at least that, once the entries up to it are durable.
func (s *storage) saveCommit(commit uint64) error {
	s.state.Raft.Commit = max(s.state.Raft.Commit, min(commit, s.last()))
	if err := saveState(s.fs, s.dir, s.state); err != nil {
		return err
	}
	s.forgetConfs()
	return nil
}

func (s *storage) forgetConfs() {
	s.confs = slices.DeleteFunc(s.confs, func(i uint64) bool { return i <= s.state.Raft.Commit })
}
