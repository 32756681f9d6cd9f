package peer

import "github.com/twmb/franz-go/pkg/kmsg"

// SubmitRequest hands a request to the active controller. Many may be under way on a connection; answers come in their order.
type SubmitRequest struct {
	versioned
	TimeoutMs  int32
	RequestKey int16 // Kafka's key and version of what Body is, without its header
	Version    int16
	Body       []byte
	Listener   string // by which the client reached the node that sends this
}

// SubmitResponse is the controller's answer. Body, of RequestKey and Version, is there when ErrorCode is 0.
type SubmitResponse struct {
	versioned
	ErrorCode    int16
	ErrorMessage string
	Leader       int32 // the active controller as far as it is known; -1 when not
	// Offset is that of the last metadata record that the answer depends on: who has applied it sees what was done.
	Offset int64
	Body   []byte
}

// Key implements kmsg.Request.
func (*SubmitRequest) Key() int16 { return KeySubmit }

// ResponseKind implements kmsg.Request.
func (*SubmitRequest) ResponseKind() kmsg.Response { return &SubmitResponse{} }

// AppendTo implements kmsg.Request.
func (m *SubmitRequest) AppendTo(dst []byte) []byte {
	dst = appendInt32(dst, m.TimeoutMs)
	dst = appendInt16(dst, m.RequestKey)
	dst = appendInt16(dst, m.Version)
	dst = appendBytes(dst, m.Body)
	dst = appendString(dst, m.Listener)
	return appendTags(dst)
}

// ReadFrom implements kmsg.Request. Body aliases src.
func (m *SubmitRequest) ReadFrom(src []byte) error {
	r := read(src)
	m.TimeoutMs, m.RequestKey, m.Version = r.Int32(), r.Int16(), r.Int16()
	m.Body, m.Listener = r.bytes(), r.string()
	return r.end()
}

// Key implements kmsg.Response.
func (*SubmitResponse) Key() int16 { return KeySubmit }

// RequestKind implements kmsg.Response.
func (*SubmitResponse) RequestKind() kmsg.Request { return &SubmitRequest{} }

// AppendTo implements kmsg.Response.
func (m *SubmitResponse) AppendTo(dst []byte) []byte {
	dst = appendInt16(dst, m.ErrorCode)
	dst = appendString(dst, m.ErrorMessage)
	dst = appendInt32(dst, m.Leader)
	dst = appendInt64(dst, m.Offset)
	dst = appendBytes(dst, m.Body)
	return appendTags(dst)
}

// ReadFrom implements kmsg.Response. Body aliases src.
func (m *SubmitResponse) ReadFrom(src []byte) error {
	r := read(src)
	m.ErrorCode, m.ErrorMessage = r.Int16(), r.string()
	m.Leader, m.Offset, m.Body = r.Int32(), r.Int64(), r.bytes()
	return r.end()
}
