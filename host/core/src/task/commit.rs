//! The steps of a commit that a task takes; their order is in `crate::commit`.

use crate::commit::ApplyPace;
use crate::error::Result;
use crate::id::TopicPartition;
use crate::offset_metadata;
use crate::port::{CommittedOffset, Consumer, ProducerRecord};
use crate::processor::PluginFactory;
use crate::record::Headers;
use crate::record_collector::RecordCollector;
use crate::store::ChangedEntry;
use crate::topology::Topology;

use super::{ActiveTask, TaskFailure, TaskPhase};

impl ActiveTask {
    /// Whether there is something to commit.
    #[must_use]
    pub fn is_commit_needed(&self) -> bool {
        self.commit_needed
    }

    /// Whether a position has moved past control or aborted records only. It is committed too, as Kafka Streams does: otherwise the
    /// group would lag for ever behind an idle topic that is written in transactions.
    #[must_use]
    pub fn has_passed_markers(&self, consumer: &dyn Consumer) -> bool {
        self.phase == TaskPhase::Running && self.group.queues().iter().any(|queue| queue.has_moved(consumer))
    }

    /// Whether a processor asked for a commit, or can't wait for one much longer: its memory has passed its mark, and goes on to grow
    /// until it is replaced.
    #[must_use]
    pub fn is_commit_requested(&self) -> bool {
        self.context.commit_requested || (self.phase == TaskPhase::Running && self.tree.wants_recycling())
    }

    /// The bytes that only a commit can give back.
    #[must_use]
    pub fn uncommitted_byte_len(&self) -> usize {
        self.context.stores.uncommitted_byte_len()
    }

    /// Sends the changes of the stores to their changelogs.
    ///
    /// # Errors
    ///
    /// When the broker refuses.
    pub fn log_changes(&mut self, collector: &mut RecordCollector) -> Result<()> {
        collector.set_sender(self.id);
        let mut log = |changelog: &TopicPartition, entry: ChangedEntry<'_>| {
            let TopicPartition { topic, partition } = changelog;
            let (key, value, timestamp) = (Some(entry.key), entry.value, entry.timestamp);
            collector.send(ProducerRecord {
                topic,
                partition: Some(*partition),
                key,
                value,
                timestamp,
                headers: Headers::EMPTY,
            })
        };
        self.context.stores.log_changes(&mut log).map_err(|error| error.in_task(self.id))
    }

    /// The positions that have moved since the last commit.
    #[must_use]
    pub fn positions(&self, consumer: &dyn Consumer) -> Vec<(TopicPartition, CommittedOffset)> {
        let moved = self.group.queues().iter().filter_map(|queue| {
            let offset = queue.position(consumer);
            let metadata = offset_metadata::encode(queue.partition_time);
            (queue.committed != Some(offset)).then(|| (queue.partition.clone(), CommittedOffset { offset, metadata }))
        });
        moved.collect()
    }

    /// Applies the committed changes to the state, unless they may wait, and tells whether many were applied. The transaction is
    /// committed: from here on they are true, and whoever restarts finds them in the changelog.
    ///
    /// # Errors
    ///
    /// When the disk fails.
    pub fn apply_changes(&mut self, collector: &RecordCollector, pace: ApplyPace) -> Result<bool> {
        let stores = &mut self.context.stores;
        stores.mark_committed(&|changelog| collector.last_offset(changelog));
        if pace.now.saturating_sub(self.applied_at) < pace.interval && !stores.must_apply() {
            return Ok(false);
        }
        self.applied_at = pace.now;
        let many = stores.has_many_changes();
        stores.apply_changes().map_err(|error| error.in_task(self.id))?;
        Ok(many)
    }

    /// Notes that `positions` are committed.
    pub fn acknowledge_commit(&mut self, positions: &[(TopicPartition, CommittedOffset)]) {
        self.group.acknowledge_commit(positions);
        self.commit_needed = false;
        self.context.commit_requested = false;
    }

    /// How many bytes of committed entries each of the task's stores may keep in memory.
    pub fn set_cache_bytes_max(&mut self, bytes: usize) {
        self.context.stores.set_cache_bytes_max(bytes);
    }

    /// Gives back memory that only serves to be quick: nothing is to be done for a while. The task must be committed.
    ///
    /// # Errors
    ///
    /// When the disk fails.
    pub fn rest(&mut self) -> Result<()> {
        debug_assert!(!self.commit_needed, "a task that rests has committed");
        self.context.stores.rest().map_err(|error| error.in_task(self.id))
    }

    /// Replaces processors whose memory has passed its mark, and returns how many. Called right after a commit: nothing of the
    /// application lives in them then.
    ///
    /// # Errors
    ///
    /// When a new one can't be made or can't begin.
    pub fn recycle(&mut self, topology: &Topology, plugins: &mut dyn PluginFactory) -> Result<usize, TaskFailure> {
        if self.phase != TaskPhase::Running || !self.tree.wants_recycling() {
            return Ok(0);
        }
        self.context.run.end();
        let sub_topology = topology.sub_topology(self.id.sub_topology);
        let replaced = self.tree.recycle(topology, sub_topology, plugins, &mut self.context);
        let replaced = replaced.map_err(|failure| self.failure(failure, None))?;
        tracing::debug!(task = %self.id, replaced, "replaced processors whose memory had passed its mark");
        Ok(replaced)
    }
}
