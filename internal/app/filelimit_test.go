package app

import (
	"errors"
	"io"
	"net"
	"testing"

	"github.com/headrace/headrace/internal/base/vfs"
)

func TestConnectionsLeaveHalfOfTheFilesToTheLogs(t *testing.T) {
	const files = 40
	w := newWorld(t, vfs.NewMem(), nil)
	w.env.FileLimit = func() int { return files }
	w.start()
	var conns []net.Conn
	for range files {
		c, err := net.Dial("tcp", w.node.Addresses()[0])
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	for _, c := range conns[files/2:] {
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Fatalf("a connection too many: %v", err)
		}
	}
	for _, c := range conns {
		c.Close()
	}
	w.stop()
}
