package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/headrace/headrace/bench/side"
	"github.com/headrace/headrace/bench/tool"
)

// bench runs the sessions on both systems, again and again, and collects what the works measured.
type bench struct {
	dir      string
	pairs    int
	size     size
	sessions []session
	systems  []side.System
	tools    tool.Set
	report   report
	commands []string // of the work that runs
}

// sample is one run of a work on one system.
type sample struct {
	Work     string    `json:"work"`
	System   side.Name `json:"system"`
	Pair     int       `json:"pair"`
	Figures  figures   `json:"figures,omitempty"`
	Commands []string  `json:"commands,omitempty"`
	Seconds  float64   `json:"seconds"`
	Error    string    `json:"error,omitempty"`
}

func (b *bench) ran(line string) { b.commands = append(b.commands, line) }

// all runs every session on both systems, pair by pair. A system that went first in one pair goes second in the next.
func (b *bench) all(ctx context.Context) {
	b.report.Began = time.Now().UTC()
	for _, s := range b.sessions {
		for pair := range b.pairs {
			for i := range b.systems {
				if ctx.Err() != nil {
					return
				}
				b.session(ctx, s, pair, b.systems[(i+pair)%len(b.systems)])
			}
		}
	}
}

// session runs the works of s on one system. What goes wrong is told in the samples of the works, and the next session goes on.
func (b *bench) session(ctx context.Context, s session, pair int, system side.System) {
	dir := filepath.Join(b.dir, fmt.Sprintf("%s-%d-%s", s.name, pair+1, system.Name))
	st := &stage{ctx: ctx, system: system, dir: dir, tools: b.tools, size: b.size}
	var broken error
	if !s.ownServers {
		st.nodes, broken = st.ready(filepath.Join(dir, "server"), max(1, s.nodes))
	}
	for _, w := range s.works {
		if broken == nil {
			broken = st.nodes.Alive()
		}
		b.work(ctx, st, w, pair, broken)
	}
	// What goes on when all nodes of a cluster stop at once is nobody's measure: the last ones hand over to nobody.
	if len(st.nodes) > 1 {
		st.nodes.Kill()
	} else if len(st.nodes) == 1 {
		if _, err := st.nodes[0].Stop(); err != nil {
			progress("%s: %v", system.Name, err)
		}
	}
	if s.keep {
		return
	}
	if err := remove(dir); err != nil {
		progress("remove %s: %v", dir, err)
	}
}

func (b *bench) work(ctx context.Context, st *stage, w work, pair int, broken error) {
	sam := sample{Work: w.name, System: st.system.Name, Pair: pair + 1}
	syncDisks() // what the work before left to write is not this one's burden
	begin := time.Now()
	b.commands = nil
	err := broken
	if err == nil {
		sam.Figures, err = b.try(ctx, st, w)
	}
	if ctx.Err() != nil {
		return // an interrupted run is none
	}
	sam.Commands, sam.Seconds = b.commands, time.Since(begin).Seconds()
	if err != nil {
		sam.Error, sam.Figures = err.Error(), nil
	}
	b.report.Samples = append(b.report.Samples, sam)
	progress("%s", sam.line(w))
}

// try runs a work for a bounded time, and not past the end of a server of its session.
func (b *bench) try(ctx context.Context, st *stage, w work) (figures, error) {
	ctx, cancel := context.WithTimeout(ctx, workTimeout)
	defer cancel()
	ctx, release := st.nodes.Context(ctx)
	defer release()
	st.ctx = ctx
	f, err := w.run(st)
	if err != nil {
		err = errors.Join(err, st.nodes.Alive())
	}
	if err != nil {
		return nil, err
	}
	for _, r := range w.rows {
		if _, ok := f[r.name]; !ok {
			return nil, fmt.Errorf("%s measured no %s", w.name, r.name)
		}
	}
	return f, nil
}
