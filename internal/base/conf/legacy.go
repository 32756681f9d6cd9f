package conf

import (
	"fmt"
	"slices"
	"strings"
)

// legacy is a group of Apache Kafka's broker keys that do nothing on a Headrace node, or must not be accepted. The rule: a key
// that only tunes threads, buffers or parts that are not there is accepted with a warning; a key that protects something,
// limits something or loads code is refused, so that nobody runs unprotected with a file that says otherwise.
type legacy struct {
	names    []string
	prefixes []string // of names that are all treated alike
	refused  bool
	removed  bool     // refused because Kafka itself knows the key no longer
	off      []string // values of a refused key that say what is the case anyway, and are accepted
	why      string
}

// check decides on a value: an error refuses it, a warning accepts it without effect.
func (l legacy) check(name, text string) (warning string, err error) {
	off := func(v string) bool { return strings.EqualFold(v, strings.TrimSpace(text)) }
	if l.refused && !slices.ContainsFunc(l.off, off) {
		// The value stays out of the message: it may be a password.
		return "", invalid(fmt.Sprintf("%s is refused: %s", name, l.why))
	}
	return fmt.Sprintf("%s has no effect: %s", name, l.why), nil
}

// legacyOf finds the group of a key. A key for one listener (listener.name.NAME.KEY) is as harmless, or not, as the key itself.
func legacyOf(name string) (legacy, bool) {
	if rest, ok := strings.CutPrefix(name, "listener.name."); ok {
		_, key, _ := strings.Cut(rest, ".")
		if l, ok := legacyOf(key); ok && !l.refused {
			return l, true
		}
		if d, ok := Lookup(ScopeBroker, key); ok {
			return legacy{refused: true, why: "settings for one listener are not there yet; set " + d.Name + " for all of them"}, true
		}
	}
	for _, l := range legacies {
		if slices.Contains(l.names, name) {
			return l, true
		}
	}
	for _, l := range legacies {
		if slices.ContainsFunc(l.prefixes, func(p string) bool { return strings.HasPrefix(name, p) }) {
			return l, true
		}
	}
	return legacy{}, false
}

// Legacy tells of a key of Apache Kafka's that is known and does nothing here: why, and whether a node refuses to start with
// it, which some of their values are spared.
func Legacy(name string) (why string, refused, ok bool) {
	l, ok := legacyOf(name)
	return l.why, l.refused, ok
}

var legacies = slices.Concat(legacyRefused, legacyAbsent, legacyTuning)

// words lists names written in one string.
func words(s string) []string { return strings.Fields(s) }

// below puts a common beginning before each of the names.
func below(prefix, s string) []string {
	names := words(s)
	for i := range names {
		names[i] = prefix + names[i]
	}
	return names
}

var legacyRefused = []legacy{
	{refused: true, prefixes: words("ssl. sasl. listener.name. zookeeper.ssl. password.encoder. delegation.token."),
		names: words("zookeeper.clientCnxnSocket security.providers principal.builder.class super.users allow.everyone.if.no.acl.found"),
		why:   "encryption, authentication and authorisation are not there yet, and a node must not run without what its file asks for"},
	{refused: true, names: words("authorizer.class.name"), off: []string{""},
		why: "authorisation is not there yet, and a node must not run without what its file asks for"},
	{refused: true, names: words("zookeeper.set.acl"), off: []string{"false"},
		why: "authorisation is not there yet, and a node must not run without what its file asks for"},
	{refused: true, names: words("security.inter.broker.protocol"), off: []string{"PLAINTEXT"},
		why: "PLAINTEXT is the only security protocol yet"},
	{refused: true, names: words("connections.max.reauth.ms"), off: []string{"0"},
		why: "authentication is not there yet"},
	{refused: true, names: words("create.topic.policy.class.name alter.config.policy.class.name client.quota.callback.class config.providers"), off: []string{""},
		why: "Headrace cannot load Java classes, and must not run without the checks that they make"},
	{refused: true, prefixes: words("authorizer. opa.authorizer. ranger.authorizer. strimzi.authorization. kafka.ldap.authorizer."),
		why: "it configures an authorizer, which is not there, and a node must not run without what its file asks for"},
	{refused: true, prefixes: words("config.providers."),
		why: "Headrace cannot load Java classes"},
	{refused: true, names: words("max.connections.per.ip.overrides"), off: []string{""},
		why: "this limit is not there yet"},
	{refused: true, names: words("max.connection.creation.rate"), off: []string{"2147483647"},
		why: "this limit is not there yet"},
	{refused: true, names: words("remote.log.storage.system.enable"), off: []string{"false"},
		why: "tiered storage is not there yet"},
	{refused: true, names: words("unstable.feature.versions.enable controller.quorum.auto.join.enable transaction.two.phase.commit.enable"), off: []string{"false"},
		why: "it is not there yet"},
	{refused: true, removed: true, names: words("port host.name advertised.port advertised.host.name"),
		why: "Apache Kafka 3.0 removed it; use listeners and advertised.listeners"},
	{refused: true, removed: true, names: words("log.message.timestamp.difference.max.ms"),
		why: "Apache Kafka 4.0 removed it; use log.message.timestamp.before.max.ms and log.message.timestamp.after.max.ms"},
}

var legacyAbsent = []legacy{
	{names: slices.Concat(
		words("zookeeper.connect zookeeper.connection.timeout.ms zookeeper.session.timeout.ms zookeeper.sync.time.ms zookeeper.max.in.flight.requests"),
		words("zookeeper.metadata.migration.enable broker.id.generation.enable reserved.broker.max.id control.plane.listener.name")),
		why: "Headrace keeps its metadata itself, without ZooKeeper"},
	{names: words("inter.broker.protocol.version log.message.format.version log.message.downconversion.enable controlled.shutdown.max.retries controlled.shutdown.retry.backoff.ms group.coordinator.new.enable"),
		why: "Apache Kafka 4.0 removed it"},
	{names: slices.Concat(
		words("transactional.id.expiration.ms"),
		below("transaction.", "abort.timed.out.transaction.cleanup.interval.ms max.timeout.ms remove.expired.transaction.cleanup.interval.ms"),
		below("transaction.state.log.", "load.buffer.size min.isr num.partitions replication.factor segment.bytes")),
		why: "transactions are not there yet"},
	{names: words("group.share.persister.class.name"), off: words("org.apache.kafka.server.share.persister.DefaultStatePersister"),
		why: "what partitions of share groups remember is kept by the share coordinator"},
	{names: words("share.fetch.purgatory.purge.interval.requests"),
		why: "there are no purgatories: who waits leaves at once"},
	{names: slices.Concat(
		below("remote.", "fetch.max.wait.ms list.offsets.request.timeout.ms log.index.file.cache.total.size.bytes log.index.file.cache.ttl.ms log.metadata.custom.metadata.max.bytes log.reader.max.pending.tasks log.reader.threads"),
		below("remote.log.manager.", "copier.thread.pool.size copy.max.bytes.per.second copy.quota.window.num copy.quota.window.size.seconds expiration.thread.pool.size fetch.max.bytes.per.second"),
		below("remote.log.manager.", "fetch.quota.window.num fetch.quota.window.size.seconds follower.thread.pool.size task.interval.ms task.retry.backoff.max.ms task.retry.backoff.ms task.retry.jitter thread.pool.size"),
		below("remote.log.metadata.manager.", "class.name class.path impl.prefix listener.name"),
		below("remote.log.storage.manager.", "class.name class.path impl.prefix"),
		words("follower.fetch.last.tiered.offset.enable log.local.retention.bytes log.local.retention.ms")),
		why: "tiered storage is not there yet"},
	{names: slices.Concat(
		words("initial.broker.registration.timeout.ms early.start.listeners request.timeout.ms controller.socket.timeout.ms replica.socket.receive.buffer.bytes replica.socket.timeout.ms"),
		below("controller.quorum.", "append.linger.ms election.backoff.max.ms election.timeout.ms fetch.max.bytes fetch.snapshot.max.bytes fetch.timeout.ms request.timeout.ms retry.backoff.ms")),
		why: "nodes keep to times of their own among themselves"},
	{names: slices.Concat(
		words("quota.window.num quota.window.size.seconds controller.quota.window.num controller.quota.window.size.seconds"),
		words("alter.log.dirs.replication.quota.window.num alter.log.dirs.replication.quota.window.size.seconds num.replica.alter.log.dirs.threads")),
		why: "quotas are not there yet, and moves between directories have a goroutine for each"},
}

var legacyTuning = []legacy{
	{names: words("num.network.threads queued.max.requests"), why: "each connection has goroutines of its own, bounded by queued.max.request.bytes; there are no network threads"},
	{names: words("num.io.threads"), why: "Headrace has no request handler pool"},
	{names: words("background.threads log.initial.task.delay.ms"), why: "background work is not a pool of threads"},
	{names: slices.Concat(
		words("group.coordinator.threads group.coordinator.background.threads group.coordinator.append.linger.ms group.coordinator.cached.buffer.max.bytes"),
		words("offsets.commit.timeout.ms offsets.load.buffer.size offsets.topic.compression.codec")),
		why: "the group coordinator runs a goroutine for each busy partition of __consumer_offsets and batches by itself"},
	{names: words("share.coordinator.append.linger.ms share.coordinator.cached.buffer.max.bytes share.coordinator.load.buffer.size share.coordinator.threads share.coordinator.state.topic.compression.codec"),
		why: "the share coordinator runs a goroutine for each busy partition of __share_group_state and batches by itself"},
	{names: words("delete.records.purgatory.purge.interval.requests fetch.purgatory.purge.interval.requests producer.purgatory.purge.interval.requests"),
		why: "there are no purgatories: who waits leaves at once"},
	{names: words("log.flush.start.offset.checkpoint.interval.ms"), why: "the start offsets are written with log.flush.offset.checkpoint.interval.ms"},
	{names: words("log.dir.failure.timeout.ms"), why: "a failed log dir is offline at once"},
	{names: words("producer.id.expiration.check.interval.ms"), why: "producers are looked at with log.retention.check.interval.ms"},
	{names: words("server.max.startup.time.ms"), why: "a start is not waited for: it fails or serves"},
	{names: words("controller.performance.always.log.threshold.ms controller.performance.sample.period.ms"), why: "the controller does not log its timings"},
	{names: below("metadata.", "log.max.snapshot.interval.ms log.segment.bytes log.segment.ms max.idle.interval.ms max.retention.bytes max.retention.ms"),
		why: "the metadata log is cut by metadata.log.max.record.bytes.between.snapshots alone"},
	{names: words("socket.connection.setup.timeout.max.ms socket.connection.setup.timeout.ms socket.listen.backlog.size socket.receive.buffer.bytes socket.send.buffer.bytes connection.failed.authentication.delay.ms"),
		why: "sockets keep what the operating system gives them"},
	{names: words("metric.reporters metrics.num.samples metrics.recording.level metrics.sample.window.ms kafka.metrics.polling.interval.secs kafka.metrics.reporters telemetry.max.bytes auto.include.jmx.reporter"),
		why: "Headrace has metrics of its own"},
	{prefixes: words("confluent. cruise.control.metrics. kafka.csv.metrics. kafka.graphite.metrics. kafka.ganglia.metrics."),
		why: "it configures a Java plug-in, which Headrace cannot load"},
	{prefixes: words("rsm.config. rlmm.config."), why: "tiered storage is not there yet"},
}
