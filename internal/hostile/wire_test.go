package hostile

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/batch"
)

// peer is one connection to a node.
type peer struct {
	t  testing.TB
	nc net.Conn
	in *bufio.Reader
}

func (v *victim) peer(t testing.TB) *peer {
	t.Helper()
	nc, err := net.DialTimeout("tcp", v.addr, patience)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	return &peer{t: t, nc: nc, in: bufio.NewReader(nc)}
}

func (p *peer) close() { p.nc.Close() }

// send writes bytes; a node that has closed the connection meanwhile is no error.
func (p *peer) send(b []byte) {
	p.nc.SetWriteDeadline(time.Now().Add(patience))
	_, _ = p.nc.Write(b) // what came of it is in the answer
}

// outcome is what a node did with a request.
type outcome int

const (
	answered outcome = iota // with the answer of the request's key and version
	closed                  // the connection
	silent                  // nothing, within the time given
	wrong                   // an answer that cannot be
)

func (o outcome) String() string {
	return [...]string{"answered", "closed the connection", "no answer", "a wrong answer"}[o]
}

// maxAnswer is above what any answer to a hostile request may have.
const maxAnswer = 64 << 20

// read reads one answer's bytes after its length.
func (p *peer) read(within time.Duration) ([]byte, outcome) {
	p.nc.SetReadDeadline(time.Now().Add(within))
	var head [4]byte
	if _, err := io.ReadFull(p.in, head[:]); err != nil {
		return nil, ending(err)
	}
	n := int32(binary.BigEndian.Uint32(head[:]))
	if n < 4 || n > maxAnswer {
		p.t.Errorf("an answer of %d bytes", n)
		return nil, wrong
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(p.in, b); err != nil {
		return nil, ending(err)
	}
	return b, answered
}

func ending(err error) outcome {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return silent
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return closed
	}
	return wrong
}

// answer reads the answer to a request, and holds it to what a client of that version can read.
func (p *peer) answer(key, version int16, correlation uint32) outcome {
	return p.answerWithin(key, version, correlation, patience)
}

func (p *peer) answerWithin(key, version int16, correlation uint32, within time.Duration) outcome {
	b, got := p.read(within)
	if got != answered {
		return got
	}
	if c := binary.BigEndian.Uint32(b); c != correlation {
		p.t.Errorf("%s version %d: the answer has the correlation id %#x instead of %#x", kmsg.Key(key).Name(), version, c, correlation)
		return wrong
	}
	if _, err := decode(key, version, b[4:]); err != nil {
		p.t.Errorf("%s version %d: the answer cannot be read: %v: % x", kmsg.Key(key).Name(), version, err, b[:min(len(b), 200)])
		return wrong
	}
	return answered
}

// decode reads an answer, after its correlation id.
func decode(key, version int16, b []byte) (kmsg.Response, error) {
	resp := kmsg.ResponseForKey(key)
	if resp == nil {
		return nil, fmt.Errorf("an answer to the unknown key %d", key)
	}
	if key == int16(kmsg.ApiVersions) && (version < 0 || version > maxApiVersions) {
		version = 0
	}
	resp.SetVersion(version)
	if resp.IsFlexible() && key != int16(kmsg.ApiVersions) {
		if len(b) == 0 || b[0] != 0 {
			return nil, errors.New("tags in the header")
		}
		b = b[1:]
	}
	if err := resp.ReadFrom(b); err != nil {
		return nil, err
	}
	if again := len(resp.AppendTo(nil)); again != len(b) {
		return nil, fmt.Errorf("%d bytes, %d of them read", len(b), again)
	}
	return resp, nil
}

// maxApiVersions is the newest version of ApiVersions that is served; what is newer is answered in version 0.
const maxApiVersions = 4

// readAll reads what was stored of the attack, as a client does that checks checksums and lengths.
func (v *victim) readAll(t *testing.T, atLeast int) {
	t.Helper()
	cl := v.client(kgo.ConsumeTopics(v.topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for n := 0; n < atLeast; {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("after %d records of at least %d: %v", n, atLeast, err)
		}
		n += fetches.NumRecords()
	}
}

// readable inflates a batch as franz-go's client does.
func readable(b []byte) error {
	h, err := batch.ParseHeader(b)
	if err != nil {
		return err
	}
	_, err = kgo.DefaultDecompressor().Decompress(b[batch.HeaderSize:h.Size()], kgo.CompressionCodecType(h.Attributes.Codec()))
	return err
}
