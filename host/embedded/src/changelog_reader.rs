//! The changelog port on the embedded log.

use std::collections::HashMap;

use millstream_core::id::{Offset, TopicPartition};
use millstream_core::port::{ChangelogReader, Fetched};
use millstream_core::{Error, Kind, Result};

use crate::log::EmbeddedLog;
use crate::partition::Isolation;
use crate::topic::PartitionIndex;

/// Reads changelogs to restore stores.
pub struct EmbeddedChangelogReader {
    log: EmbeddedLog,
    isolation: Isolation,
    positions: HashMap<TopicPartition, (PartitionIndex, Offset)>,
}

impl EmbeddedChangelogReader {
    /// A reader that sees committed records only, or all.
    #[must_use]
    pub fn new(log: &EmbeddedLog, isolation: Isolation) -> Self {
        Self { log: log.clone(), isolation, positions: HashMap::new() }
    }
}

fn outside(partition: &TopicPartition, position: Offset, start: Offset, end: Offset) -> Error {
    let message = format!(
        "position {position} lies outside changelog {partition}, which reaches from {start} to {end}; \
         wipe the store and restore it from the beginning"
    );
    Error::new(Kind::TaskCorrupted, message)
}

impl ChangelogReader for EmbeddedChangelogReader {
    fn start(&mut self, partition: &TopicPartition, from: Option<Offset>) -> Result<Offset> {
        let state = self.log.lock();
        let at = state.contents.index(partition)?;
        let found = state.contents.partition(at);
        let (start, end) = (found.start_offset(), found.end_offset());
        let position = from.unwrap_or(start);
        if position < start || position > end {
            return Err(outside(partition, position, start, end));
        }
        self.positions.insert(partition.clone(), (at, position));
        Ok(end)
    }

    fn take(&mut self, partition: &TopicPartition, records_max: usize, into: &mut Fetched) -> Result<usize> {
        let Some((at, position)) = self.positions.get_mut(partition) else {
            return Err(Error::fatal(format!(
                "changelog {partition} is not being read; start it before taking from it"
            )));
        };
        let state = self.log.lock();
        let found = state.contents.partition(*at);
        if *position < found.start_offset() {
            return Err(outside(partition, *position, found.start_offset(), found.end_offset()));
        }
        let before = into.offsets.len();
        *position = found.read(*position, self.isolation, records_max, into);
        Ok(into.offsets.len() - before)
    }

    fn position(&self, partition: &TopicPartition) -> Option<Offset> {
        self.positions.get(partition).map(|(_, position)| *position)
    }

    fn stop(&mut self, partition: &TopicPartition) {
        self.positions.remove(partition);
    }
}
