package quorum

import (
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/controller"
	"github.com/headrace/headrace/internal/core/metadata"
)

func steps(s ...*raftpb.ConfChangeSingle) []*raftpb.ConfChangeSingle { return s }

// progress is what raft knows of a member while this node leads.
func (l *loop) progress(id kafka.NodeID) (tracker.Progress, bool) {
	var found tracker.Progress
	ok := false
	l.node.WithProgress(func(r uint64, _ raft.ProgressType, p tracker.Progress) {
		if nodeID(r) == id {
			found, ok = p, true
		}
	})
	return found, ok
}

// wrongCluster refuses what is meant for another cluster.
func (l *loop) wrongCluster(id *string) error {
	if id == nil || *id == "" || *id == l.cfg.ClusterID {
		return nil
	}
	return fmt.Errorf("this is cluster %s, the request is for cluster %s: %w", l.cfg.ClusterID, *id, kerr.InconsistentClusterID)
}

// addVoter answers AddRaftVoter: a learner becomes a voter when it has caught up.
func (l *loop) addVoter(now time.Time, s *submission, req *kmsg.AddRaftVoterRequest) {
	id := kafka.NodeID(req.VoterID)
	w := &want{id: id, until: s.until, done: func(err error) {
		resp := req.ResponseKind().(*kmsg.AddRaftVoterResponse)
		resp.ErrorCode, resp.ErrorMessage = refusal(err)
		l.replyChange(s, resp, err)
	}}
	if d := now.Add(time.Duration(req.TimeoutMillis) * time.Millisecond); req.TimeoutMillis > 0 && (w.until.IsZero() || d.Before(w.until)) {
		w.until = d
	}
	if err := l.checkNewVoter(id, req); err != nil {
		w.end(err)
		return
	}
	w.next = func(now time.Time) (*change, error) {
		switch {
		case isVoter(l.conf, id):
			return nil, nil
		case !isMember(l.conf, id):
			return nil, fmt.Errorf("node %d has left the cluster: %w", id, kerr.InvalidRequest)
		case l.noController(id):
			return nil, errNoController(id)
		case len(l.voters) >= l.cfg.MaxVoters:
			return nil, l.errTooManyVoters()
		case !l.answers(now, id) || !l.nearEnd(id):
			return nil, fmt.Errorf("node %d has not caught up with the metadata: %w", id, errNotYet)
		}
		about, _ := l.notes.find(id)
		about.Held = false
		return &change{steps: steps(l.vote(id)), about: l.notes.with(about)}, nil
	}
	l.want(now, w)
}

func (l *loop) checkNewVoter(id kafka.NodeID, req *kmsg.AddRaftVoterRequest) error {
	if err := l.wrongCluster(req.ClusterID); err != nil {
		return err
	}
	switch {
	case isVoter(l.conf, id):
		return fmt.Errorf("node %d is a voter already: %w", id, kerr.DuplicateVoter)
	case !isMember(l.conf, id):
		return fmt.Errorf("node %d is none of the cluster: start it with controller.quorum.bootstrap.servers naming this one: %w", id, kerr.InvalidRequest)
	case l.noController(id):
		return errNoController(id)
	case len(l.voters) >= l.cfg.MaxVoters:
		return l.errTooManyVoters()
	}
	return l.checkDirectory(id, req.VoterDirectoryID)
}

// noController tells whether a node is registered without the role controller.
func (l *loop) noController(id kafka.NodeID) bool {
	n, registered := l.lead.speculative.Node(id)
	return registered && !n.IsController()
}

func errNoController(id kafka.NodeID) error {
	return fmt.Errorf("node %d has process.roles=broker, and controllers alone vote: start it with process.roles=broker,controller first: %w", id, kerr.InvalidRequest)
}

func (l *loop) errTooManyVoters() error {
	return fmt.Errorf("%d nodes vote, and headrace.quorum.voters.max is %d: remove one, or raise it: %w",
		len(l.voters), l.cfg.MaxVoters, kerr.InvalidRequest)
}

// checkDirectory refuses a request about a node with another disk. Who names no directory means any.
func (l *loop) checkDirectory(id kafka.NodeID, told kafka.TopicID) error {
	if known := l.directory(id); !told.IsZero() && told != known {
		return fmt.Errorf("node %d keeps its metadata in directory %s, not in %s: %w", id, known, told, kerr.InvalidVoterKey)
	}
	return nil
}

// removeVoter answers RemoveRaftVoter: a voter becomes a learner, and stays one until a request makes it a voter again. A
// learner that has caught up takes its place in the same change.
func (l *loop) removeVoter(now time.Time, s *submission, req *kmsg.RemoveRaftVoterRequest) {
	id := kafka.NodeID(req.VoterID)
	w := &want{id: id, until: s.until, done: func(err error) {
		resp := req.ResponseKind().(*kmsg.RemoveRaftVoterResponse)
		resp.ErrorCode, resp.ErrorMessage = refusal(err)
		l.replyChange(s, resp, err)
	}}
	if err := l.checkOldVoter(now, id, req); err != nil {
		w.end(err)
		return
	}
	w.next = func(now time.Time) (*change, error) {
		if !isVoter(l.conf, id) {
			return nil, nil
		}
		if err := l.leaveFirst(now, id); err != nil {
			return nil, err
		}
		ready := l.ready(now)
		if len(ready) == 0 && !l.wouldStand(now, l.others(id)) {
			return nil, l.errWouldFall(now, id)
		}
		if id == l.cfg.NodeID && len(ready) > 0 {
			return &change{steps: steps(l.vote(ready[0])), about: l.notes}, nil // somebody must be there to hand over to
		}
		about, _ := l.notes.find(id)
		about.Held = true
		c := &change{steps: steps(l.demote(id)), about: l.notes.with(about)}
		if len(ready) > 0 && len(l.voters) <= l.cfg.MaxVoters {
			c.steps = append(c.steps, l.vote(ready[0]))
		}
		return c, nil
	}
	l.want(now, w)
}

func (l *loop) checkOldVoter(now time.Time, id kafka.NodeID, req *kmsg.RemoveRaftVoterRequest) error {
	if err := l.wrongCluster(req.ClusterID); err != nil {
		return err
	}
	if !isVoter(l.conf, id) {
		return fmt.Errorf("node %d is none of the voters %s: %w", id, list(l.voters), kerr.VoterNotFound)
	}
	if err := l.checkDirectory(id, req.VoterDirectoryID); err != nil {
		return fmt.Errorf("%w: %w", err, kerr.VoterNotFound)
	}
	if len(l.voters) == 1 && len(l.ready(now)) == 0 {
		return fmt.Errorf("node %d is the only voter, and no other node can take its place yet: %w", id, kerr.InvalidRequest)
	}
	return nil
}

// leaveFirst has another voter lead before the leader goes; the request is then for that one.
func (l *loop) leaveFirst(now time.Time, id kafka.NodeID) error {
	switch {
	case id != l.cfg.NodeID:
		return nil
	case !l.transfer(now) && len(l.others(id)) > 0 && now.Sub(l.lead.since) < silence: // it has not heard the others yet
		return fmt.Errorf("node %d has just begun to lead the metadata quorum: %w: %w", id, errNotYet, kerr.NotController)
	case l.node.BasicStatus().LeadTransferee == 0:
		return nil
	}
	return fmt.Errorf("node %d leads the metadata quorum and hands over first: %w", id, kerr.NotController)
}

// errWouldFall refuses a removal. Who leads since a moment ago has not heard the others yet.
func (l *loop) errWouldFall(now time.Time, id kafka.NodeID) error {
	if now.Sub(l.lead.since) < silence {
		return errNotYet
	}
	var silent []kafka.NodeID
	for _, other := range l.others(id) {
		if !l.answers(now, other) {
			silent = append(silent, other)
		}
	}
	return fmt.Errorf("without node %d the quorum would have no majority, as there is no answer from %s: %w", id, list(silent), kerr.InvalidRequest)
}

// register has the controller register a node. One that votes must have the role controller: without it the quorum would count on
// a node that its operator means to do something else.
func (l *loop) register(now time.Time, s *submission, req *kmsg.BrokerRegistrationRequest) {
	id := kafka.NodeID(req.BrokerID)
	if isVoter(l.conf, id) && controller.Roles(req)&metadata.ControllerRole == 0 {
		s.reply <- outcome{err: fmt.Errorf("node %d votes on the metadata, and with process.roles=broker it cannot: take its vote first "+
			"(headrace cluster remove-voter %d, while it is stopped or has process.roles=broker,controller): %w", id, id, kerr.InvalidRegistration)}
		return
	}
	l.step(now, s)
}

// unregister has the controller forget a node, and then takes it out of the quorum. Should this node cease to lead in
// between, the next leader finds a member that is not registered (removeStray).
func (l *loop) unregister(now time.Time, s *submission, req *kmsg.UnregisterBrokerRequest) {
	id := kafka.NodeID(req.BrokerID)
	if err := l.leaveFirst(now, id); err != nil {
		s.reply <- outcome{err: err}
		return
	}
	l.step(now, s)
	l.want(now, &want{id: id, next: func(now time.Time) (*change, error) {
		_, registered := l.lead.speculative.Node(id)
		switch {
		case registered || !isMember(l.conf, id): // refused, or registered anew; or done
			return nil, nil
		case isVoter(l.conf, id) && (len(l.voters) == 1 || !l.wouldStand(now, l.others(id))):
			return nil, errNotYet
		}
		return l.remove(id), nil
	}})
}

// replyChange answers a request about voters. Who is not the leader any more says so in an error, so that the request finds
// the one that is.
func (l *loop) replyChange(s *submission, resp kmsg.Response, err error) {
	if errors.Is(err, kerr.NotController) {
		s.reply <- outcome{err: err}
		return
	}
	s.reply <- outcome{reply: resp, offset: l.image.Offset()}
}

// refusal is the code and the words of an error.
func refusal(err error) (int16, *string) {
	if err == nil {
		return 0, nil
	}
	code := kerr.UnknownServerError
	errors.As(err, &code)
	words := err.Error()
	return code.Code, &words
}
