package quorum

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/peer"
)

// Node 1 began the cluster alone, and its configuration still says so: with a new disk it begins another one. It must not be taken
// for the voter that it was, whose votes and entries it has forgotten.
func TestAFounderWithANewDiskIsNotTheVoterThatItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := three(t, 31, nil)
		w.create(1, "before")
		w.kill(1)
		w.eventually("another leads", func() bool { return w.leader() != 1 })
		w.newDisk(1)
		w.start(1, false)
		time.Sleep(5 * time.Second)
		if st := w.q(1).Status(); st.Leader != 1 {
			t.Errorf("the node with a new disk follows node %d", st.Leader)
		}
		w.create(2, "after")
		w.kill(3)
		time.Sleep(10 * time.Second)
		if st := w.q(2).Status(); st.Leads {
			t.Error("node 2 leads by the vote of a node that has forgotten what it had acknowledged")
		}
	})
}

// What a node says of itself is written down by all: it must not be so much that they cannot read it again.
func TestAJoinThatSaysTooMuchIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := three(t, 32, nil)
		for name, change := range map[string]func(*peer.JoinRequest){
			"a long host":         func(r *peer.JoinRequest) { r.Host = strings.Repeat("a", 2<<20) },
			"a name of 256 bytes": func(r *peer.JoinRequest) { r.Host = strings.Repeat("a", 256) },
			"no host":             func(r *peer.JoinRequest) { r.Host = "" },
			"port 0":              func(r *peer.JoinRequest) { r.Port = 0 },
			"port 65536":          func(r *peer.JoinRequest) { r.Port = 1 << 16 },
		} {
			w.newDisk(9)
			req := w.joinRequest(9, true)
			change(req)
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			if resp := w.q(w.leader()).Admit(ctx, req); resp.ErrorCode != kerr.InvalidRequest.Code {
				t.Errorf("%s: %d %.100s", name, resp.ErrorCode, resp.ErrorMessage)
			}
			cancel()
		}
		w.create(2, "after")
		w.agree()
	})
}

// failingLog fails when it is told to.
type failingLog struct {
	Log
	fails *atomic.Bool
}

func (l failingLog) Append(b []byte) error {
	if l.fails.Load() {
		return errors.New("the disk is gone")
	}
	return l.Log.Append(b)
}

// A node whose metadata has failed hears no more of what is decided. Were its heartbeats to reach the controller it would be taken
// for alive, and be given partitions of which it never knows.
func TestANodeWhoseMetadataFailedForwardsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fails [4]atomic.Bool
		var forwarded [4]atomic.Int32
		w := three(t, 33, func(c *Config) {
			c.Log = failingLog{c.Log, &fails[c.NodeID]}
			forward, id := c.Forward, c.NodeID
			c.Forward = func(ctx context.Context, leader kafka.NodeID, key, version int16, body []byte) ([]byte, kafka.Offset, error) {
				forwarded[id].Add(1)
				return forward(ctx, leader, key, version, body)
			}
		})
		l := w.leader()
		id := l%3 + 1
		fails[id].Store(true)
		w.create(l, "after")
		<-w.q(id).Done()
		before := forwarded[id].Load()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if _, err := w.q(id).Submit(ctx, kmsg.NewPtrBrokerHeartbeatRequest()); err == nil || forwarded[id].Load() > before {
			t.Errorf("%d requests forwarded, %v", forwarded[id].Load()-before, err)
		}
		w.kill(id)
	})
}

// Kafka's epochs have 32 bits. A term beyond them could not be kept.
func TestATermBeyondKafkasEpochsIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var beat atomic.Pointer[raftpb.Message]
		w := three(t, 34, func(c *Config) {
			send := c.Send
			c.Send = func(messages []*raftpb.Message) {
				for _, m := range messages {
					if m.GetType() == raftpb.MsgHeartbeat {
						beat.Store(m)
					}
				}
				send(messages)
			}
		})
		w.leader()
		w.eventually("a heartbeat", func() bool { return beat.Load() != nil })
		id := nodeID(beat.Load().GetTo())
		for _, term := range []uint64{math.MaxInt32 + 1, 1 << 40, math.MaxUint64} {
			m := proto.Clone(beat.Load()).(*raftpb.Message)
			m.Term = &term
			w.q(id).Receive(m)
		}
		synctest.Wait()
		if st := w.q(id).Status(); st.Term < 0 || st.Term > 1000 {
			t.Errorf("term %d", st.Term)
		}
		w.create(id, "after")
		w.agree()
	})
}

// A leader that proposed what no log takes would fail, and so would the next one, which is asked the same.
func TestAChangeThatIsTooLargeForTheLogIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := three(t, 35, func(c *Config) { c.MaxBatchBytes = 4000 })
		names := make([]string, 100)
		for i := range names {
			names[i] = fmt.Sprintf("topic-%d", i)
		}
		for range 3 {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			if _, err := w.q(2).Submit(ctx, createTopics(names...)); !errors.Is(err, kerr.PolicyViolation) {
				t.Errorf("%v", err)
			}
			cancel()
		}
		w.create(2, "small")
		w.agree()
	})
}

// A leader that was replaced and does not know yet would answer by what was so before. Whatever it says without writing anything, that
// a proposal was refused or that a node's session lasts, others go by.
func TestALeaderThatIsCutOffAnswersNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := three(t, 36, nil)
		l := w.leader()
		w.create(l, "t")
		w.setCut(l, true)
		ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond) // less than it takes to step down
		defer cancel()
		began := time.Now()
		if r, err := w.q(l).Submit(ctx, createTopics("t")); err == nil {
			t.Errorf("answered %+v after %v", r, time.Since(began))
		}
		w.setCut(l, false)
		w.create(l, "after")
		w.agree()
	})
}
