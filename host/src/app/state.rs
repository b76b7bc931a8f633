//! Where the tasks' state is kept: RocksDB in a directory, or memory.

use std::path::Path;

use millstream_core::port::StateDirectory;
use millstream_core::store::{InMemoryStateDirectory, MemoryBudget};
#[cfg(feature = "rocksdb")]
use millstream_state::RocksStateDirectory;

use crate::failure::Failure;

/// A state directory that the stream threads of a process share.
#[derive(Clone)]
pub(super) enum State {
    /// Nothing survives the process; changelogs restore it.
    InMemory(InMemoryStateDirectory),
    /// RocksDB.
    #[cfg(feature = "rocksdb")]
    OnDisk(RocksStateDirectory),
}

impl State {
    /// State in memory.
    pub(super) fn in_memory() -> Self {
        Self::InMemory(InMemoryStateDirectory::default())
    }

    /// State in the folder of `application_id` below `directory`.
    #[cfg(feature = "rocksdb")]
    pub(super) fn on_disk(directory: &Path, application_id: &str, memory: MemoryBudget) -> Result<Self, Failure> {
        Ok(Self::OnDisk(RocksStateDirectory::open(directory, application_id, memory)?))
    }

    /// A program without RocksDB keeps state in memory, and says so.
    #[cfg(not(feature = "rocksdb"))]
    pub(super) fn on_disk(_directory: &Path, _application_id: &str, _memory: MemoryBudget) -> Result<Self, Failure> {
        tracing::warn!("this program was built without RocksDB: stores are kept in memory");
        Ok(Self::in_memory())
    }

    /// Who this process is, over restarts, if its state says so.
    #[cfg(feature = "kafka")]
    pub(super) fn process_id(&self) -> Option<String> {
        match self {
            Self::InMemory(_) => None,
            #[cfg(feature = "rocksdb")]
            Self::OnDisk(directory) => Some(directory.process_id()),
        }
    }

    /// The directory for one thread.
    pub(super) fn directory(&self) -> Box<dyn StateDirectory> {
        match self {
            Self::InMemory(directory) => Box::new(directory.clone()),
            #[cfg(feature = "rocksdb")]
            Self::OnDisk(directory) => Box::new(directory.clone()),
        }
    }
}
