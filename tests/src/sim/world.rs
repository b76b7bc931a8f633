//! A world: a broker, processes with disks, a clock, and chance. One OS thread runs it all, so that a seed repeats it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use millstream_core::commit::ProcessingGuarantee;
use millstream_core::id::{Offset, TaskId, TopicPartition};
use millstream_core::partitioner::partition_for_key;
use millstream_core::stream_thread::{Ports, StreamThread, Totals};

use super::application::{Application, Changelog};
use super::broker::Broker;
use super::consumer::{SimulatedChangelogReader, SimulatedClock, SimulatedConsumer};
use super::disk::{Disk, Image, SimulatedStateDirectory};
use super::fuse::{Death, Deaths, Fuse};
use super::group::{Group, Style};
use super::log::Message;
use super::plan::Plan;
pub use super::plan::Sabotage;
use super::plugins::SimulatedPlugins;
use super::producer::{Outbox, SimulatedBroker, SimulatedPurger};
use super::random::Random;
use super::site::Site;
use super::trace::Trace;

/// How long a plugin's dependency is away.
const DEPENDENCY_AWAY: Duration = Duration::from_millis(250);

/// Rounds in a row without work that may pass without waiting, in all threads together.
const IDLING_ROUNDS_MAX: usize = 40;

/// A process: what is on its disk outlives it, its threads don't.
pub(super) struct Process {
    pub(super) disk: Disk,
    pub(super) fuse: Fuse,
    pub(super) is_alive: bool,
    /// Whether it has been replaced while it was frozen, so that it will be killed when it wakes.
    pub(super) is_doomed: bool,
    pub(super) incarnation: u64,
    /// `None` while the thread is running, or frozen.
    pub(super) threads: Vec<Option<StreamThread>>,
    pub(super) members: Vec<String>,
    pub(super) outboxes: Vec<(Site, Rc<RefCell<Outbox>>)>,
}

/// A record that the application will be fed with.
pub(super) struct Input {
    pub(super) partition: TopicPartition,
    pub(super) message: Message,
}

/// See the file's documentation.
pub struct World {
    /// What the seed has decided.
    pub plan: Plan,
    /// The application that runs.
    pub application: Application,
    /// Chance.
    pub random: RefCell<Random>,
    /// What happens.
    pub trace: Trace,
    /// The cluster.
    pub broker: RefCell<Broker>,
    pub(super) processes: RefCell<Vec<Process>>,
    pub(super) input: RefCell<VecDeque<Input>>,
    pub(super) now: Cell<Duration>,
    pub(super) broker_down_until: Cell<Duration>,
    pub(super) is_calm: Cell<bool>,
    pub(super) interludes: Cell<usize>,
    pub(super) dependencies: RefCell<BTreeMap<Vec<u8>, Duration>>,
    pub(super) deaths: RefCell<Deaths>,
    pub(super) totals: Cell<Totals>,
    pub(super) idling_rounds: Cell<usize>,
}

impl World {
    /// A world before its first step.
    #[must_use]
    pub fn new(plan: Plan, keep_lines: bool) -> Rc<Self> {
        let trace = Trace::new(keep_lines);
        let mut random = Random::new(plan.seed ^ 0xabcd);
        let application = Application::new(plan.job, plan.partitions, plan.is_store_persistent);
        let group = Group::new(plan.style, plan.is_static, application.resolved.tasks(), trace.clone());
        let mut broker = Broker::new(group, trace.clone());
        broker.accepts_stale_members = plan.sabotage == Sabotage::NoFencingOfMembers;
        broker.transaction_timeout = plan.transaction_timeout;
        for (topic, partitions) in &application.topics {
            broker.topics.create(topic.clone(), *partitions);
        }
        for topic in application.resolved.internal_topics() {
            broker.topics.create(topic.name.clone(), topic.partitions);
        }
        let input = make_input(&plan, &application, &mut random);
        let disk = || {
            let flush_permille = random.pick(&[0, 100, 500]);
            Disk::new(random.number(), flush_permille, trace.clone())
        };
        let process = |disk| Process {
            disk,
            fuse: Fuse::default(),
            is_alive: false,
            is_doomed: false,
            incarnation: 0,
            threads: Vec::new(),
            members: Vec::new(),
            outboxes: Vec::new(),
        };
        let processes = std::iter::repeat_with(disk).take(plan.processes).map(process).collect();
        trace.note(format_args!("{plan:?}"));
        Rc::new(Self {
            application,
            random: RefCell::new(random),
            trace,
            broker: RefCell::new(broker),
            processes: RefCell::new(processes),
            input: RefCell::new(input),
            now: Cell::new(Duration::from_secs(1)),
            broker_down_until: Cell::new(Duration::ZERO),
            is_calm: Cell::new(false),
            interludes: Cell::new(0),
            dependencies: RefCell::default(),
            deaths: RefCell::default(),
            totals: Cell::default(),
            idling_rounds: Cell::default(),
            plan,
        })
    }

    // === What ports ask ===

    /// The virtual time.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.now.get()
    }

    /// Lets time pass.
    pub fn wait(&self, time: Duration) {
        self.now.set(self.now.get() + time);
    }

    /// Whether no faults happen any more.
    #[must_use]
    pub fn is_calm(&self) -> bool {
        self.is_calm.get()
    }

    /// Whether the broker can't be reached.
    #[must_use]
    pub fn is_broker_down(&self) -> bool {
        self.now.get() < self.broker_down_until.get()
    }

    /// Whether what a plugin needs for `record` is not there yet.
    #[must_use]
    pub fn is_dependency_away(&self, record: &[u8]) -> bool {
        let mut dependencies = self.dependencies.borrow_mut();
        self.now.get() < *dependencies.entry(record.to_vec()).or_insert(self.now.get() + DEPENDENCY_AWAY)
    }

    /// Remembers an outbox, whose content may be under way when its process dies.
    pub fn note_outbox(&self, site: &Site, outbox: &Rc<RefCell<Outbox>>) {
        let mut processes = self.processes.borrow_mut();
        let outboxes = &mut processes[site.process].outboxes;
        outboxes.retain(|(_, outbox)| Rc::strong_count(outbox) > 1);
        outboxes.push((site.clone(), Rc::clone(outbox)));
    }

    /// Remembers that a process is a member.
    pub fn note_member(&self, site: &Site, member: &str) {
        self.processes.borrow_mut()[site.process].members.push(member.to_owned());
    }

    /// A canary: a change reaches the disk before its commit.
    pub fn apply_early(&self, process: usize, changelog: Changelog, partition: i32, message: &Message) {
        let key = message.key.as_deref().unwrap_or_default();
        let value = message.value.as_deref().map(|value| changelog.kept(message.timestamp, value));
        let disk = self.processes.borrow()[process].disk.clone();
        disk.write_early(changelog.task(partition), changelog.store, key, value.as_deref());
    }

    /// A restore begins where the disk says, so that only what the disk lacks is read again.
    pub fn check_restore_start(&self, process: usize, partition: &TopicPartition, from: Option<Offset>) {
        let Some(changelog) = self.application.store_of_changelog(&partition.topic) else { return };
        let task = changelog.task(partition.partition);
        let reached = self.processes.borrow()[process].disk.reached(task, changelog.store);
        self.trace.count(if from.is_none() { "restores from the beginning" } else { "restores of a tail" });
        if reached != from {
            self.trace.violate(format!(
                "the restore of {partition} begins at {from:?}, but the disk has reached {reached:?}"
            ));
        }
    }

    /// What is found on a disk is what the changelog says up to there: nothing uncommitted, nothing missing.
    fn check_image(&self, task: TaskId, image: &Image) {
        if self.plan.guarantee != ProcessingGuarantee::ExactlyOnce {
            return;
        }
        for (topic, changelog) in self.application.changelogs() {
            if changelog.sub_topology != task.sub_topology {
                continue;
            }
            let broker = self.broker.borrow();
            let log = broker.topics.partition(&TopicPartition::new(topic.clone(), task.partition));
            let reached = image.offsets[changelog.store].unwrap_or(Offset(0));
            let mut expected: BTreeMap<_, _> = log
                .fold(reached)
                .into_iter()
                .map(|(key, (timestamp, value))| (key, changelog.kept(timestamp, &value)))
                .collect();
            let mut found = image.stores[changelog.store].clone();
            // What a restore took in before it could note the offset is read again, key by key.
            if log.has_gaps() || image.ahead.contains_key(&changelog.store) {
                for key in log.keys_from(reached) {
                    expected.remove(key);
                    found.remove(key);
                }
            }
            if found != expected {
                self.trace.violate(format!("the state of {task} is not what its changelog says up to {reached}"));
            }
        }
    }

    // === Processes ===

    pub(super) fn start(self: &Rc<Self>, process: usize) {
        let fuse = Fuse::default();
        {
            let mut processes = self.processes.borrow_mut();
            let slot = &mut processes[process];
            slot.incarnation += 1;
            slot.is_alive = true;
            slot.is_doomed = false;
            slot.fuse = fuse.clone();
            slot.members.clear();
            slot.outboxes.clear();
        }
        self.trace.note(format_args!("p{process} starts"));
        let threads: Vec<_> = (0..self.plan.threads)
            .map(|thread| Some(self.thread(Site { world: Rc::clone(self), process, thread, fuse: fuse.clone() })))
            .collect();
        self.processes.borrow_mut()[process].threads = threads;
    }

    fn thread(self: &Rc<Self>, site: Site) -> StreamThread {
        let is_exactly_once = self.plan.guarantee == ProcessingGuarantee::ExactlyOnce;
        let committed_only = is_exactly_once && self.plan.sabotage != Sabotage::UncommittedReads;
        let threads = self.plan.threads;
        let tasks = self.application.resolved.tasks();
        let share = tasks.into_iter().enumerate().filter(|(at, _)| at % threads == site.thread).map(|(_, task)| task);
        let disk = self.processes.borrow()[site.process].disk.clone();
        let world = Rc::clone(self);
        let inspect = Box::new(move |task, image: &Image| world.check_image(task, image));
        let ports = Ports {
            clock: Box::new(SimulatedClock(site.clone())),
            consumer: Box::new(SimulatedConsumer::new(site.clone(), committed_only, share.collect())),
            broker: Box::new(SimulatedBroker {
                transactional_id: is_exactly_once.then(|| self.transactional_id(&site)),
                site: site.clone(),
            }),
            changelog_reader: Box::new(SimulatedChangelogReader {
                site: site.clone(),
                committed_only,
                positions: BTreeMap::new(),
            }),
            state_directory: Box::new(SimulatedStateDirectory { disk, fuse: site.fuse.clone(), inspect }),
            purger: Box::new(SimulatedPurger(site.clone())),
            plugins: Box::new(SimulatedPlugins { world: Rc::clone(self) }),
        };
        let (topology, resolved) = (self.application.topology.clone(), self.application.resolved.clone());
        StreamThread::new(site.name(), topology, resolved, self.plan.settings.clone(), ports)
    }

    /// Under `solo` a process that replaces another has its name.
    fn transactional_id(&self, site: &Site) -> String {
        if self.plan.style == Style::Solo { format!("solo.{}", site.thread) } else { site.name() }
    }

    /// Whether a process may start: under `solo` when no other is there, or the other seems to be dead.
    pub(super) fn may_start(&self, process: usize) -> bool {
        let processes = self.processes.borrow();
        let is_other = |(number, other): (usize, &Process)| number != process && other.is_alive && !other.is_doomed;
        self.plan.style != Style::Solo || !processes.iter().enumerate().any(is_other)
    }

    /// The process of this incarnation is dead: it has no effects any more, and loses what was not flushed.
    pub(super) fn bury(&self, process: usize, incarnation: u64) {
        let (threads, members, outboxes, disk) = {
            let mut processes = self.processes.borrow_mut();
            let slot = &mut processes[process];
            if slot.incarnation != incarnation || !slot.is_alive {
                return;
            }
            slot.is_alive = false;
            slot.fuse.kill();
            if let Some(point) = slot.fuse.died_at() {
                *self.deaths.borrow_mut().entry(point).or_default() += 1;
            }
            let take = std::mem::take::<Vec<_>>;
            (
                take(&mut slot.threads),
                std::mem::take(&mut slot.members),
                std::mem::take(&mut slot.outboxes),
                slot.disk.clone(),
            )
        };
        self.trace.note(format_args!("p{process} dies"));
        for (site, outbox) in outboxes {
            outbox.borrow_mut().abandon(&site);
        }
        let mut broker = self.broker.borrow_mut();
        members.iter().for_each(|member| broker.group.note_death(member));
        drop(broker);
        threads.iter().flatten().for_each(|thread| self.count(thread));
        drop(threads);
        disk.crash();
    }

    fn count(&self, thread: &StreamThread) {
        let (mut sum, more) = (self.totals.get(), thread.totals());
        sum.records_processed += more.records_processed;
        sum.records_dropped += more.records_dropped;
        sum.commits += more.commits;
        sum.records_restored += more.records_restored;
        sum.restarts += more.restarts;
        self.totals.set(sum);
    }

    /// Runs `what` on a thread; the process may die of it.
    fn run_thread(&self, process: usize, thread: usize, what: &mut dyn FnMut(&mut StreamThread) -> Option<String>) {
        let (taken, incarnation, fuse) = {
            let mut processes = self.processes.borrow_mut();
            let slot = &mut processes[process];
            let taken = slot.threads.get_mut(thread).and_then(Option::take);
            (taken, slot.incarnation, slot.fuse.clone())
        };
        let Some(mut stream_thread) = taken else { return };
        let before = (self.now(), stream_thread.totals());
        let done = catch_unwind(AssertUnwindSafe(|| what(&mut stream_thread)));
        let outcome = match done {
            Ok(None) if !fuse.is_dead() => {
                self.note_idling(before == (self.now(), stream_thread.totals()));
                self.processes.borrow_mut()[process].threads[thread] = Some(stream_thread);
                return;
            }
            Ok(outcome) => outcome,
            Err(payload) if payload.is::<Death>() => None,
            Err(payload) => {
                let text = payload.downcast_ref::<String>().cloned();
                let text = text.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                Some(format!("a panic: {}", text.unwrap_or_default()))
            }
        };
        if let Some(outcome) = outcome {
            self.trace.violate(format!("p{process}.{thread} ended: {outcome}"));
        }
        fuse.kill();
        self.count(&stream_thread);
        drop(stream_thread);
        self.bury(process, incarnation);
    }

    /// A thread that neither works nor waits burns a processor.
    fn note_idling(&self, is_idling: bool) {
        let rounds = if is_idling { self.idling_rounds.get() + 1 } else { 0 };
        self.idling_rounds.set(rounds);
        if rounds > IDLING_ROUNDS_MAX {
            self.trace.violate(format!("{rounds} rounds in a row neither did anything nor waited"));
        }
    }

    pub(super) fn run_round(&self, process: usize, thread: usize) {
        let incarnation = self.processes.borrow()[process].incarnation;
        self.run_thread(process, thread, &mut |stream_thread| {
            stream_thread.run_once().err().map(|error| error.to_string())
        });
        let is_over = {
            let slot = &self.processes.borrow()[process];
            slot.is_doomed && slot.incarnation == incarnation && slot.threads.iter().all(Option::is_some)
        };
        if is_over {
            self.bury(process, incarnation);
        }
    }

    /// A clean stop. The last commit may fail; what was committed stays.
    pub(super) fn stop(&self, process: usize) {
        let leave = self.random.borrow_mut().permille(500);
        self.trace.note(format_args!("p{process} stops, leave {leave}"));
        self.close_threads(process, leave, &|closed| self.trace.note(format_args!("closed: {closed:?}")));
        let incarnation = {
            let processes = self.processes.borrow();
            // A thread that is frozen would still be there after the process: it dies with it.
            processes[process].incarnation
        };
        self.bury(process, incarnation);
    }

    // === The end ===

    /// For each task the disks of the processes that have it; and the tasks that have failed for good.
    #[must_use]
    pub fn owners(&self) -> (BTreeMap<TaskId, Vec<Disk>>, Vec<TaskId>) {
        let mut disks: BTreeMap<TaskId, Vec<Disk>> = BTreeMap::new();
        let mut failed = Vec::new();
        for process in self.processes.borrow().iter() {
            for thread in process.threads.iter().flatten() {
                failed.extend(thread.failed_tasks().keys().copied());
                for task in thread.tasks() {
                    disks.entry(task.id()).or_default().push(process.disk.clone());
                }
            }
        }
        (disks, failed)
    }

    /// Closes all threads clean, so that the disks have everything.
    pub fn close(&self) {
        for process in 0..self.plan.processes {
            self.close_threads(process, false, &|closed| {
                if let Err(error) = closed {
                    self.trace.violate(format!("a thread can't be closed though all is calm: {error}"));
                }
            });
        }
    }

    fn close_threads(&self, process: usize, leave: bool, look: &dyn Fn(&millstream_core::Result<()>)) {
        for thread in 0..self.plan.threads {
            self.run_thread(process, thread, &mut |stream_thread| {
                look(&stream_thread.close(leave));
                None
            });
        }
    }

    /// Ends everything, and tells how often processes died where, and what all threads did.
    #[must_use]
    pub fn end(&self) -> (Deaths, Totals) {
        let processes = std::mem::take(&mut *self.processes.borrow_mut());
        for process in &processes {
            process.fuse.kill();
            process.threads.iter().flatten().for_each(|thread| self.count(thread));
        }
        drop(processes);
        (self.deaths.take(), self.totals.get())
    }

    /// Whether a style with members is simulated.
    #[must_use]
    pub fn has_members(&self) -> bool {
        self.plan.style != Style::Solo
    }
}

fn make_input(plan: &Plan, application: &Application, random: &mut Random) -> VecDeque<Input> {
    let mut timestamp = 0;
    (0..plan.records)
        .map(|number| {
            let (topic, key, value) = application.input(number, random, plan.flags);
            timestamp += random.below(20) as i64;
            let jitter = if plan.is_preloaded { 0 } else { random.below(30) as i64 };
            let partition = partition_for_key(key.as_bytes(), plan.partitions);
            let message = Message {
                key: Some(key.into_bytes()),
                value: Some(value.into_bytes()),
                timestamp: (timestamp - jitter).max(0),
                headers: Vec::new(),
            };
            Input { partition: TopicPartition::new(topic, partition), message }
        })
        .collect()
}
