import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.Random;

import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Writes what compaction has to tidy: Untidy BOOTSTRAP TOPIC SEED ROUNDS. Keys recur, values are missing, headers come and go,
 * each of five producers has a codec of its own, and two of them write in transactions of which some are aborted.
 */
public class Untidy {
    public static void main(String[] args) throws Exception {
        String topic = args[1];
        Random chance = new Random(Long.parseLong(args[2]));
        String[] codecs = {"none", "gzip", "snappy", "lz4", "zstd"};
        List<KafkaProducer<String, String>> producers = new ArrayList<>();
        for (int i = 0; i < codecs.length; i++) {
            Properties p = new Properties();
            p.put(ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, args[0]);
            p.put(ProducerConfig.COMPRESSION_TYPE_CONFIG, codecs[i]);
            p.put(ProducerConfig.LINGER_MS_CONFIG, 100);
            p.put(ProducerConfig.BATCH_SIZE_CONFIG, 1 << 13);
            p.put(ProducerConfig.ENABLE_IDEMPOTENCE_CONFIG, i > 0);
            if (i > 2) p.put(ProducerConfig.TRANSACTIONAL_ID_CONFIG, "untidy-" + args[2] + "-" + i);
            KafkaProducer<String, String> producer = new KafkaProducer<>(p, new StringSerializer(), new StringSerializer());
            if (i > 2) producer.initTransactions();
            producers.add(producer);
        }
        for (int round = 0; round < Integer.parseInt(args[3]); round++) {
            int i = chance.nextInt(codecs.length);
            KafkaProducer<String, String> producer = producers.get(i);
            if (i > 2) producer.beginTransaction();
            for (int n = chance.nextInt(60); n >= 0; n--) producer.send(record(topic, chance));
            producer.flush();
            if (i > 2 && chance.nextInt(3) == 0) producer.abortTransaction();
            else if (i > 2) producer.commitTransaction();
        }
        for (KafkaProducer<String, String> producer : producers) producer.close();
    }

    static ProducerRecord<String, String> record(String topic, Random chance) {
        String value = null;
        if (chance.nextInt(6) > 0) {
            StringBuilder text = new StringBuilder();
            for (int n = chance.nextInt(40); n >= 0; n--) text.append(Long.toHexString(chance.nextLong()));
            value = text.toString();
        }
        ProducerRecord<String, String> r = new ProducerRecord<>(topic, 0, "key-" + chance.nextInt(700), value);
        for (int n = chance.nextInt(3); n > 0; n--) r.headers().add("h" + n, Long.toString(chance.nextLong()).getBytes(StandardCharsets.UTF_8));
        return r;
    }
}
