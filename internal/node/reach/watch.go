package reach

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"time"
)

const (
	again      = time.Hour // between two lines about one client host
	mostHosts  = 1024      // remembered; further ones are not looked at until an hour is over
	waiting    = 16        // clients that wait for judgement; who finds no room is judged at its next request
	lookupTime = 3 * time.Second
	knownFor   = time.Minute // a name that was looked up is not looked up again
)

// Lookup finds the addresses of a host. An error means that the name is not known.
type Lookup func(ctx context.Context, host string) ([]netip.Addr, error)

// Config is what a Watch needs; every field is required.
type Config struct {
	Listeners []Listener
	Machine   Machine
	Lookup    Lookup
	Log       *slog.Logger
}

// Watch looks at the clients of one node.
type Watch struct {
	Config
	meetings chan meeting
	ctx      context.Context // ends with Close
	cancel   context.CancelFunc
	running  sync.WaitGroup

	mu   sync.Mutex
	seen map[visitor]time.Time // when a client host was last looked at, by listener
}

type visitor struct{ host, listener string }

type meeting struct {
	visitor
	remote, local string
}

// known is what a lookup found.
type known struct {
	ips []netip.Addr
	at  time.Time
}

// Start makes a Watch, and looks at the listeners at once.
func Start(c Config) *Watch {
	w := &Watch{Config: c, meetings: make(chan meeting, waiting), seen: map[visitor]time.Time{}}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	w.running.Go(w.run)
	return w
}

// Close ends the goroutine.
func (w *Watch) Close() {
	w.cancel()
	w.running.Wait()
}

// Met notes that a client asked for metadata: host is its address without the port. It does not block.
func (w *Watch) Met(now time.Time, host, listener, remote, local string) {
	v := visitor{host, listener}
	w.mu.Lock()
	defer w.mu.Unlock()
	if last, ok := w.seen[v]; ok && now.Sub(last) < again {
		return
	}
	if len(w.seen) >= mostHosts && !w.forget(now) {
		return
	}
	select {
	case w.meetings <- meeting{v, remote, local}:
		w.seen[v] = now
	default:
	}
}

// forget makes room by dropping what is due to be looked at again anyway; w.mu is held.
func (w *Watch) forget(now time.Time) bool {
	for v, last := range w.seen {
		if now.Sub(last) >= again {
			delete(w.seen, v)
		}
	}
	return len(w.seen) < mostHosts
}

func (w *Watch) run() {
	names := map[string]known{}
	for _, l := range w.Listeners {
		if line := w.Machine.AtStart(l, w.lookup(names, l.Host)); line != "" && w.ctx.Err() == nil {
			w.Log.Warn(line, "listener", l.Name)
		}
	}
	for {
		select {
		case m := <-w.meetings:
			w.judge(names, m)
		case <-w.ctx.Done():
			return
		}
	}
}

func (w *Watch) judge(names map[string]known, m meeting) {
	remote, err := netip.ParseAddrPort(m.remote)
	local, err2 := netip.ParseAddrPort(m.local)
	if err != nil || err2 != nil {
		return // no TCP, as inside a test
	}
	for _, l := range w.Listeners {
		if l.Name != m.listener {
			continue
		}
		g := Meeting{Listener: l, IPs: w.lookup(names, l.Host), Remote: remote, Local: local}
		if line := w.Machine.Trouble(g, w.Listeners); line != "" && w.ctx.Err() == nil {
			w.Log.Warn(line, "listener", l.Name)
		}
	}
}

func (w *Watch) lookup(names map[string]known, host string) []netip.Addr {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.Unmap()}
	}
	if k, ok := names[host]; ok && time.Since(k.at) < knownFor {
		return k.ips
	}
	ctx, cancel := context.WithTimeout(w.ctx, lookupTime)
	defer cancel()
	ips, _ := w.Lookup(ctx, host) // a name that cannot be looked up is one that is not known
	for i := range ips {
		ips[i] = ips[i].Unmap()
	}
	names[host] = known{ips, time.Now()}
	return ips
}
