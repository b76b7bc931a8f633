//! The oracle: what must be true when everything is done, computed from the input alone.

use std::collections::{BTreeMap, BTreeSet};

use millstream_core::commit::ProcessingGuarantee;
use millstream_core::id::{Offset, TopicName, TopicPartition};
use millstream_core::stream_thread::OnError;

use super::application::{Application, DEAD_LETTERS, INPUTS, Job, OUTPUT};
use super::disk::Image;
use super::log::Message;
use super::plan::Plan;
use super::plugins::Kept;
use super::world::World;

type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

/// What a partition's input leads to.
#[derive(Debug, Default)]
struct Expected {
    /// The output, in order.
    output: Vec<(String, String)>,
    /// What the store keeps in the end.
    kept: Entries,
    /// Records for the dead-letter topic.
    dead: Vec<String>,
    /// Whether the task fails, so that the output may end anywhere before.
    fails: bool,
}

/// See the file's documentation.
pub fn check(world: &World) {
    let checker = Checker { world, plan: &world.plan, application: &world.application };
    checker.check_progress();
    match world.plan.guarantee {
        ProcessingGuarantee::ExactlyOnce => checker.check_exactly_once(),
        ProcessingGuarantee::AtLeastOnce => checker.check_at_least_once(),
    }
}

struct Checker<'a> {
    world: &'a World,
    plan: &'a Plan,
    application: &'a Application,
}

impl Checker<'_> {
    fn violate(&self, what: String) {
        self.world.trace.violate(what);
    }

    fn read(&self, topic: &str, partition: i32) -> Vec<Message> {
        let partition = TopicPartition::new(topic, partition);
        self.world.broker.borrow().topics.partition(&partition).committed().cloned().collect()
    }

    fn read_all(&self, topic: &str) -> Vec<Message> {
        (0..self.plan.partitions).flat_map(|partition| self.read(topic, partition)).collect()
    }

    /// Every task has one owner or has failed, all input is committed, and no transaction holds anybody up.
    fn check_progress(&self) {
        let (owners, failed) = self.world.owners();
        for task in self.application.resolved.tasks() {
            let count = owners.get(&task).map_or(0, Vec::len) + failed.iter().filter(|one| **one == task).count();
            if count != 1 {
                self.violate(format!("task {task} has {count} owners in the end"));
            }
            if failed.contains(&task) {
                if self.plan.settings.on_error["brittle"] != OnError::Fail || !self.plan.flags.contains('x') {
                    self.violate(format!("task {task} has failed for good"));
                }
                continue;
            }
            for (_, partition) in self.application.resolved.task_partitions(task) {
                self.check_consumed(&partition);
            }
        }
        let broker = self.world.broker.borrow();
        for (partition, log) in broker.topics.all() {
            if log.last_stable() != log.end() {
                self.violate(format!("{partition} has an open transaction in the end"));
            }
        }
    }

    fn check_consumed(&self, partition: &TopicPartition) {
        let broker = self.world.broker.borrow();
        let committed = broker.committed(partition).ok().flatten().map_or(Offset(0), |committed| committed.offset);
        let left = broker.topics.partition(partition).committed().count()
            - broker.topics.partition(partition).committed_before(committed).count();
        if left > 0 {
            self.violate(format!("{left} records of {partition} are not consumed in the end"));
        }
    }

    // === Exactly once ===

    fn check_exactly_once(&self) {
        match self.application.job {
            Job::WordCount => self.check_word_count(),
            Job::Meet => (0..self.plan.partitions).for_each(|partition| self.check_meet(partition)),
            Job::PassThrough | Job::Change | Job::Brittle => self.check_in_order(),
        }
        self.check_states();
    }

    /// Output partition by output partition, in order: all topics have the same keys in the same partitions.
    fn check_in_order(&self) {
        let mut dead = Vec::new();
        for partition in 0..self.plan.partitions {
            let expected = self.expect(partition);
            let found: Vec<_> =
                self.read(OUTPUT, partition).iter().map(|one| (one.key_text(), one.value_text())).collect();
            let is_right = if expected.fails { expected.output.starts_with(&found) } else { expected.output == found };
            if !is_right {
                self.violate(format!("output {partition}: {}", difference(&expected.output, &found)));
            }
            if !expected.fails && self.application.job != Job::PassThrough {
                self.check_kept(partition, &expected.kept);
            }
            if !expected.fails {
                dead.extend(expected.dead);
            }
        }
        self.check_dead_letters(dead);
    }

    fn check_dead_letters(&self, mut expected: Vec<String>) {
        let mut found: Vec<String> = self.read_all(DEAD_LETTERS).iter().map(Message::value_text).collect();
        expected.sort();
        found.sort();
        let has_failing_tasks =
            self.plan.settings.on_error["brittle"] == OnError::Fail && self.plan.flags.contains('x');
        if expected != found && !has_failing_tasks {
            self.violate(format!("dead letters: {}", difference(&expected, &found)));
        }
    }

    fn expect(&self, partition: i32) -> Expected {
        let mut expected = Expected::default();
        let is_brittle = self.application.job == Job::Brittle;
        let policy = self.plan.settings.on_error["brittle"];
        let has_dead_letters = !self.plan.settings.dead_letter_topics.is_empty();
        for message in self.read(INPUTS[0], partition) {
            let value = message.value_text();
            if self.application.job == Job::PassThrough {
                expected.output.push((message.key_text(), value));
                continue;
            }
            match value.as_bytes().last().filter(|_| is_brittle) {
                Some(b'x') if policy == OnError::Fail => {
                    expected.fails = true;
                    return expected;
                }
                Some(b'x') if policy == OnError::DeadLetter => expected.dead.push(value),
                Some(b'b') if has_dead_letters => expected.dead.push(value),
                Some(b'x' | b's' | b'b') => {}
                _ => expect_change(&mut expected, &message),
            }
        }
        expected
    }

    fn check_kept(&self, partition: i32, expected: &Entries) {
        for (topic, _) in self.application.changelogs() {
            let broker = self.world.broker.borrow();
            let log = broker.topics.partition(&TopicPartition::new(topic.clone(), partition));
            let kept: Entries = log.fold(log.end()).into_iter().map(|(key, (_, value))| (key, value)).collect();
            if kept != *expected {
                self.violate(format!("{topic}-{partition} holds {kept:?} where {expected:?} is expected"));
            }
        }
    }

    /// All input of the task once, in the order of each topic; the shared entry and stream time follow the order of the output.
    fn check_meet(&self, partition: i32) {
        let output = self.read(OUTPUT, partition);
        let mut kept = Kept::default();
        let mut stream_time = -1;
        let mut numbers = Vec::new();
        for message in &output {
            let text = message.value_text();
            let number = text.split(' ').next().unwrap_or_default().to_owned();
            kept = kept.with(number.as_bytes());
            stream_time = stream_time.max(message.timestamp);
            let expected = format!("{number} {} {:x} {stream_time}", kept.count, kept.hash);
            if text != expected {
                self.violate(format!("output {partition}: {text:?} where {expected:?} is expected"));
                return;
            }
            numbers.push(number);
        }
        for topic in INPUTS {
            let input: Vec<String> = self.read(topic, partition).iter().map(Message::value_text).collect();
            let known: BTreeSet<&String> = input.iter().collect();
            let found: Vec<String> = numbers.iter().filter(|number| known.contains(number)).cloned().collect();
            if input != found {
                self.violate(format!("output {partition} of {topic}: {}", difference(&input, &found)));
            }
        }
        let is_ordered = self.plan.is_preloaded && self.plan.settings.task_idle_max.is_some();
        if is_ordered && !output.is_sorted_by_key(|message| message.timestamp) {
            self.violate(format!("output {partition} is not in the order of the timestamps"));
        }
    }

    fn word_totals(&self) -> BTreeMap<String, i64> {
        let mut totals = BTreeMap::new();
        for line in self.read_all(INPUTS[0]) {
            for word in line.value_text().split(' ').filter(|word| !word.is_empty()) {
                *totals.entry(word.to_owned()).or_default() += 1;
            }
        }
        totals
    }

    /// The counts of each word, in the order of the output.
    fn word_counts(&self) -> BTreeMap<String, Vec<i64>> {
        let mut counts: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        for message in self.read_all(OUTPUT) {
            let count = message.value.as_deref().and_then(<[u8]>::first_chunk).map_or(-1, |b| i64::from_be_bytes(*b));
            counts.entry(message.key_text()).or_default().push(count);
        }
        counts
    }

    fn check_word_count(&self) {
        let totals = self.word_totals();
        let expected: BTreeMap<String, Vec<i64>> =
            totals.iter().map(|(word, total)| (word.clone(), (1..=*total).collect())).collect();
        let found = self.word_counts();
        if found != expected {
            let expected: Vec<_> = expected.into_iter().collect();
            self.violate(format!("counts: {}", difference(&expected, &found.into_iter().collect::<Vec<_>>())));
        }
        let mut kept: BTreeMap<String, i64> = BTreeMap::new();
        for (partition, log) in self.world.broker.borrow().topics.all() {
            if self.application.store_of_changelog(&partition.topic).is_some() {
                let folded = log.fold(log.end()).into_iter();
                kept.extend(folded.map(|(key, (_, value))| {
                    let count = value.first_chunk().map_or(-1, |bytes| i64::from_be_bytes(*bytes));
                    (String::from_utf8_lossy(&key).into_owned(), count)
                }));
            }
        }
        if kept != totals {
            self.violate(format!("the changelog holds {kept:?} where {totals:?} is expected"));
        }
    }

    /// Each state is what its changelog says: those of tasks that are open, or, where these may keep changes back, when they are closed.
    fn check_states(&self) {
        let (owners, _) = self.world.owners();
        if !self.plan.settings.apply_interval.is_zero() {
            self.world.close();
            if !self.plan.is_store_persistent {
                return;
            }
        }
        for (topic, changelog) in self.application.changelogs() {
            for (task, disks) in owners.iter().filter(|(task, _)| task.sub_topology == changelog.sub_topology) {
                let broker = self.world.broker.borrow();
                let log = broker.topics.partition(&TopicPartition::new(TopicName::clone(topic), task.partition));
                let folded = log.fold(log.end()).into_iter();
                let expected: Entries =
                    folded.map(|(key, (timestamp, value))| (key, changelog.kept(timestamp, &value))).collect();
                for Image { stores, .. } in disks.iter().filter_map(|disk| disk.image(*task)) {
                    if stores[changelog.store] != expected {
                        let found = &stores[changelog.store];
                        self.violate(format!("task {task} keeps {found:?} where its changelog has {expected:?}"));
                    }
                }
            }
        }
    }

    // === At least once ===

    /// Nothing is lost: each record of the input has led to output at least once.
    fn check_at_least_once(&self) {
        if self.application.job == Job::WordCount {
            let found = self.word_counts();
            for (word, total) in self.word_totals() {
                let highest = found.get(&word).and_then(|counts| counts.iter().max()).copied().unwrap_or(0);
                let times = found.get(&word).map_or(0, Vec::len) as i64;
                if times < total {
                    self.violate(format!(
                        "{word} was counted {times} times up to {highest}, but it occurs {total} times"
                    ));
                }
            }
            return;
        }
        let inputs = if self.application.job == Job::Meet { &INPUTS[..] } else { &INPUTS[..1] };
        let number = |message: &Message| {
            let text = message.value_text();
            text.split(' ').next().unwrap_or_default().to_owned()
        };
        let mut dead: BTreeSet<String> = BTreeSet::new();
        for partition in 0..self.plan.partitions {
            let expected = self.expect(partition);
            if expected.fails {
                continue;
            }
            dead.extend(expected.dead.iter().cloned());
            let found: BTreeSet<String> = self.read(OUTPUT, partition).iter().map(number).collect();
            for input in inputs.iter().flat_map(|topic| self.read(topic, partition)) {
                let value = input.value_text();
                let is_left_out = self.application.job == Job::Brittle && value.ends_with(['x', 's', 'b']);
                if !is_left_out && !found.contains(&value) {
                    self.violate(format!("record {value} of partition {partition} is lost"));
                }
            }
        }
        let found: BTreeSet<String> = self.read_all(DEAD_LETTERS).iter().map(Message::value_text).collect();
        if !dead.is_subset(&found) {
            self.violate(format!("dead letters {dead:?} are expected, {found:?} are there"));
        }
    }
}

fn expect_change(expected: &mut Expected, message: &Message) {
    let key = message.key.clone().unwrap_or_default();
    let value = message.value.clone().unwrap_or_default();
    let old = expected.kept.get(&key).map_or(Kept::default(), |bytes| Kept::from_bytes(bytes));
    let new = old.with(&value);
    if value.ends_with(b"d") {
        expected.kept.remove(&key);
    } else {
        expected.kept.insert(key, new.to_bytes().to_vec());
    }
    let text = format!("{} {} {:x}", message.value_text(), new.count, new.hash);
    expected.output.push((message.key_text(), text));
}

/// The first place where two lists differ.
fn difference<T: std::fmt::Debug + PartialEq>(expected: &[T], found: &[T]) -> String {
    let at = expected.iter().zip(found).take_while(|(expected, found)| expected == found).count();
    format!(
        "{} expected, {} found; at {at} {:?} is expected, {:?} found",
        expected.len(),
        found.len(),
        expected.get(at),
        found.get(at)
    )
}
