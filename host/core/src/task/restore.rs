//! Restoring: a task's stores are filled from their changelogs, in batches, while the thread's other tasks work.
//!
//! It begins after the changelog offset that the state has reached, and ends when the reader's *position* has reached the log's end
//! at the start, pending transactions included (reference §4.5, §4.6).

use crate::error::{Error, Kind, Result};
use crate::id::{Offset, TaskId, TopicPartition};
use crate::limits;
use crate::port::{ChangelogReader, Fetched, StateChange};
use crate::record::RecordBatch;
use crate::store::Stores;

#[derive(Debug)]
struct StoreRestore {
    store: usize,
    changelog: TopicPartition,
    timestamped: bool,
    end: Offset,
    restored: u64,
}

/// The restore of one task.
#[derive(Debug)]
pub struct TaskRestore {
    task: TaskId,
    pending: Vec<StoreRestore>,
    fetched: Fetched,
    stamped: Stamped,
    restored: u64,
}

impl TaskRestore {
    /// Starts to read the changelogs of the logged stores.
    ///
    /// # Errors
    ///
    /// `TaskCorrupted` when the state lies outside of its changelog; `Retriable` while a leader is away.
    pub fn start(task: TaskId, stores: &mut Stores, reader: &mut dyn ChangelogReader) -> Result<Self> {
        let mut restore =
            Self { task, pending: Vec::new(), fetched: Fetched::default(), stamped: Stamped::default(), restored: 0 };
        for store in 0..stores.len() {
            let settings = stores.settings(store).clone();
            let Some(changelog) = settings.changelog else { continue };
            let from = stores.state_mut().changelog_offset(store)?;
            let end = match reader.start(&changelog, from) {
                Ok(end) => end,
                Err(error) => {
                    restore.stop(reader);
                    return Err(error.in_task(task));
                }
            };
            tracing::info!(%task, store = %settings.name, ?from, %end, "restoring");
            let timestamped = settings.timestamped;
            restore.pending.push(StoreRestore { store, changelog, timestamped, end, restored: 0 });
        }
        Ok(restore)
    }

    /// Begins again after [`Self::stop`], behind what was read. That still waits to be made complete, also when nothing is left to read.
    ///
    /// # Errors
    ///
    /// As [`Self::start`].
    pub fn resume(&mut self, stores: &mut Stores, reader: &mut dyn ChangelogReader) -> Result<()> {
        *self = Self { restored: self.restored, ..Self::start(self.task, stores, reader)? };
        Ok(())
    }

    /// Applies what the reader has fetched, and tells whether all stores are complete.
    ///
    /// # Errors
    ///
    /// `TaskCorrupted` when the changelog no longer holds what is missing, `Fatal` when the disk fails.
    pub fn step(&mut self, stores: &mut Stores, reader: &mut dyn ChangelogReader) -> Result<bool> {
        let mut index = 0;
        while index < self.pending.len() {
            let store = &mut self.pending[index];
            self.fetched.clear();
            let count = reader.take(&store.changelog, limits::RESTORE_RECORDS_MAX, &mut self.fetched)?;
            if count > 0 {
                hand_over(store, &self.fetched, &mut self.stamped, stores)?;
                self.restored += count as u64;
            }
            if reader.position(&store.changelog).is_some_and(|position| position >= store.end) {
                let name = &stores.settings(store.store).name;
                tracing::info!(task = %self.task, store = %name, records = store.restored, "restored");
                note_end(store, stores)?;
                reader.stop(&store.changelog);
                self.pending.remove(index);
            } else {
                index += 1;
            }
        }
        let done = self.pending.is_empty();
        if done && self.restored > 0 {
            stores.state_mut().flush()?;
        }
        Ok(done)
    }

    /// The changelog records applied so far.
    #[must_use]
    pub fn restored(&self) -> u64 {
        self.restored
    }

    /// Ends the restore before it is complete; what was applied stays.
    pub fn stop(&mut self, reader: &mut dyn ChangelogReader) {
        for store in self.pending.drain(..) {
            reader.stop(&store.changelog);
        }
    }
}

/// A store whose changelog had nothing new has no offset yet; without one the next start would read from the beginning.
fn note_end(store: &StoreRestore, stores: &mut Stores) -> Result<()> {
    let state = stores.state_mut();
    if store.restored == 0 && state.changelog_offset(store.store)?.is_none() {
        state.apply(&mut std::iter::empty(), &[(store.store, store.end)])?;
    }
    Ok(())
}

/// Hands one batch to the store, with the offset reached.
fn hand_over(store: &mut StoreRestore, fetched: &Fetched, stamped: &mut Stamped, stores: &mut Stores) -> Result<()> {
    let Fetched { records, offsets } = fetched;
    let next = offsets.last().map(|last| last.next());
    let next = next.ok_or_else(|| Error::new(Kind::Fatal, "a changelog batch has records without offsets"))?;
    if store.timestamped {
        stamped.fill(records);
    }
    let mut changes = (0..records.len()).filter_map(|index| {
        // Records without a key are never written to a changelog; foreign ones are passed over, as Kafka Streams does.
        let key = records.key(index)?;
        let value = records.value(index);
        let value = if store.timestamped { value.map(|_| stamped.value(index)) } else { value };
        Some(StateChange { store: store.store, key, value })
    });
    stores.state_mut().restore(store.store, &mut changes, next)?;
    store.restored += records.len() as u64;
    Ok(())
}

/// The values of a batch in the form of a timestamped store: the record's timestamp in front of the value (reference §3.4).
#[derive(Debug, Default)]
struct Stamped {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Stamped {
    fn fill(&mut self, records: &RecordBatch) {
        self.bytes.clear();
        self.ends.clear();
        for index in 0..records.len() {
            if let Some(value) = records.value(index) {
                self.bytes.extend_from_slice(&records.timestamp(index).to_be_bytes());
                self.bytes.extend_from_slice(value);
            }
            self.ends.push(self.bytes.len());
        }
    }

    fn value(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..self.ends[index]]
    }
}
