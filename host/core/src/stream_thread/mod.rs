//! The stream thread: one consumer, one producer, many tasks, one loop.
//!
//! [`StreamThread::run_once`] is one round: take membership events, restore a little, process a run of each task, punctuate,
//! commit when it is time. It never waits for anything but records, and it owns everything it touches, so it needs no lock.
//!
//! After an error nothing is patched up: the transaction is aborted, all tasks are closed dirty, and they restart from committed
//! state, by the same steps as after a crash.

mod assignment;
mod recovery;
mod settings;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use crate::commit::{ApplyPace, ProcessingGuarantee, commit};
use crate::error::{Error, FailureCause, Kind, Result};
use crate::id::{Offset, TaskId, Timestamp, TopicPartition};
use crate::port::{Broker, ChangelogReader, Clock, Consumer, RecordPurger, StateDirectory};
use crate::processor::PluginFactory;
use crate::record_collector::RecordCollector;
use crate::task::{ActiveTask, TaskFailure, TaskPhase, TurnMemory};
use crate::topology::{InternalTopicKind, ResolvedTopology, Topology};

use assignment::Assignment;
use recovery::Recovery;
pub use settings::{OnError, StreamThreadSettings};

/// The changelog reader wakes nobody; a restore is a matter of batches that are there in a moment.
const RESTORE_WAIT: Duration = Duration::from_millis(1);

/// Tasks that had to restart may have to again, and what their state was not given is read from the changelog each time: for so many
/// intervals it is given the changes of each commit at once.
const CALM_AFTER_INTERVALS: u32 = 10;

/// How long a thread whose tasks rest waits at least: records, events and signals wake it.
const RESTING_WAIT_MIN: Duration = Duration::from_secs(1);

/// How often a retriable error that lasts is logged; it is tried again several times a second.
const RETRY_LOG_INTERVAL: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug)]
struct Retrying {
    since: Duration,
    logged: Option<Duration>,
}

/// Everything outside that a stream thread uses.
pub struct Ports {
    /// Tells the time.
    pub clock: Box<dyn Clock>,
    /// Reads the source topics, and is the member of the group.
    pub consumer: Box<dyn Consumer>,
    /// Makes producers.
    pub broker: Box<dyn Broker>,
    /// Reads changelogs.
    pub changelog_reader: Box<dyn ChangelogReader>,
    /// Keeps the tasks' state.
    pub state_directory: Box<dyn StateDirectory>,
    /// Purges repartition topics.
    pub purger: Box<dyn RecordPurger>,
    /// Makes plugins' processors.
    pub plugins: Box<dyn PluginFactory>,
}

/// What a round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Records processed.
    pub records: usize,
    /// Whether it committed.
    pub committed: bool,
}

/// Running totals of a thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Source records processed, those of repartition topics included. Records that were processed again after an error count again.
    pub records_processed: u64,
    /// Records left out.
    pub records_dropped: u64,
    /// Commits.
    pub commits: u64,
    /// Changelog records applied by restores.
    pub records_restored: u64,
    /// Times that all tasks were restarted from committed state.
    pub restarts: u64,
    /// Processors that were replaced because their memory had passed its mark.
    pub processors_replaced: u64,
}

/// See the file's documentation.
pub struct StreamThread {
    name: String,
    topology: Arc<Topology>,
    resolved: Arc<ResolvedTopology>,
    settings: StreamThreadSettings,
    ports: Ports,
    collector: RecordCollector,
    memory: TurnMemory,
    tasks: BTreeMap<TaskId, ActiveTask>,
    assignment: Assignment,
    recovery: Recovery,
    /// The task that had its turn last.
    last_turn: Option<TaskId>,
    last_commit: Duration,
    last_purge: Duration,
    /// Since when nothing was processed or committed; `None` while the tasks rest.
    quiet_since: Option<Duration>,
    /// When all tasks were last restarted because of an error.
    restarted_at: Option<Duration>,
    /// Consumed positions of repartition topics that were committed and not purged yet.
    purgeable: BTreeMap<TopicPartition, Offset>,
    totals: Totals,
    /// When the first of the retriable errors in a row happened, and when one was logged last.
    retrying: Option<Retrying>,
}

impl StreamThread {
    /// A thread without tasks.
    #[must_use]
    pub fn new(
        name: String,
        topology: Arc<Topology>,
        resolved: Arc<ResolvedTopology>,
        settings: StreamThreadSettings,
        ports: Ports,
    ) -> Self {
        let now = ports.clock.monotonic_time();
        Self {
            collector: RecordCollector::new(settings.guarantee == ProcessingGuarantee::ExactlyOnce),
            name,
            topology,
            resolved,
            settings,
            ports,
            memory: TurnMemory::default(),
            tasks: BTreeMap::new(),
            assignment: Assignment::default(),
            recovery: Recovery::default(),
            last_turn: None,
            last_commit: now,
            last_purge: now,
            quiet_since: Some(now),
            restarted_at: None,
            purgeable: BTreeMap::new(),
            totals: Totals::default(),
            retrying: None,
        }
    }

    /// The thread's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Running totals.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let dropped: u64 = self.tasks.values().map(ActiveTask::records_dropped).sum();
        Totals { records_dropped: self.totals.records_dropped + dropped, ..self.totals }
    }

    /// The thread's tasks.
    pub fn tasks(&self) -> impl Iterator<Item = &ActiveTask> {
        self.tasks.values()
    }

    /// A task of the thread, to look into its stores.
    pub fn task_mut(&mut self, task: TaskId) -> Option<&mut ActiveTask> {
        self.tasks.get_mut(&task)
    }

    /// The tasks that failed for good, and why.
    #[must_use]
    pub fn failed_tasks(&self) -> &BTreeMap<TaskId, String> {
        self.recovery.failed_tasks()
    }

    /// One round. Waits for records only when nothing else is to be done, and never longer than the poll time-out.
    ///
    /// # Errors
    ///
    /// `Fatal`: the thread must end, after [`Self::close_dirty`].
    pub fn run_once(&mut self) -> Result<Round> {
        match self.round() {
            Ok(round) => {
                if !self.tasks.values().any(ActiveTask::is_commit_needed) {
                    self.retrying = None;
                }
                Ok(round)
            }
            Err(failure) => {
                self.recover(failure)?;
                Ok(Round::default())
            }
        }
    }

    fn round(&mut self) -> Result<Round, TaskFailure> {
        self.handle_membership()?;
        self.ensure_producer()?;
        self.restore()?;
        let mut records = 0;
        let wall_clock = self.ports.clock.wall_clock_time();
        let now = self.ports.clock.monotonic_time();
        let due = self.recovery.take_due(now);
        if !due.is_empty() {
            // Should they fail again, everything since the last commit is abandoned: it must not be the work of others.
            self.commit()?;
        }
        for id in due {
            if let Some(task) = self.tasks.get_mut(&id).filter(|task| task.phase() == TaskPhase::Running) {
                records += task.take_turn(
                    self.ports.consumer.as_mut(),
                    &mut self.collector,
                    &mut self.memory,
                    (now, wall_clock),
                )?;
            }
        }
        records += self.take_turns(now, wall_clock)?;
        self.totals.records_processed += records as u64;
        let committed = self.commit_if_due()?;
        if committed {
            for task in self.tasks.values_mut() {
                self.totals.processors_replaced += task.recycle(&self.topology, self.ports.plugins.as_mut())? as u64;
            }
        }
        if records > 0 || committed {
            self.quiet_since = Some(now);
        } else {
            self.rest_if_due(now)?;
            self.wait();
        }
        Ok(Round { records, committed })
    }

    /// After a while without work, tasks give memory back once. Those that still restore have work.
    fn rest_if_due(&mut self, now: Duration) -> Result<(), TaskFailure> {
        if self.quiet_since.is_none_or(|since| now.saturating_sub(since) < self.settings.rest_after) {
            return Ok(());
        }
        let mut tasks: Vec<_> = self.tasks.values_mut().filter(|task| task.phase() == TaskPhase::Running).collect();
        if tasks.iter().any(|task| task.is_commit_needed()) {
            return Ok(());
        }
        self.quiet_since = None;
        tracing::debug!(thread = %self.name, tasks = tasks.len(), "nothing to do: tasks give memory back");
        self.memory = TurnMemory::default();
        for task in &mut tasks {
            task.rest()?;
        }
        Ok(())
    }

    /// Tasks take turns of one run each, so that one with much to do does not hold up the others, and a commit does not wait for all of
    /// them: those whose turn had not come are the first of the next round.
    fn take_turns(&mut self, now: Duration, wall_clock: Timestamp) -> Result<usize, TaskFailure> {
        let mut records = 0;
        for _ in 0..self.tasks.len() {
            self.last_turn = self.next_turn();
            let Some(task) = self.last_turn.and_then(|id| self.tasks.get_mut(&id)) else { break };
            if task.phase() != TaskPhase::Running || self.recovery.back_off(task.id(), now).is_some() {
                continue;
            }
            let processed =
                task.take_turn(self.ports.consumer.as_mut(), &mut self.collector, &mut self.memory, (now, wall_clock))?;
            records += processed;
            if processed > 0 && self.is_commit_time(self.ports.clock.monotonic_time()) {
                break;
            }
        }
        Ok(records)
    }

    /// The task after the one that had its turn last.
    fn next_turn(&self) -> Option<TaskId> {
        let after = self.last_turn.map_or(Bound::Unbounded, Bound::Excluded);
        let next = self.tasks.range((after, Bound::Unbounded)).next().or_else(|| self.tasks.first_key_value());
        next.map(|(id, _)| *id)
    }

    fn restore(&mut self) -> Result<(), TaskFailure> {
        let wall_clock = self.ports.clock.wall_clock_time();
        for task in self.tasks.values_mut().filter(|task| task.phase() == TaskPhase::Restoring) {
            let before = task.records_restored();
            let done = task.restore_step(self.ports.changelog_reader.as_mut(), wall_clock)?;
            self.totals.records_restored += task.records_restored() - before;
            if done {
                tracing::debug!(thread = %self.name, task = %task.id(), "all stores are restored");
            }
        }
        Ok(())
    }

    fn ensure_producer(&mut self) -> Result<(), TaskFailure> {
        if !self.collector.has_producer() {
            let tracked = self.changelog_partitions();
            self.collector.set_producer(self.ports.broker.producer(&tracked)?);
        }
        Ok(())
    }

    /// The partitions whose last offsets are asked for at each commit.
    fn changelog_partitions(&self) -> Vec<TopicPartition> {
        let changelogs =
            self.resolved.internal_topics().iter().filter(|topic| topic.kind == InternalTopicKind::Changelog);
        changelogs
            .flat_map(|topic| (0..topic.partitions).map(|partition| TopicPartition::new(topic.name.clone(), partition)))
            .collect()
    }

    /// Waits for records, but not past the next commit, punctuation or end of a pause.
    fn wait(&mut self) {
        let now = self.ports.clock.monotonic_time();
        let wall_clock = self.ports.clock.wall_clock_time();
        let commit = self.tasks.values().any(ActiveTask::is_commit_needed);
        let commit = commit.then(|| (self.last_commit + self.settings.commit_interval).saturating_sub(now));
        let opening = self.assignment.is_pending().then_some(RESTORE_WAIT);
        let tasks = self.tasks.values().filter_map(|task| self.time_to_work(task, now, wall_clock));
        let poll_timeout = self.settings.poll_timeout;
        let longest = if self.quiet_since.is_none() { poll_timeout.max(RESTING_WAIT_MIN) } else { poll_timeout };
        let timeout = tasks.chain(commit).chain(opening).fold(longest, Duration::min);
        self.ports.consumer.wait(timeout);
    }

    /// How long a task has nothing to do unless a record comes; `None` is for ever.
    fn time_to_work(&self, task: &ActiveTask, now: Duration, wall_clock: Timestamp) -> Option<Duration> {
        match task.phase() {
            TaskPhase::Restoring => Some(RESTORE_WAIT),
            TaskPhase::Suspended | TaskPhase::Closed => None,
            TaskPhase::Running => {
                let back_off = self.recovery.back_off(task.id(), now);
                back_off.or_else(|| {
                    let punctuation = task
                        .next_wall_clock_punctuation()
                        .map(|next| Duration::from_millis(next.saturating_sub(wall_clock).max(0).cast_unsigned()));
                    let idling = task.idle_deadline().map(|deadline| deadline.saturating_sub(now));
                    punctuation.into_iter().chain(idling).min()
                })
            }
        }
    }

    // === Commit ===

    fn commit_if_due(&mut self) -> Result<bool, TaskFailure> {
        let now = self.ports.clock.monotonic_time();
        let requested = self.tasks.values().any(ActiveTask::is_commit_requested);
        let uncommitted: usize = self.tasks.values().map(ActiveTask::uncommitted_byte_len).sum();
        let full = uncommitted > self.settings.write_buffer_bytes_max;
        if !(requested || full || self.is_commit_time(now)) {
            return Ok(false);
        }
        self.last_commit = now;
        self.commit()
    }

    fn is_commit_time(&self, now: Duration) -> bool {
        now.saturating_sub(self.last_commit) >= self.settings.commit_interval
    }

    /// Commits all tasks that need it, and tells whether there was one.
    ///
    /// # Errors
    ///
    /// See [`commit`].
    fn commit(&mut self) -> Result<bool, TaskFailure> {
        let begin = self.ports.clock.monotonic_time();
        let pace = ApplyPace { now: begin, interval: self.apply_interval(begin) };
        let consumer = self.ports.consumer.as_ref();
        let is_due = |task: &&mut ActiveTask| task.is_commit_needed() || task.has_passed_markers(consumer);
        let mut tasks: Vec<_> = self.tasks.values_mut().filter(is_due).collect();
        if tasks.is_empty() && !self.collector.in_transaction() {
            return Ok(false);
        }
        let guarantee = self.settings.guarantee;
        let positions = commit(&mut tasks, guarantee, pace, self.ports.consumer.as_mut(), &mut self.collector)?;
        let took = self.ports.clock.monotonic_time().saturating_sub(begin);
        tracing::debug!(thread = %self.name, positions = positions.len(), took_us = took.as_micros() as u64, "committed");
        self.totals.commits += 1;
        self.recovery.note_commit(&positions);
        for (partition, committed) in positions {
            if self.topology.repartitions().iter().any(|repartition| repartition.topic == partition.topic) {
                self.purgeable.insert(partition, committed.offset);
            }
        }
        self.purge_if_due();
        Ok(true)
    }

    fn apply_interval(&self, now: Duration) -> Duration {
        let interval = self.settings.apply_interval;
        let is_calm = |restarted: Duration| now.saturating_sub(restarted) > CALM_AFTER_INTERVALS * interval;
        if self.restarted_at.is_none_or(is_calm) { interval } else { Duration::ZERO }
    }

    /// Deletes the consumed records of repartition topics now and then (reference §4.3).
    fn purge_if_due(&mut self) {
        let now = self.ports.clock.monotonic_time();
        if now.saturating_sub(self.last_purge) >= self.settings.purge_interval && !self.purgeable.is_empty() {
            self.last_purge = now;
            let before: Vec<_> = std::mem::take(&mut self.purgeable).into_iter().collect();
            self.ports.purger.purge(&before);
        }
    }

    // === The end ===

    /// Whether every record that is there has been processed and committed.
    #[must_use]
    pub fn is_caught_up(&self) -> bool {
        let consumer = self.ports.consumer.as_ref();
        let idle = |task: &ActiveTask| task.is_caught_up(consumer) && !task.is_commit_needed();
        !self.assignment.is_pending() && self.assignment.is_known() && self.tasks.values().all(idle)
    }

    /// Commits, closes all tasks clean, and ends the membership.
    ///
    /// # Errors
    ///
    /// When the last commit fails; the thread is then closed dirty, and loses nothing that was committed.
    pub fn close(&mut self, leave: bool) -> Result<()> {
        let committed = self.commit().map_err(|failure| self.recovery.explain(failure));
        if let Err(error) = committed {
            self.close_dirty(leave);
            return Err(error);
        }
        let mut result = Ok(());
        for (_, task) in std::mem::take(&mut self.tasks) {
            self.totals.records_dropped += task.records_dropped();
            result = result.and(task.close_clean(self.ports.changelog_reader.as_mut()));
        }
        self.ports.consumer.close(leave);
        result
    }

    /// Abandons everything since the last commit, and ends the membership.
    pub fn close_dirty(&mut self, leave: bool) {
        self.abandon_tasks();
        self.ports.consumer.close(leave);
    }

    fn abandon_tasks(&mut self) {
        self.collector.abort_transaction();
        for (_, task) in std::mem::take(&mut self.tasks) {
            self.totals.records_dropped += task.records_dropped();
            task.close_dirty(self.ports.changelog_reader.as_mut());
        }
    }

    /// Decides what a failure means for the thread. `Ok` means that it goes on.
    fn recover(&mut self, failure: TaskFailure) -> Result<()> {
        let now = self.ports.clock.monotonic_time();
        match failure {
            // The disk or another part of the host has failed: no record is to blame, and a restart would meet it again.
            TaskFailure::Processor(failure) if failure.failure.cause == FailureCause::Host => {
                Err(Error::fatal(failure.to_string()))
            }
            TaskFailure::Processor(failure) => {
                self.recovery.note_processing_failure(&failure, &self.topology, &self.settings, now);
                self.restart_tasks();
                Ok(())
            }
            TaskFailure::Outside(error) => self.recover_from_error(error, now),
        }
    }

    fn recover_from_error(&mut self, error: Error, now: Duration) -> Result<()> {
        match error.kind() {
            Kind::Fatal => Err(error),
            Kind::TaskFailed => {
                let Some(task) = error.task() else { return Err(error) };
                self.recovery.note_failed(task, chain(&error));
                // It may have become careful, to find the record: the others need it no more.
                self.collector.drop_producer();
                self.restart_tasks();
                Ok(())
            }
            Kind::Retriable => {
                let first = Retrying { since: now, logged: None };
                let retrying = self.retrying.get_or_insert(first);
                if now.saturating_sub(retrying.since) > self.settings.task_timeout {
                    let message = format!("retried for {:?} without success, give up", self.settings.task_timeout);
                    return Err(Error::fatal(message).caused_by(error));
                }
                if retrying.logged.is_none_or(|logged| now.saturating_sub(logged) >= RETRY_LOG_INTERVAL) {
                    retrying.logged = Some(now);
                    tracing::warn!(thread = %self.name, error = %chain(&error), "trying again until it succeeds");
                }
                if self.collector.must_abandon() {
                    self.restart_tasks();
                }
                self.ports.consumer.wait(Duration::from_millis(100).min(self.settings.poll_timeout));
                Ok(())
            }
            Kind::TaskMigrated => {
                tracing::warn!(thread = %self.name, error = %chain(&error), "restarting all tasks with a new producer");
                self.collector.drop_producer();
                self.restart_tasks();
                Ok(())
            }
            Kind::TaskCorrupted => {
                tracing::error!(thread = %self.name, error = %chain(&error), "wiping the task's state to restore it");
                self.restart_tasks();
                match error.task() {
                    Some(task) => self.ports.state_directory.wipe_task(task),
                    None => Err(error),
                }
            }
        }
    }

    /// Closes all tasks dirty and opens them again from committed state.
    fn restart_tasks(&mut self) {
        self.totals.restarts += 1;
        self.restarted_at = Some(self.ports.clock.monotonic_time());
        self.abandon_tasks();
        self.assignment.restart();
    }
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
