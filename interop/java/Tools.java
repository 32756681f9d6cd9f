import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Runs Apache Kafka's own tools against the broker and checks what they print. Arguments: names of checks, or none for all.
 * Checks named in INTEROP_PENDING, separated by commas, must fail.
 */
public final class Tools {
    private static final String TOOLS = "org.apache.kafka.tools.";
    private static final int CONSOLE_ROWS = 100_000;

    private final String bootstrap = System.getenv("INTEROP_BOOTSTRAP");
    private final String topic = System.getenv("INTEROP_TOPIC");
    private final String group = System.getenv("INTEROP_GROUP");
    private final Path work = Path.of(System.getenv("INTEROP_WORK"));
    private final String node; // the id of one broker
    private final int nodes;
    private final Set<String> used = new HashSet<>();
    private int runs;

    private interface Check {
        void run() throws Exception;
    }

    private Tools() throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            Collection<Node> all = admin.describeCluster().nodes().get();
            node = all.iterator().next().idString();
            nodes = all.size();
        }
    }

    public static void main(String[] args) throws Exception {
        Tools t = new Tools();
        Map<String, Check> all = new LinkedHashMap<>();
        all.put("api-versions", t::apiVersions);
        all.put("topics", t::topics);
        all.put("configs", t::configs);
        all.put("quotas", t::quotas);
        all.put("console", t::console);
        all.put("offsets", t::offsets);
        all.put("groups", t::groups);
        all.put("log-dirs", t::logDirs);
        all.put("verifiable", t::verifiable);
        all.put("performance", t::performance);
        all.put("latency", t::latency);
        all.put("transactions", t::transactions);
        all.put("cluster", t::cluster);
        all.put("quorum", t::quorum);
        all.put("compatibility", t::compatibility);
        if (args.length > 0) {
            all.keySet().retainAll(Arrays.asList(args));
        }
        Set<String> pending = Set.of(Optional.ofNullable(System.getenv("INTEROP_PENDING")).orElse("").split(","));
        List<String> failed = new ArrayList<>();
        List<String> waiting = new ArrayList<>();
        for (Map.Entry<String, Check> check : all.entrySet()) {
            boolean passed = passes(check.getKey(), check.getValue());
            boolean expected = !pending.contains(check.getKey());
            if (!passed && !expected) {
                waiting.add(check.getKey());
            } else if (passed != expected) {
                failed.add(check.getKey() + (passed ? " (passes, but is listed as pending)" : ""));
            }
        }
        System.out.println(failed.isEmpty()
            ? "summary " + (all.size() - waiting.size()) + " checks, " + t.used.size() + " tools, " + t.runs + " runs"
                + (waiting.isEmpty() ? "" : "; not yet: " + String.join(" ", waiting))
            : "failed: " + String.join(", ", failed));
        System.out.flush();
        // Tools leave threads behind.
        Runtime.getRuntime().halt(failed.isEmpty() ? 0 : 1);
    }

    private static boolean passes(String name, Check check) {
        long begin = System.nanoTime();
        try {
            check.run();
            System.out.printf("ok   %s, %d ms%n", name, Duration.ofNanos(System.nanoTime() - begin).toMillis());
            return true;
        } catch (Throwable e) {
            e.printStackTrace(System.out);
            System.out.println("FAIL " + name);
            return false;
        }
    }

    /** Runs a tool that takes --bootstrap-server. */
    private ToolRun tool(String name, String... args) throws Exception {
        List<String> all = new ArrayList<>(List.of("--bootstrap-server", bootstrap));
        Collections.addAll(all, args);
        return ToolRun.of(mainClass(name), all.toArray(String[]::new));
    }

    /** Notes that a tool is run, and gives its class. */
    private String mainClass(String name) {
        runs++;
        used.add(name);
        return name.startsWith("kafka.") ? name : TOOLS + name;
    }

    private KafkaProducer<String, String> producer() {
        return new KafkaProducer<>(Map.of("bootstrap.servers", bootstrap), new StringSerializer(), new StringSerializer());
    }

    private String newTopic(String suffix, int partitions, String... configs) throws Exception {
        List<String> args = new ArrayList<>(List.of("--create", "--topic", topic + suffix, "--partitions", "" + partitions,
            "--replication-factor", "1"));
        for (String config : configs) {
            Collections.addAll(args, "--config", config);
        }
        tool("TopicCommand", args.toArray(String[]::new)).ok().prints("^Created topic " + Pattern.quote(topic + suffix) + "\\.$");
        return topic + suffix;
    }

    private void apiVersions() throws Exception {
        ToolRun run = tool("BrokerApiVersionsCommand").ok();
        run.counts("^\\S+:\\d+ \\(id: \\d+ rack: \\S+ isFenced: false\\) -> \\($", nodes);
        for (String api : List.of("Produce\\(0\\)", "Fetch\\(1\\)", "ListOffsets\\(2\\)", "Metadata\\(3\\)",
            "OffsetCommit\\(8\\)", "JoinGroup\\(11\\)", "ApiVersions\\(18\\)", "CreateTopics\\(19\\)",
            "InitProducerId\\(22\\)", "DescribeConfigs\\(32\\)", "OffsetDelete\\(47\\)", "DescribeCluster\\(60\\)")) {
            run.prints("^\\t" + api + ": \\d+( to \\d+)? \\[usable: \\d+\\]");
        }
        // librdkafka takes an old broker for one that has Produce and Fetch, and drops features, if they don't start so.
        run.prints("^\\tProduce\\(0\\): 0 to 1[23]");
        run.prints("^\\tFetch\\(1\\): 4 to 1[78]");
    }

    private void topics() throws Exception {
        String t = newTopic("-topics", 3, "retention.ms=-1", "max.message.bytes=2000000");
        tool("TopicCommand", "--list").ok().prints("^" + Pattern.quote(t) + "$");
        ToolRun run = tool("TopicCommand", "--describe", "--topic", t).ok();
        Matcher m = run.prints("^Topic: (\\S+)\\tTopicId: (\\S{22})\\tPartitionCount: 3\\tReplicationFactor: 1\\tConfigs: (\\S+)$");
        must(m.group(1).equals(t), "the topic's name is " + m.group(1));
        must(m.group(3).contains("retention.ms=-1") && m.group(3).contains("max.message.bytes=2000000"), "configs " + m.group(3));
        for (int p = 0; p < 3; p++) {
            run.prints("^\\tTopic: \\S+\\tPartition: " + p + "\\tLeader: (\\d+)\\tReplicas: \\1\\tIsr: \\1\\b");
        }
        tool("TopicCommand", "--alter", "--topic", t, "--partitions", "5").ok();
        tool("TopicCommand", "--describe", "--topic", t).ok().counts("\\tPartition: \\d+\\tLeader: \\d+\\t", 5);
        tool("TopicCommand", "--alter", "--topic", t, "--partitions", "2").refused("currently has 5 partition");
        tool("TopicCommand", "--create", "--topic", t).refused("already exists");
        tool("TopicCommand", "--create", "--topic", t, "--if-not-exists").ok();
        tool("TopicCommand", "--create", "--topic", t + "/bad").refused("InvalidTopicException|illegal|is invalid");
        tool("TopicCommand", "--create", "--topic", t + "-x", "--config", "retention.ms=soon").refused("Invalid value soon");
        tool("TopicCommand", "--describe", "--under-replicated-partitions").ok().lacks("Topic: " + Pattern.quote(t));
        tool("TopicCommand", "--delete", "--topic", t).ok();
        eventually(() -> tool("TopicCommand", "--list").ok().lacks("^" + Pattern.quote(t) + "$"));
        tool("TopicCommand", "--describe", "--topic", t).refused("does not exist");
    }

    private void configs() throws Exception {
        String t = newTopic("-configs", 1);
        String config = "kafka.admin.ConfigCommand";
        String[] entity = {"--entity-type", "topics", "--entity-name", t};
        tool(config, with(entity, "--alter", "--add-config", "retention.ms=1234567,cleanup.policy=[compact,delete]")).ok()
            .prints("Completed updating config for topic");
        eventually(() -> {
            ToolRun run = tool(config, with(entity, "--describe")).ok();
            run.prints("retention.ms=1234567 sensitive=false synonyms=\\{DYNAMIC_TOPIC_CONFIG:retention.ms=1234567[,}]");
            run.prints("cleanup.policy=compact,delete sensitive=false synonyms=\\{DYNAMIC_TOPIC_CONFIG:cleanup.policy=compact,delete, ");
        });
        ToolRun all = tool(config, with(entity, "--describe", "--all")).ok();
        all.prints("segment.bytes=\\d+ sensitive=false synonyms=\\{.*DEFAULT_CONFIG:log.segment.bytes=\\d+");
        all.prints("min.insync.replicas=1 ");
        tool(config, with(entity, "--alter", "--delete-config", "retention.ms")).ok();
        eventually(() -> tool(config, with(entity, "--describe")).ok().lacks("retention.ms"));
        tool(config, with(entity, "--alter", "--add-config", "no.such.config=1")).refused("(?i)unknown topic config|InvalidConfig");
        brokerConfigs(config);
    }

    private void brokerConfigs(String config) throws Exception {
        String[] entity = {"--entity-type", "brokers", "--entity-name", node};
        ToolRun all = tool(config, with(entity, "--describe", "--all")).ok();
        all.prints("num.partitions=\\d+ sensitive=false");
        all.prints("log.retention.hours=\\d+ sensitive=false synonyms=\\{.*DEFAULT_CONFIG:log.retention.hours=168");
        String[] everyBroker = {"--entity-type", "brokers", "--entity-default"};
        tool(config, with(entity, "--alter", "--add-config", "message.max.bytes=1500000")).ok().prints("Completed updating config for broker");
        tool(config, with(everyBroker, "--alter", "--add-config", "message.max.bytes=1400000")).ok();
        eventually(() -> tool(config, with(entity, "--describe")).ok()
            .prints("message.max.bytes=1500000 sensitive=false synonyms=\\{DYNAMIC_BROKER_CONFIG:message.max.bytes=1500000, "
                + "DYNAMIC_DEFAULT_BROKER_CONFIG:message.max.bytes=1400000, .*DEFAULT_CONFIG:message.max.bytes=1048588\\}"));
        tool(config, with(entity, "--alter", "--delete-config", "message.max.bytes")).ok();
        eventually(() -> tool(config, with(entity, "--describe", "--all")).ok()
            .prints("message.max.bytes=1400000 sensitive=false synonyms=\\{DYNAMIC_DEFAULT_BROKER_CONFIG:message.max.bytes=1400000, "));
        tool(config, with(everyBroker, "--alter", "--delete-config", "message.max.bytes")).ok();
        eventually(() -> tool(config, with(entity, "--describe", "--all")).ok().prints("message.max.bytes=1048588 "));
        tool(config, with(entity, "--alter", "--add-config", "node.id=77")).refused("(?i)cannot update|InvalidRequest|InvalidConfig");
    }

    private void quotas() throws Exception {
        String config = "kafka.admin.ConfigCommand";
        String[] entity = {"--entity-type", "clients", "--entity-name", topic};
        tool(config, with(entity, "--alter", "--add-config", "producer_byte_rate=1000000,consumer_byte_rate=2000000")).ok();
        eventually(() -> {
            ToolRun run = tool(config, with(entity, "--describe")).ok();
            run.prints("Quota configs for client-id '" + Pattern.quote(topic) + "' are .*producer_byte_rate=1000000.0");
            run.prints("consumer_byte_rate=2000000.0");
        });
        tool(config, with(entity, "--alter", "--delete-config", "producer_byte_rate,consumer_byte_rate")).ok();
        eventually(() -> tool(config, with(entity, "--describe")).ok().lacks("producer_byte_rate"));
    }

    /** Sends rows of the data set through the console tools and compares each. */
    private void console() throws Exception {
        String t = newTopic("-console", 2);
        List<String> sent = new ArrayList<>(CONSOLE_ROWS);
        for (String row : Rows.read(System.getenv("INTEROP_ROWS")).subList(0, CONSOLE_ROWS)) {
            String[] fields = row.split("\t", -1);
            sent.add(fields[3] + "\t" + fields[1] + "\t" + fields[2]);
        }
        ToolRun.with(ToolRun.lines(sent), mainClass("ConsoleProducer"), "--bootstrap-server", bootstrap, "--topic", t,
            "--compression-codec", "lz4", "--reader-property", "parse.headers=true", "--reader-property", "parse.key=true",
            "--reader-property", "headers.key.separator==", "--reader-property", "null.marker=\\N",
            "--command-property", "linger.ms=5").ok();
        ToolRun run = tool("consumer.ConsoleConsumer", "--topic", t, "--from-beginning", "--group", group + "-console",
            "--max-messages", "" + CONSOLE_ROWS, "--timeout-ms", "20000",
            "--formatter-property", "print.headers=true", "--formatter-property", "print.key=true",
            "--formatter-property", "print.partition=true", "--formatter-property", "print.offset=true",
            "--formatter-property", "print.timestamp=true", "--formatter-property", "null.literal=\\N").ok();
        Pattern prefix = Pattern.compile("CreateTime:\\d{13}\\tPartition:[01]\\tOffset:\\d+\\t");
        List<String> got = new ArrayList<>(run.out.lines().toList());
        for (int i = 0; i < got.size(); i++) {
            Matcher m = prefix.matcher(got.get(i));
            must(m.lookingAt(), "console consumer line " + got.get(i));
            got.set(i, got.get(i).substring(m.end()).replaceAll("(^|,)([a-z0-9]+):", "$1$2="));
        }
        compare(sent, got);
        must(run.err.contains("Processed a total of " + CONSOLE_ROWS + " messages"), "console consumer said " + run.err);
    }

    /** Only the headers' separator is put back as it was sent, so values that hold a colon differ in both alike. */
    private static void compare(List<String> sent, List<String> got) {
        List<String> want = new ArrayList<>(sent.size());
        sent.forEach(line -> want.add(line.replaceAll("(^|,)([a-z0-9]+):", "$1$2=")));
        Collections.sort(want);
        Collections.sort(got);
        must(want.size() == got.size(), "sent " + want.size() + " lines, got " + got.size());
        for (int i = 0; i < want.size(); i++) {
            must(want.get(i).equals(got.get(i)), "sent " + want.get(i) + ", got " + got.get(i));
        }
    }

    private void offsets() throws Exception {
        String t = newTopic("-offsets", 2, "retention.ms=-1");
        // Partition 0 has timestamps 1000, 2000, …, with the highest in its middle; partition 1 has one record.
        try (var producer = producer()) {
            for (int i = 0; i < 100; i++) {
                producer.send(new ProducerRecord<>(t, 0, i == 50 ? 999_000L : (i + 1) * 1000L, null, "value " + i)).get();
            }
            producer.send(new ProducerRecord<>(t, 1, 5000L, "k", "v")).get();
        }
        offsetsAre(t, "-1", "0:100", "1:1");
        offsetsAre(t, "latest", "0:100", "1:1");
        offsetsAre(t, "-2", "0:0", "1:0");
        offsetsAre(t, "earliest", "0:0", "1:0");
        offsetsAre(t, "-3", "0:50", "1:0");
        offsetsAre(t, "max-timestamp", "0:50", "1:0");
        offsetsAre(t, "10000", "0:9", null);
        offsetsAre(t, "5000", "0:4", "1:0");
        offsetsAre(t, "999000", "0:50", null);
        tool("GetOffsetShell", "--topic-partitions", t + ":1").ok().counts("^" + Pattern.quote(t) + ":1:1$", 1).counts("^\\S", 1);

        Path json = work.resolve("delete-records.json");
        Files.writeString(json, "{\"version\":1,\"partitions\":[{\"topic\":\"" + t + "\",\"partition\":0,\"offset\":40}]}");
        tool("DeleteRecordsCommand", "--offset-json-file", json.toString()).ok()
            .prints("^partition: " + Pattern.quote(t) + "-0\\s+low_watermark: 40$");
        offsetsAre(t, "-2", "0:40", "1:0");
        offsetsAre(t, "-1", "0:100", "1:1");
        ToolRun run = tool("consumer.ConsoleConsumer", "--topic", t, "--partition", "0", "--offset", "earliest",
            "--max-messages", "60", "--timeout-ms", "10000").ok();
        must(run.out.startsWith("value 40\n") && run.out.endsWith("value 99\n"), "records after the deletion: " + run.out);
        Files.writeString(json, "{\"version\":1,\"partitions\":[{\"topic\":\"" + t + "\",\"partition\":0,\"offset\":101}]}");
        must(tool("DeleteRecordsCommand", "--offset-json-file", json.toString()).out.contains("OffsetOutOfRange"), "deletion past the end");
    }

    /** Each wanted is PARTITION:OFFSET; one that is null stands for a partition without an answer. */
    private void offsetsAre(String t, String time, String... wanted) throws Exception {
        ToolRun run = tool("GetOffsetShell", "--topic", t, "--time", time).ok();
        List<String> want = Arrays.stream(wanted).filter(w -> w != null).map(w -> t + ":" + w).toList();
        must(run.out.lines().sorted().toList().equals(want), "offsets at " + time + ": " + run.out + ", wanted " + want);
    }

    private void groups() throws Exception {
        String t = newTopic("-groups", 2, "retention.ms=-1");
        String g = group + "-groups";
        try (var producer = producer()) {
            for (int i = 0; i < 200; i++) {
                producer.send(new ProducerRecord<>(t, i % 2, (i / 2 + 1) * 1000L, null, "value " + i));
            }
        }
        try (var consumer = new KafkaConsumer<>(Map.<String, Object>of("bootstrap.servers", bootstrap, "group.id", g,
            "auto.offset.reset", "earliest", "client.id", "looker"), new StringDeserializer(), new StringDeserializer())) {
            consumer.subscribe(List.of(t));
            for (int n = 0; n < 200; n += consumer.poll(Duration.ofSeconds(1)).count()) {
                must(n >= 0, "");
            }
            consumer.commitSync();
            activeGroup(t, g);
        }
        emptyGroup(t, g);
        resets(t, g);
        tool("consumer.group.ConsumerGroupCommand", "--delete-offsets", "--group", g, "--topic", t + ":0").ok()
            .prints("^" + Pattern.quote(t) + "\\s+0\\s+Successful");
        ToolRun left = tool("consumer.group.ConsumerGroupCommand", "--describe", "--group", g).ok();
        left.counts("^" + Pattern.quote(g) + "\\s+" + Pattern.quote(t) + "\\s+1\\s+\\d+\\s+100\\s", 1);
        left.lacks("^" + Pattern.quote(g) + "\\s+" + Pattern.quote(t) + "\\s+0\\s+\\d+\\s+100\\s");
        tool("consumer.group.ConsumerGroupCommand", "--delete", "--group", g).ok().prints("Deletion of requested consumer groups .* was successful");
        tool("consumer.group.ConsumerGroupCommand", "--list").ok().lacks("^" + Pattern.quote(g) + "$");
    }

    private void activeGroup(String t, String g) throws Exception {
        String command = "consumer.group.ConsumerGroupCommand";
        tool(command, "--list").ok().prints("^" + Pattern.quote(g) + "$");
        tool(command, "--list", "--state").ok().prints("^" + Pattern.quote(g) + "\\s+Stable\\s*$");
        tool(command, "--list", "--type").ok().prints("^" + Pattern.quote(g) + "\\s+Classic\\s*$");
        ToolRun run = tool(command, "--describe", "--group", g).ok();
        for (int p = 0; p < 2; p++) {
            run.prints("^" + Pattern.quote(g) + "\\s+" + Pattern.quote(t) + "\\s+" + p + "\\s+100\\s+100\\s+0\\s+looker-\\S+\\s+/127\\.0\\.0\\.1\\s+looker\\s*$");
        }
        tool(command, "--describe", "--group", g, "--members", "--verbose").ok()
            .prints("^" + Pattern.quote(g) + "\\s+looker-\\S+\\s+/127\\.0\\.0\\.1\\s+looker\\s+2\\s+.*" + Pattern.quote(t));
        tool(command, "--describe", "--group", g, "--state").ok()
            .prints("^" + Pattern.quote(g) + "\\s+\\S+:\\d+\\s+\\(\\d+\\)\\s+range\\s+Stable\\s+1\\s*$");
        refusal(tool(command, "--reset-offsets", "--group", g, "--topic", t, "--to-earliest", "--execute"), "inactive");
        refusal(tool(command, "--delete", "--group", g), "not empty|NonEmpty|GroupNotEmpty");
    }

    /** This tool tells some failures by what it prints alone. */
    private static void refusal(ToolRun run, String regex) {
        must(Pattern.compile(regex).matcher(run.out + run.err).find(), run.name + " printed " + run.out + run.err + ", wanted " + regex);
    }

    private void emptyGroup(String t, String g) throws Exception {
        ToolRun run = tool("consumer.group.ConsumerGroupCommand", "--describe", "--group", g).ok();
        run.prints("^" + Pattern.quote(g) + "\\s+" + Pattern.quote(t) + "\\s+0\\s+100\\s+100\\s+0\\s+-\\s+-\\s+-\\s*$");
        refusal(run, "Consumer group '" + Pattern.quote(g) + "' has no active members");
        tool("consumer.group.ConsumerGroupCommand", "--describe", "--group", g, "--state").ok().prints("\\sEmpty\\s+0\\s*$");
    }

    private void resets(String t, String g) throws Exception {
        reset(t, g, 0, 0, "--topic", t, "--to-earliest", "--dry-run");
        tool("consumer.group.ConsumerGroupCommand", "--describe", "--group", g).ok().counts("\\s100\\s+100\\s+0\\s", 2);
        reset(t, g, 0, 0, "--topic", t, "--to-earliest", "--execute");
        tool("consumer.group.ConsumerGroupCommand", "--describe", "--group", g).ok().counts("\\s0\\s+100\\s+100\\s", 2);
        reset(t, g, 30, 30, "--topic", t, "--shift-by", "30", "--execute");
        reset(t, g, 60, null, "--topic", t + ":0", "--to-offset", "60", "--execute");
        reset(t, g, 60, 30, "--topic", t, "--to-current", "--execute");
        reset(t, g, 9, 9, "--topic", t, "--to-datetime", "1970-01-01T00:00:09.500", "--execute");
        reset(t, g, 100, 100, "--all-topics", "--to-latest", "--execute");
        Path csv = work.resolve("reset-offsets.csv");
        ToolRun plan = tool("consumer.group.ConsumerGroupCommand", "--reset-offsets", "--group", g, "--topic", t, "--shift-by", "-58", "--export").ok();
        Files.writeString(csv, plan.out);
        reset(t, g, 42, 42, "--from-file", csv.toString(), "--execute");
        tool("consumer.group.ConsumerGroupCommand", "--describe", "--group", g).ok().counts("\\s42\\s+100\\s+58\\s", 2);
    }

    /** Resets and expects the printed new offsets of partitions 0 and 1; null stands for none. */
    private void reset(String t, String g, Integer want0, Integer want1, String... args) throws Exception {
        ToolRun run = tool("consumer.group.ConsumerGroupCommand", with(new String[] {"--reset-offsets", "--group", g}, args)).ok();
        Integer[] wants = {want0, want1};
        for (int p = 0; p < 2; p++) {
            String line = "^" + Pattern.quote(g) + "\\s+" + Pattern.quote(t) + "\\s+" + p + "\\s+";
            if (wants[p] == null) {
                run.lacks(line);
            } else {
                run.prints(line + wants[p] + "\\s*$");
            }
        }
    }

    private void logDirs() throws Exception {
        String t = newTopic("-logdirs", 2);
        perf(t, 1000);
        ToolRun run = tool("LogDirsCommand", "--describe", "--topic-list", t).ok();
        run.prints("\"broker\":" + node + "\\b");
        run.lacks("\"error\":[^n]");
        long size = 0;
        int found = 0;
        Matcher m = Pattern.compile("\"partition\":\"" + Pattern.quote(t) + "-[01]\",\"size\":(\\d+),\"offsetLag\":0,\"isFuture\":false").matcher(run.out);
        while (m.find()) {
            size += Long.parseLong(m.group(1));
            found++;
        }
        must(found == 2, "log directories have " + found + " of 2 partitions");
        must(size > 100_000, "100 kB were sent, log directories hold " + size);
    }

    private void perf(String t, int records) throws Exception {
        tool("ProducerPerformance", "--topic", t, "--num-records", "" + records, "--record-size", "100", "--throughput", "-1")
            .ok().prints("^" + records + " records sent, [\\d.,]+ records/sec");
    }

    private void performance() throws Exception {
        String t = newTopic("-perf", 4);
        tool("ProducerPerformance", "--topic", t, "--num-records", "200000", "--record-size", "200", "--throughput", "-1",
            "--command-property", "compression.type=zstd", "acks=all").ok().prints("^200000 records sent, ");
        ToolRun run = tool("ConsumerPerformance", "--topic", t, "--num-records", "200000", "--group", group + "-perf").ok();
        run.prints("^start.time, end.time, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, ");
        run.prints("^[^,]+, [^,]+, 38\\.\\d+, [\\d.]+, 200000, ");
    }

    private void verifiable() throws Exception {
        String t = newTopic("-verifiable", 2);
        ToolRun sent = ToolRun.process(mainClass("VerifiableProducer"), "--bootstrap-server", bootstrap, "--topic", t, "--max-messages", "5000", "--acks", "-1", "--repeating-keys", "7").ok();
        sent.counts("\"name\":\"producer_send_success\"", 5000).lacks("producer_send_error");
        sent.prints("\"name\":\"tool_data\".*\"sent\":5000,\"acked\":5000,");
        ToolRun got = tool("VerifiableConsumer", "--topic", t, "--group-id", group + "-verifiable", "--max-messages", "5000",
            "--reset-policy", "earliest", "--verbose").ok();
        got.prints("\"name\":\"partitions_assigned\",\"partitions\":\\[\\{.*\\},\\{.*\\}\\]");
        got.counts("\"name\":\"record_data\"", 5000);
        got.prints("\"name\":\"offsets_committed\".*\"success\":true");
        got.prints("\"name\":\"shutdown_complete\"");
        got.lacks("\"success\":false");
    }

    private void latency() throws Exception {
        String t = newTopic("-latency", 1);
        ToolRun run = tool("EndToEndLatency", "--topic", t, "--num-records", "300", "--producer-acks", "all", "--record-size", "100").ok();
        run.prints("^Avg latency: [\\d.,]+ ms$");
        run.prints("^Percentiles: 50th = \\d+, 99th = \\d+, 99.9th = \\d+$");
    }

    private void transactions() throws Exception {
        String from = newTopic("-txn-in", 1);
        String to = newTopic("-txn-out", 1);
        String id = topic + "-txn";
        try (var producer = producer()) {
            for (int i = 0; i < 2000; i++) {
                producer.send(new ProducerRecord<>(from, "" + i));
            }
        }
        ToolRun.process(mainClass("TransactionalMessageCopier"), "--broker-list", bootstrap, "--transactional-id", id, "--consumer-group", group + "-txn",
            "--input-topic", from, "--input-partition", "0", "--output-topic", to, "--max-messages", "2000",
            "--transaction-size", "100", "--enable-random-aborts", "--use-group-metadata").ok().prints("\"remaining\":0\\b");
        // Aborted transactions were copied again: exactly 2000 are committed, and there is more in the log.
        ToolRun run = tool("consumer.ConsoleConsumer", "--topic", to, "--from-beginning", "--isolation-level", "read_committed",
            "--timeout-ms", "5000", "--max-messages", "2000").ok();
        must(run.out.lines().map(Integer::valueOf).sorted().toList()
            .equals(java.util.stream.IntStream.range(0, 2000).boxed().toList()), "committed are not 0 to 1999");
        eventually(() -> tool("TransactionsCommand", "list").ok()
            .prints("^" + Pattern.quote(id) + "\\s+\\d+\\s+\\d+\\s+Complete(Commit|Abort)\\b"));
        tool("TransactionsCommand", "describe", "--transactional-id", id).ok()
            .prints("^\\d+\\s+" + Pattern.quote(id) + "\\s+\\d+\\s+\\d+\\s+Complete(Commit|Abort)\\s");
        tool("TransactionsCommand", "describe-producers", "--topic", to, "--partition", "0").ok()
            .prints("^\\d+\\s+\\d+\\s+-?\\d+\\s+-?\\d+\\s+\\d{13}\\s+None\\s*$");
        tool("consumer.group.ConsumerGroupCommand", "--describe", "--group", group + "-txn").ok().prints("\\s2000\\s+2000\\s+0\\s");
    }

    private void cluster() throws Exception {
        ToolRun.of(mainClass("ClusterTool"), "cluster-id", "--bootstrap-server", bootstrap).ok().prints("^Cluster ID: \\S+$");
        ToolRun.of(mainClass("FeatureCommand"), "--bootstrap-server", bootstrap, "describe").ok()
            .prints("^Feature: metadata.version\\s+SupportedMinVersion: \\S+\\s+SupportedMaxVersion: \\S+\\s+FinalizedVersionLevel: \\S+\\s+Epoch: \\d+");
        tool("GroupsCommand", "--list").ok();
    }

    private void quorum() throws Exception {
        ToolRun.of(mainClass("MetadataQuorumCommand"), "--bootstrap-server", bootstrap, "describe", "--status").ok().prints("^LeaderId:\\s+\\d+$");
    }

    /** The tool creates a topic "newtopic", which must not be there before. */
    private void compatibility() throws Exception {
        String t = newTopic("-compatibility", 1);
        tool("ClientCompatibilityTest", "--topic", t, "--offsets-for-times-supported", "true", "--cluster-id-supported", "true",
            "--expect-record-too-large-exception", "false", "--num-cluster-nodes", "" + nodes, "--create-topics-supported", "true",
            "--describe-acls-supported", "true", "--describe-configs-supported", "true", "--idempotent-producer-supported", "true").ok();
        tool("TopicCommand", "--delete", "--topic", "newtopic").ok();
    }

    private static String[] with(String[] first, String... more) {
        List<String> all = new ArrayList<>(Arrays.asList(first));
        Collections.addAll(all, more);
        return all.toArray(String[]::new);
    }

    /** Some answers lag behind the change that they tell of, since brokers learn of it on their own. */
    private static void eventually(Check check) throws Exception {
        for (int i = 0;; i++) {
            try {
                check.run();
                return;
            } catch (AssertionError e) {
                if (i == 20) {
                    throw e;
                }
                Thread.sleep(100);
            }
        }
    }

    private static void must(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }
}
