import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.LongDeserializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;

/**
 * An application that counts words, the writer of its lines, and the judge of its counts.
 *
 *   WordCount count ADDRESS APPLICATION DIR [KEY=VALUE…]     until SIGTERM
 *   WordCount write ADDRESS SEED LINES LINES-PER-SECOND      lines of words to the topic lines
 *   WordCount check ADDRESS TOPIC SEED LINES TIMES exact|atleast
 *       the last count of each word in TOPIC, the lines having been written so many times; waits up to a minute for it
 */
public class WordCount {
    static final String[] WORDS = "head race mill wheel sluice weir leat pond tail gate penstock flume".split(" ");

    static String line(Random chance) {
        StringBuilder b = new StringBuilder();
        for (int i = 0; i < 8; i++) b.append(WORDS[chance.nextInt(WORDS.length)]).append(' ');
        return b.toString();
    }

    public static void main(String[] a) throws Exception {
        switch (a[0]) {
            case "count" -> count(a[1], a[2], a[3], Arrays.asList(a).subList(4, a.length));
            case "write" -> write(a[1], Long.parseLong(a[2]), Integer.parseInt(a[3]), Integer.parseInt(a[4]));
            case "check" -> System.exit(check(a[1], a[2], Long.parseLong(a[3]), Integer.parseInt(a[4]), Long.parseLong(a[5]), a[6].equals("exact")) ? 0 : 1);
            default -> throw new IllegalArgumentException(a[0]);
        }
    }

    static void count(String address, String application, String dir, List<String> more) throws Exception {
        Properties p = new Properties();
        p.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, address);
        p.put(StreamsConfig.APPLICATION_ID_CONFIG, application);
        p.put(StreamsConfig.STATE_DIR_CONFIG, dir);
        p.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, "500");
        p.put("default.key.serde", Serdes.StringSerde.class);
        p.put("default.value.serde", Serdes.StringSerde.class);
        p.put("auto.offset.reset", "earliest");
        for (String kv : more) p.put(kv.substring(0, kv.indexOf('=')), kv.substring(kv.indexOf('=') + 1));
        StreamsBuilder b = new StreamsBuilder();
        b.stream("lines", Consumed.with(Serdes.String(), Serdes.String()))
            .flatMapValues(v -> Arrays.asList(v.trim().split(" ")))
            .groupBy((k, word) -> word, Grouped.as("words"))
            .count(Materialized.as("counts"))
            .toStream()
            .to(application + "-out", Produced.with(Serdes.String(), Serdes.Long()));
        KafkaStreams streams = new KafkaStreams(b.build(), p);
        CountDownLatch dead = new CountDownLatch(1);
        streams.setStateListener((now, old) -> {
            System.out.println("state " + now);
            if (now == KafkaStreams.State.ERROR || now == KafkaStreams.State.NOT_RUNNING) dead.countDown();
        });
        streams.setUncaughtExceptionHandler(e -> {
            e.printStackTrace(System.out);
            return org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(Duration.ofSeconds(30))));
        streams.start();
        dead.await();
        if (streams.state() == KafkaStreams.State.ERROR) System.exit(1);
    }

    static void write(String address, long seed, int lines, int perSecond) throws Exception {
        Random chance = new Random(seed);
        try (KafkaProducer<String, String> to = new KafkaProducer<>(
            Map.of("bootstrap.servers", address, "acks", "all"), new StringSerializer(), new StringSerializer())) {
            long begin = System.nanoTime();
            for (int i = 0; i < lines; i++) {
                to.send(new ProducerRecord<>("lines", String.valueOf(i), line(chance)));
                long ahead = begin + i * 1_000_000_000L / perSecond - System.nanoTime();
                if (ahead > 0) Thread.sleep(ahead / 1_000_000, (int) (ahead % 1_000_000));
            }
        }
    }

    static boolean check(String address, String topic, long seed, int lines, long times, boolean exact) throws Exception {
        Map<String, Long> want = new TreeMap<>();
        Random chance = new Random(seed);
        for (int i = 0; i < lines; i++) for (String word : line(chance).trim().split(" ")) want.merge(word, times, Long::sum);
        Map<String, Long> got = new TreeMap<>();
        try (KafkaConsumer<String, Long> from = new KafkaConsumer<>(
            Map.of("bootstrap.servers", address, "isolation.level", "read_committed"), new StringDeserializer(), new LongDeserializer())) {
            List<TopicPartition> all = from.partitionsFor(topic).stream().map(i -> new TopicPartition(topic, i.partition())).toList();
            from.assign(all);
            from.seekToBeginning(all);
            long until = System.nanoTime() + Duration.ofSeconds(60).toNanos();
            long settled = 0;
            while (System.nanoTime() < until) {
                from.poll(Duration.ofMillis(200)).forEach(r -> got.put(r.key(), r.value()));
                boolean enough = want.entrySet().stream().allMatch(e -> got.getOrDefault(e.getKey(), 0L) >= e.getValue());
                if (!enough) {
                    settled = 0;
                } else if (settled == 0) {
                    settled = System.nanoTime(); // and it must stay so
                } else if (System.nanoTime() - settled > 2_000_000_000L) {
                    break;
                }
            }
        }
        for (Map.Entry<String, Long> e : want.entrySet()) {
            long n = got.getOrDefault(e.getKey(), 0L);
            if (exact ? n != e.getValue() : n < e.getValue()) {
                System.out.println(topic + ": " + got + ", want " + (exact ? "" : "at least ") + want);
                return false;
            }
        }
        if (!got.keySet().equals(want.keySet())) {
            System.out.println(topic + ": " + got.keySet() + ", want " + want.keySet());
            return false;
        }
        long sum = got.values().stream().mapToLong(n -> n).sum();
        System.out.println(topic + ": " + sum + " words of " + lines * 8L * times);
        return true;
    }
}
