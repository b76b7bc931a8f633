//! The memory that all stores of a process share, and how it is divided.
//!
//! Most of it keeps entries in write buffers: one that is found there is a look into a hash table, and one that changes often is
//! rarely written. The databases behind them keep blocks, of which most entries are not asked for (bench/LOG.md has other divisions measured).

const MIB: usize = 1 << 20;

/// See the file's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryBudget {
    /// The bound, in bytes.
    pub bytes_max: usize,
}

impl Default for MemoryBudget {
    /// 320 MiB: about what Kafka Streams would give to four stores.
    fn default() -> Self {
        Self { bytes_max: 320 * MIB }
    }
}

impl MemoryBudget {
    /// What write buffers may keep of committed entries, those of all stream threads together.
    #[must_use]
    pub fn cache_bytes_max(self) -> usize {
        self.bytes_max - self.database_bytes_max()
    }

    /// What the databases may take: cached blocks, indexes, filters, and writes that are not in a file yet.
    #[must_use]
    pub fn database_bytes_max(self) -> usize {
        self.bytes_max / 5
    }
}
