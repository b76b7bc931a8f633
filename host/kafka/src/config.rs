//! The clients' properties: what the manifest's `[kafka]` section may say, and what the engine decides.
//!
//! Names are librdkafka's. As in Kafka Streams, a prefix addresses one kind of client: `consumer.` (the main consumer and the
//! restoring one), `restore.`, `producer.`, `admin.`; without a prefix a property goes to every client that knows it. All
//! mistakes are found before anything connects, and values of secrets are never printed.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use millstream_core::commit::ProcessingGuarantee;

use crate::defaults;
use crate::native;
use crate::property::{self, Scope, Verdict};

/// What the application says of its clients.
#[derive(Clone, Debug)]
pub struct KafkaSettings {
    /// The application's id: the group, and the prefix of transactional ids.
    pub application_id: String,
    /// The processing guarantee.
    pub guarantee: ProcessingGuarantee,
    /// The id that the state directory keeps, so that a process that comes back is the member and producer it was.
    pub process_id: String,
    /// How long an open transaction may last; the manifest's commit interval must be shorter.
    pub transaction_timeout: Duration,
    /// The `[kafka]` section, with secrets in place of their references.
    pub properties: BTreeMap<String, String>,
}

/// One mistake in the `[kafka]` section.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{key}`: {reason}")]
pub struct ConfigMistake {
    /// The key as it was written.
    pub key: String,
    /// What is wrong and what to do. Never contains a secret's value.
    pub reason: String,
}

/// All mistakes in the `[kafka]` section.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigMistakes(pub Vec<ConfigMistake>);

impl fmt::Display for ConfigMistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{mistake}")?;
        }
        Ok(())
    }
}

/// The properties of one client. `Debug` hides secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientProperties(pub(crate) BTreeMap<String, String>);

impl ClientProperties {
    /// The value of a property that is not a secret.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        if property::is_secret(key) { None } else { self.0.get(key).map(String::as_str) }
    }

    /// The properties with secrets hidden, for printing.
    pub fn redacted(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), if property::is_secret(key) { "[hidden]" } else { value }))
    }
}

impl fmt::Debug for ClientProperties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.redacted()).finish()
    }
}

/// Checked settings, from which the properties of every client of the process are derived.
#[derive(Clone)]
pub struct KafkaConfig {
    application_id: String,
    guarantee: ProcessingGuarantee,
    process_id: String,
    transaction_timeout: Duration,
    client_id: String,
    /// How many partitions a consumer may have to read.
    partitions: u32,
    /// For each prefix what the user said for it, without the prefix.
    common: BTreeMap<String, String>,
    consumer: BTreeMap<String, String>,
    restore: BTreeMap<String, String>,
    producer: BTreeMap<String, String>,
    admin: BTreeMap<String, String>,
}

impl KafkaConfig {
    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// All mistakes at once.
    pub fn new(settings: KafkaSettings) -> Result<Self, ConfigMistakes> {
        let default_client_id = format!("{}-{}", settings.application_id, settings.process_id);
        let mut config = Self {
            application_id: settings.application_id,
            guarantee: settings.guarantee,
            process_id: settings.process_id,
            transaction_timeout: settings.transaction_timeout,
            client_id: default_client_id,
            partitions: 1,
            common: BTreeMap::new(),
            consumer: BTreeMap::new(),
            restore: BTreeMap::new(),
            producer: BTreeMap::new(),
            admin: BTreeMap::new(),
        };
        let mut mistakes = Vec::new();
        for (key, value) in settings.properties {
            if let Err(reason) = config.add(&key, value) {
                mistakes.push(ConfigMistake { key, reason });
            }
        }
        config.check_whole(&mut mistakes);
        if mistakes.is_empty() { Ok(config) } else { Err(ConfigMistakes(mistakes)) }
    }

    fn add(&mut self, key: &str, value: String) -> Result<(), String> {
        let (prefix, name) = match key.split_once('.') {
            Some((prefix @ ("consumer" | "restore" | "producer" | "admin"), name)) => (prefix, name),
            _ => ("", key),
        };
        let (name, scope) = match property::verdict(name) {
            Verdict::Allowed { name, scope } => (name, scope),
            Verdict::Refused(reason) => return Err(reason.to_owned()),
            Verdict::Unknown(nearest) => return Err(unknown(nearest)),
        };
        let fits = match prefix {
            "consumer" | "restore" => scope != Scope::Producer,
            "producer" => scope != Scope::Consumer,
            "admin" => scope == Scope::Any,
            _ => true,
        };
        if !fits {
            return Err(format!("no client with the prefix `{prefix}.` has such a property; take the prefix away"));
        }
        if let Err(error) = native::check_property(name, &value) {
            // librdkafka's text repeats the value.
            let told = if property::is_secret(name) { "the value is not allowed".to_owned() } else { error.text };
            return Err(told);
        }
        if name == "client.id" && prefix.is_empty() {
            self.client_id = value;
            return Ok(());
        }
        self.section(prefix).insert(name.to_owned(), value);
        Ok(())
    }

    fn section(&mut self, prefix: &str) -> &mut BTreeMap<String, String> {
        match prefix {
            "consumer" => &mut self.consumer,
            "restore" => &mut self.restore,
            "producer" => &mut self.producer,
            "admin" => &mut self.admin,
            _ => &mut self.common,
        }
    }

    /// What can be judged only when all properties are known.
    fn check_whole(&self, mistakes: &mut Vec<ConfigMistake>) {
        let mut mistake = |key: &str, reason: &str| {
            mistakes.push(ConfigMistake { key: key.to_owned(), reason: reason.to_owned() });
        };
        if !self.common.contains_key("bootstrap.servers") {
            mistake("bootstrap.servers", "is missing; name at least one broker, as in \"localhost:9092\"");
        }
        let protocol = self.common.get("security.protocol").map(|value| value.to_ascii_lowercase());
        if protocol.is_some_and(|protocol| protocol.starts_with("sasl")) {
            match self.common.get("sasl.mechanism").map(String::as_str) {
                None => mistake("sasl.mechanism", "is missing; choose PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"),
                Some("PLAIN" | "SCRAM-SHA-256" | "SCRAM-SHA-512") => {}
                Some(_) => mistake("sasl.mechanism", "is not built in; choose PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"),
            }
        }
        if self.guarantee == ProcessingGuarantee::ExactlyOnce {
            let acks = self.producer.get("acks").or_else(|| self.common.get("acks"));
            if acks.is_some_and(|acks| !matches!(acks.as_str(), "all" | "-1")) {
                mistake("acks", "exactly-once needs `all`; take it away or use at-least-once");
            }
        }
    }

    /// The same settings for consumers that may have to read so many partitions each: what they read ahead is shared among these.
    #[must_use]
    pub fn with_partitions(self, partitions: u32) -> Self {
        Self { partitions: partitions.max(1), ..self }
    }

    /// The application's id, which is the group.
    #[must_use]
    pub fn application_id(&self) -> &str {
        &self.application_id
    }

    /// The processing guarantee.
    #[must_use]
    pub fn guarantee(&self) -> ProcessingGuarantee {
        self.guarantee
    }

    /// How long a transaction call may take before its outcome counts as unknown.
    #[must_use]
    pub fn transaction_timeout(&self) -> Duration {
        self.transaction_timeout
    }

    /// The brokers, as the user wrote them.
    #[must_use]
    pub fn bootstrap_servers(&self) -> &str {
        self.common.get("bootstrap.servers").map_or("", String::as_str)
    }

    /// How often to look whether the topics that are read have changed: `metadata.max.age.ms`, or every 30 s.
    #[must_use]
    pub fn topics_check_interval(&self) -> Duration {
        let set = self.common.get("metadata.max.age.ms").and_then(|value| value.parse().ok());
        set.map_or(TOPICS_CHECK_INTERVAL, Duration::from_millis)
    }

    /// The static member of a stream thread; threads count from 1.
    #[must_use]
    pub fn group_instance_id(&self, thread: u32) -> String {
        format!("{}-{thread}", self.process_id)
    }

    /// The transactional id of a stream thread; threads count from 1.
    #[must_use]
    pub fn transactional_id(&self, thread: u32) -> String {
        format!("{}-{}-{thread}", self.application_id, self.process_id)
    }

    /// The main consumer of a stream thread. `is_member` makes it a (static) member of the group.
    #[must_use]
    pub fn consumer(&self, thread: u32, is_member: bool) -> ClientProperties {
        let mut properties = self.reading(defaults::of_consumer(self.partitions), &[&self.consumer]);
        let mut force = |key: &str, value: String| properties.insert(key.to_owned(), value);
        force("client.id", format!("{}-StreamThread-{thread}-consumer", self.client_id));
        force("group.id", self.application_id.clone());
        if is_member {
            force("group.instance.id", self.group_instance_id(thread));
            force("partition.assignment.strategy", "range".to_owned());
        }
        ClientProperties(properties)
    }

    /// The consumer with which a stream thread reads changelogs.
    #[must_use]
    pub fn restore(&self, thread: u32) -> ClientProperties {
        let mut properties = self.reading(defaults::of_restore(self.partitions), &[&self.consumer, &self.restore]);
        let client_id = format!("{}-StreamThread-{thread}-restore-consumer", self.client_id);
        properties.insert("client.id".to_owned(), client_id);
        // Properties of a member mean nothing to a consumer without a group, and librdkafka would say so in the log.
        for key in ["session.timeout.ms", "heartbeat.interval.ms", "max.poll.interval.ms"] {
            properties.remove(key);
        }
        ClientProperties(properties)
    }

    /// The producer of a stream thread.
    #[must_use]
    pub fn producer(&self, thread: u32) -> ClientProperties {
        let mut properties = defaults::of_producer(self.partitions);
        let timeout = self.transaction_timeout.as_millis().to_string();
        let exactly_once = self.guarantee == ProcessingGuarantee::ExactlyOnce;
        if exactly_once {
            // A record that waits longer than its transaction is lost with it.
            properties.insert("message.timeout.ms".to_owned(), timeout.clone());
            // Nobody sees a record before its commit, which flushes.
            properties.insert("linger.ms".to_owned(), "1000".to_owned());
            properties.insert("retry.backoff.ms".to_owned(), "20".to_owned());
            properties.insert("retry.backoff.max.ms".to_owned(), "200".to_owned());
        }
        self.overlay(&mut properties, Scope::Producer, &[&self.producer]);
        let mut force = |key: &str, value: String| properties.insert(key.to_owned(), value);
        force("client.id", format!("{}-StreamThread-{thread}-producer", self.client_id));
        force("partitioner", "murmur2_random".to_owned());
        if exactly_once {
            force("transactional.id", self.transactional_id(thread));
            force("transaction.timeout.ms", timeout);
            force("enable.idempotence", "true".to_owned());
            let longest = self.transaction_timeout.as_millis();
            let told = properties.get("message.timeout.ms").and_then(|value| value.parse::<u128>().ok());
            let bounded = told.filter(|told| (1..=longest).contains(told)).unwrap_or(longest);
            properties.insert("message.timeout.ms".to_owned(), bounded.to_string());
        }
        ClientProperties(properties)
    }

    /// The client that looks after topics.
    #[must_use]
    pub fn admin(&self) -> ClientProperties {
        let mut properties = defaults::of_any();
        self.overlay(&mut properties, Scope::Any, &[&self.admin]);
        properties.insert("client.id".to_owned(), format!("{}-admin", self.client_id));
        ClientProperties(properties)
    }

    fn reading(
        &self,
        mut properties: BTreeMap<String, String>,
        sections: &[&BTreeMap<String, String>],
    ) -> BTreeMap<String, String> {
        self.overlay(&mut properties, Scope::Consumer, sections);
        let isolation = match self.guarantee {
            ProcessingGuarantee::ExactlyOnce => "read_committed",
            ProcessingGuarantee::AtLeastOnce => "read_uncommitted",
        };
        for (key, value) in [
            ("isolation.level", isolation),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("enable.partition.eof", "true"),
            ("auto.offset.reset", "error"),
            ("allow.auto.create.topics", "false"),
        ] {
            properties.insert(key.to_owned(), value.to_owned());
        }
        properties
    }

    /// Puts what the user said over `properties`: first what has no prefix and fits, then each section.
    fn overlay(&self, properties: &mut BTreeMap<String, String>, scope: Scope, sections: &[&BTreeMap<String, String>]) {
        let fits = |key: &str| matches!(property::verdict(key), Verdict::Allowed { scope: has, .. } if has == Scope::Any || has == scope);
        let common = self.common.iter().filter(|(key, _)| fits(key));
        let all = common.chain(sections.iter().flat_map(|section| section.iter()));
        properties.extend(all.map(|(key, value)| (key.clone(), value.clone())));
    }
}

impl fmt::Debug for KafkaConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaConfig")
            .field("application_id", &self.application_id)
            .field("guarantee", &self.guarantee)
            .field("process_id", &self.process_id)
            .field("admin", &self.admin())
            .finish_non_exhaustive()
    }
}

/// One small request; Kafka's clients wait five minutes, in which an operator wonders where the records of a new topic are.
const TOPICS_CHECK_INTERVAL: Duration = Duration::from_secs(30);

fn unknown(nearest: Option<&'static str>) -> String {
    match nearest {
        Some(nearest) => format!("is not a property that may be set; did you mean `{nearest}`?"),
        None => "is not a property that may be set; the README lists them".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(guarantee: ProcessingGuarantee, properties: &[(&str, &str)]) -> KafkaSettings {
        let mut all = BTreeMap::from([("bootstrap.servers".to_owned(), "localhost:9092".to_owned())]);
        all.extend(properties.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        KafkaSettings {
            application_id: "app".to_owned(),
            guarantee,
            process_id: "p1".to_owned(),
            transaction_timeout: Duration::from_secs(10),
            properties: all,
        }
    }

    fn config(guarantee: ProcessingGuarantee, properties: &[(&str, &str)]) -> KafkaConfig {
        KafkaConfig::new(settings(guarantee, properties)).expect("these settings are right")
    }

    fn mistakes(properties: &[(&str, &str)]) -> Vec<String> {
        let error = KafkaConfig::new(settings(ProcessingGuarantee::ExactlyOnce, properties)).expect_err("mistakes");
        error.0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn only_restores_read_far_ahead_unless_the_user_says_how_far() {
        let key = "queued.min.messages";
        let ours = config(ProcessingGuarantee::ExactlyOnce, &[]);
        assert_eq!((ours.consumer(1, true).get(key), ours.restore(1).get(key)), (Some("5000"), Some("100000")));
        let theirs = config(ProcessingGuarantee::ExactlyOnce, &[(key, "7")]);
        assert_eq!((theirs.consumer(1, true).get(key), theirs.restore(1).get(key)), (Some("7"), Some("7")));
    }

    #[test]
    fn what_is_read_ahead_is_shared_among_partitions_and_what_is_written_has_room_for_each() {
        let keys = ["queued.min.messages", "queued.max.messages.kbytes", "fetch.message.max.bytes"];
        let of = |config: KafkaConfig| {
            let properties = config.consumer(1, true);
            keys.map(|key| properties.get(key).and_then(|value| value.parse::<u32>().ok()).expect("it is set"))
        };
        let config = config(ProcessingGuarantee::ExactlyOnce, &[]);
        assert_eq!(of(config.clone()), [5_000, 1_024, 1 << 20]);
        assert_eq!(of(config.clone().with_partitions(32)), [5_000, 512, 512 << 10]);
        assert_eq!(of(config.clone().with_partitions(200)), [1_000, 128, 81 << 10]);
        assert_eq!(of(config.clone().with_partitions(u32::MAX)), [100, 128, 64 << 10]);
        let queued = |config: KafkaConfig| {
            config.producer(1).get("queue.buffering.max.messages").and_then(|value| value.parse::<u32>().ok())
        };
        assert_eq!(queued(config.clone()), Some(20_000));
        assert_eq!(queued(config.clone().with_partitions(100)), Some(25_000));
        assert_eq!(queued(config.with_partitions(u32::MAX)), Some(50_000));
        let told = self::config(ProcessingGuarantee::ExactlyOnce, &[("max.partition.fetch.bytes", "7777")]);
        assert_eq!(of(told.with_partitions(200))[2], 7777, "what the user says goes before");
    }

    #[test]
    fn every_client_looks_within_a_second_for_a_broker_that_is_back() {
        let key = "reconnect.backoff.max.ms";
        let of = |config: &KafkaConfig| {
            [config.consumer(1, true), config.restore(1), config.producer(1), config.admin()]
                .map(|properties| properties.get(key).map(str::to_owned))
        };
        assert_eq!(of(&config(ProcessingGuarantee::ExactlyOnce, &[])), ["1000"; 4].map(|ms| Some(ms.to_owned())));
        let theirs = config(ProcessingGuarantee::ExactlyOnce, &[(key, "7000")]);
        assert_eq!(of(&theirs), ["7000"; 4].map(|ms| Some(ms.to_owned())), "what the user says goes before");
    }

    #[test]
    fn names_are_those_of_kafka_streams() {
        let config = config(ProcessingGuarantee::ExactlyOnce, &[]);
        assert_eq!(config.consumer(1, true).get("client.id"), Some("app-p1-StreamThread-1-consumer"));
        assert_eq!(config.restore(2).get("client.id"), Some("app-p1-StreamThread-2-restore-consumer"));
        assert_eq!(config.producer(1).get("client.id"), Some("app-p1-StreamThread-1-producer"));
        assert_eq!(config.admin().get("client.id"), Some("app-p1-admin"));
        assert_eq!(config.producer(3).get("transactional.id"), Some("app-p1-3"));
        assert_eq!(config.consumer(3, true).get("group.instance.id"), Some("p1-3"));
        assert_eq!(config.consumer(3, false).get("group.instance.id"), None);
    }

    #[test]
    fn the_guarantee_decides_isolation_and_transactions() {
        let exactly_once = config(ProcessingGuarantee::ExactlyOnce, &[]);
        assert_eq!(exactly_once.consumer(1, true).get("isolation.level"), Some("read_committed"));
        assert_eq!(exactly_once.restore(1).get("isolation.level"), Some("read_committed"));
        assert_eq!(exactly_once.producer(1).get("message.timeout.ms"), Some("10000"));
        let at_least_once = config(ProcessingGuarantee::AtLeastOnce, &[]);
        assert_eq!(at_least_once.consumer(1, true).get("isolation.level"), Some("read_uncommitted"));
        assert_eq!(at_least_once.producer(1).get("transactional.id"), None);
    }

    #[test]
    fn a_record_never_waits_longer_than_its_transaction() {
        let config = config(ProcessingGuarantee::ExactlyOnce, &[("producer.message.timeout.ms", "300000")]);
        assert_eq!(config.producer(1).get("message.timeout.ms"), Some("10000"));
    }

    #[test]
    fn every_client_takes_java_s_partitioner_and_bounded_queues() {
        let config = config(ProcessingGuarantee::AtLeastOnce, &[]);
        assert_eq!(config.producer(1).get("partitioner"), Some("murmur2_random"));
        assert_eq!(config.producer(1).get("queue.buffering.max.kbytes"), Some("32768"));
        assert_eq!(config.consumer(1, false).get("queued.max.messages.kbytes"), Some("1024"));
    }

    #[test]
    fn a_prefix_wins_over_none_and_reaches_its_clients_only() {
        let properties = [
            ("fetch.min.bytes", "1"),
            ("consumer.fetch.min.bytes", "2"),
            ("restore.fetch.min.bytes", "3"),
            ("linger.ms", "7"),
        ];
        let config = config(ProcessingGuarantee::AtLeastOnce, &properties);
        assert_eq!(config.consumer(1, false).get("fetch.min.bytes"), Some("2"));
        assert_eq!(config.restore(1).get("fetch.min.bytes"), Some("3"));
        assert_eq!(config.producer(1).get("fetch.min.bytes"), None);
        assert_eq!(config.producer(1).get("linger.ms"), Some("7"));
        assert_eq!(config.consumer(1, false).get("linger.ms"), None);
        assert_eq!(config.admin().get("linger.ms"), None);
    }

    #[test]
    fn what_would_break_the_engine_is_refused_with_a_reason() {
        for (key, value, told) in [
            ("plugin.library.paths", "/tmp/evil.so", "loads code"),
            ("producer.partitioner", "random", "murmur2"),
            ("enable.idempotence", "false", "exactly-once"),
            ("consumer.isolation.level", "read_uncommitted", "processing-guarantee"),
            ("enable.auto.commit", "true", "commits"),
            ("transactional.id", "x", "application.id"),
            ("group.id", "x", "application.id"),
            ("auto.offset.reset", "latest", "source"),
            ("acks", "1", "exactly-once needs `all`"),
            ("admin.linger.ms", "1", "prefix `admin.`"),
            ("fetch.min.bytes", "many", "fetch.min.bytes"),
        ] {
            let mistakes = mistakes(&[(key, value)]);
            let found = mistakes.iter().any(|mistake| mistake.contains(told));
            assert!(found && mistakes.len() == 1, "{key}: {mistakes:?}");
        }
    }

    #[test]
    fn an_unknown_key_names_the_nearest_known_one() {
        assert_eq!(
            mistakes(&[("bootstrap.server", "x")]),
            ["`bootstrap.server`: is not a property that may be set; did you mean `bootstrap.servers`?"]
        );
        assert_eq!(
            mistakes(&[("producer.linger", "5")]),
            ["`producer.linger`: is not a property that may be set; did you mean `linger.ms`?"]
        );
    }

    #[test]
    fn all_mistakes_are_reported_at_once() {
        assert_eq!(mistakes(&[("group.id", "x"), ("security.protocol", "sasl_ssl"), ("nonsense", "1")]).len(), 3);
    }

    #[test]
    fn secrets_are_never_printed() {
        let secret = "open sesame";
        let properties = [
            ("security.protocol", "sasl_plaintext"),
            ("sasl.mechanism", "PLAIN"),
            ("sasl.username", "ali"),
            ("sasl.password", secret),
            ("ssl.key.password", secret),
        ];
        let config = config(ProcessingGuarantee::ExactlyOnce, &properties);
        let printed = format!("{config:?} {:?} {:?}", config.consumer(1, true), config.producer(1));
        assert!(printed.contains("ali") && !printed.contains(secret), "{printed}");
        assert_eq!(config.admin().get("sasl.password"), None);
    }

    #[test]
    fn librdkafka_accepts_every_default() {
        for guarantee in [ProcessingGuarantee::ExactlyOnce, ProcessingGuarantee::AtLeastOnce] {
            let config = config(guarantee, &[]);
            for properties in [config.consumer(1, true), config.restore(1), config.producer(1), config.admin()] {
                for (key, value) in &properties.0 {
                    assert!(native::check_property(key, value).is_ok(), "{key}={value}");
                }
            }
        }
    }
}
