//! Memory for what a task's turn holds for a moment: the run, and what nodes forward. A stream thread has one, which its tasks take by turns,
//! so that it does not grow with their number.

use crate::context::Forwarded;
use crate::port::Fetched;
use crate::record::RecordBatch;

/// See the file's documentation. What is in it is empty, but has room.
#[derive(Debug, Default)]
pub struct TurnMemory {
    /// For the run.
    pub(super) run: Fetched,
    /// For record queues that have records; each returns it when it is empty.
    pub(super) queues: Vec<Fetched>,
    /// For the nodes.
    pub(super) tree: TreeMemory,
}

/// A stack for the nodes' calls, which are nested: a node keeps what it took until all below it have returned theirs.
#[derive(Debug, Default)]
pub struct TreeMemory {
    forwarded: Vec<Forwarded>,
    batches: Vec<RecordBatch>,
}

impl TreeMemory {
    /// For what a call forwards.
    pub(super) fn take_forwarded(&mut self) -> Forwarded {
        self.forwarded.pop().unwrap_or_default()
    }

    /// Takes back what [`TreeMemory::take_forwarded`] gave.
    pub(super) fn return_forwarded(&mut self, mut forwarded: Forwarded) {
        forwarded.clear();
        self.forwarded.push(forwarded);
    }

    /// For records that are put together.
    pub(super) fn take_batch(&mut self) -> RecordBatch {
        self.batches.pop().unwrap_or_default()
    }

    /// Takes back what [`TreeMemory::take_batch`] gave.
    pub(super) fn return_batch(&mut self, mut batch: RecordBatch) {
        batch.clear();
        self.batches.push(batch);
    }
}
