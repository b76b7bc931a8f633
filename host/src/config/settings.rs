//! The settings of an application: small structs that each part of the host takes its own of.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use millstream_core::id::TopicName;
use millstream_core::store::MemoryBudget;
use millstream_core::stream_thread::{OnError, StreamThreadSettings};

use super::secret::KafkaProperties;

/// Everything that a manifest says, except the topology.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The consumer group, and the prefix of internal topics and transactional ids.
    pub application_id: String,
    /// Who decides which process runs which task.
    pub group_protocol: GroupProtocol,
    /// How many stream threads this process runs; at least 1.
    pub stream_threads: usize,
    /// What each of them is told.
    pub stream_thread: StreamThreadSettings,
    /// Where and how state is kept.
    pub state: StateSettings,
    /// The `[kafka]` table.
    pub kafka: KafkaProperties,
    /// How long the broker keeps a transaction of a process that is gone.
    pub transaction_timeout: Duration,
    /// How internal topics are made.
    pub internal_topics: InternalTopicSettings,
    /// The plugins, by name.
    pub plugins: BTreeMap<String, PluginSettings>,
}

/// Who decides which process runs which task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum GroupProtocol {
    /// The consumer group of the application's id.
    Consumer,
    /// Nobody: this process runs all tasks.
    Solo,
}

/// Where and how state is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateSettings {
    /// The folder in which the application has a folder named after its id.
    pub directory: PathBuf,
    /// What all stores of the process share.
    pub memory: MemoryBudget,
}

/// How internal topics are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InternalTopicSettings {
    /// The number of replicas; `None` takes the broker's default.
    pub replication_factor: Option<i32>,
    /// Topic configurations of all of them.
    pub configs: BTreeMap<String, String>,
}

/// What a plugin is and may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginSettings {
    /// The component's file.
    pub component: PathBuf,
    /// The digest that it must have, as 64 lower-case hexadecimal digits.
    pub digest: Option<String>,
    /// The memory of one instance, in bytes.
    pub memory_bytes_max: u64,
    /// How long one call may take.
    pub deadline: Duration,
    /// What happens when it fails on a record.
    pub on_error: OnError,
    /// Where records go that it can't process: its own topic, or the application's.
    pub dead_letter_topic: Option<TopicName>,
}

/// One value that is in force, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectiveSetting {
    /// Where it belongs, such as `application` or `plugins.words`.
    pub table: String,
    /// Its key.
    pub key: String,
    /// Its value as it would be written; secrets are hidden.
    pub value: String,
    /// The line of the manifest, or `default`, or the option of the command line.
    pub origin: String,
    /// Line and column in the manifest, if it is written there.
    pub place: Option<(usize, usize)>,
}
