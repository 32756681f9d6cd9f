package quorum

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// A leader that takes a node's log for longer than it is sends the same entries again as soon as they are refused. The node refuses
// them once a tick, what is different each time, and goes on refusing: one answer may be lost.
func TestEntriesBeyondTheLogAreRefusedOnceATick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var beats [4]atomic.Pointer[raftpb.Message] // the last to each node
		var counts atomic.Bool
		var refused atomic.Int32
		w := three(t, 37, func(c *Config) {
			send := c.Send
			c.Send = func(messages []*raftpb.Message) {
				var others []*raftpb.Message
				for _, m := range messages {
					switch {
					case m.GetType() == raftpb.MsgHeartbeat:
						beats[nodeID(m.GetTo())].Store(m)
						others = append(others, m)
					case m.GetType() == raftpb.MsgAppResp && m.GetReject() && counts.Load():
						refused.Add(1) // and nobody hears of it: the leader did not ask
					default:
						others = append(others, m)
					}
				}
				send(others)
			}
		})
		l := w.leader()
		follower := l%3 + 1
		w.eventually("heartbeats", func() bool { return beats[follower].Load() != nil })
		beyond := func(by uint64) *raftpb.Message {
			m := proto.Clone(beats[follower].Load()).(*raftpb.Message)
			m.Type, m.LogTerm, m.Index, m.Context = raftpb.MsgApp.Enum(), proto.Uint64(m.GetTerm()), proto.Uint64(1000+by), nil
			return m
		}
		counts.Store(true)
		for tick := range int32(3) {
			before := refused.Load()
			for i := range int32(2) {
				for range 20 {
					w.q(follower).Receive(beyond(uint64((i + tick) % 2))) // the first is the last of the tick before
					synctest.Wait()
				}
			}
			if got := refused.Load() - before; got != 2 {
				t.Errorf("tick %d: 20 times each, two messages were answered %d times", tick, got)
			}
			time.Sleep(defaultTick)
			synctest.Wait()
		}
		counts.Store(false)
		w.create(follower, "after")
		w.agree()
	})
}
