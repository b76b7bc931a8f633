//! The memory that an instance may take.

use wasmtime::ResourceLimiter;

use crate::limits::{INSTANCES_MAX, MEMORIES_MAX, TABLE_ENTRIES_MAX, TABLES_MAX};

/// Counts an instance's memory and refuses more than its bound.
#[derive(Debug)]
pub(crate) struct MemoryLimiter {
    bytes: usize,
    bytes_max: usize,
    /// What the guest asked for and was refused, in the call that runs.
    refused: Option<usize>,
}

impl MemoryLimiter {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes: 0, bytes_max, refused: None }
    }

    /// Bytes of all linear memories. They never shrink.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The bytes that were refused since the last call of this function.
    pub(crate) fn take_refused(&mut self) -> Option<usize> {
        self.refused.take()
    }
}

impl ResourceLimiter for MemoryLimiter {
    /// Refusing is an answer that guests can handle (collect garbage, say); if they die of it, the trap is told to be
    /// the limit's.
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let total = (self.bytes - current.min(self.bytes)).saturating_add(desired);
        if total > self.bytes_max {
            self.refused = Some(total);
            return Ok(false);
        }
        self.bytes = total;
        Ok(true)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ENTRIES_MAX)
    }

    fn instances(&self) -> usize {
        INSTANCES_MAX
    }

    fn tables(&self) -> usize {
        TABLES_MAX
    }

    fn memories(&self) -> usize {
        MEMORIES_MAX
    }
}
