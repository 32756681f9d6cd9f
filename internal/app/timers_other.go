//go:build !linux

package app

// CoarseTimers does nothing: only Linux can be told to be late.
func CoarseTimers() {}
