package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/headrace/headrace/internal/base/conf"
)

// service is a node as a process of its own: it tells the service manager how it is, reads its configuration again when it
// is asked to, and stops cleanly when its context ends.
type service struct {
	env    Env
	log    *slog.Logger
	static conf.Static
	ready  func(*Node)
	// reread gives the configuration anew, or is nil where there is nothing to read again.
	reread func() (conf.Static, []conf.Problem)
}

func (s service) run(ctx context.Context) error {
	cfg, err := conf.NewNode(conf.Layers{Static: s.static})
	if err != nil {
		return err
	}
	early := slog.New(newLevels(cfg.Admin).Handler(s.log.Handler()))
	for _, w := range s.static.Warnings() {
		early.Warn("configuration", "line", w)
	}
	hangups, ignore := s.hangups()
	defer ignore()
	n, err := Start(ctx, Options{Config: cfg, Static: s.static, Env: s.env, Log: s.log})
	if err != nil {
		return err
	}
	supervisor := s.env.supervisor(n.Log)
	supervisor.tell("READY=1", "STATUS=Serving at "+fmt.Sprint(n.Addresses()))
	s.ready(n)
	failed := s.serve(ctx, n, hangups, supervisor)
	supervisor.tell("STOPPING=1", "STATUS=Draining connections and flushing")
	n.Log.Info("stopping")
	if err := n.Close(time.Now()); err != nil {
		return errors.Join(failed, fmt.Errorf("stop: %w", err))
	}
	n.Log.Info("stopped cleanly")
	return failed
}

// hangups are the requests to read the configuration again.
func (s service) hangups() (<-chan os.Signal, func()) {
	if s.reread == nil || s.env.Hangups == nil {
		return nil, func() {}
	}
	return s.env.Hangups()
}

// serve returns when ctx ends, or with an error when the node must not go on.
func (s service) serve(ctx context.Context, n *Node, hangups <-chan os.Signal, supervisor supervisor) error {
	alive, stop := supervisor.heartbeat()
	defer stop()
	failed := n.quorum.Done()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-n.failed:
			return err
		case <-alive:
			supervisor.tell("WATCHDOG=1")
		case <-hangups:
			supervisor.reloading()
			n.Reload(s.reread())
			supervisor.tell("READY=1")
		case <-failed:
			if len(n.quorum.Status().Voters) > 1 {
				return fmt.Errorf("the metadata log has failed, and others can go on without this node: %w", n.quorum.Err())
			}
			// Records that were flushed can still be read; nothing can be created or changed any more.
			n.Log.Error("the metadata log has failed: topics and configs cannot change until a restart", "err", n.quorum.Err())
			supervisor.tell("STATUS=The metadata log has failed: topics and configs cannot change until a restart")
			failed = nil
		}
	}
}
