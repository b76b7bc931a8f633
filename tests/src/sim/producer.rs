//! The producer port on the model. Records wait in an outbox, from which they may be under way when the process dies.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use millstream_core::id::{Offset, TopicPartition};
use millstream_core::partitioner::partition_for_key;
use millstream_core::port::{Broker, CommittedOffset, GroupMetadata, Producer, ProducerRecord, RecordPurger};
use millstream_core::{Error, Result};

use super::broker::{Identity, LateRequest, Refusal};
use super::fuse::{BEGIN, COMMIT_TRANSACTION, FLUSH, LOG_CHANGE, SEND_OFFSETS};
use super::log::Message;
use super::site::{Answer, Site, fenced, retriable, unclear};
use super::world::Sabotage;

/// What a producer has taken and not delivered, and what it knows of deliveries.
#[derive(Debug)]
pub struct Outbox {
    identity: Option<Identity>,
    queue: VecDeque<(TopicPartition, Message)>,
    last: BTreeMap<TopicPartition, Offset>,
    is_refused: bool,
}

impl Outbox {
    /// Its producer is gone: a part of the queue is still under way, the rest is lost.
    pub fn abandon(&mut self, site: &Site) {
        let mut random = site.world.random.borrow_mut();
        if self.queue.is_empty() || site.world.is_broker_down() {
            return;
        }
        let count = random.within(0..=self.queue.len());
        let records: Vec<_> = self.queue.drain(..).take(count).collect();
        if !records.is_empty() && random.permille(500) {
            site.world.broker.borrow_mut().delay(LateRequest::Produce(self.identity.clone(), records));
        }
    }

    fn deliver(&mut self, site: &Site, count: usize) {
        let mut broker = site.world.broker.borrow_mut();
        for _ in 0..count {
            let Some((partition, message)) = self.queue.pop_front() else { break };
            match broker.produce(self.identity.as_ref(), &partition, message) {
                Ok(offset) => drop(self.last.insert(partition, offset)),
                Err(Refusal::Fenced | Refusal::StaleMember) => {
                    self.is_refused = true;
                    self.queue.clear();
                }
            }
        }
    }
}

/// Makes the producers of a thread, and purges for it.
pub struct SimulatedBroker {
    /// Where it is.
    pub site: Site,
    /// The transactional id, under exactly-once.
    pub transactional_id: Option<String>,
}

impl Broker for SimulatedBroker {
    fn producer(&mut self, tracked: &[TopicPartition]) -> Result<Box<dyn Producer>> {
        const POINT: &str = "make a producer";
        self.site.before(POINT);
        let answer = self.site.answer(POINT);
        let mut identity = None;
        if let Some(id) = &self.transactional_id
            && matches!(answer, Answer::Given | Answer::AnswerLost)
        {
            identity = Some(self.site.world.broker.borrow_mut().init_producer(id));
        }
        self.site.world.trace.note(format_args!("{}: producer {identity:?}", self.site.name()));
        self.site.after(POINT);
        if answer != Answer::Given {
            return Err(retriable(POINT));
        }
        let queue = VecDeque::new();
        let outbox = Rc::new(RefCell::new(Outbox { identity, queue, last: BTreeMap::new(), is_refused: false }));
        self.site.world.note_outbox(&self.site, &outbox);
        let tracked = tracked.iter().cloned().collect();
        Ok(Box::new(SimulatedProducer { site: self.site.clone(), outbox, tracked, is_flush_owed: false }))
    }
}

/// Asks the model to delete records.
pub struct SimulatedPurger(pub Site);

impl RecordPurger for SimulatedPurger {
    fn purge(&mut self, before: &[(TopicPartition, Offset)]) {
        self.0.before("purge");
        if self.0.answer("purge") == Answer::Given {
            let mut broker = self.0.world.broker.borrow_mut();
            before.iter().for_each(|(partition, offset)| broker.purge(partition, *offset));
        }
    }
}

struct SimulatedProducer {
    site: Site,
    outbox: Rc<RefCell<Outbox>>,
    tracked: BTreeSet<TopicPartition>,
    /// A canary flushes late.
    is_flush_owed: bool,
}

impl SimulatedProducer {
    fn identity(&self) -> Result<Identity> {
        self.outbox.borrow().identity.clone().ok_or_else(|| Error::fatal("a transaction without a transactional id"))
    }

    fn check(&self, point: &'static str) -> Result<()> {
        if self.outbox.borrow().is_refused { Err(fenced(point)) } else { Ok(()) }
    }

    fn end_transaction(&mut self, point: &'static str, is_commit: bool) -> Result<()> {
        self.site.before(point);
        self.check(point)?;
        let identity = self.identity()?;
        let answer = self.site.answer(point);
        let mut done = Ok(());
        match answer {
            Answer::Given | Answer::AnswerLost => {
                done = self.site.world.broker.borrow_mut().end_transaction(&identity, is_commit);
            }
            Answer::Late => {
                self.site.world.broker.borrow_mut().delay(LateRequest::EndTransaction(identity, is_commit));
            }
            Answer::RequestLost => {}
        }
        self.pay_flush();
        self.site.after(point);
        match (answer, done) {
            (Answer::Given, Ok(())) => Ok(()),
            (Answer::Given, Err(_)) => {
                self.outbox.borrow_mut().is_refused = true;
                Err(fenced(point))
            }
            _ => Err(unclear(point)),
        }
    }

    fn pay_flush(&mut self) {
        if std::mem::take(&mut self.is_flush_owed) {
            self.outbox.borrow_mut().deliver(&self.site, usize::MAX);
        }
    }
}

impl Producer for SimulatedProducer {
    fn begin_transaction(&mut self) -> Result<()> {
        self.site.before(BEGIN);
        self.check(BEGIN)?;
        self.site.after(BEGIN);
        Ok(())
    }

    fn send(&mut self, record: ProducerRecord<'_>) -> Result<()> {
        let world = self.site.world.clone();
        let changelog = world.application.store_of_changelog(record.topic);
        let point = if changelog.is_some() { LOG_CHANGE } else { "send" };
        self.site.before(point);
        self.check(point)?;
        self.pay_flush();
        let count = world.broker.borrow().topics.partition_count(record.topic);
        let count = count.ok_or_else(|| Error::fatal(format!("there is no topic {}", record.topic)))?;
        let by_key = || record.key.map_or(0, |key| partition_for_key(key, count));
        let partition = TopicPartition::new(record.topic.clone(), record.partition.unwrap_or_else(by_key));
        let message = Message {
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            timestamp: record.timestamp,
            headers: record.headers.packed().to_vec(),
        };
        if let (Some(store), Sabotage::StateBeforeCommit) = (changelog, world.plan.sabotage) {
            world.apply_early(self.site.process, store, partition.partition, &message);
        }
        self.outbox.borrow_mut().queue.push_back((partition, message));
        let is_sent = world.random.borrow_mut().permille(250) && !world.is_broker_down();
        if is_sent && world.plan.sabotage != Sabotage::FlushAfterPositions {
            let count = world.random.borrow_mut().within(0..=self.outbox.borrow().queue.len());
            self.outbox.borrow_mut().deliver(&self.site, count);
        }
        self.site.after(point);
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.site.before(FLUSH);
        self.site.fuse.set_restoring(false);
        self.pay_flush();
        self.check(FLUSH)?;
        if self.site.world.plan.sabotage == Sabotage::FlushAfterPositions {
            self.is_flush_owed = true;
            return Ok(());
        }
        let answer = if self.outbox.borrow().queue.is_empty() { Answer::Given } else { self.site.answer(FLUSH) };
        if answer != Answer::Given {
            // Some records were delivered, the others have timed out and are gone from the client.
            let count = self.site.world.random.borrow_mut().within(0..=self.outbox.borrow().queue.len());
            let count = if answer == Answer::RequestLost { 0 } else { count };
            self.outbox.borrow_mut().deliver(&self.site, count);
            self.outbox.borrow_mut().queue.clear();
            self.site.after(FLUSH);
            return Err(if answer == Answer::Late { retriable(FLUSH) } else { unclear(FLUSH) });
        }
        self.outbox.borrow_mut().deliver(&self.site, usize::MAX);
        self.check(FLUSH)?;
        self.site.after(FLUSH);
        Ok(())
    }

    fn last_offset(&self, partition: &TopicPartition) -> Option<Offset> {
        self.outbox.borrow().last.get(partition).copied().filter(|_| self.tracked.contains(partition))
    }

    fn send_offsets(&mut self, offsets: &[(TopicPartition, CommittedOffset)], group: &GroupMetadata) -> Result<()> {
        self.site.before(SEND_OFFSETS);
        self.check(SEND_OFFSETS)?;
        let identity = self.identity()?;
        let answer = self.site.answer(SEND_OFFSETS);
        let mut done = Ok(());
        if matches!(answer, Answer::Given | Answer::AnswerLost) {
            let mut broker = self.site.world.broker.borrow_mut();
            done = if self.site.world.plan.sabotage == Sabotage::OffsetsOutsideTransaction {
                broker.commit_offsets(offsets, group)
            } else {
                broker.add_offsets(&identity, offsets, group)
            };
        }
        self.site.after(SEND_OFFSETS);
        match (answer, done) {
            (Answer::Given, Ok(())) => Ok(()),
            (Answer::Given, Err(_)) => Err(fenced(SEND_OFFSETS)),
            _ => Err(unclear(SEND_OFFSETS)),
        }
    }

    fn commit_transaction(&mut self) -> Result<()> {
        self.end_transaction(COMMIT_TRANSACTION, true)
    }

    fn abort_transaction(&mut self) -> Result<()> {
        self.outbox.borrow_mut().queue.clear();
        self.end_transaction("abort the transaction", false)
    }
}

impl Drop for SimulatedProducer {
    fn drop(&mut self) {
        // The dead have no effects; what was under way when they died, the world has seen to.
        if !self.site.fuse.is_dead() {
            self.outbox.borrow_mut().abandon(&self.site);
        }
    }
}
