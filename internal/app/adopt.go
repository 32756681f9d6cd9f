package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/headrace/headrace/internal/base/conf"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/cli"
	"github.com/headrace/headrace/internal/core/controller"
	"github.com/headrace/headrace/internal/core/metadata"
	"github.com/headrace/headrace/internal/node/quorum"
	"github.com/headrace/headrace/internal/storage/epochs"
	"github.com/headrace/headrace/internal/storage/logdir"
)

// adopt registers the topics whose partition folders a stopped Apache Kafka broker left in a directory. It starts the node
// of that directory without listeners, so that the topics go through the same controller and log as any other.
func (env Env) adopt(ctx context.Context, o cli.AdoptOptions) error {
	found, err := logdir.Inspect(env.FS, o.Dirs...)
	if err != nil {
		return err
	}
	static, err := adoptConfig(o.Dirs, found)
	if err != nil {
		return err
	}
	cfg, err := conf.NewNode(conf.Layers{Static: static})
	if err != nil {
		return err
	}
	if err := env.makeRoom(o.Dirs, cfg.ID, found); err != nil {
		return err
	}
	n, err := Start(ctx, Options{Config: cfg, Static: static, Env: env, Log: slog.New(slog.DiscardHandler), Offline: true})
	if err != nil {
		return err
	}
	prior := env.priorClusters(o.Dirs, cfg.ID)
	adopted, err := n.adoptTopics(ctx, found.Topics, prior)
	if err == nil {
		err = n.adoptProducerIDs(ctx, prior)
	}
	if cerr := n.Close(time.Now()); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	for _, s := range found.Skipped {
		if filepath.Base(s) == metadataPartition.String() {
			continue // it is ours, or was just told of
		}
		fmt.Fprintf(env.Stdout, "left alone: %s\n", s)
	}
	fmt.Fprintf(env.Stdout, "%d of %d topics in %s registered, the others were already; start it with: headrace server, node.id=%d, log.dirs=%s\n",
		adopted, len(found.Topics), strings.Join(o.Dirs, ","), cfg.ID, strings.Join(o.Dirs, ","))
	return nil
}

// makeRoom gives the directories an identity where they have none, and sets the metadata log of the cluster that they came
// from aside. A log of our own stays: adopt may be run again.
func (env Env) makeRoom(dirs []string, id kafka.NodeID, found logdir.Adoptable) error {
	rnd := rand.New(rand.NewChaCha8(env.Seed()))
	if len(found.Meta) == 0 {
		if _, err := logdir.Format(env.FS, dirs[0], logdir.Meta{NodeID: id}, rnd); err != nil {
			return err
		}
	}
	for _, dir := range dirs {
		if err := env.setAside(dir, rnd); err != nil {
			return err
		}
	}
	return nil
}

func (env Env) setAside(dir string, rnd *rand.Rand) error {
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
func adoptConfig(dirs []string, found logdir.Adoptable) (conf.Static, error) {
	values := map[string]string{"log.dirs": strings.Join(dirs, ","), "node.id": "1"}
	if len(found.Meta) > 0 && found.Meta[0].NodeID >= 0 {
		values["node.id"] = fmt.Sprint(found.Meta[0].NodeID)
	}
	return conf.NewStatic(values)
}

// priorClusters reads the metadata logs that were set aside, this time or by an adopt before that did not come to its end.
// Without one everything goes on but what only they know.
func (env Env) priorClusters(dirs []string, id kafka.NodeID) (prior []*metadata.Image) {
	for _, dir := range dirs {
		entries, err := env.FS.ReadDir(dir)
		if err != nil {
			entries = nil // it was read a moment ago
		}
		for _, e := range entries {
			if logdir.IsMetadataSetAside(e) {
				prior = append(prior, env.priorCluster(filepath.Join(dir, e.Name()), id)...)
			}
		}
	}
	if len(prior) == 0 {
		fmt.Fprintf(env.Stdout, "no metadata log of the other cluster in %s: topic configs are not carried over\n", strings.Join(dirs, ","))
	}
	return prior
}

// priorCluster reads one such log, and tells what it cannot give on.
func (env Env) priorCluster(dir string, id kafka.NodeID) []*metadata.Image {
	f, err := quorum.ReadForeign(env.FS, dir)
	if err != nil {
		fmt.Fprintf(env.Stdout, "the other cluster's metadata log cannot be read: %v\n", err)
		return nil
	}
	if len(f.Left) > 0 {
		fmt.Fprintf(env.Stdout, "not carried over: %s\n", strings.Join(f.Left, ", "))
	}
	env.tellBrokerConfigs(f.Image, id)
	return []*metadata.Image{f.Image}
}

// tellBrokerConfigs lists what was set while Kafka ran: a node here has a configuration file of its own. What is a default
// is not worth a line; Kafka 4 sets min.insync.replicas=1 for every cluster.
func (env Env) tellBrokerConfigs(img *metadata.Image, id kafka.NodeID) {
	for _, name := range []string{"", fmt.Sprint(id)} {
		set := img.Config(metadata.ConfigResource{Type: metadata.BrokerConfig, Name: name})
		for _, key := range slices.Sorted(maps.Keys(set)) {
			if d, ok := conf.Lookup(conf.ScopeBroker, key); !ok || d.Default != set[key] {
				fmt.Fprintf(env.Stdout, "not carried over: the broker config %s, set while it ran\n", key)
			}
		}
	}
}

// adoptTopics registers each topic that is not registered yet, under its own id, with this node as the leader.
func (n *Node) adoptTopics(ctx context.Context, topics []logdir.AdoptableTopic, prior []*metadata.Image) (adopted int, err error) {
	for _, t := range topics {
		if there, ok := n.quorum.Image().TopicByID(t.ID); ok && there.Name == t.Name {
			continue
		}
		was, configs := n.priorTopic(t, prior)
		epochs, err := n.nextEpochs(t, was)
		if err != nil {
			return adopted, err
		}
		_, err = n.quorum.Submit(ctx, controller.AdoptTopic{
			Name: t.Name, ID: t.ID, Partitions: int32(len(t.Partitions)), Node: n.Config.ID, Configs: configs, Epochs: epochs,
		})
		if err != nil {
			return adopted, fmt.Errorf("register topic %s: %w", t.Name, err)
		}
		adopted++
	}
	return adopted, nil
}

// priorTopic finds what another cluster's metadata says of a topic, and those of its configs that exist here too.
func (n *Node) priorTopic(t logdir.AdoptableTopic, prior []*metadata.Image) (*metadata.Topic, map[string]string) {
	configs := map[string]string{}
	if t.Name == kafka.OffsetsTopic {
		configs["cleanup.policy"] = "compact"
	}
	for _, img := range prior {
		was, ok := img.TopicByID(t.ID)
		if !ok {
			continue
		}
		overrides := img.Config(metadata.ConfigResource{Type: metadata.TopicConfig, Name: was.Name})
		for _, key := range slices.Sorted(maps.Keys(overrides)) {
			if err := conf.Check(conf.ScopeTopic, key, overrides[key]); err != nil {
				fmt.Fprintf(n.Env.Stdout, "topic %s: %s=%s is not carried over: %v\n", t.Name, key, overrides[key], err)
				continue
			}
			configs[key] = overrides[key]
		}
		return was, configs
	}
	return nil, configs
}

// nextEpochs are above what the logs bear and what clients have been told, so that neither takes this node for an earlier
// leader: a client ignores metadata of an older epoch than that of its committed offset.
func (n *Node) nextEpochs(t logdir.AdoptableTopic, was *metadata.Topic) ([]kafka.LeaderEpoch, error) {
	next := make([]kafka.LeaderEpoch, len(t.Partitions))
	for i, f := range t.Partitions {
		latest := kafka.NoLeaderEpoch
		b, err := vfs.ReadFile(n.Env.FS, filepath.Join(f.Dir, epochs.FileName), maxEpochsBytes)
		if err == nil {
			cache, derr := epochs.Decode(b)
			latest, err = cache.LatestEpoch(), derr
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s: %w", filepath.Join(f.Dir, epochs.FileName), err)
		}
		if was != nil && i < len(was.Partitions) {
			latest = max(latest, was.Partitions[i].LeaderEpoch)
		}
		next[i] = latest + 1
	}
	return next, nil
}

// maxEpochsBytes is a million leaders of one partition.
const maxEpochsBytes = 32 << 20

// adoptProducerIDs keeps the ids of the producers that wrote the adopted records from being given to others, whose first
// batches would be taken for theirs sent twice.
func (n *Node) adoptProducerIDs(ctx context.Context, prior []*metadata.Image) error {
	next := kafka.ProducerID(0)
	for _, img := range prior {
		next = max(next, img.NextProducerID())
	}
	if len(prior) == 0 {
		for _, p := range n.set.All() {
			states, err := p.Producers(time.Now())
			if err != nil {
				return fmt.Errorf("producers of %s: %w", p.Name(), err)
			}
			for _, s := range states {
				next = max(next, s.ProducerID+1)
			}
		}
	}
	_, err := n.quorum.Submit(ctx, controller.RaiseProducerIDs{Next: next})
	return err
}
