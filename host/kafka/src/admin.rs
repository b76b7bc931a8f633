//! Topics: which there are, those that the application creates for itself, and the purge of what has been read.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use millstream_core::id::{Offset, TopicPartition};
use millstream_core::port::RecordPurger;
use millstream_core::{Error, Kind, Result};

use crate::config::KafkaConfig;
use crate::error::{During, classify, kind_of, refused};
use crate::native::{AdminRequest, Client, ErrorCode, NativeError, NewTopic, PartitionList, Queue, Role};
use crate::native::{is_topic_exists_code, is_unknown_topic_code};

/// How long a question to the cluster may take.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the creation of topics may take.
const CREATE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a topic may take to appear that a broker creates by itself, and how often it is looked for.
const APPEAR_TIMEOUT: Duration = Duration::from_secs(2);
const APPEAR_LOOK: Duration = Duration::from_millis(100);
/// How long one attempt to connect lasts, between looks at what went wrong.
const CONNECT_SLICE: Duration = Duration::from_millis(250);

/// A topic that the application keeps for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InternalTopic {
    /// Its full name, `<application.id>-...`.
    pub name: String,
    /// The number of partitions that it must have.
    pub partitions: i32,
    /// The replication factor; -1 is the broker's default.
    pub replication: i32,
    /// Its configuration, when it is created.
    pub configs: Vec<(String, String)>,
}

/// The process's client for topics. Cheap to clone: purgers share its connection.
#[derive(Clone)]
pub struct KafkaAdmin {
    client: Arc<Client>,
    bootstrap_servers: String,
}

impl KafkaAdmin {
    /// Starts the client; it connects in the background.
    ///
    /// # Errors
    ///
    /// `Fatal` when librdkafka refuses the properties.
    pub fn new(config: &KafkaConfig) -> Result<Self> {
        let client =
            Client::start(Role::Admin, &config.admin().0).map_err(|error| refused(error, "start the client"))?;
        Ok(Self { client, bootstrap_servers: config.bootstrap_servers().to_owned() })
    }

    /// Waits until a broker answers.
    ///
    /// # Errors
    ///
    /// `Fatal` at once when the user or the certificate is refused, `Retriable` when nobody has answered within `timeout`; both
    /// name `bootstrap.servers` and say what to do.
    pub fn connect(&self, timeout: Duration) -> Result<()> {
        let start = Instant::now();
        let errors = self.client.events(Role::Admin);
        let mut reason: Option<NativeError> = None;
        loop {
            let left = timeout.saturating_sub(start.elapsed());
            let answered = self.client.refresh_metadata(false, left.min(CONNECT_SLICE));
            if answered.is_ok() {
                return Ok(());
            }
            self.note_reasons(&errors, &mut reason);
            if let Some(error) = &reason
                && kind_of(error.code, During::Asking) == Kind::Fatal
            {
                break;
            }
            if left.is_zero() {
                reason = reason.or(answered.err());
                break;
            }
        }
        let reason = reason.unwrap_or_else(NativeError::timed_out);
        let servers = &self.bootstrap_servers;
        if kind_of(reason.code, During::Asking) == Kind::Retriable {
            let message = format!(
                "can't connect to bootstrap.servers \"{servers}\" within {timeout:?}: {reason}; \
                 check the address, that a broker listens there, and that it speaks `security.protocol`"
            );
            return Err(Error::new(Kind::Retriable, message));
        }
        Err(classify(reason, During::Asking, format_args!("connect to bootstrap.servers \"{servers}\"")))
    }

    /// Keeps the reason that says most: a refusal before a broken connection before "all brokers are down".
    fn note_reasons(&self, errors: &Queue, reason: &mut Option<NativeError>) {
        let weight = |error: &NativeError| match kind_of(error.code, During::Asking) {
            Kind::Fatal => 2,
            _ => i32::from(!error.is_all_brokers_down()),
        };
        while let Some(event) = Client::poll(errors, Duration::ZERO) {
            let error = event.error();
            if event.is_error() && reason.as_ref().is_none_or(|known| weight(known) < weight(&error)) {
                *reason = Some(error);
            }
        }
    }

    /// The names of all topics that the user may see, for sources given by a pattern.
    ///
    /// # Errors
    ///
    /// `Retriable` when the cluster does not answer.
    pub fn topic_names(&self) -> Result<Vec<String>> {
        let names = self.client.refresh_metadata(true, QUESTION_TIMEOUT);
        names.map_err(|error| classify(error, During::Asking, "list topics"))
    }

    /// The number of partitions of each topic; `None` where there is no such topic.
    ///
    /// # Errors
    ///
    /// `Retriable` when the cluster does not answer, `Fatal` when a topic may not be seen.
    pub fn partition_counts(&self, topics: &[&str]) -> Result<BTreeMap<String, Option<i32>>> {
        if topics.is_empty() {
            return Ok(BTreeMap::new());
        }
        let failed = |error| classify(error, During::Asking, "describe topics");
        let request = AdminRequest::describe_topics(&self.client, topics, QUESTION_TIMEOUT);
        let answer = request.answer_in(QUESTION_TIMEOUT).map_err(failed)?;
        let described = answer.topics().into_iter().map(|topic| {
            if is_unknown_topic_code(topic.code) {
                return Ok((topic.name, None));
            }
            let checked = topic.code.check();
            checked.map_err(|error| classify(error, During::Asking, format_args!("describe {}", topic.name)))?;
            Ok((topic.name, Some(topic.partitions)))
        });
        described.collect()
    }

    /// Which of `topics` are missing, also after they were asked for as a producer does: brokers that create topics by themselves
    /// (`auto.create.topics.enable`) do so then.
    ///
    /// # Errors
    ///
    /// As [`Self::partition_counts`].
    pub fn missing_topics<'a>(&self, topics: &[&'a str]) -> Result<Vec<&'a str>> {
        let start = Instant::now();
        loop {
            let counts = self.partition_counts(topics)?;
            let missing: Vec<&str> =
                topics.iter().copied().filter(|topic| counts.get(*topic).copied().flatten().is_none()).collect();
            if missing.is_empty() || start.elapsed() > APPEAR_TIMEOUT {
                return Ok(missing);
            }
            for topic in &missing {
                // The answer is the next look's.
                let _ = self.client.refresh_topic(topic, QUESTION_TIMEOUT);
            }
            std::thread::sleep(APPEAR_LOOK);
        }
    }

    /// Makes the application's own topics: creates those that are missing, and checks the partitions of those that are there.
    /// Another process that does the same at the same time does no harm.
    ///
    /// # Errors
    ///
    /// `Fatal` when a topic has another number of partitions, or may not be created; `Retriable` when the cluster does not answer.
    pub fn ensure_topics(&self, topics: &[InternalTopic]) -> Result<()> {
        let names: Vec<&str> = topics.iter().map(|topic| topic.name.as_str()).collect();
        let counts = self.partition_counts(&names)?;
        let (there, missing): (Vec<_>, Vec<_>) =
            topics.iter().partition(|topic| counts.get(&topic.name).is_some_and(Option::is_some));
        for topic in there {
            check_partitions(topic, counts[&topic.name].unwrap_or(0))?;
        }
        if missing.is_empty() {
            return Ok(());
        }
        let already_there = self.create(&missing)?;
        let names: Vec<&str> = already_there.iter().map(|topic| topic.name.as_str()).collect();
        let counts = self.partition_counts(&names)?;
        for topic in already_there {
            match counts.get(&topic.name).copied().flatten() {
                Some(count) => check_partitions(topic, count)?,
                None => {
                    let text = format!("topic {} is being created by another process; try again", topic.name);
                    return Err(Error::new(Kind::Retriable, text));
                }
            }
        }
        Ok(())
    }

    /// Creates topics; returns those that somebody else has created meanwhile.
    fn create<'a>(&self, topics: &[&'a InternalTopic]) -> Result<Vec<&'a InternalTopic>> {
        let new_topics: Vec<_> = topics
            .iter()
            .map(|topic| NewTopic {
                name: &topic.name,
                partitions: topic.partitions,
                replication: topic.replication,
                configs: &topic.configs,
            })
            .collect();
        let request = AdminRequest::create_topics(&self.client, &new_topics, CREATE_TIMEOUT);
        let failed = |error| classify(error, During::Asking, "create internal topics");
        let answer = request.answer_in(CREATE_TIMEOUT).map_err(failed)?;
        let mut already_there = Vec::new();
        for (name, outcome) in answer.created() {
            match outcome {
                Ok(()) => tracing::info!(topic = name, "created an internal topic"),
                Err(error) if is_topic_exists_code(error.code) => {
                    already_there.extend(topics.iter().copied().filter(|topic| topic.name == name));
                }
                Err(error) => return Err(classify(error, During::Asking, format_args!("create topic {name}"))),
            }
        }
        Ok(already_there)
    }
}

fn check_partitions(topic: &InternalTopic, found: i32) -> Result<()> {
    if found == topic.partitions {
        return Ok(());
    }
    let (name, expected) = (&topic.name, topic.partitions);
    Err(Error::fatal(format!(
        "internal topic {name} has {found} partitions where the topology needs {expected}; \
         reset the application, or choose another application.id"
    )))
}

/// [`RecordPurger`] on librdkafka: one request under way at a time.
pub struct KafkaPurger {
    events: Queue,
    client: Arc<Client>,
    under_way: Option<AdminRequest>,
}

impl KafkaPurger {
    /// A purger on the connection of `admin`.
    #[must_use]
    pub fn new(admin: &KafkaAdmin) -> Self {
        Self { events: admin.client.events(Role::Admin), client: Arc::clone(&admin.client), under_way: None }
    }

    /// Whether the request before has been answered; its failures are logged.
    fn is_done(&mut self) -> bool {
        while let Some(event) = Client::poll(&self.events, Duration::ZERO) {
            tracing::warn!(error = %event.error(), "the client for topics has trouble");
        }
        let Some(request) = &self.under_way else { return true };
        match request.answer(Duration::ZERO) {
            None => return false,
            Some(Err(error)) => {
                tracing::warn!(%error, "records of repartition topics were not purged; tried again later")
            }
            Some(Ok(answer)) => {
                let failed = answer.deleted().into_iter().filter(|entry| entry.code != ErrorCode::OK);
                for entry in failed {
                    tracing::warn!(partition = %entry.partition, error = ?entry.code, "not purged; tried again later");
                }
            }
        }
        self.under_way = None;
        true
    }
}

impl RecordPurger for KafkaPurger {
    fn purge(&mut self, before: &[(TopicPartition, Offset)]) {
        if before.is_empty() || !self.is_done() {
            return;
        }
        let mut list = PartitionList::with_capacity(before.len());
        for (partition, offset) in before {
            list.push(partition, Some(*offset), "");
        }
        self.under_way = Some(AdminRequest::delete_records(&self.client, &list, QUESTION_TIMEOUT));
    }
}
