package kafkatools

import (
	"context"
	"errors"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/headrace/headrace/internal/cli/term"
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
	if reset, ok := r.p["auto.offset.reset"]; ok && l.has("from-beginning") && reset != "earliest" {
		c.complain("Can't simultaneously specify --from-beginning and 'auto.offset.reset=" + reset + "', please remove one option")
		return nil, ended(1)
	}
	r.p.merge("isolation.level", l, "isolation-level")
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
	id, ok := r.p["group.id"]
	add(id, ok)
	own := props{}
	own.pairs(l.all(l.either("command-property", "consumer-property")))
	id, ok = own["group.id"]
	add(id, ok)
	maps.Copy(r.p, own)
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

func (r *reading) startingAt() (kgo.Offset, error) {
	l := r.line
	offset := kgo.NewOffset()
	if l.has("partition") {
		text := l.text("offset")
		switch {
		case l.has("from-beginning"), strings.EqualFold(text, "earliest"):
			return offset.AtStart(), nil
		case strings.EqualFold(text, "latest"):
			return offset.AtEnd(), nil
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 {
			return offset, usage("The provided offset value '%s' is incorrect. Valid values are 'earliest', 'latest', or a non-negative long.", text)
		}
		return offset.At(n), nil
	}
	fallback := "latest"
	if l.has("from-beginning") {
		fallback = "earliest"
	}
	switch reset := r.p.or("auto.offset.reset", fallback); reset {
	case "earliest":
		return offset.AtStart(), nil
	case "latest":
		return offset.AtEnd(), nil
	case "none":
		return kgo.NoResetOffset(), nil
	default:
		return offset, configError("Invalid value %s for configuration auto.offset.reset: Invalid value `%s` for configuration auto.offset.reset. The value must be either 'earliest', 'latest', 'none' here", reset, reset)
	}
}

func (r *reading) options() ([]kgo.Opt, error) {
	l := r.line
	opts := []kgo.Opt{kgo.AllowAutoTopicCreation(), kgo.FetchMaxWait(500 * time.Millisecond)}
	switch level := r.p["isolation.level"]; level {
	case "read_committed":
		opts = append(opts, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	case "read_uncommitted":
	default:
		return nil, configError("Invalid value %s for configuration isolation.level: String must be one of: read_committed, read_uncommitted", level)
	}
	switch {
	case l.has("partition"):
		return append(opts, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{l.text("topic"): {int32(l.num("partition")): r.start}})), nil
	case l.has("include"):
		pattern := l.text("include")
		if _, err := regexp.Compile(pattern); err != nil {
			return nil, javaError("java.util.regex.PatternSyntaxException", "%s: --include takes no more than RE2 has", err)
		}
		opts = append(opts, kgo.ConsumeRegex(), kgo.ConsumeTopics("^(?:"+pattern+")$"), kgo.ConsumeExcludeTopics("^__consumer_offsets$", "^__transaction_state$", "^__share_group_state$"))
	default:
		opts = append(opts, kgo.ConsumeTopics(l.text("topic")))
	}
	opts = append(opts, kgo.ConsumeResetOffset(r.start))
	if r.group != "" {
		opts = append(opts, kgo.ConsumerGroup(r.group), kgo.AutoCommitMarks(), kgo.BlockRebalanceOnPoll(),
			kgo.Balancers(kgo.RangeBalancer(), kgo.CooperativeStickyBalancer()))
		if r.p.or("enable.auto.commit", "true") == "false" {
			opts = append(opts, kgo.DisableAutoCommit())
		}
		if id := r.p["group.instance.id"]; id != "" {
			opts = append(opts, kgo.InstanceID(id))
		}
	}
	return opts, nil
}

func (r *reading) run() error {
	opts, err := r.options()
	if err != nil {
		return err
	}
	r.k, err = r.connect(r.p, r.line.text("bootstrap-server"), "console-consumer", "metadata", opts...)
	if err != nil && r.ctx.Err() == nil {
		return err
	}
	if err == nil {
		err = r.readAll()
		r.leave()
	}
	r.out.Flush()
	r.complain("Processed a total of " + strconv.Itoa(r.count) + " messages")
	if r.line.has("enable-systest-events") {
		r.printf("shutdown_complete\n")
	}
	if err == nil && r.ctx.Err() != nil {
		return ended(term.ExitInterrupted)
	}
	return err
}

const leaveLimit = 5 * time.Second

// leave commits what was printed and leaves the group.
func (r *reading) leave() {
	if r.group != "" && r.p.or("enable.auto.commit", "true") != "false" {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), leaveLimit)
		defer cancel()
		r.k.MarkCommitRecords(r.unmarked...)
		if err := r.k.CommitMarkedOffsets(ctx); err != nil {
			r.log("WARN", consumerLogger, "The offsets were not committed: %s", err)
		}
	}
	r.k.CloseAllowingRebalance()
}

// readAll prints records until there are enough, none comes any more, or somebody stops it.
func (r *reading) readAll() error {
	limit := math.MaxInt
	if r.line.has("max-messages") && r.line.num("max-messages") >= 0 {
		limit = int(r.line.num("max-messages"))
	}
	for r.count < limit {
		fetches, err := r.poll()
		if errors.Is(err, context.DeadlineExceeded) {
			r.out.Flush()
			r.log("ERROR", consumerLogger, "Error processing message, terminating consumer process: ")
			r.complain(apiErrors + "TimeoutException")
			return nil
		}
		if err != nil {
			return nil
		}
		for it := fetches.RecordIter(); !it.Done() && r.count < limit; {
			if err := r.print(it.Next()); err != nil {
				return err
			}
		}
		// Without a reader at the other end there is no point in going on.
		if r.out.Flush() != nil {
			r.complain("Unable to write to standard out, closing consumer.")
			return nil
		}
		if r.group != "" {
			r.k.MarkCommitRecords(r.unmarked...)
			r.unmarked = r.unmarked[:0]
			r.k.AllowRebalance()
		}
	}
	return nil
}

// poll waits for records; an error of a partition is told, and ends the tool if it cannot pass.
func (r *reading) poll() (kgo.Fetches, error) {
	ctx, cancel := r.ctx, context.CancelFunc(func() {})
	if ms := r.line.num("timeout-ms"); r.line.has("timeout-ms") && ms >= 0 {
		ctx, cancel = context.WithTimeout(ctx, time.Duration(ms)*time.Millisecond)
	}
	defer cancel()
	for {
		fetches := r.k.PollFetches(ctx)
		if fetches.NumRecords() > 0 {
			return fetches, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		for _, e := range fetches.Errors() {
			r.log("ERROR", consumerLogger, "Error processing message, terminating consumer process: ")
			r.complain(asFailure(e.Err).named())
			return nil, e.Err
		}
		if r.group != "" {
			r.k.AllowRebalance()
		}
	}
}

func (r *reading) print(rec *kgo.Record) error {
	r.count++
	if r.group != "" {
		r.unmarked = append(r.unmarked, rec)
	}
	err := r.format.write(r.out, rec)
	if err != nil && r.line.has("skip-message-on-error") {
		r.out.Flush()
		r.log("ERROR", consumerLogger, "Error processing message, skipping this message: ")
		r.complain(asFailure(err).named())
		return nil
	}
	return err
}
