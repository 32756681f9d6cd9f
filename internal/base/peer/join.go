package peer

import "github.com/twmb/franz-go/pkg/kmsg"

// JoinRequest asks the active controller to let a node into the metadata quorum.
type JoinRequest struct {
	versioned
	ClusterID    string
	NodeID       int32
	DirectoryIDs [][16]byte // of its log directories
	Incarnation  [16]byte
	Host         string // where the other nodes reach it
	Port         int32
	// Fresh tells that the node's disk knows nothing of the quorum: neither votes nor log entries of an earlier life.
	Fresh bool
}

// JoinResponse tells that the node is in, or why not. NOT_CONTROLLER comes with the Leader to ask instead, found in Members.
type JoinResponse struct {
	versioned
	ErrorCode    int16
	ErrorMessage string
	ClusterID    string
	Leader       int32
	Members      []Member
}

// Key implements kmsg.Request.
func (*JoinRequest) Key() int16 { return KeyJoin }

// ResponseKind implements kmsg.Request.
func (*JoinRequest) ResponseKind() kmsg.Response { return &JoinResponse{} }

// AppendTo implements kmsg.Request.
func (m *JoinRequest) AppendTo(dst []byte) []byte {
	dst = appendString(dst, m.ClusterID)
	dst = appendInt32(dst, m.NodeID)
	dst = appendCount(dst, len(m.DirectoryIDs))
	for _, id := range m.DirectoryIDs {
		dst = appendUUID(dst, id)
	}
	dst = appendUUID(dst, m.Incarnation)
	dst = appendString(dst, m.Host)
	dst = appendInt32(dst, m.Port)
	dst = appendBool(dst, m.Fresh)
	return appendTags(dst)
}

// ReadFrom implements kmsg.Request.
func (m *JoinRequest) ReadFrom(src []byte) error {
	r := read(src)
	m.ClusterID, m.NodeID, m.DirectoryIDs = r.string(), r.Int32(), nil
	if n := r.count(len(m.Incarnation)); n > 0 {
		m.DirectoryIDs = make([][16]byte, n)
		for i := range m.DirectoryIDs {
			m.DirectoryIDs[i] = r.Uuid()
		}
	}
	m.Incarnation, m.Host, m.Port, m.Fresh = r.Uuid(), r.string(), r.Int32(), r.Bool()
	return r.end()
}

// Key implements kmsg.Response.
func (*JoinResponse) Key() int16 { return KeyJoin }

// RequestKind implements kmsg.Response.
func (*JoinResponse) RequestKind() kmsg.Request { return &JoinRequest{} }

// AppendTo implements kmsg.Response.
func (m *JoinResponse) AppendTo(dst []byte) []byte {
	dst = appendInt16(dst, m.ErrorCode)
	dst = appendString(dst, m.ErrorMessage)
	dst = appendString(dst, m.ClusterID)
	dst = appendInt32(dst, m.Leader)
	dst = appendMembers(dst, m.Members)
	return appendTags(dst)
}

// ReadFrom implements kmsg.Response.
func (m *JoinResponse) ReadFrom(src []byte) error {
	r := read(src)
	m.ErrorCode, m.ErrorMessage, m.ClusterID = r.Int16(), r.string(), r.string()
	m.Leader, m.Members = r.Int32(), r.members()
	return r.end()
}
