import java.io.BufferedWriter;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.concurrent.Future;
import java.util.function.BooleanSupplier;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Performs the suite's scenario with the Java client; the steps and the event log are described in go/play/play.go.
 * The argument is the group protocol: classic or consumer.
 */
public final class Play {
    private static final int PARTITIONS = 4;
    private static final int TAIL = 1000;
    private static final int JOIN_BATCH = 2000;
    private static final int SLOW_RATE = 8000;
    private static final String[] CODECS = {"none", "gzip", "snappy", "lz4", "zstd"};

    private final String bootstrap = System.getenv("INTEROP_BOOTSTRAP");
    private final String topic = System.getenv("INTEROP_TOPIC");
    private final String group = System.getenv("INTEROP_GROUP");
    private final String protocol;
    private final BufferedWriter out;
    // What follows is guarded by this.
    private final long[] next = new long[PARTITIONS];
    private final Map<String, Integer> taken = new HashMap<>();
    private boolean slow;

    private Play(String protocol, BufferedWriter out) {
        this.protocol = protocol;
        this.out = out;
    }

    public static void main(String[] args) throws Exception {
        try (BufferedWriter out = Files.newBufferedWriter(Path.of(System.getenv("INTEROP_EVENTS")))) {
            new Play(args[0], out).perform(Rows.read(System.getenv("INTEROP_ROWS")));
        } catch (Throwable e) {
            e.printStackTrace();
            System.exit(1);
        }
    }

    private void perform(List<String> rows) throws Exception {
        createTopic();
        int body = rows.size() - TAIL;
        for (int i = 0; i < CODECS.length; i++) {
            int from = (int) ((long) i * body / CODECS.length);
            produce(CODECS[i], rows, from, (int) ((long) (i + 1) * body / CODECS.length));
        }
        firstLife(body);
        event("S");
        produce(CODECS[0], rows, body, rows.size());
        try (Member a = new Member("A2")) {
            await(a, () -> seen() >= rows.size());
        }
    }

    private void createTopic() throws Exception {
        NewTopic spec = new NewTopic(topic, PARTITIONS, (short) 1)
            .configs(Map.of("retention.ms", "-1", "segment.ms", "315360000000", "segment.bytes", "4194304"));
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            admin.createTopics(List.of(spec)).all().get();
        }
    }

    private void produce(String codec, List<String> rows, int from, int to) throws Exception {
        Map<String, Object> config = Map.of("bootstrap.servers", bootstrap, "compression.type", codec,
            "linger.ms", 5, "batch.size", 100_000);
        try (var producer = new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer())) {
            List<Future<RecordMetadata>> sent = new java.util.ArrayList<>(to - from);
            for (String row : rows.subList(from, to)) {
                sent.add(producer.send(Rows.record(topic, row)));
            }
            producer.flush();
            for (Future<RecordMetadata> f : sent) {
                f.get();
            }
        }
        event("P\t" + codec + "\t" + from + "\t" + to);
    }

    private void firstLife(int want) throws Exception {
        try (Member a = new Member("A")) {
            await(a, () -> seen() >= want / 3);
            setSlow(true);
            try (Member b = new Member("B")) {
                await(b, () -> taken.getOrDefault("B", 0) >= JOIN_BATCH);
            }
            setSlow(false);
            await(a, () -> seen() >= want);
        }
    }

    private long seen() {
        long sum = 0;
        for (long n : next) {
            sum += n;
        }
        return sum;
    }

    private synchronized void setSlow(boolean slow) {
        this.slow = slow;
    }

    private synchronized void await(Member m, BooleanSupplier done) throws InterruptedException {
        long end = System.nanoTime() + Duration.ofSeconds(90).toNanos();
        while (!done.getAsBoolean()) {
            wait(1000);
            if (m.failure != null || System.nanoTime() > end) {
                throw new IllegalStateException("member " + m.name + " stopped; seen by member " + taken, m.failure);
            }
        }
        System.err.println(System.currentTimeMillis() + " seen by member " + taken);
    }

    private void event(CharSequence line) {
        synchronized (out) {
            try {
                out.append(line).append('\n');
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }

    /** One member of the group with its thread, from join to close. */
    private final class Member implements AutoCloseable, ConsumerRebalanceListener {
        private final String name;
        private final KafkaConsumer<byte[], byte[]> consumer;
        private final Thread thread = new Thread(this::run);
        private final TreeSet<Integer> owned = new TreeSet<>();
        private volatile boolean stopped;
        private volatile Throwable failure;

        Member(String name) {
            this.name = name;
            Map<String, Object> config = new HashMap<>(Map.of("bootstrap.servers", bootstrap, "group.id", group,
                "auto.offset.reset", "earliest", "enable.auto.commit", false, "group.protocol", protocol));
            if (protocol.equals("classic")) {
                config.put("heartbeat.interval.ms", 500); // in the other protocol the broker says
            }
            consumer = new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer());
            thread.start();
        }

        private void run() {
            try (consumer) {
                consumer.subscribe(List.of(topic), this);
                while (!stopped) {
                    batch(consumer.poll(Duration.ofMillis(500)));
                }
            } catch (WakeupException e) {
                // Asked to leave, which closing did.
            } catch (Throwable e) {
                failure = e;
            }
        }

        private void batch(ConsumerRecords<byte[], byte[]> records) throws InterruptedException {
            if (records.isEmpty()) {
                return;
            }
            StringBuilder line = new StringBuilder();
            for (ConsumerRecord<byte[], byte[]> r : records) {
                line.setLength(0);
                line.append("M\t").append(name).append('\t').append(r.partition()).append('\t').append(r.offset()).append('\t');
                Rows.append(line, r);
                event(line);
            }
            commit(records.nextOffsets());
            boolean wait;
            synchronized (Play.this) {
                for (ConsumerRecord<byte[], byte[]> r : records) {
                    next[r.partition()] = Math.max(next[r.partition()], r.offset() + 1);
                }
                taken.merge(name, records.count(), Integer::sum);
                wait = slow;
                Play.this.notifyAll();
            }
            if (wait) {
                Thread.sleep(records.count() * 1000L / SLOW_RATE);
            }
        }

        /** Commits, if the group lets it: after a refusal the next owner is given the records again. */
        private void commit(Map<TopicPartition, OffsetAndMetadata> offsets) {
            while (true) {
                try {
                    consumer.commitSync(offsets);
                    offsets.forEach((tp, o) -> event("C\t" + name + "\t" + tp.partition() + "\t" + o.offset()));
                    return;
                } catch (CommitFailedException | RebalanceInProgressException e) {
                    System.err.println(name + " could not commit: " + e);
                    return;
                } catch (WakeupException e) {
                    stopped = true; // and commit once more
                }
            }
        }

        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> gained) {
            gained.forEach(tp -> owned.add(tp.partition()));
            report();
        }

        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> lost) {
            lost.forEach(tp -> owned.remove(tp.partition()));
            report();
        }

        private void report() {
            event("J\t" + name + "\t" + owned.stream().map(String::valueOf).collect(Collectors.joining(",")));
        }

        @Override
        public void close() throws InterruptedException {
            stopped = true;
            consumer.wakeup();
            thread.join();
            if (failure != null) {
                throw new IllegalStateException("member " + name, failure);
            }
        }
    }
}
