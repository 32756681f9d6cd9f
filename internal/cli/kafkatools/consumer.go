package kafkatools

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

const consumerLogger = "org.apache.kafka.tools.consumer.ConsoleConsumer"

func runConsumer(c *call) error {
	c.consumerOptions()
	if err := c.begin(); err != nil {
		return usage("%s", asFailure(err).text)
	}
	if err := c.aboutItself("This tool helps to read data from Kafka topics and outputs it to standard output."); err != nil {
		return err
	}
	r, err := c.newReading()
	if err != nil {
		return err
	}
	err = r.run()
	var code ended
	if err == nil || errors.As(err, &code) {
		return err
	}
	c.out.Flush()
	c.log("ERROR", consumerLogger, "Unknown error when running consumer: ")
	c.complain(asFailure(err).named())
	return ended(1)
}

func (c *call) consumerOptions() {
	p := &c.p
	p.value("topic", "topic", "The topic to read.")
	p.value("include", "Java regex (String)", "A regular expression of topics to read.")
	p.value("partition", "partition", "The partition to read, from its end unless --offset or --from-beginning is there.").int32()
	p.value("offset", "consume offset", "Where to begin: an offset, earliest or latest.").or("latest")
	p.value("consumer-property", "consumer_prop", "The old name of --command-property.").many()
	p.value("command-property", "consumer_prop", "A property of the consumer.").many()
	p.value("consumer.config", "config file", "The old name of --command-config.")
	p.value("command-config", "config file", "A file of the consumer's properties.")
	p.value("formatter", "class", "What prints the records: one of Kafka's formatters by its class.").or(formatters + "DefaultMessageFormatter")
	p.value("property", "prop", "The old name of --formatter-property.").many()
	p.value("formatter-property", "prop", "How records are printed: print.timestamp, print.key, print.offset, print.epoch, print.partition, print.headers, print.value, key.separator, line.separator, headers.separator, null.literal, key.deserializer, value.deserializer, headers.deserializer.").many()
	p.value("formatter-config", "config file", "A file of such properties.")
	p.flag("from-beginning", "Read from the first record where the group has no offset.")
	p.value("max-messages", "num_messages", "End after so many records.").int32()
	p.value("timeout-ms", "timeout_ms", "End when no record comes for so long.").int64()
	p.flag("skip-message-on-error", "Go on after a record that cannot be printed.")
	p.value("bootstrap-server", "server to connect to", "REQUIRED: nodes to ask first, host:port separated by commas.")
	p.value("key-deserializer", "deserializer for keys", "The class that reads keys.")
	p.value("value-deserializer", "deserializer for values", "The class that reads values.")
	p.flag("enable-systest-events", "Tell when the consumer ends.")
	p.value("isolation-level", "", "read_committed leaves out records of transactions that are not committed.").or("read_uncommitted")
	p.value("group", "consumer group id", "The group to read in.")
}

// reading is a run of kafka-console-consumer.
type reading struct {
	*call
	k        *cluster
	p        props
	group    string // "" reads without a group
	start    kgo.Offset
	format   formatter
	include  *included // nil: one topic
	count    int
	unmarked []*kgo.Record
}

func (c *call) newReading() (*reading, error) {
	l := c.line
	if err := c.checkConsumerOptions(); err != nil {
		return nil, err
	}
	for _, pair := range [][2]string{{"consumer-property", "command-property"}, {"consumer.config", "command-config"}} {
		if l.count(pair[0], pair[1]) == 2 {
			return nil, usage("Options --%s and --%s cannot be specified together.", pair[0], pair[1])
		}
		if l.has(pair[0]) {
			c.printf("Option --%s is deprecated and will be removed in a future version. Use --%s instead.\n", pair[0], pair[1])
		}
	}
	if err := l.check(); err != nil {
		return nil, err
	}
	r := &reading{call: c}
	var err error
	if r.p, err = l.readPropsOf(l.either("command-config", "consumer.config")); err != nil {
		return nil, err
	}
	if err := r.chooseGroup(); err != nil {
		return nil, err
	}
	if reset, ok := r.p.get("auto.offset.reset"); ok && l.has("from-beginning") && reset != "earliest" {
		c.complain("Can't simultaneously specify --from-beginning and 'auto.offset.reset=" + reset + "', please remove one option")
		return nil, ended(1)
	}
	r.p.merge(l, map[string]string{"isolation-level": "isolation.level"})
	if r.start, err = r.startingAt(); err != nil {
		return nil, err
	}
	r.format, err = c.newFormatter()
	return r, err
}

func (c *call) checkConsumerOptions() error {
	l := c.line
	if l.count("topic", "include") != 1 {
		return usage("Exactly one of the following arguments is required: [topic], [include]")
	}
	if l.has("partition") {
		if !l.has("topic") {
			return usage("The topic is required when partition is specified.")
		}
		if l.count("from-beginning", "offset") == 2 {
			return usage("Options from-beginning and offset cannot be specified together.")
		}
	} else if l.has("offset") {
		return usage("The partition is required when offset is specified.")
	}
	return l.need("bootstrap-server")
}

// chooseGroup takes the group from wherever it is given; all places must agree.
func (r *reading) chooseGroup() error {
	l := r.line
	var ids []string
	add := func(id string, ok bool) {
		if ok && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	add(l.text("group"), l.has("group"))
	add(r.p.get("group.id"))
	own := newProps()
	own.pairs(l.all(l.either("command-property", "consumer-property")))
	add(own.get("group.id"))
	maps.Copy(r.p.values, own.values)
	if len(ids) > 1 {
		return usage("The group ids provided in different places (directly using '--group', via '--consumer-property', or via '--consumer.config') do not match. Detected group ids: '%s'", strings.Join(ids, "', '"))
	}
	if len(ids) == 1 && l.has("partition") {
		return usage("Options group and partition cannot be specified together.")
	}
	if len(ids) == 1 {
		r.group = ids[0]
	}
	return nil
}
