// Asks Apache Kafka's own classes what becomes of batches and markers of producers, for the tests of this package. See README.md for how to
// run it.
//
//   java -cp LIBS Oracle.java > kafka.golden
//
// Each line is an operation, what Kafka says to it, what it knows of the producer afterwards, and the first unstable offset. "new" begins
// with an empty partition.

import java.io.File;
import java.nio.file.Files;
import java.util.*;
import java.util.stream.Collectors;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.record.internal.*;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.storage.internals.log.*;

public class Oracle {
    static final Random RANDOM = new Random(1228);
    static final short[] EPOCHS = {0, 1, 5, Short.MAX_VALUE - 1, Short.MAX_VALUE};
    static final int[] SEQUENCES = {0, 0, 0, 7, Integer.MAX_VALUE - 1};

    ProducerStateManager producers;
    long end = 0;

    public static void main(String[] args) throws Exception {
        for (int i = 0; i < 250; i++) {
            System.out.println("new");
            Oracle o = new Oracle();
            File dir = Files.createTempDirectory("oracle").toFile();
            o.producers = new ProducerStateManager(new TopicPartition("t", 0), dir, 900_000, new ProducerStateManagerConfig(86_400_000, true), Time.SYSTEM);
            int ops = 4 + RANDOM.nextInt(12);
            for (int n = 0; n < ops; n++) o.op();
            dir.delete();
        }
    }

    void op() {
        long id = RANDOM.nextInt(2);
        Optional<ProducerStateEntry> known = producers.lastEntry(id);
        int kind = RANDOM.nextInt(10);
        if (kind == 0) {
            long hw = RANDOM.nextLong(end + 1);
            producers.onHighWatermarkUpdated(hw);
            show("hw " + id + " " + hw, "ok", id);
            return;
        }
        short epoch = known.map(ProducerStateEntry::producerEpoch).orElse(EPOCHS[RANDOM.nextInt(EPOCHS.length)]);
        if (RANDOM.nextInt(3) == 0) epoch = (short) Math.min(Short.MAX_VALUE, Math.max(0, epoch + RANDOM.nextInt(4) - 1));
        if (kind < 5) marker(id, epoch, known);
        else data(id, epoch, known, kind == 5);
    }

    void marker(long id, short epoch, Optional<ProducerStateEntry> known) {
        int coordinator = Math.max(0, known.map(ProducerStateEntry::coordinatorEpoch).orElse(0) + RANDOM.nextInt(5) / 2 - (RANDOM.nextInt(4) == 0 ? 1 : 0));
        boolean commit = RANDOM.nextBoolean();
        short version = (short) RANDOM.nextInt(3);
        long offset = end;
        String op = String.format("marker %d %d %d %s %d %d", id, epoch, coordinator, commit ? "commit" : "abort", version, offset * 10);
        try {
            ProducerAppendInfo info = producers.prepareUpdate(id, AppendOrigin.COORDINATOR);
            EndTransactionMarker m = new EndTransactionMarker(commit ? ControlRecordType.COMMIT : ControlRecordType.ABORT, coordinator);
            Optional<CompletedTxn> done = info.appendEndTxnMarker(m, epoch, offset, offset * 10, version);
            String answer = done.map(d -> String.format("ended %d-%d %s stable %d", d.firstOffset(), d.lastOffset(), d.isAborted() ? "aborted" : "committed",
                producers.lastStableOffset(d))).orElse("ok");
            producers.update(info);
            done.ifPresent(producers::completeTxn);
            end = offset + 1;
            show(op, answer, id);
        } catch (RuntimeException e) {
            show(op, Errors.forException(e).name(), id);
        }
    }

    void data(long id, short epoch, Optional<ProducerStateEntry> known, boolean offsets) {
        Optional<BatchMetadata> last = known.flatMap(k -> k.batchMetadata().stream().reduce((a, b) -> b));
        int count = 1 + RANDOM.nextInt(3);
        int first = last.map(l -> DefaultRecordBatch.incrementSequence(l.lastSeq(), 1)).orElse(SEQUENCES[RANDOM.nextInt(SEQUENCES.length)]);
        switch (RANDOM.nextInt(8)) {
            case 0: first = SEQUENCES[RANDOM.nextInt(SEQUENCES.length)]; break;
            case 1: // again
                if (last.isPresent()) {
                    List<BatchMetadata> all = new ArrayList<>(known.get().batchMetadata());
                    BatchMetadata b = all.get(RANDOM.nextInt(all.size()));
                    first = b.firstSeq();
                    count = b.offsetDelta() + 1;
                }
        }
        if (offsets) first = RecordBatch.NO_SEQUENCE;
        else first = Math.max(0, first);
        boolean txn = offsets || RANDOM.nextInt(4) > 0;
        long offset = end, timestamp = offset * 10;
        int lastSeq = offsets ? RecordBatch.NO_SEQUENCE : DefaultRecordBatch.incrementSequence(first, count - 1);
        String op = String.format("%s %d %d %d %d %s %d", offsets ? "offsets" : "data", id, epoch, first, count, txn ? "transactional" : "plain", timestamp);
        if (!offsets && known.isPresent() && known.get().producerEpoch() == epoch)
            for (BatchMetadata b : known.get().batchMetadata())
                if (b.firstSeq() == first && b.lastSeq() == lastSeq) {
                    show(op, "again " + b.firstOffset(), id);
                    return;
                }
        try {
            ProducerAppendInfo info = producers.prepareUpdate(id, offsets ? AppendOrigin.COORDINATOR : AppendOrigin.CLIENT);
            info.appendDataBatch(epoch, first, lastSeq, timestamp, new LogOffsetMetadata(offset, 0, 0), offset + count - 1, txn);
            producers.update(info);
            end = offset + count;
            show(op, "ok", id);
        } catch (RuntimeException e) {
            show(op, Errors.forException(e).name(), id);
        }
    }

    void show(String op, String answer, long id) {
        String state = producers.lastEntry(id).map(e -> {
            Optional<BatchMetadata> last = e.batchMetadata().stream().reduce((a, b) -> b);
            return String.format("epoch %d sequence %d offset %d coordinator %d open %d at %d", e.producerEpoch(), last.map(BatchMetadata::lastSeq).orElse(-1),
                last.map(BatchMetadata::lastOffset).orElse(-1L), e.coordinatorEpoch(), e.currentTxnFirstOffset().orElse(-1), e.lastTimestamp());
        }).orElse("unknown");
        long unstable = producers.firstUnstableOffset().map(m -> m.messageOffset).orElse(-1L);
        System.out.println(op + "\t" + answer + "\t" + state + "\t" + unstable);
    }
}
