// W1: each record as it is.

import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;

/** See {@link Application} for the arguments. */
public final class PassThrough {
    private PassThrough() {}

    public static void main(String[] args) throws InterruptedException {
        Application application = new Application(args);
        StreamsBuilder builder = new StreamsBuilder();
        builder.stream(application.input, Consumed.with(Serdes.ByteArray(), Serdes.ByteArray()))
                .to(application.output, Produced.with(Serdes.ByteArray(), Serdes.ByteArray()));
        application.run(builder.build());
    }
}
