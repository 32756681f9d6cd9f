package term

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestInputIsWhatStandardInputHas(t *testing.T) {
	text := strings.Repeat("line\n", 100_000)
	if got, err := io.ReadAll((Env{Stdin: strings.NewReader(text)}).Input(t.Context())); err != nil || string(got) != text {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	bad := errors.New("bad disk")
	if _, err := io.ReadAll((Env{Stdin: iotest.ErrReader(bad)}).Input(t.Context())); !errors.Is(err, bad) {
		t.Error(err)
	}
}

func TestInputGivesWayToAnInterruptWhileNobodyTypes(t *testing.T) {
	stdin, typing := io.Pipe()
	defer typing.Close()
	ctx, interrupt := context.WithCancel(t.Context())
	in := (Env{Stdin: stdin}).Input(ctx)
	if _, err := typing.Write([]byte("a")); err != nil {
		t.Fatal(err)
	}
	if n, err := in.Read(make([]byte, 8)); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	interrupt()
	if _, err := in.Read(make([]byte, 8)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
