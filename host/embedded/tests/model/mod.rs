//! A naive model of what Kafka shows to whom: every offset is an entry, every question is answered by looking at all
//! of them.

use std::collections::BTreeMap;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Status {
    Open,
    Committed,
    Aborted,
}

#[derive(Clone)]
enum Entry {
    Record { value: u64, transaction: Option<usize> },
    Marker,
}

#[derive(Clone, Default)]
struct ModelPartition {
    start: usize,
    entries: Vec<Entry>,
}

#[derive(Clone)]
struct ModelProducer {
    id: u64,
    epoch: usize,
    /// In a transaction: the records that were sent and not flushed.
    unflushed: Option<Vec<(usize, u64)>>,
}

/// The whole log.
#[derive(Clone, Default)]
pub struct Model {
    partitions: Vec<ModelPartition>,
    transactions: Vec<Status>,
    producers: Vec<ModelProducer>,
    /// Of each transactional id: its epoch, and the transaction that is open on the broker.
    ids: BTreeMap<u64, (usize, Option<usize>)>,
    pending: BTreeMap<usize, BTreeMap<usize, i64>>,
    offsets: BTreeMap<usize, i64>,
}

impl Model {
    pub fn new(partitions: usize) -> Self {
        Self { partitions: vec![ModelPartition::default(); partitions], ..Self::default() }
    }

    pub fn new_producer(&mut self, id: u64) -> usize {
        self.end_open(id, Status::Aborted);
        let entry = self.ids.entry(id).or_default();
        entry.0 += 1;
        self.producers.push(ModelProducer { id, epoch: entry.0, unflushed: None });
        self.producers.len() - 1
    }

    pub fn drop_producer(&mut self, producer: usize) {
        if self.is_in_transaction(producer) {
            self.end(producer, false);
        }
    }

    pub fn is_in_transaction(&self, producer: usize) -> bool {
        self.producers[producer].unflushed.is_some()
    }

    fn is_current(&self, producer: usize) -> bool {
        let producer = &self.producers[producer];
        self.ids[&producer.id].0 == producer.epoch
    }

    pub fn begin(&mut self, producer: usize) -> bool {
        let is_current = self.is_current(producer);
        if is_current {
            self.producers[producer].unflushed = Some(Vec::new());
        }
        is_current
    }

    pub fn send(&mut self, producer: usize, partition: usize, value: u64) {
        self.producers[producer].unflushed.as_mut().unwrap().push((partition, value));
    }

    pub fn flush(&mut self, producer: usize) -> bool {
        if !self.is_current(producer) {
            return false;
        }
        let records = std::mem::take(self.producers[producer].unflushed.as_mut().unwrap());
        for (partition, value) in records {
            let transaction = Some(self.open(producer));
            self.partitions[partition].entries.push(Entry::Record { value, transaction });
        }
        true
    }

    fn open(&mut self, producer: usize) -> usize {
        let open = &mut self.ids.get_mut(&self.producers[producer].id).unwrap().1;
        *open.get_or_insert_with(|| {
            self.transactions.push(Status::Open);
            self.transactions.len() - 1
        })
    }

    pub fn send_offset(&mut self, producer: usize, partition: usize, offset: i64) -> bool {
        if !self.is_current(producer) {
            return false;
        }
        let transaction = self.open(producer);
        self.pending.entry(transaction).or_default().insert(partition, offset);
        true
    }

    pub fn end(&mut self, producer: usize, is_commit: bool) -> bool {
        let is_current = self.is_current(producer);
        if is_current && is_commit {
            self.flush(producer);
        }
        self.producers[producer].unflushed = None;
        if is_current {
            let status = if is_commit { Status::Committed } else { Status::Aborted };
            self.end_open(self.producers[producer].id, status);
        }
        is_current
    }

    fn end_open(&mut self, id: u64, status: Status) {
        let Some(transaction) = self.ids.entry(id).or_default().1.take() else { return };
        self.transactions[transaction] = status;
        let pending = self.pending.remove(&transaction).unwrap_or_default();
        if status == Status::Committed {
            self.offsets.extend(pending);
        }
        for partition in &mut self.partitions {
            let is_in = |entry: &Entry| match entry {
                Entry::Record { transaction: found, .. } => *found == Some(transaction),
                Entry::Marker => false,
            };
            if partition.entries.iter().any(is_in) {
                partition.entries.push(Entry::Marker);
            }
        }
    }

    pub fn append(&mut self, partition: usize, value: u64) -> usize {
        let entries = &mut self.partitions[partition].entries;
        entries.push(Entry::Record { value, transaction: None });
        entries.len() - 1
    }

    pub fn purge(&mut self, partition: usize, before: usize) {
        let partition = &mut self.partitions[partition];
        partition.start = partition.start.max(before);
    }

    pub fn start(&self, partition: usize) -> usize {
        self.partitions[partition].start
    }

    pub fn offsets(&self) -> &BTreeMap<usize, i64> {
        &self.offsets
    }

    fn status(&self, entry: &Entry) -> Status {
        match entry {
            Entry::Record { transaction: Some(transaction), .. } => self.transactions[*transaction],
            Entry::Record { transaction: None, .. } => Status::Committed,
            Entry::Marker => Status::Aborted,
        }
    }

    /// The last stable offset.
    pub fn stable(&self, partition: usize) -> usize {
        let ModelPartition { start, entries } = &self.partitions[partition];
        let open = entries.iter().position(|entry| self.status(entry) == Status::Open);
        open.unwrap_or(entries.len()).max(*start)
    }

    /// All records that are committed, also those that an open transaction holds back.
    pub fn decided(&self, partition: usize) -> Vec<(usize, u64)> {
        self.visible(partition, 0, self.partitions[partition].entries.len(), true)
    }

    fn visible(&self, partition: usize, from: usize, limit: usize, is_committed: bool) -> Vec<(usize, u64)> {
        let ModelPartition { start, entries } = &self.partitions[partition];
        let mut visible = Vec::new();
        for (offset, entry) in entries.iter().enumerate() {
            let is_inside = offset >= from && offset >= *start && offset < limit;
            let is_shown = !is_committed || self.status(entry) == Status::Committed;
            if let Entry::Record { value, .. } = entry
                && is_inside
                && is_shown
            {
                visible.push((offset, *value));
            }
        }
        visible
    }

    /// What a reader gets, and its next position.
    pub fn read(&self, partition: usize, from: usize, is_committed: bool, max: usize) -> (Vec<(usize, u64)>, usize) {
        let end = self.partitions[partition].entries.len();
        let limit = if is_committed { self.stable(partition) } else { end };
        let mut visible = self.visible(partition, from, limit, is_committed);
        let begin = from.max(self.partitions[partition].start);
        if visible.len() <= max {
            return (visible, begin.max(limit));
        }
        visible.truncate(max);
        let next = visible.last().map_or(begin, |(offset, _)| offset + 1);
        (visible, next)
    }
}
