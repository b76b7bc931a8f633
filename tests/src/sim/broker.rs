//! A small model of a Kafka cluster, written from Kafka's rules and independent of every other implementation of them:
//! transactions with markers, producer epochs and fencing, pending offsets, time-outs, requests that arrive late.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use millstream_core::id::{Offset, TopicName, TopicPartition};
use millstream_core::port::{CommittedOffset, GroupMetadata};

use super::group::Group;
use super::log::{Message, Topics};
use super::random::Random;
use super::trace::Trace;

/// Who produces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The transactional id.
    pub transactional_id: String,
    /// The producer id, which the transactional id keeps.
    pub producer: u64,
    /// The epoch: a higher one fences this one.
    pub epoch: u64,
}

/// The broker says no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A newer producer has the transactional id, or the transaction timed out.
    Fenced,
    /// The member is not current.
    StaleMember,
}

/// A transaction on a committed position is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotStable;

#[derive(Debug, Default)]
struct Transaction {
    since: Duration,
    partitions: BTreeSet<TopicPartition>,
    offsets: BTreeMap<TopicPartition, CommittedOffset>,
}

#[derive(Debug)]
struct Coordinated {
    producer: u64,
    epoch: u64,
    open: Option<Transaction>,
}

/// A request that is still under way while its sender has given up.
#[derive(Debug)]
pub enum LateRequest {
    /// Records of a producer.
    Produce(Option<Identity>, Vec<(TopicPartition, Message)>),
    /// The end of a transaction.
    EndTransaction(Identity, bool),
}

/// See the file's documentation.
#[derive(Debug)]
pub struct Broker {
    /// All topics.
    pub topics: Topics,
    /// The application's group.
    pub group: Group,
    /// Whether the check of member and generation is left out: a canary.
    pub accepts_stale_members: bool,
    /// How long a transaction may stay open.
    pub transaction_timeout: Duration,
    coordinated: BTreeMap<String, Coordinated>,
    committed: BTreeMap<TopicPartition, CommittedOffset>,
    late: Vec<LateRequest>,
    now: Duration,
    trace: Trace,
}

impl Broker {
    /// A cluster without topics.
    #[must_use]
    pub fn new(group: Group, trace: Trace) -> Self {
        Self {
            topics: Topics::default(),
            group,
            accepts_stale_members: false,
            transaction_timeout: Duration::from_secs(10),
            coordinated: BTreeMap::new(),
            committed: BTreeMap::new(),
            late: Vec::new(),
            now: Duration::ZERO,
            trace,
        }
    }

    /// Lets time pass: transactions time out, dead members are expelled.
    pub fn pass_time(&mut self, now: Duration, random: &mut Random) {
        self.now = now;
        let timeout = self.transaction_timeout;
        let is_over = |one: &Coordinated| one.open.as_ref().is_some_and(|open| now - open.since > timeout);
        let over: Vec<String> =
            self.coordinated.iter().filter(|(_, one)| is_over(one)).map(|(id, _)| id.clone()).collect();
        for id in over {
            self.trace.note(format_args!("broker: the transaction of {id} timed out"));
            self.trace.count("transactions timed out");
            self.fence(&id);
        }
        self.group.pass_time(now, random);
    }

    /// Aborts what is open and raises the epoch.
    fn fence(&mut self, id: &str) {
        if self.coordinated[id].open.is_some() {
            self.finish(id, false);
        }
        if let Some(one) = self.coordinated.get_mut(id) {
            one.epoch += 1;
        }
    }

    fn finish(&mut self, id: &str, is_commit: bool) {
        let Some(one) = self.coordinated.get_mut(id) else { return };
        let Some(Transaction { partitions, offsets, .. }) = one.open.take() else { return };
        let producer = one.producer;
        self.trace.note(format_args!("broker: {id} {} {offsets:?}", if is_commit { "commits" } else { "aborts" }));
        for partition in partitions {
            self.topics.partition_mut(&partition).end_transaction(producer, is_commit);
        }
        if is_commit {
            for (partition, offset) in offsets {
                self.set_committed(partition, offset);
            }
        }
    }

    fn set_committed(&mut self, partition: TopicPartition, committed: CommittedOffset) {
        let before = self.committed.get(&partition).map_or(Offset(0), |before| before.offset);
        let end = self.topics.partition(&partition).end();
        if committed.offset < before || committed.offset > end {
            let offset = committed.offset;
            self.trace
                .violate(format!("the committed offset of {partition} went from {before} to {offset}, end {end}"));
        }
        self.committed.insert(partition, committed);
    }

    // === Requests of producers ===

    /// Makes the caller the only producer of `id`.
    pub fn init_producer(&mut self, id: &str) -> Identity {
        let next = self.coordinated.len() as u64 + 1;
        if self.coordinated.contains_key(id) {
            self.fence(id);
        } else {
            self.coordinated.insert(id.to_owned(), Coordinated { producer: next, epoch: 0, open: None });
        }
        let one = &self.coordinated[id];
        Identity { transactional_id: id.to_owned(), producer: one.producer, epoch: one.epoch }
    }

    fn transaction(&mut self, identity: &Identity) -> Result<&mut Transaction, Refusal> {
        let one = self.coordinated.get_mut(&identity.transactional_id).ok_or(Refusal::Fenced)?;
        if one.epoch != identity.epoch {
            self.trace.count("requests of a fenced producer refused");
            return Err(Refusal::Fenced);
        }
        let since = self.now;
        Ok(one.open.get_or_insert_with(|| Transaction { since, ..Transaction::default() }))
    }

    /// Appends a record, in a transaction if the producer has an identity.
    ///
    /// # Errors
    ///
    /// When the producer is fenced.
    pub fn produce(
        &mut self,
        identity: Option<&Identity>,
        partition: &TopicPartition,
        message: Message,
    ) -> Result<Offset, Refusal> {
        let mut producer = None;
        if let Some(identity) = identity {
            self.transaction(identity)?.partitions.insert(partition.clone());
            producer = Some(identity.producer);
        }
        Ok(self.topics.partition_mut(partition).append(producer, message))
    }

    /// Adds consumed positions to a transaction.
    ///
    /// # Errors
    ///
    /// When the producer is fenced or the member is not current.
    pub fn add_offsets(
        &mut self,
        identity: &Identity,
        offsets: &[(TopicPartition, CommittedOffset)],
        member: &GroupMetadata,
    ) -> Result<(), Refusal> {
        self.check_member(member)?;
        self.transaction(identity)?.offsets.extend(offsets.iter().cloned());
        Ok(())
    }

    /// Ends a transaction. One that the broker does not know of is empty.
    ///
    /// # Errors
    ///
    /// When the producer is fenced.
    pub fn end_transaction(&mut self, identity: &Identity, is_commit: bool) -> Result<(), Refusal> {
        self.transaction(identity)?;
        self.finish(&identity.transactional_id, is_commit);
        Ok(())
    }

    /// Keeps a request under way.
    pub fn delay(&mut self, request: LateRequest) {
        self.late.push(request);
    }

    /// Whether requests are under way.
    #[must_use]
    pub fn has_late_requests(&self) -> bool {
        !self.late.is_empty()
    }

    /// A request that was under way arrives; nobody hears the answer.
    pub fn deliver_late(&mut self, random: &mut Random) {
        if self.late.is_empty() {
            return;
        }
        self.trace.count("late requests delivered");
        match self.late.remove(random.below(self.late.len())) {
            LateRequest::Produce(identity, records) => {
                self.trace.note(format_args!("broker: {} late records of {identity:?}", records.len()));
                for (partition, message) in records {
                    if self.produce(identity.as_ref(), &partition, message).is_err() {
                        break;
                    }
                }
            }
            LateRequest::EndTransaction(identity, is_commit) => {
                let done = self.end_transaction(&identity, is_commit);
                self.trace.note(format_args!("broker: a late end of {identity:?}: {done:?}"));
            }
        }
    }

    // === Requests of consumers ===

    fn check_member(&self, member: &GroupMetadata) -> Result<(), Refusal> {
        if self.accepts_stale_members || self.group.is_current(member) {
            return Ok(());
        }
        self.trace.count("positions of a stale member refused");
        Err(Refusal::StaleMember)
    }

    /// Commits offsets outside a transaction.
    ///
    /// # Errors
    ///
    /// When the member is not current.
    pub fn commit_offsets(
        &mut self,
        offsets: &[(TopicPartition, CommittedOffset)],
        member: &GroupMetadata,
    ) -> Result<(), Refusal> {
        self.check_member(member)?;
        self.trace.note(format_args!("broker: {} commits {offsets:?}", member.member_id));
        for (partition, committed) in offsets {
            self.set_committed(partition.clone(), committed.clone());
        }
        Ok(())
    }

    /// The committed position of a partition; `Err` while a transaction on it is open.
    ///
    /// # Errors
    ///
    /// When the position is not stable.
    #[allow(clippy::result_unit_err, reason = "there is one reason, which the documentation tells")]
    pub fn committed(&self, partition: &TopicPartition) -> Result<Option<&CommittedOffset>, NotStable> {
        let is_pending = |one: &Coordinated| one.open.as_ref().is_some_and(|open| open.offsets.contains_key(partition));
        if self.coordinated.values().any(is_pending) {
            self.trace.count("positions waited for because of an open transaction");
            return Err(NotStable);
        }
        Ok(self.committed.get(partition))
    }

    /// Deletes consumed records.
    pub fn purge(&mut self, partition: &TopicPartition, before: Offset) {
        let committed = self.committed.get(partition).map_or(Offset(0), |committed| committed.offset);
        if before > committed {
            self.trace.violate(format!("{partition} is purged before {before}, but committed up to {committed} only"));
        }
        self.topics.partition_mut(partition).purge(before);
    }

    /// The transactions that are open.
    pub fn open_transactions(&self) -> impl Iterator<Item = &String> {
        self.coordinated.iter().filter(|(_, one)| one.open.is_some()).map(|(id, _)| id)
    }

    /// Writes records that a foreign application has aborted, so that offsets have gaps.
    pub fn append_aborted(&mut self, topic: &TopicName, partition: i32, records: usize) {
        const FOREIGN: u64 = u64::MAX;
        let log = self.topics.partition_mut(&TopicPartition::new(topic.clone(), partition));
        for _ in 0..records {
            let value = Some(b"aborted by its producer".to_vec());
            log.append(
                Some(FOREIGN),
                Message { key: Some(b"aborted".to_vec()), value, timestamp: 0, headers: Vec::new() },
            );
        }
        log.end_transaction(FOREIGN, false);
    }
}
