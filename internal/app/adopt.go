package app

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"time"

	"github.com/headrace/headrace/internal/base/conf"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/cli"
	"github.com/headrace/headrace/internal/core/controller"
	"github.com/headrace/headrace/internal/node/quorum"
	"github.com/headrace/headrace/internal/storage/logdir"
)

// adopt registers the topics whose partition folders a stopped Apache Kafka broker left in a directory. It starts the node
// of that directory without listeners, so that the topics go through the same controller and log as any other.
func (env Env) adopt(ctx context.Context, o cli.AdoptOptions) error {
	found, err := logdir.Inspect(env.FS, o.Dir)
	if err != nil {
		return err
	}
	static, err := adoptConfig(o.Dir, found)
	if err != nil {
		return err
	}
	cfg, err := conf.NewNode(conf.Layers{Static: static})
	if err != nil {
		return err
	}
	if err := env.makeRoom(o.Dir, cfg.ID, found); err != nil {
		return err
	}
	n, err := Start(ctx, Options{Config: cfg, Static: static, Env: env, Log: slog.New(slog.DiscardHandler), Offline: true})
	if err != nil {
		return err
	}
	adopted, err := n.adoptTopics(ctx, found.Topics)
	if cerr := n.Close(time.Now()); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	for _, s := range found.Skipped {
		fmt.Fprintf(env.Stdout, "left alone: %s\n", s)
	}
	fmt.Fprintf(env.Stdout, "%d of %d topics in %s registered, the others were already; start it with: headrace server, node.id=%d, log.dirs=%s\n",
		adopted, len(found.Topics), o.Dir, cfg.ID, o.Dir)
	return nil
}

// makeRoom gives the directory an identity where it has none, and sets the metadata log of the cluster that it came from
// aside. A log of our own stays: adopt may be run again.
func (env Env) makeRoom(dir string, id kafka.NodeID, found logdir.Adoptable) error {
	rnd := rand.New(rand.NewChaCha8(env.Seed()))
	if len(found.Meta) == 0 {
		if _, err := logdir.Format(env.FS, dir, logdir.Meta{NodeID: id}, rnd); err != nil {
			return err
		}
	}
	own, err := quorum.OwnsDir(env.FS, filepath.Join(dir, metadataPartition.String()))
	if err != nil || own {
		return err
	}
	aside, err := logdir.SetAsideMetadata(env.FS, dir, rnd)
	if aside != "" {
		fmt.Fprintf(env.Stdout, "the metadata log of the other cluster was moved to %s\n", aside)
	}
	return err
}

// adoptConfig is that of the node whose directory it is.
func adoptConfig(dir string, found logdir.Adoptable) (conf.Static, error) {
	values := map[string]string{"log.dirs": dir, "node.id": "1"}
	if len(found.Meta) > 0 && found.Meta[0].NodeID >= 0 {
		values["node.id"] = fmt.Sprint(found.Meta[0].NodeID)
	}
	return conf.NewStatic(values)
}

// adoptTopics registers each topic that is not registered yet, under its own id, with this node as the leader.
func (n *Node) adoptTopics(ctx context.Context, topics []logdir.AdoptableTopic) (adopted int, err error) {
	for _, t := range topics {
		if there, ok := n.quorum.Image().TopicByID(t.ID); ok && there.Name == t.Name {
			continue
		}
		configs := map[string]string{}
		if t.Name == kafka.OffsetsTopic {
			configs["cleanup.policy"] = "compact"
		}
		_, err := n.quorum.Submit(ctx, controller.AdoptTopic{
			Name: t.Name, ID: t.ID, Partitions: int32(len(t.Partitions)), Node: n.Config.ID, Configs: configs,
		})
		if err != nil {
			return adopted, fmt.Errorf("register topic %s: %w", t.Name, err)
		}
		adopted++
	}
	return adopted, nil
}
