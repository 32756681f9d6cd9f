package kafkatools

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	topicsLogger    = "org.apache.kafka.tools.TopicCommand"
	collisionAdvice = "WARNING: Due to limitations in metric names, topics with a period ('.') or underscore ('_') could collide. To avoid issues it is best to use either, but not both."
	configsAdvice   = " (To alter topic configurations, the kafka-configs tool can be used.)"
)

func runTopics(c *call) error {
	c.topicOptions()
	if err := c.begin(); err != nil {
		return err
	}
	if len(c.args) == 0 {
		return usage("Create, delete, describe, or change a topic.")
	}
	if err := c.aboutItself("This tool helps to create, delete, describe, or change a topic."); err != nil {
		return err
	}
	if err := c.checkTopicOptions(); err != nil {
		return err
	}
	p, err := c.line.readPropsOf("command-config")
	if err != nil {
		return err
	}
	var code ended
	var use *usageError
	if err = c.changeTopics(p); err == nil || errors.As(err, &code) || errors.As(err, &use) || c.ctx.Err() != nil {
		return err
	}
	f := asFailure(err)
	c.printf("Error while executing topic command : %s\n", f.text)
	c.out.Flush()
	c.log("ERROR", topicsLogger, "%s\n", f.named())
	return ended(1)
}

func (c *call) changeTopics(p props) error {
	if err := c.line.check(); err != nil {
		return err
	}
	l := c.line
	first := map[bool]string{true: "createTopics", false: "listTopics"}[l.has("create")]
	var create *kmsg.CreateTopicsRequest
	if l.has("create") || l.has("alter") {
		var err error
		if create, err = c.newTopic(); err != nil {
			return err
		}
	}
	k, err := c.connect(p, l.text("bootstrap-server"), "adminclient-1", first)
	if err != nil {
		return err
	}
	defer k.Close()
	ctx, cancel := k.bounded(c.ctx)
	defer cancel()
	switch {
	case l.has("create"):
		return c.createTopic(ctx, k, create)
	case l.has("alter"):
		return c.alterTopics(ctx, k, create.Topics[0].ReplicaAssignment)
	case l.has("list"):
		names, err := c.chosenTopics(ctx, k)
		if err == nil {
			c.printf("%s\n", strings.Join(names, "\n"))
		}
		return err
	case l.has("delete"):
		return c.deleteTopics(ctx, k)
	}
	return c.describeTopics(ctx, k)
}

func join(ids []int32, separator string) string {
	words := make([]string, len(ids))
	for i, id := range ids {
		words[i] = strconv.Itoa(int(id))
	}
	return strings.Join(words, separator)
}

// chosenTopics are the topics that --topic matches, or all.
func (c *call) chosenTopics(ctx context.Context, k *cluster) ([]string, error) {
	names, err := k.topicNames(ctx)
	if err != nil {
		return nil, err
	}
	include := matcher{}
	if c.line.has("topic") {
		if include, err = includeList(c.line.text("topic")); err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(names, func(n string) bool {
		return c.line.has("exclude-internal") && internalTopic(n) || include.re != nil && !include.matches(n)
	}), nil
}

// mustExist is the complaint about a topic that was named and is not there.
func (c *call) mustExist(found []string) error {
	if name := c.line.text("topic"); name != "" && len(found) == 0 && !c.line.has("if-exists") {
		return illegal("Topic '%s' does not exist as expected", name)
	}
	return nil
}

func (c *call) alterTopics(ctx context.Context, k *cluster, assignment []kmsg.CreateTopicsRequestTopicReplicaAssignment) error {
	names, err := c.chosenTopics(ctx, k)
	if err == nil {
		err = c.mustExist(names)
	}
	if err != nil || len(names) == 0 {
		return err
	}
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.TimeoutMillis = 30000
	known, err := k.describe(ctx, names)
	if err != nil {
		return err
	}
	for _, info := range known {
		t := kmsg.NewCreatePartitionsRequestTopic()
		t.Topic, t.Count = info.name, int32(c.line.num("partitions"))
		for i, a := range assignment {
			if i >= len(info.partitions) {
				n := kmsg.NewCreatePartitionsRequestTopicAssignment()
				n.Replicas = a.Replicas
				t.Assignment = append(t.Assignment, n)
			}
		}
		req.Topics = append(req.Topics, t)
	}
	resp, err := req.RequestWith(ctx, k.Client)
	if err != nil {
		return err
	}
	for _, t := range resp.Topics {
		if err := ofCode(t.ErrorCode, t.ErrorMessage); err != nil {
			return err
		}
	}
	return nil
}

func (c *call) deleteTopics(ctx context.Context, k *cluster) error {
	names, err := c.chosenTopics(ctx, k)
	if err == nil {
		err = c.mustExist(names)
	}
	if err != nil || len(names) == 0 {
		return err
	}
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.TimeoutMillis = 30000
	req.TopicNames = names
	for _, n := range names {
		t := kmsg.NewDeleteTopicsRequestTopic()
		t.Topic = kmsg.StringPtr(n)
		req.Topics = append(req.Topics, t)
	}
	resp, err := req.RequestWith(ctx, k.Client)
	if err != nil {
		return err
	}
	for _, t := range resp.Topics {
		if err := ofCode(t.ErrorCode, t.ErrorMessage); err != nil {
			return err
		}
	}
	return nil
}

// topicID reads an id as Java prints it.
func topicID(text string) (id [16]byte, err error) {
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
	switch {
	case err != nil:
		return id, illegal("%s is not an id of a topic", text)
	case len(raw) != 16:
		return id, illegal("Input string `%s` decoded as %d bytes, which is not equal to the expected 16 bytes of a base64-encoded UUID", text, len(raw))
	}
	return [16]byte(raw), nil
}

func printID(id [16]byte) string { return base64.RawURLEncoding.EncodeToString(id[:]) }
