// Writes lines from standard input as records by the Java producer, so that its partitioner places them.
//
// java.sh Produce BOOTSTRAP TOPIC [--keyed] [PRODUCER-PROPERTY=VALUE ...]
//
// A line is a value with no key. With --keyed it is key TAB value, or key TAB value TAB timestamp (milliseconds), escaped as
// Text.java says (null is \N). Ends with "produced N records" on standard error, when the brokers have acknowledged all of them.

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;

/** Produces lines of text. */
public final class Produce {
    private Produce() {}

    public static void main(String[] args) throws IOException {
        if (args.length < 2) {
            System.err.println("usage: Produce BOOTSTRAP TOPIC [--keyed] [PRODUCER-PROPERTY=VALUE ...]");
            System.exit(64);
        }
        boolean keyed = false;
        Properties properties = new Properties();
        properties.put("bootstrap.servers", args[0]);
        properties.put("acks", "all");
        properties.put("linger.ms", "20");
        for (int i = 2; i < args.length; i++) {
            if (args[i].equals("--keyed")) {
                keyed = true;
            } else {
                String[] property = args[i].split("=", 2);
                properties.put(property[0], property[1]);
            }
        }
        System.err.println("produced " + produce(properties, args[1], keyed) + " records");
    }

    private static long produce(Properties properties, String topic, boolean keyed) throws IOException {
        AtomicReference<Exception> failure = new AtomicReference<>();
        long count = 0;
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8), 1 << 16);
        try (KafkaProducer<String, String> producer =
                new KafkaProducer<>(properties, new StringSerializer(), new StringSerializer())) {
            for (String line = lines.readLine(); line != null && failure.get() == null; line = lines.readLine()) {
                producer.send(record(topic, line, keyed), (metadata, error) -> {
                    if (error != null) {
                        failure.compareAndSet(null, error);
                    }
                });
                count++;
            }
        }
        if (failure.get() != null) {
            System.err.println("Produce: " + failure.get());
            System.exit(1);
        }
        return count;
    }

    private static ProducerRecord<String, String> record(String topic, String line, boolean keyed) {
        if (!keyed) {
            return new ProducerRecord<>(topic, line);
        }
        String[] columns = line.split("\t", -1);
        if (columns.length != 2 && columns.length != 3) {
            System.err.println("Produce: expected key TAB value [TAB timestamp], got: " + line);
            System.exit(64);
        }
        Long timestamp = columns.length == 3 ? Long.valueOf(columns[2]) : null;
        return new ProducerRecord<>(topic, null, timestamp, Text.unescape(columns[0]), Text.unescape(columns[1]));
    }
}
