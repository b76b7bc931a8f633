// Restores a key-value store from its changelog with the Java library, and prints every entry.
//
// java.sh RestoreStore BOOTSTRAP APPLICATION-ID STORE SOURCE-TOPIC [timestamped|plain] [STREAMS-PROPERTY=VALUE ...]
//
// SOURCE-TOPIC is any topic with as many partitions as the changelog, for instance the one whose records the store counts: the
// library makes a task for each. Prints key TAB value TAB timestamp, sorted by key as unsigned bytes; key and value in hexadecimal,
// the timestamp in milliseconds (absent for `plain`).
//
// It writes nothing. The changelog must be there already; the consumer that the library gets joins a group of its own instead of the
// application's, hands on no record and commits no offset; the producer is a mock. So it may run beside the application.

import java.io.BufferedWriter;
import java.io.IOException;
import java.io.OutputStreamWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.UUID;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.BiFunction;
import java.util.stream.Stream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.MockProducer;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.CloseOptions;
import org.apache.kafka.streams.KafkaClientSupplier;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StoreQueryParameters;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.QueryableStoreType;
import org.apache.kafka.streams.state.QueryableStoreTypes;
import org.apache.kafka.streams.state.ReadOnlyKeyValueStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;

/** Dumps what the Java library restores from a changelog. */
public final class RestoreStore {
    private static final Duration RESTORED_WITHIN = Duration.ofSeconds(300);

    private RestoreStore() {}

    /** An entry of the store; {@code timestamp} is null for a plain store. */
    private record Entry(byte[] key, byte[] value, Long timestamp) {}

    public static void main(String[] args) throws Exception {
        if (args.length < 4) {
            System.err.println("usage: RestoreStore BOOTSTRAP APPLICATION-ID STORE SOURCE-TOPIC [timestamped|plain] [PROPERTY=VALUE ...]");
            System.exit(64);
        }
        boolean timestamped = args.length < 5 || !args[4].equals("plain");
        String group = "restore-store-" + UUID.randomUUID();
        Path directory = Files.createTempDirectory("restore-store-");
        Properties properties = new Properties();
        properties.put("bootstrap.servers", args[0]);
        properties.put("application.id", args[1]);
        properties.put("processing.guarantee", "exactly_once_v2"); // so that the restore reads committed records only
        properties.put("state.dir", directory.toString());
        for (int i = 5; i < args.length; i++) {
            String[] property = args[i].split("=", 2);
            properties.put(property[0], property[1]);
        }
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", args[0]))) {
            requireChangelog(admin, args[1] + "-" + args[2] + "-changelog", args[3]);
            try {
                print(restore(properties, topology(args[2], args[3], timestamped), args[2], timestamped, group));
            } finally {
                admin.deleteConsumerGroups(List.of(group)).all().get();
            }
        } finally {
            delete(directory);
        }
        System.exit(0);
    }

    /** The library would create a changelog that is missing, and we promised to write nothing. */
    private static void requireChangelog(Admin admin, String changelog, String source) throws Exception {
        var topics = admin.describeTopics(List.of(changelog, source)).allTopicNames().get();
        int tasks = topics.get(source).partitions().size();
        int partitions = topics.get(changelog).partitions().size();
        if (tasks != partitions) {
            throw new IllegalArgumentException(changelog + " has " + partitions + " partitions and " + source + " has " + tasks
                    + ": name a source topic with as many");
        }
    }

    private static Topology topology(String store, String source, boolean timestamped) {
        Serde<byte[]> bytes = Serdes.ByteArray();
        StoreBuilder<?> builder = timestamped
                ? Stores.timestampedKeyValueStoreBuilder(Stores.persistentTimestampedKeyValueStore(store), bytes, bytes)
                : Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore(store), bytes, bytes);
        return new Topology()
                .addSource("source", new ByteArrayDeserializer(), new ByteArrayDeserializer(), source)
                .addProcessor("owner", NeverCalled::new, "source")
                .addStateStore(builder, "owner");
    }

    private static List<Entry> restore(
            Properties properties, Topology topology, String store, boolean timestamped, String group) throws Exception {
        AtomicReference<Throwable> failure = new AtomicReference<>();
        CountDownLatch restored = new CountDownLatch(1);
        KafkaStreams streams = new KafkaStreams(topology, properties, new ReadingClients(group));
        streams.setUncaughtExceptionHandler(error -> {
            failure.set(error);
            restored.countDown();
            return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        streams.setStateListener((now, before) -> {
            if (now == KafkaStreams.State.RUNNING) { // every task is restored
                restored.countDown();
            }
        });
        streams.start();
        try {
            boolean inTime = restored.await(RESTORED_WITHIN.toSeconds(), TimeUnit.SECONDS);
            if (failure.get() != null) {
                throw new IllegalStateException("the Java library failed", failure.get());
            }
            if (!inTime) {
                throw new IllegalStateException("not restored within " + RESTORED_WITHIN + ", state " + streams.state());
            }
            return timestamped
                    ? entries(streams, store, QueryableStoreTypes.<byte[], byte[]>timestampedKeyValueStore(),
                            (key, value) -> new Entry(key, value.value(), value.timestamp()))
                    : entries(streams, store, QueryableStoreTypes.<byte[], byte[]>keyValueStore(),
                            (key, value) -> new Entry(key, value, null));
        } finally {
            streams.close(CloseOptions.timeout(Duration.ofSeconds(20))
                    .withGroupMembershipOperation(CloseOptions.GroupMembershipOperation.LEAVE_GROUP));
        }
    }

    private static <V> List<Entry> entries(
            KafkaStreams streams, String store, QueryableStoreType<ReadOnlyKeyValueStore<byte[], V>> type,
            BiFunction<byte[], V, Entry> entry) {
        List<Entry> entries = new ArrayList<>();
        try (KeyValueIterator<byte[], V> all =
                streams.store(StoreQueryParameters.fromNameAndType(store, type)).all()) {
            all.forEachRemaining(each -> entries.add(entry.apply(each.key, each.value)));
        }
        // One partition is sorted already; several come one after the other.
        entries.sort(Comparator.comparing(Entry::key, Arrays::compareUnsigned));
        return entries;
    }

    private static void print(List<Entry> entries) throws IOException {
        BufferedWriter out = new BufferedWriter(new OutputStreamWriter(System.out, StandardCharsets.UTF_8), 1 << 16);
        for (Entry entry : entries) {
            out.write(Text.hex(entry.key()));
            out.write('\t');
            out.write(Text.hex(entry.value()));
            if (entry.timestamp() != null) {
                out.write('\t');
                out.write(entry.timestamp().toString());
            }
            out.write('\n');
        }
        out.flush();
    }

    private static void delete(Path directory) throws IOException {
        try (Stream<Path> paths = Files.walk(directory)) {
            paths.sorted(Comparator.reverseOrder()).forEach(path -> path.toFile().delete());
        }
    }

    /** Owns the store; no record reaches it. */
    private static final class NeverCalled implements Processor<byte[], byte[], byte[], byte[]> {
        @Override
        public void process(Record<byte[], byte[]> record) {
            throw new IllegalStateException("a record was handed on");
        }
    }

    /** Clients that can read and join a group, and neither produce nor commit. */
    private static final class ReadingClients implements KafkaClientSupplier {
        private final String group;

        ReadingClients(String group) {
            this.group = group;
        }

        @Override
        public Admin getAdmin(Map<String, Object> config) {
            return Admin.create(config);
        }

        @Override
        public Producer<byte[], byte[]> getProducer(Map<String, Object> config) {
            return new MockProducer<>(true, null, new ByteArraySerializer(), new ByteArraySerializer());
        }

        @Override
        public Consumer<byte[], byte[]> getConsumer(Map<String, Object> config) {
            config.put("group.id", group);
            return new SilentConsumer(config);
        }

        @Override
        public Consumer<byte[], byte[]> getRestoreConsumer(Map<String, Object> config) {
            return new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer());
        }

        @Override
        public Consumer<byte[], byte[]> getGlobalConsumer(Map<String, Object> config) {
            throw new IllegalStateException("there is no global store");
        }
    }

    /** A group member that never fetches and never commits. */
    private static final class SilentConsumer extends KafkaConsumer<byte[], byte[]> {
        SilentConsumer(Map<String, Object> config) {
            super(config, new ByteArrayDeserializer(), new ByteArrayDeserializer());
        }

        @Override
        public ConsumerRecords<byte[], byte[]> poll(Duration timeout) {
            pause(assignment());
            super.poll(timeout);
            return ConsumerRecords.empty();
        }

        // A partition stays paused, whoever resumes it.
        @Override
        public void resume(java.util.Collection<TopicPartition> partitions) {}

        @Override
        public void commitSync() {}

        @Override
        public void commitSync(Duration timeout) {}

        @Override
        public void commitSync(Map<TopicPartition, OffsetAndMetadata> offsets) {}

        @Override
        public void commitSync(Map<TopicPartition, OffsetAndMetadata> offsets, Duration timeout) {}
    }
}
