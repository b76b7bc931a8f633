//! Who runs which task: everything in one process, or the members of a consumer group.

use std::collections::BTreeSet;

use millstream_core::id::{TaskId, TopicPartition};
use millstream_core::port::{GroupMetadata, MembershipEvent};
use millstream_core::{Error, Kind, Result};

use crate::native::{Client, Event, is_assign_code};

/// The tasks that follow from partitions of the source topics.
pub type TasksOfPartitions = Box<dyn Fn(&[TopicPartition]) -> BTreeSet<TaskId> + Send>;

/// Whether the topics are still those from which the tasks follow.
pub type TopicsAreCurrent = Box<dyn Fn() -> bool + Send>;

/// How a stream thread gets its tasks.
pub enum Membership {
    /// No group: these tasks, for good.
    Solo {
        /// The tasks.
        tasks: BTreeSet<TaskId>,
    },
    /// A static member of a consumer group with the `range` assignor.
    Consumer {
        /// The topics whose partitions decide who owns the tasks: one for each sub-topology.
        topics: Vec<String>,
        /// Which tasks the assigned partitions make.
        tasks_of: TasksOfPartitions,
        /// Asked at each assignment. Members that derive tasks from different topics could both own a task, so one that knows
        /// former ones takes nothing; whoever answers no also sees to it that a new member takes its place.
        topics_are_current: TopicsAreCurrent,
    },
}

/// The life of a member:
///
/// ```text
/// Solo:      --first_event--> told
/// Consumer:  joining --assigned--> current --revoked, acknowledged--> joining
///                                  current --lost--> joining
/// ```
///
/// The metadata for fencing is that of the last assignment *told*, and stays so after a loss: what is still committed for
/// tasks that were taken away must be refused. librdkafka's own would be an empty member then, which a broker accepts unchecked.
pub(crate) struct Member {
    metadata: GroupMetadata,
    tasks: BTreeSet<TaskId>,
    source: Source,
    is_revoking: bool,
}

enum Source {
    Solo { is_told: bool },
    Group { tasks_of: TasksOfPartitions, topics_are_current: TopicsAreCurrent },
    Ended,
}

/// What follows from a rebalance.
pub(crate) enum Rebalance {
    /// Tell the thread, whose answer goes on.
    Tell(MembershipEvent),
    /// There is nothing to read for this member: accept that at once.
    AcceptNothing,
    /// Give the partitions up at once, and tell the thread.
    GiveUp(Option<MembershipEvent>),
}

impl Member {
    pub(crate) fn new(group_id: &str, membership: Membership) -> Self {
        let group_id = group_id.to_owned();
        let nobody = GroupMetadata { group_id, generation: -1, member_id: String::new(), group_instance_id: None };
        match membership {
            Membership::Solo { tasks } => {
                let source = Source::Solo { is_told: false };
                Self { metadata: nobody, tasks, source, is_revoking: false }
            }
            Membership::Consumer { tasks_of, topics_are_current, .. } => {
                // Until there is an assignment: a member that no broker knows.
                let metadata = GroupMetadata { generation: 0, member_id: "not-joined".to_owned(), ..nobody };
                let source = Source::Group { tasks_of, topics_are_current };
                Self { metadata, tasks: BTreeSet::new(), source, is_revoking: false }
            }
        }
    }

    /// The one event of `Solo`.
    pub(crate) fn first_event(&mut self) -> Option<MembershipEvent> {
        match &mut self.source {
            Source::Solo { is_told } if !*is_told => {
                *is_told = true;
                Some(MembershipEvent::TasksAssigned(self.tasks.clone()))
            }
            _ => None,
        }
    }

    /// Takes note of a rebalance.
    pub(crate) fn rebalanced(&mut self, event: &Event, client: &Client) -> Rebalance {
        let Source::Group { tasks_of, topics_are_current } = &self.source else {
            return Rebalance::GiveUp(None);
        };
        self.is_revoking = false;
        if is_assign_code(event.error().code) {
            let partitions: Vec<_> = event.partitions().into_iter().map(|entry| entry.partition).collect();
            match client.group_metadata() {
                Some(metadata) if !metadata.member_id.is_empty() => self.metadata = metadata,
                // The membership was lost between the event and now; the loss is told next.
                _ => return Rebalance::GiveUp(None),
            }
            if partitions.is_empty() {
                self.tasks.clear();
                return Rebalance::AcceptNothing;
            }
            if !topics_are_current() {
                tracing::info!("the topics that are read have changed: this member takes no task");
                self.tasks.clear();
                return Rebalance::AcceptNothing;
            }
            self.tasks = tasks_of(&partitions);
            return Rebalance::Tell(MembershipEvent::TasksAssigned(self.tasks.clone()));
        }
        if client.is_assignment_lost() {
            self.tasks.clear();
            return Rebalance::GiveUp(Some(MembershipEvent::TasksLost));
        }
        if self.tasks.is_empty() {
            return Rebalance::GiveUp(None);
        }
        self.is_revoking = true;
        Rebalance::Tell(MembershipEvent::TasksRevoked(std::mem::take(&mut self.tasks)))
    }

    /// Whether there was a revocation to acknowledge.
    pub(crate) fn acknowledge_revoked(&mut self) -> bool {
        std::mem::take(&mut self.is_revoking)
    }

    /// Refuses a commit for tasks that are lost, before librdkafka would commit as nobody.
    pub(crate) fn check_current(&self, client: &Client) -> Result<()> {
        if !matches!(self.source, Source::Group { .. }) {
            return Ok(());
        }
        let is_current = client
            .group_metadata()
            .is_some_and(|now| now.member_id == self.metadata.member_id && now.generation == self.metadata.generation);
        if is_current && !client.is_assignment_lost() {
            return Ok(());
        }
        Err(Error::new(Kind::TaskMigrated, "can't commit offsets: the group has rebalanced without this member"))
    }

    /// The member on whose behalf offsets are committed.
    pub(crate) fn metadata(&self) -> &GroupMetadata {
        &self.metadata
    }

    /// Ends the membership; returns whether there was one in a group.
    pub(crate) fn end(&mut self) -> bool {
        matches!(std::mem::replace(&mut self.source, Source::Ended), Source::Group { .. })
    }
}
