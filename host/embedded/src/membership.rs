//! Membership of the embedded log: `solo`. One thread owns the tasks it was given at the start; tests may say
//! otherwise.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millstream_core::id::TaskId;
use millstream_core::port::MembershipEvent;

use crate::log::EmbeddedLog;

/// The events of one consumer, which other threads may add to.
#[derive(Debug, Default)]
pub(crate) struct Membership {
    state: Mutex<MembershipState>,
}

#[derive(Debug, Default)]
struct MembershipState {
    events: VecDeque<MembershipEvent>,
    is_woken: bool,
    revocations_acknowledged: usize,
}

impl Membership {
    /// A member whose first event assigns it `tasks`.
    pub fn solo(tasks: BTreeSet<TaskId>) -> Arc<Self> {
        let membership = Self::default();
        membership.lock().events.push_back(MembershipEvent::TasksAssigned(tasks));
        Arc::new(membership)
    }

    pub fn next_event(&self) -> Option<MembershipEvent> {
        self.lock().events.pop_front()
    }

    pub fn acknowledge_revoked(&self) {
        self.lock().revocations_acknowledged += 1;
    }

    /// Ends a wait, or the next one.
    pub fn wake(&self) {
        self.lock().is_woken = true;
    }

    /// Whether there is an event, or somebody called [`Self::wake`].
    pub fn is_awake(&self) -> bool {
        let state = self.lock();
        state.is_woken || !state.events.is_empty()
    }

    /// Forgets that somebody called [`Self::wake`].
    pub fn sleep(&self) {
        self.lock().is_woken = false;
    }

    fn lock(&self) -> MutexGuard<'_, MembershipState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives tasks to a consumer and takes them away, as a rebalance would. For tests.
#[derive(Clone)]
pub struct MembershipHandle {
    pub(crate) log: EmbeddedLog,
    pub(crate) membership: Arc<Membership>,
}

impl MembershipHandle {
    /// From now on these are all the tasks of the consumer.
    pub fn assign(&self, tasks: BTreeSet<TaskId>) {
        self.inject(MembershipEvent::TasksAssigned(tasks));
    }

    /// Asks for these tasks back.
    pub fn revoke(&self, tasks: BTreeSet<TaskId>) {
        self.inject(MembershipEvent::TasksRevoked(tasks));
    }

    /// Takes all tasks away at once.
    pub fn lose(&self) {
        self.inject(MembershipEvent::TasksLost);
    }

    /// How often the consumer has confirmed a revocation.
    #[must_use]
    pub fn revocations_acknowledged(&self) -> usize {
        self.membership.lock().revocations_acknowledged
    }

    fn inject(&self, event: MembershipEvent) {
        self.membership.lock().events.push_back(event);
        self.log.announce(self.log.lock());
    }
}
