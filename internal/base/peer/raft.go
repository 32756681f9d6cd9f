package peer

import "github.com/twmb/franz-go/pkg/kmsg"

// MaxMessages is how many messages a RaftRequest may carry: an empty one takes a byte on the wire and much more in memory.
const MaxMessages = 16 << 10

// RaftRequest carries messages of the metadata quorum, each a marshalled raftpb.Message, in the order in which they were made.
// It is never answered.
type RaftRequest struct {
	versioned
	From     int32
	Messages [][]byte
}

// Key implements kmsg.Request.
func (*RaftRequest) Key() int16 { return KeyRaft }

// ResponseKind implements kmsg.Request: there is no answer.
func (*RaftRequest) ResponseKind() kmsg.Response { return nil }

// AppendTo implements kmsg.Request.
func (m *RaftRequest) AppendTo(dst []byte) []byte {
	dst = appendInt32(dst, m.From)
	dst = appendCount(dst, len(m.Messages))
	for _, b := range m.Messages {
		dst = appendBytes(dst, b)
	}
	return appendTags(dst)
}

// ReadFrom implements kmsg.Request. Messages alias src.
func (m *RaftRequest) ReadFrom(src []byte) error {
	r := read(src)
	m.From, m.Messages = r.Int32(), nil
	if n := r.count(1); n > MaxMessages {
		r.fail()
	} else if n > 0 {
		m.Messages = make([][]byte, n)
		for i := range m.Messages {
			m.Messages[i] = r.bytes()
		}
	}
	return r.end()
}
