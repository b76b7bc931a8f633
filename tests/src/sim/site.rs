//! The place of a stream thread in its world: what all its ports share.

use std::rc::Rc;

use millstream_core::{Error, Kind};

use super::fuse::{Fuse, Point, Side};
use super::world::World;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It takes effect and the answer comes.
    Given,
    /// It never arrives.
    RequestLost,
    /// It takes effect, but the answer never comes.
    AnswerLost,
    /// The caller hears nothing; it takes effect later, if it still may.
    Late,
}

/// See the file's documentation.
#[derive(Clone)]
pub struct Site {
    /// The world.
    pub world: Rc<World>,
    /// The process's number.
    pub process: usize,
    /// The thread's number in its process.
    pub thread: usize,
    /// The process's fuse.
    pub fuse: Fuse,
}

impl Site {
    /// The thread's name.
    #[must_use]
    pub fn name(&self) -> String {
        format!("p{}.{}", self.process, self.thread)
    }

    /// Before a call has its effect: here the process may die, or freeze while the others go on.
    pub fn before(&self, point: Point) {
        self.fuse.step(point, Side::Before);
        self.pause(point, Side::Before);
    }

    /// After a call has had its effect.
    pub fn after(&self, point: Point) {
        self.fuse.step(point, Side::After);
        self.pause(point, Side::After);
    }

    fn pause(&self, point: Point, side: Side) {
        if self.fuse.takes_pause(point) {
            self.world.trace.note(format_args!("{} freezes {side:?} {point}", self.name()));
            self.world.interlude(self.process);
            self.world.trace.note(format_args!("{} goes on {side:?} {point}", self.name()));
            // It may be dead by now.
            self.fuse.step(point, side);
        }
    }

    /// What becomes of a request that is sent now.
    #[must_use]
    pub fn answer(&self, point: Point) -> Answer {
        let world = &self.world;
        let mut random = world.random.borrow_mut();
        let answer = if world.is_broker_down() {
            Answer::RequestLost
        } else if world.is_calm() || !random.permille(world.plan.fault_permille) {
            Answer::Given
        } else {
            random.pick(&[Answer::RequestLost, Answer::AnswerLost, Answer::Late])
        };
        if answer != Answer::Given {
            world.trace.note(format_args!("{}: {point}: {answer:?}", self.name()));
            world.trace.count(match answer {
                Answer::RequestLost => "requests lost",
                Answer::AnswerLost => "answers lost",
                _ => "requests delayed",
            });
        }
        answer
    }
}

/// The error of a call whose outcome is unknown.
#[must_use]
pub fn unclear(point: Point) -> Error {
    Error::new(Kind::TaskMigrated, format!("{point}: no answer came, nobody knows what happened"))
}

/// The error of a call that may be repeated.
#[must_use]
pub fn retriable(point: Point) -> Error {
    Error::new(Kind::Retriable, format!("{point}: no answer came, try again"))
}

/// The error of a producer or member that was replaced.
#[must_use]
pub fn fenced(point: Point) -> Error {
    Error::new(Kind::TaskMigrated, format!("{point}: refused, somebody else has the task"))
}
