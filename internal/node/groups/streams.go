package groups

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/core/group"
	"github.com/headrace/headrace/internal/core/group/streams"
	"github.com/headrace/headrace/internal/core/machine"
)

// createTimeout bounds the making of internal topics, as members are told what came of it only then.
const createTimeout = 30 * time.Second

// createInternalTopics has the controller make the topics that an application of Kafka Streams needs.
func (g *Groups) createInternalTopics(ctx context.Context, t group.CreateInternalTopics, tell func(machine.Event)) {
	ctx, cancel := context.WithTimeout(ctx, createTimeout)
	defer cancel()
	req := kmsg.NewPtrCreateTopicsRequest()
	for _, topic := range t.Topics {
		req.Topics = append(req.Topics, creatable(topic))
	}
	failed := make(map[string]string)
	for name, err := range g.create(ctx, req) {
		failed[name] = err.Error()
		var said *kerr.Error
		if errors.As(err, &said) {
			failed[name] = said.Description
		}
	}
	tell(group.InternalTopicsCreated{Group: t.Group, Topics: t.Topics, Failed: failed})
}

func creatable(topic streams.InternalTopic) kmsg.CreateTopicsRequestTopic {
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = topic.Name, topic.Partitions, -1
	if topic.ReplicationFactor != 0 {
		t.ReplicationFactor = topic.ReplicationFactor
	}
	for _, p := range topic.Configs {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = p.Key, kmsg.StringPtr(p.Value)
		t.Configs = append(t.Configs, c)
	}
	return t
}
