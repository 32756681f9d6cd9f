package app

import (
	"maps"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/conf"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
)

// layersIn are the configuration layers of a node as they stand in an Image.
func layersIn(img *metadata.Image, id kafka.NodeID, static conf.Static) conf.Layers {
	broker := func(name string) map[string]string {
		return img.Config(metadata.ConfigResource{Type: metadata.BrokerConfig, Name: name})
	}
	return conf.Layers{Broker: broker(strconv.Itoa(int(id))), BrokerDefault: broker(""), Static: static}
}

// configRules tells the controller what base/conf knows of keys and values.
type configRules struct {
	layers func(*metadata.Image) conf.Layers
}

func (r configRules) Check(img *metadata.Image, of metadata.ConfigResource, all, changed map[string]string) error {
	switch of.Type {
	case metadata.TopicConfig:
		return conf.CheckTopic(all, r.layers(img))
	case metadata.BrokerConfig:
		return conf.CheckBroker(of.Name != "", changed)
	case metadata.GroupConfig:
		return conf.CheckGroup(all, r.layers(img))
	}
	for _, name := range slices.Sorted(maps.Keys(changed)) {
		if err := conf.Check(conf.Scope(of.Type), name, changed[name]); err != nil {
			return err
		}
	}
	return nil
}

func (r configRules) IsList(scope metadata.ConfigType, name string) bool {
	return conf.IsList(conf.Scope(scope), name)
}

func (r configRules) Default(scope metadata.ConfigType, name string) string {
	d, _ := conf.Lookup(conf.Scope(scope), name)
	return d.Default
}

func (r configRules) Effective(img *metadata.Image, overrides map[string]string) []kmsg.CreateTopicsResponseTopicConfig {
	var out []kmsg.CreateTopicsResponseTopicConfig
	for _, e := range conf.EffectiveTopic(overrides, r.layers(img)) {
		c := kmsg.NewCreateTopicsResponseTopicConfig()
		c.Name, c.Value, c.ReadOnly, c.Source, c.IsSensitive = e.Name, e.Value, e.ReadOnly, int8(e.Source), e.Sensitive
		out = append(out, c)
	}
	return out
}

func (r configRules) MinISR(img *metadata.Image, topic string) int {
	n, _, _ := conf.TopicSafety(topicOverrides(img, topic), r.layers(img))
	return n
}

func (r configRules) Unclean(img *metadata.Image, topic string) bool {
	_, unclean, _ := conf.TopicSafety(topicOverrides(img, topic), r.layers(img))
	return unclean
}

func (r configRules) Flushes(img *metadata.Image, topic string) bool {
	_, _, durability := conf.TopicSafety(topicOverrides(img, topic), r.layers(img))
	return durability == conf.DurabilityFlush
}

func topicOverrides(img *metadata.Image, topic string) map[string]string {
	return img.Config(metadata.ConfigResource{Type: metadata.TopicConfig, Name: topic})
}
