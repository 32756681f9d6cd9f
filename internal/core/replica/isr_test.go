package replica

import (
	"errors"
	"slices"
	"testing"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/twmb/franz-go/pkg/kerr"
)

func members(ids ...kafka.NodeID) (ms []Member) {
	for _, n := range ids {
		ms = append(ms, Member{n, 100 + int64(n)})
	}
	return ms
}

func wantProposal(t *testing.T, l *Leader, ms int, end kafka.Offset, want []Member) Proposal {
	t.Helper()
	p, ok := l.Propose(after(ms), maxLag, end)
	if ok != (want != nil) || !slices.Equal(p.ISR, want) {
		t.Fatalf("proposed %v %v, want %v", p.ISR, ok, want)
	}
	return p
}

func TestFollowerJoinsWhenItHasAllThatIsCommittedAndAllOfEarlierEpochs(t *testing.T) {
	l := Lead(began, 1, leadership(1), 10, 6)
	l.Secured(began, 7) // of what it has, 7 are flushed
	for _, c := range []struct {
		offset kafka.Offset
		ready  bool
	}{{5, false}, {7, false}, {9, false}, {10, true}} {
		if _, ready := fetch(t, l, began, 2, c.offset, 12); ready != c.ready {
			t.Fatalf("a follower that has %d: ready %v", c.offset, ready)
		}
	}
	p := wantProposal(t, l, 1, 12, members(1, 2))
	if p.LeaderEpoch != 3 || p.PartitionEpoch != 7 {
		t.Fatalf("%+v", p)
	}
}

func TestWhoIsNotActiveInTheRegistrationThatFetchedDoesNotJoin(t *testing.T) {
	g := leadership(1)
	g.Active = Nodes{1: 101, 3: 103}
	l := Lead(began, 1, g, 0, 0)
	if _, ready := fetch(t, l, began, 2, 0, 0); ready {
		t.Fatal("a fenced node is ready to join")
	}
	g.Active = Nodes{1: 101, 2: 222, 3: 103}
	l.Regive(began, g)
	wantProposal(t, l, 1, 0, nil) // what is known of it is of the registration before
	if _, _, err := l.Fetched(began, Fetch{Replica: 2, BrokerEpoch: 102}, 0); !errors.Is(err, kerr.NotLeaderForPartition) {
		t.Fatalf("a fetch of the registration before: %v", err)
	}
	if _, ready, err := l.Fetched(began, Fetch{Replica: 2, BrokerEpoch: 222}, 0); !ready || err != nil {
		t.Fatal(ready, err)
	}
}

func TestFollowerThatLagsIsProposedOut(t *testing.T) {
	l := Lead(began, 1, leadership(1, 2, 3), 10, 10)
	wantProposal(t, l, 1000, 20, nil) // all of them have the whole time to be heard of
	fetch(t, l, after(500), 2, 10, 15)
	fetch(t, l, after(900), 2, 15, 20) // it has what there was at 500 ms
	wantProposal(t, l, 1001, 20, members(1, 2))
}

func TestFollowerThatHasAllDoesNotLagHoweverSilent(t *testing.T) {
	l := Lead(began, 1, leadership(1, 2), 10, 10)
	fetch(t, l, after(1), 2, 10, 10)
	wantProposal(t, l, 1e6, 10, nil)
	wantProposal(t, l, 1e6, 11, []Member{{1, 101}})
}

func TestMemberThatWasNotHeardOfIsProposedWithoutItsRegistration(t *testing.T) {
	l := Lead(began, 1, leadership(1, 2), 0, 0)
	fetch(t, l, began, 3, 0, 0)
	wantProposal(t, l, 1, 0, []Member{{1, 101}, {2, -1}, {3, 103}})
}

func TestProposedMembersCountUntilTheMetadataSaysOtherwise(t *testing.T) {
	g := leadership(1)
	l := Lead(began, 1, g, 10, 10)
	fetch(t, l, began, 2, 10, 10)
	p := wantProposal(t, l, 1, 10, members(1, 2))
	wantProposal(t, l, 2, 10, nil) // one at a time
	l.Secured(after(10000), 20)
	wantWatermark(t, l, 10) // though node 2 has lagged since long
	for _, err := range []error{nil, kerr.InvalidUpdateVersion, kerr.FencedLeaderEpoch} {
		l.Settled(after(10000), p, err)
		wantWatermark(t, l, 10)
		wantProposal(t, l, 10000, 20, nil)
	}
	g.PartitionEpoch++
	if !l.Regive(after(10001), g) {
		t.Fatal("waits for a member that the metadata does not name")
	}
	wantWatermark(t, l, 20)
}

func TestRefusedProposalIsForgottenAndOneNotHeardIsRepeated(t *testing.T) {
	l := Lead(began, 1, leadership(1), 10, 10)
	fetch(t, l, began, 2, 10, 10)
	p := wantProposal(t, l, 1, 10, members(1, 2))
	l.Settled(after(2), p, errors.New("connection reset"))
	l.Secured(after(5000), 20)
	wantWatermark(t, l, 10)
	p = wantProposal(t, l, 5000, 20, members(1, 2))
	if !l.Settled(after(5001), p, kerr.IneligibleReplica) {
		t.Fatal("waits for a member that was refused")
	}
	wantWatermark(t, l, 20)
}

func TestAnswerToAnEarlierProposalIsNotTakenForThePresentOne(t *testing.T) {
	g := leadership(1)
	l := Lead(began, 1, g, 10, 10)
	fetch(t, l, began, 2, 10, 10)
	old := wantProposal(t, l, 1, 10, members(1, 2))
	g.PartitionEpoch++
	l.Regive(after(1), g)
	wantProposal(t, l, 1, 10, members(1, 2))
	l.Settled(after(2), old, kerr.IneligibleReplica)
	wantProposal(t, l, 3, 10, nil) // the present one goes on
}

func TestFetchesOfStrangersAndBeyondTheEndAreRefused(t *testing.T) {
	l := Lead(began, 1, leadership(1, 2), 10, 10)
	if _, _, err := l.Fetched(began, Fetch{Replica: 9, BrokerEpoch: 9}, 10); !errors.Is(err, kerr.UnknownLeaderEpoch) {
		t.Errorf("a stranger: %v", err)
	}
	if _, _, err := l.Fetched(began, Fetch{Replica: 2, BrokerEpoch: 102, Offset: 11}, 10); !errors.Is(err, kerr.OffsetOutOfRange) {
		t.Errorf("beyond the end: %v", err)
	}
}

func TestTruncationPoints(t *testing.T) {
	for _, c := range []struct {
		name        string
		leader, own EpochEnd
		end, want   kafka.Offset
	}{
		{"both know the epoch, the leader's ends first", EpochEnd{4, 50}, EpochEnd{4, 70}, 90, 50},
		{"both know the epoch, the follower's ends first", EpochEnd{4, 80}, EpochEnd{4, 70}, 90, 70},
		{"the follower does not know it", EpochEnd{4, 80}, EpochEnd{2, 60}, 90, 60},
		{"nor did the leader have as much before", EpochEnd{4, 40}, EpochEnd{2, 60}, 90, 40},
		{"the follower knows no epochs", EpochEnd{4, 80}, EpochEnd{-1, -1}, 90, 80},
		{"the follower's log is shorter", EpochEnd{4, 80}, EpochEnd{4, 60}, 60, 60},
		{"the leader has none of it", EpochEnd{0, 0}, EpochEnd{0, 5}, 5, 0},
	} {
		if got := TruncationPoint(c.leader, c.own, c.end); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestConsumersAreSentToTheFollowerOfTheirRackThatHasMost(t *testing.T) {
	racks := map[kafka.NodeID]string{1: "a", 2: "b", 3: "b"}
	rackOf := func(n kafka.NodeID) string { return racks[n] }
	l := Lead(began, 1, leadership(1, 2, 3), 10, 10)
	fetch(t, l, began, 2, 8, 10)
	fetch(t, l, began, 3, 9, 10)
	for _, c := range []struct {
		rack   string
		offset kafka.Offset
		want   kafka.NodeID
	}{{"", 5, -1}, {"a", 5, -1}, {"c", 5, -1}, {"b", 5, 3}, {"b", 9, 3}, {"b", 10, -1}} {
		if got, _ := l.Preferred(c.rack, c.offset, 0, rackOf); got != c.want {
			t.Errorf("rack %q at %d: node %d, want %d", c.rack, c.offset, got, c.want)
		}
	}
	g := leadership(1, 2)
	l.Regive(began, g)
	if got, _ := l.Preferred("b", 5, 0, rackOf); got != 2 {
		t.Errorf("node %d, want 2: 3 is not in sync", got)
	}
}

func TestAFollowersHighWatermarkIsItsLeadersAsFarAsItHasThat(t *testing.T) {
	for _, c := range []struct{ known, leader, end, want kafka.Offset }{{3, 5, 9, 5}, {3, 9, 5, 5}, {3, 1, 9, 3}, {3, 9, 3, 3}} {
		if got := Follow(c.known, c.leader, c.end); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}
