//! Collects what a stream thread produces, in one transaction at a time under exactly-once.

use std::ops::Range;

use crate::error::{Error, Kind, Result};
use crate::id::{Offset, TaskId, TopicName, TopicPartition};
use crate::port::{CommittedOffset, GroupMetadata, Producer, ProducerRecord};
use crate::record::RecordBatch;

/// A producer, and whether its transaction is open. The transaction begins with the first record, not before: an
/// open one would hold back every reader of what it touched (KAFKA-6634).
pub struct RecordCollector {
    producer: Option<Box<dyn Producer>>,
    transactional: bool,
    in_transaction: bool,
    /// Whether a record since the last commit may not have reached the broker, so that nothing may be committed.
    has_lost_records: bool,
    records_sent: u64,
}

impl RecordCollector {
    /// A collector without a producer.
    #[must_use]
    pub fn new(transactional: bool) -> Self {
        Self { producer: None, transactional, in_transaction: false, has_lost_records: false, records_sent: 0 }
    }

    /// Takes a new producer, which has fenced the former one.
    pub fn set_producer(&mut self, producer: Box<dyn Producer>) {
        self.producer = Some(producer);
        self.in_transaction = false;
        self.has_lost_records = false;
    }

    /// Drops the producer: the outcome of its transaction is unknown, so it must not be used again (KIP-890).
    pub fn drop_producer(&mut self) {
        self.producer = None;
        self.in_transaction = false;
    }

    /// Whether there is a producer.
    #[must_use]
    pub fn has_producer(&self) -> bool {
        self.producer.is_some()
    }

    /// Whether a transaction is open.
    #[must_use]
    pub fn in_transaction(&self) -> bool {
        self.in_transaction
    }

    /// Whether work since the last commit must be abandoned after an error: a transaction is open, or a record may be lost. A producer tells
    /// of a lost record once only, so that the next flush would succeed without it.
    #[must_use]
    pub fn must_abandon(&self) -> bool {
        self.in_transaction || self.has_lost_records
    }

    /// The number of records sent so far, changelog records included.
    #[must_use]
    pub fn records_sent(&self) -> u64 {
        self.records_sent
    }

    fn open(&mut self) -> Result<&mut dyn Producer> {
        let producer = self.producer.as_mut().ok_or_else(no_producer)?;
        if self.transactional && !self.in_transaction {
            producer.begin_transaction()?;
            self.in_transaction = true;
        }
        Ok(producer.as_mut())
    }

    /// The records sent from now on are those of `task`.
    pub fn set_sender(&mut self, task: TaskId) {
        if let Some(producer) = &mut self.producer {
            producer.set_sender(task);
        }
    }

    /// Sends one record.
    ///
    /// # Errors
    ///
    /// See [`Producer::send`].
    pub fn send(&mut self, record: ProducerRecord<'_>) -> Result<()> {
        let sent = self.open()?.send(record);
        self.has_lost_records |= sent.is_err();
        self.records_sent += u64::from(sent.is_ok());
        sent
    }

    /// Sends the records `range` of a batch to one topic.
    ///
    /// # Errors
    ///
    /// See [`Producer::send_batch`].
    pub fn send_batch(&mut self, topic: &TopicName, batch: &RecordBatch, range: Range<usize>) -> Result<()> {
        let count = range.len() as u64;
        if count > 0 {
            let sent = self.open()?.send_batch(topic, batch, range);
            self.has_lost_records |= sent.is_err();
            sent?;
            self.records_sent += count;
        }
        Ok(())
    }

    /// Waits until everything sent is acknowledged.
    ///
    /// # Errors
    ///
    /// See [`Producer::flush`].
    pub fn flush(&mut self) -> Result<()> {
        let flushed = self.producer.as_mut().ok_or_else(no_producer)?.flush();
        self.has_lost_records |= flushed.is_err();
        flushed
    }

    /// Adds consumed positions to the transaction, opening one if records had no output.
    ///
    /// # Errors
    ///
    /// See [`Producer::send_offsets`].
    pub fn send_offsets(&mut self, offsets: &[(TopicPartition, CommittedOffset)], group: &GroupMetadata) -> Result<()> {
        self.open()?.send_offsets(offsets, group)
    }

    /// Commits the transaction, if one is open.
    ///
    /// # Errors
    ///
    /// See [`Producer::commit_transaction`].
    pub fn commit_transaction(&mut self) -> Result<()> {
        if self.in_transaction {
            self.producer.as_mut().ok_or_else(no_producer)?.commit_transaction()?;
            self.in_transaction = false;
        }
        Ok(())
    }

    /// Gives up what was sent since the last commit: aborts the transaction, if one is open. When even that fails the producer is dropped: the next one aborts it.
    pub fn abort_transaction(&mut self) {
        self.has_lost_records = false;
        let Some(producer) = self.producer.as_mut().filter(|_| self.in_transaction) else {
            return;
        };
        match producer.abort_transaction() {
            Ok(()) => self.in_transaction = false,
            Err(error) => {
                tracing::warn!(%error, "the transaction could not be aborted; the next producer fences it");
                self.drop_producer();
            }
        }
    }

    /// The offset of the last record acknowledged in a changelog partition.
    #[must_use]
    pub fn last_offset(&self, partition: &TopicPartition) -> Option<Offset> {
        self.producer.as_ref()?.last_offset(partition)
    }
}

fn no_producer() -> Error {
    Error::new(Kind::TaskMigrated, "the producer was given up, its tasks restart with a new one")
}
