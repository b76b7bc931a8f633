//! The consumer port on the embedded log.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use millstream_core::id::{Offset, TaskId, TopicPartition};
use millstream_core::port::{
    CommittedOffset, Consumer, Fetched, GroupMetadata, Lag, LogBounds, MembershipEvent, Waker,
};
use millstream_core::{Error, Kind, Result};

use crate::log::{EmbeddedLog, State};
use crate::membership::{Membership, MembershipHandle};
use crate::partition::Isolation;
use crate::topic::PartitionIndex;

/// Who consumes, and what.
#[derive(Clone, Debug)]
pub struct ConsumerOptions {
    /// The member that positions are committed for.
    pub member: GroupMetadata,
    /// Which records are seen: committed ones under exactly-once, all otherwise.
    pub isolation: Isolation,
    /// The tasks that the first event assigns.
    pub tasks: BTreeSet<TaskId>,
}

impl ConsumerOptions {
    /// The only member of `group`, which owns `tasks`.
    #[must_use]
    pub fn solo(group: &str, isolation: Isolation, tasks: BTreeSet<TaskId>) -> Self {
        let member = GroupMetadata { group_id: group.to_owned(), generation: -1, ..GroupMetadata::default() };
        Self { member, isolation, tasks }
    }
}

/// A stream thread's consumer. Nothing is fetched ahead: [`Consumer::take`] copies from the log.
pub struct EmbeddedConsumer {
    log: EmbeddedLog,
    member: GroupMetadata,
    isolation: Isolation,
    membership: Arc<Membership>,
    assigned: HashMap<TopicPartition, Assigned>,
}

#[derive(Clone, Copy, Debug)]
struct Assigned {
    at: PartitionIndex,
    position: Offset,
    /// Where the readable records ended when the thread last looked. A wait ends when there is more, and not when the
    /// thread left some where they are: that is its back-pressure.
    seen: Offset,
}

/// Wakes the thread of an [`EmbeddedConsumer`].
pub struct EmbeddedWaker {
    log: EmbeddedLog,
    membership: Arc<Membership>,
}

impl Waker for EmbeddedWaker {
    fn wake(&self) {
        self.membership.wake();
        self.log.announce(self.log.lock());
    }
}

impl EmbeddedConsumer {
    /// A consumer of `log`.
    #[must_use]
    pub fn new(log: &EmbeddedLog, options: ConsumerOptions) -> Self {
        Self {
            log: log.clone(),
            member: options.member,
            isolation: options.isolation,
            membership: Membership::solo(options.tasks),
            assigned: HashMap::new(),
        }
    }

    /// What ends a wait of this consumer from another thread.
    #[must_use]
    pub fn waker(&self) -> EmbeddedWaker {
        EmbeddedWaker { log: self.log.clone(), membership: Arc::clone(&self.membership) }
    }

    /// What changes its tasks, for tests.
    #[must_use]
    pub fn membership(&self) -> MembershipHandle {
        MembershipHandle { log: self.log.clone(), membership: Arc::clone(&self.membership) }
    }

    fn assigned_mut(&mut self, partition: &TopicPartition) -> Result<&mut Assigned> {
        self.assigned.get_mut(partition).ok_or_else(|| {
            Error::fatal(format!("partition {partition} is not assigned to this consumer; assign it before it is used"))
        })
    }

    fn has_news(&self, state: &State) -> bool {
        self.assigned.values().any(|assigned| {
            let readable = state.contents.partition(assigned.at).readable_offset(self.isolation);
            readable > assigned.position && readable != assigned.seen
        })
    }
}

/// Refuses a position after the end of the partition: the log that it was committed for is gone.
fn check_position(state: &State, at: PartitionIndex, partition: &TopicPartition, position: Offset) -> Result<()> {
    let end = state.contents.partition(at).end_offset();
    if position > end {
        return Err(Error::fatal(format!(
            "position {position} lies after the end of {partition}, which is {end}; reset the group's positions"
        )));
    }
    Ok(())
}

impl Consumer for EmbeddedConsumer {
    fn poll_event(&mut self) -> Result<Option<MembershipEvent>> {
        Ok(self.membership.next_event())
    }

    fn acknowledge_revoked(&mut self) -> Result<()> {
        self.membership.acknowledge_revoked();
        Ok(())
    }

    fn assign(&mut self, partitions: &[(TopicPartition, Offset)]) -> Result<()> {
        let state = self.log.lock();
        let mut assigned = HashMap::with_capacity(partitions.len());
        for (partition, position) in partitions {
            let at = state.contents.index(partition)?;
            check_position(&state, at, partition, *position)?;
            assigned.insert(partition.clone(), Assigned { at, position: *position, seen: Offset(-1) });
        }
        drop(state);
        self.assigned = assigned;
        Ok(())
    }

    fn seek(&mut self, partition: &TopicPartition, offset: Offset) -> Result<()> {
        let at = self.assigned_mut(partition)?.at;
        check_position(&self.log.lock(), at, partition, offset)?;
        *self.assigned_mut(partition)? = Assigned { at, position: offset, seen: Offset(-1) };
        Ok(())
    }

    /// A position that was purged meanwhile goes on at the oldest record, as `auto.offset.reset=earliest` does.
    fn take(&mut self, partition: &TopicPartition, records_max: usize, into: &mut Fetched) -> Result<usize> {
        let isolation = self.isolation;
        let before = into.offsets.len();
        let log = self.log.clone();
        let assigned = self.assigned_mut(partition)?;
        let state = log.lock();
        let found = state.contents.partition(assigned.at);
        assigned.seen = found.readable_offset(isolation);
        assigned.position = found.read(assigned.position, isolation, records_max, into);
        Ok(into.offsets.len() - before)
    }

    fn lag(&self, partition: &TopicPartition) -> Lag {
        let Some(assigned) = self.assigned.get(partition) else { return Lag::Unknown };
        let state = self.log.lock();
        let readable = state.contents.partition(assigned.at).readable_offset(self.isolation);
        if assigned.position < readable { Lag::Behind } else { Lag::CaughtUp }
    }

    fn position(&self, partition: &TopicPartition) -> Option<Offset> {
        self.assigned.get(partition).map(|assigned| assigned.position)
    }

    fn wait(&mut self, timeout: Duration) {
        let log = self.log.clone();
        let state = log.wait_until(timeout, |state| self.membership.is_awake() || self.has_news(state));
        self.membership.sleep();
        for assigned in self.assigned.values_mut() {
            assigned.seen = state.contents.partition(assigned.at).readable_offset(self.isolation);
        }
    }

    /// Does not wait for pending transactions: nobody but the caller may be there to end them.
    fn committed(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Option<CommittedOffset>>> {
        let state = self.log.lock();
        let group = &self.member.group_id;
        let pending = partitions.iter().find(|at| state.contents.producers.has_pending_offset(group, at));
        if let Some(partition) = pending {
            return Err(Error::new(
                Kind::Retriable,
                format!("a transaction that commits the position of {partition} is open; try again when it has ended"),
            ));
        }
        let offsets = state.contents.groups.get(group).map(|group| &group.offsets);
        Ok(partitions.iter().map(|at| offsets.and_then(|offsets| offsets.get(at)).cloned()).collect())
    }

    fn log_bounds(&mut self, partitions: &[TopicPartition]) -> Result<Vec<LogBounds>> {
        let state = self.log.lock();
        let bounds = |partition| {
            let found = state.contents.partition(state.contents.index(partition)?);
            Ok(LogBounds { first: found.start_offset(), end: found.readable_offset(self.isolation) })
        };
        partitions.iter().map(bounds).collect()
    }

    fn commit(&mut self, offsets: &[(TopicPartition, CommittedOffset)]) -> Result<()> {
        self.log.commit(&self.member, offsets)
    }

    fn group_metadata(&self) -> GroupMetadata {
        self.member.clone()
    }

    fn close(&mut self, _leave: bool) {
        self.assigned.clear();
        while self.membership.next_event().is_some() {}
    }
}
