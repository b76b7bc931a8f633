// Reads a topic as any Java program would: a plain KafkaConsumer, strings and longs, committed records only.
//
// java.sh ReadLongs BOOTSTRAP TOPIC [CONSUMER-PROPERTY=VALUE ...]
//
// Prints key TAB value TAB timestamp for each record from the beginning to the end that was there at the start, partition by
// partition in the order of offsets (partitions interleave). Text is escaped as Text.java says; null is \N.

import java.io.BufferedWriter;
import java.io.IOException;
import java.io.OutputStreamWriter;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.LongDeserializer;
import org.apache.kafka.common.serialization.StringDeserializer;

/** Dumps a topic of string keys and long values. */
public final class ReadLongs {
    private ReadLongs() {}

    public static void main(String[] args) throws IOException {
        if (args.length < 2) {
            System.err.println("usage: ReadLongs BOOTSTRAP TOPIC [CONSUMER-PROPERTY=VALUE ...]");
            System.exit(64);
        }
        Properties properties = new Properties();
        properties.put("bootstrap.servers", args[0]);
        properties.put("isolation.level", "read_committed");
        properties.put("enable.auto.commit", "false");
        properties.put("allow.auto.create.topics", "false");
        for (int i = 2; i < args.length; i++) {
            String[] property = args[i].split("=", 2);
            properties.put(property[0], property[1]);
        }
        try (KafkaConsumer<String, Long> consumer =
                        new KafkaConsumer<>(properties, new StringDeserializer(), new LongDeserializer());
                BufferedWriter out =
                        new BufferedWriter(new OutputStreamWriter(System.out, StandardCharsets.UTF_8), 1 << 16)) {
            read(consumer, args[1], out);
        }
    }

    private static void read(KafkaConsumer<String, Long> consumer, String topic, BufferedWriter out) throws IOException {
        List<TopicPartition> partitions = consumer.partitionsFor(topic).stream()
                .map(info -> new TopicPartition(topic, info.partition()))
                .toList();
        if (partitions.isEmpty()) {
            System.err.println("ReadLongs: there is no topic " + topic);
            System.exit(1);
        }
        consumer.assign(partitions);
        consumer.seekToBeginning(partitions);
        // With read_committed this is the last stable offset: what an open transaction holds back is not waited for.
        Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
        while (!reached(consumer, ends)) {
            for (ConsumerRecord<String, Long> record : consumer.poll(Duration.ofMillis(200))) {
                if (record.offset() >= ends.get(new TopicPartition(topic, record.partition()))) {
                    continue;
                }
                out.write(Text.escape(record.key()));
                out.write('\t');
                out.write(record.value() == null ? "\\N" : Long.toString(record.value()));
                out.write('\t');
                out.write(Long.toString(record.timestamp()));
                out.write('\n');
            }
        }
    }

    private static boolean reached(KafkaConsumer<?, ?> consumer, Map<TopicPartition, Long> ends) {
        return ends.entrySet().stream().allMatch(end -> consumer.position(end.getKey()) >= end.getValue());
    }
}
