//go:build !unix

package app

import (
	"os"
	"time"
)

// hangups are none: there is no such signal.
func hangups() (<-chan os.Signal, func()) { return nil, func() {} }

func monotonic() time.Duration { return 0 }
