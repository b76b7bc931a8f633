//! The broker half of the core's ports, on librdkafka. The only crate that knows rdkafka.
//!
//! # Map
//!
//! | file | what |
//! |---|---|
//! | `config`, `property` | the manifest's `[kafka]` section: what may be set, what the engine decides, one set of properties a client |
//! | `consumer` | [`KafkaConsumer`]: one queue a partition, one bell for all |
//! | `membership` | whose tasks: `solo`, or a static member of a consumer group; the metadata that fences |
//! | `partition` | how far a partition was read: position, end, lag; shared by consumer and changelog reader |
//! | `producer`, `broker` | [`KafkaProducer`], transactional; [`KafkaBroker`] makes a new one when the outcome of the last is unknown |
//! | `changelog_reader` | [`KafkaChangelogReader`]: restores, without a group |
//! | `admin` | [`KafkaAdmin`]: first contact, topics; [`KafkaPurger`] |
//! | `error` | the one table from foreign errors to [`millstream_core::Kind`] |
//! | `log` | librdkafka's log lines to `tracing` |
//! | `native/` | the safe skin over the C interface, one C object a file; nothing else here is unsafe |
//!
//! # Rules
//!
//! - A stream thread has one [`KafkaConsumer`], one [`KafkaBroker`] with its current producer, one [`KafkaChangelogReader`] and one
//!   [`KafkaPurger`]; a process has one [`KafkaAdmin`]. Threads count from 1, as Kafka Streams' do.
//! - Nothing is paused: librdkafka throws a paused partition's records away. A queue that is not taken from fills up to
//!   `queued.max.messages.kbytes`, and fetching stops.
//! - [`wait`](millstream_core::port::Consumer::wait) is woken when an *empty* queue gets something: take first, then wait.
//! - Positions are never librdkafka's stored offsets; see `partition` for why.
//! - A dropped consumer does not leave its group, so that its process can come back; `close(true)` leaves.

mod admin;
mod broker;
mod changelog_reader;
mod config;
mod consumer;
mod defaults;
mod error;
mod log;
mod log_bounds;
mod membership;
#[allow(unsafe_code, reason = "the safe skin over librdkafka's C interface; nothing outside of it is unsafe")]
mod native;
mod partition;
mod producer;
mod property;

pub use admin::{InternalTopic, KafkaAdmin, KafkaPurger};
pub use broker::KafkaBroker;
pub use changelog_reader::KafkaChangelogReader;
pub use config::{ClientProperties, ConfigMistake, ConfigMistakes, KafkaConfig, KafkaSettings};
pub use consumer::KafkaConsumer;
pub use membership::{Membership, TasksOfPartitions};
pub use producer::KafkaProducer;
