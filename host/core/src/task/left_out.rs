//! Records that a task leaves out: those that processors refuse, and those that were found to make one fail.

use super::dead_letter::{DeadLetter, no_record};
use super::node_tree::LeftOut;
use super::{ActiveTask, TaskFailure};
use crate::error::Coordinates;
use crate::id::{NodeName, Timestamp, TopicName};
use crate::processor::Reaction;
use crate::record_collector::RecordCollector;

/// A record that is to be passed over because a processor failed on it before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// The record.
    pub record: Coordinates,
    /// The node that failed.
    pub node_name: NodeName,
    /// Why.
    pub reason: String,
    /// The dead-letter topic that it goes to; `None` drops it.
    pub dead_letter_topic: Option<TopicName>,
}

impl ActiveTask {
    /// Passes over records that have failed for good.
    pub fn pass_over(&mut self, passed: Vec<Passed>) {
        self.passed = passed;
    }

    /// Sends what processors refused with `dead-letter` to its topic, and counts what they left out. `queue` is the one of
    /// the run; in a punctuation there is none.
    pub(super) fn send_left_out(
        &mut self,
        queue: Option<usize>,
        collector: &mut RecordCollector,
    ) -> Result<(), TaskFailure> {
        for LeftOut { node, row, reaction } in self.tree.take_left_out() {
            self.context.dropped_records += 1;
            let origin = queue.map(|queue| self.coordinates(queue, row));
            let node_name = self.tree.name(node);
            let (reason, topic) = match &reaction {
                Reaction::DeadLetter(reason) => (reason, self.settings.dead_letter_topics.get(&node)),
                Reaction::Skip(reason) | Reaction::Retry(reason) | Reaction::Fatal(reason) => (reason, None),
            };
            let at = origin.as_ref().map(tracing::field::display);
            tracing::warn!(task = %self.id, node = %node_name, record = at, %reason, "a record was left out");
            if let Some(topic) = topic {
                let record = match queue {
                    Some(_) => self.run.records.record(row as usize),
                    None => no_record(self.context.wall_clock_time),
                };
                DeadLetter { topic, node_name, reason, origin: origin.as_ref() }.send(record, collector)?;
            }
        }
        Ok(())
    }

    /// Passes over the record at the head of a queue, if it is one that has failed for good.
    pub(super) fn pass_over_head(&mut self, collector: &mut RecordCollector) -> Result<bool, TaskFailure> {
        let Self { group, passed, run, .. } = self;
        let at_head = |one: &Passed| {
            group.queues().iter().position(|queue| {
                queue.partition == one.record.partition && queue.head_offset() == Some(one.record.offset)
            })
        };
        let Some((index, queue)) = passed.iter().enumerate().find_map(|(index, one)| Some((index, at_head(one)?)))
        else {
            return Ok(false);
        };
        let one = passed.remove(index);
        tracing::warn!(task = %self.id, node = %one.node_name, record = %one.record, reason = %one.reason,
            topic = ?one.dead_letter_topic, "a record was passed over because a processor failed on it");
        run.clear();
        group.queues_mut()[queue].dequeue(Timestamp::MAX, 1, run);
        let record = run.records.record(0);
        // The record was dequeued, and time is advanced by that (reference §4.1).
        self.context.stream_time = self.context.stream_time.max(record.timestamp);
        if let Some(topic) = &one.dead_letter_topic {
            let (node_name, reason, origin) = (&one.node_name, one.reason.as_str(), Some(&one.record));
            DeadLetter { topic, node_name, reason, origin }.send(record, collector)?;
        }
        self.commit_needed = true;
        self.context.commit_requested = true;
        self.context.dropped_records += 1;
        Ok(true)
    }
}
