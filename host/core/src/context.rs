//! What a processor can do while it is called: its stores, `forward`, punctuations, time and metadata.

use std::ops::{Deref, DerefMut, Range};

use crate::error::Coordinates;
use crate::id::{Offset, TIMESTAMP_UNKNOWN, TaskId, Timestamp, TopicPartition};
use crate::limits;
use crate::processor::PunctuationType;
use crate::punctuation::{PunctuationQueue, ScheduleError};
use crate::record::{ColumnsError, DerivedBatch, PackedColumns, Record, RecordBatch};
use crate::store::Stores;
use crate::topology::NodeIndex;

/// Where a source record came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordMetadata<'a> {
    /// Topic and partition; `None` during a punctuation, as in Kafka Streams.
    pub partition: Option<&'a TopicPartition>,
    /// The offset; `-1` during a punctuation.
    pub offset: Offset,
}

/// The run of source records that is being processed.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// Where the records came from.
    pub partition: Option<TopicPartition>,
    /// Each record's offset.
    pub offsets: Vec<Offset>,
    /// The task's stream time at each record: the highest timestamp of all records dequeued up to it.
    pub stream_times: Vec<Timestamp>,
}

impl Run {
    /// No source record is being processed any more, as in a punctuation and all that follows from it.
    pub fn end(&mut self) {
        self.partition = None;
        self.offsets.clear();
        self.stream_times.clear();
    }
}

/// What a call is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// `init`: nothing may be forwarded yet.
    Init,
    /// `process`.
    Process,
    /// `punctuate`.
    Punctuate,
    /// `close`: nothing may be forwarded any more.
    Close,
}

/// A forward was refused: the processor broke its contract.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForwardError {
    /// The columns disagree.
    #[error(transparent)]
    Columns(#[from] ColumnsError),
    /// There is no such child.
    #[error("there is no child {child}: the node has {children}")]
    Child {
        /// The child named.
        child: usize,
        /// The number of children.
        children: usize,
    },
    /// More was forwarded in one call than is allowed.
    #[error("more than {records} records or {bytes} bytes were forwarded in one call",
        records = limits::FORWARD_RECORDS_MAX, bytes = limits::FORWARD_BYTES_MAX)]
    TooMuch,
    /// Forwarding is not possible in this call.
    #[error("records can't be forwarded in {0}")]
    Phase(&'static str),
}

/// Records forwarded by one call, for each child. Keys and values that are those of the call's input are taken from it when the records are
/// handed on.
#[derive(Clone, Debug, Default)]
pub struct Forwarded {
    /// For each child its records, in record order only for a single child, or where nobody can tell the difference; behind them empty ones,
    /// which are kept for nodes with more children.
    pub by_child: Vec<DerivedBatch>,
    /// The children of each record of `sequence_records`, when the order between children matters.
    pub sequence: Vec<Option<u32>>,
    /// All records in the order they were forwarded, when the order between children matters.
    pub sequence_records: DerivedBatch,
}

impl Forwarded {
    /// Removes all records and keeps the memory.
    pub fn clear(&mut self) {
        self.by_child.iter_mut().for_each(DerivedBatch::clear);
        self.sequence.clear();
        self.sequence_records.clear();
    }

    fn byte_len(&self) -> usize {
        self.by_child.iter().map(DerivedBatch::byte_len).sum::<usize>() + self.sequence_records.byte_len()
    }

    fn record_count(&self) -> usize {
        self.by_child.iter().map(DerivedBatch::len).sum::<usize>() + self.sequence.len()
    }
}

/// The state of a task that its processors reach. While a node is called, it is that node's.
pub struct TaskContext {
    task: TaskId,
    /// The stores of the task. A node must only be led to those that it was granted.
    pub stores: Stores,
    /// The punctuations of the task.
    pub punctuations: PunctuationQueue,
    /// The run being processed.
    pub run: Run,
    /// The task's stream time before the run.
    pub stream_time: Timestamp,
    /// Wall-clock time, read once a round.
    pub wall_clock_time: Timestamp,
    /// Whether a processor asked for a commit.
    pub commit_requested: bool,
    /// Records that were left out since the task began, by a rule of an operator or by a processor's answer.
    pub dropped_records: u64,
    node: NodeIndex,
    children: usize,
    phase: Phase,
    /// Whether the order of forwards between children must be kept.
    sequenced: bool,
    /// For each record of the call's input the row of the run it descends from.
    parents: Vec<u32>,
    forwarded: Forwarded,
}

impl TaskContext {
    /// The context of a task that has not begun.
    #[must_use]
    pub fn new(task: TaskId, stores: Stores) -> Self {
        Self {
            task,
            stores,
            punctuations: PunctuationQueue::default(),
            run: Run::default(),
            stream_time: TIMESTAMP_UNKNOWN,
            wall_clock_time: TIMESTAMP_UNKNOWN,
            commit_requested: false,
            dropped_records: 0,
            node: NodeIndex(0),
            children: 0,
            phase: Phase::Init,
            sequenced: false,
            parents: Vec::new(),
            forwarded: Forwarded::default(),
        }
    }

    /// The task.
    #[must_use]
    pub fn task(&self) -> TaskId {
        self.task
    }

    /// The number of children of the node that is called.
    #[must_use]
    pub fn children(&self) -> usize {
        self.children
    }

    /// The phase of the call.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    // === For processors ===

    /// Forwards records given as columns to all children, or to one. They are handed on when the call returns. The columns' `parents` are
    /// filled in here: `rows` name records of the call's input.
    ///
    /// # Errors
    ///
    /// When the processor breaks its contract; the records before stay forwarded.
    pub fn forward(&mut self, child: Option<usize>, columns: &PackedColumns<'_>) -> Result<(), ForwardError> {
        self.check_forward(child)?;
        let Self { forwarded, parents, children, .. } = self;
        let columns = PackedColumns { parents, ..*columns };
        if self.sequenced {
            forwarded.sequence_records.push_columns(&columns)?;
            let count = forwarded.sequence_records.len();
            forwarded.sequence.resize(count, child.map(|child| child as u32));
        } else if let Some(child) = child {
            forwarded.by_child[child].push_columns(&columns)?;
        } else {
            for batch in &mut forwarded.by_child[..*children] {
                batch.push_columns(&columns)?;
            }
        }
        self.check_amount()
    }

    /// Forwards one record that descends from record `index` of the call's input to all children. For native operators.
    pub fn forward_record(&mut self, record: Record<'_>, index: usize) {
        let row = self.parents.get(index).copied().unwrap_or(0);
        if self.sequenced {
            self.forwarded.sequence_records.push(record, row);
            self.forwarded.sequence.push(None);
        } else {
            for batch in &mut self.forwarded.by_child[..self.children] {
                batch.push(record, row);
            }
        }
    }

    /// Forwards the records `range` of `input`, the call's, as they are to all children. For native operators.
    pub fn forward_range(&mut self, input: &RecordBatch, range: Range<usize>) {
        if self.sequenced {
            self.forwarded.sequence_records.push_range_of_input(input, range);
            self.forwarded.sequence.resize(self.forwarded.sequence_records.len(), None);
        } else {
            for batch in &mut self.forwarded.by_child[..self.children] {
                batch.push_range_of_input(input, range.clone());
            }
        }
    }

    fn check_forward(&self, child: Option<usize>) -> Result<(), ForwardError> {
        match self.phase {
            Phase::Init => return Err(ForwardError::Phase("init")),
            Phase::Close => return Err(ForwardError::Phase("close")),
            Phase::Process | Phase::Punctuate => {}
        }
        let children = self.children();
        match child {
            Some(child) if child >= children => Err(ForwardError::Child { child, children }),
            _ => Ok(()),
        }
    }

    fn check_amount(&self) -> Result<(), ForwardError> {
        let bytes = self.forwarded.byte_len();
        if bytes > limits::FORWARD_BYTES_MAX || self.forwarded.record_count() > limits::FORWARD_RECORDS_MAX {
            return Err(ForwardError::TooMuch);
        }
        Ok(())
    }

    /// Stream time at record `index` of the call's input; the task's stream time outside of `process`. `-1` before any record.
    #[must_use]
    pub fn stream_time_at(&self, index: usize) -> Timestamp {
        let row = self.parents.get(index).copied();
        row.and_then(|row| self.run.stream_times.get(row as usize).copied()).unwrap_or(self.stream_time)
    }

    /// Where record `index` of the call's input came from. `None` in `init` and `close`; during a punctuation without topic and
    /// offset, as in Kafka Streams.
    #[must_use]
    pub fn record_metadata(&self, index: usize) -> Option<RecordMetadata<'_>> {
        match self.phase {
            Phase::Init | Phase::Close => None,
            Phase::Punctuate => Some(RecordMetadata { partition: None, offset: Offset(-1) }),
            // What a punctuation has forwarded has no source record either.
            Phase::Process if self.run.partition.is_none() => {
                self.parents.get(index).map(|_| RecordMetadata { partition: None, offset: Offset(-1) })
            }
            Phase::Process => {
                let row = *self.parents.get(index)? as usize;
                let offset = *self.run.offsets.get(row)?;
                Some(RecordMetadata { partition: self.run.partition.as_ref(), offset })
            }
        }
    }

    /// Where the first and the last record of the call's input came from; `None` outside of `process`, and for what a punctuation
    /// has forwarded.
    #[must_use]
    pub fn input_coordinates(&self) -> Option<(Coordinates, Coordinates)> {
        let partition = self.run.partition.as_ref().filter(|_| self.phase == Phase::Process)?;
        let of = |row: &u32| {
            let offset = *self.run.offsets.get(*row as usize)?;
            Some(Coordinates { partition: partition.clone(), offset })
        };
        Some((of(self.parents.first()?)?, of(self.parents.last()?)?))
    }

    /// Schedules a punctuation of the node.
    ///
    /// # Errors
    ///
    /// See [`ScheduleError`].
    pub fn schedule(
        &mut self,
        kind: PunctuationType,
        start: Option<Timestamp>,
        interval: i64,
    ) -> Result<u32, ScheduleError> {
        let now = match kind {
            PunctuationType::StreamTime => self.stream_time,
            PunctuationType::WallClockTime => self.wall_clock_time,
        };
        self.punctuations.schedule(self.node, kind, start, interval, now)
    }

    /// Cancels a punctuation of the node; one that is not there is ignored.
    pub fn cancel(&mut self, id: u32) {
        self.punctuations.cancel(self.node, id);
    }

    // === For the task ===

    /// Makes the context that of `node` for one call. `parents` are the rows that the call's input descends from.
    pub fn enter(&mut self, node: NodeIndex, phase: Phase, children: usize, sequenced: bool, input: &RecordBatch) {
        self.node = node;
        self.children = children;
        self.phase = phase;
        self.sequenced = sequenced;
        self.parents.clear();
        self.parents.extend((0..input.len()).map(|index| input.row(index)));
        debug_assert_eq!(self.forwarded.record_count(), 0, "what an earlier call forwarded was not taken");
        if self.forwarded.by_child.len() < children {
            self.forwarded.by_child.resize_with(children, DerivedBatch::default);
        }
    }

    /// Gives the next call `memory` for what it forwards; there must be no record in it.
    pub fn lend_forwarded(&mut self, memory: Forwarded) {
        self.forwarded = memory;
    }

    /// Takes what the call has forwarded.
    pub fn take_forwarded(&mut self) -> Forwarded {
        std::mem::take(&mut self.forwarded)
    }
}

/// The place of a task's context, from which a sandbox takes it for the time of a call: a Wasm instance can only reach what it
/// owns, and this needs neither a lock nor a reference count.
pub struct ContextSlot(Option<Box<TaskContext>>);

impl ContextSlot {
    /// A slot that holds `context`.
    #[must_use]
    pub fn new(context: TaskContext) -> Self {
        Self(Some(Box::new(context)))
    }

    /// Takes the context out. It must be [`put`](Self::put) back before the call ends, unless the call fails.
    ///
    /// # Panics
    ///
    /// If it has been taken already.
    pub fn take(&mut self) -> Box<TaskContext> {
        self.0.take().expect("the context is taken once at a time")
    }

    /// Puts the context back.
    pub fn put(&mut self, context: Box<TaskContext>) {
        debug_assert!(self.0.is_none(), "the context was put back twice");
        self.0 = Some(context);
    }

    /// Whether the context is there; a processor that failed may have lost it.
    #[must_use]
    pub fn is_present(&self) -> bool {
        self.0.is_some()
    }
}

impl Deref for ContextSlot {
    type Target = TaskContext;

    fn deref(&self) -> &TaskContext {
        self.0.as_ref().expect("the context is there outside of a sandbox's call")
    }
}

impl DerefMut for ContextSlot {
    fn deref_mut(&mut self) -> &mut TaskContext {
        self.0.as_mut().expect("the context is there outside of a sandbox's call")
    }
}
