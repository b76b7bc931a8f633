//! The real broker, on cores of its own: topics, what is committed in them, and their contents.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use futures_executor::block_on;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication, TopicResult};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{Offset, TopicPartitionList};

/// How long the broker may take to answer: on a busy machine one has stood still for 38 s.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(90);

/// See the file's documentation. Dropping it stops the broker, and keeps its data for the next run.
pub struct Cluster {
    script: PathBuf,
    directory: PathBuf,
    /// The address for clients.
    pub bootstrap: String,
    admin: AdminClient<DefaultClientContext>,
    watch: BaseConsumer,
}

impl Cluster {
    /// Starts the broker of `directory`, or takes up the one that was there, on the given cores.
    ///
    /// # Errors
    ///
    /// When it does not come up.
    pub fn start(checkout: &Path, directory: &Path, cores: &str) -> Result<Self> {
        let script = checkout.join("tests/kafka/broker.sh");
        let mut command = Command::new("taskset");
        command.args(["-c", cores]).arg(&script).args(["start", "--port", "auto", "--quick", "--heap", "1g", "--dir"]);
        // What one engine has written is gone before the next one needs the room.
        command.arg(directory).args(["--set", "log.segment.delete.delay.ms=1000"]);
        command.args(["--with-process", &std::process::id().to_string()]);
        let output = command.output().context("can't run `taskset`; run `.ci/install bench`")?;
        if !output.status.success() {
            bail!("the broker does not start: {}", String::from_utf8_lossy(&output.stderr));
        }
        let bootstrap = String::from_utf8(output.stdout)?.trim().to_owned();
        let admin = config(&bootstrap).create()?;
        let watch = reading(&bootstrap, "read_committed").create()?;
        Ok(Self { script, directory: directory.to_owned(), bootstrap, admin, watch })
    }

    /// Creates a topic that keeps records of any age.
    ///
    /// # Errors
    ///
    /// When the broker refuses.
    pub fn create_topic(&self, name: &str, partitions: i32) -> Result<()> {
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1)).set("retention.ms", "-1");
        let outcomes = block_on(self.admin.create_topics([&topic], &AdminOptions::new()))?;
        check(outcomes, "created", RDKafkaErrorCode::TopicAlreadyExists)?;
        // The broker tells of a new topic a moment later.
        let start = Instant::now();
        while self.partitions_of(name)? != Some(partitions) {
            if start.elapsed() > ANSWER_TIMEOUT {
                bail!("topic {name} was created and does not appear");
            }
        }
        Ok(())
    }

    /// Deletes every topic whose name begins with `prefix`.
    ///
    /// # Errors
    ///
    /// When the broker refuses.
    pub fn delete_topics(&self, prefix: &str) -> Result<()> {
        let metadata = self.watch.fetch_metadata(None, ANSWER_TIMEOUT)?;
        let names: Vec<&str> =
            metadata.topics().iter().map(|topic| topic.name()).filter(|name| name.starts_with(prefix)).collect();
        if names.is_empty() {
            return Ok(());
        }
        let outcomes = block_on(self.admin.delete_topics(&names, &AdminOptions::new()))?;
        check(outcomes, "deleted", RDKafkaErrorCode::UnknownTopicOrPartition)
    }

    /// The number of partitions of a topic; `None` when it is not there.
    ///
    /// # Errors
    ///
    /// When the broker does not answer.
    pub fn partitions_of(&self, topic: &str) -> Result<Option<i32>> {
        let metadata = self.watch.fetch_metadata(Some(topic), ANSWER_TIMEOUT)?;
        let count = metadata.topics().first().map(|topic| topic.partitions().len());
        Ok(count.filter(|count| *count > 0).map(|count| count as i32))
    }

    /// The sum of the partitions' stable ends: it grows when something is committed.
    ///
    /// # Errors
    ///
    /// When the broker does not answer.
    pub fn committed_end(&self, topic: &str, partitions: i32) -> Result<i64> {
        Ok(self.stable_ends(topic, partitions)?.iter().sum())
    }

    /// One request for all partitions: a request for each of hundreds would be most of what the broker does.
    fn stable_ends(&self, topic: &str, partitions: i32) -> Result<Vec<i64>> {
        let mut asked = TopicPartitionList::new();
        for partition in 0..partitions {
            asked.add_partition_offset(topic, partition, Offset::End)?;
        }
        let start = Instant::now();
        loop {
            let answer = self.watch.offsets_for_times(asked.clone(), ANSWER_TIMEOUT);
            match answer.map_err(anyhow::Error::from).and_then(|ends| offsets_of(&ends)) {
                Ok(ends) => return Ok(ends),
                // A new topic's leaders are known a moment later.
                Err(error) if start.elapsed() > ANSWER_TIMEOUT => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    /// Shows each committed record of a topic to `visit`, up to the end that the topic has now; partitions interleave.
    ///
    /// # Errors
    ///
    /// When the topic can't be read.
    pub fn read(&self, topic: &str, partitions: i32, mut visit: impl FnMut(&BorrowedMessage<'_>)) -> Result<()> {
        let mut reader = self.reader(topic, partitions)?;
        while reader.at_end.iter().any(|at_end| !at_end) {
            reader.poll(ANSWER_TIMEOUT, &mut visit)?;
        }
        Ok(())
    }

    /// Reads a topic's committed records from its beginning.
    ///
    /// # Errors
    ///
    /// When it can't be read.
    pub fn reader(&self, topic: &str, partitions: i32) -> Result<TopicReader> {
        self.reader_from(topic, (0..partitions).map(|_| Offset::Beginning))
    }

    /// Reads what will be committed in a topic from now on.
    ///
    /// # Errors
    ///
    /// When it can't be read.
    pub fn reader_at_end(&self, topic: &str, partitions: i32) -> Result<TopicReader> {
        self.reader_from(topic, self.stable_ends(topic, partitions)?.into_iter().map(Offset::Offset))
    }

    fn reader_from(&self, topic: &str, offsets: impl Iterator<Item = Offset>) -> Result<TopicReader> {
        let consumer: BaseConsumer = reading(&self.bootstrap, "read_committed").create()?;
        let mut list = TopicPartitionList::new();
        for (partition, offset) in (0..).zip(offsets) {
            list.add_partition_offset(topic, partition, offset)?;
        }
        // Without it the first fetch waits for a timer.
        consumer.fetch_metadata(Some(topic), ANSWER_TIMEOUT)?;
        consumer.assign(&list)?;
        Ok(TopicReader { consumer, at_end: vec![false; list.count()] })
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // It goes with this process in any case, but in order it starts sooner the next time.
        let _ = Command::new(&self.script).args(["stop", "--dir"]).arg(&self.directory).status();
    }
}

/// Reads a topic.
pub struct TopicReader {
    consumer: BaseConsumer,
    at_end: Vec<bool>,
}

impl TopicReader {
    /// Waits for the next record, at most for `timeout`, and tells whether one came.
    ///
    /// # Errors
    ///
    /// When the topic can't be read.
    pub fn poll(&mut self, timeout: Duration, visit: &mut impl FnMut(&BorrowedMessage<'_>)) -> Result<bool> {
        match self.consumer.poll(timeout) {
            Some(Ok(message)) => {
                visit(&message);
                return Ok(true);
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => self.at_end[partition as usize] = true,
            Some(Err(KafkaError::MessageConsumption(code))) if is_passing(code) => {}
            Some(Err(error)) => return Err(error.into()),
            None => {}
        }
        Ok(false)
    }
}

/// The offsets of a list, when all are known.
fn offsets_of(list: &TopicPartitionList) -> Result<Vec<i64>> {
    let offset = |element: TopicPartitionListElem<'_>| {
        element.error()?;
        match element.offset() {
            Offset::Offset(offset) => Ok(offset),
            other => bail!("the end of a partition is {other:?}"),
        }
    };
    list.elements().into_iter().map(offset).collect()
}

/// Whether all topics are what they were to be. `already` is the answer when one was so before: after a slow first answer librdkafka asks a second
/// time.
fn check(outcomes: Vec<TopicResult>, done: &str, already: RDKafkaErrorCode) -> Result<()> {
    for outcome in outcomes {
        if let Err((topic, code)) = outcome
            && code != already
        {
            bail!("topic {topic} can't be {done}: {code}");
        }
    }
    Ok(())
}

fn is_passing(code: RDKafkaErrorCode) -> bool {
    matches!(code, RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::AllBrokersDown)
}

/// What a client of the bench begins with.
#[must_use]
pub fn config(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap);
    config
}

fn reading(bootstrap: &str, isolation: &str) -> ClientConfig {
    let mut config = config(bootstrap);
    config.set("isolation.level", isolation).set("enable.partition.eof", "true").set("fetch.wait.max.ms", "10");
    // Never joined: librdkafka wants a name for what it does not do.
    config.set("group.id", "millstream-bench").set("enable.auto.commit", "false");
    config.set("fetch.queue.backoff.ms", "5").set("topic.metadata.refresh.interval.ms", "1000");
    config
}
