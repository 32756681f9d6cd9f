package quorum

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/peer"
)

// longestHost is that of DNS. What a node says of itself travels in every change of members, which all must be able to read.
const longestHost = 255

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
// entries it had acknowledged. What it was before is removed from the members first, and then it is admitted as another, a
// learner of which raft knows nothing. Why that is enough:
//
//   - Entries. The removal is committed by a majority of the old members, and the one who is wiped is not among them: it runs no raft
//     before it is admitted, and what it may have said before is no word on the removal. Each of that majority has every entry
//     before the removal. So what was committed by the lost acknowledgement is safe from then on, and no new majority counts it.
//   - Votes. Its new raft id is no member until it is promoted. A vote that it gives under the new id counts for no candidate that has
//     not applied its promotion; and whom it once voted for, under the old id, it cannot be asked again.
//   - Messages of its earlier life name the old id, as sender or receiver, and are dropped.
//
// A disk of which only the metadata was lost has its directory id, and so its raft id, still. Then the second argument needs more: a
// candidate that takes it for a voter, because it has not applied the removal, needs a majority of the old members, and so, beside the
// two, one of those that stored the removal or what the new majority committed after it. That one refuses a candidate whose log lacks it;
// and one whose log has it all may lead. Messages of its earlier life are taken before the removal is proposed.
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
			return l.remove(id), nil
		case !known:
			forget = false
			if len(l.voters)+len(l.learners) >= maxMembers {
				return nil, fmt.Errorf("the cluster has %d nodes already: %w", maxMembers, kerr.PolicyViolation)
			}
			return &change{steps: steps(step(raftpb.ConfChangeAddLearnerNode, l.newMember(id, req))), about: l.notes.with(about)}, nil
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
	case id < 0, len(req.DirectoryIDs) == 0, req.DirectoryIDs[0] == [16]byte{}:
		return fmt.Errorf("node %d joins with %d directories: %w", id, len(req.DirectoryIDs), kerr.InvalidRequest)
	case req.Host == "", len(req.Host) > longestHost, req.Port < 1, req.Port > math.MaxUint16:
		return fmt.Errorf("node %d joins without a host and a port where others reach it: %w", id, kerr.InvalidRequest)
	case id == l.cfg.NodeID, req.Fresh && registered && n.Active():
		return fmt.Errorf("node %d is alive: another node with an empty disk may not have its id: %w", id, kerr.DuplicateBrokerRegistration)
	}
	return nil
}

// newMember is the raft id of a node that joins. One that was removed, and comes with the disk that it had, keeps its id.
func (l *loop) newMember(id kafka.NodeID, req *peer.JoinRequest) uint64 {
	if about, _ := l.notes.find(id); about.Gone != 0 && !req.Fresh {
		return about.Gone
	}
	return joinerID(id, req.DirectoryIDs[0])
}

// admission is the note on a node that joins.
func (l *loop) admission(id kafka.NodeID, req *peer.JoinRequest) note {
	about := note{ID: id, Host: req.Host, Port: req.Port, Epoch: -1}
	if n, ok := l.image.Node(id); ok {
		about.Epoch = n.Epoch
	}
	about.Dir = kafka.TopicID(req.DirectoryIDs[0]).String()
	return about
}
