//! The topology driver: a whole topology on the embedded log, with a manual clock and no broker.
//!
//! It behaves as Kafka Streams' `TopologyTestDriver` where that is possible with real tasks: after each record everything that
//! follows from it has been processed and committed.

pub mod corked;
pub mod declare;
pub mod kept_state;
pub mod log_lines;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use millstream_core::commit::ProcessingGuarantee;
use millstream_core::id::{Offset, TaskId, Timestamp, TopicName, TopicPartition};
use millstream_core::port::{Broker, Clock, CommittedOffset, Fetched, Page, StateDirectory};
use millstream_core::processor::PluginFactory;
use millstream_core::record::{Headers, Record, pack_header};
use millstream_core::store::{Cursor, InMemoryStateDirectory, Order};
use millstream_core::stream_thread::{Ports, Round, StreamThread, StreamThreadSettings};
use millstream_core::topology::{ResolvedTopology, Topology};
use millstream_core::{Error, Result};
use millstream_embedded::{
    ConsumerOptions, EmbeddedBroker, EmbeddedChangelogReader, EmbeddedConsumer, EmbeddedLog, EmbeddedPurger, Isolation,
    MembershipHandle,
};

use corked::{Corked, Corks};

/// Time that only a test moves.
#[derive(Clone, Debug, Default)]
pub struct ManualClock {
    milliseconds: Rc<Cell<i64>>,
}

impl ManualClock {
    /// Moves time on, no further than to the last time there is.
    pub fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.milliseconds.set(self.milliseconds.get().saturating_add(by));
    }
}

impl Clock for ManualClock {
    fn wall_clock_time(&self) -> Timestamp {
        self.milliseconds.get()
    }

    fn monotonic_time(&self) -> Duration {
        Duration::from_millis(self.milliseconds.get().cast_unsigned())
    }
}

/// A record as tests write and read it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TestRecord {
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
    /// The timestamp.
    pub timestamp: Timestamp,
    /// The headers.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl TestRecord {
    /// A record with a key and a value.
    #[must_use]
    pub fn new(key: impl AsRef<[u8]>, value: impl AsRef<[u8]>, timestamp: Timestamp) -> Self {
        Self::with(Some(key.as_ref()), Some(value.as_ref()), timestamp)
    }

    /// A record whose key or value may be null.
    #[must_use]
    pub fn with(key: Option<&[u8]>, value: Option<&[u8]>, timestamp: Timestamp) -> Self {
        Self { key: key.map(<[u8]>::to_vec), value: value.map(<[u8]>::to_vec), timestamp, headers: Vec::new() }
    }

    /// The record with one more header.
    #[must_use]
    pub fn header(mut self, key: &str, value: Option<&[u8]>) -> Self {
        self.headers.push((key.to_owned(), value.map(<[u8]>::to_vec)));
        self
    }

    fn packed_headers(&self) -> Vec<u8> {
        let mut packed = Vec::new();
        for (key, value) in &self.headers {
            pack_header(&mut packed, key.as_bytes(), value.as_deref());
        }
        packed
    }
}

impl From<Record<'_>> for TestRecord {
    fn from(record: Record<'_>) -> Self {
        let header = |(key, value): (&[u8], Option<&[u8]>)| {
            (String::from_utf8_lossy(key).into_owned(), value.map(<[u8]>::to_vec))
        };
        let headers = record.headers.iter().map(header).collect();
        Self { headers, ..Self::with(record.key, record.value, record.timestamp) }
    }
}

/// A record that came out, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocatedRecord {
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: Offset,
    /// The record.
    pub record: TestRecord,
}

/// An entry of a store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StoredEntry {
    /// The key.
    pub key: Vec<u8>,
    /// The value.
    pub value: Vec<u8>,
    /// The timestamp; -1 in a store that keeps none.
    pub timestamp: Timestamp,
}

/// What a driver is made with.
pub struct DriverOptions {
    /// Settings of the one stream thread.
    pub settings: StreamThreadSettings,
    /// Partitions of topics; 1 for those not named.
    pub partitions: BTreeMap<String, i32>,
    /// The log, when it is shared with another driver.
    pub log: EmbeddedLog,
    /// The clock, when it is shared with another driver.
    pub clock: ManualClock,
    /// Where the state is kept.
    pub state: Box<dyn StateDirectory>,
    /// Partitions that are held back.
    pub corks: Corks,
    /// What has been read of the outputs already, by the driver before this one.
    pub read_to: BTreeMap<TopicPartition, Offset>,
}

impl Default for DriverOptions {
    fn default() -> Self {
        let settings = StreamThreadSettings {
            commit_interval: Duration::ZERO,
            apply_interval: Duration::ZERO,
            poll_timeout: Duration::ZERO,
            ..StreamThreadSettings::default()
        };
        Self {
            settings,
            partitions: BTreeMap::new(),
            log: EmbeddedLog::new(),
            clock: ManualClock::default(),
            state: Box::new(InMemoryStateDirectory::default()),
            corks: Corks::default(),
            read_to: BTreeMap::new(),
        }
    }
}

/// See the file's documentation.
pub struct TopologyDriver {
    /// The log.
    pub log: EmbeddedLog,
    /// The clock.
    pub clock: ManualClock,
    /// The thread.
    pub thread: StreamThread,
    /// What changes the thread's tasks.
    pub membership: MembershipHandle,
    group: String,
    read_to: BTreeMap<TopicPartition, Offset>,
}

/// Rounds after which a test that does not come to rest has failed.
const ROUNDS_MAX: usize = 100_000;
/// Rounds without a record or a commit after which only time can change something: restoring takes a round for each
/// ten thousand records.
const STILL_ROUNDS: usize = 200;

impl TopologyDriver {
    /// Makes the topics of `topology` and one stream thread with all tasks.
    ///
    /// # Panics
    ///
    /// When the topics don't fit the topology.
    #[must_use]
    pub fn new(topology: Topology, plugins: Box<dyn PluginFactory>, options: DriverOptions) -> Self {
        Self::try_new(topology, plugins, options).expect("the topics fit the topology")
    }

    /// As [`Self::new`].
    ///
    /// # Errors
    ///
    /// When the topics don't fit the topology.
    pub fn try_new(topology: Topology, plugins: Box<dyn PluginFactory>, options: DriverOptions) -> Result<Self> {
        let DriverOptions { settings, partitions, log, clock, state, corks, read_to } = options;
        let cluster = create_source_topics(&topology, &log, &partitions)?;
        let resolved = ResolvedTopology::new(&topology, &cluster, &BTreeMap::new()).map_err(|errors| {
            let reasons: Vec<_> = errors.iter().map(ToString::to_string).collect();
            Error::fatal(reasons.join("; "))
        })?;
        for topic in resolved.internal_topics() {
            log.create_topic(&topic.name, topic.partitions, &topic.configs)?;
        }
        let isolation = match settings.guarantee {
            ProcessingGuarantee::ExactlyOnce => Isolation::ReadCommitted,
            ProcessingGuarantee::AtLeastOnce => Isolation::ReadUncommitted,
        };
        let group = topology.application_id().to_owned();
        let consumer = EmbeddedConsumer::new(&log, ConsumerOptions::solo(&group, isolation, resolved.tasks()));
        let membership = consumer.membership();
        let transactional_id = (isolation == Isolation::ReadCommitted).then(|| transactional_id(&group));
        let changelog_reader = EmbeddedChangelogReader::new(&log, isolation);
        let ports = Ports {
            clock: Box::new(clock.clone()),
            consumer: Box::new(Corked { inner: consumer, corks: corks.clone() }),
            broker: Box::new(EmbeddedBroker::new(&log, transactional_id.as_deref())),
            changelog_reader: Box::new(Corked { inner: changelog_reader, corks }),
            state_directory: state,
            purger: Box::new(EmbeddedPurger::new(&log)),
            plugins,
        };
        let thread = StreamThread::new("driver".to_owned(), Arc::new(topology), Arc::new(resolved), settings, ports);
        Ok(Self { log, clock, thread, membership, group, read_to })
    }

    /// Writes a record to a topic, by the default partitioner, and processes all that follows.
    ///
    /// # Errors
    ///
    /// When the thread ends.
    pub fn pipe_input(&mut self, topic: &str, record: &TestRecord) -> Result<()> {
        self.write(topic, None, record);
        self.run_until_caught_up()
    }

    /// Writes a record without processing anything.
    ///
    /// # Panics
    ///
    /// When the topic does not exist.
    pub fn write(&mut self, topic: &str, partition: Option<i32>, record: &TestRecord) {
        self.try_write(topic, partition, record).expect("the topic exists");
    }

    /// As [`Self::write`]; returns where the record is.
    ///
    /// # Errors
    ///
    /// When there is no such topic or partition, or a broker would refuse the record.
    pub fn try_write(
        &mut self,
        topic: &str,
        partition: Option<i32>,
        record: &TestRecord,
    ) -> Result<(TopicPartition, Offset)> {
        let packed = record.packed_headers();
        let headers = Headers::from_packed(&packed);
        let record =
            Record { key: record.key.as_deref(), value: record.value.as_deref(), timestamp: record.timestamp, headers };
        self.log.append(&topic.into(), partition, record)
    }

    /// Runs rounds until everything is processed and committed.
    ///
    /// # Errors
    ///
    /// When the thread ends, or does not come to rest.
    pub fn run_until_caught_up(&mut self) -> Result<()> {
        for _ in 0..ROUNDS_MAX {
            let round = self.thread.run_once()?;
            if round.records == 0 && !round.committed && self.thread.is_caught_up() {
                return Ok(());
            }
        }
        Err(does_not_rest())
    }

    /// Runs rounds until nothing happens any more: everything is processed and committed, or waits for time to go on (a
    /// commit interval, a record that is to be tried again).
    ///
    /// # Errors
    ///
    /// When the thread ends, or does not come to rest.
    pub fn settle(&mut self) -> Result<()> {
        let mut still = 0;
        for _ in 0..ROUNDS_MAX {
            let round = self.thread.run_once()?;
            still = if round.records == 0 && !round.committed { still + 1 } else { 0 };
            if still > 0 && self.thread.is_caught_up() || still == STILL_ROUNDS {
                return Ok(());
            }
        }
        Err(does_not_rest())
    }

    /// Runs `count` rounds, whatever is left to do.
    ///
    /// # Errors
    ///
    /// When the thread ends.
    pub fn run_rounds(&mut self, count: usize) -> Result<Round> {
        let mut sum = Round::default();
        for _ in 0..count {
            let round = self.thread.run_once()?;
            sum.records += round.records;
            sum.committed |= round.committed;
        }
        Ok(sum)
    }

    /// The position that the application has committed in a partition.
    #[must_use]
    pub fn committed(&self, topic: &str, partition: i32) -> Option<CommittedOffset> {
        self.log.committed(&self.group).get(&TopicPartition::new(topic, partition)).cloned()
    }

    /// Somebody takes the driver's transactional id, as the same process does when it is started a second time.
    ///
    /// # Panics
    ///
    /// When the log can't be written.
    pub fn fence_producer(&self) {
        let mut broker = EmbeddedBroker::new(&self.log, Some(&transactional_id(&self.group)));
        broker.producer(&[]).expect("the log can be written");
    }

    /// Moves wall-clock time on, fires what is due and processes all that follows.
    ///
    /// # Errors
    ///
    /// When the thread ends.
    pub fn advance_wall_clock(&mut self, by: Duration) -> Result<()> {
        self.clock.advance(by);
        self.run_until_caught_up()
    }

    /// The committed records of a topic since the last call, a partition after the other.
    ///
    /// # Panics
    ///
    /// When the topic does not exist.
    pub fn read_output(&mut self, topic: &str) -> Vec<TestRecord> {
        let partitions = self.log.partitions(&topic.into()).expect("the topic exists");
        let mut found = Vec::new();
        for partition in 0..partitions {
            let partition = TopicPartition::new(topic, partition);
            let from = self.read_to.entry(partition.clone()).or_insert(Offset(0));
            let mut fetched = Fetched::default();
            let read = self.log.read(&partition, *from, Isolation::ReadCommitted, usize::MAX, &mut fetched);
            *from = read.expect("the partition exists");
            found.extend(fetched.records.iter().map(TestRecord::from));
        }
        found
    }

    /// The committed records of a topic since the last call, a partition after the other, and where each is; none if there
    /// is no such topic.
    ///
    /// # Errors
    ///
    /// When the log can't be read.
    pub fn read_new(&mut self, topic: &TopicName) -> Result<Vec<LocatedRecord>> {
        let mut found = Vec::new();
        let Some(partitions) = self.log.partitions(topic) else { return Ok(found) };
        for number in 0..partitions {
            let partition = TopicPartition { topic: topic.clone(), partition: number };
            let from = self.read_to.entry(partition.clone()).or_insert(Offset(0));
            let mut fetched = Fetched::default();
            *from = self.log.read(&partition, *from, Isolation::ReadCommitted, usize::MAX, &mut fetched)?;
            let records = fetched.records.iter().map(TestRecord::from).zip(fetched.offsets);
            found.extend(records.map(|(record, offset)| LocatedRecord { partition: number, offset, record }));
        }
        Ok(found)
    }

    /// What has been read of the outputs, for the driver after this one.
    #[must_use]
    pub fn read_to(&self) -> BTreeMap<TopicPartition, Offset> {
        self.read_to.clone()
    }

    /// All entries of a store in all tasks, by key; none if there is no such store.
    ///
    /// # Errors
    ///
    /// When the state can't be read.
    pub fn entries(&mut self, store: &str) -> Result<Vec<StoredEntry>> {
        let tasks: Vec<TaskId> = self.thread.tasks().map(millstream_core::task::ActiveTask::id).collect();
        let mut entries = Vec::new();
        for id in tasks {
            let Some(task) = self.thread.task_mut(id) else { continue };
            let stores = task.stores_mut();
            let Some(index) = stores.index_of(store) else { continue };
            let mut cursor = Cursor::range(index, None, None, Order::Ascending);
            while !cursor.is_done() {
                let (mut page, mut timestamps) = (Page::default(), Vec::new());
                stores.next_page(&mut cursor, 1000, &mut page, &mut timestamps)?;
                for (at, timestamp) in timestamps.into_iter().enumerate() {
                    let (key, value) = page.entry(at);
                    entries.push(StoredEntry { key: key.to_vec(), value: value.to_vec(), timestamp });
                }
            }
        }
        entries.sort();
        Ok(entries)
    }

    /// The values of [`Self::read_output`], as text.
    pub fn read_texts(&mut self, topic: &str) -> Vec<String> {
        let text = |record: TestRecord| String::from_utf8_lossy(&record.value.unwrap_or_default()).into_owned();
        self.read_output(topic).into_iter().map(text).collect()
    }

    /// All entries of a task's store, keys ascending.
    ///
    /// # Panics
    ///
    /// When there is no such task or store.
    pub fn store(&mut self, task: TaskId, store: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
        let stores = self.thread.task_mut(task).expect("the task is here").stores_mut();
        let index = stores.index_of(store).expect("the task has the store");
        let mut cursor = Cursor::range(index, None, None, Order::Ascending);
        let mut entries = Vec::new();
        while !cursor.is_done() {
            let mut page = Page::default();
            stores.next_page(&mut cursor, 1000, &mut page, &mut Vec::new()).expect("the state can be read");
            entries.extend((0..page.len()).map(|at| (page.entry(at).0.to_vec(), page.entry(at).1.to_vec())));
        }
        entries
    }
}

fn does_not_rest() -> Error {
    Error::fatal(format!("the topology does not come to rest within {ROUNDS_MAX} rounds"))
}

fn transactional_id(group: &str) -> String {
    format!("{group}-driver-0")
}

fn create_source_topics(
    topology: &Topology,
    log: &EmbeddedLog,
    partitions: &BTreeMap<String, i32>,
) -> Result<BTreeMap<TopicName, i32>> {
    use millstream_core::topology::{NodeKind, SinkTopic, SourceTopics};
    let count = |topic: &TopicName| partitions.get(topic.as_str()).copied().unwrap_or(1);
    let mut names: Vec<TopicName> = partitions.keys().map(|name| name.as_str().into()).collect();
    for node in topology.nodes() {
        match &node.kind {
            NodeKind::Source(source) if !source.internal => {
                if let SourceTopics::Names(topics) = &source.topics {
                    names.extend(topics.iter().cloned());
                }
            }
            NodeKind::Sink(sink) if !sink.internal => {
                if let SinkTopic::Name(topic) = &sink.topic {
                    names.push(topic.clone());
                }
            }
            _ => {}
        }
    }
    for name in &names {
        log.create_topic(name, count(name), &BTreeMap::new())?;
    }
    Ok(names.into_iter().map(|name| (name.clone(), count(&name))).collect())
}
