//! Chaos: what happens in a world step by step, until it calms down.

use std::rc::Rc;
use std::time::Duration;

use millstream_core::commit::ProcessingGuarantee;
use millstream_core::id::{TopicName, TopicPartition};
use millstream_core::stream_thread::StreamThread;

use super::fuse::{COMMIT_POINTS, Moment, Point};
use super::group::Style;
use super::random::Random;
use super::world::{Input, World};

/// Processes that freeze while another one is frozen: more teaches nothing new.
const INTERLUDES_MAX: usize = 2;

impl World {
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
            0..50 | 600..640 if !is_alive && self.may_start(process) => self.start(process),
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
            960..963 if !is_alive => {
                self.trace.note(format_args!("the disk of p{process} is damaged"));
                self.processes.borrow()[process].disk.damage();
            }
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
            // Without transactions nobody fences the process that is replaced: its positions would overwrite newer ones.
            if self.plan.style == Style::Solo && self.plan.guarantee == ProcessingGuarantee::ExactlyOnce {
                self.trace.count("processes replaced while frozen");
                self.processes.borrow_mut()[frozen].is_doomed = true;
            }
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
            if self.random.borrow_mut().permille(700) && self.may_start(process) {
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
            if !is_alive && !stays_dead && self.may_start(process) {
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
}

/// Any moment of a round, or one of the commit's.
fn moment(random: &mut Random, points: &[Point]) -> Moment {
    if random.permille(400) {
        return Moment { calls: random.below(40), point: None };
    }
    Moment { calls: random.pick(&[0, 0, 0, 1, 1, 1, 2, 3, 5]), point: Some(random.pick(points)) }
}
