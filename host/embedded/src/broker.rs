//! A stream thread's way to the embedded log: it makes producers, and it purges.

use millstream_core::Result;
use millstream_core::id::{Offset, TopicPartition};
use millstream_core::port::{Broker, Producer, RecordPurger};

use crate::log::EmbeddedLog;
use crate::producer::EmbeddedProducer;

/// Makes the producers of one stream thread.
#[derive(Clone)]
pub struct EmbeddedBroker {
    log: EmbeddedLog,
    transactional_id: Option<String>,
}

impl EmbeddedBroker {
    /// Producers are transactional with `transactional_id`, or not without one.
    #[must_use]
    pub fn new(log: &EmbeddedLog, transactional_id: Option<&str>) -> Self {
        Self { log: log.clone(), transactional_id: transactional_id.map(str::to_owned) }
    }
}

impl Broker for EmbeddedBroker {
    /// Last offsets are known for every partition that the producer wrote to, named or not.
    fn producer(&mut self, _tracked: &[TopicPartition]) -> Result<Box<dyn Producer>> {
        let producer = match &self.transactional_id {
            Some(transactional_id) => EmbeddedProducer::transactional(&self.log, transactional_id)?,
            None => EmbeddedProducer::new(&self.log),
        };
        Ok(Box::new(producer))
    }
}

/// Deletes consumed records.
#[derive(Clone)]
pub struct EmbeddedPurger {
    log: EmbeddedLog,
}

impl EmbeddedPurger {
    /// A purger of `log`.
    #[must_use]
    pub fn new(log: &EmbeddedLog) -> Self {
        Self { log: log.clone() }
    }
}

impl RecordPurger for EmbeddedPurger {
    /// Done when it returns. A failing disk surfaces in the next commit, so that the failure may be dropped here.
    fn purge(&mut self, before: &[(TopicPartition, Offset)]) {
        for (partition, offset) in before {
            let _ = self.log.delete_records(partition, *offset);
        }
    }
}
