// Package wire asks a broker single requests over one connection, without a client library's retries and back-off, and tells when
// a broker that was just started serves, and what a node of a cluster knows of the others. The benchmark's works on starting and on
// clusters call it; it has no goroutines.
package wire

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	answerTimeout = 10 * time.Second
	largestAnswer = 64 << 20
)

// Conn is one connection to a broker. It is not safe for concurrent use.
type Conn struct {
	net    net.Conn
	format *kmsg.RequestFormatter
	number int32
}

// Dial connects to the broker at address.
func Dial(ctx context.Context, address string) (*Conn, error) {
	d := net.Dialer{Timeout: time.Second}
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &Conn{net: c, format: kmsg.NewRequestFormatter(kmsg.FormatterClientID("bench"))}, nil
}

// Close ends the connection.
func (c *Conn) Close() error { return c.net.Close() }

// Ask sends a request, whose version is set, and reads its response.
func (c *Conn) Ask(r kmsg.Request) (kmsg.Response, error) {
	c.number++
	if err := c.net.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return nil, err
	}
	if _, err := c.net.Write(c.format.AppendRequest(nil, r, c.number)); err != nil {
		return nil, err
	}
	var head [8]byte
	if _, err := io.ReadFull(c.net, head[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head[:4])
	if size < 4 || size > largestAnswer {
		return nil, fmt.Errorf("a response of %d bytes", size)
	}
	if got := int32(binary.BigEndian.Uint32(head[4:])); got != c.number {
		return nil, fmt.Errorf("the response to request %d, not %d", got, c.number)
	}
	body := make([]byte, size-4)
	if _, err := io.ReadFull(c.net, body); err != nil {
		return nil, err
	}
	response := r.ResponseKind()
	response.SetVersion(r.GetVersion())
	// ApiVersions alone keeps the old response header at flexible versions, because it is asked before versions are known.
	if _, versions := r.(*kmsg.ApiVersionsRequest); response.IsFlexible() && !versions {
		if len(body) == 0 || body[0] != 0 {
			return nil, fmt.Errorf("a response header with tagged fields")
		}
		body = body[1:]
	}
	return response, response.ReadFrom(body)
}
