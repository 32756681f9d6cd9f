package kafkatools

import "slices"

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
