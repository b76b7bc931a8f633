//! Tasks: one sub-topology times one partition number, the unit of work, state and assignment.

mod commit;
mod dead_letter;
mod failure;
mod left_out;
mod memory;
mod node_tree;
mod partition_group;
mod phase;
mod record_queue;
mod restore;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::context::{ContextSlot, Run, TaskContext};
use crate::error::{Coordinates, Error, FailureCause, ProcessorFailure, Result};
use crate::id::{Offset, TaskId, Timestamp, TopicName, TopicPartition};
use crate::port::{ChangelogReader, Consumer, Fetched};
use crate::processor::{PluginFactory, PunctuationType};
use crate::punctuation::Due;
use crate::record_collector::RecordCollector;
use crate::store::Stores;
use crate::topology::{NodeIndex, SubTopology, Topology};

pub use failure::{ProcessingFailure, TaskFailure};
pub use left_out::Passed;
pub use memory::TurnMemory;
use node_tree::{NodeTree, TreeFailure};
pub use partition_group::{Next, PartitionGroup};
pub use phase::TaskPhase;
pub use record_queue::RecordQueue;
use restore::TaskRestore;

/// How a task processes records.
#[derive(Clone, Debug)]
pub struct TaskSettings {
    /// Records in a run.
    pub run_records_max: usize,
    /// Records taken from the consumer at once.
    pub buffered_records_max: usize,
    /// Whether runs go through nodes as batches where the planner allows it; off for tests.
    pub batching: bool,
    /// The dead-letter topic of each node that has one, for records that its processor refuses with `dead-letter`.
    pub dead_letter_topics: BTreeMap<NodeIndex, TopicName>,
}

/// A task that processes records.
pub struct ActiveTask {
    id: TaskId,
    phase: TaskPhase,
    settings: TaskSettings,
    restore: Option<TaskRestore>,
    group: PartitionGroup,
    tree: NodeTree,
    context: ContextSlot,
    /// For each queue whether its records must travel one by one.
    sequenced: Vec<bool>,
    /// The run that is processed; lent to the task for a turn.
    run: Fetched,
    due: Vec<Due>,
    commit_needed: bool,
    /// When the state was last given committed changes.
    applied_at: Duration,
    records_processed: u64,
    records_restored: u64,
    /// While a failing record is searched for: runs are one record long until this one has passed.
    isolate_until: Option<Coordinates>,
    passed: Vec<Passed>,
}

impl ActiveTask {
    /// Makes a task and starts to restore its stores.
    ///
    /// # Errors
    ///
    /// When a plugin can't be instantiated or a changelog can't be read.
    pub fn open(
        id: TaskId,
        topology: &Topology,
        sub_topology: &SubTopology,
        mut stores: Stores,
        settings: TaskSettings,
        plugins: &mut dyn PluginFactory,
        reader: &mut dyn ChangelogReader,
    ) -> Result<Self, TaskFailure> {
        let tree = NodeTree::new(topology, sub_topology, id, plugins).map_err(|(node, failure)| {
            let node_name = topology.node(node).name.clone();
            TaskFailure::Processor(Box::new(ProcessingFailure { task: id, node, node_name, between: None, failure }))
        })?;
        let restore = TaskRestore::start(id, &mut stores, reader)?;
        Ok(Self {
            id,
            phase: TaskPhase::Restoring,
            settings,
            restore: Some(restore),
            group: PartitionGroup::default(),
            tree,
            context: ContextSlot::new(TaskContext::new(id, stores)),
            sequenced: Vec::new(),
            run: Fetched::default(),
            due: Vec::new(),
            commit_needed: false,
            applied_at: Duration::ZERO,
            records_processed: 0,
            records_restored: 0,
            isolate_until: None,
            passed: Vec::new(),
        })
    }

    /// The task's id.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// The task's phase.
    #[must_use]
    pub fn phase(&self) -> TaskPhase {
        self.phase
    }

    /// The records processed since the task was opened.
    #[must_use]
    pub fn records_processed(&self) -> u64 {
        self.records_processed
    }

    /// The changelog records applied since the task was opened.
    #[must_use]
    pub fn records_restored(&self) -> u64 {
        self.records_restored
    }

    /// The records left out since the task was opened.
    #[must_use]
    pub fn records_dropped(&self) -> u64 {
        self.group.dropped_records + if self.context.is_present() { self.context.dropped_records } else { 0 }
    }

    /// Gives the task its queues, at their committed positions.
    pub fn set_queues(&mut self, queues: Vec<RecordQueue>, idle_max: Option<Duration>, topology: &Topology) {
        let batching = self.settings.batching;
        self.sequenced = queues.iter().map(|queue| !(batching && topology.is_batchable(queue.source))).collect();
        self.group = PartitionGroup::new(queues, idle_max);
        self.context.stream_time = self.group.highest_partition_time();
    }

    /// The partitions of the task's queues.
    pub fn partitions(&self) -> impl Iterator<Item = &TopicPartition> {
        self.group.queues().iter().map(|queue| &queue.partition)
    }

    /// Looks for the record that failed among those up to `until`, one at a time.
    pub fn isolate(&mut self, until: Coordinates) {
        self.isolate_until = Some(until);
    }

    fn become_phase(&mut self, next: TaskPhase) {
        assert!(self.phase.can_become(next), "task {} can't go from {} to {next}", self.id, self.phase);
        tracing::info!(task = %self.id, from = %self.phase, to = %next, "task changed");
        self.phase = next;
    }

    /// Restores a little more; when the stores are complete the processors are initialised and the task runs.
    ///
    /// # Errors
    ///
    /// When restoring or `init` fails.
    pub fn restore_step(&mut self, reader: &mut dyn ChangelogReader, now: Timestamp) -> Result<bool, TaskFailure> {
        let Some(restore) = &mut self.restore else {
            return Ok(self.phase == TaskPhase::Running);
        };
        let before = restore.restored();
        let done = restore.step(&mut self.context.stores, reader).map_err(|error| error.in_task(self.id))?;
        self.records_restored += restore.restored() - before;
        if done {
            self.restore = None;
            self.context.wall_clock_time = now;
            self.tree.init(&mut self.context).map_err(|failure| self.failure(failure, None))?;
            self.become_phase(TaskPhase::Running);
        }
        Ok(done)
    }

    /// Processes the next run, if there is one, fires the punctuations that are due, and returns the number of records.
    ///
    /// # Errors
    ///
    /// When a processor or the broker fails. The task must then be closed dirty.
    pub fn take_turn(
        &mut self,
        consumer: &mut dyn Consumer,
        collector: &mut RecordCollector,
        memory: &mut TurnMemory,
        now: (Duration, Timestamp),
    ) -> Result<usize, TaskFailure> {
        self.swap_memory(memory);
        let records = self.process(consumer, collector, &mut memory.queues, now);
        let records = records.and_then(|records| self.punctuate(collector, now.1).map(|()| records));
        self.swap_memory(memory);
        self.group.queues_mut().iter_mut().for_each(|queue| queue.return_memory(&mut memory.queues));
        records
    }

    fn swap_memory(&mut self, TurnMemory { run, tree, .. }: &mut TurnMemory) {
        std::mem::swap(&mut self.run, run);
        std::mem::swap(&mut self.tree.memory, tree);
    }

    fn process(
        &mut self,
        consumer: &mut dyn Consumer,
        collector: &mut RecordCollector,
        spare: &mut Vec<Fetched>,
        now: (Duration, Timestamp),
    ) -> Result<usize, TaskFailure> {
        debug_assert_eq!(self.phase, TaskPhase::Running, "only a running task processes records");
        let (monotonic, wall_clock) = now;
        self.context.wall_clock_time = wall_clock;
        collector.set_sender(self.id);
        let outside = |error: Error| TaskFailure::Outside(error.in_task(self.id));
        for queue in self.group.queues_mut() {
            queue.fill(consumer, self.settings.buffered_records_max, wall_clock, spare).map_err(outside)?;
        }
        if self.pass_over_head(collector)? {
            return Ok(1);
        }
        self.run.clear();
        let stop_before_passed = !self.passed.is_empty();
        let single = self.isolate_until.is_some() || stop_before_passed;
        let records_max = if single { 1 } else { self.settings.run_records_max };
        let dropped = self.group.dropped_records;
        let next = self.group.next_run(consumer, monotonic, records_max, &mut self.run);
        // The position moves past dropped records, also when nothing else is left in the queue (reference §4.1).
        self.commit_needed |= self.group.dropped_records > dropped;
        match next {
            Next::NotReady => Ok(0),
            Next::InvalidTimestamp(at, timestamp) => Err(self.invalid_timestamp(at, timestamp)),
            Next::Run(queue) => self.process_run(queue, collector),
        }
    }

    fn process_run(&mut self, queue: usize, collector: &mut RecordCollector) -> Result<usize, TaskFailure> {
        let count = self.run.offsets.len();
        self.run.records.number_rows();
        self.begin_run(queue);
        let source = self.group.queues()[queue].source;
        let sequenced = self.sequenced[queue];
        let done = self.tree.process(source, sequenced, &self.run.records, &mut self.context, collector);
        if let Err(failure) = done {
            return Err(self.failure(failure, Some(queue)));
        }
        self.commit_needed = true;
        self.records_processed += count as u64;
        let last_time = self.context.run.stream_times.last().copied();
        self.context.stream_time = last_time.unwrap_or(self.context.stream_time);
        self.send_left_out(Some(queue), collector)?;
        self.end_isolation(queue);
        Ok(count)
    }

    /// Tells the context what the run is: where it came from, and stream time at each record.
    fn begin_run(&mut self, queue: usize) {
        let partition = &self.group.queues()[queue].partition;
        let Run { partition: run_partition, offsets, stream_times } = &mut self.context.run;
        if run_partition.as_ref() != Some(partition) {
            *run_partition = Some(partition.clone());
        }
        offsets.clear();
        offsets.extend_from_slice(&self.run.offsets);
        stream_times.clear();
        let mut stream_time = self.context.stream_time;
        let timestamps = self.run.records.columns().timestamps;
        self.context.run.stream_times.extend(timestamps.iter().map(|timestamp| {
            stream_time = stream_time.max(*timestamp);
            stream_time
        }));
    }

    fn end_isolation(&mut self, queue: usize) {
        let partition = &self.group.queues()[queue].partition;
        let last = self.run.offsets.last();
        let passed = |until: &Coordinates| until.partition == *partition && last >= Some(&until.offset);
        if self.isolate_until.as_ref().is_some_and(passed) {
            self.isolate_until = None;
        }
    }

    /// Fires the punctuations that are due, stream time first (reference §4.7).
    fn punctuate(&mut self, collector: &mut RecordCollector, wall_clock: Timestamp) -> Result<(), TaskFailure> {
        for kind in [PunctuationType::StreamTime, PunctuationType::WallClockTime] {
            let now = match kind {
                PunctuationType::StreamTime => self.context.stream_time,
                PunctuationType::WallClockTime => wall_clock,
            };
            let mut due = std::mem::take(&mut self.due);
            self.context.punctuations.take_due(kind, now, &mut due);
            for Due { id, node } in due.drain(..) {
                if self.context.punctuations.is_scheduled(id) {
                    self.context.run.end();
                    let done = self.tree.punctuate(node, id, kind, now, &mut self.context, collector);
                    done.map_err(|failure| self.failure(failure, None))?;
                    self.send_left_out(None, collector)?;
                    self.commit_needed = true;
                }
            }
            self.due = due;
        }
        Ok(())
    }

    fn coordinates(&self, queue: usize, row: u32) -> Coordinates {
        let offset = self.run.offsets.get(row as usize).copied().unwrap_or(Offset(-1));
        Coordinates { partition: self.group.queues()[queue].partition.clone(), offset }
    }

    fn failure(&self, failure: TreeFailure, queue: Option<usize>) -> TaskFailure {
        match failure {
            TreeFailure::Broker(error) => TaskFailure::Outside(error.in_task(self.id)),
            TreeFailure::Processor { node, row, failure } => {
                let last_row = (self.run.offsets.len() as u32).saturating_sub(1);
                let between = queue.map(|queue| match row {
                    Some(row) => (self.coordinates(queue, row), self.coordinates(queue, row)),
                    None => (self.coordinates(queue, 0), self.coordinates(queue, last_row)),
                });
                let node_name = self.tree.name(node).clone();
                TaskFailure::Processor(Box::new(ProcessingFailure { task: self.id, node, node_name, between, failure }))
            }
        }
    }

    fn invalid_timestamp(&self, at: Coordinates, timestamp: Timestamp) -> TaskFailure {
        let queue = self.group.queues().iter().find(|queue| queue.partition == at.partition);
        let node = queue.map_or(NodeIndex(0), |queue| queue.source);
        let reason = format!(
            "the record has the invalid timestamp {timestamp}: set `timestamp-extractor` of the source to \
             \"log-and-skip\", \"use-partition-time\" or \"wall-clock\""
        );
        TaskFailure::Processor(Box::new(ProcessingFailure {
            task: self.id,
            node,
            node_name: self.tree.name(node).clone(),
            between: Some((at.clone(), at)),
            failure: ProcessorFailure::native(FailureCause::Answer, reason),
        }))
    }

    // === The end ===

    /// Waits for the next assignment; what was fetched and not processed is forgotten.
    pub fn suspend(&mut self, reader: &mut dyn ChangelogReader) {
        if self.phase == TaskPhase::Suspended {
            return;
        }
        if let Some(restore) = &mut self.restore {
            restore.stop(reader);
        }
        self.become_phase(TaskPhase::Suspended);
    }

    /// Continues after an assignment that left the task here, with new queues.
    ///
    /// # Errors
    ///
    /// When a changelog can't be read.
    pub fn resume(&mut self, reader: &mut dyn ChangelogReader) -> Result<(), TaskFailure> {
        if let Some(restore) = &mut self.restore {
            restore.resume(&mut self.context.stores, reader)?;
            self.become_phase(TaskPhase::Restoring);
        } else {
            self.become_phase(TaskPhase::Running);
        }
        Ok(())
    }

    /// Ends the task after its last commit.
    ///
    /// # Errors
    ///
    /// When the disk fails; the state is as it was at an earlier commit then.
    pub fn close_clean(mut self, reader: &mut dyn ChangelogReader) -> Result<()> {
        if let Some(restore) = &mut self.restore {
            restore.stop(reader);
        } else {
            self.tree.close(&mut self.context);
        }
        self.become_phase(TaskPhase::Closed);
        let stores = &mut self.context.stores;
        if stores.is_clean() {
            stores.apply_changes().map_err(|error| error.in_task(self.id))?;
        }
        stores.state_mut().flush().map_err(|error| error.in_task(self.id))
    }

    /// Abandons the task: nothing since its last commit remains.
    pub fn close_dirty(mut self, reader: &mut dyn ChangelogReader) {
        if let Some(restore) = &mut self.restore {
            restore.stop(reader);
        }
        self.become_phase(TaskPhase::Closed);
    }

    // === For the thread's idle times ===

    /// Whether no fetched record waits and the broker has no other for the task.
    #[must_use]
    pub fn is_caught_up(&self, consumer: &dyn Consumer) -> bool {
        let caught_up = |partition| consumer.lag(partition) == crate::port::Lag::CaughtUp;
        self.phase == TaskPhase::Running && self.group.buffered() == 0 && self.partitions().all(caught_up)
    }

    /// When fetched records will have waited long enough for inputs that are empty.
    #[must_use]
    pub fn idle_deadline(&self) -> Option<Duration> {
        self.group.idle_deadline()
    }

    /// When the next wall-clock punctuation is due.
    #[must_use]
    pub fn next_wall_clock_punctuation(&self) -> Option<Timestamp> {
        self.context.punctuations.next_wall_clock()
    }

    /// The records restored so far, while the task restores.
    #[must_use]
    pub fn restored(&self) -> Option<u64> {
        self.restore.as_ref().map(TaskRestore::restored)
    }

    /// The task's stores, for tests and queries.
    pub fn stores_mut(&mut self) -> &mut Stores {
        &mut self.context.stores
    }

    /// The task's stream time.
    #[must_use]
    pub fn stream_time(&self) -> Timestamp {
        self.context.stream_time
    }
}
