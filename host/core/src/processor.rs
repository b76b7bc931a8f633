//! What runs in a node: processors, whether plugins or native operators, and the functions that plugins supply.

use crate::context::ContextSlot;
use crate::error::ProcessorFailure;
use crate::id::{TaskId, Timestamp};
use crate::record::RecordBatch;
use crate::topology::{FunctionRef, Node};

/// What drives a punctuation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PunctuationType {
    /// The task's stream time: fires only when it advances.
    StreamTime,
    /// Wall-clock time: fires without records, too.
    WallClockTime,
}

/// What is to happen with a record that a processor could not process, by the processor's own answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// Leave it out.
    Skip(String),
    /// Send it to the dead-letter topic.
    DeadLetter(String),
    /// A dependency is not there: try again later. Later records of the batch were not processed.
    Retry(String),
    /// The task must stop. Later records of the batch were not processed.
    Fatal(String),
}

/// A record of a batch that a processor could not process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordFailure {
    /// The record's index in the batch.
    pub index: u32,
    /// What is to happen with it.
    pub reaction: Reaction,
}

/// A live processor of one node in one task. It is called by one thread and lives as long as the task is open; after a
/// failure it is dropped, and a new one is made.
pub trait Processor {
    /// Called once, before the first record, when the task's stores can be used. Records can't be forwarded yet.
    ///
    /// # Errors
    ///
    /// The task can't run.
    fn init(&mut self, _context: &mut ContextSlot) -> Result<(), ProcessorFailure> {
        Ok(())
    }

    /// Processes records in their order; forwards through the context. Returns the records that failed, ascending.
    ///
    /// # Errors
    ///
    /// When the processor ended abnormally.
    fn process(
        &mut self,
        records: &RecordBatch,
        context: &mut ContextSlot,
    ) -> Result<Vec<RecordFailure>, ProcessorFailure>;

    /// Fires the punctuation `id`, at stream time or wall-clock time `timestamp`.
    ///
    /// # Errors
    ///
    /// When the processor ended abnormally or refuses to go on.
    fn punctuate(
        &mut self,
        _id: u32,
        _kind: PunctuationType,
        _timestamp: Timestamp,
        _context: &mut ContextSlot,
    ) -> Result<(), ProcessorFailure> {
        Ok(())
    }

    /// Called at the task's clean end, and before it is replaced. Failures have no consequence and are logged by the implementor.
    fn close(&mut self, _context: &mut ContextSlot) {}

    /// Whether the processor's memory has passed its mark, so that it should be replaced at the next commit.
    fn wants_recycling(&self) -> bool {
        false
    }
}

/// A function of a plugin that tests records; used by `filter`.
pub trait Predicate {
    /// Appends one byte a record to `marks`: not zero when the record passes.
    ///
    /// # Errors
    ///
    /// When the function ended abnormally or refuses to go on.
    fn test(&mut self, records: &RecordBatch, marks: &mut Vec<u8>) -> Result<(), ProcessorFailure>;

    /// As [`Processor::wants_recycling`].
    fn wants_recycling(&self) -> bool {
        false
    }
}

/// The keys that a [`KeySelector`] has chosen, in columns.
#[derive(Clone, Debug, Default)]
pub struct SelectedKeys {
    /// All keys, one after the other; a null key takes no bytes.
    pub keys: Vec<u8>,
    /// Where each key ends.
    pub key_ends: Vec<u32>,
    /// One byte a record, not zero when its key is null; or empty when none is.
    pub nulls: Vec<u8>,
}

impl SelectedKeys {
    /// Removes all keys and keeps the memory.
    pub fn clear(&mut self) {
        self.keys.clear();
        self.key_ends.clear();
        self.nulls.clear();
    }

    /// The key of the record at `index`.
    #[must_use]
    pub fn key(&self, index: usize) -> Option<&[u8]> {
        let start = if index == 0 { 0 } else { self.key_ends[index - 1] as usize };
        let is_null = self.nulls.get(index).is_some_and(|null| *null != 0);
        (!is_null).then(|| &self.keys[start..self.key_ends[index] as usize])
    }
}

/// A function of a plugin that gives records a new key; used by `group-by`.
pub trait KeySelector {
    /// Appends one key a record to `keys`.
    ///
    /// # Errors
    ///
    /// When the function ended abnormally or refuses to go on.
    fn select(&mut self, records: &RecordBatch, keys: &mut SelectedKeys) -> Result<(), ProcessorFailure>;

    /// As [`Processor::wants_recycling`].
    fn wants_recycling(&self) -> bool {
        false
    }
}

/// Makes what plugins contribute to a task. Native operators are the core's own.
pub trait PluginFactory {
    /// Makes the processor of a plugin node.
    ///
    /// # Errors
    ///
    /// When the plugin can't be instantiated.
    fn processor(&mut self, node: &Node, task: TaskId) -> Result<Box<dyn Processor>, ProcessorFailure>;

    /// Makes the predicate of a filter.
    ///
    /// # Errors
    ///
    /// As [`Self::processor`].
    fn predicate(
        &mut self,
        node: &Node,
        function: &FunctionRef,
        task: TaskId,
    ) -> Result<Box<dyn Predicate>, ProcessorFailure>;

    /// Makes the key selector of a `group-by`.
    ///
    /// # Errors
    ///
    /// As [`Self::processor`].
    fn key_selector(
        &mut self,
        node: &Node,
        function: &FunctionRef,
        task: TaskId,
    ) -> Result<Box<dyn KeySelector>, ProcessorFailure>;
}
