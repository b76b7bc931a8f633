//! Reads changelogs to restore stores: a consumer without a group, each partition on its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use millstream_core::id::{Offset, TopicPartition};
use millstream_core::port::{ChangelogReader, Fetched, LogBounds, Waker};
use millstream_core::{Error, Kind, Result};

use crate::config::KafkaConfig;
use crate::error::{During, classify, kind_of, refused};
use crate::log_bounds;
use crate::native::{Client, LegacyPartition, MessageBuffer, Role, Wakeup};
use crate::partition::Cursor;

/// [`ChangelogReader`] on librdkafka.
pub struct KafkaChangelogReader {
    partitions: BTreeMap<TopicPartition, Reading>,
    /// Of partitions that are started next.
    bounds: BTreeMap<TopicPartition, LogBounds>,
    client: Arc<Client>,
    bell: Arc<Wakeup>,
    buffer: MessageBuffer,
}

struct Reading {
    cursor: Cursor,
    source: LegacyPartition,
}

impl KafkaChangelogReader {
    /// Starts the restoring consumer of a stream thread; they count from 1.
    ///
    /// # Errors
    ///
    /// `Fatal` when librdkafka refuses the properties.
    pub fn new(config: &KafkaConfig, thread: u32) -> Result<Self> {
        let properties = config.restore(thread);
        let client = Client::start(Role::Restoring, &properties.0)
            .map_err(|error| refused(error, "start the restoring consumer"))?;
        Ok(Self {
            partitions: BTreeMap::new(),
            bounds: BTreeMap::new(),
            client,
            bell: Arc::new(Wakeup::default()),
            buffer: MessageBuffer::default(),
        })
    }

    fn bounds(&mut self, partition: &TopicPartition) -> Result<LogBounds> {
        if let Some(bounds) = self.bounds.remove(partition) {
            return Ok(bounds);
        }
        let [bounds] = self.ask_bounds(std::slice::from_ref(partition))?[..] else {
            return Err(Error::fatal(format!("one partition was asked for, {partition}, and not one was told of")));
        };
        Ok(bounds)
    }

    /// Read-uncommitted, so that a pending transaction is waited for.
    fn ask_bounds(&self, partitions: &[TopicPartition]) -> Result<Vec<LogBounds>> {
        log_bounds::ask(&self.client, partitions, false, During::Restoring)
    }

    /// What rings when records of an idle partition arrive.
    #[must_use]
    pub fn waker(&self) -> Arc<dyn Waker> {
        Arc::clone(&self.bell) as Arc<dyn Waker>
    }

    /// Blocks until records arrive or `timeout` has passed. For a thread that does nothing but restore.
    pub fn wait(&mut self, timeout: Duration) {
        self.bell.wait(timeout);
    }
}

impl ChangelogReader for KafkaChangelogReader {
    fn expect(&mut self, partitions: &[TopicPartition]) {
        self.bounds.clear();
        match self.ask_bounds(partitions) {
            Ok(bounds) => self.bounds = partitions.iter().cloned().zip(bounds).collect(),
            // Each is asked for again when it is started.
            Err(error) => tracing::debug!(%error, "where the changelogs begin and end is not known yet"),
        }
    }

    fn start(&mut self, partition: &TopicPartition, from: Option<Offset>) -> Result<Offset> {
        let bounds = self.bounds(partition)?;
        let LogBounds { first, end } = bounds;
        let from = from.unwrap_or(first);
        if !bounds.hold(from) {
            return Err(Error::new(
                Kind::TaskCorrupted,
                format!(
                    "can't restore from {partition} at offset {from}: the log holds {first} to {end}; the state is wiped"
                ),
            ));
        }
        self.partitions.remove(partition);
        let source = LegacyPartition::start(&self.client, partition, from, &self.bell)
            .map_err(|error| classify(error, During::Restoring, format_args!("restore from {partition}")))?;
        self.partitions.insert(partition.clone(), Reading { cursor: Cursor::at(from), source });
        Ok(end)
    }

    fn take(&mut self, partition: &TopicPartition, records_max: usize, into: &mut Fetched) -> Result<usize> {
        let Some(reading) = self.partitions.get_mut(partition) else {
            return Err(Error::fatal(format!("{partition} is not being restored; start it before it is read")));
        };
        match reading.cursor.take(reading.source.queue(), records_max, &mut self.buffer, into) {
            Ok(taken) => Ok(taken),
            // librdkafka goes on by itself.
            Err(error) if kind_of(error.code, During::Restoring) == Kind::Retriable => {
                tracing::warn!(%error, %partition, "restoring is interrupted");
                Ok(0)
            }
            Err(error) => Err(classify(error, During::Restoring, format_args!("restore from {partition}"))),
        }
    }

    fn position(&self, partition: &TopicPartition) -> Option<Offset> {
        let reading = self.partitions.get(partition)?;
        Some(reading.cursor.position(&self.client, partition))
    }

    fn stop(&mut self, partition: &TopicPartition) {
        self.partitions.remove(partition);
    }
}
