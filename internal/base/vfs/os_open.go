//go:build !windows

package vfs

import (
	"io/fs"
	"os"
)

func openFile(name string, flag int, perm fs.FileMode) (*os.File, error) {
	return os.OpenFile(name, flag, perm)
}

// noRoom: a full disk is ENOSPC or EDQUOT and nothing else.
func noRoom(error) bool { return false }
