package term

import (
	"context"
	"io"
)

// Input is standard input, whose end is also that of ctx: a read that waits for somebody to type gives way to Ctrl-C. The goroutine
// that Input starts may stay behind in a read that cannot be cancelled, until the process ends. Stdin belongs to it from here on.
func (e Env) Input(ctx context.Context) io.Reader {
	out, in := io.Pipe()
	context.AfterFunc(ctx, func() { in.CloseWithError(ctx.Err()) })
	copyAll := func() {
		_, err := io.Copy(in, e.Stdin)
		in.CloseWithError(err) // nil is the end of the input
	}
	go copyAll()
	return out
}
