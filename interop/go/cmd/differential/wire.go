package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// target is one of the two clusters, with what steps remember of its answers.
type target struct {
	name, addr string
	conn       net.Conn
	format     *kmsg.RequestFormatter
	max        map[int16]int16
	correlate  int32
	topics     map[[16]byte]string
	member     string
	generation int32
	dir        string // its log dir
}

func dial(name, addr string) (*target, error) {
	t := &target{name: name, addr: addr, format: kmsg.NewRequestFormatter(kmsg.FormatterClientID("differential")),
		max: map[int16]int16{}, topics: map[[16]byte]string{}}
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = "differential", "1"
	t.max[req.Key()] = 3
	resp, err := t.ask(req, 3)
	if err != nil {
		return nil, err
	}
	for _, k := range resp.(*kmsg.ApiVersionsResponse).ApiKeys {
		t.max[k.ApiKey] = k.MaxVersion
	}
	return t, nil
}

// ask sends one request and waits for its answer. A connection that was closed is opened anew by the next.
func (t *target) ask(req kmsg.Request, version int16) (kmsg.Response, error) {
	if t.conn == nil {
		c, err := net.DialTimeout("tcp", t.addr, 5*time.Second)
		if err != nil {
			return nil, err
		}
		t.conn = c
	}
	resp, err := t.exchange(req, version)
	if err != nil {
		t.conn.Close()
		t.conn = nil
	}
	return resp, err
}

func (t *target) exchange(req kmsg.Request, version int16) (kmsg.Response, error) {
	req.SetVersion(version)
	t.correlate++
	t.conn.SetDeadline(time.Now().Add(40 * time.Second))
	if _, err := t.conn.Write(t.format.AppendRequest(nil, req, t.correlate)); err != nil {
		return nil, err
	}
	var size [4]byte
	if _, err := io.ReadFull(t.conn, size[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(t.conn, b); err != nil {
		return nil, err
	}
	if len(b) < 4 || int32(binary.BigEndian.Uint32(b)) != t.correlate {
		return nil, fmt.Errorf("%s: an answer to another request", t.name)
	}
	b = b[4:]
	resp := req.ResponseKind()
	if resp.IsFlexible() && req.Key() != 18 {
		b = b[1:]
	}
	return resp, resp.ReadFrom(b)
}
