//! Dev mode: an application on the embedded log, fed from files and printed to the terminal.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use millstream_core::commit::ProcessingGuarantee;
use millstream_core::id::{Offset, TopicName, TopicPartition};
use millstream_core::port::{Clock as _, Fetched, Waker};
use millstream_core::record::RecordBatch;
use millstream_core::stream_thread::{Ports, StreamThread};
use millstream_core::topology::{NodeKind, ResolvedTopology, SinkTopic, SourceTopics, Topology};
use millstream_embedded::{
    ConsumerOptions, EmbeddedBroker, EmbeddedChangelogReader, EmbeddedConsumer, EmbeddedLog, EmbeddedPurger, Isolation,
    StorageOptions,
};

use super::state::State;
use super::{Parts, outcome_of, tasks_of_thread};
use crate::clock::SystemClock;
use crate::config::Application;
use crate::dev::input::{Input, InputOptions, InputSpec, Progress};
use crate::dev::view::{FormatRule, RecordView};
use crate::failure::Failure;
use crate::signals::drain_on_signal;
use crate::supervisor::{StopHandle, Supervisor, ThreadReport};

/// Records that are fed before the threads have processed those before them. The log is in memory, a file may be larger.
const BACKLOG_MAX: u64 = 200_000;
/// Records that are fed, or printed, at once.
const BATCH_RECORDS: usize = 10_000;
/// How often a followed input that has nothing new is looked at.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(50);

/// What dev mode is told on the command line.
#[derive(Clone, Debug, Default)]
pub struct DevOptions {
    /// Where records come from.
    pub inputs: Vec<InputSpec>,
    /// The topics that are printed.
    pub prints: Vec<TopicName>,
    /// How printed records look.
    pub formats: Vec<FormatRule>,
    /// Each line of an input is a value, instead of a record in JSON.
    pub is_lines: bool,
    /// Inputs have no end.
    pub is_followed: bool,
    /// Where the log is kept; `None` keeps it in memory.
    pub log_directory: Option<PathBuf>,
    /// Partitions of topics; 1 for those not named.
    pub partitions: BTreeMap<TopicName, i32>,
}

/// Runs `application` on the embedded log until its inputs have ended and everything is processed, or until a signal.
///
/// # Errors
///
/// When something can't be opened, an input is wrong, or a task has failed.
pub fn run_on_embedded_log(application: Application, options: DevOptions) -> Result<(), Failure> {
    let log = open_log(&options)?;
    let state = open_state(&application, &options)?;
    // Inputs are opened before anything runs: a wrong path must not leave half a session behind.
    let input_options =
        InputOptions { is_lines: options.is_lines, is_followed: options.is_followed, ..InputOptions::default() };
    let inputs: Vec<(TopicName, Input)> = options
        .inputs
        .iter()
        .map(|spec| Ok((spec.topic.clone(), Input::open(spec, input_options)?)))
        .collect::<Result<_, crate::dev::input::InputError>>()
        .map_err(Failure::usage)?;
    let parts = Parts::load(application)?;
    let resolved = Arc::new(create_topics(&parts.topology, &log, &options, &parts)?);
    check_topics(&parts.topology, &resolved, &log, &options)?;
    let mut printer = Printer::new(&log, &options);
    let started = Instant::now();
    let supervisor = start_threads(&parts, &resolved, &log, &state)?;
    drain_on_signal(supervisor.stop_handle()).context("signals can't be handled")?;
    let feed = Arc::new(Feed::default());
    for (topic, input) in inputs {
        feed.start(topic, input, log.clone(), supervisor.stop_handle())?;
    }
    let janitor = Janitor::new(&parts, &log, &options, &resolved);
    wait_until_finished(&supervisor, &feed, &log, &mut printer, &janitor)?;
    supervisor.stop_handle().drain();
    let reports = supervisor.join();
    printer.print_new(&log)?;
    summarise(&reports, feed.records.load(Ordering::SeqCst), started.elapsed());
    outcome_of(&reports).and(input_error(&feed))
}

fn open_log(options: &DevOptions) -> Result<EmbeddedLog, Failure> {
    match &options.log_directory {
        None => Ok(EmbeddedLog::new()),
        Some(directory) => Ok(EmbeddedLog::open(directory, StorageOptions::default())?),
    }
}

/// With a log that is kept, state is kept beside it; otherwise it ends with the process, as the log does.
fn open_state(application: &Application, options: &DevOptions) -> Result<State, Failure> {
    match &options.log_directory {
        Some(directory) if cfg!(feature = "rocksdb") => {
            let settings = &application.settings;
            State::on_disk(&directory.join("state"), &settings.application_id, settings.state.memory)
        }
        _ => {
            tracing::info!("stores are kept in memory");
            Ok(State::in_memory())
        }
    }
}

/// Makes every topic that the application or the command line names.
fn create_topics(
    topology: &Topology,
    log: &EmbeddedLog,
    options: &DevOptions,
    parts: &Parts,
) -> Result<ResolvedTopology, Failure> {
    let mut names: BTreeSet<TopicName> = options.inputs.iter().map(|input| input.topic.clone()).collect();
    names.extend(options.partitions.keys().cloned());
    names.extend(parts.settings.plugins.values().filter_map(|plugin| plugin.dead_letter_topic.clone()));
    for node in topology.nodes() {
        match &node.kind {
            NodeKind::Source(source) if !source.internal => match &source.topics {
                SourceTopics::Names(topics) => names.extend(topics.iter().cloned()),
                SourceTopics::Pattern(_) => {}
            },
            NodeKind::Sink(sink) if !sink.internal => match &sink.topic {
                SinkTopic::Name(topic) => drop(names.insert(topic.clone())),
                SinkTopic::FromHeader(_) | SinkTopic::FromKey => {}
            },
            _ => {}
        }
    }
    let kept: BTreeSet<TopicName> = log.topics().into_iter().map(|topic| topic.name).collect();
    for name in &names {
        match options.partitions.get(name) {
            // A topic of an earlier run is as it was, unless the command line says what it must be.
            None if kept.contains(name) => {}
            partitions => drop(log.create_topic(name, partitions.copied().unwrap_or(1), &BTreeMap::new())?),
        }
    }
    let cluster = log.topics().into_iter().map(|topic| (topic.name, topic.partitions)).collect();
    let configs = &parts.settings.internal_topics.configs;
    let resolved = ResolvedTopology::new(topology, &cluster, configs).map_err(|errors| {
        let text: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Failure::usage(anyhow::anyhow!("{}", text.join("; ")))
    })?;
    for topic in resolved.internal_topics() {
        log.create_topic(&topic.name, topic.partitions, &topic.configs)?;
    }
    Ok(resolved)
}

/// Refuses inputs that nobody reads, and outputs that nobody writes: a misspelt name would be a run without records.
fn check_topics(
    topology: &Topology,
    resolved: &ResolvedTopology,
    log: &EmbeddedLog,
    options: &DevOptions,
) -> Result<(), Failure> {
    let list = |names: Vec<&str>| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let read = resolved.read_topics();
    if let Some(unread) = options.inputs.iter().find(|input| !read.contains_key(&input.topic)) {
        let (topic, known) = (&unread.topic, list(read.keys().map(TopicName::as_str).collect()));
        return Err(Failure::usage(anyhow::anyhow!(
            "--input: the application does not read topic `{topic}`; it reads {known}"
        )));
    }
    let is_dynamic = |sink: &millstream_core::topology::Sink| !matches!(sink.topic, SinkTopic::Name(_));
    if topology.nodes().iter().any(|node| matches!(&node.kind, NodeKind::Sink(sink) if is_dynamic(sink))) {
        return Ok(());
    }
    let there = log.topics();
    let unknown = |name: &&TopicName| !there.iter().any(|topic| topic.name == **name);
    if let Some(topic) = options.prints.iter().find(unknown) {
        let known = list(there.iter().map(|topic| topic.name.as_str()).collect());
        return Err(Failure::usage(anyhow::anyhow!("--print: there is no topic `{topic}`; there are {known}")));
    }
    Ok(())
}

fn start_threads(
    parts: &Parts,
    resolved: &Arc<ResolvedTopology>,
    log: &EmbeddedLog,
    state: &State,
) -> Result<Supervisor, Failure> {
    let threads = parts.stream_threads();
    let (parts, resolved, log, state) = (parts.clone(), Arc::clone(resolved), log.clone(), state.clone());
    let make = move |thread: u32| -> anyhow::Result<(StreamThread, Arc<dyn Waker>)> {
        let application_id = &parts.settings.application_id;
        let guarantee = parts.settings.stream_thread.guarantee;
        let (isolation, transactional_id) = match guarantee {
            ProcessingGuarantee::ExactlyOnce => {
                (Isolation::ReadCommitted, Some(format!("{application_id}-dev-{thread}")))
            }
            ProcessingGuarantee::AtLeastOnce => (Isolation::ReadUncommitted, None),
        };
        let tasks = tasks_of_thread(&resolved, thread, threads);
        let consumer = EmbeddedConsumer::new(&log, ConsumerOptions::solo(application_id, isolation, tasks));
        let waker = Arc::new(consumer.waker());
        let ports = Ports {
            clock: Box::new(SystemClock::new()),
            consumer: Box::new(consumer),
            broker: Box::new(EmbeddedBroker::new(&log, transactional_id.as_deref())),
            changelog_reader: Box::new(EmbeddedChangelogReader::new(&log, isolation)),
            state_directory: state.directory(),
            purger: Box::new(EmbeddedPurger::new(&log)),
            plugins: parts.plugins.factory(),
        };
        let name = format!("{application_id}-StreamThread-{}", thread + 1);
        let settings = parts.settings.stream_thread.clone();
        Ok((StreamThread::new(name, Arc::clone(&parts.topology), Arc::clone(&resolved), settings, ports), waker))
    };
    Ok(Supervisor::start(threads, false, Arc::new(make))?)
}

// === Feeding ===

/// What is known of the inputs, each of which is read by a thread of its own.
#[derive(Default)]
struct Feed {
    records: AtomicU64,
    running: AtomicU64,
    error: Mutex<Option<String>>,
    backlog: AtomicU64,
}

impl Feed {
    fn start(
        self: &Arc<Self>,
        topic: TopicName,
        input: Input,
        log: EmbeddedLog,
        stop: StopHandle,
    ) -> Result<(), Failure> {
        self.running.fetch_add(1, Ordering::SeqCst);
        let feed = Arc::clone(self);
        let body = move || {
            if let Err(error) = feed.run(&topic, input, &log, &stop) {
                let mut first = feed.error.lock().unwrap_or_else(PoisonError::into_inner);
                first.get_or_insert(format!("{error:#}"));
            }
            feed.running.fetch_sub(1, Ordering::SeqCst);
        };
        std::thread::Builder::new().name("input".to_owned()).spawn(body).context("no thread for an input")?;
        Ok(())
    }

    fn run(&self, topic: &TopicName, mut input: Input, log: &EmbeddedLog, stop: &StopHandle) -> anyhow::Result<()> {
        let clock = SystemClock::new();
        let mut batch = RecordBatch::new();
        while !stop.is_draining() {
            if self.backlog.load(Ordering::SeqCst) > BACKLOG_MAX {
                std::thread::sleep(Duration::from_millis(1));
                continue;
            }
            batch.clear();
            let progress = input.read(BATCH_RECORDS, clock.wall_clock_time(), &mut batch);
            // The records before a wrong line count: nothing that was read is lost.
            if !batch.is_empty() {
                log.append_batch(topic, None, &batch)?;
                self.records.fetch_add(batch.len() as u64, Ordering::SeqCst);
                self.backlog.fetch_add(batch.len() as u64, Ordering::SeqCst);
            }
            match progress? {
                Progress::Read(_) => {}
                Progress::Waiting => std::thread::sleep(FOLLOW_INTERVAL),
                Progress::Ended => break,
            }
        }
        Ok(())
    }

    fn has_ended(&self) -> bool {
        self.running.load(Ordering::SeqCst) == 0
    }
}

// === Printing ===

struct Printer {
    topics: Vec<(TopicPartition, Offset, RecordView)>,
    line: Vec<u8>,
}

impl Printer {
    /// Prints what is committed from now on.
    fn new(log: &EmbeddedLog, options: &DevOptions) -> Self {
        let mut topics = Vec::new();
        for topic in &options.prints {
            let view = RecordView::of(topic, &options.formats);
            for partition in 0..log.partitions(topic).unwrap_or(0) {
                let partition = TopicPartition::new(topic.clone(), partition);
                let from = log.end_offset(&partition).unwrap_or(Offset(0));
                topics.push((partition, from, view));
            }
        }
        Self { topics, line: Vec::new() }
    }

    fn print_new(&mut self, log: &EmbeddedLog) -> Result<bool, Failure> {
        let mut printed = false;
        let mut fetched = Fetched::default();
        for (partition, from, view) in &mut self.topics {
            loop {
                fetched.clear();
                *from = log.read(partition, *from, Isolation::ReadCommitted, BATCH_RECORDS, &mut fetched)?;
                if fetched.records.is_empty() {
                    break;
                }
                printed = true;
                self.line.clear();
                fetched.records.iter().for_each(|record| view.write_line(&record, &mut self.line));
                let mut out = std::io::stdout().lock();
                out.write_all(&self.line).and_then(|()| out.flush()).context("can't write to standard output")?;
            }
        }
        Ok(printed)
    }

    fn position(&self, partition: &TopicPartition) -> Option<Offset> {
        self.topics.iter().find(|(one, _, _)| one == partition).map(|(_, from, _)| *from)
    }
}

// === Keeping the log small ===

/// Deletes from a log in memory what nobody will read any more, so that an input of any size fits.
struct Janitor {
    group: String,
    sources: BTreeSet<TopicName>,
    /// Topics whose records may go: all but changelogs, or none when the log is kept.
    topics: Vec<TopicPartition>,
}

impl Janitor {
    fn new(parts: &Parts, log: &EmbeddedLog, options: &DevOptions, resolved: &ResolvedTopology) -> Self {
        let is_changelog = |name: &TopicName| {
            parts.topology.stores().iter().any(|store| parts.topology.changelog_topic(&store.name) == *name)
        };
        let mut topics = Vec::new();
        if options.log_directory.is_none() {
            for topic in log.topics().into_iter().filter(|topic| !is_changelog(&topic.name)) {
                topics
                    .extend((0..topic.partitions).map(|partition| TopicPartition::new(topic.name.clone(), partition)));
            }
        }
        let sources = resolved.read_topics().keys().cloned().collect();
        Self { group: parts.settings.application_id.clone(), sources, topics }
    }

    /// Deletes, and returns how many source records wait to be processed.
    fn tidy(&self, log: &EmbeddedLog, printer: &Printer) -> Result<u64, Failure> {
        let committed: BTreeMap<TopicPartition, Offset> = {
            let offsets = log.committed(&self.group);
            offsets.iter().map(|(partition, committed)| (partition.clone(), committed.offset)).collect()
        };
        let mut backlog = 0;
        for topic in &self.sources {
            for partition in 0..log.partitions(topic).unwrap_or(0) {
                let partition = TopicPartition::new(topic.clone(), partition);
                let next = committed.get(&partition).copied().unwrap_or(Offset(0));
                backlog += (log.end_offset(&partition)?.0 - next.0.max(log.start_offset(&partition)?.0)).max(0);
            }
        }
        for partition in &self.topics {
            let read = if self.sources.contains(&partition.topic) {
                committed.get(partition).copied().unwrap_or(Offset(0))
            } else {
                log.stable_offset(partition)?
            };
            let before = printer.position(partition).map_or(read, |printed| printed.min(read));
            // Deleting has a cost of its own, so it waits for something that is worth it.
            if before.0 - log.start_offset(partition)?.0 > BATCH_RECORDS as i64 {
                log.delete_records(partition, before)?;
            }
        }
        Ok(backlog.cast_unsigned())
    }
}

// === The end ===

/// What must not change between two looks for the session to have come to rest.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stillness {
    changes: u64,
    rounds: Vec<u64>,
}

/// Prints until the inputs have ended and everything is processed, a signal comes, or a thread ends.
fn wait_until_finished(
    supervisor: &Supervisor,
    feed: &Feed,
    log: &EmbeddedLog,
    printer: &mut Printer,
    janitor: &Janitor,
) -> Result<(), Failure> {
    let stop = supervisor.stop_handle();
    let mut still: Option<Stillness> = None;
    loop {
        let printed = printer.print_new(log)?;
        feed.backlog.store(janitor.tidy(log, printer)?, Ordering::SeqCst);
        let reports = supervisor.reports();
        if stop.is_draining() || reports.iter().any(|report| report.ended) {
            return Ok(());
        }
        let at_rest = !printed && feed.has_ended() && reports.iter().all(|report| report.caught_up);
        let now = Stillness { changes: log.changes(), rounds: reports.iter().map(|report| report.rounds).collect() };
        match (&still, at_rest) {
            (_, false) => still = None,
            (None, true) => still = Some(now),
            (Some(before), true) if before.changes != now.changes => still = Some(now),
            (Some(before), true) => {
                // Each thread has looked at everything at least once since the log last changed.
                if before.rounds.iter().zip(&now.rounds).all(|(before, now)| *now >= before + 2) {
                    return Ok(());
                }
            }
        }
        supervisor.wait_for_report(Duration::from_millis(20));
    }
}

fn summarise(reports: &[ThreadReport], fed: u64, elapsed: Duration) {
    let total = |of: fn(&ThreadReport) -> u64| reports.iter().map(of).sum::<u64>();
    let processed = total(|report| report.totals.records_processed);
    let seconds = elapsed.as_secs_f64().max(0.001);
    let summary = format!(
        "{fed} input records, {processed} records processed in {seconds:.2} s ({:.0} records/s), {} left out, {} commits",
        processed as f64 / seconds,
        total(|report| report.totals.records_dropped),
        total(|report| report.totals.commits),
    );
    // Not a log line: it is what the command has to say, whatever the log level.
    let _ = writeln!(std::io::stderr(), "{summary}");
}

fn input_error(feed: &Feed) -> Result<(), Failure> {
    let error = feed.error.lock().unwrap_or_else(PoisonError::into_inner).take();
    error.map_or(Ok(()), |error| Err(Failure::usage(anyhow::anyhow!("{error}"))))
}
