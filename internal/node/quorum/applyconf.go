package quorum

import (
	"fmt"
	"slices"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/headrace/headrace/internal/core/metadata"
)

func (l *loop) applyConfChange(e *raftpb.Entry) error {
	var change raftpb.ConfChangeI
	var err error
	if e.GetType() == raftpb.EntryConfChange {
		cc := &raftpb.ConfChange{}
		err, change = unmarshal(e.GetData(), cc), cc
	} else {
		cc := &raftpb.ConfChangeV2{}
		err, change = unmarshal(e.GetData(), cc), cc
	}
	if err != nil {
		return fmt.Errorf("apply conf change at index %d: %w", e.GetIndex(), err)
	}
	about := l.notes
	if context := change.AsV2().GetContext(); len(context) > 0 {
		if about, err = decodeNotes(context); err != nil {
			return fmt.Errorf("apply conf change at index %d: %w", e.GetIndex(), err)
		}
	}
	before := l.conf
	l.setMembers(l.node.ApplyConfChange(change), about)
	for _, id := range slices.Concat(l.voters, l.learners) {
		l.newcomer = l.newcomer || !isMember(before, id)
	}
	l.log.Info("members of the metadata quorum", "voters", l.voters, "learners", l.learners)
	return nil
}

func isRegistration(r metadata.Record) bool { return r.Type() == metadata.TypeRegisterBroker }

func (l *loop) setMembers(conf *raftpb.ConfState, about notes) {
	l.conf, l.notes = conf, about
	l.voters = nodeIDs(conf.GetVoters(), conf.GetVotersOutgoing())
	l.learners = nodeIDs(conf.GetLearners(), conf.GetLearnersNext())
}
