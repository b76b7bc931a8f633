//! The broker half of the core's ports, on librdkafka. The only crate that knows rdkafka.

mod admin;
mod broker;
mod changelog_reader;
mod config;
mod consumer;
mod error;
mod log;
mod membership;
#[allow(unsafe_code, reason = "the safe skin over librdkafka's C interface; nothing outside of it is unsafe")]
mod native;
mod partition;
mod producer;
mod property;

pub use admin::{InternalTopic, KafkaAdmin, KafkaPurger};
pub use broker::KafkaBroker;
pub use changelog_reader::KafkaChangelogReader;
pub use config::{ClientProperties, ConfigMistake, ConfigMistakes, Guarantee, KafkaConfig, KafkaSettings};
pub use consumer::KafkaConsumer;
pub use membership::{Membership, TasksOfPartitions};
pub use producer::KafkaProducer;
