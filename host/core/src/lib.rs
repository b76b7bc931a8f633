//! Millstream's core: pure, synchronous, deterministic. No I/O, no clock, no randomness, no Kafka, RocksDB or Wasm.

pub mod error;
pub mod id;
pub mod partitioner;
pub mod port;
pub mod record;
pub mod topology;

pub use error::{Error, Kind, Result};
