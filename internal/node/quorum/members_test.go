package quorum

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/controller"
)

// three is a cluster whose nodes 1, 2 and 3 vote.
func three(t *testing.T, seed uint64, config func(*Config)) *world {
	w := startWorld(t, seed, config)
	w.add(2)
	w.add(3)
	w.voters(1, 2, 3)
	return w
}

func TestTheSecondNodeLearnsAndTheThirdMakesThreeVoters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startWorld(t, 1, nil)
		w.create(1, "before")
		w.add(2)
		if _, ok := w.q(2).Image().Topic("before"); !ok {
			t.Error("the newcomer is ready and does not know a topic of before")
		}
		time.Sleep(10 * time.Second)
		w.voters(1)
		// A node that only learns can go, and nothing waits for it.
		w.kill(2)
		w.create(1, "without2")
		w.start(2, false)
		w.ready(2)
		w.register(2)
		w.add(3)
		w.voters(1, 2, 3)
		w.create(3, "through3")
		w.agree()
		w.add(4)
		time.Sleep(10 * time.Second)
		w.voters(1, 2, 3)
		// Three voters outlive any one of them.
		l := w.leader()
		w.kill(l)
		w.create(4, "without"+fmt.Sprint(l))
		w.agree()
	})
}

func TestNodesVoteAsSoonAsTheyAreActive(t *testing.T) {
	for phase := range 7 {
		synctest.Test(t, func(t *testing.T) {
			w := startWorld(t, uint64(phase), nil)
			w.add(2)
			time.Sleep(time.Duration(phase) * 170 * time.Millisecond) // whenever the rules were last looked at
			w.add(3)
			active := time.Now()
			w.voters(1, 2, 3)
			if took := time.Since(active); took > 100*time.Millisecond {
				t.Errorf("phase %d: node 3 was active for %v before it voted", phase, took)
			}
		})
	}
}

// restarted kills all nodes at once and starts them again.
func (w *world) restarted() {
	w.t.Helper()
	var ids []kafka.NodeID
	for id := range w.alive() {
		ids = append(ids, id)
	}
	for _, id := range ids {
		w.kill(id)
	}
	synctest.Wait()
	for _, id := range ids {
		w.start(id, false)
	}
	for _, id := range ids {
		w.ready(id)
	}
}

func TestMembersSurviveThePowerCutOfAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startWorld(t, 2, nil)
		w.add(2)
		w.restarted()
		w.voters(1)
		w.register(1)
		w.register(2)
		w.add(3)
		w.voters(1, 2, 3)
		w.create(2, "a")
		w.restarted()
		w.voters(1, 2, 3)
		for id, q := range w.alive() {
			for _, m := range q.Members() {
				if m.Host != fmt.Sprintf("node%d", m.ID) {
					t.Errorf("node %d knows node %d at %q", id, m.ID, m.Host)
				}
			}
			if _, ok := q.Image().Topic("a"); !ok {
				t.Errorf("node %d has lost a topic", id)
			}
		}
		w.create(3, "b")
	})
}

// A node knows where the others are before anyone has told it what is committed, or all that restart together would wait for
// ever.
func TestAddressesAreKnownBeforeThereIsALeader(t *testing.T) {
	for name, begin := range map[string]func(*testing.T) *world{
		"joined": func(t *testing.T) *world { return three(t, 3, nil) },
		"static": func(t *testing.T) *world { return static(t, 3) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := begin(t)
				for id := range w.alive() {
					w.kill(id)
				}
				for _, id := range []kafka.NodeID{1, 2, 3} {
					w.newAlone(id)
					synctest.Wait()
					for _, other := range []kafka.NodeID{1, 2, 3} {
						if host, port, ok := w.q(id).Address(other); !ok || host != fmt.Sprintf("node%d", other) || port != 9092 {
							t.Errorf("node %d, alone, has node %d at %s:%d", id, other, host, port)
						}
					}
					w.kill(id)
				}
			})
		})
	}
}

// newAlone starts a node that reaches nobody.
func (w *world) newAlone(id kafka.NodeID) {
	w.start(id, false)
	w.setCut(id, true)
}

func TestWipedDiskIsAdmittedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := three(t, 4, nil)
		w.create(1, "a")
		wiped := w.leader()
		w.kill(wiped)
		w.leader()
		w.newDisk(wiped)
		// While it counts as alive the empty disk is refused: it may be another machine under the same id.
		l := w.leader()
		resp := w.q(l).Admit(context.Background(), w.joinRequest(wiped, true))
		if resp.ErrorCode != kerr.DuplicateBrokerRegistration.Code {
			t.Fatalf("code %d: %s", resp.ErrorCode, resp.ErrorMessage)
		}
		w.fence(wiped)
		w.create(l, "b")
		w.join(wiped, true)
		st := w.q(l).Status()
		if len(st.Voters) != 2 || len(st.Learners) != 1 {
			t.Fatalf("voters %v, learners %v", st.Voters, st.Learners)
		}
		w.start(wiped, true)
		w.ready(wiped)
		w.agree()
		w.register(wiped)
		w.voters(1, 2, 3)
		// All three count again: any two are a majority.
		for id := range w.alive() {
			if id != wiped {
				w.kill(id)
				break
			}
		}
		w.create(wiped, "c")
	})
}

func (w *world) fence(id kafka.NodeID) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("node %d is fenced", id), func() bool {
		for _, q := range w.alive() {
			if n, ok := q.Image().Node(id); ok && q.Status().Leads {
				_, err := q.Submit(context.Background(), controller.FenceNode{ID: id, Epoch: n.Epoch, Fenced: true})
				return err == nil
			}
		}
		return false
	})
}

// A node that lost its disk and comes back without asking is not believed, and does no harm.
func TestWipedDiskThatDoesNotAskIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := three(t, 5, nil)
		w.create(1, "a")
		wiped := w.leader()%3 + 1
		w.kill(wiped)
		w.newDisk(wiped)
		w.start(wiped, true)
		time.Sleep(20 * time.Second)
		if err := w.q(wiped).Err(); err != nil {
			t.Fatal(err)
		}
		if got := w.q(wiped).Image().Offset(); got >= 0 {
			t.Errorf("the node has taken metadata up to offset %d", got)
		}
		w.kill(wiped)
		w.create(w.leader(), "b")
	})
}

func (w *world) removeVoter(through, id kafka.NodeID) error {
	req := kmsg.NewPtrRemoveRaftVoterRequest()
	req.VoterID, req.VoterDirectoryID = int32(id), w.dir(id)
	r := w.submit(through, req).(*kmsg.RemoveRaftVoterResponse)
	return answered(r.ErrorCode, r.ErrorMessage)
}

func (w *world) addVoter(through, id kafka.NodeID) error {
	req := kmsg.NewPtrAddRaftVoterRequest()
	req.VoterID, req.VoterDirectoryID, req.TimeoutMillis = int32(id), w.dir(id), 5000
	r := w.submit(through, req).(*kmsg.AddRaftVoterResponse)
	return answered(r.ErrorCode, r.ErrorMessage)
}

func answered(code int16, words *string) error {
	err := kerr.ErrorForCode(code)
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", *words, err)
}

func TestVotersAreRemovedAndAddedByRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := three(t, 6, nil)
		if err := w.removeVoter(3, 3); err != nil {
			t.Fatal(err)
		}
		w.voters(1, 2)
		// It stays a learner, through changes of the leader and restarts, until it is asked for.
		time.Sleep(5 * time.Second)
		w.restarted()
		for id := range w.alive() {
			w.register(id)
		}
		time.Sleep(5 * time.Second)
		w.voters(1, 2)
		if err := w.removeVoter(3, 3); !errors.Is(err, kerr.VoterNotFound) {
			t.Errorf("removed twice: %v", err)
		}
		if err := w.addVoter(1, 2); !errors.Is(err, kerr.DuplicateVoter) {
			t.Errorf("added a voter: %v", err)
		}
		if err := w.addVoter(2, 3); err != nil {
			t.Fatal(err)
		}
		w.voters(1, 2, 3)
		w.add(4)
		if err := w.addVoter(2, 4); !errors.Is(err, kerr.InvalidRequest) || !strings.Contains(err.Error(), "headrace.quorum.voters.max") {
			t.Errorf("a fourth voter: %v", err)
		}
		// With a learner at hand its place does not stay empty.
		if err := w.removeVoter(4, 2); err != nil {
			t.Fatal(err)
		}
		w.voters(1, 3, 4)
	})
}

func TestRequestsAboutVotersAreChecked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startWorld(t, 7, nil)
		if err := w.removeVoter(1, 1); !errors.Is(err, kerr.InvalidRequest) {
			t.Errorf("the only voter removed: %v", err)
		}
		w.newDisk(9)
		if err := w.addVoter(1, 9); !errors.Is(err, kerr.InvalidRequest) {
			t.Errorf("a stranger added: %v", err)
		}
		w.add(2)
		other := "other"
		req := kmsg.NewPtrAddRaftVoterRequest()
		req.VoterID, req.ClusterID = 2, &other
		if r := w.submit(1, req).(*kmsg.AddRaftVoterResponse); r.ErrorCode != kerr.InconsistentClusterID.Code {
			t.Errorf("code %d for another cluster", r.ErrorCode)
		}
		req.ClusterID, req.VoterDirectoryID = nil, [16]byte{3}
		if r := w.submit(1, req).(*kmsg.AddRaftVoterResponse); r.ErrorCode != kerr.InvalidVoterKey.Code {
			t.Errorf("code %d for another directory", r.ErrorCode)
		}
		// A node that is away does not become a voter.
		w.kill(2)
		time.Sleep(5 * time.Second)
		if err := w.addVoter(1, 2); !errors.Is(err, kerr.RequestTimedOut) {
			t.Errorf("a node that is away: %v", err)
		}
		join := w.joinRequest(1, true)
		if r := w.q(1).Admit(context.Background(), join); r.ErrorCode != kerr.DuplicateBrokerRegistration.Code {
			t.Errorf("join under the leader's id: %+v", r)
		}
		join = w.joinRequest(9, true)
		join.ClusterID = "other"
		if r := w.q(1).Admit(context.Background(), join); r.ErrorCode != kerr.InconsistentClusterID.Code || !strings.Contains(r.ErrorMessage, "c1") {
			t.Errorf("join of another cluster: %+v", r)
		}
	})
}

func TestRemovalThatWouldEndTheMajorityIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := three(t, 8, nil)
		l := w.leader()
		away, stays := l%3+1, (l+1)%3+1
		w.kill(away)
		time.Sleep(5 * time.Second)
		if err := w.removeVoter(l, stays); !errors.Is(err, kerr.InvalidRequest) || !strings.Contains(err.Error(), fmt.Sprint(away)) {
			t.Errorf("%v", err)
		}
		if err := w.removeVoter(l, away); err != nil {
			t.Error(err)
		}
		w.create(stays, "a")
	})
}

func TestLeaderRemovesItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := three(t, 9, nil)
		l := w.leader()
		if err := w.removeVoter(l, l); err != nil {
			t.Fatal(err)
		}
		if w.leader() == l {
			t.Error("it leads still")
		}
		w.create(l, "a")
		w.agree()
	})
	synctest.Test(t, func(t *testing.T) {
		w := startWorld(t, 10, nil)
		w.add(2)
		if err := w.removeVoter(2, 1); err != nil { // the only voter hands over to the learner
			t.Fatal(err)
		}
		w.voters(2)
		w.create(1, "a")
	})
}

func TestUnregisteredNodeLeavesTheQuorum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := three(t, 11, nil)
		w.add(4)
		l := w.leader()
		gone := l%3 + 1
		w.kill(gone)
		w.fence(gone)
		req := kmsg.NewPtrUnregisterBrokerRequest()
		req.BrokerID = int32(gone)
		if r := w.submit(4, req).(*kmsg.UnregisterBrokerResponse); r.ErrorCode != 0 {
			t.Fatal(kerr.ErrorForCode(r.ErrorCode))
		}
		w.eventually("the learner takes its place", func() bool {
			st := w.q(l).Status()
			return len(st.Voters) == 3 && len(st.Learners) == 0
		})
		// With its old disk it may come back: it is admitted without losing its memory.
		w.start(gone, false)
		w.join(gone, false)
		w.ready(gone)
		w.register(gone)
		w.create(gone, "a")
	})
}

func TestStrangersAndLostVotersMakePlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := three(t, 12, nil)
		// A node that was admitted and never came is forgotten.
		w.newDisk(7)
		w.join(7, true)
		l := w.leader()
		if st := w.q(l).Status(); len(st.Learners) != 1 {
			t.Fatalf("learners %v", st.Learners)
		}
		w.eventually("the stranger is forgotten", func() bool { return len(w.q(l).Status().Learners) == 0 })
		w.add(4)
		lost := l%3 + 1
		w.kill(lost)
		time.Sleep(lostAfter - time.Minute)
		if st := w.q(w.leader()).Status(); !contains(st.Voters, lost) {
			t.Fatalf("voters %v already", st.Voters)
		}
		time.Sleep(time.Minute + 5*time.Second)
		if st := w.q(w.leader()).Status(); contains(st.Voters, lost) || !contains(st.Voters, 4) || !contains(st.Learners, lost) {
			t.Fatalf("voters %v, learners %v", st.Voters, st.Learners)
		}
		w.start(lost, false)
		w.ready(lost)
		w.agree()
	})
}

func contains(ids []kafka.NodeID, id kafka.NodeID) bool {
	for _, one := range ids {
		if one == id {
			return true
		}
	}
	return false
}

func TestFiveVotersBySetting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startWorld(t, 13, func(c *Config) { c.MaxVoters = 5 })
		for id := kafka.NodeID(2); id <= 4; id++ {
			w.add(id)
		}
		w.voters(1, 2, 3)
		w.add(5)
		w.voters(1, 2, 3, 4, 5)
		w.kill(w.leader())
		w.kill(w.leader())
		w.create(w.leader(), "a")
	})
}

func TestDescribeQuorumTellsTheSameOnEveryNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := three(t, 14, nil)
		w.add(4)
		time.Sleep(3 * time.Second)
		l := w.leader()
		for id := range w.alive() {
			p := w.describe(id)
			if kafka.NodeID(p.LeaderID) != l || p.LeaderEpoch != w.q(l).Status().Term || p.HighWatermark != int64(w.q(l).Status().End) ||
				len(p.CurrentVoters) != 3 || len(p.Observers) != 1 {
				t.Fatalf("node %d: %+v", id, p)
			}
			for _, r := range append(p.CurrentVoters, p.Observers...) {
				ago := time.Now().UnixMilli() - r.LastFetchTimestamp
				if r.LogEndOffset != p.HighWatermark || ago < 0 || ago > 500 || time.Now().UnixMilli()-r.LastCaughtUpTimestamp > 500 ||
					r.ReplicaDirectoryID != w.dir(kafka.NodeID(r.ReplicaID)) {
					t.Errorf("node %d: %+v, %d ms ago", id, r, ago)
				}
			}
		}
	})
}

// static is a cluster of three voters that were told of one another when they were started, all at once.
func static(t *testing.T, seed uint64) *world {
	w := newWorld(t, seed)
	w.config = func(c *Config) { c.Voters = []kafka.NodeID{1, 2, 3} }
	for id := kafka.NodeID(1); id <= 3; id++ {
		w.newDisk(id)
		w.start(id, false)
	}
	for id := kafka.NodeID(1); id <= 3; id++ {
		w.ready(id)
		w.register(id)
	}
	return w
}

func TestStaticVotersFormAClusterThatOthersJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := static(t, 15)
		w.create(2, "a")
		w.restarted()
		for id := range w.alive() {
			w.register(id)
		}
		w.add(4)
		w.create(4, "b")
		for range 3 { // whoever leads, a newcomer gets what it needs
			w.kill(4)
			l := w.leader()
			w.kill(l)
			w.lost(l)
			w.start(l, false)
			w.leader()
			w.fence(4)
			w.add(4)
		}
		w.agree()
	})
}
