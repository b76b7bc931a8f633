//! What every test needs: an application of its own on the cluster, and patience with a limit.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use millstream_core::commit::ProcessingGuarantee;
use millstream_core::id::{Offset, TaskId, TopicName, TopicPartition};
use millstream_core::port::{Broker, Consumer, Fetched, MembershipEvent, Producer, ProducerRecord};
use millstream_core::record::Headers;
use millstream_kafka::{InternalTopic, KafkaAdmin, KafkaBroker, KafkaConfig, KafkaConsumer, KafkaSettings, Membership};

/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// An application with an id of its own.
pub struct App {
    pub id: String,
    pub guarantee: ProcessingGuarantee,
    pub properties: BTreeMap<String, String>,
}

pub fn brokers() -> String {
    std::env::var("MILLSTREAM_TEST_BROKERS").expect(
        "MILLSTREAM_TEST_BROKERS names no broker; start one with `tests/kafka/broker.sh start` and set it to its address",
    )
}

impl App {
    pub fn new(guarantee: ProcessingGuarantee) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis();
        let id = format!("test-{since}-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        Self { id, guarantee, properties: BTreeMap::from([("bootstrap.servers".to_owned(), brokers())]) }
    }

    pub fn exactly_once() -> Self {
        Self::new(ProcessingGuarantee::ExactlyOnce)
    }

    pub fn config(&self, process: &str) -> KafkaConfig {
        KafkaConfig::new(KafkaSettings {
            application_id: self.id.clone(),
            guarantee: self.guarantee,
            process_id: process.to_owned(),
            transaction_timeout: Duration::from_secs(10),
            properties: self.properties.clone(),
        })
        .expect("the settings are right")
    }

    pub fn admin(&self) -> KafkaAdmin {
        let admin = KafkaAdmin::new(&self.config("admin")).expect("a client");
        admin.connect(PATIENCE).expect("MILLSTREAM_TEST_BROKERS names a broker that answers");
        admin
    }

    /// Creates a topic of this application.
    pub fn topic(&self, name: &str, partitions: i32) -> TopicName {
        let name = format!("{}-{name}", self.id);
        // Tests write timestamps of 1970, which retention would delete.
        let configs = vec![("retention.ms".to_owned(), "-1".to_owned())];
        let topic = InternalTopic { name: name.clone(), partitions, replication: 1, configs };
        self.admin().ensure_topics(&[topic]).expect("the topic is created");
        TopicName::from(name)
    }

    pub fn producer(&self, process: &str, tracked: &[TopicPartition]) -> Box<dyn Producer> {
        KafkaBroker::new(self.config(process), 1).producer(tracked).expect("a producer")
    }

    pub fn solo(&self) -> KafkaConsumer {
        let membership = Membership::Solo { tasks: BTreeSet::from([TaskId::new(0, 0)]) };
        KafkaConsumer::new(&self.config("p"), 1, membership).expect("a consumer")
    }

    /// A member of the group: the tasks are those of the partitions' numbers.
    pub fn member(&self, process: &str, topic: &TopicName) -> KafkaConsumer {
        let tasks_of = |partitions: &[TopicPartition]| {
            partitions.iter().map(|partition| TaskId::new(0, partition.partition)).collect()
        };
        let membership = Membership::Consumer {
            topics: vec![topic.as_str().to_owned()],
            tasks_of: Box::new(tasks_of),
            topics_are_current: Box::new(|| true),
        };
        KafkaConsumer::new(&self.config(process), 1, membership).expect("a consumer")
    }
}

pub fn record<'a>(topic: &'a TopicName, key: &'a str, value: &'a str) -> ProducerRecord<'a> {
    ProducerRecord {
        topic,
        partition: Some(0),
        key: Some(key.as_bytes()),
        value: Some(value.as_bytes()),
        timestamp: 1_000,
        headers: Headers::EMPTY,
    }
}

/// Calls `attempt` until it gives something.
pub fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = attempt() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "{what} did not happen within {PATIENCE:?}");
    }
}

/// Takes until there are `count` records.
pub fn take(consumer: &mut KafkaConsumer, partition: &TopicPartition, count: usize) -> Fetched {
    let mut fetched = Fetched::default();
    eventually(&format!("{count} records in {partition}"), || {
        consumer.poll_event().expect("the consumer goes on");
        consumer.take(partition, 1000, &mut fetched).expect("records");
        if fetched.offsets.len() < count {
            consumer.wait(Duration::from_millis(100));
        }
        (fetched.offsets.len() >= count).then_some(())
    });
    fetched
}

pub fn values(fetched: &Fetched) -> Vec<String> {
    let text = |value: Option<&[u8]>| value.map_or("null".into(), String::from_utf8_lossy).into_owned();
    fetched.records.iter().map(|record| text(record.value)).collect()
}

/// The next event, answering revocations and assignments as a thread without state would.
pub fn next_event(consumer: &mut KafkaConsumer, topic: &TopicName) -> Option<MembershipEvent> {
    let event = consumer.poll_event().expect("the consumer goes on")?;
    match &event {
        MembershipEvent::TasksAssigned(tasks) => {
            let partitions = tasks.iter().map(|task| (TopicPartition::new(topic.clone(), task.partition), Offset(0)));
            consumer.assign(&partitions.collect::<Vec<_>>()).expect("an assignment");
        }
        MembershipEvent::TasksRevoked(_) => consumer.acknowledge_revoked().expect("an acknowledgement"),
        MembershipEvent::TasksLost => {}
    }
    Some(event)
}
