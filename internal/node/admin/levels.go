package admin

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"mime"
	"net/http"
	"slices"

	"github.com/headrace/headrace/internal/node/logs"
)

// levels answers {"root":"INFO","api":"DEBUG",…}.
func (s *Server) levels(w http.ResponseWriter, _ *http.Request) {
	all := map[string]string{}
	for name, level := range s.Levels.All() {
		all[name] = logs.LevelName(level)
	}
	writeJSON(w, http.StatusOK, all)
}

// setLevels takes the levels of some components, all or none of them; null has a component follow root again.
func (s *Server) setLevels(w http.ResponseWriter, r *http.Request) {
	if !s.Local {
		http.Error(w, "log levels can be changed here on a loopback listener alone: use kafka-configs --entity-type broker-loggers", http.StatusForbidden)
		return
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		http.Error(w, "Content-Type must be application/json", http.StatusUnsupportedMediaType)
		return
	}
	wanted, err := s.readLevels(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		s.setLevel(name, wanted[name])
	}
	s.levels(w, r)
}

// readLevels reads and checks what is wanted: a level by name, or nil.
func (s *Server) readLevels(body io.Reader) (map[string]*slog.Level, error) {
	var names map[string]*string
	d := json.NewDecoder(body)
	if err := d.Decode(&names); err != nil {
		return nil, fmt.Errorf(`want {"component":"LEVEL"}: %w`, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf(`want {"component":"LEVEL"}, and nothing after it`)
	}
	wanted := map[string]*slog.Level{}
	for name, text := range names {
		if err := s.Levels.Check(name); err != nil {
			return nil, err
		}
		if wanted[name] = nil; text == nil && name == logs.Root {
			return nil, fmt.Errorf("%s has no level to follow: set one", name)
		}
		if text == nil {
			continue
		}
		level, err := logs.ParseLevel(*text)
		if err != nil {
			return nil, err
		}
		wanted[name] = &level
	}
	return wanted, nil
}

func (s *Server) setLevel(name string, level *slog.Level) {
	var err error
	if level == nil {
		err = s.Levels.Follow(name)
	} else {
		err = s.Levels.Set(name, *level)
	}
	if err == nil {
		s.Log.Info("log level changed", "of", name, "to", logs.LevelName(s.Levels.All()[name]))
	}
}
