//! Transactional producers: who holds a transactional id, and what its open transaction has touched.

use std::collections::{BTreeMap, HashMap};

use millstream_core::id::TopicPartition;
use millstream_core::port::CommittedOffset;
use millstream_core::{Error, Kind, Result};

use crate::topic::PartitionIndex;

/// A transactional id's number in this log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ProducerId(pub u32);

/// One holder of a transactional id. Each later holder has a higher epoch and fences this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProducerIdentity {
    pub id: ProducerId,
    pub epoch: u32,
}

/// Positions of one group.
pub(crate) type Offsets = BTreeMap<TopicPartition, CommittedOffset>;

/// An open transaction. It opens with its first record or position, as Kafka's coordinator sees it.
#[derive(Debug, Default)]
pub(crate) struct Transaction {
    /// The partitions that it has records in, in the order of their first one.
    pub partitions: Vec<PartitionIndex>,
    /// The positions that become committed with it, by group.
    pub offsets: BTreeMap<String, Offsets>,
}

#[derive(Debug)]
pub(crate) struct ProducerEntry {
    pub transactional_id: String,
    pub epoch: u32,
    pub open: Option<Transaction>,
}

/// All transactional ids ever seen.
#[derive(Debug, Default)]
pub(crate) struct Producers {
    entries: Vec<ProducerEntry>,
    by_name: HashMap<String, ProducerId>,
}

impl Producers {
    /// The number of `transactional_id` and the last epoch given to it.
    pub fn find(&self, transactional_id: &str) -> Option<ProducerIdentity> {
        let id = *self.by_name.get(transactional_id)?;
        Some(ProducerIdentity { id, epoch: self.entries[id.0 as usize].epoch })
    }

    /// Gives `transactional_id` to a new holder.
    pub fn register(&mut self, transactional_id: &str, epoch: u32) -> ProducerIdentity {
        if let Some(found) = self.find(transactional_id) {
            self.entries[found.id.0 as usize].epoch = epoch;
            return ProducerIdentity { id: found.id, epoch };
        }
        let id = ProducerId(self.entries.len() as u32);
        self.entries.push(ProducerEntry { transactional_id: transactional_id.to_owned(), epoch, open: None });
        self.by_name.insert(transactional_id.to_owned(), id);
        ProducerIdentity { id, epoch }
    }

    pub fn get(&self, id: ProducerId) -> Option<&ProducerEntry> {
        self.entries.get(id.0 as usize)
    }

    pub fn iter(&self) -> impl Iterator<Item = (ProducerId, &ProducerEntry)> {
        self.entries.iter().enumerate().map(|(index, entry)| (ProducerId(index as u32), entry))
    }

    /// The open transaction of `id`; it is opened when there is none.
    pub fn open(&mut self, id: ProducerId) -> Option<&mut Transaction> {
        Some(self.entries.get_mut(id.0 as usize)?.open.get_or_insert_default())
    }

    /// Takes the open transaction of `id`, to end it.
    pub fn end(&mut self, id: ProducerId) -> Option<Transaction> {
        self.entries.get_mut(id.0 as usize)?.open.take()
    }

    /// Refuses a holder that is not the last one.
    pub fn check(&self, identity: ProducerIdentity) -> Result<()> {
        match self.get(identity.id) {
            Some(entry) if entry.epoch == identity.epoch => Ok(()),
            Some(entry) => Err(Error::new(
                Kind::TaskMigrated,
                format!(
                    "transactional id `{}` was taken over by a newer producer (epoch {}, this one has {}); \
                     make a new producer",
                    entry.transactional_id, entry.epoch, identity.epoch
                ),
            )),
            None => Err(Error::fatal(format!("producer {} is not known to this log; make a new one", identity.id.0))),
        }
    }

    /// Whether an open transaction holds a position of `group` for one of `partitions`.
    pub fn has_pending_offset(&self, group: &str, partition: &TopicPartition) -> bool {
        let open = self.entries.iter().filter_map(|entry| entry.open.as_ref());
        open.filter_map(|transaction| transaction.offsets.get(group)).any(|offsets| offsets.contains_key(partition))
    }
}
