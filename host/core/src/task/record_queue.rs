//! The record queue: records of one source partition that were fetched and not processed yet, first in, first out.

use crate::error::Result;
use crate::id::{Offset, TIMESTAMP_UNKNOWN, Timestamp, TopicPartition};
use crate::limits;
use crate::port::{Consumer, Fetched};
use crate::topology::{NodeIndex, TimestampExtractor};

/// See the file's documentation.
#[derive(Debug)]
pub struct RecordQueue {
    /// The partition that is read.
    pub partition: TopicPartition,
    /// The source node that it feeds.
    pub source: NodeIndex,
    extractor: TimestampExtractor,
    fetched: Fetched,
    head: usize,
    /// The highest timestamp of the records dequeued so far.
    pub partition_time: Timestamp,
    /// The offset after the last record that was dequeued; what is committed when the queue is empty and nothing else is known.
    next_offset: Offset,
    /// The position committed last; `None` when the group has none.
    pub(super) committed: Option<Offset>,
    /// Until when an empty queue is waited for.
    pub(super) idle_deadline: Option<std::time::Duration>,
    /// Bytes of a typical record, so that a queue of large records takes fewer.
    record_bytes: usize,
    /// Whether a fetched record has no valid timestamp, so that each must be looked at.
    has_invalid: bool,
}

impl RecordQueue {
    /// An empty queue that continues at `next_offset`, which is `committed` unless the group has no such position.
    #[must_use]
    pub fn new(
        partition: TopicPartition,
        source: NodeIndex,
        extractor: TimestampExtractor,
        next_offset: Offset,
        committed: Option<Offset>,
        partition_time: Timestamp,
    ) -> Self {
        Self {
            partition,
            source,
            extractor,
            fetched: Fetched::default(),
            head: 0,
            partition_time,
            next_offset,
            committed,
            idle_deadline: None,
            record_bytes: 1024,
            has_invalid: false,
        }
    }

    /// The number of records waiting.
    #[must_use]
    pub fn len(&self) -> usize {
        self.fetched.offsets.len() - self.head
    }

    /// Whether no record waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The timestamp of the next record; negative when it has none that is valid.
    #[must_use]
    pub fn head_timestamp(&self) -> Option<Timestamp> {
        (!self.is_empty()).then(|| self.fetched.records.timestamp(self.head))
    }

    /// The offset of the next record.
    #[must_use]
    pub fn head_offset(&self) -> Option<Offset> {
        self.fetched.offsets.get(self.head).copied()
    }

    /// Whether the next record has no valid timestamp, and what is to happen with it.
    #[must_use]
    pub fn invalid_head(&self) -> Option<TimestampExtractor> {
        let invalid = self.has_invalid && self.head_timestamp().is_some_and(|timestamp| timestamp < 0);
        invalid.then_some(self.extractor)
    }

    /// Takes records from the consumer when none is waiting; `records_max` bounds the queue. They lie in memory of `spare` until
    /// [`RecordQueue::return_memory`].
    ///
    /// # Errors
    ///
    /// See [`Consumer::take`].
    pub fn fill(
        &mut self,
        consumer: &mut dyn Consumer,
        records_max: usize,
        wall_clock: Timestamp,
        spare: &mut Vec<Fetched>,
    ) -> Result<()> {
        if !self.is_empty() {
            return Ok(());
        }
        self.return_memory(spare);
        self.fetched = spare.pop().unwrap_or_default();
        let room = (limits::QUEUE_BYTES_MAX / self.record_bytes).clamp(1, records_max.max(1));
        let count = consumer.take(&self.partition, room, &mut self.fetched)?;
        if let Some(record_bytes) = self.fetched.records.byte_len().checked_div(count) {
            self.idle_deadline = None;
            self.record_bytes = record_bytes.max(1);
            self.extract_timestamps(wall_clock);
        }
        Ok(())
    }

    /// Gives its memory to `spare` when no record is waiting.
    pub fn return_memory(&mut self, spare: &mut Vec<Fetched>) {
        if self.is_empty() && self.fetched.has_room() {
            self.fetched.clear();
            self.head = 0;
            spare.push(std::mem::take(&mut self.fetched));
        }
    }

    fn extract_timestamps(&mut self, wall_clock: Timestamp) {
        let Self { fetched: Fetched { records, .. }, extractor, partition_time, has_invalid, .. } = self;
        *has_invalid = false;
        match extractor {
            TimestampExtractor::WallClock => {
                (0..records.len()).for_each(|index| records.set_timestamp(index, wall_clock));
            }
            TimestampExtractor::UsePartitionTime => {
                let mut highest = *partition_time;
                for index in 0..records.len() {
                    match records.timestamp(index) {
                        invalid if invalid < 0 && highest != TIMESTAMP_UNKNOWN => records.set_timestamp(index, highest),
                        invalid if invalid < 0 => *has_invalid = true,
                        timestamp => highest = highest.max(timestamp),
                    }
                }
            }
            TimestampExtractor::FailOnInvalid | TimestampExtractor::LogAndSkip => {
                *has_invalid = records.columns().timestamps.iter().any(|timestamp| *timestamp < 0);
            }
        }
    }

    /// Moves the records up to one with a timestamp above `timestamp_max`, and at most `records_max` of them, to `run`, which must be empty.
    /// There must be at least one that qualifies.
    pub fn dequeue(&mut self, timestamp_max: Timestamp, records_max: usize, run: &mut Fetched) {
        let end = self.run_end(timestamp_max, records_max);
        debug_assert!(end > self.head, "a run has at least one record");
        if self.head == 0 && end == self.fetched.offsets.len() {
            std::mem::swap(&mut self.fetched, run);
        } else {
            run.records.push_range(&self.fetched.records, self.head..end);
            run.offsets.extend_from_slice(&self.fetched.offsets[self.head..end]);
            self.head = end;
        }
        let highest = run.records.columns().timestamps.iter().copied().max();
        self.partition_time = self.partition_time.max(highest.unwrap_or(TIMESTAMP_UNKNOWN));
        if let Some(last) = run.offsets.last() {
            self.next_offset = last.next();
        }
    }

    fn run_end(&self, timestamp_max: Timestamp, records_max: usize) -> usize {
        let timestamps = self.fetched.records.columns().timestamps;
        let waiting = &timestamps[self.head..];
        let mut count = waiting.len().min(records_max);
        if timestamp_max != Timestamp::MAX || self.has_invalid {
            let fits = |timestamp: &&Timestamp| (0..=timestamp_max).contains(*timestamp);
            count = waiting[..count].iter().take_while(fits).count();
        }
        // A run of ordinary records stays below the bound of bytes as a whole.
        while count > 1 && self.fetched.records.range_byte_len(self.head..self.head + count) > limits::RUN_BYTES_MAX {
            count /= 2;
        }
        self.head + count.max(1)
    }

    /// Drops the next record.
    pub fn skip_head(&mut self) {
        if let Some(offset) = self.head_offset() {
            self.next_offset = offset.next();
            self.head += 1;
        }
    }

    /// The position to commit: the next unprocessed record, or what the consumer has passed when none waits (reference §4.3).
    #[must_use]
    pub fn position(&self, consumer: &dyn Consumer) -> Offset {
        match self.head_offset() {
            Some(offset) => offset,
            None => consumer.position(&self.partition).map_or(self.next_offset, |passed| passed.max(self.next_offset)),
        }
    }

    /// Whether the position has left the committed one behind.
    #[must_use]
    pub fn has_moved(&self, consumer: &dyn Consumer) -> bool {
        self.committed.is_some_and(|committed| self.position(consumer) > committed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::TopicName;
    use crate::record::{Headers, Record};

    #[test]
    fn memory_is_returned_when_no_record_waits() {
        let partition = TopicPartition { topic: TopicName::from("topic"), partition: 0 };
        let extractor = TimestampExtractor::FailOnInvalid;
        let mut queue = RecordQueue::new(partition, NodeIndex(0), extractor, Offset(0), None, TIMESTAMP_UNKNOWN);
        let mut spare = Vec::new();
        queue.return_memory(&mut spare);
        assert!(spare.is_empty(), "it has none yet");
        for offset in 0..3 {
            let record = Record { key: None, value: Some(b"value"), timestamp: 0, headers: Headers::EMPTY };
            queue.fetched.records.push(record, 0);
            queue.fetched.offsets.push(Offset(offset));
        }
        let mut run = Fetched::default();
        queue.dequeue(Timestamp::MAX, 2, &mut run);
        queue.return_memory(&mut spare);
        assert!(spare.is_empty(), "a record waits");
        assert_eq!(queue.head_offset(), Some(Offset(2)));
        run.clear();
        queue.dequeue(Timestamp::MAX, 2, &mut run);
        assert_eq!(run.offsets, [Offset(2)]);
        queue.return_memory(&mut spare);
        assert_eq!((spare.len(), queue.len(), queue.head_offset()), (1, 0, None));
        assert!(spare[0].has_room() && spare[0].offsets.is_empty() && spare[0].records.is_empty());
    }
}
