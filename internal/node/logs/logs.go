// Package logs gives each component of a node a level of logging that can be changed while it runs. app wraps its handler
// once and hands loggers on with .With("component", name); node/admin and node/api show the levels and change them. It
// starts no goroutine.
package logs

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Root is the name of the level that holds for all components without one of their own.
const Root = "root"

// key is the attribute by which a logger says which component it belongs to.
const key = "component"

// Levels beyond those of slog, as Apache Kafka's tools name them.
const (
	LevelTrace = slog.LevelDebug - 4
	LevelFatal = slog.LevelError + 4
	LevelOff   = slog.LevelError + 8
)

// names are those of the levels, from the most talkative.
var names = []struct {
	name  string
	level slog.Level
}{
	{"TRACE", LevelTrace}, {"DEBUG", slog.LevelDebug}, {"INFO", slog.LevelInfo}, {"WARN", slog.LevelWarn},
	{"ERROR", slog.LevelError}, {"FATAL", LevelFatal}, {"OFF", LevelOff},
}

// ParseLevel reads the name of a level in any case.
func ParseLevel(name string) (slog.Level, error) {
	var known []string
	for _, n := range names {
		if strings.EqualFold(n.name, strings.TrimSpace(name)) {
			return n.level, nil
		}
		known = append(known, n.name)
	}
	return 0, fmt.Errorf("%q is no log level: choose one of %s", name, strings.Join(known, ", "))
}

// LevelName is the name of a level.
func LevelName(l slog.Level) string {
	for i := len(names) - 1; i >= 0; i-- {
		if l >= names[i].level {
			return names[i].name
		}
	}
	return names[0].name
}

// Levels are those of all components. Components are those whose loggers were made.
type Levels struct {
	root slog.LevelVar

	mu         sync.Mutex
	components map[string]*component
}

// component is a name that loggers were made for.
type component struct {
	level atomic.Int64
	own   bool // level was set for it alone; guarded by Levels.mu
	made  bool // there is a logger of it; guarded by Levels.mu
}

// New makes Levels that are all Info.
func New() *Levels { return &Levels{components: map[string]*component{}} }

// Handler puts the levels before next, which must let through all that they may.
func (l *Levels) Handler(next slog.Handler) slog.Handler { return handler{l, next, &l.root} }

// component finds or makes that of a name; made says that a logger of it is being made.
func (l *Levels) component(name string, made bool) *component {
	l.mu.Lock()
	defer l.mu.Unlock()
	c, ok := l.components[name]
	if !ok {
		c = &component{}
		c.level.Store(int64(l.root.Level()))
		l.components[name] = c
	}
	c.made = c.made || made
	return c
}

// Unused are the components that were begun and that no logger was made of, by name.
func (l *Levels) Unused() (unused []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(l.components)) {
		if !l.components[name].made {
			unused = append(unused, name)
		}
	}
	return unused
}

// Begin gives a component, or all for an empty name, its level before any logger of it is made.
func (l *Levels) Begin(name string, level slog.Level) {
	if name == "" {
		name = Root
	} else {
		l.component(name, false)
	}
	_ = l.Set(name, level) // it is known now
}

// All gives the level of Root and of each component, as it is in force.
func (l *Levels) All() map[string]slog.Level {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := map[string]slog.Level{Root: l.root.Level()}
	for name, c := range l.components {
		all[name] = slog.Level(c.level.Load())
	}
	return all
}

// Check tells whether name is one whose level can be set.
func (l *Levels) Check(name string) error {
	known := l.All()
	if _, ok := known[name]; !ok {
		return fmt.Errorf("%q is no component: there are %s", name, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
	}
	return nil
}

// Set sets the level of a component, or of Root and so of all that have none of their own.
func (l *Levels) Set(name string, level slog.Level) error {
	if err := l.Check(name); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if name != Root {
		l.components[name].own = true
		l.components[name].level.Store(int64(level))
		return nil
	}
	l.root.Set(level)
	for _, c := range l.components {
		if !c.own {
			c.level.Store(int64(level))
		}
	}
	return nil
}

// Follow takes a component's own level away: it has that of Root again.
func (l *Levels) Follow(name string) error {
	if err := l.Check(name); err != nil {
		return err
	}
	if name == Root {
		return fmt.Errorf("%s has no level to follow: set one", Root)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.components[name].own = false
	l.components[name].level.Store(int64(l.root.Level()))
	return nil
}

// Level makes a component a slog.Leveler.
func (c *component) Level() slog.Level { return slog.Level(c.level.Load()) }

// handler lets through what its level does.
type handler struct {
	levels *Levels
	next   slog.Handler
	level  slog.Leveler
}

func (h handler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= h.level.Level() && h.next.Enabled(ctx, level)
}

func (h handler) Handle(ctx context.Context, r slog.Record) error { return h.next.Handle(ctx, r) }

// WithAttrs finds the component among the attributes.
func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	level := h.level
	for _, a := range attrs {
		if a.Key == key && a.Value.Kind() == slog.KindString {
			level = h.levels.component(a.Value.String(), true)
		}
	}
	return handler{h.levels, h.next.WithAttrs(attrs), level}
}

func (h handler) WithGroup(name string) slog.Handler {
	return handler{h.levels, h.next.WithGroup(name), h.level}
}
