//! Millstream's core: pure, synchronous, deterministic. No I/O, no clock, no randomness, no Kafka, RocksDB or Wasm.

pub mod commit;
pub mod context;
pub mod error;
pub mod id;
pub mod limits;
pub mod offset_metadata;
pub mod operator;
pub mod partitioner;
pub mod port;
pub mod processor;
pub mod punctuation;
pub mod record;
pub mod record_collector;
pub mod store;
pub mod stream_thread;
pub mod task;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod topology;

pub use error::{Error, Kind, Result};
