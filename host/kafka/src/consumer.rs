//! A stream thread's consumer: one queue a partition, one bell for all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use millstream_core::commit::ProcessingGuarantee;
use millstream_core::id::{Offset, TopicPartition};
use millstream_core::port::{
    CommittedOffset, Consumer, Fetched, GroupMetadata, Lag, LogBounds, MembershipEvent, Waker,
};
use millstream_core::{Error, Kind, Result};

use crate::config::KafkaConfig;
use crate::error::{During, classify, kind_of, refused};
use crate::log_bounds::{self, QUESTION_TIMEOUT};
use crate::membership::{Member, Membership, Rebalance};
use crate::native::{Client, MessageBuffer, NativeError, PartitionList, Queue, Role, Wakeup};
use crate::native::{is_fatal_code, is_unknown_topic_code};
use crate::partition::Cursor;

/// How long [`Consumer::committed`] may block, at first and when it has failed again and again. librdkafka never ends a question that a pending
/// transaction holds back: it asks the broker every `retry.backoff.max.ms`, also when nobody waits for the answer any more. So there must not
/// be many of them.
const COMMITTED_TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(500)..=Duration::from_secs(4);
/// What an operator can do about a transaction that never ends: a broker may forget to end one (KAFKA-20734).
const PENDING_HINT: &str = "where the group's records go on is not told as long as a transaction on its offsets is open; \
    one that stays open for longer than `transaction-timeout` can be ended with Kafka's `kafka-transactions.sh` (`find-hanging`, then `abort`)";
/// How long a commit may take: the coordinator may have moved.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a farewell may take.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(3);
/// How often a subscribed topic is looked for that the brokers do not know yet.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// [`Consumer`] on librdkafka.
pub struct KafkaConsumer {
    partitions: BTreeMap<TopicPartition, Assigned>,
    events: Queue,
    client: Arc<Client>,
    bell: Arc<Wakeup>,
    member: Member,
    /// The subscribed topics, of a member of a group.
    topics: Vec<String>,
    /// When those of them that are missing are looked for next.
    next_look: Option<Instant>,
    buffer: MessageBuffer,
    reads_committed: bool,
    /// How long the next question for committed offsets may take.
    committed_timeout: Duration,
}

struct Assigned {
    cursor: Cursor,
    queue: Queue,
}

impl KafkaConsumer {
    /// Starts the consumer of a stream thread (they count from 1) and joins the group, if it is a member.
    ///
    /// # Errors
    ///
    /// `Fatal` when librdkafka refuses the properties.
    pub fn new(config: &KafkaConfig, thread: u32, membership: Membership) -> Result<Self> {
        let is_member = matches!(membership, Membership::Consumer { .. });
        let properties = config.consumer(thread, is_member);
        let starting = |error| refused(error, "start the consumer");
        let client = Client::start(Role::Consumer, &properties.0).map_err(starting)?;
        let bell = Arc::new(Wakeup::default());
        let mut events = client.events(Role::Consumer);
        events.ring(&bell);
        let topics = match &membership {
            Membership::Consumer { topics, .. } => topics.clone(),
            Membership::Solo { .. } => Vec::new(),
        };
        if is_member {
            client.subscribe(&topics).map_err(starting)?;
        }
        Ok(Self {
            partitions: BTreeMap::new(),
            events,
            client,
            bell,
            member: Member::new(config.application_id(), membership),
            topics,
            next_look: None,
            buffer: MessageBuffer::default(),
            reads_committed: config.guarantee() == ProcessingGuarantee::ExactlyOnce,
            committed_timeout: *COMMITTED_TIMEOUT.start(),
        })
    }

    /// What ends a [`Consumer::wait`] from another thread.
    #[must_use]
    pub fn waker(&self) -> Arc<dyn Waker> {
        Arc::clone(&self.bell) as Arc<dyn Waker>
    }

    /// Gives up everything that is read, and lets the group go on.
    fn unassign(&mut self) -> Result<()> {
        self.partitions.clear();
        self.client.assign(None).map_err(|error| classify(error, During::Asking, "give up the assignment"))
    }

    /// Ends the membership at the broker too: also a static member's, which closing alone would keep.
    fn leave(&mut self) {
        self.partitions.clear();
        self.client.unsubscribe();
        let start = Instant::now();
        while start.elapsed() < LEAVE_TIMEOUT {
            // The member is nobody as soon as its farewell is under way.
            if self.client.group_metadata().is_none_or(|metadata| metadata.member_id.is_empty()) {
                self.client.close_consumer();
                return;
            }
            if let Some(event) = Client::poll(&self.events, Duration::from_millis(10))
                && event.is_rebalance()
            {
                // Nothing can be done about a failure while leaving: the session then ends by itself.
                let _ = self.client.assign(None);
            }
        }
        tracing::warn!(
            "the group coordinator did not confirm that this member left; its tasks move when its session ends"
        );
    }

    /// Looks for subscribed topics that were missing. A topic that was created a moment ago reaches the brokers one after the other,
    /// and librdkafka would ask again after `topic.metadata.refresh.interval.ms`, five minutes. Asking for *all* topics also makes
    /// it join again with what has appeared.
    fn look_for_topics(&mut self) {
        if self.next_look.is_none_or(|at| Instant::now() < at) {
            return;
        }
        let known = self.client.refresh_metadata(true, QUESTION_TIMEOUT);
        let is_complete = known.is_ok_and(|known| self.topics.iter().all(|topic| known.contains(topic)));
        self.next_look = (!is_complete).then(|| Instant::now() + LOOK_INTERVAL);
    }

    /// Opens the queue of each partition, so that its records do not go to the consumer's one queue, and learns the leaders:
    /// a partition assigned before its leader is known waits half a second and more for its first fetch.
    fn open_queues(&self, partitions: &[(TopicPartition, Offset)]) -> Result<BTreeMap<TopicPartition, Assigned>> {
        let mut opened = BTreeMap::new();
        let mut is_new = false;
        for (partition, offset) in partitions {
            is_new |= !self.partitions.contains_key(partition);
            let mut queue = Queue::of_partition(&self.client, partition).ok_or_else(|| {
                Error::fatal(format!("can't read {partition}: it is unknown to the client; does the topic exist?"))
            })?;
            queue.ring(&self.bell);
            opened.insert(partition.clone(), Assigned { cursor: Cursor::at(*offset), queue });
        }
        if is_new && let Err(error) = self.client.refresh_metadata(false, QUESTION_TIMEOUT) {
            tracing::warn!(%error, "the leaders of the assigned partitions are not known yet");
        }
        Ok(opened)
    }
}

impl Consumer for KafkaConsumer {
    fn poll_event(&mut self) -> Result<Option<MembershipEvent>> {
        if let Some(event) = self.member.first_event() {
            return Ok(Some(event));
        }
        self.look_for_topics();
        while let Some(event) = Client::poll(&self.events, Duration::ZERO) {
            if event.is_rebalance() {
                match self.member.rebalanced(&event, &self.client) {
                    Rebalance::Tell(told) => return Ok(Some(told)),
                    Rebalance::AcceptNothing => {
                        let nothing = PartitionList::with_capacity(0);
                        let accepted = self.client.assign(Some(&nothing));
                        accepted.map_err(|error| classify(error, During::Asking, "accept the assignment"))?;
                        return Ok(Some(MembershipEvent::TasksAssigned(BTreeSet::new())));
                    }
                    Rebalance::GiveUp(told) => {
                        self.unassign()?;
                        if let Some(told) = told {
                            return Ok(Some(told));
                        }
                    }
                }
            } else if event.is_error() {
                let error = event.error();
                let error = if is_fatal_code(error.code) { self.client.fatal_error().unwrap_or(error) } else { error };
                if is_unknown_topic_code(error.code) {
                    self.next_look = Some(Instant::now() + LOOK_INTERVAL);
                }
                if kind_of(error.code, During::Asking) == Kind::Fatal {
                    return Err(classify(error, During::Asking, "stay in the group"));
                }
                tracing::warn!(%error, "the consumer has trouble");
            }
        }
        Ok(None)
    }

    fn acknowledge_revoked(&mut self) -> Result<()> {
        if self.member.acknowledge_revoked() { self.unassign() } else { Ok(()) }
    }

    fn assign(&mut self, partitions: &[(TopicPartition, Offset)]) -> Result<()> {
        let opened = self.open_queues(partitions)?;
        let mut list = PartitionList::with_capacity(partitions.len());
        for (partition, offset) in partitions {
            list.push(partition, Some(*offset), "");
        }
        self.client.assign(Some(&list)).map_err(|error| classify(error, During::Asking, "assign partitions"))?;
        self.partitions = opened;
        Ok(())
    }

    fn seek(&mut self, partition: &TopicPartition, offset: Offset) -> Result<()> {
        let assigned = self.partitions.get_mut(partition).ok_or_else(|| not_assigned(partition))?;
        let start = Instant::now();
        loop {
            let mut list = PartitionList::with_capacity(1);
            list.push(partition, Some(offset), "");
            match self.client.seek(&list, QUESTION_TIMEOUT) {
                Ok(()) => break,
                // The fetcher has not taken the assignment up yet.
                Err(error) if error.is_wrong_state() && start.elapsed() < QUESTION_TIMEOUT => {
                    self.bell.wait(Duration::from_millis(5));
                }
                Err(error) => return Err(classify(error, During::Asking, format_args!("seek in {partition}"))),
            }
        }
        assigned.cursor = Cursor::at(offset);
        Ok(())
    }

    fn take(&mut self, partition: &TopicPartition, records_max: usize, into: &mut Fetched) -> Result<usize> {
        let assigned = self.partitions.get_mut(partition).ok_or_else(|| not_assigned(partition))?;
        let taken = assigned.cursor.take(&assigned.queue, records_max, &mut self.buffer, into);
        match taken {
            Ok(taken) => Ok(taken),
            // librdkafka goes on by itself.
            Err(error) if kind_of(error.code, During::Reading) == Kind::Retriable => {
                tracing::warn!(%error, %partition, "reading is interrupted");
                Ok(0)
            }
            Err(error) => Err(classify(error, During::Reading, format_args!("read {partition}"))),
        }
    }

    fn lag(&self, partition: &TopicPartition) -> Lag {
        let assigned = self.partitions.get(partition);
        assigned.map_or(Lag::Unknown, |assigned| assigned.cursor.lag(&self.client, partition, &assigned.queue))
    }

    fn position(&self, partition: &TopicPartition) -> Option<Offset> {
        let assigned = self.partitions.get(partition)?;
        Some(assigned.cursor.position(&self.client, partition))
    }

    /// The bell rings when an *empty* queue gets something, so wait only after taking all that is wanted.
    fn wait(&mut self, timeout: Duration) {
        self.bell.wait(timeout);
    }

    fn committed(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Option<CommittedOffset>>> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let list = PartitionList::of(partitions);
        let timeout = self.committed_timeout;
        self.committed_timeout = (timeout * 2).min(*COMMITTED_TIMEOUT.end());
        let failed = |error: NativeError| {
            let may_be_pending = self.reads_committed && error.is_timed_out();
            let told = classify(error, During::Asking, "read the group's committed offsets");
            if may_be_pending { Error::new(told.kind(), PENDING_HINT).caused_by(told) } else { told }
        };
        self.client.committed(&list, timeout).map_err(failed)?;
        self.committed_timeout = *COMMITTED_TIMEOUT.start();
        let entries = list.entries();
        let committed = entries.into_iter().map(|entry| {
            entry.code.check().map_err(failed)?;
            Ok(entry.offset.map(|offset| CommittedOffset { offset, metadata: entry.metadata }))
        });
        committed.collect()
    }

    fn log_bounds(&mut self, partitions: &[TopicPartition]) -> Result<Vec<LogBounds>> {
        log_bounds::ask(&self.client, partitions, self.reads_committed, During::Asking)
    }

    fn commit(&mut self, offsets: &[(TopicPartition, CommittedOffset)]) -> Result<()> {
        if offsets.is_empty() {
            return Ok(());
        }
        self.member.check_current(&self.client)?;
        let mut list = PartitionList::with_capacity(offsets.len());
        for (partition, committed) in offsets {
            list.push(partition, Some(committed.offset), &committed.metadata);
        }
        let failed = |error| classify(error, During::Committing, "commit offsets");
        let answers = Queue::new(&self.client);
        self.client.start_commit(&list, &answers).map_err(failed)?;
        let Some(answer) = Client::poll(&answers, COMMIT_TIMEOUT) else {
            return Err(Error::new(Kind::Retriable, "can't commit offsets: no answer in time; it is tried again"));
        };
        answer.error().code.check().map_err(failed)?;
        answer.partitions().iter().try_for_each(|entry| entry.code.check().map_err(failed))
    }

    fn group_metadata(&self) -> GroupMetadata {
        self.member.metadata().clone()
    }

    fn close(&mut self, leave: bool) {
        let is_member = self.member.end();
        if is_member && leave {
            self.leave();
        }
        self.partitions.clear();
    }
}

fn not_assigned(partition: &TopicPartition) -> Error {
    Error::fatal(format!("{partition} is not assigned to this thread; assign it before it is read"))
}
