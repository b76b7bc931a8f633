//! Commits a stream thread's tasks: in one Kafka transaction under exactly-once, or outputs before positions under at-least-once.
//!
//! Order is the whole point: a crash between any two steps leaves either the previous commit or this one, never a mix. The
//! numbers below are those of the design, and the simulator stops the process between each two of them.
//!
//! 1. The changes of the stores go to their changelogs, each key once.
//! 2. The producer is flushed: every record of the transaction has an offset, or an error that ends the commit.
//! 3. The consumed positions join the transaction with the group's metadata, and the transaction commits. From here on the work is
//!    visible. (At-least-once: the positions are committed.)
//! 4. Each task applies its changes and the changelog offsets that they reach to its state, in one write; those of several commits
//!    together, so that of a key that changes often only the last value is written. Of many changes only one task's at a commit,
//!    so that the thread does not stand still for all of them together.
//! 5. The tasks acknowledge; the next transaction begins with the next record.
//!
//! The state never holds what is not committed. A crash before 3 leaves the state at the previous commit, and the transaction is
//! aborted; a crash between 3 and 4 leaves the state behind its changelog, whose end is replayed.

use std::time::Duration;

use crate::error::Result;
use crate::id::TopicPartition;
use crate::port::{CommittedOffset, Consumer};
use crate::record_collector::RecordCollector;
use crate::task::ActiveTask;

/// What an application is promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessingGuarantee {
    /// Each record has its effect once, also after a crash (Kafka Streams' `exactly_once_v2`).
    ExactlyOnce,
    /// Each record has its effect; after a crash some have it again.
    AtLeastOnce,
}

/// When states are given what was committed.
#[derive(Clone, Copy, Debug)]
pub struct ApplyPace {
    /// The monotonic time.
    pub now: Duration,
    /// How long changes may wait since a state was given the last ones.
    pub interval: Duration,
}

type Positions = Vec<(TopicPartition, CommittedOffset)>;

/// Commits `tasks`, and returns the positions that were committed.
///
/// # Errors
///
/// Before step 3 is done nothing is committed; after an error *in* step 3 nobody knows, unless its kind is `Retriable`.
pub fn commit(
    tasks: &mut [&mut ActiveTask],
    guarantee: ProcessingGuarantee,
    mut pace: ApplyPace,
    consumer: &mut dyn Consumer,
    collector: &mut RecordCollector,
) -> Result<Positions> {
    // 1. Changelogs.
    for task in tasks.iter_mut() {
        task.log_changes(collector)?;
    }
    // 2. Flush.
    collector.flush()?;
    // 3. Positions.
    let positions: Positions = tasks.iter().flat_map(|task| task.positions(consumer)).collect();
    match guarantee {
        ProcessingGuarantee::ExactlyOnce => {
            if !positions.is_empty() {
                collector.send_offsets(&positions, &consumer.group_metadata())?;
            }
            collector.commit_transaction()?;
        }
        ProcessingGuarantee::AtLeastOnce if positions.is_empty() => {}
        ProcessingGuarantee::AtLeastOnce => consumer.commit(&positions)?,
    }
    // 4. State.
    for task in tasks.iter_mut() {
        if task.apply_changes(collector, pace)? {
            pace.interval = Duration::MAX;
        }
    }
    // 5. Acknowledge.
    for task in tasks.iter_mut() {
        task.acknowledge_commit(&positions);
    }
    Ok(positions)
}
