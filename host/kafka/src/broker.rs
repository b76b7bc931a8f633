//! A stream thread's way to new producers.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use millstream_core::commit::ProcessingGuarantee;
use millstream_core::id::TopicPartition;
use millstream_core::port::{Broker, Producer};
use millstream_core::{Kind, Result};

use crate::config::KafkaConfig;
use crate::error::{During, classify, kind_of, refused};
use crate::native::{NativeError, ProducerClient};
use crate::producer::KafkaProducer;

/// How long one call may wait for the transaction coordinator. The thread asks again until its task time-out.
const INITIALISE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a record may wait for its acknowledgement under at-least-once: Java's `delivery.timeout.ms`.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(120);

/// A record a batch. Few wait at once, so that a commit is done before its transaction has timed out.
const ONE_BY_ONE: [(&str, &str); 3] =
    [("batch.num.messages", "1"), ("queue.buffering.max.messages", "1000"), ("linger.ms", "0")];

/// [`Broker`] on librdkafka.
pub struct KafkaBroker {
    config: KafkaConfig,
    thread: u32,
    /// Set by a producer that the next one is to be careful: see [`KafkaProducer`].
    batch_refused: Arc<AtomicBool>,
}

impl KafkaBroker {
    /// The broker of a stream thread; they count from 1.
    #[must_use]
    pub fn new(config: KafkaConfig, thread: u32) -> Self {
        Self { config, thread, batch_refused: Arc::default() }
    }

    /// Fences the producer before and aborts its transaction; waits while the coordinator is away, loads, or still ends that
    /// transaction.
    fn initialise(&self, client: &ProducerClient) -> Result<()> {
        let start = Instant::now();
        // librdkafka looks for the coordinator at once; when no broker is connected yet, it looks again after half a second only.
        client.await_broker(INITIALISE_TIMEOUT);
        loop {
            let left = INITIALISE_TIMEOUT.saturating_sub(start.elapsed());
            let Err(error) = client.init_transactions(left) else {
                return Ok(());
            };
            let is_worth_waiting = kind_of(error.code, During::Initialising) == Kind::Retriable;
            if let Some(fatal) = client.fatal_error() {
                return Err(self.not_initialised(fatal));
            }
            if !is_worth_waiting || left.is_zero() {
                return Err(self.not_initialised(error));
            }
            tracing::info!(%error, thread = self.thread, "the producer is not ready yet");
            client.poll(Duration::from_millis(100));
        }
    }

    fn not_initialised(&self, error: NativeError) -> millstream_core::Error {
        let id = self.config.transactional_id(self.thread);
        classify(error, During::Initialising, format_args!("initialise the producer of transactional id `{id}`"))
    }
}

impl Broker for KafkaBroker {
    fn producer(&mut self, tracked: &[TopicPartition]) -> Result<Box<dyn Producer>> {
        let topics: BTreeSet<_> = tracked.iter().map(|partition| partition.topic.clone()).collect();
        let mut properties = self.config.producer(self.thread);
        let one_by_one = self.batch_refused.swap(false, Ordering::Relaxed);
        if one_by_one {
            properties.0.extend(ONE_BY_ONE.map(|(name, value)| (name.to_owned(), value.to_owned())));
        }
        let client = ProducerClient::start(&properties.0, topics.into_iter().collect());
        let client = client.map_err(|error| refused(error, "start the producer"))?;
        let timeout = match self.config.guarantee() {
            ProcessingGuarantee::ExactlyOnce => {
                self.initialise(&client)?;
                self.config.transaction_timeout()
            }
            ProcessingGuarantee::AtLeastOnce => DELIVERY_TIMEOUT,
        };
        let batch_refused = (!one_by_one).then(|| Arc::clone(&self.batch_refused));
        Ok(Box::new(KafkaProducer::new(client, timeout, batch_refused)))
    }
}
