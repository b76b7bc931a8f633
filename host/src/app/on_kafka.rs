//! An application on a Kafka cluster.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use millstream_core::id::TopicName;
use millstream_core::stream_thread::{Ports, StreamThread, Totals};
use millstream_core::topology::{InternalTopicKind, NodeKind, ResolvedTopology, SinkTopic};
use millstream_kafka::{
    InternalTopic, KafkaAdmin, KafkaBroker, KafkaChangelogReader, KafkaConfig, KafkaConsumer, KafkaPurger,
    KafkaSettings, Membership,
};

use super::state::State;
use super::{Parts, outcome_of, tasks_of_thread};
use crate::clock::SystemClock;
use crate::config::{Application, GroupProtocol, Settings};
use crate::failure::Failure;
use crate::memory::{self, IdleMemory};
use crate::signals::drain_on_signal;
use crate::supervisor::{MakeThread, Supervisor};

/// How long the first answer of a broker is waited for.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How often topics are looked at while a member takes no task because of them.
const STALE_INTERVAL: Duration = Duration::from_secs(1);
/// How often the threads' ends are looked for.
const WATCH_INTERVAL: Duration = Duration::from_millis(500);

/// Runs `application` on its cluster until a signal. `leave` gives the tasks up at the end; otherwise they wait for this process to
/// come back.
///
/// # Errors
///
/// When the cluster, a plugin or the state can't be used, or a thread has ended.
pub fn run_on_kafka(application: Application, leave: bool) -> Result<(), Failure> {
    memory::keep_while_busy();
    let settings = &application.settings;
    let properties = settings.kafka.resolve().map_err(Failure::usage)?;
    let state = State::on_disk(&settings.state.directory, &settings.application_id, settings.state.memory)?;
    let process_id = state.process_id().unwrap_or_else(|| format!("process-{}", std::process::id()));
    let config = KafkaConfig::new(kafka_settings(settings, process_id, properties)).map_err(Failure::usage)?;
    let parts = Parts::load(application)?;
    let admin = Arc::new(KafkaAdmin::new(&config)?);
    admin.connect(CONNECT_TIMEOUT)?;
    check_outputs(&parts, &admin)?;
    let cluster = Cluster { parts, config, admin, state, stale: Arc::default() };
    let resolved = Arc::new(cluster.look_at_topics()?);
    tracing::info!(application = cluster.config.application_id(), tasks = resolved.tasks().len(), "starting");
    let threads = cluster.parts.stream_threads();
    let mut supervisor = Supervisor::start(threads, leave, cluster.make_thread(&resolved))?;
    drain_on_signal(supervisor.stop_handle()).context("signals can't be handled")?;
    cluster.watch(&mut supervisor, resolved)?;
    supervisor.stop_handle().drain();
    outcome_of(&supervisor.join())
}

/// What the stream threads are made of, those of later too: the topics that an application reads may change while it runs.
struct Cluster {
    parts: Parts,
    config: KafkaConfig,
    admin: Arc<KafkaAdmin>,
    state: State,
    /// A member of the group has found out that the topics are others than those it was made for, or can't tell.
    stale: Arc<AtomicBool>,
}

impl Cluster {
    /// Makes the stream threads for the tasks of `resolved`.
    fn make_thread(&self, resolved: &Arc<ResolvedTopology>) -> Arc<MakeThread> {
        let (parts, resolved) = (self.parts.clone(), Arc::clone(resolved));
        let (admin, state, stale) = (Arc::clone(&self.admin), self.state.clone(), Arc::clone(&self.stale));
        let threads = parts.stream_threads();
        let config = self.config.clone().with_partitions(partitions_of_a_thread(&resolved, threads));
        Arc::new(move |thread: u32| {
            let membership = membership(&parts, &resolved, &admin, &stale, (thread, threads));
            // Kafka Streams counts its threads from 1.
            let thread = thread + 1;
            let consumer = KafkaConsumer::new(&config, thread, membership)?;
            let waker = consumer.waker();
            let ports = Ports {
                clock: Box::new(SystemClock::new()),
                consumer: Box::new(consumer),
                broker: Box::new(KafkaBroker::new(config.clone(), thread)),
                changelog_reader: Box::new(KafkaChangelogReader::new(&config, thread)?),
                state_directory: state.directory(),
                purger: Box::new(KafkaPurger::new(&admin)),
                plugins: parts.plugins.factory(),
            };
            let name = format!("{}-StreamThread-{}", config.application_id(), thread);
            let settings = parts.settings.stream_thread.clone();
            Ok((StreamThread::new(name, Arc::clone(&parts.topology), Arc::clone(&resolved), settings, ports), waker))
        })
    }

    /// Waits until a stop is asked for or a thread has ended, and lets new threads take over when topics have appeared, gone or grown.
    fn watch(&self, supervisor: &mut Supervisor, mut resolved: Arc<ResolvedTopology>) -> Result<(), Failure> {
        let stop = supervisor.stop_handle();
        let mut looked_at = Instant::now();
        let mut memory = IdleMemory::new(looked_at, self.parts.settings.stream_thread.rest_after);
        loop {
            let reports = supervisor.reports();
            if stop.is_draining() || reports.iter().any(|report| report.ended) {
                return Ok(());
            }
            let done = |totals: &Totals| totals.records_processed + totals.records_restored + totals.commits;
            memory.look(reports.iter().map(|report| done(&report.totals)).sum());
            supervisor.wait_for_report(WATCH_INTERVAL);
            let is_stale = self.stale.load(Ordering::SeqCst);
            let interval = if is_stale { STALE_INTERVAL } else { self.config.topics_check_interval() };
            if looked_at.elapsed() < interval {
                continue;
            }
            looked_at = Instant::now();
            match self.look_at_topics() {
                Ok(now) if now == *resolved && !is_stale => {}
                Ok(now) => {
                    let tasks = now.tasks().len();
                    tracing::info!(tasks, "the topics that are read have changed: replacing the stream threads");
                    resolved = Arc::new(now);
                    self.stale.store(false, Ordering::SeqCst);
                    supervisor.replace_threads(&self.make_thread(&resolved))?;
                }
                Err(failure) => {
                    tracing::warn!(reason = %failure.message(), "the topics can't be used as they are now; going on as before");
                }
            }
        }
    }

    /// The tasks for the cluster's topics as they are now; makes the internal topics that they need.
    fn look_at_topics(&self) -> Result<ResolvedTopology, Failure> {
        let resolved = resolve(&self.parts, &self.admin)?;
        create_internal_topics(&self.parts, &resolved, &self.admin)?;
        Ok(resolved)
    }
}

/// How many partitions a consumer of a thread may have to read, should its process be alone.
fn partitions_of_a_thread(resolved: &ResolvedTopology, threads: u32) -> u32 {
    let sources: usize = resolved.tasks().into_iter().map(|task| resolved.task_partitions(task).len()).sum();
    let internal = resolved.internal_topics().iter();
    let changelogs = internal.filter(|topic| topic.kind == InternalTopicKind::Changelog);
    let changelogs = changelogs.map(|topic| topic.partitions.unsigned_abs()).sum();
    u32::try_from(sources).unwrap_or(u32::MAX).max(changelogs).div_ceil(threads.max(1))
}

fn kafka_settings(settings: &Settings, process_id: String, properties: BTreeMap<String, String>) -> KafkaSettings {
    KafkaSettings {
        application_id: settings.application_id.clone(),
        guarantee: settings.stream_thread.guarantee,
        process_id,
        transaction_timeout: settings.transaction_timeout,
        properties,
    }
}

fn resolve(parts: &Parts, admin: &KafkaAdmin) -> Result<ResolvedTopology, Failure> {
    let names = admin.topic_names()?;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let counts = admin.partition_counts(&names)?;
    let cluster: BTreeMap<TopicName, i32> =
        counts.into_iter().filter_map(|(name, count)| Some((TopicName::from(name), count?))).collect();
    let configs = &parts.settings.internal_topics.configs;
    ResolvedTopology::new(&parts.topology, &cluster, configs).map_err(|errors| {
        let text: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Failure::usage(anyhow::anyhow!("{}", text.join("; ")))
    })
}

/// Fails when a topic is missing that the application always writes to. What only a record names is found out when it comes.
fn check_outputs(parts: &Parts, admin: &KafkaAdmin) -> Result<(), Failure> {
    let mut writers: BTreeMap<&str, String> = BTreeMap::new();
    for node in parts.topology.nodes() {
        if let NodeKind::Sink(sink) = &node.kind
            && let (SinkTopic::Name(topic), false) = (&sink.topic, sink.internal)
        {
            writers.insert(topic.as_str(), format!("sink \"{}\"", node.name));
        }
    }
    for (plugin, settings) in &parts.settings.plugins {
        if let Some(topic) = &settings.dead_letter_topic {
            writers.entry(topic.as_str()).or_insert_with(|| format!("dead letters of plugin \"{plugin}\""));
        }
    }
    let topics: Vec<&str> = writers.keys().copied().collect();
    let missing: Vec<String> =
        admin.missing_topics(&topics)?.into_iter().map(|topic| format!("{topic} ({})", writers[topic])).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let missing = missing.join(", ");
    Err(Failure::usage(anyhow::anyhow!(
        "topics to write to do not exist: {missing}; create them, or correct their names"
    )))
}

fn create_internal_topics(parts: &Parts, resolved: &ResolvedTopology, admin: &KafkaAdmin) -> Result<(), Failure> {
    // The broker's default is -1.
    let replication = parts.settings.internal_topics.replication_factor.unwrap_or(-1);
    let topics: Vec<InternalTopic> = resolved
        .internal_topics()
        .iter()
        .map(|topic| InternalTopic {
            name: topic.name.to_string(),
            partitions: topic.partitions,
            replication,
            configs: topic.configs.clone().into_iter().collect(),
        })
        .collect();
    Ok(admin.ensure_topics(&topics)?)
}

/// How thread `index` of `count` gets its tasks.
fn membership(
    parts: &Parts,
    resolved: &Arc<ResolvedTopology>,
    admin: &Arc<KafkaAdmin>,
    stale: &Arc<AtomicBool>,
    (index, count): (u32, u32),
) -> Membership {
    match parts.settings.group_protocol {
        GroupProtocol::Solo => Membership::Solo { tasks: tasks_of_thread(resolved, index, count) },
        GroupProtocol::Consumer => {
            let topics = resolved.owner_topics().iter().map(ToString::to_string).collect();
            let known = Arc::clone(resolved);
            let tasks_of = Box::new(move |partitions: &[_]| known.tasks_of(partitions));
            let (parts, known) = (parts.clone(), Arc::clone(resolved));
            let (admin, stale) = (Arc::clone(admin), Arc::clone(stale));
            let topics_are_current = Box::new(move || {
                let is_current = resolve(&parts, &admin).is_ok_and(|now| now == *known);
                stale.fetch_or(!is_current, Ordering::SeqCst);
                is_current
            });
            Membership::Consumer { topics, tasks_of, topics_are_current }
        }
    }
}
