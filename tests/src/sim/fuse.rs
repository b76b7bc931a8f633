//! The fuse of a process: it counts calls of ports down to the one at which the process dies or freezes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a panic carries that stands for the death of a process.
pub struct Death;

/// On which side of a call a process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The call has had no effect.
    Before,
    /// The call has had its effect.
    After,
}

/// A call of a port. The numbered ones are the steps of `host/core/src/commit.rs`.
pub type Point = &'static str;

/// Step 1: a change goes to its changelog.
pub const LOG_CHANGE: Point = "1 log a change";
/// Step 2: the producer is flushed.
pub const FLUSH: Point = "2 flush";
/// Step 3, exactly-once: the positions join the transaction.
pub const SEND_OFFSETS: Point = "3 send offsets";
/// Step 3, exactly-once: the transaction commits.
pub const COMMIT_TRANSACTION: Point = "3 commit the transaction";
/// Step 3, at-least-once: the positions are committed.
pub const COMMIT_OFFSETS: Point = "3 commit offsets";
/// Step 4: a task's changes are applied.
pub const APPLY: Point = "4 apply";
/// Step 5: the tasks have acknowledged; what comes next begins a transaction.
pub const BEGIN: Point = "5 begin the next transaction";
/// A restore applies a batch.
pub const RESTORE: Point = "restore";

/// A restore has given the disk a batch and notes how far it has come.
pub const NOTE_RESTORED: Point = "note what is restored";

/// All crash points of a commit.
pub const COMMIT_POINTS: [Point; 7] =
    [LOG_CHANGE, FLUSH, SEND_OFFSETS, COMMIT_TRANSACTION, COMMIT_OFFSETS, APPLY, BEGIN];

/// How often processes died at each point.
pub type Deaths = BTreeMap<(Point, Side), u64>;

/// A moment in a process's life: before or after some call from now on.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// How many sides of calls come before it.
    pub calls: usize,
    /// Counts only calls of this point; `None` counts all.
    pub point: Option<Point>,
}

impl Moment {
    /// Whether it has come; otherwise it is one call nearer.
    fn has_come(moment: &mut Option<Self>, at: Point) -> bool {
        let Some(Self { calls, point }) = moment else { return false };
        if point.is_some_and(|point| point != at) {
            return false;
        }
        if *calls == 0 {
            *moment = None;
            return true;
        }
        *calls -= 1;
        false
    }
}

#[derive(Debug, Default)]
struct State {
    is_dead: bool,
    death: Option<Moment>,
    pause: Option<Moment>,
    /// Whether the state is being restored and not committed.
    is_restoring: bool,
    died_at: Option<(Point, Side)>,
}

/// See the file's documentation; shared by all ports of a process.
#[derive(Clone, Debug, Default)]
pub struct Fuse(Arc<Mutex<State>>);

impl Fuse {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes the moments: nothing happens to the process any more.
    pub fn disarm(&self) {
        let mut state = self.state();
        state.death = None;
        state.pause = None;
    }

    /// Sets the moments, unless there are some already.
    pub fn arm(&self, death: Option<Moment>, pause: Option<Moment>) {
        let mut state = self.state();
        state.death = state.death.or(death);
        state.pause = state.pause.or(pause);
    }

    /// Whether the process is dead: nothing that it still does has an effect.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.state().is_dead
    }

    /// The process is dead from now on.
    pub fn kill(&self) {
        self.state().is_dead = true;
    }

    /// Where it died, if it died in a call.
    #[must_use]
    pub fn died_at(&self) -> Option<(Point, Side)> {
        self.state().died_at
    }

    /// Notes that what is applied next belongs to a restore, or to a commit.
    pub fn set_restoring(&self, is_restoring: bool) {
        self.state().is_restoring = is_restoring;
    }

    /// Whether what is applied belongs to a restore.
    #[must_use]
    pub fn is_restoring(&self) -> bool {
        self.state().is_restoring
    }

    /// Counts one side of a call, and dies if it is time.
    pub fn step(&self, point: Point, side: Side) {
        let mut state = self.state();
        if !state.is_dead {
            if !Moment::has_come(&mut state.death, point) {
                return;
            }
            state.is_dead = true;
            state.died_at = Some((point, side));
        }
        drop(state);
        if !std::thread::panicking() {
            // Not `panic_any`: a death is no accident, and no hook should print it.
            std::panic::resume_unwind(Box::new(Death));
        }
    }

    /// Whether the process freezes now, so that the others go on without it.
    #[must_use]
    pub fn takes_pause(&self, point: Point) -> bool {
        Moment::has_come(&mut self.state().pause, point)
    }
}
