//go:build !darwin && !dragonfly && !freebsd && !linux && !windows

package vfs

import (
	"errors"
	"fmt"
	"os"
)

// syncOpenDir does nothing: these systems cannot sync a folder.
func syncOpenDir(*os.File) error { return nil }

func lockFile(*os.File) error {
	return fmt.Errorf("file locks: %w", errors.ErrUnsupported)
}

func usage(string) (total, free int64, err error) {
	return 0, 0, fmt.Errorf("disk usage: %w", errors.ErrUnsupported)
}
