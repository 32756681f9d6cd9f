import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeaders;

/** The data set and its lines: time, key, value, headers, separated by tabs; see prepare.py. */
final class Rows {
    private static final String NULL = "\\N";

    private Rows() {}

    static List<String> read(String path) throws IOException {
        return Files.readAllLines(Path.of(path));
    }

    /** Makes a record of a line. */
    static ProducerRecord<byte[], byte[]> record(String topic, String line) {
        String[] fields = line.split("\t", -1);
        RecordHeaders headers = new RecordHeaders();
        for (String pair : fields[3].split(",")) {
            int equals = pair.indexOf('=');
            headers.add(pair.substring(0, equals), bytes(pair.substring(equals + 1)));
        }
        return new ProducerRecord<>(topic, null, Long.valueOf(fields[0]), orNull(fields[1]), orNull(fields[2]), headers);
    }

    /** Makes a line of a record. */
    static void append(StringBuilder to, ConsumerRecord<byte[], byte[]> r) {
        to.append(r.timestamp()).append('\t').append(text(r.key())).append('\t').append(text(r.value())).append('\t');
        int start = to.length();
        for (Header h : r.headers()) {
            if (to.length() > start) {
                to.append(',');
            }
            to.append(h.key()).append('=').append(text(h.value()));
        }
    }

    static byte[] bytes(String s) {
        return s.getBytes(StandardCharsets.UTF_8);
    }

    private static byte[] orNull(String field) {
        return field.equals(NULL) ? null : bytes(field);
    }

    private static String text(byte[] b) {
        return b == null ? NULL : StandardCharsets.UTF_8.decode(ByteBuffer.wrap(b)).toString();
    }
}
