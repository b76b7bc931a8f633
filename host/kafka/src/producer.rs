//! A stream thread's producer, transactional under exactly-once.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use millstream_core::id::{Offset, TaskId, TopicName, TopicPartition};
use millstream_core::port::{CommittedOffset, GroupMetadata, Producer, ProducerRecord};
use millstream_core::record::RecordBatch;
use millstream_core::{Error, Kind, Result};

use crate::error::{During, classify, is_of_batch};
use crate::native::{DeliveryFailure, NativeError, ProducerClient, Queued, Topic};

/// How often delivery reports are served while records are queued.
const RECORDS_PER_POLL: u32 = 1000;
/// How long one look at a full queue lasts: it drains by tens of thousands of records meanwhile.
const FULL_QUEUE_POLL: Duration = Duration::from_millis(1);
/// After so many looks the linger time is cut short: with many partitions no batch may fill up before the queue does. Not sooner: see
/// [`KafkaProducer::flush`].
const LOOKS_BEFORE_FLUSH: u32 = 25;
/// How long a flush may keep librdkafka from waiting for full batches.
const FLUSH_PULSE: Duration = Duration::from_millis(1);
/// How often a flush looks whether records were acknowledged.
const FLUSH_LOOK: Duration = Duration::from_micros(500);
/// How long a flush without acknowledgements waits before it pushes again.
const PATIENCE: RangeInclusive<Duration> = Duration::from_micros(500)..=Duration::from_millis(10);
/// With fewer records under way it waits the shortest time: they are the ends of batches, or those of a partition that had to join the
/// transaction first, and go out at the next push only.
const FEW_RECORDS: i32 = 500;
/// How long an abort waits for the reports of the records that it has thrown away, before they are served: it does not end before.
const ABORT_SLICE: Duration = Duration::from_millis(10);

/// [`Producer`] on librdkafka.
///
/// A broker refuses whole batches, and which record of one was the reason can't be known from librdkafka: all have the same error. Such a
/// producer is given up, and the next one sends each record in a batch of its own, until the record shows itself and its task is stopped.
/// That also carries on, slowly, where a topic takes smaller batches than `batch.size`.
pub struct KafkaProducer {
    client: ProducerClient,
    /// How long a call may take: the transaction's time-out, or under at-least-once the delivery's.
    timeout: Duration,
    records_since_poll: u32,
    /// The longest that the last flush waited from one acknowledgement to the next.
    acknowledged_every: Duration,
    /// Whose records are sent now.
    sender: Option<TaskId>,
    /// To be set when a batch is refused; `None` when there is one record in each.
    batch_refused: Option<Arc<AtomicBool>>,
}

impl KafkaProducer {
    pub(crate) fn new(client: ProducerClient, timeout: Duration, batch_refused: Option<Arc<AtomicBool>>) -> Self {
        Self { client, timeout, records_since_poll: 0, acknowledged_every: Duration::ZERO, sender: None, batch_refused }
    }

    fn topic(&mut self, name: &TopicName) -> Result<Topic> {
        self.client.topic(name).map_err(|error| self.failed(error, format_args!("produce to {name}")))
    }

    fn queue(&mut self, topic: Topic, record: &ProducerRecord<'_>) -> Result<()> {
        match self.client.produce(topic, record, self.sender) {
            Ok(Queued::Yes) => {}
            Ok(Queued::Full) => self.queue_when_there_is_room(topic, record)?,
            Err(error) => return Err(self.failed_to_send(error, record.topic)),
        }
        self.records_since_poll += 1;
        if self.records_since_poll >= RECORDS_PER_POLL {
            self.serve_reports(Duration::ZERO)?;
        }
        Ok(())
    }

    #[cold]
    fn queue_when_there_is_room(&mut self, topic: Topic, record: &ProducerRecord<'_>) -> Result<()> {
        let start = Instant::now();
        let mut looks = 0;
        loop {
            self.serve_reports(FULL_QUEUE_POLL)?;
            match self.client.produce(topic, record, self.sender) {
                Ok(Queued::Yes) => return Ok(()),
                Ok(Queued::Full) => {}
                Err(error) => return Err(self.failed_to_send(error, record.topic)),
            }
            looks += 1;
            if looks % LOOKS_BEFORE_FLUSH == 0 {
                self.client.flush(FULL_QUEUE_POLL);
            }
            if start.elapsed() > self.timeout {
                let topic = record.topic;
                return Err(self.failed(NativeError::timed_out(), format_args!("queue a record for {topic}")));
            }
        }
    }

    /// Serves delivery reports and surfaces the first failure.
    fn serve_reports(&mut self, timeout: Duration) -> Result<()> {
        self.records_since_poll = 0;
        self.client.poll(timeout);
        self.check_deliveries()
    }

    fn check_deliveries(&self) -> Result<()> {
        let Some(DeliveryFailure { partition, sender, error }) = self.client.take_failure() else { return Ok(()) };
        if let Some(refused) = self.batch_refused.as_ref().filter(|_| is_of_batch(error.code)) {
            refused.store(true, Ordering::Relaxed);
            let message =
                format!("{partition} refused a batch: its records are sent again, each alone, to find the one");
            return Err(Error::new(Kind::TaskMigrated, message).caused_by(error));
        }
        // A record of a topic that is missing never got a partition.
        let error = match partition.partition {
            ..0 => self.failed(error, format_args!("send to {}", partition.topic)),
            _ => self.failed(error, format_args!("send to {partition}")),
        };
        Err(match sender {
            Some(task) => error.in_task(task),
            None => error,
        })
    }

    /// Waits as long as records are acknowledged: full batches go out by themselves. Ends when nothing is queued, or when `patience` has passed
    /// without news. Returns the longest wait between two acknowledgements.
    fn wait_while_acknowledged(&self, patience: Duration) -> Duration {
        let mut waiting = self.client.queued();
        let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
        let enough = |waiting, longest: Duration| {
            if waiting < FEW_RECORDS { *PATIENCE.start() } else { patience.max(2 * longest) }
        };
        while waiting > 0 && last.elapsed() < enough(waiting, longest) {
            std::thread::sleep(FLUSH_LOOK);
            self.client.poll(Duration::ZERO);
            let still = self.client.queued();
            if still < waiting {
                longest = longest.max(last.elapsed()).min(*PATIENCE.end() / 2);
                last = Instant::now();
            }
            waiting = still;
        }
        longest
    }

    fn failed_to_send(&self, error: NativeError, topic: &TopicName) -> Error {
        self.cause_or(error, format_args!("send to {topic}"))
    }

    /// A call failed: a record that the broker has refused for good is the reason of whatever a call says that comes after.
    fn cause_or(&self, error: NativeError, doing: impl std::fmt::Display) -> Error {
        self.client.poll(Duration::ZERO);
        match self.check_deliveries() {
            Err(cause) if matches!(cause.kind(), Kind::Fatal | Kind::TaskFailed) => cause,
            _ => self.failed(error, doing),
        }
    }

    /// The reason of an error: what made the producer unusable, or which delivery failed first, says more than the call that
    /// noticed it.
    fn failed(&self, error: NativeError, doing: impl std::fmt::Display) -> Error {
        let error = self.client.fatal_error().unwrap_or(error);
        classify(error, During::Producing, doing)
    }

    fn transaction_call(&self, outcome: Result<(), NativeError>, doing: &str) -> Result<()> {
        outcome.map_err(|error| self.cause_or(error, doing))
    }
}

impl Producer for KafkaProducer {
    fn set_sender(&mut self, task: TaskId) {
        self.sender = Some(task);
    }

    fn begin_transaction(&mut self) -> Result<()> {
        self.transaction_call(self.client.begin_transaction(), "begin a transaction")
    }

    fn send(&mut self, record: ProducerRecord<'_>) -> Result<()> {
        let topic = self.topic(record.topic)?;
        self.queue(topic, &record)
    }

    fn send_batch(&mut self, topic: &TopicName, batch: &RecordBatch, range: std::ops::Range<usize>) -> Result<()> {
        let handle = self.topic(topic)?;
        for index in range {
            let record = batch.record(index);
            let record = ProducerRecord {
                topic,
                partition: None,
                key: record.key,
                value: record.value,
                timestamp: record.timestamp,
                headers: record.headers,
            };
            self.queue(handle, &record)?;
        }
        Ok(())
    }

    /// Sends what waits in pulses, as few as can be. librdkafka has one request of a partition under way, and while it is told to flush, its
    /// thread looks without a pause whether the next may go: with a busy broker that cost several times what all the rest did (bench/LOG.md).
    fn flush(&mut self) -> Result<()> {
        let start = Instant::now();
        let patience = (2 * self.acknowledged_every).clamp(*PATIENCE.start(), *PATIENCE.end());
        self.acknowledged_every = Duration::ZERO;
        loop {
            let is_empty = self.client.flush(FLUSH_PULSE);
            self.check_deliveries()?;
            if is_empty {
                return Ok(());
            }
            if start.elapsed() > self.timeout {
                return Err(self.failed(NativeError::timed_out(), "flush the records sent"));
            }
            self.acknowledged_every = self.acknowledged_every.max(self.wait_while_acknowledged(patience));
        }
    }

    fn last_offset(&self, partition: &TopicPartition) -> Option<Offset> {
        self.client.last_offset(partition)
    }

    fn send_offsets(&mut self, offsets: &[(TopicPartition, CommittedOffset)], group: &GroupMetadata) -> Result<()> {
        if offsets.is_empty() {
            return Ok(());
        }
        let outcome = self.client.send_offsets(offsets, group, self.timeout);
        self.transaction_call(outcome, "add offsets to the transaction")
    }

    fn commit_transaction(&mut self) -> Result<()> {
        self.transaction_call(self.client.commit_transaction(self.timeout), "commit the transaction")?;
        self.check_deliveries()
    }

    fn abort_transaction(&mut self) -> Result<()> {
        let start = Instant::now();
        let outcome = loop {
            // A call that has timed out is continued by the next one.
            let outcome = self.client.abort_transaction(ABORT_SLICE);
            self.client.poll(Duration::ZERO);
            match outcome {
                Err(error) if error.is_timed_out() && start.elapsed() < self.timeout => {}
                outcome => break outcome,
            }
        };
        // The records of an aborted transaction are reported as failed: that is what was asked for.
        let _ = self.client.take_failure();
        outcome.map_err(|error| self.failed(error, "abort the transaction"))
    }
}
