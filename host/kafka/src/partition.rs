//! How far a partition has been read: what was taken from its queue, and what that says of the rest.

use millstream_core::id::{Offset, TopicPartition};
use millstream_core::port::{Fetched, Lag};

use crate::native::{Client, MessageBuffer, NativeError, Queue, Taken};

/// A place in a partition's log.
pub(crate) struct Cursor {
    /// The offset after the last record taken, or where reading began.
    next: Offset,
    /// Whether anything arrived since reading began here. Before that, what librdkafka remembers may stem from earlier reading.
    has_arrived: bool,
    /// Where the (stable) log ended when its end was reached, if nothing was taken since.
    end: Option<Offset>,
    /// An error that came amid records; told when these are taken.
    failure: Option<NativeError>,
}

impl Cursor {
    /// Reading begins at `offset`.
    pub(crate) fn at(offset: Offset) -> Self {
        Self { next: offset, has_arrived: false, end: None, failure: None }
    }

    /// Appends up to `records_max` records to `into`; control and aborted records have been left out by librdkafka.
    pub(crate) fn take(
        &mut self,
        queue: &Queue,
        records_max: usize,
        buffer: &mut MessageBuffer,
        into: &mut Fetched,
    ) -> Result<usize, NativeError> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let before = into.offsets.len();
        queue.take(records_max, buffer, |taken| match taken {
            Taken::Record(offset, record) => {
                let row = into.records.len() as u32;
                into.records.push(record, row);
                into.offsets.push(offset);
                self.next = offset.next();
                self.has_arrived = true;
                self.end = None;
            }
            Taken::End(offset) => {
                self.next = self.next.max(offset);
                self.has_arrived = true;
                self.end = Some(offset);
            }
            Taken::Failed(error) => self.failure = Some(error),
        });
        let taken = into.offsets.len() - before;
        match self.failure.take_if(|_| taken == 0) {
            Some(failure) => Err(failure),
            None => Ok(taken),
        }
    }

    /// The offset after everything taken, control records included, as soon as their turn in the queue has come; a gap left
    /// by aborted or compacted records at the end is passed when the end is reported.
    ///
    /// librdkafka counts for us, but takes the report of an end for a record at that offset (2.12.1,
    /// `rd_kafka_q_serve_rkmessages`): after one, its count is one too high until the next record. Committed, that would lose a
    /// record, so at an end our own count holds.
    pub(crate) fn position(&self, client: &Client, partition: &TopicPartition) -> Offset {
        let can_be_counted = self.has_arrived && self.end.is_none();
        let counted = if can_be_counted { client.position(partition) } else { None };
        counted.map_or(self.next, |counted| counted.max(self.next))
    }

    /// What is known of the rest, as of the last answer of the broker.
    ///
    /// The end is reported once it was fetched *from*, which takes another fetch; the high watermark comes with the records
    /// themselves. Under read-committed the last stable offset is at most the high watermark, so whoever has reached the
    /// watermark has everything; before an open transaction only the report tells.
    pub(crate) fn lag(&self, client: &Client, partition: &TopicPartition, queue: &Queue) -> Lag {
        if !self.has_arrived {
            return Lag::Unknown;
        }
        if self.failure.is_some() || !queue.is_empty() {
            return Lag::Behind;
        }
        let reached = self.end.is_some()
            || client.last_high_watermark(partition).is_some_and(|high| self.position(client, partition) >= high);
        if reached { Lag::CaughtUp } else { Lag::Behind }
    }
}
