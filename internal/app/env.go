// Package app is the composition root: it turns a configuration and an environment into a running node, role by role, and
// stops it in the reverse order. cmd/headrace calls Main; nothing else imports it but tests. The goroutines of a node belong
// to the packages that it starts; app owns the ones that accept connections.
package app

import (
	"context"
	crand "crypto/rand"
	"io"
	"net"
	"os"

	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/node/reach"
)

// Env is all that a process has besides its arguments, so that a test can give it something else.
type Env struct {
	FS     vfs.FS
	Listen func(ctx context.Context, network, address string) (net.Listener, error)
	// Dial opens a connection to another node; nil means TCP.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Seed gives the seed of every source of chance: topic ids, election timeouts, jitter.
	Seed func() [32]byte
	// FileLimit is how many files and connections the process may have open, or 0 when nobody knows.
	FileLimit func() int
	// CoarseTimers makes the process one whose timers may be late, before a node starts in it; nil where the process is not
	// the node's own.
	CoarseTimers func(context.Context)
	// Network is what is known of the machine's addresses; nil keeps the node from judging its clients by them.
	Network func() reach.Machine
	Getenv  func(string) string
	Environ func() []string // NAME=value
	// Hangups are the requests to read the configuration again, until the function is called; nil where there are none.
	Hangups        func() (<-chan os.Signal, func())
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// OSEnv is the environment of the process itself.
func OSEnv() Env {
	return Env{
		FS: vfs.OS(),
		Listen: func(ctx context.Context, network, address string) (net.Listener, error) {
			return new(net.ListenConfig).Listen(ctx, network, address)
		},
		Seed: func() (seed [32]byte) {
			_, _ = crand.Read(seed[:]) // never fails: the runtime ends the process instead
			return seed
		},
		FileLimit: fileLimit,
		Network:   network,
		Getenv:    os.Getenv,
		Environ:   os.Environ,
		Hangups:   hangups,
		Stdin:     os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
	}
}
