//! The ports that read from the model: a thread's consumer and membership, and the reader of changelogs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use millstream_core::id::{Offset, TaskId, TopicPartition};
use millstream_core::port::{
    ChangelogReader, Clock, CommittedOffset, Consumer, Fetched, GroupMetadata, Lag, LogBounds, MembershipEvent,
};
use millstream_core::{Error, Kind, Result};

use super::broker::NotStable;
use super::fuse::COMMIT_OFFSETS;
use super::group::{NotAMember, Style};
use super::site::{Answer, Site, fenced, retriable};

/// The virtual clock.
pub struct SimulatedClock(pub Site);

impl Clock for SimulatedClock {
    fn wall_clock_time(&self) -> i64 {
        self.0.world.now().as_millis() as i64
    }

    fn monotonic_time(&self) -> Duration {
        self.0.world.now()
    }
}

/// See the file's documentation.
pub struct SimulatedConsumer {
    site: Site,
    committed_only: bool,
    /// The member's id; empty under `solo`.
    member: String,
    /// The generation heard of last.
    generation: i32,
    /// Under `solo`: what the thread is told once.
    share: Option<BTreeSet<TaskId>>,
    positions: BTreeMap<TopicPartition, Position>,
}

#[derive(Debug)]
struct Position {
    next: Offset,
    /// Whether the broker has said anything.
    is_known: bool,
}

impl SimulatedConsumer {
    /// A consumer that joins the group, or has `share` of the tasks under `solo`.
    #[must_use]
    pub fn new(site: Site, committed_only: bool, share: BTreeSet<TaskId>) -> Self {
        let is_solo = site.world.plan.style == Style::Solo;
        let mut consumer = Self {
            committed_only,
            member: String::new(),
            generation: -1,
            share: is_solo.then_some(share),
            positions: BTreeMap::new(),
            site,
        };
        if !is_solo {
            consumer.join();
        }
        consumer
    }

    fn join(&mut self) {
        let world = &self.site.world;
        self.member = world.broker.borrow_mut().group.join(&self.site.name(), &mut world.random.borrow_mut());
        world.note_member(&self.site, &self.member);
    }

    /// Whether a record or an event is there.
    fn has_work(&self) -> bool {
        let broker = self.site.world.broker.borrow();
        let is_behind = |(partition, position): (&TopicPartition, &Position)| {
            let log = broker.topics.partition(partition);
            position.next < if self.committed_only { log.last_stable() } else { log.end() }
        };
        let has_event = !self.member.is_empty() && broker.group.has_event(&self.member);
        self.share.is_some() || has_event || self.positions.iter().any(is_behind)
    }
}

impl Consumer for SimulatedConsumer {
    fn poll_event(&mut self) -> Result<Option<MembershipEvent>> {
        self.site.before("poll an event");
        if self.site.world.plan.style == Style::Solo {
            return Ok(self.share.take().map(MembershipEvent::TasksAssigned));
        }
        let polled = self.site.world.broker.borrow_mut().group.poll(&self.member);
        let event = polled.unwrap_or_else(|NotAMember| {
            self.join();
            Some(MembershipEvent::TasksLost)
        });
        if let Some(event) = &event {
            self.site.world.trace.note(format_args!("{}: {event:?}", self.site.name()));
        }
        Ok(event)
    }

    fn acknowledge_revoked(&mut self) -> Result<()> {
        self.site.before("acknowledge");
        self.site.world.broker.borrow_mut().group.acknowledge(&self.member);
        self.site.after("acknowledge");
        Ok(())
    }

    fn assign(&mut self, partitions: &[(TopicPartition, Offset)]) -> Result<()> {
        self.site.before("assign");
        self.site.world.trace.note(format_args!("{}: reads {partitions:?}", self.site.name()));
        let position = |next: &Offset| Position { next: *next, is_known: false };
        self.positions = partitions.iter().map(|(partition, next)| (partition.clone(), position(next))).collect();
        Ok(())
    }

    fn seek(&mut self, partition: &TopicPartition, offset: Offset) -> Result<()> {
        self.positions.insert(partition.clone(), Position { next: offset, is_known: false });
        Ok(())
    }

    fn take(&mut self, partition: &TopicPartition, records_max: usize, into: &mut Fetched) -> Result<usize> {
        self.site.before("take");
        let world = &self.site.world;
        let position = self.positions.get_mut(partition);
        let position = position.ok_or_else(|| Error::fatal(format!("{partition} is not assigned and was read")))?;
        if world.is_broker_down() || !world.is_calm() && world.random.borrow_mut().permille(300) {
            return Ok(0);
        }
        let broker = world.broker.borrow();
        let log = broker.topics.partition(partition);
        if position.next < log.start() {
            let message = format!("{partition} was purged before {}, but {} was not read", log.start(), position.next);
            return Err(Error::new(Kind::TaskMigrated, message));
        }
        let before = into.offsets.len();
        position.next = log.read(position.next, self.committed_only, records_max, into).max(position.next);
        position.is_known = true;
        Ok(into.offsets.len() - before)
    }

    fn lag(&self, partition: &TopicPartition) -> Lag {
        let broker = self.site.world.broker.borrow();
        let log = broker.topics.partition(partition);
        let end = if self.committed_only { log.last_stable() } else { log.end() };
        match self.positions.get(partition) {
            Some(position) if position.next < end => Lag::Behind,
            Some(position) if position.is_known => Lag::CaughtUp,
            _ => Lag::Unknown,
        }
    }

    fn position(&self, partition: &TopicPartition) -> Option<Offset> {
        self.positions.get(partition).filter(|position| position.is_known).map(|position| position.next)
    }

    fn wait(&mut self, timeout: Duration) {
        self.site.before("wait");
        self.site.world.wait(if self.has_work() { Duration::from_millis(1) } else { timeout });
    }

    fn committed(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Option<CommittedOffset>>> {
        const POINT: &str = "ask for committed offsets";
        self.site.before(POINT);
        if self.site.answer(POINT) != Answer::Given {
            return Err(retriable(POINT));
        }
        let broker = self.site.world.broker.borrow();
        let committed = partitions.iter().map(|partition| broker.committed(partition).map(Option::<&_>::cloned));
        committed
            .collect::<Result<_, NotStable>>()
            .map_err(|NotStable| retriable("a transaction on the offsets is open"))
    }

    fn log_bounds(&mut self, partitions: &[TopicPartition]) -> Result<Vec<LogBounds>> {
        const POINT: &str = "ask where logs begin and end";
        self.site.before(POINT);
        if self.site.answer(POINT) != Answer::Given {
            return Err(retriable(POINT));
        }
        let broker = self.site.world.broker.borrow();
        let logs = partitions.iter().map(|partition| broker.topics.partition(partition));
        Ok(logs.map(|log| LogBounds { first: log.start(), end: log.last_stable() }).collect())
    }

    fn commit(&mut self, offsets: &[(TopicPartition, CommittedOffset)]) -> Result<()> {
        self.site.before(COMMIT_OFFSETS);
        let answer = self.site.answer(COMMIT_OFFSETS);
        let mut done = Ok(());
        if matches!(answer, Answer::Given | Answer::AnswerLost) {
            let member = self.group_metadata();
            done = self.site.world.broker.borrow_mut().commit_offsets(offsets, &member);
        }
        self.generation = self.group_metadata().generation;
        self.site.after(COMMIT_OFFSETS);
        match (answer, done) {
            (Answer::Given, Ok(())) => Ok(()),
            (Answer::Given, Err(_)) => Err(fenced(COMMIT_OFFSETS)),
            _ => Err(retriable(COMMIT_OFFSETS)),
        }
    }

    fn group_metadata(&self) -> GroupMetadata {
        let heard = self.site.world.broker.borrow().group.generation_of(&self.member);
        GroupMetadata {
            group_id: "simulation".to_owned(),
            generation: heard.unwrap_or(self.generation),
            member_id: self.member.clone(),
            group_instance_id: None,
        }
    }

    fn close(&mut self, leave: bool) {
        self.site.before("leave");
        let world = &self.site.world;
        let mut broker = world.broker.borrow_mut();
        if leave {
            broker.group.leave(&self.member, &mut world.random.borrow_mut());
        } else {
            broker.group.note_death(&self.member);
        }
    }
}

/// Reads changelogs from the model.
pub struct SimulatedChangelogReader {
    /// Where it is.
    pub site: Site,
    /// Whether only committed records are read.
    pub committed_only: bool,
    /// For each changelog the next offset; `None` before anything is known.
    pub positions: BTreeMap<TopicPartition, (Offset, bool)>,
}

impl ChangelogReader for SimulatedChangelogReader {
    fn start(&mut self, partition: &TopicPartition, from: Option<Offset>) -> Result<Offset> {
        const POINT: &str = "start to restore";
        self.site.before(POINT);
        if self.site.answer(POINT) != Answer::Given {
            return Err(retriable(POINT));
        }
        self.site.world.check_restore_start(self.site.process, partition, from);
        let broker = self.site.world.broker.borrow();
        let log = broker.topics.partition(partition);
        let next = from.unwrap_or(log.start());
        if next > log.end() || next < log.start() {
            let message = format!("{next} lies outside of {partition}");
            return Err(Error::new(Kind::TaskCorrupted, message));
        }
        self.positions.insert(partition.clone(), (next, false));
        self.site.world.trace.note(format_args!("{}: restores {partition} {next}..{}", self.site.name(), log.end()));
        Ok(log.end())
    }

    fn take(&mut self, partition: &TopicPartition, records_max: usize, into: &mut Fetched) -> Result<usize> {
        self.site.before("take a changelog");
        self.site.fuse.set_restoring(true);
        let world = &self.site.world;
        let Some((next, is_known)) = self.positions.get_mut(partition) else {
            return Err(Error::fatal(format!("{partition} is read after the end of its restore")));
        };
        let mut random = world.random.borrow_mut();
        if world.is_broker_down() || !world.is_calm() && random.permille(400) {
            return Ok(0);
        }
        let records_max = if world.is_calm() { records_max } else { random.within(1..=records_max.min(8)) };
        let before = into.offsets.len();
        let broker = world.broker.borrow();
        *next = broker.topics.partition(partition).read(*next, self.committed_only, records_max, into).max(*next);
        *is_known = true;
        Ok(into.offsets.len() - before)
    }

    fn position(&self, partition: &TopicPartition) -> Option<Offset> {
        self.positions.get(partition).filter(|(_, is_known)| *is_known).map(|(next, _)| *next)
    }

    fn stop(&mut self, partition: &TopicPartition) {
        self.positions.remove(partition);
    }
}
