package quorum

import (
	"sync"
	"testing"
	"testing/synctest"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/headrace/headrace/internal/base/kafka"
)

// A node may come to a term without a vote, by refusing one, and give it later in the same term: that must outlast its process, too, or
// a term has two leaders.
func TestAVoteThatCameLateInATermIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		beats := map[kafka.NodeID]*raftpb.Message{} // the last to each node
		var asked uint64                            // the term in which candidates ask
		var votes []kafka.NodeID
		w := three(t, 38, func(c *Config) {
			send := c.Send
			c.Send = func(messages []*raftpb.Message) {
				mu.Lock()
				var others []*raftpb.Message
				for _, m := range messages {
					if m.GetType() == raftpb.MsgHeartbeat {
						beats[nodeID(m.GetTo())] = m
					}
					switch late := m.GetType() == raftpb.MsgVoteResp && m.GetTerm() == asked; {
					case !late:
						others = append(others, m)
					case !m.GetReject():
						votes = append(votes, nodeID(m.GetTo()))
					}
				}
				mu.Unlock()
				send(others)
			}
		})
		l := w.leader()
		voter, third := l%3+1, (l+1)%3+1
		w.eventually("heartbeats", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return beats[voter] != nil && beats[third] != nil
		})
		mu.Lock()
		to, from := beats[voter], map[kafka.NodeID]uint64{l: beats[voter].GetFrom(), third: beats[third].GetTo()}
		asked = to.GetTerm() + 10
		term := asked
		mu.Unlock()
		w.setCut(voter, true) // from what the others really say
		ask := func(candidate kafka.NodeID, end uint64) {
			w.q(voter).Receive(&raftpb.Message{
				Type: raftpb.MsgVote.Enum(), To: proto.Uint64(to.GetTo()), From: proto.Uint64(from[candidate]), Term: proto.Uint64(term),
				LogTerm: proto.Uint64(min(end, term-1)), Index: proto.Uint64(end), Context: []byte("CampaignTransfer"), // whoever leads
			})
			synctest.Wait()
		}
		ask(l, 0)
		ask(third, 1<<20)
		w.kill(voter)
		w.start(voter, true)
		ask(l, 1<<20)
		mu.Lock()
		defer mu.Unlock()
		if len(votes) != 1 || votes[0] != third {
			t.Errorf("votes in term %d: %v", term, votes)
		}
	})
}
