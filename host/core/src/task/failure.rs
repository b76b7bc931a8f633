//! Why a task could not go on.

use crate::error::{Coordinates, Error, ProcessorFailure};
use crate::id::{NodeName, TaskId};
use crate::topology::NodeIndex;

/// A task could not go on.
#[derive(Debug)]
pub enum TaskFailure {
    /// A processor failed.
    Processor(Box<ProcessingFailure>),
    /// The broker or the disk failed.
    Outside(Error),
}

/// A processor of a task failed: everything an operator needs to find the record and the culprit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessingFailure {
    /// The task.
    pub task: TaskId,
    /// The node.
    pub node: NodeIndex,
    /// The node's name.
    pub node_name: NodeName,
    /// The records among which the failing one is, first and last; `None` outside of `process`.
    pub between: Option<(Coordinates, Coordinates)>,
    /// How it failed.
    pub failure: ProcessorFailure,
}

impl ProcessingFailure {
    /// The failing record, when it is known which one it is.
    #[must_use]
    pub fn record(&self) -> Option<&Coordinates> {
        self.between.as_ref().filter(|(first, last)| first == last).map(|(first, _)| first)
    }
}

impl std::fmt::Display for ProcessingFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "task {}: node `{}` ", self.task, self.node_name)?;
        match &self.between {
            None => write!(f, "{}", self.failure),
            Some((first, last)) if first == last => write!(f, "at record {first} {}", self.failure),
            Some((first, last)) => write!(f, "between {first} and {} {}", last.offset, self.failure),
        }
    }
}

impl From<Error> for TaskFailure {
    fn from(error: Error) -> Self {
        Self::Outside(error)
    }
}
