//! Where our clients differ from what librdkafka does as it comes, and why. What the user says goes before all of it.

use std::collections::BTreeMap;

const CLIENT: &[(&str, &str)] = &[
    // 10 s as it comes: a broker that is back would stay unused that long. 1 s is the default of Kafka's own clients.
    ("reconnect.backoff.max.ms", "1000"),
];

const CONSUMER: &[(&str, &str)] = &[
    // 1 s as it comes: a queue that was full once would stay empty that long.
    ("fetch.queue.backoff.ms", "5"),
    // How soon an idle partition is known to have nothing more (500 ms as it comes): a join waits for that.
    ("fetch.wait.max.ms", "100"),
    ("retry.backoff.ms", "20"),
    ("retry.backoff.max.ms", "200"),
];

const RESTORE: &[(&str, &str)] = &[
    // A broker answers a connection's requests one after the other, so that where a changelog ends is told only when the
    // fetch of the one before has waited: this long for each store that is opened.
    ("fetch.wait.max.ms", "5"),
    // Nothing but the network is to be waited for.
    ("queued.min.messages", "100000"),
];

const PRODUCER: &[(&str, &str)] = &[
    // Large batches cost less; a commit flushes at once whatever this says. 100 is Kafka Streams' default.
    ("linger.ms", "100"),
    // librdkafka has one request of a partition under way. What waits behind it for longer than `linger.ms` keeps its thread awake without
    // a pause (bench/LOG.md), so a request goes out as soon as it is large enough to be cheap: 10 000 and 1 MB as they come, which
    // the queue below rarely has for one partition.
    ("batch.num.messages", "2500"),
    ("batch.size", "1000000"),
    // 1 GiB as it comes; smaller was cheaper, and Java's `buffer.memory` is 32 MiB.
    ("queue.buffering.max.kbytes", "32768"),
    ("acks", "all"),
    ("enable.idempotence", "true"),
    // How long a topic that the brokers do not know may be one that was just created (30 s as it comes): less than a transaction
    // lasts, or a missing topic would look like a slow broker.
    ("topic.metadata.propagation.max.ms", "5000"),
];

const KIB: u32 = 1024;
/// What a consumer reads ahead, in all its partitions together.
const READ_AHEAD_KIB: u32 = 16 * KIB;
const READ_AHEAD_RECORDS: u32 = 200_000;

/// Of every client.
pub(crate) fn of_any() -> BTreeMap<String, String> {
    merged(&[CLIENT])
}

/// Of a consumer that may have so many partitions to read.
pub(crate) fn of_consumer(partitions: u32) -> BTreeMap<String, String> {
    let mut properties = merged(&[CLIENT, CONSUMER]);
    properties.extend(read_ahead(partitions));
    properties
}

/// Of the consumer that reads changelogs.
pub(crate) fn of_restore(partitions: u32) -> BTreeMap<String, String> {
    let mut properties = of_consumer(partitions);
    properties.extend(merged(&[RESTORE]));
    properties
}

/// Of a producer; `partitions` are those that its thread may have to read.
pub(crate) fn of_producer(partitions: u32) -> BTreeMap<String, String> {
    let mut properties = merged(&[CLIENT, PRODUCER]);
    properties.extend([producer_queue(partitions)]);
    properties
}

/// How far to read ahead in each of so many partitions. librdkafka bounds each partition for itself, with 64 MiB and 100 000 records as they come,
/// and a record takes some 400 bytes beside its own: with many partitions most of the process's memory was this. 1 MiB of one partition at most, as
/// Kafka's own clients: four times as much took 30 MiB more and the same CPU (bench/LOG.md).
fn read_ahead(partitions: u32) -> [(String, String); 3] {
    let kib = READ_AHEAD_KIB / partitions;
    [
        ("queued.min.messages", (READ_AHEAD_RECORDS / partitions).clamp(100, 5_000)),
        ("queued.max.messages.kbytes", kib.clamp(128, KIB)),
        // In one answer; brokers send at least one batch however large it is.
        ("fetch.message.max.bytes", kib.clamp(64, KIB) * KIB),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_string()))
}

/// How many records a producer queues (100 000 as it comes): few are cheaper, but what is written for many partitions needs room for a
/// request to each of them (bench/LOG.md).
fn producer_queue(partitions: u32) -> (String, String) {
    ("queue.buffering.max.messages".to_owned(), partitions.saturating_mul(250).clamp(20_000, 50_000).to_string())
}

/// The later tables go before the earlier ones.
fn merged(tables: &[&[(&str, &str)]]) -> BTreeMap<String, String> {
    tables.iter().copied().flatten().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}
