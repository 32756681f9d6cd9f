package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

func (s *Server) index(w http.ResponseWriter, _ *http.Request) {
	text := "/livez  /readyz  /startupz  /metrics  /loglevels"
	if s.Profiles {
		text += "  /debug/pprof/"
	}
	fmt.Fprintln(w, text)
}

// live answers as long as the process does: what is wrong with a log dir is not mended by killing it.
func (s *Server) live(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }

// started answers from the time on that the node first serves.
func (s *Server) started(w http.ResponseWriter, _ *http.Request) {
	if s.node.Load() == nil {
		http.Error(w, errStarting.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	if err := s.health(); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

var (
	errStarting = errors.New("the node is starting")
	errStopping = errors.New("the node is stopping")
)

// health is why clients should not be sent here, or nil.
func (s *Server) health() error {
	n := s.node.Load()
	switch {
	case s.stopping.Load():
		return errStopping
	case n == nil:
		return errStarting
	}
	return n.Health()
}

// status is the same for those who probe Redpanda.
func (s *Server) status(w http.ResponseWriter, _ *http.Request) {
	word, code := "ready", http.StatusOK
	if s.health() != nil {
		word, code = "booting", http.StatusServiceUnavailable
	}
	writeJSON(w, code, map[string]string{"status": word})
}

func (s *Server) metrics(w http.ResponseWriter, r *http.Request) {
	n := s.node.Load()
	if n == nil || s.stopping.Load() {
		http.Error(w, s.health().Error(), http.StatusServiceUnavailable)
		return
	}
	n.Metrics.ServeHTTP(w, r)
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) // the client has gone: there is nobody to tell
}
