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
	"go.etcd.io/raft/v3/raftpb"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/peer"
	"github.com/headrace/headrace/internal/core/metadata"
)

// TestKilledLeaderIsReplacedAtOnce kills the leader again and again, tells the others in different orders and at different
// times, and holds the time until a request is answered below 200 ms; raft's own timeout is a second.
func TestKilledLeaderIsReplacedAtOnce(t *testing.T) {
	for seed := range uint64(10) {
		synctest.Test(t, func(t *testing.T) {
			w := three(t, seed, nil)
			w.mu.Lock()
			w.delay = time.Duration(seed%3) * 4 * time.Millisecond // what the dead said last may come after the news of its death
			w.mu.Unlock()
			for round := range 6 {
				old := w.leader()
				w.kill(old)
				began := time.Now()
				for i, other := range []kafka.NodeID{old%3 + 1, (old+1)%3 + 1} {
					if i > 0 && round%3 == 2 {
						time.Sleep(30 * time.Millisecond) // one of them notices later
					}
					w.q(other).LeaderLost(old)
				}
				w.create(old%3+1, fmt.Sprintf("t%d", round))
				if took := time.Since(began); took > 200*time.Millisecond {
					t.Errorf("seed %d, round %d: %v without a leader", seed, round, took)
				}
				w.start(old, false)
				w.ready(old)
			}
		})
	}
}

// The voter with the lowest id lacks the newest entry: it cannot win, and the other does without waiting.
func TestVoterThatIsBehindDoesNotDelayTheElection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := three(t, 3, nil)
		if l := w.leader(); l != 1 {
			t.Fatalf("node %d leads", l)
		}
		w.setCut(2, true)
		w.create(3, "a") // on 1 and 3
		w.kill(1)
		w.setCut(2, false)
		began := time.Now()
		w.q(2).LeaderLost(1)
		w.q(3).LeaderLost(1)
		w.create(3, "b")
		if took := time.Since(began); took > 100*time.Millisecond {
			t.Errorf("%v without a leader", took)
		}
	})
}

func TestLeaderThatLivesIsNotReplacedByAHint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := three(t, 4, nil)
		l := w.leader()
		term := w.q(l).Status().Term
		w.q(l%3 + 1).LeaderLost(l) // it alone believes so
		w.q(l).LeaderLost(l)
		w.q((l+1)%3 + 1).LeaderLost(l%3 + 1) // not the leader
		time.Sleep(5 * time.Second)
		if st := w.q(l).Status(); !st.Leads || st.Term != term || w.leader() != l {
			t.Errorf("leader %d in term %d became %d in term %d", l, term, st.Leader, st.Term)
		}
	})
}

func TestLeaderHandsOverBeforeItStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := three(t, 5, nil)
		for round := range 4 {
			l := w.leader()
			began := time.Now()
			w.close(l)
			w.create(l%3+1, fmt.Sprintf("t%d", round))
			if took := time.Since(began); took > 100*time.Millisecond {
				t.Errorf("round %d: %v without a leader", round, took)
			}
			w.start(l, false)
			w.ready(l)
		}
		// Nobody is there to hand over to.
		l := w.leader()
		w.kill(l%3 + 1)
		w.kill((l+1)%3 + 1)
		began := time.Now()
		w.close(l)
		if took := time.Since(began); took > handOverTime {
			t.Errorf("the stop took %v", took)
		}
	})
}

func TestFollowersForwardAndAnswerWhatTheyKnowThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := three(t, 6, nil)
		w.add(4)
		for i := range 8 {
			w.create(kafka.NodeID(i%4+1), fmt.Sprintf("t%d", i)) // create looks whether the node knows the topic
		}
		// A refusal of the controller is its own, and it is not asked again.
		r := w.submit(4, createTopics("t1")).(*kmsg.CreateTopicsResponse)
		if r.Topics[0].ErrorCode != kerr.TopicAlreadyExists.Code {
			t.Errorf("code %d", r.Topics[0].ErrorCode)
		}
		// What the leader's own parts ask stays with the leader.
		follower := w.leader()%3 + 1
		if _, err := w.q(follower).Submit(context.Background(), registrationOfNobody{}); !errors.Is(err, kerr.NotController) {
			t.Errorf("%v", err)
		}
		// A node that the leader does not reach does not answer before it knows.
		w.setDeaf(follower, true)
		ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
		defer cancel()
		if _, err := w.q(follower).Submit(ctx, createTopics("late")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		if _, ok := w.q(w.leader()).Image().Topic("late"); !ok {
			t.Error("the leader has not carried it out")
		}
	})
}

type registrationOfNobody struct{}

func TestRequestsFindTheNewLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := three(t, 7, nil)
		l := w.leader()
		asked := l%3 + 1
		w.kill(l)
		answer := make(chan error, 20)
		began := time.Now()
		for i := range cap(answer) {
			go func() {
				_, err := w.q(asked).Submit(t.Context(), createTopics(fmt.Sprintf("t%d", i)))
				answer <- err
			}()
		}
		time.Sleep(20 * time.Millisecond)
		w.lost(l)
		for range cap(answer) {
			if err := <-answer; err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(began); took > 200*time.Millisecond {
			t.Errorf("answers took %v", took)
		}
	})
}

func TestLostQuorumNamesWhoIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := three(t, 8, nil)
		w.kill(2)
		w.kill(3)
		if err := refusedFor(w, 1, 30*time.Second); !errors.Is(err, kerr.NotController) || !strings.Contains(err.Error(), "2, 3") {
			t.Errorf("%v", err)
		}
		// A shorter deadline tells as much.
		if err := refusedFor(w, 1, time.Second); !errors.Is(err, kerr.NotController) || !strings.Contains(err.Error(), "2, 3") {
			t.Errorf("%v", err)
		}
		w.start(2, false)
		w.create(1, "a")
	})
}

func refusedFor(w *world, id kafka.NodeID, patience time.Duration) error {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err := w.q(id).Submit(ctx, createTopics("x"))
	if err == nil {
		w.t.Error("answered without a quorum")
	}
	return err
}

func TestServeRefusesWhatItCannotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startWorld(t, 9, nil)
		for _, req := range []*peer.SubmitRequest{
			{RequestKey: 9999, TimeoutMs: 1000},
			{RequestKey: 19, Version: 99, TimeoutMs: 1000},
			{RequestKey: 19, Version: -1, TimeoutMs: 1000},
			{RequestKey: 19, Version: 7, Body: []byte{1, 2}, TimeoutMs: 1000},
			{RequestKey: 3, Version: 12, Body: kmsg.NewPtrMetadataRequest().AppendTo(nil), TimeoutMs: 1000}, // not the controller's
		} {
			if resp := w.q(1).Serve(context.Background(), req); resp.ErrorCode == 0 {
				t.Errorf("key %d, version %d was answered", req.RequestKey, req.Version)
			}
		}
	})
}

func TestRaftTakesOnlyWhatNodesSend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := three(t, 10, nil)
		l := w.leader()
		before := w.q(l).Status().Term
		to := lookup(w.conf(l), l)
		send := func(from kafka.NodeID, m *raftpb.Message) error {
			m.To = &to
			_, b, err := Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			return w.q(l).Raft(&peer.RaftRequest{From: int32(from), Messages: [][]byte{b}})
		}
		from := lookup(w.conf(l), l%3+1)
		if err := send(l%3+1, &raftpb.Message{Type: raftpb.MsgProp.Enum(), From: &from}); err == nil {
			t.Error("a proposal was taken")
		}
		if err := send(l%3+1, &raftpb.Message{Type: raftpb.MsgHup.Enum(), From: &from}); err == nil {
			t.Error("a local message was taken")
		}
		if err := send((l+1)%3+1, &raftpb.Message{Type: raftpb.MsgHeartbeatResp.Enum(), From: &from}); err == nil {
			t.Error("a message in another's name was taken")
		}
		if err := w.q(l).Raft(&peer.RaftRequest{From: 1, Messages: [][]byte{{0xff}}}); err == nil {
			t.Error("garbage was taken")
		}
		w.create(l, "a")
		if st := w.q(l).Status(); st.Term != before {
			t.Errorf("term %d became %d", before, st.Term)
		}
	})
}

// A snapshot of many megabytes gets to a newcomer as one message.
func TestNewcomerGetsALargeSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 11)
		w.segmentBytes = 4 << 20
		largest := 0
		w.config = func(c *Config) {
			c.Publish = func(*metadata.Delta, *metadata.Image) {} // the one that checks takes its time
			send := c.Send
			c.Send = func(messages []*raftpb.Message) {
				for _, m := range messages {
					w.mu.Lock()
					largest = max(largest, len(m.GetSnapshot().GetData()))
					w.mu.Unlock()
				}
				send(messages)
			}
		}
		w.first()
		w.add(2)
		w.add(3)
		w.voters(1, 2, 3)
		for i := range 20 {
			names := make([]string, 1000)
			for j := range names {
				names[j] = fmt.Sprintf("a-topic-with-a-rather-long-name-%d-%d", i, j)
			}
			w.submit(2, createTopics(names...))
		}
		w.add(4)
		w.agree()
		if largest < 4<<20 {
			t.Errorf("the largest snapshot has %d bytes", largest)
		}
	})
}

func TestLedFollowsTheLeadership(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		leads := map[kafka.NodeID]bool{}
		w := startWorld(t, 12, nil)
		w.config = func(c *Config) {
			id := c.NodeID
			c.Led = func(leading bool, term int32) {
				w.mu.Lock()
				defer w.mu.Unlock()
				if leads[id] == leading {
					t.Errorf("node %d is told %v twice", id, leading)
				}
				leads[id] = leading
			}
		}
		w.add(2)
		w.add(3)
		w.voters(1, 2, 3)
		w.close(1)
		l := w.leader()
		w.start(1, false)
		w.ready(1)
		for range 3 {
			l = w.leader()
			w.setCut(l, true)
			w.eventually("another leads", func() bool {
				for id, q := range w.alive() {
					if id != l && q.Status().Leads {
						return true
					}
				}
				return false
			})
			w.setCut(l, false)
		}
		l = w.leader()
		w.create(l, "a")
		w.mu.Lock()
		defer w.mu.Unlock()
		for id, leading := range leads {
			if leading != (id == l) {
				t.Errorf("node %d believes %v, node %d leads", id, leading, l)
			}
		}
		if heard := w.nodes[l%3+1].q.LastHeard(l); time.Since(heard) > time.Second {
			t.Errorf("the leader was last heard %v ago", time.Since(heard))
		}
	})
}

// What the dead leader had sent comes after the news of its death, and does not bring it back to life.
func TestLastWordsOfTheDeadDoNotDelayTheElection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := three(t, 13, nil)
		old := w.leader()
		term := uint64(w.q(old).Status().Term)
		w.kill(old)
		for id := range w.alive() {
			w.setDeaf(id, true) // until it is said
		}
		began := time.Now()
		w.lost(old)
		for id, q := range w.alive() {
			from, to := lookup(w.conf(id), old), lookup(w.conf(id), id)
			_, b, err := Marshal(&raftpb.Message{Type: raftpb.MsgHeartbeat.Enum(), From: &from, To: &to, Term: &term})
			if err != nil {
				t.Fatal(err)
			}
			if err := q.Raft(&peer.RaftRequest{From: int32(old), Messages: [][]byte{b}}); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		for id := range w.alive() {
			w.setDeaf(id, false)
		}
		w.create(old%3+1, "a")
		if took := time.Since(began); took > 200*time.Millisecond {
			t.Errorf("%v without a leader", took)
		}
	})
}

func TestRestartedNodeIsReadyWhenItKnowsAllThatWasCommitted(t *testing.T) {
	for seed := range uint64(8) {
		synctest.Test(t, func(t *testing.T) {
			w := three(t, seed, func(c *Config) { c.SnapshotBytes = 1 + int64(seed%2)*2000 })
			for round := range 5 {
				id := w.leader()%3 + 1
				w.kill(id)
				name := fmt.Sprintf("t%d", round)
				if round%2 == 0 { // without it there is nothing that the leader has to send
					w.create(w.leader(), name)
				}
				w.mu.Lock()
				w.delay = 3 * time.Millisecond
				w.mu.Unlock()
				w.start(id, false)
				select {
				case <-w.q(id).Ready():
				case <-time.After(time.Minute):
					t.Fatalf("seed %d, round %d: never ready", seed, round)
				}
				if _, ok := w.q(id).Image().Topic(name); ok != (round%2 == 0) {
					t.Errorf("seed %d, round %d: ready, and knows nothing of a topic", seed, round)
				}
			}
		})
	}
}
