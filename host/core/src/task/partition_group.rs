//! The partition group: all record queues of a task, and the choice of the next record (reference §4.1).
//!
//! The queue whose head has the lowest timestamp is next; ties are arbitrary. Records are dequeued in *runs*: as many as would
//! be chosen one after the other anyway, since no other queue's head is earlier.

use std::time::Duration;

use crate::error::Coordinates;
use crate::id::{TIMESTAMP_UNKNOWN, Timestamp, TopicPartition};
use crate::port::{CommittedOffset, Consumer, Fetched, Lag};
use crate::topology::TimestampExtractor;

use super::record_queue::RecordQueue;

/// Whether a run can be dequeued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing is there, or an input that may still have an earlier record is waited for.
    NotReady,
    /// A run was moved out of the queue with this index.
    Run(usize),
    /// The next record has no valid timestamp, and its source does not allow that.
    InvalidTimestamp(Coordinates, Timestamp),
}

/// See the file's documentation.
#[derive(Debug, Default)]
pub struct PartitionGroup {
    queues: Vec<RecordQueue>,
    /// How long an empty input is waited for; `None` turns the waiting off.
    idle_max: Option<Duration>,
    /// Records dropped because their timestamps are invalid.
    pub dropped_records: u64,
}

impl PartitionGroup {
    /// A group of `queues`.
    #[must_use]
    pub fn new(queues: Vec<RecordQueue>, idle_max: Option<Duration>) -> Self {
        Self { queues, idle_max, dropped_records: 0 }
    }

    /// All queues.
    #[must_use]
    pub fn queues(&self) -> &[RecordQueue] {
        &self.queues
    }

    /// All queues, to be changed.
    pub fn queues_mut(&mut self) -> &mut [RecordQueue] {
        &mut self.queues
    }

    /// Notes that `positions` are committed.
    pub fn acknowledge_commit(&mut self, positions: &[(TopicPartition, CommittedOffset)]) {
        for queue in &mut self.queues {
            if let Some((_, position)) = positions.iter().find(|(partition, _)| *partition == queue.partition) {
                queue.committed = Some(position.offset);
            }
        }
    }

    /// The number of records waiting.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.queues.iter().map(RecordQueue::len).sum()
    }

    /// Stream time as far as the committed partition times tell it.
    #[must_use]
    pub fn highest_partition_time(&self) -> Timestamp {
        self.queues.iter().map(|queue| queue.partition_time).max().unwrap_or(TIMESTAMP_UNKNOWN)
    }

    /// Moves the next run to `run`, if the group is ready: at most `records_max` records of one queue.
    pub fn next_run(&mut self, consumer: &dyn Consumer, now: Duration, records_max: usize, run: &mut Fetched) -> Next {
        loop {
            if !self.is_ready(consumer, now) {
                return Next::NotReady;
            }
            let Some(chosen) = self.choose() else {
                return Next::NotReady;
            };
            let queue = &mut self.queues[chosen];
            match queue.invalid_head() {
                None => {
                    let others = self.lowest_head_but(chosen);
                    self.queues[chosen].dequeue(others, records_max, run);
                    return Next::Run(chosen);
                }
                Some(TimestampExtractor::LogAndSkip) => {
                    tracing::warn!(partition = %queue.partition, offset = ?queue.head_offset(),
                        "a record was dropped: it has no valid timestamp");
                    queue.skip_head();
                    self.dropped_records += 1;
                }
                Some(_) => {
                    let timestamp = queue.head_timestamp().unwrap_or(TIMESTAMP_UNKNOWN);
                    let offset = queue.position(consumer);
                    return Next::InvalidTimestamp(
                        Coordinates { partition: queue.partition.clone(), offset },
                        timestamp,
                    );
                }
            }
        }
    }

    /// The readiness rule of reference §4.1: an empty input is waited for while the broker has records of it, or may have.
    fn is_ready(&mut self, consumer: &dyn Consumer, now: Duration) -> bool {
        if self.queues.iter().all(RecordQueue::is_empty) {
            return false;
        }
        let Some(idle_max) = self.idle_max else {
            return true;
        };
        let mut ready = true;
        for queue in self.queues.iter_mut().filter(|queue| queue.is_empty()) {
            match consumer.lag(&queue.partition) {
                Lag::Unknown | Lag::Behind => {
                    queue.idle_deadline = None;
                    ready = false;
                }
                Lag::CaughtUp => {
                    let deadline = *queue.idle_deadline.get_or_insert(now + idle_max);
                    ready &= deadline <= now;
                }
            }
        }
        ready
    }

    /// When the records that wait will have waited long enough for the empty inputs; `None` when nothing waits, or nothing but a
    /// record ends the wait.
    #[must_use]
    pub fn idle_deadline(&self) -> Option<Duration> {
        let (empty, waiting): (Vec<_>, Vec<_>) = self.queues.iter().partition(|queue| queue.is_empty());
        if waiting.is_empty() {
            return None;
        }
        empty.into_iter().map(|queue| queue.idle_deadline).max()?
    }

    fn choose(&self) -> Option<usize> {
        let heads = self.queues.iter().enumerate().filter_map(|(index, queue)| Some((queue.head_timestamp()?, index)));
        heads.min().map(|(_, index)| index)
    }

    fn lowest_head_but(&self, chosen: usize) -> Timestamp {
        let others = self.queues.iter().enumerate().filter(|(index, _)| *index != chosen);
        others.filter_map(|(_, queue)| queue.head_timestamp()).min().unwrap_or(Timestamp::MAX)
    }
}
