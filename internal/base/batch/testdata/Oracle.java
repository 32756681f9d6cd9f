// Asks Apache Kafka's own classes, for the tests of this package. See README.md for how to run it.
//
//   java -cp LIBS Oracle.java write DIR             writes one batch of each codec to DIR, as Kafka's clients do
//   java -cp LIBS Oracle.java read FILE...          dumps the batches in the files
//   java -cp LIBS Oracle.java validate < IN > OUT   answers each line "rules TAB batch" with what Kafka's broker does

import java.io.*;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.util.*;
import org.apache.kafka.common.InvalidRecordException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.errors.*;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.*;
import org.apache.kafka.common.record.internal.Record;
import org.apache.kafka.common.requests.ProduceRequest;
import org.apache.kafka.common.utils.*;
import org.apache.kafka.server.record.BrokerCompressionType;
import org.apache.kafka.storage.internals.log.*;

public class Oracle {
    static final long NOW = 1_700_000_000_000L;
    static final HexFormat HEX = HexFormat.of();

    public static void main(String[] args) throws Exception {
        switch (args[0]) {
            case "write" -> write(Path.of(args[1]));
            case "read" -> { for (int i = 1; i < args.length; i++) read(Path.of(args[i])); }
            case "validate" -> validate();
        }
    }

    static void write(Path dir) throws IOException {
        for (CompressionType type : CompressionType.values()) {
            ByteBufferOutputStream out = new ByteBufferOutputStream(1024);
            MemoryRecordsBuilder b = new MemoryRecordsBuilder(out, (byte) 2, Compression.of(type).build(), TimestampType.CREATE_TIME,
                0, -1, 4242, (short) 7, 100, false, false, -1, Integer.MAX_VALUE);
            for (int i = 0; i < 40; i++) {
                byte[] key = i % 5 == 0 ? null : ("key-" + i).getBytes();
                byte[] value = i % 7 == 0 ? null : ("value-" + i + "-").repeat(i).getBytes();
                Header[] headers = i % 3 == 0 ? new Header[] {new RecordHeader("h\u00e9", new byte[] {(byte) i}), new RecordHeader("", null)}
                    : Record.EMPTY_HEADERS;
                b.append(NOW + (i * 37) % 11, key, value, headers);
            }
            save(dir.resolve(type.name + ".batch"), b.build());
        }
        EndTransactionMarker marker = new EndTransactionMarker(ControlRecordType.COMMIT, 3);
        save(dir.resolve("commit.batch"), MemoryRecords.withEndTransactionMarker(0, NOW, 0, 4242, (short) 7, marker));
    }

    static void save(Path file, MemoryRecords records) throws IOException {
        ByteBuffer buf = records.buffer();
        byte[] bytes = new byte[buf.remaining()];
        buf.get(bytes);
        Files.write(file, bytes);
    }

    static void read(Path file) throws IOException {
        for (RecordBatch batch : MemoryRecords.readableRecords(ByteBuffer.wrap(Files.readAllBytes(file))).batches()) {
            batch.ensureValid();
            System.out.println(file.getFileName() + "\t" + dump(batch));
        }
    }

    static String dump(RecordBatch b) {
        StringBuilder s = new StringBuilder();
        s.append(b.baseOffset()).append(' ').append(b.lastOffset()).append(' ').append(b.partitionLeaderEpoch()).append(' ')
            .append(b.compressionType().name).append(' ').append(b.timestampType()).append(' ').append(b.maxTimestamp()).append(' ')
            .append(b.producerId()).append(' ').append(b.producerEpoch()).append(' ').append(b.baseSequence()).append(' ')
            .append(b.isTransactional()).append(' ').append(b.isControlBatch()).append(' ').append(b.countOrNull());
        for (Record r : b) {
            s.append(' ').append(r.offset()).append(',').append(r.timestamp()).append(',').append(hex(r.key())).append(',').append(hex(r.value()));
            for (Header h : r.headers())
                s.append(',').append(HEX.formatHex(h.key().getBytes(StandardCharsets.UTF_8))).append('=').append(h.value() == null ? "null" : HEX.formatHex(h.value()));
        }
        return s.toString();
    }

    static String hex(ByteBuffer b) {
        if (b == null) return "null";
        byte[] bytes = new byte[b.remaining()];
        b.duplicate().get(bytes);
        if (bytes.length > 500) {
            java.util.zip.CRC32 crc = new java.util.zip.CRC32();
            crc.update(bytes);
            return bytes.length + "#" + Long.toHexString(crc.getValue());
        }
        return HEX.formatHex(bytes);
    }

    static void validate() throws IOException {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        PrintStream out = new PrintStream(new BufferedOutputStream(System.out));
        for (String line; (line = in.readLine()) != null; ) {
            String[] field = line.split("\t");
            if (field.length < 2) field = new String[] {field[0], ""};
            out.println(field[0] + "\t" + field[1] + "\t" + outcome(field[0].split(" "), HEX.parseHex(field[1])));
        }
        out.flush();
    }

    // rules: version timestampType beforeMs afterMs compacted maxBytes compression.type origin
    static String outcome(String[] rule, byte[] bytes) {
        try {
            return append(rule, MemoryRecords.readableRecords(ByteBuffer.wrap(bytes)));
        } catch (RecordValidationException e) {
            StringBuilder s = new StringBuilder(Errors.forException(e.invalidException()).name());
            e.recordErrors().forEach(r -> s.append(' ').append(r.batchIndex));
            return s.toString();
        } catch (Throwable e) {
            return Errors.forException(e).name();
        }
    }

    static String append(String[] rule, MemoryRecords records) {
        AppendOrigin origin = AppendOrigin.valueOf(rule[7]);
        if (origin == AppendOrigin.CLIENT) ProduceRequest.validateRecords(Short.parseShort(rule[0]), records);
        CompressionType source = CompressionType.NONE;
        int valid = 0;
        for (MutableRecordBatch b : records.batches()) { // as UnifiedLog.analyzeAndValidateRecords
            if (origin == AppendOrigin.CLIENT && b.baseOffset() != 0) throw new InvalidRecordException("base offset");
            b.lastOffset();
            if (b.sizeInBytes() > Integer.parseInt(rule[5])) throw new RecordTooLargeException();
            if (!b.isValid()) throw new CorruptRecordException();
            valid += b.sizeInBytes();
            source = b.compressionType();
        }
        ByteBuffer trimmed = records.buffer();
        trimmed.limit(trimmed.position() + valid);
        TimestampType type = rule[1].equals("LogAppendTime") ? TimestampType.LOG_APPEND_TIME : TimestampType.CREATE_TIME;
        Compression target = BrokerCompressionType.targetCompression(BrokerCompressionType.forName(rule[6]) == BrokerCompressionType.PRODUCER
            ? Optional.empty() : Optional.of(of(rule[6])), source);
        LogValidator.ValidationResult r = new LogValidator(MemoryRecords.readableRecords(trimmed), new TopicPartition("t", 0), new Fixed(), source, target,
            rule[4].equals("true"), (byte) 2, type, Long.parseLong(rule[2]), Long.parseLong(rule[3]), 0, origin)
            .validateMessagesAndAssignOffsets(PrimitiveRef.ofLong(0), new Silent(), BufferSupplier.NO_CACHING);
        RecordBatch stored = r.validatedRecords().batches().iterator().next();
        if (r.messageSizeMaybeChanged() && stored.sizeInBytes() > Integer.parseInt(rule[5])) throw new RecordTooLargeException();
        String crc = r.messageSizeMaybeChanged() ? "new" : Long.toHexString(stored.checksum());
        try {
            return "OK " + r.maxTimestampMs() + " " + crc + " " + dump(stored);
        } catch (Throwable e) {
            return "OK UNREADABLE"; // the broker took what no consumer can read
        }
    }

    static Compression of(String name) {
        return name.equals("uncompressed") ? Compression.NONE : Compression.of(name).build();
    }

    static class Fixed implements Time {
        public long milliseconds() { return NOW; }
        public long nanoseconds() { return NOW * 1_000_000; }
        public void sleep(long ms) { }
        public void waitObject(Object o, java.util.function.Supplier<Boolean> condition, long deadlineMs) { }
    }

    static class Silent implements LogValidator.MetricsRecorder {
        public void recordInvalidMagic() { }
        public void recordInvalidOffset() { }
        public void recordInvalidSequence() { }
        public void recordInvalidChecksums() { }
        public void recordNoKeyCompactedTopic() { }
    }
}
