// W3: word count, as in Kafka's own example, with the pattern compiled once.

import java.util.Arrays;
import java.util.Locale;
import java.util.regex.Pattern;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;

/** See {@link Application} for the arguments. */
public final class WordCount {
    private static final Pattern NO_WORD = Pattern.compile("\\W+");

    private WordCount() {}

    public static void main(String[] args) throws InterruptedException {
        Application application = new Application(args);
        StreamsBuilder builder = new StreamsBuilder();
        builder.stream(application.input, Consumed.with(Serdes.ByteArray(), Serdes.String()))
                .flatMapValues(line -> Arrays.asList(NO_WORD.split(line.toLowerCase(Locale.ROOT))))
                .groupBy((key, word) -> word, Grouped.with(Serdes.String(), Serdes.String()))
                .count(Materialized.as("word-counts"))
                .toStream()
                .to(application.output, Produced.with(Serdes.String(), Serdes.Long()));
        application.run(builder.build());
    }
}
