package transport

import (
	"context"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Client is what is known of who sends a request.
type Client struct {
	ID       string // client.id of this request's header; empty when it had none
	Host     string // address without the port, as in "127.0.0.1"
	Address  string // address with the port
	Local    string // the address of this machine, with the port, that it came to
	Listener string // name of the listener it came in by
}

// Call is one decoded request. Byte slices inside Request alias the frame, which is reused once the answer has been
// encoded: what must live longer (other than what a log has written) is copied.
type Call struct {
	Client   Client
	Version  int16
	Request  kmsg.Request
	Received time.Time // when its last byte arrived; deadlines count from here
	// Pause is from the last byte of the connection's request before to that of this one, what its answer took included; 0 for
	// the first.
	Pause time.Duration
	// Note is a place on the connection where a handler leaves what its later requests have to know. Empty at first.
	Note *atomic.Value
}

// Response is the body of an answer, without its header. A nil Response means that nothing is sent (acks=0).
// Every kmsg.Response is one.
type Response interface {
	AppendTo(dst []byte) []byte
}

// Hangup is the Response that closes the connection instead of answering.
type Hangup struct {
	Reason string
	// Again is set where the client shall try again, elsewhere or here: see conn.close.
	Again bool
}

// AppendTo writes nothing: a Hangup has no body.
func (Hangup) AppendTo(dst []byte) []byte { return dst }

// Streamed is a Response of which parts lie in files. The connection takes Size and Pieces once, sends the pieces in
// order, and calls Release exactly once, sent or not.
type Streamed interface {
	Response
	Size() int
	Pieces() []Piece
	Release()
}

// Piece is some bytes, then Len bytes of a file from Off on.
type Piece struct {
	Bytes []byte
	File  io.ReaderAt
	// OS is the same file for sendfile(2), or nil. Its file offset is never moved.
	OS  *os.File
	Off int64
	Len int
}

// Pending is an answer that is not ready yet. Its request has already taken effect in its place in the connection's
// order; what is left is waiting.
type Pending interface {
	// Ready tells whether Finish would return at once.
	Ready() bool
	// Finish waits for the answer, at most until ctx ends (the connection is gone) or the request's own deadline.
	// It is called exactly once.
	Finish(ctx context.Context) Response
}

// Op says how requests of one key and version are served. Exactly one of Handle and Begin is set.
type Op struct {
	// Flexible tells that the request header is v2 and the answer's header v1 (KIP-482).
	Flexible bool
	// PlainReply keeps the answer's header at v0 although Flexible: ApiVersions alone.
	PlainReply bool
	// Decode makes the kmsg request of a body. The result may alias body.
	Decode func(version int16, body []byte) (kmsg.Request, error)
	// Weight tells, without decoding, about how much memory Decode takes beyond body itself. What is far out of
	// proportion to the body is refused, and the rest is held against the budget as it is; without it a charge for
	// the worst that a body of the size could be is held, too much for requests that wait long. An error closes the
	// connection.
	Weight func(version int16, body []byte) (int64, error)
	// Handle answers. It runs when everything before it on the connection was answered; ctx ends when the
	// connection does, or when the server drains and long waits should end.
	Handle func(ctx context.Context, c *Call) Response
	// Begin lets the request take effect and returns what waits for the answer. It runs in arrival order, while
	// earlier requests of that kind on the connection may still wait (Produce alone).
	Begin func(ctx context.Context, c *Call) Pending
}

// Handler finds the Op of a key and version; ok is false when the connection must be closed.
type Handler interface {
	Lookup(key, version int16) (op Op, ok bool)
}
