package bench

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// progress writes a line each second to standard error, over the one before where that is a terminal.
type progress struct {
	to       io.Writer
	terminal bool
	stop     chan struct{}
	done     sync.WaitGroup
	width    int // of the longest line so far
}

// showProgress starts the goroutine that writes the line.
func (c *command) showProgress(o *options, m *meter) *progress {
	p := &progress{to: c.env.Stderr, terminal: c.env.ErrIsTerminal(), stop: make(chan struct{})}
	if o.quiet {
		return p
	}
	begin := time.Now()
	p.done.Go(func() {
		every := time.NewTicker(time.Second)
		defer every.Stop()
		for {
			select {
			case <-p.stop:
				return
			case now := <-every.C:
				if t := m.tick(now); t.started {
					p.write(t.line(now.Sub(begin)))
				}
			}
		}
	})
	return p
}

func (t tick) line(since time.Duration) string {
	text := fmt.Sprintf("%4.0f s  %s records/s  %s MiB/s  p99 %s", since.Seconds(), number(t.recordsPerSecond), number(t.bytesPerSecond/(1<<20)),
		millis(float64(t.p99.Microseconds())/1e3))
	if t.warming {
		text += "  (warm-up)"
	}
	return text
}

func (p *progress) write(line string) {
	if !p.terminal {
		fmt.Fprintln(p.to, line)
		return
	}
	p.width = max(p.width, len(line))
	fmt.Fprintf(p.to, "\r%-*s", p.width, line)
}

// end stops the line, and leaves the cursor where the next one begins.
func (p *progress) end() {
	close(p.stop)
	p.done.Wait()
	if p.width > 0 {
		fmt.Fprintf(p.to, "\r%*s\r", p.width, "")
	}
}
