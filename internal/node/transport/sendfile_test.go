package transport

import (
	"bytes"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"testing"
)

// streamed is a Response with a file's parts.
type streamed struct {
	pieces   []Piece
	released int
}

func (s *streamed) AppendTo(dst []byte) []byte { panic("a streamed answer was copied") }
func (s *streamed) Pieces() []Piece            { return s.pieces }
func (s *streamed) Release()                   { s.released++ }
func (s *streamed) Size() (n int) {
	for _, p := range s.pieces {
		n += len(p.Bytes) + p.Len
	}
	return n
}

func TestFilePartsAreSentWithoutMovingTheFile(t *testing.T) {
	content := make([]byte, 3<<20)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range content {
		content[i] = byte(rng.Uint32())
	}
	name := filepath.Join(t.TempDir(), "segment")
	if err := os.WriteFile(name, content, 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()

	h := newFakeHandler()
	srv := New(Config{Handler: h, Log: slog.New(slog.DiscardHandler), Budget: NewBudget(1 << 20)})
	defer srv.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv.Serve(l, "PLAINTEXT")
	w := &world{t: t, fakeHandler: h, srv: srv}
	for _, os := range []*os.File{f, nil} {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		r := &streamed{pieces: []Piece{
			{Bytes: []byte("head"), File: f, OS: os, Off: 17, Len: 2<<20 + 5},
			{Bytes: []byte("middle"), File: f, OS: os, Off: 100, Len: 40},
			{Bytes: []byte("tail")},
		}}
		w.gate("fetch") <- r
		w.send(c, request(keyHandle, 4, 9, "fetch"))
		want := bytes.Join([][]byte{[]byte("head"), content[17 : 17+2<<20+5], []byte("middle"), content[100:140], []byte("tail")}, nil)
		correlation, got := w.answer(c)
		if correlation != 9 || got != string(want) {
			t.Fatalf("answer %d of %d bytes, want %d", correlation, len(got), len(want))
		}
		c.Close()
	}
	if at, err := f.Seek(0, 1); err != nil || at != 0 {
		t.Fatalf("file offset moved to %d, %v", at, err)
	}
}
