package link

import (
	"sync"

	"github.com/twmb/franz-go/pkg/kbin"

	"github.com/headrace/headrace/internal/base/peer"
)

// Bounds of what waits to be sent to a node. Large messages, snapshots that is, are counted apart: there is one at a time, and
// neither must it be dropped for the small ones before it, nor those behind it for its size.
const (
	queuedMessages = 4096
	queuedBytes    = 16 << 20
	queuedLarge    = 2
	largeMessage   = 4 << 20
	raftFrame      = 256 << 10 // messages go together until a frame is as large
	raftSpare      = 256       // what a frame takes beside its messages
)

// outbox is the raft messages that wait to be sent to a node.
type outbox struct {
	filled chan struct{} // one token: there may be messages

	// mu comes before the Pool's.
	mu struct {
		sync.Mutex
		sending  bool // the sender runs
		messages [][]byte
		bytes    int  // of those that are not large
		large    int  // how many are
		dropped  bool // since the sender looked
	}
}

// post adds messages, or drops them, and never blocks.
func (n *node) post(messages [][]byte) {
	o := &n.outbox
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, m := range messages {
		if !o.takes(m) {
			o.mu.dropped = true
			break // what follows would be of no use without it
		}
		o.mu.messages = append(o.mu.messages, m)
	}
	if !o.mu.sending {
		o.mu.sending = n.p.run(n.sendRaft)
	}
	select {
	case o.filled <- struct{}{}:
	default:
	}
}

// takes counts a message, unless it would be too much. The caller holds mu.
func (o *outbox) takes(m []byte) bool {
	switch {
	case len(o.mu.messages) >= queuedMessages:
		return false
	case len(m) < largeMessage:
		if o.mu.bytes+len(m) > queuedBytes {
			return false
		}
		o.mu.bytes += len(m)
	default:
		if o.mu.large >= queuedLarge {
			return false
		}
		o.mu.large++
	}
	return true
}

// take removes what is there.
func (o *outbox) take() (messages [][]byte, dropped bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	messages, dropped = o.mu.messages, o.mu.dropped
	o.mu.messages, o.mu.bytes, o.mu.large, o.mu.dropped = nil, 0, 0, false
	return messages, dropped
}

// sendRaft sends messages as they come, until Forget or Close. When the node cannot be reached they are dropped: raft sends anew
// what matters.
func (n *node) sendRaft() {
	for {
		select {
		case <-n.outbox.filled:
		case <-n.ctx.Done():
			return
		}
		if !n.awaitDue() {
			return
		}
		messages, dropped := n.outbox.take()
		if !n.deliver(messages) || dropped {
			if n.ctx.Err() != nil {
				return
			}
			n.p.Unreachable(n.id)
		}
	}
}

// deliver hands messages to the connection, and tells whether all were. While the connection is busy, others wait in the outbox.
func (n *node) deliver(messages [][]byte) (all bool) {
	all = true
	for len(messages) > 0 {
		count, size := 0, 0
		for count < len(messages) && count < peer.MaxMessages && (count == 0 || size+len(messages[count]) <= raftFrame) {
			size += len(messages[count]) + kbin.UvarintLen(uint32(len(messages[count])+1))
			count++
		}
		req := &peer.RaftRequest{From: int32(n.p.Self), Messages: messages[:count]}
		messages = messages[count:]
		frame, err := appendRequest(make([]byte, 0, size+raftSpare), req, n.p.MaxFrame)
		if err != nil {
			n.p.Log.Error("raft message cannot be sent", "node", n.id, "err", err)
			all = false
			continue
		}
		s, err := n.connect(n.ctx, &n.mu.raft)
		if err != nil {
			return false
		}
		if err := s.send(n.ctx, outgoing{frame: frame}); err != nil {
			return false
		}
	}
	return all
}
