//go:build !linux

package app

import "context"

// CoarseTimers does nothing: only Linux can be told to be late.
func CoarseTimers(context.Context) {}
