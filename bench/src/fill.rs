//! Fills input topics, each once: a topic that has its records already is taken as it is, also by a later run.

use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Result, bail};
use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};

use crate::cluster::{self, Cluster};
use crate::data::Records;
use crate::workload::{Data, Workload};

/// How long the last records may take to be acknowledged.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(120);
/// Part of the topics' names: to be raised when the same numbers give other records.
const VERSION: u32 = 1;

/// The input topic of a workload, filled.
///
/// # Errors
///
/// When the broker refuses.
pub fn input_topic(cluster: &Cluster, workload: &Workload) -> Result<String> {
    let Workload { data, records, partitions, .. } = workload;
    let shape = match data {
        Data::Keyed { keys, value_bytes } => format!("keyed-{keys}-{value_bytes}"),
        Data::EachKeyOnce { value_bytes } => format!("each-key-once-{value_bytes}"),
        Data::Json => "json".to_owned(),
        Data::Lines => "lines".to_owned(),
    };
    let topic = format!("input-v{VERSION}-{shape}-{records}-{partitions}");
    if cluster.partitions_of(&topic)?.is_some() {
        if cluster.committed_end(&topic, *partitions)? == records.cast_signed() {
            return Ok(topic);
        }
        // A run before was interrupted while it filled it.
        cluster.delete_topics(&topic)?;
    }
    cluster.create_topic(&topic, *partitions)?;
    fill(cluster, workload, &topic)?;
    let end = cluster.committed_end(&topic, *partitions)?;
    if end != records.cast_signed() {
        bail!("{topic} has {end} records of {records}");
    }
    Ok(topic)
}

fn fill(cluster: &Cluster, workload: &Workload, topic: &str) -> Result<()> {
    let mut records = Records::new(workload.data, workload.records);
    let mut writer = Writer::new(&cluster.bootstrap, topic)?;
    let mut number = 0;
    while let Some(timestamp) = records.advance() {
        // What has no key goes round.
        let partition = records.key.is_empty().then_some(number % workload.partitions);
        writer.send(&records.key, &records.value, timestamp, partition)?;
        number = number.wrapping_add(1) & i32::MAX;
    }
    writer.flush()
}

/// Remembers the first record that was refused.
#[derive(Default)]
struct Refusals(OnceLock<KafkaError>);

impl ClientContext for Refusals {}

impl ProducerContext for Refusals {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            // Later ones have the same reason, or follow from it.
            let _ = self.0.set(error.clone());
        }
    }
}

/// Writes records to one topic, placed by Java's partitioner.
pub struct Writer {
    topic: String,
    producer: BaseProducer<Refusals>,
}

impl Writer {
    /// A writer to `topic`.
    ///
    /// # Errors
    ///
    /// When there can't be one.
    pub fn new(bootstrap: &str, topic: &str) -> Result<Self> {
        let mut config = cluster::config(bootstrap);
        config.set("partitioner", "murmur2_random").set("enable.idempotence", "true").set("linger.ms", "20");
        Ok(Self { topic: topic.to_owned(), producer: config.create_with_context(Refusals::default())? })
    }

    /// Queues a record; waits while the queue is full. An empty key is none.
    ///
    /// # Errors
    ///
    /// When it can't be queued.
    pub fn send(&mut self, key: &[u8], value: &[u8], timestamp: i64, partition: Option<i32>) -> Result<()> {
        let mut queued: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&self.topic).payload(value).timestamp(timestamp);
        queued.key = (!key.is_empty()).then_some(key);
        queued.partition = partition;
        while let Err((error, again)) = self.producer.send(queued) {
            if !matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)) {
                return Err(error.into());
            }
            self.producer.poll(Duration::from_millis(10));
            queued = again;
        }
        Ok(())
    }

    /// Waits until everything is acknowledged.
    ///
    /// # Errors
    ///
    /// When it is not.
    pub fn flush(&mut self) -> Result<()> {
        self.producer.flush(FLUSH_TIMEOUT)?;
        match self.producer.context().0.get() {
            None => Ok(()),
            Some(error) => bail!("a record for {} was refused: {error}", self.topic),
        }
    }
}
