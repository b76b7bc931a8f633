//! What a stream thread is told: guarantees, intervals, budgets and policies.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::commit::ProcessingGuarantee;
use crate::id::TopicName;
use crate::limits;

/// What happens when a plugin fails on a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// The task stops; everything else goes on.
    #[default]
    Fail,
    /// The record is dropped.
    Skip,
    /// The record goes to the dead-letter topic, in the same transaction as the rest.
    DeadLetter,
}

/// See the file's documentation.
#[derive(Clone, Debug)]
pub struct StreamThreadSettings {
    /// What the application is promised.
    pub guarantee: ProcessingGuarantee,
    /// The longest time between commits.
    pub commit_interval: Duration,
    /// How long committed changes may wait in memory until the state gets them, so that a key that changes in many commits is written
    /// once. After a crash they are had from the changelog, as all is that the state had not yet flushed.
    pub apply_interval: Duration,
    /// How long nothing must have been processed or committed until tasks give their states everything and forget copies.
    pub rest_after: Duration,
    /// How long an empty input is waited for; `None` turns the waiting off (Kafka Streams' `max.task.idle.ms = -1`).
    pub task_idle_max: Option<Duration>,
    /// Records taken from a partition at once.
    pub buffered_records_max: usize,
    /// Records in a run.
    pub run_records_max: usize,
    /// Whether runs go through nodes as batches where nobody can tell.
    pub batching: bool,
    /// Bytes of uncommitted changes after which the thread commits early.
    pub write_buffer_bytes_max: usize,
    /// Bytes of committed entries that the thread's stores keep in memory together.
    pub cache_bytes_max: usize,
    /// How often consumed records of repartition topics are purged.
    pub purge_interval: Duration,
    /// How long retriable errors are retried before the thread stops.
    pub task_timeout: Duration,
    /// The longest wait for records.
    pub poll_timeout: Duration,
    /// For each plugin what happens when it fails; `Fail` for those not named.
    pub on_error: BTreeMap<String, OnError>,
    /// The dead-letter topic of each plugin that has one.
    pub dead_letter_topics: BTreeMap<String, TopicName>,
}

impl Default for StreamThreadSettings {
    fn default() -> Self {
        Self {
            guarantee: ProcessingGuarantee::ExactlyOnce,
            commit_interval: Duration::from_millis(100),
            apply_interval: Duration::from_secs(10),
            rest_after: Duration::from_secs(5),
            task_idle_max: Some(Duration::ZERO),
            buffered_records_max: limits::RUN_RECORDS_MAX,
            run_records_max: limits::RUN_RECORDS_MAX,
            batching: true,
            write_buffer_bytes_max: 64 * 1024 * 1024,
            cache_bytes_max: 64 * 1024 * 1024,
            purge_interval: Duration::from_secs(30),
            task_timeout: Duration::from_secs(300),
            poll_timeout: Duration::from_millis(100),
            on_error: BTreeMap::new(),
            dead_letter_topics: BTreeMap::new(),
        }
    }
}
