// Package admin serves what operators look at over HTTP: whether the node is alive and ready, its metrics, the levels of its
// log, and profiles. app makes a Server before anything else of the node, so that a start that takes long can be watched, and
// closes it last. A Server owns one goroutine, and those of net/http for its connections; Close ends and waits for them.
package admin

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// What a client may cost. Only profiles take longer than answerTime, as long as their client asks for and stays.
const (
	headerTime  = 5 * time.Second
	requestTime = 10 * time.Second
	answerTime  = 2 * time.Minute
	idleTime    = 2 * time.Minute
	maxHeader   = 16 << 10
	maxBody     = 64 << 10
	maxClients  = 64
)

// Config says what is served. Log and Levels must be set.
type Config struct {
	Log    *slog.Logger
	Levels Levels
	// Profiles serves /debug/pprof/: it shows memory, and takes processor time.
	Profiles bool
	// Local says that the listener is reached from this machine alone. Then anybody who reaches it may change log levels, and
	// a browser is refused that was led here under another name.
	Local bool
}

// Levels are those of the log's components: logs.Levels is the one implementation.
type Levels interface {
	All() map[string]slog.Level
	Check(name string) error
	Set(name string, level slog.Level) error
	Follow(name string) error
}

// Node is what a Server tells of once the node has come so far.
type Node struct {
	// Health is nil when the node can do all it is there for, or says what it cannot.
	Health  func() error
	Metrics http.Handler
}

// Server is the admin listener.
type Server struct {
	Config
	http http.Server
	done sync.WaitGroup
	// node is nil while the node starts; stopping is set when it begins to stop.
	node     atomic.Pointer[Node]
	stopping atomic.Bool
}

// Serve answers on l, which is the Server's from here on: the node is alive, and not ready.
func Serve(l net.Listener, c Config) *Server {
	s := &Server{Config: c}
	room := &limited{Listener: l, most: maxClients}
	s.http = http.Server{
		Handler: s.guard(s.routes()), ErrorLog: slog.NewLogLogger(c.Log.Handler(), slog.LevelDebug),
		ReadHeaderTimeout: headerTime, ReadTimeout: requestTime, WriteTimeout: answerTime, IdleTimeout: idleTime,
		MaxHeaderBytes: maxHeader, ConnState: room.changed,
	}
	s.done.Go(func() {
		if err := s.http.Serve(room); !errors.Is(err, http.ErrServerClosed) {
			c.Log.Error("admin listener ended", "address", l.Addr().String(), "err", err)
		}
	})
	return s
}

// Started says that the node has started.
func (s *Server) Started(n Node) { s.node.Store(&n) }

// Stopping says that the node takes no more work: it is not ready from here on.
func (s *Server) Stopping() { s.stopping.Store(true) }

// Close lets requests under way end until ctx does, and waits for them.
func (s *Server) Close(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.http.Close())
	}
	s.done.Wait()
	return err
}

func (s *Server) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.index)
	mux.HandleFunc("GET /livez", s.live)
	mux.HandleFunc("GET /readyz", s.ready)
	mux.HandleFunc("GET /startupz", s.started)
	mux.HandleFunc("GET /v1/status/ready", s.status)
	mux.HandleFunc("GET /metrics", s.metrics)
	mux.HandleFunc("GET /loglevels", s.levels)
	mux.HandleFunc("PUT /loglevels", s.setLevels)
	if s.Profiles {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return mux
}

// guard bounds bodies, and on a local listener refuses names that are not this machine's: a web page elsewhere can make a
// browser here ask for its own name at our address, and would be shown the answer.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.Local && !ownName(r.Host) {
			http.Error(w, "this listener is for this machine: ask for 127.0.0.1 or localhost", http.StatusForbidden)
			return
		}
		if s.Local && elsewhere(r.Header) {
			http.Error(w, "this listener is for this machine, and a page of another site asks", http.StatusForbidden)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// elsewhere tells whether a browser asks on behalf of another site: the page would not be shown the answer, but a profile or a
// scrape takes its time all the same. Who follows a link is let through.
func elsewhere(h http.Header) bool {
	site := h.Get("Sec-Fetch-Site")
	return (site == "cross-site" || site == "same-site") && h.Get("Sec-Fetch-Dest") != "document"
}

// ownName tells whether the Host of a request is an address or localhost; nobody else's name server says what those are.
func ownName(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	_, err := netip.ParseAddr(host)
	return err == nil || strings.EqualFold(host, "localhost") || host == ""
}
