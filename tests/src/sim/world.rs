//! A world: a broker, processes with disks, a clock, and chance. One OS thread runs it all, so that a seed repeats it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use millstream_core::commit::ProcessingGuarantee;
use millstream_core::id::{Offset, TaskId, TopicName, TopicPartition};
use millstream_core::partitioner::partition_for_key;
use millstream_core::stream_thread::{Ports, StreamThread, Totals};

use super::application::{Application, Changelog};
use super::broker::Broker;
use super::consumer::{SimulatedChangelogReader, SimulatedClock, SimulatedConsumer};
use super::disk::{Disk, Image, SimulatedStateDirectory};
use super::fuse::{COMMIT_POINTS, Death, Deaths, Fuse, Moment, Point};
use super::group::{Group, Style};
use super::log::Message;
use super::plan::Plan;
pub use super::plan::Sabotage;
use super::plugins::SimulatedPlugins;
use super::producer::{Outbox, SimulatedBroker, SimulatedPurger};
use super::random::Random;
use super::site::Site;
use super::trace::Trace;

/// Processes that freeze while another one is frozen: more teaches nothing new.
const INTERLUDES_MAX: usize = 2;
/// How long a plugin's dependency is away.
const DEPENDENCY_AWAY: Duration = Duration::from_millis(250);

/// Rounds in a row without work that may pass without waiting, in all threads together.
const IDLING_ROUNDS_MAX: usize = 40;

/// A process: what is on its disk outlives it, its threads don't.
struct Process {
    disk: Disk,
    fuse: Fuse,
    is_alive: bool,
    incarnation: u64,
    /// `None` while the thread is running, or frozen.
    threads: Vec<Option<StreamThread>>,
    members: Vec<String>,
    outboxes: Vec<(Site, Rc<RefCell<Outbox>>)>,
}

/// A record that the application will be fed with.
struct Input {
    partition: TopicPartition,
    message: Message,
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
    processes: RefCell<Vec<Process>>,
    input: RefCell<VecDeque<Input>>,
    now: Cell<Duration>,
    broker_down_until: Cell<Duration>,
    is_calm: Cell<bool>,
    interludes: Cell<usize>,
    dependencies: RefCell<BTreeMap<Vec<u8>, Duration>>,
    deaths: RefCell<Deaths>,
    totals: Cell<Totals>,
    idling_rounds: Cell<usize>,
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
            Disk::new(random.next(), flush_permille, trace.clone())
        };
        let process = |disk| Process {
            disk,
            fuse: Fuse::default(),
            is_alive: false,
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
        let image = self.processes.borrow()[process].disk.image(changelog.task(partition.partition));
        let reached = image.and_then(|image| image.offsets[changelog.store]);
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
            if log.has_gaps() {
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

    fn start(self: &Rc<Self>, process: usize) {
        let fuse = Fuse::default();
        {
            let mut processes = self.processes.borrow_mut();
            let slot = &mut processes[process];
            slot.incarnation += 1;
            slot.is_alive = true;
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
                transactional_id: is_exactly_once.then(|| site.name()),
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

    /// The process of this incarnation is dead: it has no effects any more, and loses what was not flushed.
    fn bury(&self, process: usize, incarnation: u64) {
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

    fn run_round(&self, process: usize, thread: usize) {
        self.run_thread(process, thread, &mut |stream_thread| {
            stream_thread.run_once().err().map(|error| error.to_string())
        });
    }

    /// A clean stop. The last commit may fail; what was committed stays.
    fn stop(&self, process: usize) {
        let leave = self.random.borrow_mut().permille(500);
        self.trace.note(format_args!("p{process} stops, leave {leave}"));
        for thread in 0..self.plan.threads {
            self.run_thread(process, thread, &mut |stream_thread| {
                let closed = stream_thread.close(leave);
                self.trace.note(format_args!("closed: {closed:?}"));
                None
            });
        }
        let incarnation = {
            let processes = self.processes.borrow();
            // A thread that is frozen would still be there after the process: it dies with it.
            processes[process].incarnation
        };
        self.bury(process, incarnation);
    }

    // === Chaos ===

    /// One step of whatever happens in this world.
    fn step(self: &Rc<Self>) {
        self.wait(Duration::from_millis(1));
        self.broker.borrow_mut().pass_time(self.now(), &mut self.random.borrow_mut());
        let chance = self.random.borrow_mut().below(1000);
        let process = self.random.borrow_mut().below(self.plan.processes);
        let (is_alive, is_frozen) = {
            let slot = &self.processes.borrow()[process];
            (slot.is_alive, slot.threads.iter().any(Option::is_none))
        };
        match chance {
            0..600 if is_alive => self.chaotic_round(process),
            0..50 | 600..640 if !is_alive => self.start(process),
            600..720 => self.feed(),
            720..780 => {
                let time = self.random.borrow_mut().within(1..=400) as u64;
                self.wait(Duration::from_millis(time));
            }
            780..840 => self.broker.borrow_mut().deliver_late(&mut self.random.borrow_mut()),
            840..870 => self.broker.borrow_mut().group.start_rebalance(&mut self.random.borrow_mut()),
            870..880 => self.restart_broker(),
            880..890 if is_alive && !is_frozen => self.stop(process),
            890..900 if is_alive => {
                let incarnation = self.processes.borrow()[process].incarnation;
                self.bury(process, incarnation);
            }
            900..930 => self.compact(),
            930..945 => self.append_aborted(),
            945..950 if !is_alive => {
                self.trace.note(format_args!("p{process} gets a new machine"));
                self.processes.borrow()[process].disk.replace();
            }
            950..960 => self.expel(process),
            _ => {}
        }
    }

    fn chaotic_round(&self, process: usize) {
        let thread = self.random.borrow_mut().below(self.plan.threads);
        let (death, pause) = {
            let mut random = self.random.borrow_mut();
            let death = random.permille(self.plan.death_permille).then(|| moment(&mut random, &COMMIT_POINTS));
            (death, random.permille(self.plan.pause_permille).then(|| moment(&mut random, &COMMIT_POINTS)))
        };
        let fuse = self.processes.borrow()[process].fuse.clone();
        fuse.arm(death, pause);
        self.run_round(process, thread);
    }

    /// A process is frozen in a call; the others go on, and perhaps think that it is dead.
    pub fn interlude(self: &Rc<Self>, frozen: usize) {
        if self.interludes.get() >= INTERLUDES_MAX || self.is_calm() {
            return;
        }
        self.interludes.set(self.interludes.get() + 1);
        self.trace.count("processes frozen in a call");
        if self.random.borrow_mut().permille(600) {
            self.expel(frozen);
        }
        let steps = self.random.borrow_mut().within(1..=25);
        for _ in 0..steps {
            self.step();
        }
        self.interludes.set(self.interludes.get() - 1);
    }

    fn expel(&self, process: usize) {
        let members = self.processes.borrow()[process].members.clone();
        for member in members {
            self.broker.borrow_mut().group.expel(&member, &mut self.random.borrow_mut());
        }
    }

    fn feed(&self) {
        let count = self.random.borrow_mut().within(1..=6);
        let mut input = self.input.borrow_mut();
        for _ in 0..count {
            let Some(Input { partition, message }) = input.pop_front() else { break };
            self.broker.borrow_mut().topics.partition_mut(&partition).append(None, message);
        }
    }

    fn restart_broker(&self) {
        let time = self.random.borrow_mut().within(20..=600) as u64;
        self.trace.note(format_args!("broker: down for {time} ms"));
        self.broker_down_until.set(self.now() + Duration::from_millis(time));
    }

    fn compact(&self) {
        let mut broker = self.broker.borrow_mut();
        for (topic, _) in self.application.changelogs() {
            for partition in 0..broker.topics.partition_count(topic).unwrap_or(0) {
                broker.topics.partition_mut(&TopicPartition::new(topic.clone(), partition)).compact();
            }
        }
    }

    /// Foreign transactions leave gaps, which readers of uncommitted records would see.
    fn append_aborted(&self) {
        if self.plan.guarantee == ProcessingGuarantee::ExactlyOnce {
            let mut random = self.random.borrow_mut();
            let topics: Vec<TopicName> = self.application.resolved.read_topics().keys().cloned().collect();
            let topic = &topics[random.below(topics.len())];
            let partition = random.below(self.plan.partitions as usize) as i32;
            let records = random.within(0..=3);
            self.broker.borrow_mut().append_aborted(topic, partition, records);
        }
    }

    /// Runs the world through chaos and then until nothing is left to do.
    pub fn run(self: &Rc<Self>) {
        if self.plan.is_preloaded {
            while !self.input.borrow().is_empty() {
                self.feed();
            }
        }
        for process in 0..self.plan.processes {
            if self.random.borrow_mut().permille(700) {
                self.start(process);
            }
        }
        for _ in 0..self.plan.steps {
            if self.trace.is_violated() {
                return;
            }
            self.step();
        }
        self.calm_down();
    }

    fn calm_down(self: &Rc<Self>) {
        const ROUNDS_MAX: usize = 4000;
        self.trace.note(format_args!("calm"));
        self.is_calm.set(true);
        // Several processes share the clock, so that each one's rounds seem to take long.
        self.broker.borrow_mut().transaction_timeout = Duration::from_secs(10);
        self.processes.borrow().iter().for_each(|process| process.fuse.disarm());
        self.broker_down_until.set(Duration::ZERO);
        while !self.input.borrow().is_empty() {
            self.feed();
        }
        for process in 0..self.plan.processes {
            let is_alive = self.processes.borrow()[process].is_alive;
            let stays_dead = process > 0 && self.random.borrow_mut().permille(200);
            if !is_alive && !stays_dead {
                self.start(process);
            }
        }
        for _ in 0..ROUNDS_MAX {
            self.wait(Duration::from_millis(5));
            {
                let mut broker = self.broker.borrow_mut();
                broker.pass_time(self.now(), &mut self.random.borrow_mut());
                broker.deliver_late(&mut self.random.borrow_mut());
            }
            for process in 0..self.plan.processes {
                for thread in 0..self.plan.threads {
                    self.run_round(process, thread);
                }
            }
            if self.trace.is_violated() || self.is_finished() {
                return;
            }
        }
        self.trace.violate("no end: the application does not catch up though all is calm".to_owned());
    }

    fn is_finished(&self) -> bool {
        let broker = self.broker.borrow();
        let processes = self.processes.borrow();
        let mut threads = processes.iter().flat_map(|process| process.threads.iter().flatten());
        let is_quiet =
            !broker.has_late_requests() && broker.group.is_stable() && broker.open_transactions().next().is_none();
        is_quiet && threads.all(StreamThread::is_caught_up)
    }

    // === The end ===

    /// For each task the image of its state, and its process; and the tasks that have failed for good.
    #[must_use]
    pub fn owners(&self) -> (BTreeMap<TaskId, Vec<Image>>, Vec<TaskId>) {
        let mut images: BTreeMap<TaskId, Vec<Image>> = BTreeMap::new();
        let mut failed = Vec::new();
        for process in self.processes.borrow().iter() {
            for thread in process.threads.iter().flatten() {
                failed.extend(thread.failed_tasks().keys().copied());
                for task in thread.tasks() {
                    images.entry(task.id()).or_default().extend(process.disk.image(task.id()));
                }
            }
        }
        (images, failed)
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

/// Any moment of a round, or one of the commit's.
fn moment(random: &mut Random, points: &[Point]) -> Moment {
    if random.permille(400) {
        return Moment { calls: random.below(40), point: None };
    }
    Moment { calls: random.pick(&[0, 0, 0, 1, 1, 1, 2, 3, 5]), point: Some(random.pick(points)) }
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
