//go:build unix

package app

import (
	"math"
	"syscall"
)

// fileLimit is the soft limit, which Go's runtime raised to the hard one at the start.
func fileLimit() int {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 0
	}
	return int(min(uint64(l.Cur), math.MaxInt32))
}
