//! The embedded log: Kafka's topics, transactions and consumer groups inside one process, for dev mode, the topology
//! driver and tests.
//!
//! It answers the ports of `millstream_core::port` as a broker would: markers take an offset, an open transaction
//! holds back read-committed readers, a new producer with a transactional id fences the former one. Any number of
//! threads of one process share it. What it leaves out: replication, retention by time of `cleanup.policy=delete`
//! topics (purging removes records), idempotence (there is no network that repeats a request) and more than one
//! process.

mod broker;
mod changelog_reader;
mod compaction;
mod consumer;
mod contents;
mod group;
mod log;
mod membership;
mod partition;
mod producer;
mod storage;
mod topic;
mod transaction;

pub use broker::{EmbeddedBroker, EmbeddedPurger};
pub use changelog_reader::EmbeddedChangelogReader;
pub use consumer::{ConsumerOptions, EmbeddedConsumer, EmbeddedWaker};
pub use log::{EmbeddedLog, GroupOffsets, Recovery, TopicDescription};
pub use membership::MembershipHandle;
pub use partition::Isolation;
pub use producer::EmbeddedProducer;
pub use storage::{Fsync, StorageOptions};
