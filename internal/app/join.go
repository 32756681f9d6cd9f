package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/conf"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/peer"
	"github.com/headrace/headrace/internal/storage/logdir"
)

const (
	// helloTime bounds one question to another node.
	helloTime = 2 * time.Second
	// checkTime is what a start with data spends on asking whether the others are of the same cluster.
	checkTime = 300 * time.Millisecond
	// Questions that bring nothing are asked again, at first soon: nodes are often started together.
	askAgainSoon, askAgainAtMost = 50 * time.Millisecond, time.Second
	// tellWaiting lies between two lines of the log about what a start waits for.
	tellWaiting = 5 * time.Second
	// duplicateTime is how long a node whose id is taken waits for the other to be gone, which may be its own process before.
	duplicateTime = 15 * time.Second
)

// way is how a node without data comes to its cluster.
type way int8

const (
	wayKnown  way = iota // it has data, or its own cluster: nobody needs to be asked
	wayFounds            // together with the other voters of a list
	wayJoins             // a cluster that is there
)

// seeker looks for the cluster of a node whose disk knows nothing of one.
//
// A list of first voters is believed only by a node whose disk is empty, and only when all on it have said that theirs are
// too. Otherwise a voter whose disk was replaced would begin as if it had never voted: it could elect a leader that lacks what
// it had acknowledged. So the nodes of a new list wait for one another, and one that comes back with an empty disk finds that
// the others have a cluster, and joins it, as a node that begins anew.
type seeker struct {
	n     *Node
	fresh map[kafka.NodeID]bool // of the list, those that have no cluster yet
	said  map[string]string     // what came of asking an address, for the log
	told  time.Time             // when the log was last told
	again time.Duration
	taken time.Time // when somebody first said that this node's id is taken; zero for never
}

// findCluster finds out which cluster a node without data belongs to. A node with data knows, and only looks whether the others
// that it was told of belong to the same.
func (n *Node) findCluster(ctx context.Context) error {
	c := n.Config.Cluster
	if n.Offline || len(c.Voters) == 0 && len(c.Join) == 0 {
		return nil
	}
	if id := cmp.Or(logdir.ClusterOf(n.Env.FS, n.allDirs()), c.ID); id != "" {
		n.peers.clusterID.Store(&id)
	}
	if n.hasState() {
		return n.checkCluster(ctx)
	}
	n.answerPeers()
	s := &seeker{n: n, fresh: map[kafka.NodeID]bool{}, said: map[string]string{}, again: askAgainSoon}
	for {
		done, err := s.ask(ctx, c)
		if done || err != nil {
			return err
		}
		s.tell()
		if !pause(ctx, s.again) {
			return ctx.Err()
		}
		s.again = min(2*s.again, askAgainAtMost)
	}
}

// checkCluster refuses to start a node whose data is of another cluster than the nodes that its configuration names. Those that do
// not answer at once are left out: when they do they refuse it themselves.
func (n *Node) checkCluster(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	var all sync.WaitGroup
	var others errorOnce
	for at := range n.addresses() {
		all.Go(func() {
			if _, err := n.link.Hello(ctx, at); errors.Is(err, kerr.InconsistentClusterID) {
				others.note(err)
			}
		})
	}
	all.Wait()
	return others.err
}

// errorOnce keeps the first of several errors.
type errorOnce struct {
	mu  sync.Mutex
	err error
}

func (e *errorOnce) note(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.err == nil {
		e.err = err
	}
}

// ask asks everybody once.
func (s *seeker) ask(ctx context.Context, c conf.ClusterConfig) (done bool, err error) {
	if len(c.Voters) > 0 {
		return s.askVoters(ctx, c.Voters)
	}
	return s.askServers(ctx, c.Join)
}

func (s *seeker) askVoters(ctx context.Context, voters []conf.Voter) (done bool, err error) {
	others := 0
	for _, v := range voters {
		if v.ID == s.n.Config.ID {
			continue
		}
		others++
		resp, err := s.hello(ctx, v.Address)
		switch {
		case err != nil:
			return false, err
		case resp == nil:
		case kafka.TopicID(resp.Incarnation) == s.n.incarnation:
			return false, fmt.Errorf("controller.quorum.voters: %s is the address of this node, not of node %d", v.Address, v.ID)
		case kafka.NodeID(resp.NodeID) != v.ID:
			return false, fmt.Errorf("controller.quorum.voters: at %s is node %d, not node %d", v.Address, resp.NodeID, v.ID)
		case len(resp.Members) > 0:
			s.join(v.Address, resp)
			return true, nil
		default:
			s.fresh[v.ID] = true
		}
	}
	if len(s.fresh) < others {
		return false, nil
	}
	s.n.way = wayFounds
	return true, nil
}

func (s *seeker) askServers(ctx context.Context, servers []string) (done bool, err error) {
	self := 0
	for _, at := range servers {
		resp, err := s.hello(ctx, at)
		switch {
		case err != nil:
			return false, err
		case resp == nil:
		case kafka.TopicID(resp.Incarnation) == s.n.incarnation:
			self++
		case len(resp.Members) > 0:
			s.join(at, resp)
			return true, nil
		default:
			s.said[at] = "it has no cluster yet: start the first node without --join (controller.quorum.bootstrap.servers)"
		}
	}
	if self < len(servers) {
		return false, nil
	}
	if !s.n.Config.Controller {
		return false, errors.New("process.roles=broker, and controller.quorum.bootstrap.servers (--join) names this node alone: name one with the role controller")
	}
	s.n.Log.Warn("the only address to join a cluster by (--join, controller.quorum.bootstrap.servers) is this node's own: it begins a new cluster",
		"asked", strings.Join(servers, ", "))
	return true, nil
}

func (s *seeker) join(at string, resp *peer.HelloResponse) {
	s.n.way = wayJoins
	s.n.joinBy = append(s.n.joinBy, at)
	for _, m := range resp.Members {
		if m.Host != "" {
			s.n.joinBy = append(s.n.joinBy, address(m.Host, m.Port))
		}
	}
	id := resp.ClusterID
	s.n.peers.clusterID.Store(&id)
}

// hello asks who is at an address. Without an answer, which may come later, both results are nil; an error is the end.
func (s *seeker) hello(ctx context.Context, at string) (*peer.HelloResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, helloTime)
	defer cancel()
	resp, err := s.n.link.Hello(ctx, at)
	switch {
	case err == nil:
		s.said[at] = ""
		return resp, nil
	case errors.Is(err, kerr.InconsistentClusterID), errors.Is(err, kerr.UnsupportedVersion):
		return nil, plain{err}
	case errors.Is(err, kerr.DuplicateBrokerRegistration):
		if s.taken.IsZero() {
			s.taken = time.Now()
		}
		if time.Since(s.taken) > duplicateTime {
			return nil, plain{err}
		}
	}
	s.said[at] = reasonOf(err)
	return nil, nil
}

// tell says in the log what the start waits for.
func (s *seeker) tell() {
	if !s.told.IsZero() && time.Since(s.told) < tellWaiting || s.again == askAgainSoon {
		return
	}
	s.told = time.Now()
	var words []string
	for at, why := range s.said {
		if why != "" {
			words = append(words, at+": "+why)
		}
	}
	slices.Sort(words)
	s.n.Log.Warn("waiting for the other nodes of the cluster", "no_answer", strings.Join(words, "; "))
}

// joinCluster asks the leader of the cluster to let this node in, until it does.
func (n *Node) joinCluster(ctx context.Context) error {
	if n.way != wayJoins {
		return nil
	}
	host, port, err := n.peerAddress()
	if err != nil {
		return err
	}
	req := &peer.JoinRequest{
		ClusterID: n.peers.cluster(), NodeID: int32(n.Config.ID), Incarnation: n.incarnation, Host: host, Port: port, Fresh: true,
		DirectoryIDs: [][16]byte{n.home.Meta().DirectoryID},
	}
	addresses, again, told := slices.Clone(n.joinBy), askAgainSoon, time.Time{}
	began := time.Now()
	for i := 0; ; i++ {
		at := addresses[i%len(addresses)]
		leader, err := n.askToJoin(ctx, at, req)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, kerr.InconsistentClusterID), errors.Is(err, kerr.PolicyViolation), errors.Is(err, kerr.InvalidRequest),
			errors.Is(err, kerr.DuplicateBrokerRegistration) && time.Since(began) > duplicateTime:
			return plain{fmt.Errorf("join the cluster by %s: %w", at, err)}
		case leader != "" && leader != at:
			addresses = slices.Insert(addresses, i%len(addresses)+1, leader) // it is the next to be asked
			addresses = addresses[:min(len(addresses), 64)]
			if again == askAgainSoon {
				continue
			}
		}
		if time.Since(told) > tellWaiting && again > askAgainSoon {
			told = time.Now()
			n.Log.Warn("waiting to be let into the cluster", "asked", at, "err", reasonOf(err))
		}
		if !pause(ctx, again) {
			return ctx.Err()
		}
		again = min(2*again, askAgainAtMost)
	}
}

// askToJoin asks once. The address of the leader comes back with an error that says that another node leads.
func (n *Node) askToJoin(ctx context.Context, at string, req *peer.JoinRequest) (leader string, err error) {
	ctx, cancel := context.WithTimeout(ctx, duplicateTime)
	defer cancel()
	resp, err := n.link.Join(ctx, at, req)
	if err != nil {
		return "", err
	}
	for _, m := range resp.Members {
		if m.ID == resp.Leader && m.Host != "" {
			leader = address(m.Host, m.Port)
		}
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return leader, fmt.Errorf("%s: %w", resp.ErrorMessage, err)
	}
	for _, m := range resp.Members {
		if m.Host != "" && kafka.NodeID(m.ID) != n.Config.ID {
			n.peers.reach(kafka.NodeID(m.ID), address(m.Host, m.Port), kafka.TopicID{})
		}
	}
	return leader, nil
}

// address is host:port.
func address(host string, port int32) string { return net.JoinHostPort(host, fmt.Sprint(port)) }

// pause waits, and tells whether it waited to the end.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
