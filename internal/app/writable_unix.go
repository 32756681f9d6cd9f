//go:build unix

package app

import "golang.org/x/sys/unix"

// writable asks, without changing anything, whether files can be made in a directory; on a file system that is read-only
// they cannot, whoever asks.
func writable(dir string) error { return unix.Access(dir, unix.W_OK|unix.X_OK) }
