package kafkatools

import (
	"context"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// newTopic is the topic that the options describe.
func (c *call) newTopic() (*kmsg.CreateTopicsRequest, error) {
	l := c.line
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = l.text("topic"), -1, -1
	var err error
	if t.ReplicaAssignment, err = replicaAssignment(l.text("replica-assignment")); err != nil {
		return nil, err
	}
	for _, config := range l.all("config") {
		parts := equals.Split(config, -1)
		for len(parts) > 0 && parts[len(parts)-1] == "" {
			parts = parts[:len(parts)-1]
		}
		if len(parts) != 2 {
			return nil, illegal("requirement failed: Invalid topic config: all configs to be added must be in the format \"key=val\".")
		}
		kv := kmsg.NewCreateTopicsRequestTopicConfig()
		kv.Name, kv.Value = strings.TrimSpace(parts[0]), kmsg.StringPtr(strings.TrimSpace(parts[1]))
		t.Configs = append(t.Configs, kv)
	}
	if l.has("alter") {
		return &kmsg.CreateTopicsRequest{Topics: []kmsg.CreateTopicsRequestTopic{t}}, nil
	}
	if strings.ContainsAny(t.Topic, "._") {
		c.printf("%s\n", collisionAdvice)
	}
	if n := l.num("replication-factor"); l.has("replication-factor") {
		if n < 1 || n > math.MaxInt16 {
			return nil, illegal("The replication factor must be between 1 and %d inclusive", math.MaxInt16)
		}
		t.ReplicationFactor = int16(n)
	}
	if n := l.num("partitions"); l.has("partitions") {
		if n < 1 {
			return nil, illegal("The partitions must be greater than 0")
		}
		t.NumPartitions = int32(n)
	}
	if t.Topic == "" {
		return nil, javaError(apiErrors+"InvalidTopicException", "The given topic name '' cannot be represented in a request.")
	}
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Topics = append(req.Topics, t)
	req.TimeoutMillis = 30000
	return req, nil
}

var equals = regexp.MustCompile(`\s*=\s*`)

func replicaAssignment(list string) ([]kmsg.CreateTopicsRequestTopicReplicaAssignment, error) {
	if list == "" {
		return nil, nil
	}
	var all []kmsg.CreateTopicsRequestTopicReplicaAssignment
	for i, part := range strings.Split(list, ",") {
		a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
		a.Partition = int32(i)
		var twice []string
		for id := range strings.SplitSeq(part, ":") {
			n, err := strconv.ParseInt(strings.TrimSpace(id), 10, 32)
			if err != nil {
				return nil, javaError("java.lang.NumberFormatException", "For input string: %q", strings.TrimSpace(id))
			}
			if slices.Contains(a.Replicas, int32(n)) {
				twice = append(twice, strconv.FormatInt(n, 10))
			}
			a.Replicas = append(a.Replicas, int32(n))
		}
		if twice != nil {
			return nil, javaError("org.apache.kafka.tools.AdminCommandFailedException", "Partition replica lists may not contain duplicate entries: %s", strings.Join(twice, ","))
		}
		all = append(all, a)
		if len(a.Replicas) != len(all[0].Replicas) {
			return nil, javaError("org.apache.kafka.tools.AdminOperationException", "Partition %d has different replication factor: [%s]", i, join(a.Replicas, ", "))
		}
	}
	return all, nil
}

func (c *call) createTopic(ctx context.Context, k *cluster, req *kmsg.CreateTopicsRequest) error {
	name := req.Topics[0].Topic
	resp, err := req.RequestWith(ctx, k.Client)
	if err != nil {
		return err
	}
	for _, t := range resp.Topics {
		err := ofCode(t.ErrorCode, t.ErrorMessage)
		if hasCode(err, kerr.TopicAlreadyExists) && c.line.has("if-not-exists") {
			return nil
		}
		if err != nil {
			return err
		}
	}
	c.printf("Created topic %s.\n", name)
	return nil
}
