package quorum

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/peer"
)

// Admit lets a node into the quorum, as a learner. This node must lead; another names the one that does.
func (q *Quorum) Admit(ctx context.Context, req *peer.JoinRequest) *peer.JoinResponse {
	o := q.ask(ctx, req)
	resp := &peer.JoinResponse{ClusterID: q.cfg.ClusterID, Leader: int32(q.status.Load().Leader), Members: q.Members()}
	if o.err != nil {
		code := kerr.UnknownServerError
		if errors.Is(o.err, context.DeadlineExceeded) || errors.Is(o.err, context.Canceled) {
			code = kerr.RequestTimedOut
		}
		errors.As(o.err, &code)
		resp.ErrorCode, resp.ErrorMessage = code.Code, o.err.Error()
	}
	return resp
}

// join admits a node. One that comes with an empty disk under an id that the quorum knows has forgotten whom it voted for, and which
// entries it had acknowledged. It is removed first, and then admitted anew, in two changes: so it begins as a learner of
// which raft knows nothing, and neither what it once acknowledged nor its vote counts any more. Why that is enough:
//
//   - Entries. It runs no raft before it is admitted, so the removal is committed by a majority of the old members without it,
//     and all of them have every entry before the removal. What was committed by its acknowledgement alone is safe from then on.
//   - Votes. When it runs raft again the removal is committed. A candidate that still takes it for a voter, because it has not
//     applied the removal, needs a majority of the old members: the forgetful one, itself, and enough others that one of them
//     is among those that stored the removal, or whatever was committed after it by the new majority. That one refuses a
//     candidate whose log lacks it. A candidate that has it is no danger, whoever votes for it: a second one in the same term
//     would need the same others.
//   - Messages of its earlier life. Those that wait are taken before the removal is proposed; its connections had ended before it
//     could say Hello again.
func (l *loop) join(now time.Time, s *submission, req *peer.JoinRequest) {
	l.drainMessages(now)
	if !l.leading {
		s.reply <- outcome{err: l.errNotLeader()}
		return
	}
	id := kafka.NodeID(req.NodeID)
	w := &want{id: id, until: s.until, done: func(err error) { s.reply <- outcome{err: err, offset: l.image.Offset()} }}
	if err := l.checkJoin(id, req); err != nil {
		w.end(err)
		return
	}
	forget := req.Fresh && isMember(l.conf, id)
	w.next = func(now time.Time) (*change, error) {
		about := l.admission(id, req)
		switch known := isMember(l.conf, id); {
		case known && forget && isVoter(l.conf, id) && !l.wouldStand(now, l.others(id)):
			return nil, fmt.Errorf("node %d is a voter, and without it the quorum has no majority: %w", id, errNotYet)
		case known && forget:
			return &change{steps: steps(remove(id)), about: l.notes}, nil
		case !known:
			forget = false
			if len(l.voters)+len(l.learners) >= maxMembers {
				return nil, fmt.Errorf("the cluster has %d nodes already: %w", maxMembers, kerr.PolicyViolation)
			}
			return &change{steps: steps(learn(id)), about: l.notes.with(about)}, nil
		}
		return nil, nil
	}
	l.want(now, w)
}

func (l *loop) checkJoin(id kafka.NodeID, req *peer.JoinRequest) error {
	if err := l.wrongCluster(&req.ClusterID); err != nil {
		return err
	}
	n, registered := l.image.Node(id)
	switch {
	case id < 0:
		return fmt.Errorf("node id %d: %w", id, kerr.InvalidRequest)
	case id == l.cfg.NodeID, req.Fresh && registered && n.Active():
		return fmt.Errorf("node %d is alive: another node with an empty disk may not have its id: %w", id, kerr.DuplicateBrokerRegistration)
	}
	return nil
}

// admission is the note on a node that joins.
func (l *loop) admission(id kafka.NodeID, req *peer.JoinRequest) note {
	about := note{ID: id, Host: req.Host, Port: req.Port, Epoch: -1}
	if n, ok := l.image.Node(id); ok {
		about.Epoch = n.Epoch
	}
	if len(req.DirectoryIDs) > 0 {
		about.Dir = kafka.TopicID(req.DirectoryIDs[0]).String()
	}
	return about
}
