//! A light client for tests: creates topics, writes inputs, reads what is committed, and looks whether a transaction is open.

use std::time::{Duration, Instant};

use futures_executor::block_on;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

use super::PATIENCE;

/// A record, as it is in the log or shall be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KafkaRecord {
    /// Its offset; no meaning before it is written.
    pub offset: i64,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
    /// The timestamp, in milliseconds.
    pub timestamp: i64,
    /// The headers; null values are empty here.
    pub headers: Vec<(String, Vec<u8>)>,
}

impl KafkaRecord {
    /// A record to be written.
    #[must_use]
    pub fn new(key: Option<&str>, value: &str, timestamp: i64) -> Self {
        let key = key.map(|key| key.as_bytes().to_vec());
        Self { key, value: Some(value.as_bytes().to_vec()), timestamp, ..Self::default() }
    }

    /// The key as text.
    ///
    /// # Panics
    ///
    /// When it is null or no text.
    #[must_use]
    pub fn key_text(&self) -> &str {
        std::str::from_utf8(self.key.as_deref().expect("the record has a key")).expect("the key is text")
    }

    /// The value as a long, as Java's `LongSerializer` writes it.
    ///
    /// # Panics
    ///
    /// When it is not 8 bytes.
    #[must_use]
    pub fn value_long(&self) -> i64 {
        let bytes = self.value.as_deref().and_then(|value| value.try_into().ok());
        i64::from_be_bytes(bytes.expect("the value has 8 bytes"))
    }

    /// The header called `name`, as text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        let (_, value) = self.headers.iter().find(|(header, _)| header == name)?;
        Some(String::from_utf8_lossy(value).into_owned())
    }
}

/// The records of a topic, a list for each partition.
pub type TopicRecords = Vec<Vec<KafkaRecord>>;

/// What the clients of a test begin with.
#[must_use]
pub fn client_config(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("socket.timeout.ms", "20000");
    config
}

/// Creates a topic. Its records do not grow old: tests may write any timestamp.
///
/// # Panics
///
/// When the broker refuses.
pub fn create_topic(bootstrap: &str, name: &str, partitions: i32) {
    let admin: AdminClient<DefaultClientContext> = client_config(bootstrap).create().expect("a client");
    let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1)).set("retention.ms", "-1");
    let created = block_on(admin.create_topics([&topic], &AdminOptions::new()));
    for outcome in created.expect("the broker answers") {
        outcome.unwrap_or_else(|(topic, error)| panic!("topic {topic} can't be created: {error}"));
    }
}

/// Gives a topic more partitions.
///
/// # Panics
///
/// When the broker refuses.
pub fn add_partitions(bootstrap: &str, name: &str, partitions: usize) {
    let admin: AdminClient<DefaultClientContext> = client_config(bootstrap).create().expect("an admin client");
    let grown = [NewPartitions::new(name, partitions)];
    let created = block_on(admin.create_partitions(&grown, &AdminOptions::new())).expect("the broker answers");
    created.into_iter().for_each(|topic| drop(topic.expect("the topic grows")));
}

/// Sets one property of a topic; its records still do not grow old.
///
/// # Panics
///
/// When the broker refuses.
pub fn set_topic_property(bootstrap: &str, name: &str, key: &str, value: &str) {
    let admin: AdminClient<DefaultClientContext> = client_config(bootstrap).create().expect("an admin client");
    let config = AlterConfig::new(ResourceSpecifier::Topic(name)).set("retention.ms", "-1").set(key, value);
    let altered = block_on(admin.alter_configs([&config], &AdminOptions::new())).expect("the broker answers");
    altered.into_iter().for_each(|topic| drop(topic.expect("the property is set")));
}

/// Writes records to a topic, placed by Java's partitioner.
pub struct TestProducer {
    topic: String,
    producer: BaseProducer,
}

impl TestProducer {
    /// A producer to `topic`.
    ///
    /// # Panics
    ///
    /// When there can't be one.
    #[must_use]
    pub fn new(bootstrap: &str, topic: &str) -> Self {
        let mut config = client_config(bootstrap);
        config.set("partitioner", "murmur2_random").set("enable.idempotence", "true").set("linger.ms", "5");
        Self { topic: topic.to_owned(), producer: config.create().expect("a producer") }
    }

    /// Queues a record; waits while the queue is full.
    ///
    /// # Panics
    ///
    /// When it can't be queued.
    pub fn send(&self, record: &KafkaRecord) {
        let mut queued: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&self.topic).timestamp(record.timestamp);
        queued.key = record.key.as_deref();
        queued.payload = record.value.as_deref();
        if !record.headers.is_empty() {
            let insert = |headers: OwnedHeaders, (key, value): &(String, Vec<u8>)| {
                headers.insert(Header { key, value: Some(value) })
            };
            queued.headers = Some(record.headers.iter().fold(OwnedHeaders::new(), insert));
        }
        while let Err((error, again)) = self.producer.send(queued) {
            let is_full = matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull));
            assert!(is_full, "can't write to {}: {error}", self.topic);
            self.producer.poll(Duration::from_millis(10));
            queued = again;
        }
    }

    /// Waits until everything is acknowledged.
    ///
    /// # Panics
    ///
    /// When it is not.
    pub fn flush(&self) {
        self.producer.flush(PATIENCE).expect("the broker acknowledges");
        assert_eq!(self.producer.in_flight_count(), 0, "all records of {} are acknowledged", self.topic);
    }
}

/// Writes all `records` and waits for their acknowledgement.
pub fn produce<'a>(bootstrap: &str, topic: &str, records: impl IntoIterator<Item = &'a KafkaRecord>) {
    let producer = TestProducer::new(bootstrap, topic);
    records.into_iter().for_each(|record| producer.send(record));
    producer.flush();
}

/// Reads a topic's committed records from its beginning, and keeps them.
pub struct TopicReader {
    bootstrap: String,
    topic: String,
    consumer: BaseConsumer,
    /// What was read so far.
    pub records: TopicRecords,
    at_end: Vec<bool>,
}

impl TopicReader {
    /// Begins to read the committed records of `topic`.
    ///
    /// # Panics
    ///
    /// When the broker does not answer.
    #[must_use]
    pub fn new(bootstrap: &str, topic: &str) -> Self {
        let consumer: BaseConsumer = reading(bootstrap, "read_committed").create().expect("a consumer");
        let partitions = partitions_of(&consumer, topic);
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            let added = list.add_partition_offset(topic, partition as i32, Offset::Beginning);
            added.expect("the offset is valid");
        }
        consumer.assign(&list).expect("the partitions can be read");
        let records = vec![Vec::new(); partitions];
        let (bootstrap, topic) = (bootstrap.to_owned(), topic.to_owned());
        Self { bootstrap, topic, consumer, records, at_end: vec![false; partitions] }
    }

    /// How many records were read.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.iter().map(Vec::len).sum()
    }

    /// Whether nothing was read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes what comes within `timeout`, and tells the partition when that was a record.
    ///
    /// # Panics
    ///
    /// When the topic can't be read.
    pub fn poll(&mut self, timeout: Duration) -> Option<usize> {
        match self.consumer.poll(timeout) {
            Some(Ok(message)) => {
                let partition = message.partition() as usize;
                let record = record_of(&message);
                drop(message);
                self.records[partition].push(record);
                Some(partition)
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                self.at_end[partition as usize] = true;
                None
            }
            Some(Err(KafkaError::MessageConsumption(error))) if is_passing(error) => None,
            Some(Err(error)) => panic!("can't read {}: {error}", self.topic),
            None => None,
        }
    }

    /// Reads until there are `count` records; they may be more.
    ///
    /// # Panics
    ///
    /// When no record comes for a long time.
    pub fn read_until(&mut self, count: usize) -> &TopicRecords {
        let mut last = Instant::now();
        while self.len() < count {
            if self.poll(Duration::from_millis(100)).is_some() {
                last = Instant::now();
            }
            let (topic, got) = (&self.topic, self.len());
            assert!(last.elapsed() < PATIENCE, "{topic} has {got} committed records of {count}, and no more come");
        }
        &self.records
    }

    /// Reads everything once more, up to the end that the partitions have now.
    ///
    /// # Panics
    ///
    /// When the end does not come.
    pub fn read_to_end(&mut self) -> &TopicRecords {
        // Control records move no position, and an end that was told before may be an old one; the first end that a new consumer
        // is told is not.
        *self = Self::new(&self.bootstrap, &self.topic);
        let start = Instant::now();
        while !self.at_end.iter().all(|at_end| *at_end) {
            self.poll(Duration::from_millis(100));
            assert!(start.elapsed() < PATIENCE, "the end of {} does not come", self.topic);
        }
        &self.records
    }
}

/// All committed records of a topic, as of now.
#[must_use]
pub fn read_all(bootstrap: &str, topic: &str) -> TopicRecords {
    let mut reader = TopicReader::new(bootstrap, topic);
    reader.read_to_end();
    reader.records
}

/// Tells from outside whether transactions are open: their records are there and not yet stable.
pub struct TransactionWatch {
    topics: Vec<(String, usize)>,
    stable: BaseConsumer,
    all: BaseConsumer,
}

impl TransactionWatch {
    /// Watches the transactions that write to `topics`.
    ///
    /// # Panics
    ///
    /// When the broker does not answer.
    #[must_use]
    pub fn new(bootstrap: &str, topics: &[&str]) -> Self {
        let stable: BaseConsumer = reading(bootstrap, "read_committed").create().expect("a consumer");
        let all: BaseConsumer = reading(bootstrap, "read_uncommitted").create().expect("a consumer");
        let topics = topics.iter().map(|topic| ((*topic).to_owned(), partitions_of(&stable, topic))).collect();
        Self { topics, stable, all }
    }

    /// Whether a transaction is open now.
    #[must_use]
    pub fn is_open(&self) -> bool {
        let mut partitions =
            self.topics.iter().flat_map(|(topic, count)| (0..*count).map(move |partition| (topic, partition)));
        partitions.any(|(topic, partition)| {
            watermarks(&self.stable, topic, partition).1 < watermarks(&self.all, topic, partition).1
        })
    }

    /// The sum of the partitions' stable ends: it grows when something is committed.
    #[must_use]
    pub fn stable_end(&self) -> i64 {
        let mut sum = 0;
        for (topic, count) in &self.topics {
            sum += (0..*count).map(|partition| watermarks(&self.stable, topic, partition).1).sum::<i64>();
        }
        sum
    }
}

/// The number of records, control records included, that were ever written to a topic.
#[must_use]
pub fn end_of(bootstrap: &str, topic: &str) -> i64 {
    TransactionWatch::new(bootstrap, &[topic]).stable_end()
}

/// The ends of a topic's partitions, what is not committed included: whatever a process writes from now on comes after them.
///
/// # Panics
///
/// When the broker does not answer.
#[must_use]
pub fn high_watermarks(bootstrap: &str, topic: &str) -> Vec<i64> {
    let all: BaseConsumer = reading(bootstrap, "read_uncommitted").create().expect("a consumer");
    (0..partitions_of(&all, topic)).map(|partition| watermarks(&all, topic, partition).1).collect()
}

/// Watches how far a group has come, without waiting for open transactions.
pub struct ProgressWatch {
    consumer: BaseConsumer,
    list: TopicPartitionList,
}

impl ProgressWatch {
    /// Watches `group` in `topics`.
    ///
    /// # Panics
    ///
    /// When the broker does not answer.
    #[must_use]
    pub fn new(bootstrap: &str, group: &str, topics: &[&str]) -> Self {
        let mut config = reading(bootstrap, "read_uncommitted");
        let consumer: BaseConsumer = config.set("group.id", group).create().expect("a consumer");
        let mut list = TopicPartitionList::new();
        for topic in topics {
            list.add_partition_range(topic, 0, partitions_of(&consumer, topic) as i32 - 1);
        }
        Self { consumer, list }
    }

    /// The sum of the committed offsets.
    #[must_use]
    pub fn committed(&self) -> i64 {
        let committed = super::eventually("the group's coordinator answers", PATIENCE, || {
            self.consumer.committed_offsets(self.list.clone(), Duration::from_secs(5)).ok()
        });
        let offsets = committed.elements().into_iter().map(|element| element.offset());
        offsets.map(|offset| if let Offset::Offset(offset) = offset { offset } else { 0 }).sum()
    }
}

/// The committed offsets of a group in a topic; `None` for a partition that has none.
///
/// # Panics
///
/// When the broker does not answer.
#[must_use]
pub fn committed(bootstrap: &str, group: &str, topic: &str) -> Vec<Option<i64>> {
    let mut config = reading(bootstrap, "read_committed");
    let consumer: BaseConsumer = config.set("group.id", group).create().expect("a consumer");
    let mut list = TopicPartitionList::new();
    let partitions = partitions_of(&consumer, topic);
    list.add_partition_range(topic, 0, partitions as i32 - 1);
    let committed = consumer.committed_offsets(list, PATIENCE).expect("the coordinator answers");
    let offset = |partition| match committed.find_partition(topic, partition as i32).map(|found| found.offset()) {
        Some(Offset::Offset(offset)) => Some(offset),
        _ => None,
    };
    (0..partitions).map(offset).collect()
}

fn reading(bootstrap: &str, isolation: &str) -> ClientConfig {
    let mut config = client_config(bootstrap);
    config.set("isolation.level", isolation);
    // Never joined: librdkafka wants a name for what it does not do.
    config.set("group.id", "millstream-tests").set("enable.auto.commit", "false");
    config.set("auto.offset.reset", "earliest").set("enable.partition.eof", "true").set("fetch.wait.max.ms", "20");
    // A broker that was killed is to be found again soon.
    config.set("reconnect.backoff.max.ms", "500");
    config
}

fn partitions_of(consumer: &BaseConsumer, topic: &str) -> usize {
    super::eventually(&format!("topic {topic} is there"), PATIENCE, || {
        let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(5)).ok()?;
        metadata.topics().first().map(|topic| topic.partitions().len()).filter(|count| *count > 0)
    })
}

fn watermarks(consumer: &BaseConsumer, topic: &str, partition: usize) -> (i64, i64) {
    super::eventually(&format!("{topic}-{partition} has a leader"), PATIENCE, || {
        consumer.fetch_watermarks(topic, partition as i32, Duration::from_secs(5)).ok()
    })
}

fn is_passing(error: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(error, Code::BrokerTransportFailure | Code::AllBrokersDown | Code::OperationTimedOut | Code::Resolve)
}

fn record_of(message: &BorrowedMessage<'_>) -> KafkaRecord {
    let headers = message.headers().map(|headers| {
        let owned = |header: rdkafka::message::Header<'_, &[u8]>| {
            (header.key.to_owned(), header.value.unwrap_or_default().to_vec())
        };
        headers.iter().map(owned).collect()
    });
    KafkaRecord {
        offset: message.offset(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        timestamp: message.timestamp().to_millis().unwrap_or(-1),
        headers: headers.unwrap_or_default(),
    }
}
