// Package term is what every command shares of the way it meets its user: its surroundings, exit codes, complaints about wrong
// arguments, and answers as a table, JSON or YAML. The packages of commands below cli call it; its only goroutine reads
// standard input (see Input).
package term

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strings"
	"syscall"
)

// Exit codes, part of the interface to scripts.
const (
	ExitOK          = 0
	ExitFailed      = 1   // the cluster, a file or the network refused
	ExitUsage       = 2   // wrong arguments
	ExitUnreachable = 3   // no node answers at the address
	ExitInterrupted = 130 // Ctrl-C before the work was done
	ExitUnread      = 141 // nobody reads the output any more, as in headrace topic list | head -1
)

// Env is what a command has of the world.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	// Dial replaces the network, as in a test; nil is the real one.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Say writes to standard output.
func (e Env) Say(format string, args ...any) error {
	_, err := fmt.Fprintf(e.Stdout, format, args...)
	return err
}

// Warn writes one line about something that does not stop the command to standard error.
func (e Env) Warn(format string, args ...any) {
	fmt.Fprintf(e.Stderr, "headrace: "+format+"\n", args...)
}

// UsageError is a wrong command line.
type UsageError struct{ text string }

func (e *UsageError) Error() string { return e.text }

// ExitCode is that of all wrong command lines.
func (e *UsageError) ExitCode() int { return ExitUsage }

// Usage complains about the command line.
func Usage(format string, args ...any) error { return &UsageError{fmt.Sprintf(format, args...)} }

// Unread tells whether err is that the reader of standard output has gone, and not the other end of a connection.
func Unread(err error) bool {
	var file *fs.PathError
	return errors.As(err, &file) && file.Op == "write" && errors.Is(file, syscall.EPIPE)
}

// ExitCode is the code that a process ends with after err: that of the first error in its chain that has one (a method
// ExitCode() int), or the one of ctx being interrupted.
func ExitCode(ctx context.Context, err error) int {
	var own interface{ ExitCode() int }
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, new(*UsageError)):
		return ExitUsage
	case ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, ctx.Err())):
		return ExitInterrupted
	case errors.As(err, &own):
		return own.ExitCode()
	case Unread(err):
		return ExitUnread
	}
	return ExitFailed
}

// Conclude tells err on standard error, in one line, and returns the exit code.
func (e Env) Conclude(ctx context.Context, err error) int {
	code := ExitCode(ctx, err)
	switch {
	case code == ExitInterrupted:
		e.Warn("interrupted")
	case code == ExitUnread: // like a program that the signal ends
	case err != nil && code != ExitOK && err.Error() != "": // one without words has been told
		e.Warn("%s", OneLine(err))
	}
	return code
}

// OneLine keeps an error, and several that are joined, to one line.
func OneLine(err error) string {
	lines := strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\r' })
	return strings.Join(lines, "; ")
}

// Plural is the noun for n things.
func Plural(n int, noun string) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}

// Bytes is a number of bytes for people.
func Bytes(n int64) string {
	switch {
	case n < 0:
		return "?"
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n), ""
	for _, unit = range []string{"KiB", "MiB", "GiB", "TiB", "PiB"} {
		value /= 1 << 10
		if value < 1<<10 {
			break
		}
	}
	return fmt.Sprintf("%.1f %s", value, unit)
}
