//! What a thread remembers of failures: which record to look for, which to pass over, which task to leave alone.
//!
//! A processor that fails on a batch does not say on which record. The thread abandons everything since the last commit and
//! processes the same records again, one at a time; when it fails once more the record is known. Then the plugin's policy
//! decides: the task stops (`fail`), or the record is passed over (`skip`, `dead-letter`) when it comes again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::error::{Coordinates, Error, FailureCause};
use crate::id::{TaskId, TopicPartition};
use crate::port::CommittedOffset;
use crate::task::{ActiveTask, Passed, ProcessingFailure, TaskFailure};
use crate::topology::Topology;

use super::settings::{OnError, StreamThreadSettings};

/// The first wait before a record is tried again.
const BACK_OFF_MIN: Duration = Duration::from_millis(100);
/// The longest wait before a record is tried again.
const BACK_OFF_MAX: Duration = Duration::from_secs(30);

#[derive(Clone, Debug)]
struct BackOff {
    until: Duration,
    wait: Duration,
    /// Whether it was tried again since.
    is_over: bool,
    record: Option<Coordinates>,
}

/// See the file's documentation.
#[derive(Clone, Debug, Default)]
pub(super) struct Recovery {
    isolate: BTreeMap<TaskId, Coordinates>,
    pass_over: BTreeMap<TaskId, Vec<Passed>>,
    back_off: BTreeMap<TaskId, BackOff>,
    failed: BTreeMap<TaskId, String>,
}

impl Recovery {
    /// The tasks that failed for good, and why.
    pub(super) fn failed_tasks(&self) -> &BTreeMap<TaskId, String> {
        &self.failed
    }

    /// How long the task still waits before it tries a record again; `None` when it need not.
    pub(super) fn back_off(&self, task: TaskId, now: Duration) -> Option<Duration> {
        self.back_off.get(&task)?.until.checked_sub(now).filter(|rest| !rest.is_zero())
    }

    /// The tasks whose wait is over; told once for each wait.
    pub(super) fn take_due(&mut self, now: Duration) -> Vec<TaskId> {
        let due = self.back_off.iter_mut().filter(|(_, back_off)| !back_off.is_over && back_off.until <= now);
        due.map(|(task, back_off)| {
            back_off.is_over = true;
            *task
        })
        .collect()
    }

    /// Forgets tasks that are no longer here: another member may have better luck with them.
    pub(super) fn keep_only(&mut self, tasks: &BTreeSet<TaskId>) {
        self.isolate.retain(|task, _| tasks.contains(task));
        self.pass_over.retain(|task, _| tasks.contains(task));
        self.back_off.retain(|task, _| tasks.contains(task));
        self.failed.retain(|task, _| tasks.contains(task));
    }

    /// Forgets what lies before the committed positions: it will not come again.
    pub(super) fn note_commit(&mut self, positions: &[(TopicPartition, CommittedOffset)]) {
        let comes_again = |record: &Coordinates| {
            let committed = positions.iter().find(|(partition, _)| *partition == record.partition);
            committed.is_none_or(|(_, position)| position.offset <= record.offset)
        };
        self.isolate.retain(|_, until| comes_again(until));
        self.back_off.retain(|_, back_off| back_off.record.as_ref().is_none_or(comes_again));
        for passed in self.pass_over.values_mut() {
            passed.retain(|one| comes_again(&one.record));
        }
        self.pass_over.retain(|_, passed| !passed.is_empty());
    }

    /// Tells a task that has just been opened what to look for.
    pub(super) fn prepare(&self, task: &mut ActiveTask) {
        if let Some(until) = self.isolate.get(&task.id()) {
            task.isolate(until.clone());
        }
        if let Some(passed) = self.pass_over.get(&task.id()) {
            task.pass_over(passed.clone());
        }
    }

    /// Decides what is to happen when the failing task comes to the same records again.
    pub(super) fn note_processing_failure(
        &mut self,
        failure: &ProcessingFailure,
        topology: &Topology,
        settings: &StreamThreadSettings,
        now: Duration,
    ) {
        if failure.failure.cause == FailureCause::Retry {
            return self.note_retry(failure, now);
        }
        if let (None, Some((_, last))) = (failure.record(), &failure.between) {
            tracing::warn!(%failure, "processing the same records again, one at a time, to find the one that fails");
            self.isolate.insert(failure.task, last.clone());
            return;
        }
        let plugin = topology.node(failure.node).plugin();
        let policy = plugin.and_then(|plugin| settings.on_error.get(plugin)).copied().unwrap_or_default();
        let dead_letter_topic = plugin.and_then(|plugin| settings.dead_letter_topics.get(plugin)).cloned();
        match (policy, failure.record()) {
            (OnError::Skip | OnError::DeadLetter, Some(record)) => {
                tracing::error!(%failure, "a record failed; it will be passed over");
                self.pass_over.entry(failure.task).or_default().push(Passed {
                    record: record.clone(),
                    node_name: failure.node_name.clone(),
                    reason: failure.failure.to_string(),
                    dead_letter_topic: dead_letter_topic.filter(|_| policy == OnError::DeadLetter),
                });
            }
            _ => {
                self.note_failed(failure.task, failure.to_string());
            }
        }
    }

    /// Leaves `task` alone from now on.
    pub(super) fn note_failed(&mut self, task: TaskId, failure: String) {
        tracing::error!(%failure, "the task has failed and stops; other tasks go on");
        self.failed.insert(task, failure);
    }

    fn note_retry(&mut self, failure: &ProcessingFailure, now: Duration) {
        let record = failure.record().cloned();
        let again = self.back_off.get(&failure.task).filter(|back_off| back_off.record == record);
        let wait = again.map_or(BACK_OFF_MIN, |back_off| (back_off.wait * 2).min(BACK_OFF_MAX));
        tracing::warn!(%failure, ?wait, "the processor asks to try the record again later");
        self.back_off.insert(failure.task, BackOff { until: now + wait, wait, is_over: false, record });
    }

    /// A failure as an error, when the thread is ending anyway.
    pub(super) fn explain(&self, failure: TaskFailure) -> Error {
        match failure {
            TaskFailure::Outside(error) => error,
            TaskFailure::Processor(failure) => Error::fatal(failure.to_string()),
        }
    }
}
