package term

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"testing"
)

func TestAnOutputThatNobodyReadsEndsACommandQuietly(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("pipes break with an error of another name there")
	}
	reader, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	reader.Close()
	_, broken := out.WriteString("x")
	var errs bytes.Buffer
	e := Env{Stderr: &errs}
	if code := e.Conclude(t.Context(), fmt.Errorf("list: %w", broken)); code != ExitUnread || errs.Len() != 0 {
		t.Errorf("%v: %d, %q", broken, code, errs.String())
	}
	var file *os.PathError
	if !errors.As(broken, &file) {
		t.Fatalf("%#v", broken)
	}
	lost := &net.OpError{Op: "write", Net: "tcp", Err: os.NewSyscallError("write", file.Err)}
	if code := e.Conclude(t.Context(), lost); code != ExitFailed || errs.Len() == 0 {
		t.Errorf("a broken connection: %d, %q", code, errs.String())
	}
}
