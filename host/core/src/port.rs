//! The ports: everything that the core asks of the world outside.
//!
//! Kafka (`host/kafka`), the embedded log (`host/embedded`) and the simulator's model of a broker implement the first half;
//! RocksDB (`host/state`) and memory the second. All are driven by one stream thread and need not be shared between
//! threads. Every call may block for as long as its documentation says, never longer.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::error::Result;
use crate::id::{Offset, StoreName, TaskId, Timestamp, TopicName, TopicPartition};
use crate::record::{Headers, RecordBatch};

/// Tells the time. The core never reads a clock of its own.
pub trait Clock {
    /// Wall-clock time, as records carry it.
    fn wall_clock_time(&self) -> Timestamp;

    /// Time since some fixed moment, never decreasing; for intervals and time-outs.
    fn monotonic_time(&self) -> Duration;
}

// === The broker ===

/// A committed position: the offset of the next record to read, and what the application keeps beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The next record's offset.
    pub offset: Offset,
    /// Kafka Streams' metadata, see [`crate::offset_metadata`].
    pub metadata: String,
}

/// The member on whose behalf offsets are committed; the broker refuses those of a member that is no longer current.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupMetadata {
    /// The group, which is the application's id.
    pub group_id: String,
    /// The generation or member epoch; `-1` where there is no membership (`solo`).
    pub generation: i32,
    /// The member's id; empty where there is no membership.
    pub member_id: String,
    /// The static member's id.
    pub group_instance_id: Option<String>,
}

/// What the membership tells the stream thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MembershipEvent {
    /// These are the thread's active tasks from now on, all of them. Tasks that it has and that are not named are closed.
    TasksAssigned(BTreeSet<TaskId>),
    /// These tasks are about to be taken away: commit them. Answered by [`Consumer::acknowledge_revoked`].
    TasksRevoked(BTreeSet<TaskId>),
    /// All tasks have been taken away already: another member may own them, so nothing may be committed.
    TasksLost,
}

/// Records taken from one partition, in offset order.
#[derive(Clone, Debug, Default)]
pub struct Fetched {
    /// The records.
    pub records: RecordBatch,
    /// Each record's offset. Control and aborted records are left out, so there may be gaps.
    pub offsets: Vec<Offset>,
}

impl Fetched {
    /// Whether it has memory, used or not.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.offsets.capacity() > 0
    }

    /// Removes all records and keeps the memory.
    pub fn clear(&mut self) {
        self.records.clear();
        self.offsets.clear();
    }
}

/// What is known about the records of a partition that are not taken yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lag {
    /// Nothing was heard from the broker yet.
    Unknown,
    /// The broker has records (under read-committed: stable ones) that were not taken yet.
    Behind,
    /// Every (stable) record has been taken.
    CaughtUp,
}

/// Where to begin in a partition without a committed offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetPosition {
    /// With the oldest record.
    Earliest,
    /// After the newest record.
    Latest,
}

/// Where a partition's log begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogBounds {
    /// The offset of the oldest record.
    pub first: Offset,
    /// The offset after the newest record.
    pub end: Offset,
}

impl LogBounds {
    /// Whether reading can go on at `position`.
    #[must_use]
    pub fn hold(&self, position: Offset) -> bool {
        (self.first..=self.end).contains(&position)
    }

    /// The offset to begin with.
    #[must_use]
    pub fn at(&self, position: ResetPosition) -> Offset {
        match position {
            ResetPosition::Earliest => self.first,
            ResetPosition::Latest => self.end,
        }
    }
}

/// A stream thread's consumer and membership. Reads committed records only, under exactly-once.
pub trait Consumer {
    /// The next membership event, if there is one; does not block.
    ///
    /// # Errors
    ///
    /// `Fatal` when the group refuses the member for good.
    fn poll_event(&mut self) -> Result<Option<MembershipEvent>>;

    /// Confirms a revocation: the tasks are committed and no longer processed.
    ///
    /// # Errors
    ///
    /// As [`Self::poll_event`].
    fn acknowledge_revoked(&mut self) -> Result<()>;

    /// Replaces the partitions that are read, and begins each at its offset. Called after each assignment, with all of them.
    ///
    /// # Errors
    ///
    /// When the broker client refuses.
    fn assign(&mut self, partitions: &[(TopicPartition, Offset)]) -> Result<()>;

    /// Continues an assigned partition at `offset`; records of it that were fetched and not taken are forgotten.
    ///
    /// # Errors
    ///
    /// When the partition is not assigned, or the broker client refuses.
    fn seek(&mut self, partition: &TopicPartition, offset: Offset) -> Result<()>;

    /// Appends up to `records_max` fetched records of `partition` to `into` and returns how many; does not block. A partition that
    /// is not taken from stops being fetched by itself, so leaving it alone is back-pressure.
    ///
    /// # Errors
    ///
    /// `TaskMigrated` or `Fatal` when the partition can't be read any more; `TaskCorrupted` never.
    fn take(&mut self, partition: &TopicPartition, records_max: usize, into: &mut Fetched) -> Result<usize>;

    /// What is known of records not taken yet; does not block.
    fn lag(&self, partition: &TopicPartition) -> Lag;

    /// The offset after everything taken so far, control and aborted records included; `None` before anything is known.
    fn position(&self, partition: &TopicPartition) -> Option<Offset>;

    /// Blocks until a record or an event is there, [`Waker::wake`] is called, or `timeout` has passed.
    fn wait(&mut self, timeout: Duration);

    /// The committed offsets of the group, in the order asked; pending transactions on them are waited for. May block for
    /// some hundred milliseconds.
    ///
    /// # Errors
    ///
    /// `Retriable` while a transaction is pending or the coordinator is away.
    fn committed(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Option<CommittedOffset>>>;

    /// Where `partitions` begin and end, in the order asked, all in one question: under exactly-once the last record is the last
    /// stable one.
    ///
    /// # Errors
    ///
    /// `Retriable` while a leader is away.
    fn log_bounds(&mut self, partitions: &[TopicPartition]) -> Result<Vec<LogBounds>>;

    /// Commits offsets outside a transaction (at-least-once); blocks until the broker answered.
    ///
    /// # Errors
    ///
    /// `TaskMigrated` when the member is no longer current, `Retriable` on time-outs.
    fn commit(&mut self, offsets: &[(TopicPartition, CommittedOffset)]) -> Result<()>;

    /// The member that offsets are committed for.
    fn group_metadata(&self) -> GroupMetadata;

    /// Ends the membership: `leave` gives the tasks up at once, otherwise they wait for this member to come back.
    fn close(&mut self, leave: bool);
}

/// A record to be produced.
#[derive(Clone, Copy, Debug)]
pub struct ProducerRecord<'a> {
    /// The topic.
    pub topic: &'a TopicName,
    /// The partition; `None` leaves it to the default partitioner (murmur2 of the key, as Java).
    pub partition: Option<i32>,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value.
    pub value: Option<&'a [u8]>,
    /// The timestamp.
    pub timestamp: Timestamp,
    /// The headers.
    pub headers: Headers<'a>,
}

/// A stream thread's producer. Under exactly-once it is transactional; under at-least-once only `send`, `flush` and
/// `last_offset` are called. The outcome of a failed transaction call is unknown: the thread drops such a producer and asks
/// [`Broker::producer`] for a new one, which fences it.
pub trait Producer {
    /// The records sent from now on are those of `task`: should the broker refuse one later, the error names it. A producer that knows at once
    /// whether it takes a record need not remember.
    fn set_sender(&mut self, task: TaskId) {
        let _ = task;
    }

    /// Begins a transaction; cheap, nothing is sent.
    ///
    /// # Errors
    ///
    /// `TaskMigrated` when this producer is fenced or unusable.
    fn begin_transaction(&mut self) -> Result<()>;

    /// Queues a record. Blocks while the queue is full, for a bounded time. Its failure may also surface in `flush`.
    ///
    /// # Errors
    ///
    /// `TaskMigrated` when fenced; `TaskFailed` when this record can't be sent (too large, unknown topic, not authorised).
    fn send(&mut self, record: ProducerRecord<'_>) -> Result<()>;

    /// Queues the records `range` of a batch to one topic by the default partitioner.
    ///
    /// # Errors
    ///
    /// As [`Self::send`].
    fn send_batch(&mut self, topic: &TopicName, batch: &RecordBatch, range: std::ops::Range<usize>) -> Result<()> {
        for index in range {
            let record = batch.record(index);
            self.send(ProducerRecord {
                topic,
                partition: None,
                key: record.key,
                value: record.value,
                timestamp: record.timestamp,
                headers: record.headers,
            })?;
        }
        Ok(())
    }

    /// Blocks until every queued record has been acknowledged or has failed.
    ///
    /// # Errors
    ///
    /// The first failure of any record sent since the last flush.
    fn flush(&mut self) -> Result<()>;

    /// The offset of the last record acknowledged in `partition` by this producer; only told for partitions that were
    /// named in [`Broker::producer`].
    fn last_offset(&self, partition: &TopicPartition) -> Option<Offset>;

    /// Adds consumed positions to the transaction.
    ///
    /// # Errors
    ///
    /// `TaskMigrated` when the member is no longer current or the outcome is unknown.
    fn send_offsets(&mut self, offsets: &[(TopicPartition, CommittedOffset)], group: &GroupMetadata) -> Result<()>;

    /// Commits the transaction. After `Ok` it is visible; after an error nobody knows.
    ///
    /// # Errors
    ///
    /// `TaskMigrated` when fenced or when the outcome is unknown.
    fn commit_transaction(&mut self) -> Result<()>;

    /// Aborts the transaction.
    ///
    /// # Errors
    ///
    /// `TaskMigrated` when fenced or when the outcome is unknown; either way the transaction will not be committed.
    fn abort_transaction(&mut self) -> Result<()>;
}

/// Reads changelogs to restore stores. Reads committed records only, under exactly-once.
pub trait ChangelogReader {
    /// The partitions that are started next, and nothing writes to any more: a reader that has to ask where each begins and ends can ask for
    /// all at once.
    fn expect(&mut self, partitions: &[TopicPartition]) {
        let _ = partitions;
    }

    /// Begins to read `partition` at `from` (`None`: at its beginning), and returns where restoring ends: the read-*uncommitted* end
    /// offset now, so that a pending transaction is waited for (reference §4.5).
    ///
    /// # Errors
    ///
    /// `TaskCorrupted` when `from` lies outside the log; `Retriable` while the leader is away.
    fn start(&mut self, partition: &TopicPartition, from: Option<Offset>) -> Result<Offset>;

    /// Appends up to `records_max` records of `partition` to `into`; does not block.
    ///
    /// # Errors
    ///
    /// `TaskCorrupted` when the position is no longer in the log.
    fn take(&mut self, partition: &TopicPartition, records_max: usize, into: &mut Fetched) -> Result<usize>;

    /// The offset after everything taken so far, control and aborted records included.
    fn position(&self, partition: &TopicPartition) -> Option<Offset>;

    /// Ends reading `partition`.
    fn stop(&mut self, partition: &TopicPartition);
}

/// Purges consumed records of repartition topics.
pub trait RecordPurger {
    /// Asks the broker to delete the records before each offset; does not wait for it. A failure is only logged: the next purge repeats it.
    fn purge(&mut self, before: &[(TopicPartition, Offset)]);
}

/// A stream thread's way to the broker.
pub trait Broker {
    /// Makes a producer; under exactly-once a transactional one that has been initialised, so that every former producer with its
    /// transactional id is fenced and its open transaction aborted. `tracked` are the partitions whose last offset will be asked
    /// for. May block for as long as the broker needs, up to the task time-out.
    ///
    /// # Errors
    ///
    /// `Retriable` while the coordinator is away, `Fatal` when not authorised.
    fn producer(&mut self, tracked: &[TopicPartition]) -> Result<Box<dyn Producer>>;
}

// === State ===

/// What the state directory must know of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateStoreSpec {
    /// The store's name.
    pub name: StoreName,
    /// Whether it outlives the process, or is kept in memory.
    pub persistent: bool,
}

/// Where a scan begins and ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// The first key, inclusive; `None` is the start of the store.
    pub from: Option<Vec<u8>>,
    /// The end; `None` is the end of the store.
    pub to: Option<KeyBound>,
}

/// The upper end of a [`KeyRange`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyBound {
    /// Up to this key, which belongs to the range.
    Included(Vec<u8>),
    /// Up to this key, which does not belong to the range.
    Excluded(Vec<u8>),
}

/// Entries of a scan, in columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// All keys, one after the other.
    pub keys: Vec<u8>,
    /// Where each key ends.
    pub key_ends: Vec<u32>,
    /// All values, one after the other.
    pub values: Vec<u8>,
    /// Where each value ends.
    pub value_ends: Vec<u32>,
}

impl Page {
    /// The number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.key_ends.len()
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.key_ends.is_empty()
    }

    /// The bytes of all keys and values.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.keys.len() + self.values.len()
    }

    /// The entry at `index`.
    #[must_use]
    pub fn entry(&self, index: usize) -> (&[u8], &[u8]) {
        let start = |ends: &[u32]| if index == 0 { 0 } else { ends[index - 1] as usize };
        let key = &self.keys[start(&self.key_ends)..self.key_ends[index] as usize];
        let value = &self.values[start(&self.value_ends)..self.value_ends[index] as usize];
        (key, value)
    }

    /// Appends an entry.
    pub fn push(&mut self, key: &[u8], value: &[u8]) {
        self.keys.extend_from_slice(key);
        self.key_ends.push(self.keys.len() as u32);
        self.values.extend_from_slice(value);
        self.value_ends.push(self.values.len() as u32);
    }

    /// Removes all entries and keeps the memory.
    pub fn clear(&mut self) {
        self.keys.clear();
        self.key_ends.clear();
        self.values.clear();
        self.value_ends.clear();
    }
}

/// A change of a store's entry; without a value the entry is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateChange<'a> {
    /// The store, by its index in the list given to [`StateDirectory::open_task`].
    pub store: usize,
    /// The key.
    pub key: &'a [u8],
    /// The new value, in the store's own form (§3.7: a timestamped one begins with its timestamp).
    pub value: Option<&'a [u8]>,
}

/// The committed state of one task: all its stores, and for each the changelog offset it has reached. It never holds
/// anything that is not committed.
pub trait TaskState: Send {
    /// Appends the value of `key` to `value` and tells whether there is one.
    ///
    /// # Errors
    ///
    /// `TaskCorrupted` when the database is damaged, `Fatal` when the disk fails.
    fn get(&self, store: usize, key: &[u8], value: &mut Vec<u8>) -> Result<bool>;

    /// Tells `found` the value of each of `keys`, by its index; the keys ascend and are different.
    ///
    /// # Errors
    ///
    /// As [`Self::get`].
    fn get_many(&self, store: usize, keys: &[&[u8]], found: &mut dyn FnMut(usize, Option<&[u8]>)) -> Result<()> {
        let mut value = Vec::new();
        for (index, key) in keys.iter().enumerate() {
            value.clear();
            let exists = self.get(store, key, &mut value)?;
            found(index, exists.then_some(value.as_slice()));
        }
        Ok(())
    }

    /// Appends entries of `range` to `page`, ascending by unsigned bytes (or descending), until it holds `entries_max` or `bytes_max`
    /// is passed. A range that is inverted is empty.
    ///
    /// # Errors
    ///
    /// As [`Self::get`].
    fn scan(
        &self,
        store: usize,
        range: &KeyRange,
        descending: bool,
        entries_max: usize,
        bytes_max: usize,
        page: &mut Page,
    ) -> Result<()>;

    /// Roughly how many entries the store has.
    fn approximate_entries(&self, store: usize) -> u64;

    /// Applies `changes` and notes, for each store named in `offsets`, the next changelog offset to read; all or nothing,
    /// also when the process or the machine dies. Changes come sorted by store, then key; a key occurs once in a store.
    ///
    /// # Errors
    ///
    /// `Fatal` when the disk fails; nothing has been applied then.
    fn apply(&mut self, changes: &mut dyn Iterator<Item = StateChange<'_>>, offsets: &[(usize, Offset)]) -> Result<()>;

    /// Applies many changes of one store, which come as for [`Self::apply`], and notes `next`, the next offset to read of its changelog. After a
    /// crash the offset may be behind the changes (they are read again then, and change nothing), but never ahead of them.
    ///
    /// # Errors
    ///
    /// As [`Self::apply`], but some of the changes may have been applied.
    fn apply_many(
        &mut self,
        store: usize,
        changes: &mut dyn Iterator<Item = StateChange<'_>>,
        next: Offset,
    ) -> Result<()> {
        self.apply(changes, &[(store, next)])
    }

    /// Applies changes of one store in the order in which its changelog has them, and notes `next`, the next offset to read. What a restore needs
    /// is less than [`Self::apply`] promises: until [`Self::flush`] none of it need be there, and after a crash the offset may be behind the
    /// changes (they are read again then, and change nothing), but never ahead of them. What is written here serves a state whose `apply` takes
    /// changes in any order.
    ///
    /// # Errors
    ///
    /// As [`Self::apply`].
    fn restore(
        &mut self,
        store: usize,
        changes: &mut dyn Iterator<Item = StateChange<'_>>,
        next: Offset,
    ) -> Result<()> {
        self.apply(changes, &[(store, next)])
    }

    /// The next changelog offset to read, as of the last `apply` or `restore` that is still there; `None` for a store that is new or kept in memory only.
    ///
    /// # Errors
    ///
    /// As [`Self::get`].
    fn changelog_offset(&self, store: usize) -> Result<Option<Offset>>;

    /// Makes everything applied and restored so far readable, and lets it survive a loss of power. Called before a clean close, after a
    /// restore, and when there is nothing to do.
    ///
    /// # Errors
    ///
    /// `Fatal` when the disk fails.
    fn flush(&mut self) -> Result<()>;
}

/// Where the state of tasks is kept.
pub trait StateDirectory {
    /// Opens the state of a task, creating what is missing. Nobody else has it open.
    ///
    /// # Errors
    ///
    /// `TaskCorrupted` when it can't be read and must be wiped; `Retriable` when somebody else still has it open.
    fn open_task(&mut self, task: TaskId, stores: &[StateStoreSpec]) -> Result<Box<dyn TaskState>>;

    /// Deletes the state of a task that is not open.
    ///
    /// # Errors
    ///
    /// `Fatal` when the disk fails.
    fn wipe_task(&mut self, task: TaskId) -> Result<()>;
}

/// Wakes a thread that waits in [`Consumer::wait`]; may be called from any thread.
pub trait Waker: Send + Sync {
    /// Ends the wait, or the next one.
    fn wake(&self);
}
