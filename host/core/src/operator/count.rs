//! `count`: how many records each key has had.
//!
//! Records without key or value are dropped; a result has the higher of the record's and the old count's timestamp, and
//! the record's headers (reference §1.2, §4.8). Counts are 8 bytes, big-endian, as Kafka's `LongSerializer` writes them.

use crate::context::{ContextSlot, TaskContext};
use crate::error::{Error, FailureCause, ProcessorFailure};
use crate::processor::{Processor, RecordFailure};
use crate::record::{Record, RecordBatch};

/// See the file's documentation.
#[derive(Debug)]
pub struct Count {
    store: usize,
    old: Vec<u8>,
}

impl Count {
    /// Counts in the task's store with index `store`.
    #[must_use]
    pub fn new(store: usize) -> Self {
        Self { store, old: Vec::new() }
    }

    fn count(&mut self, context: &mut TaskContext, record: Record<'_>, index: usize) -> Result<(), ProcessorFailure> {
        let (Some(key), Some(_)) = (record.key, record.value) else {
            context.dropped_records += 1;
            return Ok(());
        };
        self.old.clear();
        let found = context.stores.get(self.store, key, &mut self.old).map_err(|error| unreadable(&error))?;
        let (old, timestamp) = match found {
            None => (0, record.timestamp),
            Some(stored) => {
                let bytes = self.old.as_slice().try_into();
                let bytes = bytes.map_err(|_| not_a_count(context, self.store, self.old.len()))?;
                (i64::from_be_bytes(bytes), record.timestamp.max(stored.timestamp))
            }
        };
        let new = old.wrapping_add(1).to_be_bytes();
        let put = context.stores.put(self.store, key, Some(&new), timestamp);
        put.map_err(|error| ProcessorFailure::native(FailureCause::Limit, error.to_string()))?;
        context.forward_record(Record { value: Some(&new), timestamp, ..record }, index);
        Ok(())
    }
}

impl Processor for Count {
    fn process(
        &mut self,
        records: &RecordBatch,
        context: &mut ContextSlot,
    ) -> Result<Vec<RecordFailure>, ProcessorFailure> {
        let keys = records.iter().filter(|record| record.value.is_some()).filter_map(|record| record.key);
        context.stores.read_ahead(self.store, keys).map_err(|error| unreadable(&error))?;
        for (index, record) in records.iter().enumerate() {
            self.count(context, record, index).map_err(|failure| failure.at(index))?;
        }
        Ok(Vec::new())
    }
}

fn unreadable(error: &Error) -> ProcessorFailure {
    ProcessorFailure::native(FailureCause::Host, error.to_string())
}

fn not_a_count(context: &TaskContext, store: usize, bytes: usize) -> ProcessorFailure {
    let name = &context.stores.settings(store).name;
    let reason = format!(
        "store `{name}` holds a value of {bytes} bytes where a count of 8 bytes is expected: \
         give the operator a store, or an application id, of its own"
    );
    ProcessorFailure::native(FailureCause::Answer, reason)
}
