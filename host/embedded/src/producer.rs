//! The producer port on the embedded log.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use millstream_core::id::{Offset, TopicName, TopicPartition};
use millstream_core::partitioner::StickyPartitioner;
use millstream_core::port::{CommittedOffset, GroupMetadata, Producer, ProducerRecord};
use millstream_core::record::{Record, RecordBatch};
use millstream_core::{Error, Result};

use crate::contents::Operation;
use crate::log::{EmbeddedLog, State};
use crate::partition::ChunkState;
use crate::topic::{PartitionIndex, TopicRules, message_bytes};
use crate::transaction::ProducerIdentity;

/// A transactional producer gathers so many bytes before it appends them under one lock. They are invisible until the
/// commit anyway.
const BUFFER_BYTES: usize = 1 << 20;

/// A producer. A transactional one gathers records and appends them in batches; the other appends each call's records
/// at once. One that is dropped within a transaction aborts it, which stands for the broker's transaction time-out.
pub struct EmbeddedProducer {
    log: EmbeddedLog,
    /// Who it is, if it is transactional.
    identity: Option<ProducerIdentity>,
    is_in_transaction: bool,
    topics: HashMap<TopicName, ProducerTopic>,
    buffers: Vec<Buffer>,
    /// The buffers that hold records, in the order of their first one.
    filled: Vec<usize>,
    buffered_bytes: usize,
}

struct ProducerTopic {
    rules: TopicRules,
    sticky: StickyPartitioner,
    /// The index of the buffer of partition 0; the others follow.
    first_buffer: usize,
}

struct Buffer {
    at: PartitionIndex,
    records: RecordBatch,
    /// The offset of the last record that was appended.
    last: Option<Offset>,
}

impl EmbeddedProducer {
    /// A producer without transactions.
    #[must_use]
    pub fn new(log: &EmbeddedLog) -> Self {
        Self::with(log, None)
    }

    fn with(log: &EmbeddedLog, identity: Option<ProducerIdentity>) -> Self {
        Self {
            log: log.clone(),
            identity,
            is_in_transaction: false,
            topics: HashMap::new(),
            buffers: Vec::new(),
            filled: Vec::new(),
            buffered_bytes: 0,
        }
    }

    /// A producer with `transactional_id`. Every former one is fenced, and its open transaction aborted.
    ///
    /// # Errors
    ///
    /// `Fatal` when the disk fails.
    pub fn transactional(log: &EmbeddedLog, transactional_id: &str) -> Result<Self> {
        Ok(Self::with(log, Some(log.register_producer(transactional_id)?)))
    }

    fn find_topic(&mut self, topic: &TopicName) -> Result<()> {
        if self.topics.contains_key(topic) {
            return Ok(());
        }
        let rules = self.log.lock().rules(topic)?;
        let first_buffer = self.buffers.len();
        for partition in 0..rules.partitions as u32 {
            let at = PartitionIndex { topic: rules.number, partition };
            self.buffers.push(Buffer { at, records: RecordBatch::new(), last: None });
        }
        let sticky = StickyPartitioner::default();
        self.topics.insert(topic.clone(), ProducerTopic { rules, sticky, first_buffer });
        Ok(())
    }

    /// Puts records of one topic into the buffers, and appends the buffers when they are full.
    fn gather<'a>(
        &mut self,
        topic: &TopicName,
        partition: Option<i32>,
        records: impl Iterator<Item = Record<'a>>,
    ) -> Result<()> {
        if self.identity.is_some() && !self.is_in_transaction {
            return Err(Error::fatal("a transactional producer can't send outside a transaction; begin one first"));
        }
        self.find_topic(topic)?;
        let mut is_full = false;
        let Some(topic) = self.topics.get_mut(topic) else { return Ok(()) };
        for record in records {
            let bytes = message_bytes(record.key, record.value, record.headers);
            let chosen = topic.rules.place(partition, record.key, bytes, &mut topic.sticky)?;
            let index = topic.first_buffer + chosen as usize;
            let buffer = &mut self.buffers[index];
            if buffer.records.is_empty() {
                self.filled.push(index);
            }
            buffer.records.push(record, 0);
            self.buffered_bytes += bytes;
            if self.buffered_bytes >= BUFFER_BYTES {
                is_full = true;
                self.buffered_bytes = 0;
                append_buffers(&mut self.log.lock(), self.identity, &mut self.buffers, &mut self.filled)?;
            }
        }
        if self.identity.is_none() {
            let mut state = self.log.lock();
            append_buffers(&mut state, None, &mut self.buffers, &mut self.filled)?;
            state.tidy()?;
            self.buffered_bytes = 0;
            self.log.announce(state);
        } else if is_full {
            self.log.announce(self.log.lock());
        }
        Ok(())
    }

    fn end_transaction(&mut self, committed: bool) -> Result<()> {
        let identity = self.transaction()?;
        self.is_in_transaction = false;
        let log = self.log.clone();
        let mut state = log.lock();
        state.contents.producers.check(identity)?;
        if committed {
            append_buffers(&mut state, self.identity, &mut self.buffers, &mut self.filled)?;
        } else {
            self.forget_buffers();
        }
        self.buffered_bytes = 0;
        state.end_transaction(identity.id, committed)?;
        log.announce(state);
        Ok(())
    }

    fn forget_buffers(&mut self) {
        for index in self.filled.drain(..) {
            self.buffers[index].records.clear();
        }
    }

    /// Who it is within a transaction; calling for a transaction without one is a mistake of the program.
    fn transaction(&self) -> Result<ProducerIdentity> {
        match self.identity {
            Some(identity) if self.is_in_transaction => Ok(identity),
            Some(_) => Err(Error::fatal("no transaction is open; begin one first")),
            None => Err(Error::fatal("this producer has no transactional id; make one that has")),
        }
    }
}

fn append_buffers(
    state: &mut State,
    identity: Option<ProducerIdentity>,
    buffers: &mut [Buffer],
    filled: &mut Vec<usize>,
) -> Result<()> {
    let chunk_state = match identity {
        Some(identity) => {
            state.contents.producers.check(identity)?;
            ChunkState::Open(identity.id)
        }
        None => ChunkState::Committed,
    };
    for index in filled.drain(..) {
        let buffer = &mut buffers[index];
        buffer.last = Some(state.append(buffer.at, chunk_state, &buffer.records)?);
        buffer.records.clear();
    }
    Ok(())
}

impl Producer for EmbeddedProducer {
    fn begin_transaction(&mut self) -> Result<()> {
        let Some(identity) = self.identity else {
            return Err(Error::fatal("this producer has no transactional id; make one that has"));
        };
        if self.is_in_transaction {
            return Err(Error::fatal("a transaction is open already; commit or abort it before the next"));
        }
        self.log.lock().contents.producers.check(identity)?;
        self.is_in_transaction = true;
        Ok(())
    }

    fn send(&mut self, record: ProducerRecord<'_>) -> Result<()> {
        let ProducerRecord { key, value, timestamp, headers, .. } = record;
        self.gather(record.topic, record.partition, std::iter::once(Record { key, value, timestamp, headers }))
    }

    fn send_batch(&mut self, topic: &TopicName, batch: &RecordBatch, range: Range<usize>) -> Result<()> {
        self.gather(topic, None, range.map(|index| batch.record(index)))
    }

    /// Without transactions it also makes what was sent survive the process.
    fn flush(&mut self) -> Result<()> {
        let mut state = self.log.lock();
        let Some(_) = self.identity else { return state.flush() };
        append_buffers(&mut state, self.identity, &mut self.buffers, &mut self.filled)?;
        self.buffered_bytes = 0;
        self.log.announce(state);
        Ok(())
    }

    fn last_offset(&self, partition: &TopicPartition) -> Option<Offset> {
        let topic = self.topics.get(&partition.topic)?;
        let number =
            usize::try_from(partition.partition).ok().filter(|_| partition.partition < topic.rules.partitions)?;
        self.buffers[topic.first_buffer + number].last
    }

    fn send_offsets(&mut self, offsets: &[(TopicPartition, CommittedOffset)], group: &GroupMetadata) -> Result<()> {
        let identity = self.transaction()?;
        let mut state = self.log.lock();
        state.contents.producers.check(identity)?;
        state.contents.groups.check(group)?;
        for (partition, _) in offsets {
            state.contents.index(partition)?;
        }
        let (group, offsets) = (group.group_id.as_str(), Cow::Borrowed(offsets));
        state.execute(&Operation::AddOffsets { producer: identity.id, group, offsets }, false)
    }

    fn commit_transaction(&mut self) -> Result<()> {
        self.end_transaction(true)
    }

    fn abort_transaction(&mut self) -> Result<()> {
        self.end_transaction(false)
    }
}

impl Drop for EmbeddedProducer {
    fn drop(&mut self) {
        if self.is_in_transaction {
            // Fenced already, or a failed disk: either way the transaction will not be committed.
            let _ = self.end_transaction(false);
        }
    }
}
