import java.io.BufferedWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** Reads topics that other clients wrote, whole, and writes each to a file as "M" lines: arguments TOPIC FILE… */
public final class CrossRead {
    private CrossRead() {}

    public static void main(String[] args) throws Exception {
        Map<String, Object> config = Map.of("bootstrap.servers", System.getenv("INTEROP_BOOTSTRAP"),
            "enable.auto.commit", false, "isolation.level", "read_committed", "max.poll.records", 10_000,
            "max.partition.fetch.bytes", 4 << 20);
        try (var consumer = new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            for (int i = 0; i < args.length; i += 2) {
                try (BufferedWriter out = Files.newBufferedWriter(Path.of(args[i + 1]))) {
                    dump(consumer, args[i], out);
                }
            }
        }
    }

    private static void dump(KafkaConsumer<byte[], byte[]> consumer, String topic, BufferedWriter out) throws Exception {
        List<TopicPartition> partitions = consumer.partitionsFor(topic).stream()
            .map(p -> new TopicPartition(topic, p.partition())).toList();
        consumer.assign(partitions);
        consumer.seekToBeginning(partitions);
        Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
        long deadline = System.nanoTime() + Duration.ofSeconds(60).toNanos();
        StringBuilder line = new StringBuilder();
        while (partitions.stream().anyMatch(tp -> consumer.position(tp) < ends.get(tp))) {
            if (System.nanoTime() > deadline) {
                throw new IllegalStateException(topic + ": the ends are " + ends + ", still not reached");
            }
            for (ConsumerRecord<byte[], byte[]> r : consumer.poll(Duration.ofMillis(200))) {
                line.setLength(0);
                line.append("M\tcross\t").append(r.partition()).append('\t').append(r.offset()).append('\t');
                Rows.append(line, r);
                out.append(line).append('\n');
            }
        }
    }
}
