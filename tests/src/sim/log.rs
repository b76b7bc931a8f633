//! The model's topics: partitions whose entries keep their offsets, and know what became of their transaction.

use std::collections::{BTreeMap, BTreeSet};

use millstream_core::id::{Offset, Timestamp, TopicName, TopicPartition};
use millstream_core::port::Fetched;
use millstream_core::record::{Headers, Record};

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Its transaction is open.
    Pending,
    /// It is there for everyone.
    Committed,
    /// Its transaction was aborted.
    Aborted,
    /// It is the marker that ends a transaction.
    Marker,
    /// The log's compaction has removed it.
    Compacted,
}

/// A record that owns its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
    /// The timestamp.
    pub timestamp: Timestamp,
    /// Packed headers.
    pub headers: Vec<u8>,
}

impl Message {
    /// The key as text.
    #[must_use]
    pub fn key_text(&self) -> String {
        String::from_utf8_lossy(self.key.as_deref().unwrap_or_default()).into_owned()
    }

    /// The value as text.
    #[must_use]
    pub fn value_text(&self) -> String {
        String::from_utf8_lossy(self.value.as_deref().unwrap_or_default()).into_owned()
    }
}

#[derive(Clone, Debug)]
struct Entry {
    /// The producer whose transaction it belongs to.
    producer: Option<u64>,
    fate: Fate,
    message: Message,
}

/// One partition. An entry's offset is its index.
#[derive(Clone, Debug, Default)]
pub struct PartitionLog {
    start: usize,
    entries: Vec<Entry>,
}

impl PartitionLog {
    /// The oldest offset.
    #[must_use]
    pub fn start(&self) -> Offset {
        Offset(self.start as i64)
    }

    /// The offset after the newest entry.
    #[must_use]
    pub fn end(&self) -> Offset {
        Offset(self.entries.len() as i64)
    }

    /// The offset of the first entry whose transaction is open, or the end.
    #[must_use]
    pub fn last_stable(&self) -> Offset {
        let pending = self.entries.iter().position(|entry| entry.fate == Fate::Pending);
        pending.map_or(self.end(), |at| Offset(at as i64))
    }

    /// Appends a record; one of a transaction is pending.
    pub fn append(&mut self, producer: Option<u64>, message: Message) -> Offset {
        let fate = if producer.is_some() { Fate::Pending } else { Fate::Committed };
        self.entries.push(Entry { producer, fate, message });
        Offset(self.entries.len() as i64 - 1)
    }

    /// Ends the transaction of `producer` with a marker.
    pub fn end_transaction(&mut self, producer: u64, is_commit: bool) {
        let fate = if is_commit { Fate::Committed } else { Fate::Aborted };
        let pending = |entry: &&mut Entry| entry.producer == Some(producer) && entry.fate == Fate::Pending;
        self.entries.iter_mut().filter(pending).for_each(|entry| entry.fate = fate);
        let message = Message { key: None, value: None, timestamp: 0, headers: Vec::new() };
        self.entries.push(Entry { producer: None, fate: Fate::Marker, message });
    }

    /// Forgets what lies before `offset`.
    pub fn purge(&mut self, offset: Offset) {
        self.start = self.start.max(offset.0.max(0) as usize).min(self.entries.len());
    }

    /// Keeps only the newest of each key among the committed entries, the last entry excepted.
    pub fn compact(&mut self) {
        let stable = self.last_stable().0 as usize;
        let mut newest: BTreeMap<Option<Vec<u8>>, usize> = BTreeMap::new();
        for index in 0..stable.min(self.entries.len().saturating_sub(1)) {
            if self.entries[index].fate == Fate::Committed {
                let key = self.entries[index].message.key.clone();
                if let Some(older) = newest.insert(key, index) {
                    self.entries[older].fate = Fate::Compacted;
                }
            }
        }
    }

    /// The records before `end` that were committed, those that were purged or compacted since included.
    pub fn committed_before(&self, end: Offset) -> impl Iterator<Item = &Message> {
        let entries = self.entries.iter().take(end.0.max(0) as usize);
        let was_committed = |entry: &&Entry| matches!(entry.fate, Fate::Committed | Fate::Compacted);
        entries.filter(was_committed).map(|entry| &entry.message)
    }

    /// All records that were committed.
    pub fn committed(&self) -> impl Iterator<Item = &Message> {
        self.committed_before(self.end())
    }

    /// What the committed records before `end` say of each key.
    #[must_use]
    pub fn fold(&self, end: Offset) -> BTreeMap<Vec<u8>, (Timestamp, Vec<u8>)> {
        let mut folded = BTreeMap::new();
        for message in self.committed_before(end) {
            let Some(key) = message.key.clone() else { continue };
            match message.value.clone() {
                Some(value) => folded.insert(key, (message.timestamp, value)),
                None => folded.remove(&key),
            };
        }
        folded
    }

    /// The keys of which records from `start` on tell. A state that is behind may hold anything for them, once the log was compacted: what had
    /// stood there before is gone.
    #[must_use]
    pub fn keys_from(&self, start: Offset) -> BTreeSet<&[u8]> {
        let entries = self.entries.iter().skip(start.0.max(0) as usize);
        let committed = entries.filter(|entry| matches!(entry.fate, Fate::Committed | Fate::Compacted));
        committed.filter_map(|entry| entry.message.key.as_deref()).collect()
    }

    /// Whether the log was ever compacted.
    #[must_use]
    pub fn has_gaps(&self) -> bool {
        self.entries.iter().any(|entry| entry.fate == Fate::Compacted)
    }

    /// Whether `entry` at `offset` can be read.
    fn is_visible(&self, at: usize, committed_only: bool) -> bool {
        match self.entries[at].fate {
            Fate::Marker | Fate::Compacted => false,
            Fate::Committed => true,
            Fate::Pending | Fate::Aborted => !committed_only,
        }
    }

    /// Reads up to `records_max` records from `position` on, and returns the position after them and the invisible entries that follow.
    pub fn read(&self, position: Offset, committed_only: bool, records_max: usize, into: &mut Fetched) -> Offset {
        let end = if committed_only { self.last_stable() } else { self.end() };
        let mut at = position.0.max(self.start as i64) as usize;
        let mut count = 0;
        while at < end.0 as usize {
            if self.is_visible(at, committed_only) {
                if count == records_max {
                    break;
                }
                let Message { key, value, timestamp, headers } = &self.entries[at].message;
                let headers = Headers::from_packed(headers);
                let record = Record { key: key.as_deref(), value: value.as_deref(), timestamp: *timestamp, headers };
                into.records.push(record, 0);
                into.offsets.push(Offset(at as i64));
                count += 1;
            }
            at += 1;
        }
        Offset(at as i64)
    }
}

/// All topics.
#[derive(Clone, Debug, Default)]
pub struct Topics(BTreeMap<TopicName, Vec<PartitionLog>>);

impl Topics {
    /// Adds an empty topic.
    pub fn create(&mut self, topic: TopicName, partitions: i32) {
        self.0.insert(topic, vec![PartitionLog::default(); partitions.max(1) as usize]);
    }

    /// The number of partitions of a topic that exists.
    #[must_use]
    pub fn partition_count(&self, topic: &TopicName) -> Option<i32> {
        self.0.get(topic).map(|partitions| partitions.len() as i32)
    }

    /// A partition that exists.
    ///
    /// # Panics
    ///
    /// If it does not.
    #[must_use]
    pub fn partition(&self, partition: &TopicPartition) -> &PartitionLog {
        &self.0[&partition.topic][partition.partition as usize]
    }

    /// A partition that exists, to be changed.
    ///
    /// # Panics
    ///
    /// If it does not.
    pub fn partition_mut(&mut self, partition: &TopicPartition) -> &mut PartitionLog {
        let partitions = self.0.get_mut(&partition.topic).expect("the world creates all topics first");
        &mut partitions[partition.partition as usize]
    }

    /// All partitions.
    pub fn all(&self) -> impl Iterator<Item = (TopicPartition, &PartitionLog)> {
        self.0.iter().flat_map(|(topic, partitions)| {
            (0..).zip(partitions).map(|(number, log)| (TopicPartition::new(topic.clone(), number), log))
        })
    }
}
