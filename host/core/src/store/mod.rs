//! State stores: what processors read and write, in front of a task's committed state.
//!
//! Each store has one [`WriteBuffer`]: writes since the last commit live there only, and so do those of the last few commits.
//! The state behind it never holds anything uncommitted. Reads see the buffer first.

mod in_memory;
mod key_order;
mod memory_budget;
mod scan;
mod stores;
mod write_buffer;

pub use in_memory::{InMemoryStateDirectory, InMemoryTaskState};
pub use key_order::key_prefix;
pub use memory_budget::MemoryBudget;
pub use scan::{Cursor, Order};
pub use stores::{StoreError, StoreSettings, Stored, Stores};
pub use write_buffer::{ChangedEntry, WriteBuffer};
