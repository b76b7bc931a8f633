// W7: matches each record against 1 000 rules, repartitions it by rule, keeps 32 bytes a rule, and forwards one match of 10.

import java.nio.ByteBuffer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.Repartitioned;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/** See {@link Application} for the arguments. */
public final class MatchRules {
    private static final String STORE = "tallies";
    private static final int RULES = 1000;
    private static final long SPREAD = 0x9e3779b97f4a7c15L;
    private static final int STATE_BYTES = 32;

    private MatchRules() {}

    public static void main(String[] args) throws InterruptedException {
        Application application = new Application(args);
        StreamsBuilder builder = new StreamsBuilder();
        builder.addStateStore(Stores.keyValueStoreBuilder(
                Stores.persistentKeyValueStore(STORE), Serdes.ByteArray(), Serdes.ByteArray()));
        builder.stream(application.input, Consumed.with(Serdes.ByteArray(), Serdes.ByteArray()))
                .process(Match::new)
                .repartition(Repartitioned.with(Serdes.ByteArray(), Serdes.ByteArray()).withName("matches"))
                .process(Tally::new, STORE)
                .to(application.output, Produced.with(Serdes.ByteArray(), Serdes.ByteArray()));
        application.run(builder.build());
    }

    /** What the rules look at. */
    private static long subject(byte[] value) {
        return ByteBuffer.wrap(value).getLong(8);
    }

    private static boolean matches(long rule, long subject) {
        return ((subject ^ (rule * SPREAD)) * SPREAD) >>> 54 == 0;
    }

    private static final class Match implements Processor<byte[], byte[], byte[], byte[]> {
        private ProcessorContext<byte[], byte[]> context;

        @Override
        public void init(ProcessorContext<byte[], byte[]> context) {
            this.context = context;
        }

        @Override
        public void process(Record<byte[], byte[]> record) {
            long subject = subject(record.value());
            for (long rule = 0; rule < RULES; rule++) {
                if (matches(rule, subject)) {
                    context.forward(record.withKey(ByteBuffer.allocate(8).putLong(rule).array()));
                }
            }
        }
    }

    private static final class Tally implements Processor<byte[], byte[], byte[], byte[]> {
        private ProcessorContext<byte[], byte[]> context;
        private KeyValueStore<byte[], byte[]> tallies;

        @Override
        public void init(ProcessorContext<byte[], byte[]> context) {
            this.context = context;
            tallies = context.getStateStore(STORE);
        }

        @Override
        public void process(Record<byte[], byte[]> record) {
            byte[] before = tallies.get(record.key());
            ByteBuffer old = ByteBuffer.wrap(before == null ? new byte[STATE_BYTES] : before);
            long subject = subject(record.value());
            long count = old.getLong() + 1;
            ByteBuffer now = ByteBuffer.allocate(STATE_BYTES)
                    .putLong(count)
                    .putLong(old.getLong() + subject)
                    .putLong(Math.max(old.getLong(), subject))
                    .putLong(record.timestamp());
            tallies.put(record.key(), now.array());
            if (count % 10 == 0) {
                context.forward(record.withValue(ByteBuffer.allocate(8).putLong(count).array()));
            }
        }
    }
}
