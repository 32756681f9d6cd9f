package kafkatools

import (
	"context"
	"encoding/base64"
	"errors"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
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

func (c *call) topicOptions() {
	p := &c.p
	p.value("bootstrap-server", "server to connect to", "REQUIRED: nodes to ask first, host:port separated by commas.")
	p.value("command-config", "command config property file", "A file of client properties, such as those for TLS and logins.")
	p.flag("list", "List the topics.")
	p.flag("create", "Create a topic.")
	p.flag("delete", "Delete topics.")
	p.flag("alter", "Give topics more partitions."+configsAdvice)
	p.flag("describe", "Show topics and their partitions.")
	p.value("topic", "topic", "The topic; except with --create, a regular expression or a list of them.")
	p.value("topic-id", "topic-id", "The id of the topic to describe.")
	p.value("config", "name=value", "A config of the topic to be created.").many()
	p.value("delete-config", "name", "Not there any more since 4.0.").many()
	p.value("partitions", "# of partitions", "How many partitions the topic gets; with --create, the cluster's default if it is left out.").int32()
	p.value("replication-factor", "replication factor", "How many replicas each partition gets; the cluster's default if it is left out.").int32()
	p.value("replica-assignment", "broker_id_for_part1_replica1 : broker_id_for_part1_replica2 , ...", "The nodes of each partition's replicas.")
	p.flag("under-replicated-partitions", "With --describe, only partitions that lack replicas in sync.")
	p.flag("unavailable-partitions", "With --describe, only partitions without a leader.")
	p.flag("under-min-isr-partitions", "With --describe, only partitions with fewer replicas in sync than min.insync.replicas.")
	p.flag("at-min-isr-partitions", "With --describe, only partitions with just min.insync.replicas replicas in sync.")
	p.flag("topics-with-overrides", "With --describe, only topics with configs of their own.")
	p.flag("if-exists", "With --alter, --delete and --describe, a topic that is not there is no error.")
	p.flag("if-not-exists", "With --create, a topic that is there already is no error.")
	p.flag("exclude-internal", "With --list and --describe, leave out the cluster's own topics.")
	p.value("partition-size-limit-per-response", "maximum number of partitions per response", "How many partitions an answer may hold; the node decides here.").int32()
}

var topicActions = []string{"create", "list", "alter", "describe", "delete"}

func (c *call) checkTopicOptions() error {
	l := c.line
	if l.count(topicActions...) != 1 {
		return usage("Command must include exactly one action: --list, --describe, --create, --alter or --delete")
	}
	if l.has("delete-config") {
		c.complain("delete-config option is no longer supported and deprecated since version 4.0. The config will be fully removed in future releases.")
	}
	if !l.has("bootstrap-server") {
		return illegal("--bootstrap-server must be specified")
	}
	if l.has("describe") && l.has("if-exists") {
		if l.count("topic", "topic-id") == 0 {
			return usage("--topic or --topic-id is required to describe a topic")
		}
		if l.count("topic", "topic-id") == 2 {
			c.printf("Only topic id will be used when both --topic and --topic-id are specified and topicId is not Uuid.ZERO_UUID\n")
		}
	}
	if !l.has("list") && !l.has("describe") {
		if err := l.need("topic"); err != nil {
			return err
		}
	}
	if l.has("alter") {
		if l.has("config") {
			return usage("Option combination \"[[bootstrap-server], [config]]\" can't be used with option \"[alter]\"%s", configsAdvice)
		}
		if err := l.need("partitions"); err != nil {
			return err
		}
	}
	return c.checkTopicPairs()
}

// checkTopicPairs refuses options that do not go together.
func (c *call) checkTopicPairs() error {
	without := func(actions ...string) []string {
		return slices.DeleteFunc(slices.Clone(topicActions), func(a string) bool { return slices.Contains(actions, a) })
	}
	reports := []string{"under-replicated-partitions", "under-min-isr-partitions", "at-min-isr-partitions", "unavailable-partitions"}
	checks := []struct {
		used   string
		others []string
	}{
		{"config", without("alter", "create")},
		{"partitions", without("alter", "create")},
		{"replication-factor", without("create")},
		{"replica-assignment", without("alter", "create")},
	}
	if c.line.has("create") {
		checks = append(checks, struct {
			used   string
			others []string
		}{"replica-assignment", []string{"partitions", "replication-factor"}})
	}
	for _, r := range reports {
		checks = append(checks, struct {
			used   string
			others []string
		}{r, append(without("describe"), "topics-with-overrides")})
	}
	checks = append(checks, []struct {
		used   string
		others []string
	}{
		{"topics-with-overrides", append(without("describe"), reports...)},
		{"if-exists", without("alter", "delete", "describe")},
		{"if-not-exists", without("create")},
		{"exclude-internal", without("list", "describe")},
	}...)
	for _, k := range checks {
		if err := c.line.forbid(k.used, k.others...); err != nil {
			return err
		}
	}
	return nil
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

func join(ids []int32, separator string) string {
	words := make([]string, len(ids))
	for i, id := range ids {
		words[i] = strconv.Itoa(int(id))
	}
	return strings.Join(words, separator)
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
