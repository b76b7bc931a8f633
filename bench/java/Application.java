// What the Kafka Streams programs of the bench share: arguments, properties, start and end.

import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.processor.StateRestoreListener;

/** {@code CLASS BOOTSTRAP APPLICATION-ID INPUT OUTPUT STATE-DIRECTORY [PROPERTY=VALUE ...]}; runs until SIGTERM. */
final class Application {
    final String input;
    final String output;
    private final Properties properties = new Properties();

    Application(String[] args) {
        if (args.length < 5) {
            System.err.println("usage: CLASS BOOTSTRAP APPLICATION-ID INPUT OUTPUT STATE-DIRECTORY [PROPERTY=VALUE ...]");
            System.exit(64);
        }
        input = args[2];
        output = args[3];
        // All that is not said here or by the caller is the library's default.
        properties.putAll(Map.of("bootstrap.servers", args[0], "application.id", args[1], "state.dir", args[4]));
        for (int i = 5; i < args.length; i++) {
            String[] property = args[i].split("=", 2);
            properties.put(property[0], property[1]);
        }
    }

    void run(Topology topology) throws InterruptedException {
        KafkaStreams streams = new KafkaStreams(topology, properties);
        CountDownLatch ended = new CountDownLatch(1);
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            ended.countDown();
            return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        streams.setGlobalStateRestoreListener(new RestoreLog());
        Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
        streams.start();
        ended.await();
        System.exit(1);
    }

    /** Says when a restore begins and ends, a line for each store: {@code restoring} and {@code restored}, milliseconds, records. */
    private static final class RestoreLog implements StateRestoreListener {
        @Override
        public void onRestoreStart(TopicPartition partition, String store, long start, long end) {
            System.out.println("restoring " + System.currentTimeMillis() + " 0");
        }

        @Override
        public void onBatchRestored(TopicPartition partition, String store, long end, long records) {}

        @Override
        public void onRestoreEnd(TopicPartition partition, String store, long records) {
            System.out.println("restored " + System.currentTimeMillis() + " " + records);
        }
    }
}
