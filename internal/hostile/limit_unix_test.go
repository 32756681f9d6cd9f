//go:build unix

package hostile

import (
	"syscall"
)

// limitFiles sets how many files this process may have open: as many as it may be given, up to n.
func limitFiles(n uint64) {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil {
		return
	}
	if raised := (syscall.Rlimit{Cur: n, Max: max(n, l.Max)}); syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised) == nil {
		return
	}
	l.Cur = min(n, l.Max)
	_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l)
}
