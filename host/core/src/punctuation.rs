//! The punctuations of a task: what is scheduled, and when each fires next (reference §4.7).

use crate::id::{TIMESTAMP_UNKNOWN, Timestamp};
use crate::limits;
use crate::processor::PunctuationType;
use crate::topology::NodeIndex;

#[derive(Clone, Debug)]
struct Schedule {
    id: u32,
    node: NodeIndex,
    kind: PunctuationType,
    start: Option<Timestamp>,
    interval: Timestamp,
    next: Timestamp,
}

/// A punctuation that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// The punctuation, as [`PunctuationQueue::schedule`] named it.
    pub id: u32,
    /// The node that scheduled it.
    pub node: NodeIndex,
}

/// Why a punctuation was not scheduled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// The interval is shorter than a millisecond.
    #[error("the interval of a punctuation must be at least 1 ms, not {0} ms")]
    Interval(i64),
    /// The start lies before the epoch.
    #[error("the start of a punctuation must not be negative, it is {0}")]
    Start(Timestamp),
    /// Too many are scheduled.
    #[error("the node has {max} punctuations scheduled already, cancel one first", max = limits::PUNCTUATIONS_MAX)]
    TooMany,
}

/// All punctuations of a task.
#[derive(Clone, Debug, Default)]
pub struct PunctuationQueue {
    schedules: Vec<Schedule>,
    last_id: u32,
    /// Those of a processor that is being replaced, from which its successor takes over.
    former: Vec<Schedule>,
}

impl PunctuationQueue {
    /// Schedules a punctuation and returns its id. Without a start, a stream-time one is due as soon as stream time is known, a
    /// wall-clock one after the first interval. A start in the past is moved on by whole intervals, so that it does not
    /// fire at once. `now` is the time of the kind asked.
    ///
    /// # Errors
    ///
    /// When interval or start is not allowed, or there are too many.
    pub fn schedule(
        &mut self,
        node: NodeIndex,
        kind: PunctuationType,
        start: Option<Timestamp>,
        interval: i64,
        now: Timestamp,
    ) -> Result<u32, ScheduleError> {
        if interval < 1 {
            return Err(ScheduleError::Interval(interval));
        }
        if self.schedules.iter().filter(|schedule| schedule.node == node).count() >= limits::PUNCTUATIONS_MAX {
            return Err(ScheduleError::TooMany);
        }
        let next = match (self.take_former(node, kind, start, interval), start, kind) {
            (_, Some(start), _) if start < 0 => return Err(ScheduleError::Start(start)),
            (Some(next), _, _) => next,
            (None, Some(start), _) if start < now => next_after(start, interval, now),
            (None, Some(start), _) => start,
            (None, None, PunctuationType::StreamTime) => 0,
            (None, None, PunctuationType::WallClockTime) => now.saturating_add(interval),
        };
        self.last_id += 1;
        self.schedules.push(Schedule { id: self.last_id, node, kind, start, interval, next });
        Ok(self.last_id)
    }

    /// When a punctuation like this would have fired next for the processor that is being replaced.
    fn take_former(
        &mut self,
        node: NodeIndex,
        kind: PunctuationType,
        start: Option<Timestamp>,
        interval: i64,
    ) -> Option<Timestamp> {
        let is_like =
            |one: &Schedule| one.node == node && one.kind == kind && one.start == start && one.interval == interval;
        let found = self.former.iter().position(is_like)?;
        Some(self.former.remove(found).next)
    }

    /// Cancels a punctuation of `node`; one that is not there is ignored.
    pub fn cancel(&mut self, node: NodeIndex, id: u32) {
        self.schedules.retain(|schedule| schedule.id != id || schedule.node != node);
    }

    /// Appends what is due at `now` to `due`, each at most once, earliest first, and moves it on to its next time: missed intervals are
    /// skipped and the alignment is kept.
    pub fn take_due(&mut self, kind: PunctuationType, now: Timestamp, due: &mut Vec<Due>) {
        if now == TIMESTAMP_UNKNOWN {
            return;
        }
        let mut found: Vec<(Timestamp, Due)> = Vec::new();
        for schedule in self.schedules.iter_mut().filter(|schedule| schedule.kind == kind && schedule.next <= now) {
            found.push((schedule.next, Due { id: schedule.id, node: schedule.node }));
            schedule.next = next_after(schedule.next, schedule.interval, now);
        }
        found.sort_by_key(|(next, due)| (*next, due.id));
        due.extend(found.into_iter().map(|(_, due)| due));
    }

    /// Whether the punctuation is still scheduled; one may cancel another that is due in the same round.
    #[must_use]
    pub fn is_scheduled(&self, id: u32) -> bool {
        self.schedules.iter().any(|schedule| schedule.id == id)
    }

    /// The wall-clock time of the next wall-clock punctuation.
    #[must_use]
    pub fn next_wall_clock(&self) -> Option<Timestamp> {
        let wall_clock = |schedule: &&Schedule| schedule.kind == PunctuationType::WallClockTime;
        self.schedules.iter().filter(wall_clock).map(|schedule| schedule.next).min()
    }

    /// Ends all punctuations of `node`, whose processor is being replaced. Until [`Self::end_replacement`], one that is scheduled as an
    /// ended one was keeps its rhythm: an interval that is longer than processors live would never pass otherwise.
    pub fn begin_replacement(&mut self, node: NodeIndex) {
        self.former = self.schedules.extract_if(.., |schedule| schedule.node == node).collect();
    }

    /// The new processor has begun; what it has not scheduled again is forgotten.
    pub fn end_replacement(&mut self) {
        self.former.clear();
    }
}

/// The first time after `now` on the grid of `interval` that goes through `due`, but at least one interval after `due`.
fn next_after(due: Timestamp, interval: i64, now: Timestamp) -> Timestamp {
    let passed = (now - due) / interval;
    due.saturating_add((passed + 1).saturating_mul(interval))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: NodeIndex = NodeIndex(1);

    fn fired(queue: &mut PunctuationQueue, kind: PunctuationType, now: Timestamp) -> usize {
        let mut due = Vec::new();
        queue.take_due(kind, now, &mut due);
        due.len()
    }

    #[test]
    fn stream_time_fires_as_soon_as_it_is_known_and_keeps_its_alignment() {
        let mut queue = PunctuationQueue::default();
        let kind = PunctuationType::StreamTime;
        queue.schedule(NODE, kind, None, 100, TIMESTAMP_UNKNOWN).expect("allowed");
        assert_eq!(fired(&mut queue, kind, TIMESTAMP_UNKNOWN), 0);
        for (now, expected) in [(0, 1), (99, 0), (100, 1), (101, 0), (555, 1), (599, 0), (600, 1)] {
            assert_eq!(fired(&mut queue, kind, now), expected, "at {now}");
        }
    }

    #[test]
    fn wall_clock_fires_after_the_first_interval_once_a_check() {
        let mut queue = PunctuationQueue::default();
        let kind = PunctuationType::WallClockTime;
        queue.schedule(NODE, kind, None, 10, 1_000).expect("allowed");
        assert_eq!(queue.next_wall_clock(), Some(1_010));
        for (now, expected) in [(1_009, 0), (1_010, 1), (1_055, 1), (1_059, 0), (1_060, 1)] {
            assert_eq!(fired(&mut queue, kind, now), expected, "at {now}");
        }
    }

    #[test]
    fn a_start_in_the_past_does_not_fire_at_once() {
        let mut queue = PunctuationQueue::default();
        let kind = PunctuationType::WallClockTime;
        queue.schedule(NODE, kind, Some(5), 100, 1_000).expect("allowed");
        assert_eq!(queue.next_wall_clock(), Some(1_005));
        queue.schedule(NODE, kind, Some(1_001), 100, 1_000).expect("allowed");
        assert_eq!(queue.next_wall_clock(), Some(1_001));
    }

    #[test]
    fn a_cancelled_punctuation_does_not_fire_and_only_its_node_can_cancel_it() {
        let mut queue = PunctuationQueue::default();
        let kind = PunctuationType::StreamTime;
        let id = queue.schedule(NODE, kind, None, 100, 0).expect("allowed");
        queue.cancel(NodeIndex(2), id);
        assert!(queue.is_scheduled(id));
        queue.cancel(NODE, id);
        assert_eq!(fired(&mut queue, kind, 1_000), 0);
    }

    #[test]
    fn the_successor_of_a_processor_goes_on_in_the_rhythm_of_what_it_schedules_again() {
        let (wall, stream) = (PunctuationType::WallClockTime, PunctuationType::StreamTime);
        let mut queue = PunctuationQueue::default();
        let old = queue.schedule(NODE, wall, None, 100, 1_000).expect("allowed");
        queue.schedule(NODE, wall, None, 70, 1_000).expect("allowed");
        queue.schedule(NODE, stream, None, 10, 0).expect("allowed");
        let neighbour = queue.schedule(NodeIndex(2), wall, None, 500, 1_000).expect("allowed");
        assert_eq!(fired(&mut queue, stream, 5), 1);
        queue.begin_replacement(NODE);
        let new = queue.schedule(NODE, wall, None, 100, 1_090).expect("allowed");
        queue.schedule(NODE, wall, None, 100, 1_090).expect("allowed");
        queue.schedule(NODE, stream, None, 10, 5).expect("allowed");
        queue.end_replacement();
        assert!(new > old && queue.is_scheduled(neighbour) && !queue.is_scheduled(old));
        assert_eq!(fired(&mut queue, stream, 9), 0, "it has fired for this interval");
        for (now, expected) in [(1_099, 0), (1_100, 1), (1_189, 0), (1_190, 1), (1_200, 1)] {
            assert_eq!(fired(&mut queue, wall, now), expected, "at {now}");
        }
    }

    #[test]
    fn what_is_not_allowed_is_refused() {
        let mut queue = PunctuationQueue::default();
        let kind = PunctuationType::StreamTime;
        assert_eq!(queue.schedule(NODE, kind, None, 0, 0), Err(ScheduleError::Interval(0)));
        assert_eq!(queue.schedule(NODE, kind, Some(-1), 1, 0), Err(ScheduleError::Start(-1)));
        for _ in 0..limits::PUNCTUATIONS_MAX {
            queue.schedule(NODE, kind, None, 1, 0).expect("allowed");
        }
        assert_eq!(queue.schedule(NODE, kind, None, 1, 0), Err(ScheduleError::TooMany));
    }
}
