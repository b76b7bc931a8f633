//! What the log holds, as a machine that only operations change: the same ones run when a program calls, and when a
//! journal is replayed.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use millstream_core::id::{Offset, Timestamp, TopicName, TopicPartition};
use millstream_core::port::CommittedOffset;
use millstream_core::record::RecordBatch;
use millstream_core::{Error, Result};

use crate::compaction::compact;
use crate::group::Groups;
use crate::partition::{Bounds, ChunkState, Partition};
use crate::topic::{PartitionIndex, Topic};
use crate::transaction::{ProducerId, Producers};

/// Committed positions as a caller or the journal gives them.
pub(crate) type OffsetList<'a> = Cow<'a, [(TopicPartition, CommittedOffset)]>;

/// One change of the log.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Operation<'a> {
    /// A new topic, which gets the next number.
    CreateTopic { name: &'a str, partitions: i32, configs: Cow<'a, BTreeMap<String, String>> },
    /// Records at the end of a partition; those of a producer's transaction open it.
    Append { at: PartitionIndex, base: i64, state: ChunkState, records: &'a RecordBatch, rows: Range<usize> },
    /// Positions that become committed with the transaction of `producer`.
    AddOffsets { producer: ProducerId, group: &'a str, offsets: OffsetList<'a> },
    /// The end of a producer's transaction: markers, and its positions if it is committed.
    EndTransaction { producer: ProducerId, committed: bool },
    /// A new holder of a transactional id; the former one's transaction has been ended.
    RegisterProducer { transactional_id: &'a str, epoch: u32 },
    /// Positions committed outside a transaction.
    CommitOffsets { group: &'a str, offsets: OffsetList<'a> },
    /// Records deleted from the start of a partition.
    Purge { at: PartitionIndex, before: i64 },
    /// Only in a snapshot: what is known of a partition beside its records.
    SetBounds { at: PartitionIndex, bounds: Bounds },
}

/// Topics, producers and groups.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub topics: Vec<Topic>,
    by_name: HashMap<TopicName, u32>,
    pub producers: Producers,
    pub groups: Groups,
    /// A compacted partition is compacted again when it has grown by this much, at least.
    compaction_bytes_min: usize,
    /// Partitions that have grown since they were last looked at for compaction.
    grown: Vec<PartitionIndex>,
}

impl Contents {
    /// Nothing, with the least growth after which a partition is compacted.
    pub fn new(compaction_bytes_min: usize) -> Self {
        Self { compaction_bytes_min, ..Self::default() }
    }

    pub fn topic(&self, name: &TopicName) -> Option<(u32, &Topic)> {
        let number = *self.by_name.get(name)?;
        Some((number, &self.topics[number as usize]))
    }

    /// The number of a partition.
    ///
    /// # Errors
    ///
    /// `Fatal` when there is none of that name.
    pub fn index(&self, partition: &TopicPartition) -> Result<PartitionIndex> {
        let topic = self.topic(&partition.topic);
        let (number, topic) = topic.ok_or_else(|| unknown_topic(&partition.topic))?;
        if !(0..topic.partition_count()).contains(&partition.partition) {
            return Err(Error::fatal(format!(
                "partition {partition} is not in the embedded log: the topic has {} partitions; name one of them",
                topic.partitions.len()
            )));
        }
        Ok(PartitionIndex { topic: number, partition: partition.partition as u32 })
    }

    pub fn partition(&self, at: PartitionIndex) -> &Partition {
        &self.topics[at.topic as usize].partitions[at.partition as usize]
    }

    fn partition_mut(&mut self, at: PartitionIndex) -> Result<&mut Partition> {
        let topic = self.topics.get_mut(at.topic as usize);
        let partition = topic.and_then(|topic| topic.partitions.get_mut(at.partition as usize));
        partition.ok_or_else(|| Error::fatal(format!("there is no partition {} of topic {}", at.partition, at.topic)))
    }

    /// Carries an operation out.
    ///
    /// # Errors
    ///
    /// `Fatal` when it does not fit the contents, which only happens when a journal was tampered with.
    pub fn apply(&mut self, operation: &Operation<'_>) -> Result<()> {
        match operation {
            Operation::CreateTopic { name, partitions, configs } => {
                let topic = Topic::new(name, *partitions, configs.clone().into_owned())?;
                self.by_name.insert(topic.name.clone(), self.topics.len() as u32);
                self.topics.push(topic);
            }
            Operation::Append { at, base, state, records, rows } => self.append(*at, *base, *state, records, rows)?,
            Operation::AddOffsets { producer, group, offsets } => {
                let transaction = self.producers.open(*producer).ok_or_else(|| unknown_producer(*producer))?;
                transaction.offsets.entry((*group).to_owned()).or_default().extend(offsets.iter().cloned());
            }
            Operation::EndTransaction { producer, committed } => self.end_transaction(*producer, *committed)?,
            Operation::RegisterProducer { transactional_id, epoch } => {
                self.producers.register(transactional_id, *epoch);
            }
            Operation::CommitOffsets { group, offsets } => {
                self.groups.get_or_create(group).offsets.extend(offsets.iter().cloned());
            }
            Operation::Purge { at, before } => self.partition_mut(*at)?.purge(Offset(*before)),
            Operation::SetBounds { at, bounds } => {
                self.partition_mut(*at)?.set_bounds(bounds);
                for (producer, _) in &bounds.open {
                    self.join_transaction(*producer, *at)?;
                }
            }
        }
        Ok(())
    }

    fn append(
        &mut self,
        at: PartitionIndex,
        base: i64,
        state: ChunkState,
        records: &RecordBatch,
        rows: &Range<usize>,
    ) -> Result<()> {
        let partition = self.partition_mut(at)?;
        if base < partition.end_offset().0 {
            return Err(Error::fatal(format!(
                "offset {base} is taken already in partition {} of topic {}",
                at.partition, at.topic
            )));
        }
        partition.append(base, state, records, rows.clone());
        if let ChunkState::Open(producer) = state {
            self.join_transaction(producer, at)
        } else {
            self.note_growth(at);
            Ok(())
        }
    }

    fn join_transaction(&mut self, producer: ProducerId, at: PartitionIndex) -> Result<()> {
        let transaction = self.producers.open(producer).ok_or_else(|| unknown_producer(producer))?;
        if !transaction.partitions.contains(&at) {
            transaction.partitions.push(at);
        }
        Ok(())
    }

    fn end_transaction(&mut self, producer: ProducerId, committed: bool) -> Result<()> {
        let Some(transaction) = self.producers.end(producer) else { return Ok(()) };
        for at in transaction.partitions {
            self.partition_mut(at)?.end_transaction(producer, committed);
            self.note_growth(at);
        }
        if committed {
            for (group, offsets) in transaction.offsets {
                self.groups.get_or_create(&group).offsets.extend(offsets);
            }
        }
        Ok(())
    }

    fn note_growth(&mut self, at: PartitionIndex) {
        let topic = &self.topics[at.topic as usize];
        let partition = &topic.partitions[at.partition as usize];
        let threshold = partition.compact_at_bytes.max(self.compaction_bytes_min);
        if topic.compaction.is_some() && partition.bytes() >= threshold && !self.grown.contains(&at) {
            self.grown.push(at);
        }
    }

    /// Compacts the partitions that have doubled since they were last compacted: the work is in proportion to what
    /// was written.
    pub fn compact_grown(&mut self, now: impl Fn() -> Timestamp) {
        for at in std::mem::take(&mut self.grown) {
            self.compact(at, now());
        }
    }

    /// Compacts all compacted topics.
    pub fn compact_all(&mut self, now: Timestamp) {
        self.grown.clear();
        for topic in 0..self.topics.len() as u32 {
            for partition in 0..self.topics[topic as usize].partitions.len() as u32 {
                self.compact(PartitionIndex { topic, partition }, now);
            }
        }
    }

    fn compact(&mut self, at: PartitionIndex, now: Timestamp) {
        let bytes_min = self.compaction_bytes_min;
        let topic = &mut self.topics[at.topic as usize];
        let Some(rules) = topic.compaction else { return };
        let partition = &mut topic.partitions[at.partition as usize];
        compact(partition, rules, now);
        partition.compact_at_bytes = partition.bytes() + partition.bytes().max(bytes_min);
    }

    /// The memory that all records take, roughly.
    pub fn bytes(&self) -> usize {
        self.topics.iter().flat_map(|topic| &topic.partitions).map(Partition::bytes).sum()
    }

    /// Hands out the operations that make these contents from nothing.
    ///
    /// # Errors
    ///
    /// Those of `emit`.
    pub fn snapshot(&self, emit: &mut dyn FnMut(&Operation<'_>) -> Result<()>) -> Result<()> {
        for (_, producer) in self.producers.iter() {
            emit(&Operation::RegisterProducer { transactional_id: &producer.transactional_id, epoch: producer.epoch })?;
        }
        for (number, topic) in (0_u32..).zip(&self.topics) {
            emit(&Operation::CreateTopic {
                name: topic.name.as_str(),
                partitions: topic.partition_count(),
                configs: Cow::Borrowed(&topic.configs),
            })?;
            for (partition_number, partition) in (0_u32..).zip(&topic.partitions) {
                snapshot_partition(PartitionIndex { topic: number, partition: partition_number }, partition, emit)?;
            }
        }
        for (group, members) in self.groups.iter() {
            let offsets: Vec<_> = members.offsets.iter().map(|(at, offset)| (at.clone(), offset.clone())).collect();
            emit(&Operation::CommitOffsets { group, offsets: Cow::Owned(offsets) })?;
        }
        for (producer, entry) in self.producers.iter() {
            for (group, offsets) in entry.open.iter().flat_map(|transaction| &transaction.offsets) {
                let offsets: Vec<_> = offsets.iter().map(|(at, offset)| (at.clone(), offset.clone())).collect();
                emit(&Operation::AddOffsets { producer, group, offsets: Cow::Owned(offsets) })?;
            }
        }
        Ok(())
    }
}

fn snapshot_partition(
    at: PartitionIndex,
    partition: &Partition,
    emit: &mut dyn FnMut(&Operation<'_>) -> Result<()>,
) -> Result<()> {
    let start = partition.start_offset().0;
    for segment in partition.segments() {
        for chunk in segment.chunks.iter().filter(|chunk| chunk.end() > start) {
            let purged = (start - chunk.base).max(0);
            let rows = (chunk.row as usize + purged as usize)..(chunk.row + chunk.count) as usize;
            let base = chunk.base + purged;
            emit(&Operation::Append { at, base, state: chunk.state, records: &segment.records, rows })?;
        }
    }
    emit(&Operation::SetBounds { at, bounds: partition.bounds() })
}

pub(crate) fn unknown_topic(topic: &TopicName) -> Error {
    Error::fatal(format!("topic `{topic}` is not in the embedded log; create it first"))
}

fn unknown_producer(producer: ProducerId) -> Error {
    Error::fatal(format!("there is no producer {}", producer.0))
}
