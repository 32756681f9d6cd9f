package peer

import "github.com/twmb/franz-go/pkg/kmsg"

// HelloRequest is the first request of every connection between nodes: it tells who calls, and asks who is there.
type HelloRequest struct {
	versioned
	ClusterID      string   // empty while the caller belongs to none
	NodeID         int32    // -1 when the caller is no node yet
	Incarnation    [16]byte // differs with each start of the caller's process
	Oldest, Newest int16    // bounds of the versions that the caller speaks
}

// HelloResponse tells who is there, or why the caller is not welcome: INCONSISTENT_CLUSTER_ID when it belongs to another cluster,
// DUPLICATE_BROKER_REGISTRATION when a live node has its id, UNSUPPORTED_VERSION when there is no version that both speak.
type HelloResponse struct {
	versioned
	ErrorCode    int16
	ErrorMessage string
	ClusterID    string
	NodeID       int32
	Incarnation  [16]byte
	Version      int16 // the version of everything that follows on the connection
	Leader       int32 // the active controller; -1 when it is not known
	Members      []Member
	// Clock is what the node's clock said when it answered, in milliseconds since 1970; 0 from one that does not tell.
	Clock int64
}

// clockTag is the tagged field with Clock.
const clockTag = 0

// Key implements kmsg.Request.
func (*HelloRequest) Key() int16 { return KeyHello }

// ResponseKind implements kmsg.Request.
func (*HelloRequest) ResponseKind() kmsg.Response { return &HelloResponse{} }

// AppendTo implements kmsg.Request.
func (m *HelloRequest) AppendTo(dst []byte) []byte {
	dst = appendString(dst, m.ClusterID)
	dst = appendInt32(dst, m.NodeID)
	dst = appendUUID(dst, m.Incarnation)
	dst = appendInt16(dst, m.Oldest)
	dst = appendInt16(dst, m.Newest)
	return appendTags(dst)
}

// ReadFrom implements kmsg.Request.
func (m *HelloRequest) ReadFrom(src []byte) error {
	r := read(src)
	m.ClusterID, m.NodeID, m.Incarnation = r.string(), r.Int32(), r.Uuid()
	m.Oldest, m.Newest = r.Int16(), r.Int16()
	return r.end()
}

// Key implements kmsg.Response.
func (*HelloResponse) Key() int16 { return KeyHello }

// RequestKind implements kmsg.Response.
func (*HelloResponse) RequestKind() kmsg.Request { return &HelloRequest{} }

// AppendTo implements kmsg.Response.
func (m *HelloResponse) AppendTo(dst []byte) []byte {
	dst = appendInt16(dst, m.ErrorCode)
	dst = appendString(dst, m.ErrorMessage)
	dst = appendString(dst, m.ClusterID)
	dst = appendInt32(dst, m.NodeID)
	dst = appendUUID(dst, m.Incarnation)
	dst = appendInt16(dst, m.Version)
	dst = appendInt32(dst, m.Leader)
	dst = appendMembers(dst, m.Members)
	if m.Clock == 0 {
		return appendTags(dst)
	}
	return appendInt64(append(dst, 1, clockTag, 8), m.Clock)
}

// ReadFrom implements kmsg.Response.
func (m *HelloResponse) ReadFrom(src []byte) error {
	r := read(src)
	m.ErrorCode, m.ErrorMessage, m.ClusterID = r.Int16(), r.string(), r.string()
	m.NodeID, m.Incarnation, m.Version, m.Leader = r.Int32(), r.Uuid(), r.Int16(), r.Int32()
	m.Members, m.Clock = r.members(), 0
	return r.endWith(func(tag uint32, field reader) {
		if tag == clockTag {
			m.Clock = field.Int64()
		}
	})
}
