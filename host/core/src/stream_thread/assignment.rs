//! The thread's assignment: from membership events to open tasks with queues at their committed positions.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Error;
use crate::id::{Offset, StoreName, TIMESTAMP_UNKNOWN, TaskId, TopicName, TopicPartition};
use crate::offset_metadata;
use crate::port::{CommittedOffset, LogBounds, MembershipEvent, StateStoreSpec};
use crate::store::{StoreSettings, Stores};
use crate::task::{ActiveTask, RecordQueue, TaskFailure, TaskPhase, TaskSettings};
use crate::topology::{NodeIndex, StoreKind, SubTopology};

use super::StreamThread;

/// Which tasks the thread should have.
#[derive(Clone, Debug, Default)]
pub(super) struct Assignment {
    /// `None` before the first assignment.
    tasks: Option<BTreeSet<TaskId>>,
    /// Whether the tasks still have to be opened.
    pending: bool,
}

impl Assignment {
    /// Whether tasks still have to be opened.
    pub(super) fn is_pending(&self) -> bool {
        self.pending
    }

    /// Whether the membership has said anything yet.
    pub(super) fn is_known(&self) -> bool {
        self.tasks.is_some()
    }

    /// Forgets tasks that are taken away.
    fn remove(&mut self, tasks: &BTreeSet<TaskId>) {
        self.tasks.iter_mut().for_each(|assigned| assigned.retain(|task| !tasks.contains(task)));
    }

    /// Opens all tasks anew.
    pub(super) fn restart(&mut self) {
        self.pending = self.tasks.is_some();
    }
}

impl StreamThread {
    /// Takes all membership events, and opens what is assigned.
    pub(super) fn handle_membership(&mut self) -> Result<(), TaskFailure> {
        while let Some(event) = self.ports.consumer.poll_event()? {
            match event {
                MembershipEvent::TasksAssigned(tasks) => self.handle_assigned(tasks)?,
                MembershipEvent::TasksRevoked(tasks) => self.handle_revoked(&tasks)?,
                MembershipEvent::TasksLost => self.handle_lost(),
            }
        }
        if self.assignment.pending {
            self.open_tasks()?;
        }
        Ok(())
    }

    fn handle_assigned(&mut self, tasks: BTreeSet<TaskId>) -> Result<(), TaskFailure> {
        tracing::info!(thread = %self.name, ?tasks, "tasks assigned");
        let gone: Vec<TaskId> = self.tasks.keys().filter(|task| !tasks.contains(task)).copied().collect();
        if gone.iter().any(|task| self.tasks[task].is_commit_needed()) {
            // They were taken away without a chance to commit, and the open transaction holds their work: it must not be committed.
            self.abandon_tasks();
        }
        for id in gone {
            if let Some(task) = self.tasks.remove(&id) {
                self.totals.records_dropped += task.records_dropped();
                task.close_clean(self.ports.changelog_reader.as_mut())?;
            }
        }
        self.recovery.keep_only(&tasks);
        self.assignment = Assignment { tasks: Some(tasks), pending: true };
        Ok(())
    }

    fn handle_revoked(&mut self, tasks: &BTreeSet<TaskId>) -> Result<(), TaskFailure> {
        tracing::info!(thread = %self.name, ?tasks, "tasks revoked");
        // Should everything restart before the next assignment, they must not be opened again: they may have another owner by then.
        self.assignment.remove(tasks);
        let committed = self.commit();
        if committed.is_ok() {
            for task in self.tasks.values_mut().filter(|task| tasks.contains(&task.id())) {
                task.suspend(self.ports.changelog_reader.as_mut());
            }
        } else {
            self.abandon_tasks();
        }
        self.ports.consumer.acknowledge_revoked()?;
        committed.map(|_| ())
    }

    fn handle_lost(&mut self) {
        tracing::warn!(thread = %self.name, "all tasks were lost: another member may own them");
        self.abandon_tasks();
        self.collector.drop_producer();
        self.assignment = Assignment { tasks: Some(BTreeSet::new()), pending: false };
    }

    /// Opens the assigned tasks that are not open, and puts the queues of all at their committed positions.
    fn open_tasks(&mut self) -> Result<(), TaskFailure> {
        // All queues continue at their committed positions, those of tasks that were here before too: what these have processed
        // since their last commit would be processed twice.
        self.commit()?;
        let failed = self.recovery.failed_tasks();
        let assigned: Vec<TaskId> =
            self.assignment.tasks.iter().flatten().filter(|task| !failed.contains_key(task)).copied().collect();
        // The former producer's transaction must be over before positions are read: a new producer has aborted it.
        self.ensure_producer()?;
        let inputs: Vec<(TaskId, NodeIndex, TopicPartition)> = assigned
            .iter()
            .flat_map(|task| self.resolved.task_partitions(*task).into_iter().map(|(node, tp)| (*task, node, tp)))
            .collect();
        let partitions: Vec<TopicPartition> = inputs.iter().map(|(_, _, partition)| partition.clone()).collect();
        let committed = self.ports.consumer.committed(&partitions)?;
        let bounds = self.bounds_to_know(&partitions, &committed)?;
        let mut positions = Vec::with_capacity(partitions.len());
        for ((_, node, partition), committed) in inputs.iter().zip(committed) {
            let bounds = bounds.get(partition);
            let is_in_log = |committed: &&CommittedOffset| bounds.is_none_or(|bounds| bounds.hold(committed.offset));
            let partition_time =
                committed.as_ref().map_or(TIMESTAMP_UNKNOWN, |committed| offset_metadata::decode(&committed.metadata));
            positions.push(match committed.as_ref().filter(is_in_log) {
                Some(committed) => (committed.offset, Some(committed.offset), partition_time),
                None => {
                    let bounds = bounds.expect("the bounds of a partition without a position were asked for");
                    let offset = self.reset_position(*node, partition, *bounds)?;
                    if let Some(committed) = committed {
                        tracing::warn!(%partition, committed = %committed.offset, %offset,
                            "the committed position is no longer in the log, so `auto-offset-reset` decides");
                    }
                    (offset, None, partition_time)
                }
            });
        }
        let changelogs = self.changelogs_to_open(&assigned);
        if !changelogs.is_empty() {
            self.ports.changelog_reader.expect(&changelogs);
        }
        for id in &assigned {
            self.open_task(*id)?;
        }
        let share = self.settings.cache_bytes_max / self.store_instances().max(1);
        self.tasks.values_mut().for_each(|task| task.set_cache_bytes_max(share));
        let starts: Vec<(TopicPartition, Offset)> =
            partitions.into_iter().zip(positions.iter().map(|(offset, ..)| *offset)).collect();
        self.ports.consumer.assign(&starts)?;
        for id in &assigned {
            let of_task = inputs.iter().zip(&positions).filter(|((task, _, _), _)| task == id);
            let queues = of_task.map(|((_, node, partition), (offset, committed, partition_time))| {
                let source = self.topology.node(*node).as_source();
                let extractor = source.expect("inputs belong to sources").timestamp_extractor;
                RecordQueue::new(partition.clone(), *node, extractor, *offset, *committed, *partition_time)
            });
            let queues = queues.collect();
            if let Some(task) = self.tasks.get_mut(id) {
                task.set_queues(queues, self.settings.task_idle_max, &self.topology);
            }
        }
        self.assignment.pending = false;
        self.last_commit = self.ports.clock.monotonic_time();
        Ok(())
    }

    /// Where the logs begin and end of partitions without a committed position; after a restart of all: a position that was deleted by
    /// retention, or lies behind the end of a topic that was made anew, is a reason of restarts, and in an ordinary start the question
    /// would cost a request.
    fn bounds_to_know(
        &mut self,
        partitions: &[TopicPartition],
        committed: &[Option<CommittedOffset>],
    ) -> Result<BTreeMap<TopicPartition, LogBounds>, TaskFailure> {
        let is_restart = self.totals.restarts > 0;
        let to_ask = partitions.iter().zip(committed).filter(|(_, committed)| is_restart || committed.is_none());
        let to_ask: Vec<TopicPartition> = to_ask.map(|(partition, _)| partition.clone()).collect();
        if to_ask.is_empty() {
            return Ok(BTreeMap::new());
        }
        let bounds = self.ports.consumer.log_bounds(&to_ask)?;
        Ok(to_ask.into_iter().zip(bounds).collect())
    }

    fn reset_position(
        &self,
        node: NodeIndex,
        partition: &TopicPartition,
        bounds: LogBounds,
    ) -> Result<Offset, TaskFailure> {
        let reset = self.topology.node(node).as_source().and_then(|source| source.reset);
        reset.map(|position| bounds.at(position)).ok_or_else(|| {
            TaskFailure::Outside(Error::fatal(format!(
                "partition {partition} has no committed offset and `auto-offset-reset` of its source is \"none\": \
                 set it to \"earliest\" or \"latest\", or commit an offset for the group"
            )))
        })
    }

    /// The changelogs of those of `tasks` that are not open.
    fn changelogs_to_open(&self, tasks: &[TaskId]) -> Vec<TopicPartition> {
        let closed = tasks.iter().filter(|id| !self.tasks.contains_key(id));
        let changelogs = closed.flat_map(|id| {
            let stores = self.topology.sub_topology(id.sub_topology).stores.iter();
            let logged = stores.map(|index| &self.topology.stores()[*index]).filter(|store| store.logged);
            logged.map(|store| TopicPartition {
                topic: self.topology.changelog_topic(&store.name),
                partition: id.partition,
            })
        });
        changelogs.collect()
    }

    fn open_task(&mut self, id: TaskId) -> Result<(), TaskFailure> {
        if let Some(task) = self.tasks.get_mut(&id) {
            if task.phase() == TaskPhase::Suspended {
                task.resume(self.ports.changelog_reader.as_mut())?;
            }
            return Ok(());
        }
        let topology = &self.topology;
        let sub_topology = topology.sub_topology(id.sub_topology);
        let specs: Vec<StateStoreSpec> = sub_topology
            .stores
            .iter()
            .map(|index| &topology.stores()[*index])
            .map(|store| StateStoreSpec { name: store.name.clone(), persistent: store.persistent })
            .collect();
        let state = self.ports.state_directory.open_task(id, &specs).map_err(|error| error.in_task(id))?;
        let settings = sub_topology.stores.iter().map(|index| {
            let store = &topology.stores()[*index];
            StoreSettings {
                name: StoreName::clone(&store.name),
                timestamped: store.kind == StoreKind::TimestampedKeyValue,
                changelog: store
                    .logged
                    .then(|| TopicPartition { topic: topology.changelog_topic(&store.name), partition: id.partition }),
            }
        });
        let stores = Stores::new(settings.collect(), state);
        let settings = TaskSettings {
            run_records_max: self.settings.run_records_max,
            buffered_records_max: self.settings.buffered_records_max,
            batching: self.settings.batching,
            dead_letter_topics: self.dead_letter_topics(sub_topology),
        };
        let reader = self.ports.changelog_reader.as_mut();
        let plugins = self.ports.plugins.as_mut();
        let mut task = ActiveTask::open(id, topology, sub_topology, stores, settings, plugins, reader)?;
        self.recovery.prepare(&mut task);
        self.tasks.insert(id, task);
        Ok(())
    }

    /// The stores of all assigned tasks, among which the read cache is divided.
    fn store_instances(&self) -> usize {
        let tasks = self.assignment.tasks.iter().flatten();
        tasks.map(|task| self.topology.sub_topology(task.sub_topology).stores.len()).sum()
    }

    fn dead_letter_topics(&self, sub_topology: &SubTopology) -> BTreeMap<NodeIndex, TopicName> {
        let topics = &self.settings.dead_letter_topics;
        let topic = |node: &NodeIndex| topics.get(self.topology.node(*node).plugin()?).cloned();
        sub_topology.nodes.iter().filter_map(|node| Some((*node, topic(node)?))).collect()
    }
}
