package transport

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"
)

func FuzzHeader(f *testing.F) {
	f.Add(request(keyHandle, 9, 7, "body")[4:], true)
	f.Add(request(keyHandle, 4, 7, "body")[4:], false)
	f.Add([]byte{0, 18, 0, 3, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f, 0}, true)
	f.Fuzz(func(t *testing.T, b []byte, flexible bool) {
		_, body, err := parseHeader(b, flexible)
		if err == nil && !bytes.HasSuffix(b, body) {
			t.Fatal("the body is not the end of the frame")
		}
	})
}

func TestHeaderIsSplitFromTheBody(t *testing.T) {
	for _, version := range []int16{4, 9} {
		h, body, err := parseHeader(request(keyHandle, version, 7, "body")[4:], version >= 9)
		if err != nil || h.clientID != "me" || h.correlation != 7 || h.version != version || string(body) != "body" {
			t.Fatalf("version %d: %+v, %q, %v", version, h, body, err)
		}
	}
}

func TestLargeFrameTakesMemoryAsItComes(t *testing.T) {
	content := make([]byte, 5*wholeBuffer/2)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range content {
		content[i] = byte(rng.Uint32())
	}
	got, err := readBody(iotest.HalfReader(bytes.NewReader(content)), len(content))
	if err != nil || !bytes.Equal(got, content) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	if b, err := readBody(io.LimitReader(bytes.NewReader(content), 10), 100<<20); err == nil || b != nil {
		t.Fatalf("a frame cut short was read: %d bytes", len(b))
	}
}
