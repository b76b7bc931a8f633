//! The log itself: a handle that threads share, and what a program may do with it directly.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use millstream_core::id::{Offset, Timestamp, TopicName, TopicPartition};
use millstream_core::partitioner::StickyPartitioner;
use millstream_core::port::{CommittedOffset, Fetched, GroupMetadata};
use millstream_core::record::{Record, RecordBatch};
use millstream_core::{Error, Kind, Result};

use crate::contents::{Contents, Operation, unknown_topic};
use crate::partition::{ChunkState, Isolation, Partition};
use crate::storage::{Storage, StorageOptions};
use crate::topic::{PartitionIndex, Topic, TopicRules, message_bytes};
use crate::transaction::{ProducerId, ProducerIdentity};

/// The committed positions of a group.
pub type GroupOffsets = BTreeMap<TopicPartition, CommittedOffset>;

/// A topic as [`EmbeddedLog::topics`] lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicDescription {
    /// Its name.
    pub name: TopicName,
    /// The number of its partitions.
    pub partitions: i32,
    /// Its configuration as it was given.
    pub configs: BTreeMap<String, String>,
}

/// What had to be done when a directory was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// The bytes of an operation that was being written when the former process ended; it has been cut off.
    pub truncated_bytes: u64,
    /// The transactions that were open; they have been aborted.
    pub aborted_transactions: usize,
}

/// An in-process log of topics. Cloning it makes another handle to the same log.
///
/// Every call takes one lock, for the time of copying a batch; with a directory, calls that promise durability also
/// write to a file under it. A call that fails because of the disk leaves the log unusable, since nobody knows what
/// was written: open the directory again.
#[derive(Clone)]
pub struct EmbeddedLog {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    recovery: Recovery,
}

/// What the lock protects.
pub(crate) struct State {
    pub contents: Contents,
    storage: Option<Storage>,
    /// Counts appends, ended transactions and purges.
    changes: u64,
    /// For records that the program appends without key and partition.
    sticky: HashMap<u32, StickyPartitioner>,
}

impl State {
    /// Carries an operation out: written first, then visible. With `durable` it survives the process when this returns.
    pub fn execute(&mut self, operation: &Operation<'_>, durable: bool) -> Result<()> {
        if let Some(storage) = &mut self.storage {
            storage.append(operation)?;
            if durable {
                storage.journal.flush()?;
            }
        }
        self.contents.apply(operation)
    }

    /// Appends a batch to a partition and returns the offset of its last record.
    pub fn append(&mut self, at: PartitionIndex, state: ChunkState, records: &RecordBatch) -> Result<Offset> {
        let base = self.contents.partition(at).end_offset().0;
        self.execute(&Operation::Append { at, base, state, records, rows: 0..records.len() }, false)?;
        Ok(Offset(base + records.len() as i64 - 1))
    }

    /// Ends the transaction of `producer`, if one is open. After a commit everything before it survives the process, also
    /// when there was nothing to commit.
    pub fn end_transaction(&mut self, producer: ProducerId, committed: bool) -> Result<()> {
        if self.contents.producers.get(producer).is_none_or(|entry| entry.open.is_none()) {
            return if committed { self.flush() } else { Ok(()) };
        }
        self.execute(&Operation::EndTransaction { producer, committed }, committed)?;
        self.tidy()
    }

    /// Compacts what has grown; rewrites the journal when it has.
    pub fn tidy(&mut self) -> Result<()> {
        self.contents.compact_grown(wall_clock_time);
        match &mut self.storage {
            Some(storage) => storage.rewrite_outdated(&self.contents),
            None => Ok(()),
        }
    }

    /// Makes everything so far survive the process.
    pub fn flush(&mut self) -> Result<()> {
        self.storage.as_mut().map_or(Ok(()), |storage| storage.journal.flush())
    }

    /// What a producer must know of a topic. `TaskFailed` when it is missing: whoever names it is at fault, and nobody else.
    pub fn rules(&self, topic: &TopicName) -> Result<TopicRules> {
        let missing = || Error::new(Kind::TaskFailed, unknown_topic(topic).to_string());
        let (number, topic) = self.contents.topic(topic).ok_or_else(missing)?;
        Ok(topic.rules(number))
    }
}

impl Default for EmbeddedLog {
    fn default() -> Self {
        Self::new()
    }
}

impl EmbeddedLog {
    /// A log in memory.
    #[must_use]
    pub fn new() -> Self {
        let compaction_bytes_min = StorageOptions::default().compaction_bytes_min;
        let contents = Contents::new(compaction_bytes_min);
        Self::with(contents, None, Recovery::default())
    }

    /// A log that is kept in `directory`: topics, records, transactions and committed positions. All of it is also
    /// held in memory. What a former process had committed is there; its open transactions have been aborted.
    ///
    /// # Errors
    ///
    /// `Fatal` when another process has the directory, when it can't be read or written, or when a file is damaged;
    /// the message names the file.
    pub fn open(directory: &Path, options: StorageOptions) -> Result<Self> {
        let compaction_bytes_min = options.compaction_bytes_min;
        let mut contents = Contents::new(compaction_bytes_min);
        let (storage, truncated_bytes) = Storage::open(directory, &mut contents, options)?;
        let open: Vec<_> =
            contents.producers.iter().filter(|(_, entry)| entry.open.is_some()).map(|(id, _)| id).collect();
        let recovery = Recovery { truncated_bytes, aborted_transactions: open.len() };
        let log = Self::with(contents, Some(storage), recovery);
        let mut state = log.lock();
        for producer in open {
            state.execute(&Operation::EndTransaction { producer, committed: false }, true)?;
        }
        state.contents.compact_all(wall_clock_time());
        state.tidy()?;
        drop(state);
        Ok(log)
    }

    fn with(contents: Contents, storage: Option<Storage>, recovery: Recovery) -> Self {
        let state = State { contents, storage, changes: 0, sticky: HashMap::new() };
        Self { shared: Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new(), recovery }) }
    }

    /// What had to be done when the directory was opened.
    #[must_use]
    pub fn recovery(&self) -> Recovery {
        self.shared.recovery
    }

    /// Creates a topic and returns whether it is new. One that is there with as many partitions stays as it is.
    ///
    /// # Errors
    ///
    /// `Fatal` when it is there with another number of partitions, or when Kafka would not create it.
    pub fn create_topic(&self, name: &TopicName, partitions: i32, configs: &BTreeMap<String, String>) -> Result<bool> {
        let mut state = self.lock();
        if let Some((_, topic)) = state.contents.topic(name) {
            let found = topic.partition_count();
            if found == partitions {
                return Ok(false);
            }
            return Err(Error::fatal(format!(
                "topic `{name}` has {found} partitions already, not {partitions}; use {found}, or another name"
            )));
        }
        Topic::new(name.as_str(), partitions, configs.clone())?;
        let configs = Cow::Borrowed(configs);
        state.execute(&Operation::CreateTopic { name: name.as_str(), partitions, configs }, true)?;
        Ok(true)
    }

    /// The number of a topic's partitions; `None` when there is no such topic.
    #[must_use]
    pub fn partitions(&self, topic: &TopicName) -> Option<i32> {
        self.lock().contents.topic(topic).map(|(_, topic)| topic.partition_count())
    }

    /// All topics, in the order of their creation.
    #[must_use]
    pub fn topics(&self) -> Vec<TopicDescription> {
        let describe = |topic: &Topic| TopicDescription {
            name: topic.name.clone(),
            partitions: topic.partition_count(),
            configs: topic.configs.clone(),
        };
        self.lock().contents.topics.iter().map(describe).collect()
    }

    /// Appends one record outside a transaction, durably, and returns where it is. Without a partition Java's default
    /// partitioner chooses one.
    ///
    /// # Errors
    ///
    /// `TaskFailed` when there is no such topic or partition, or the broker would refuse the record; `Fatal` when the disk fails.
    pub fn append(
        &self,
        topic: &TopicName,
        partition: Option<i32>,
        record: Record<'_>,
    ) -> Result<(TopicPartition, Offset)> {
        let mut batch = RecordBatch::new();
        batch.push(record, 0);
        let mut last = None;
        self.append_each(topic, partition, &batch, &mut |at, offset| last = Some((at, offset)))?;
        let (at, offset) = last.ok_or_else(|| Error::fatal("a record was appended and got no offset; report this"))?;
        Ok((TopicPartition { topic: topic.clone(), partition: at as i32 }, offset))
    }

    /// Appends many records as [`Self::append`] does, under one lock and one flush. All of them, or none when one is
    /// refused; if the process is killed meanwhile, those of some partitions may be there and those of others not.
    ///
    /// # Errors
    ///
    /// As [`Self::append`].
    pub fn append_batch(&self, topic: &TopicName, partition: Option<i32>, records: &RecordBatch) -> Result<()> {
        self.append_each(topic, partition, records, &mut |_, _| {})
    }

    fn append_each(
        &self,
        topic: &TopicName,
        partition: Option<i32>,
        records: &RecordBatch,
        on_appended: &mut dyn FnMut(u32, Offset),
    ) -> Result<()> {
        let mut guard = self.lock();
        let state = &mut *guard;
        let rules = state.rules(topic)?;
        let sticky = state.sticky.entry(rules.number).or_default();
        let mut parts: BTreeMap<u32, RecordBatch> = BTreeMap::new();
        for record in records.iter() {
            let bytes = message_bytes(record.key, record.value, record.headers);
            let chosen = rules.place(partition, record.key, bytes, sticky)?;
            parts.entry(chosen).or_default().push(record, 0);
        }
        for (partition, records) in &parts {
            let at = PartitionIndex { topic: rules.number, partition: *partition };
            let last = state.append(at, ChunkState::Committed, records)?;
            on_appended(*partition, last);
        }
        state.flush()?;
        state.tidy()?;
        self.announce(guard);
        Ok(())
    }

    /// Appends up to `records_max` records of a partition to `into`, from the offset `from` on, and returns the
    /// position after them. A purged offset stands for the oldest one that is left.
    ///
    /// # Errors
    ///
    /// `Fatal` when there is no such partition.
    pub fn read(
        &self,
        partition: &TopicPartition,
        from: Offset,
        isolation: Isolation,
        records_max: usize,
        into: &mut Fetched,
    ) -> Result<Offset> {
        self.with_partition(partition, |partition| partition.read(from, isolation, records_max, into))
    }

    /// The offset of the oldest record.
    ///
    /// # Errors
    ///
    /// `Fatal` when there is no such partition.
    pub fn start_offset(&self, partition: &TopicPartition) -> Result<Offset> {
        self.with_partition(partition, Partition::start_offset)
    }

    /// The offset after the newest record or marker.
    ///
    /// # Errors
    ///
    /// `Fatal` when there is no such partition.
    pub fn end_offset(&self, partition: &TopicPartition) -> Result<Offset> {
        self.with_partition(partition, Partition::end_offset)
    }

    /// The offset where the first open transaction begins, or the end: Kafka's last stable offset.
    ///
    /// # Errors
    ///
    /// `Fatal` when there is no such partition.
    pub fn stable_offset(&self, partition: &TopicPartition) -> Result<Offset> {
        self.with_partition(partition, Partition::stable_offset)
    }

    fn with_partition<T>(&self, partition: &TopicPartition, ask: impl FnOnce(&Partition) -> T) -> Result<T> {
        let state = self.lock();
        let at = state.contents.index(partition)?;
        Ok(ask(state.contents.partition(at)))
    }

    /// The committed positions of a group; those of open transactions are not among them.
    #[must_use]
    pub fn committed(&self, group: &str) -> GroupOffsets {
        self.lock().contents.groups.get(group).map(|group| group.offsets.clone()).unwrap_or_default()
    }

    /// Commits positions of a group outside a transaction, durably.
    ///
    /// # Errors
    ///
    /// `TaskMigrated` when the member's generation has passed, `Fatal` when there is no such partition.
    pub fn commit(&self, member: &GroupMetadata, offsets: &[(TopicPartition, CommittedOffset)]) -> Result<()> {
        let mut state = self.lock();
        state.contents.groups.check(member)?;
        for (partition, _) in offsets {
            state.contents.index(partition)?;
        }
        let operation = Operation::CommitOffsets { group: &member.group_id, offsets: Cow::Borrowed(offsets) };
        state.execute(&operation, true)?;
        self.announce(state);
        Ok(())
    }

    /// Deletes the records of a partition before an offset, whatever their transaction.
    ///
    /// # Errors
    ///
    /// `Fatal` when there is no such partition, or the offset lies after its end.
    pub fn delete_records(&self, partition: &TopicPartition, before: Offset) -> Result<()> {
        let mut state = self.lock();
        let at = state.contents.index(partition)?;
        let found = state.contents.partition(at);
        let end = found.end_offset();
        if before > end {
            return Err(Error::fatal(format!(
                "records of {partition} can't be deleted up to {before}: it ends at {end}; name an offset before that"
            )));
        }
        if before > found.start_offset() {
            state.execute(&Operation::Purge { at, before: before.0 }, false)?;
            state.tidy()?;
            self.announce(state);
        }
        Ok(())
    }

    /// From now on refuses commits for `group` by members of a generation below `generation`, as a broker does after
    /// a rebalance.
    pub fn fence_members(&self, group: &str, generation: i32) {
        self.lock().contents.groups.get_or_create(group).generation_min = Some(generation);
    }

    /// Makes everything that was appended so far survive the process.
    ///
    /// # Errors
    ///
    /// `Fatal` when the disk fails.
    pub fn flush(&self) -> Result<()> {
        self.lock().flush()
    }

    /// A number that grows whenever a record, a marker, a committed position or a purge may have changed what readers
    /// see.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.lock().changes
    }

    /// Blocks until [`Self::changes`] is no longer `seen` or `timeout` has passed, and returns it.
    #[must_use]
    pub fn wait_for_change(&self, seen: u64, timeout: Duration) -> u64 {
        self.wait_until(timeout, |state| state.changes != seen).changes
    }

    pub(crate) fn wait_until(&self, timeout: Duration, ready: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let waited = self.shared.changed.wait_timeout_while(self.lock(), timeout, |state| !ready(state));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// A panic while the lock was held is a bug that its own thread reports; the others go on with what there is.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes everybody who waits, after a change.
    pub(crate) fn announce(&self, mut state: MutexGuard<'_, State>) {
        state.changes += 1;
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Gives `transactional_id` to a new holder: the former one is fenced, and its open transaction aborted.
    pub(crate) fn register_producer(&self, transactional_id: &str) -> Result<ProducerIdentity> {
        let mut state = self.lock();
        let former = state.contents.producers.find(transactional_id);
        if let Some(former) = former {
            state.end_transaction(former.id, false)?;
        }
        let epoch = former.map_or(0, |former| former.epoch + 1);
        state.execute(&Operation::RegisterProducer { transactional_id, epoch }, true)?;
        let registered = state.contents.producers.find(transactional_id);
        self.announce(state);
        registered.ok_or_else(|| Error::fatal(format!("transactional id `{transactional_id}` was lost; report this")))
    }
}

fn wall_clock_time() -> Timestamp {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::try_from(time.as_millis()).unwrap_or(Timestamp::MAX)
}
