// W4, W8, W9: gets, changes and puts a value of 100 bytes: how often the key came, and the rest of its latest record.

import java.nio.ByteBuffer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/** See {@link Application} for the arguments. */
public final class Update {
    private static final String STORE = "visits";

    private Update() {}

    public static void main(String[] args) throws InterruptedException {
        Application application = new Application(args);
        StreamsBuilder builder = new StreamsBuilder();
        builder.addStateStore(Stores.keyValueStoreBuilder(
                Stores.persistentKeyValueStore(STORE), Serdes.ByteArray(), Serdes.ByteArray()));
        builder.stream(application.input, Consumed.with(Serdes.ByteArray(), Serdes.ByteArray()))
                .process(Visits::new, STORE)
                .to(application.output, Produced.with(Serdes.ByteArray(), Serdes.ByteArray()));
        application.run(builder.build());
    }

    private static final class Visits implements Processor<byte[], byte[], byte[], byte[]> {
        private ProcessorContext<byte[], byte[]> context;
        private KeyValueStore<byte[], byte[]> visits;

        @Override
        public void init(ProcessorContext<byte[], byte[]> context) {
            this.context = context;
            visits = context.getStateStore(STORE);
        }

        @Override
        public void process(Record<byte[], byte[]> record) {
            byte[] before = visits.get(record.key());
            long count = before == null ? 1 : ByteBuffer.wrap(before).getLong() + 1;
            byte[] now = record.value().clone();
            ByteBuffer.wrap(now).putLong(count);
            visits.put(record.key(), now);
            context.forward(record.withValue(now));
        }
    }
}
