package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"syscall"
	"time"

	"github.com/headrace/headrace/internal/base/conf"
	"github.com/headrace/headrace/internal/node/admin"
	"github.com/headrace/headrace/internal/node/api"
	"github.com/headrace/headrace/internal/node/logs"
	"github.com/headrace/headrace/internal/node/metrics"
	"github.com/headrace/headrace/internal/node/transport"
)

// newLogger writes to w in the form that the configuration asks for. Levels are decided by who wraps it (see setLevels).
func newLogger(w io.Writer, format string) *slog.Logger {
	all := &slog.HandlerOptions{Level: logs.LevelTrace}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, all))
	}
	return slog.New(slog.NewTextHandler(w, all))
}

// newLevels are the levels that the configuration says.
func newLevels(c conf.AdminConfig) *logs.Levels {
	levels := logs.New()
	for component, name := range c.LogLevels {
		level, err := logs.ParseLevel(name)
		if err != nil {
			continue // base/conf has refused it
		}
		levels.Begin(component, level)
	}
	return levels
}

// setLevels puts a level a component before the log.
func (n *Node) setLevels() {
	n.levels = newLevels(n.Config.Admin)
	n.Log = slog.New(n.levels.Handler(n.Log.Handler()))
}

// missComponents names those that a level was configured for and that nothing in this node is.
func (n *Node) missComponents() {
	for _, name := range n.levels.Unused() {
		n.Log.Warn("headrace.log.level names a component that this node does not have; /loglevels lists those there are", "name", name)
	}
}

// administer opens the admin listener. One that the configuration names must open; the default's port may be taken, as by
// another node on this machine, and then any free one does.
func (n *Node) administer(ctx context.Context) error {
	c := n.Config.Admin
	if n.Offline || c.Listener == "" {
		return nil
	}
	l, err := n.Env.Listen(ctx, "tcp", c.Listener)
	if err != nil && !c.Chosen && errors.Is(err, syscall.EADDRINUSE) {
		if l, err = n.Env.Listen(ctx, "tcp", "127.0.0.1:0"); err == nil {
			n.Log.Warn("the admin port is in use, by another node perhaps: this one's is elsewhere; headrace.admin.listener sets it",
				"wanted", c.Listener, "address", l.Addr().String())
		}
	}
	if err != nil {
		return fmt.Errorf("admin listener: %w (headrace.admin.listener= turns it off)", explainListen(c.Listener, err))
	}
	n.adminAt = l.Addr()
	n.admin = admin.Serve(l, admin.Config{
		Log: n.Log.With("component", "admin"), Levels: n.levels, Profiles: c.Profiles, Local: c.Local(),
	})
	n.Log.Info("admin listener", "address", n.adminAt.String(), "profiles", c.Profiles)
	return nil
}

// AdminAddress is where the admin listener is, or empty.
func (n *Node) AdminAddress() string {
	if n.adminAt == nil {
		return ""
	}
	return n.adminAt.String()
}

// reveal tells the admin listener that the node serves.
func (n *Node) reveal(server *transport.Server, requests *api.Server) {
	if n.admin == nil {
		return
	}
	n.admin.Started(admin.Node{Health: n.health, Metrics: metrics.Handler(metrics.Config{
		Node: n.Config.ID, Image: n.quorum.Image,
		Partitions: n.set, Transport: server, API: requests, Replicas: n.replicas, Quorum: n.quorum, Groups: n.groups, Dirs: n.metricDirs,
		Log:           n.Log.With("component", "metrics"),
		MaxPartitions: n.Config.Admin.MaxPartitions, MaxOffsets: n.Config.Admin.MaxOffsets,
	})})
}

// health says what the node cannot do of what it is there for. With one log dir of several offline it goes on.
func (n *Node) health() error {
	if err := n.quorum.Err(); err != nil {
		return fmt.Errorf("the metadata log has failed: topics and configs cannot change until a restart: %w", err)
	}
	if n.anyDir() {
		return nil
	}
	return errors.New("every log dir is offline: nothing can be written")
}

func (n *Node) metricDirs() []metrics.Dir {
	var all []metrics.Dir
	for _, d := range n.dirs {
		dir := metrics.Dir{Path: d.Path(), Offline: d.Offline() != nil, Total: -1, Free: -1}
		if total, free, err := d.Usage(); err == nil {
			dir.Total, dir.Free = total, free
		}
		all = append(all, dir)
	}
	return all
}

// retire ends the admin listener.
func (n *Node) retire() error {
	if n.admin == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := n.admin.Close(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// metricsAt is where a browser finds the metrics, for the banner.
func metricsAt(n *Node) string {
	if n.AdminAddress() == "" {
		return "off (headrace.admin.listener)"
	}
	return "http://" + n.AdminAddress() + "/metrics, and /readyz, /loglevels, /debug/pprof/"
}
