//! The broker half of the core's ports, on librdkafka. The only crate that knows rdkafka.

mod config;
mod error;
mod log;
#[allow(unsafe_code, reason = "the safe skin over librdkafka's C interface; nothing outside of it is unsafe")]
mod native;
mod property;

pub use config::{ClientProperties, ConfigMistake, ConfigMistakes, Guarantee, KafkaConfig, KafkaSettings};
