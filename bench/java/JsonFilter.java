// W2: parses orders, keeps those with priority, and changes their fields.

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonPropertyOrder;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.ObjectWriter;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Locale;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;

/** See {@link Application} for the arguments. */
public final class JsonFilter {
    private static final ObjectReader ORDERS = new JsonMapper().readerFor(Order.class);
    private static final ObjectWriter BILLS = new JsonMapper().writerFor(Bill.class);

    private JsonFilter() {}

    @JsonIgnoreProperties(ignoreUnknown = true)
    record Order(long id, String customer, String country, boolean priority, long quantity, long cents, String note) {}

    @JsonPropertyOrder({"id", "customer", "country", "total", "note"})
    record Bill(long id, String customer, String country, long total, String note) {
        static Bill of(Order order) {
            String country = order.country.toUpperCase(Locale.ROOT);
            return new Bill(order.id, order.customer, country, order.quantity * order.cents, order.note);
        }
    }

    public static void main(String[] args) throws InterruptedException {
        Application application = new Application(args);
        StreamsBuilder builder = new StreamsBuilder();
        builder.stream(application.input, Consumed.with(Serdes.ByteArray(), orders()))
                .filter((key, order) -> order.priority)
                .mapValues(Bill::of)
                .to(application.output, Produced.with(Serdes.ByteArray(), bills()));
        application.run(builder.build());
    }

    private static Serde<Order> orders() {
        return Serdes.serdeFrom(
                (topic, order) -> {
                    throw new UnsupportedOperationException("orders are read only");
                },
                (topic, bytes) -> {
                    try {
                        return ORDERS.readValue(bytes);
                    } catch (IOException error) {
                        throw new UncheckedIOException(error);
                    }
                });
    }

    private static Serde<Bill> bills() {
        return Serdes.serdeFrom(
                (topic, bill) -> {
                    try {
                        return BILLS.writeValueAsBytes(bill);
                    } catch (IOException error) {
                        throw new UncheckedIOException(error);
                    }
                },
                (topic, bytes) -> {
                    throw new UnsupportedOperationException("bills are written only");
                });
    }
}
