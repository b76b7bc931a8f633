//! The one error of the engine, and the small [`Kind`] that decides what the stream thread does next.

use std::fmt;

use crate::id::{Offset, TaskId, TopicPartition};

type Source = Box<dyn std::error::Error + Send + Sync>;

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the stream thread must do next; chosen once, where the foreign error enters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Try again; the thread gives up when the task time-out has passed.
    Retriable,
    /// Another owner exists, or the outcome of a transaction is unknown: close the thread's tasks dirty, take a new
    /// producer, and restart them from committed state.
    TaskMigrated,
    /// The local state of a task can't be trusted: wipe it, restore it from the changelog, continue.
    TaskCorrupted,
    /// The named task can't go on, whatever is tried again, and the others can: stop it alone. Without a task, as `Fatal`.
    TaskFailed,
    /// Stop the stream thread.
    Fatal,
}

/// An operating error: something outside went wrong.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    task: Option<TaskId>,
    message: String,
    source: Option<Source>,
}

impl Error {
    /// An error of `kind`; the message is a lower-case fragment that names the thing and ends with what to do.
    #[must_use]
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, task: None, message: message.into(), source: None }
    }

    /// An error that stops the stream thread.
    #[must_use]
    pub fn fatal(message: impl Into<String>) -> Self {
        Self::new(Kind::Fatal, message)
    }

    /// Names the task that the error belongs to, unless one is named already.
    #[must_use]
    pub fn in_task(mut self, task: TaskId) -> Self {
        self.task.get_or_insert(task);
        self
    }

    /// Adds the error that caused this one.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Source>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What the stream thread must do next.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The task that the error belongs to.
    #[must_use]
    pub fn task(&self) -> Option<TaskId> {
        self.task
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(task) = self.task {
            write!(f, "task {task}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source.as_ref() as _)
    }
}

/// How a processor failed. Three doors: an answer of the guest, a trap, a limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FailureCause {
    /// The processor answered that it can't go on (`fatal`), with its reason.
    Answer,
    /// It ended abnormally: a bug of the plugin.
    Trap,
    /// It went past a limit: memory, deadline, output.
    Limit,
    /// It answered that a dependency is not there now: the record is to be tried again (`retry`).
    Retry,
    /// The host could not serve it, such as when the disk fails. No record is to blame, so no policy applies.
    Host,
}

/// A processor that could not process its records. The task decides what happens, by the plugin's policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessorFailure {
    /// Which door it came through.
    pub cause: FailureCause,
    /// The record of the batch that failed, when the processor said so.
    pub index: Option<u32>,
    /// The reason, with the guest's own words and backtrace where there are some.
    pub reason: String,
    /// The digest of the plugin, empty for a native operator.
    pub digest: String,
}

impl ProcessorFailure {
    /// A failure of a native operator.
    #[must_use]
    pub fn native(cause: FailureCause, reason: impl Into<String>) -> Self {
        Self { cause, index: None, reason: reason.into(), digest: String::new() }
    }

    /// Names the record of the batch, unless one is named already.
    #[must_use]
    pub fn at(mut self, index: usize) -> Self {
        self.index.get_or_insert(index as u32);
        self
    }
}

impl fmt::Display for ProcessorFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self.cause {
            FailureCause::Answer => "refused a record",
            FailureCause::Trap => "trapped",
            FailureCause::Limit => "went past a limit",
            FailureCause::Retry => "asks to try again",
            FailureCause::Host => "could not be served",
        };
        write!(f, "{verb}: {}", self.reason)?;
        if !self.digest.is_empty() {
            write!(f, " (plugin {})", self.digest)?;
        }
        Ok(())
    }
}

impl std::error::Error for ProcessorFailure {}

/// Where a record came from, for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coordinates {
    /// The source partition.
    pub partition: TopicPartition,
    /// The record's offset.
    pub offset: Offset,
}

impl fmt::Display for Coordinates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} offset {}", self.partition, self.offset)
    }
}
