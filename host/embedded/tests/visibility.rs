//! Random interleavings of producers, readers, fencing, purges and crashes, compared with a naive model of Kafka's

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
//! rules.
//!
//! A failure prints its seed; `MILLSTREAM_SEED=n cargo test -p millstream-embedded --test visibility` repeats it.

mod model;
mod scratch;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use millstream_core::id::{Offset, TopicName, TopicPartition};
use millstream_core::port::{CommittedOffset, Fetched, GroupMetadata, Producer, ProducerRecord};
use millstream_core::record::{Headers, Record};
use millstream_core::{Error, Kind};
use millstream_embedded::{EmbeddedLog, EmbeddedProducer, Isolation, Recovery, StorageOptions};
use model::Model;
use scratch::{Random, Scratch};

const PARTITIONS: i32 = 3;
const IDS: u64 = 3;
const STEPS: usize = 300;

fn seeds(count: u64) -> Vec<u64> {
    match std::env::var("MILLSTREAM_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => vec![seed],
        None => (0..count).collect(),
    }
}

fn partition(number: i32) -> TopicPartition {
    TopicPartition::new("t", number)
}

/// A producer and the name under which the model knows it.
struct Handle {
    producer: EmbeddedProducer,
    model: usize,
}

struct World {
    log: EmbeddedLog,
    model: Model,
    handles: Vec<Handle>,
    random: Random,
    next_value: u64,
}

impl World {
    fn new(log: EmbeddedLog, seed: u64) -> Self {
        log.create_topic(&TopicName::from("t"), PARTITIONS, &BTreeMap::new()).unwrap();
        let model = Model::new(PARTITIONS as usize);
        Self { log, model, handles: Vec::new(), random: Random(seed), next_value: 0 }
    }

    /// Does something at random on both sides; tells whether it is promised to survive a crash.
    fn step(&mut self) -> bool {
        match self.random.below(16) {
            0 => self.new_producer(),
            1 | 2 => self.on_handle(Self::begin),
            3..=6 => self.on_handle(Self::send),
            7 => self.on_handle(Self::flush),
            8 | 9 => self.on_handle(Self::commit),
            10 => self.on_handle(Self::abort),
            11 => self.on_handle(Self::send_offsets),
            12 => self.append(),
            13 => self.purge(),
            _ => self.read(),
        }
    }

    fn on_handle(&mut self, act: fn(&mut Self, usize) -> bool) -> bool {
        if self.handles.is_empty() {
            return self.new_producer();
        }
        let index = self.random.below(self.handles.len() as u64) as usize;
        act(self, index)
    }

    fn value(&mut self) -> u64 {
        self.next_value += 1;
        self.next_value
    }

    fn partition(&mut self) -> i32 {
        self.random.below(PARTITIONS as u64) as i32
    }

    fn new_producer(&mut self) -> bool {
        let id = self.random.below(IDS);
        let producer = EmbeddedProducer::transactional(&self.log, &format!("app-{id}")).unwrap();
        let model = self.model.new_producer(id);
        self.handles.push(Handle { producer, model });
        if self.handles.len() > 5 {
            let index = self.random.below(self.handles.len() as u64) as usize;
            let dropped = self.handles.swap_remove(index);
            self.model.drop_producer(dropped.model);
        }
        true
    }

    fn begin(&mut self, index: usize) -> bool {
        let handle = &mut self.handles[index];
        if !self.model.is_in_transaction(handle.model) {
            agree(handle.producer.begin_transaction(), self.model.begin(handle.model));
        }
        false
    }

    fn send(&mut self, index: usize) -> bool {
        for _ in 0..self.random.below(4) {
            let (value, number) = (self.value(), self.partition());
            let handle = &mut self.handles[index];
            if self.model.is_in_transaction(handle.model) {
                let bytes = value.to_be_bytes();
                let topic = TopicName::from("t");
                let record = ProducerRecord {
                    topic: &topic,
                    partition: Some(number),
                    key: None,
                    value: Some(&bytes),
                    timestamp: 0,
                    headers: Headers::EMPTY,
                };
                handle.producer.send(record).unwrap();
                self.model.send(handle.model, number as usize, value);
            }
        }
        false
    }

    fn flush(&mut self, index: usize) -> bool {
        let handle = &mut self.handles[index];
        if self.model.is_in_transaction(handle.model) {
            agree(handle.producer.flush(), self.model.flush(handle.model));
        }
        false
    }

    fn commit(&mut self, index: usize) -> bool {
        let handle = &mut self.handles[index];
        if !self.model.is_in_transaction(handle.model) {
            return false;
        }
        let expected = self.model.end(handle.model, true);
        agree(handle.producer.commit_transaction(), expected);
        expected
    }

    fn abort(&mut self, index: usize) -> bool {
        let handle = &mut self.handles[index];
        if self.model.is_in_transaction(handle.model) {
            agree(handle.producer.abort_transaction(), self.model.end(handle.model, false));
        }
        false
    }

    fn send_offsets(&mut self, index: usize) -> bool {
        let (number, offset) = (self.partition(), self.value());
        let handle = &mut self.handles[index];
        if self.model.is_in_transaction(handle.model) {
            let group = GroupMetadata { group_id: "g".to_owned(), ..GroupMetadata::default() };
            let committed = CommittedOffset { offset: Offset(offset as i64), metadata: String::new() };
            let sent = handle.producer.send_offsets(&[(partition(number), committed)], &group);
            agree(sent, self.model.send_offset(handle.model, number as usize, offset as i64));
        }
        false
    }

    fn append(&mut self) -> bool {
        let (value, number) = (self.value(), self.partition());
        let record = Record { key: None, value: Some(&value.to_be_bytes()), timestamp: 0, headers: Headers::EMPTY };
        let (_, offset) = self.log.append(&TopicName::from("t"), Some(number), record).unwrap();
        assert_eq!(offset.0 as usize, self.model.append(number as usize, value));
        true
    }

    fn purge(&mut self) -> bool {
        let number = self.partition();
        let end = self.log.end_offset(&partition(number)).unwrap().0;
        let before = self.random.below(end as u64 + 1) / 2;
        self.log.delete_records(&partition(number), Offset(before as i64)).unwrap();
        self.model.purge(number as usize, before as usize);
        false
    }

    fn read(&mut self) -> bool {
        let number = self.partition();
        let at = partition(number);
        let end = self.log.end_offset(&at).unwrap().0;
        let from = self.random.below(end as u64 + 1) as usize;
        let max = self.random.below(12) as usize;
        let is_committed = self.random.below(2) == 0;
        let isolation = if is_committed { Isolation::ReadCommitted } else { Isolation::ReadUncommitted };
        let mut fetched = Fetched::default();
        let next = self.log.read(&at, Offset(from as i64), isolation, max, &mut fetched).unwrap();
        let expected = self.model.read(number as usize, from, is_committed, max);
        assert_eq!((pairs(&fetched), next.0 as usize), expected, "partition {number} from {from}, at most {max}");
        assert_eq!(self.log.stable_offset(&at).unwrap().0 as usize, self.model.stable(number as usize));
        false
    }
}

fn agree(found: millstream_core::Result<()>, expected: bool) {
    assert_eq!(found.as_ref().map_err(Error::kind), if expected { Ok(&()) } else { Err(Kind::TaskMigrated) });
}

fn pairs(fetched: &Fetched) -> Vec<(usize, u64)> {
    let value = |record: Record<'_>| u64::from_be_bytes(record.value.unwrap().try_into().unwrap());
    fetched.offsets.iter().map(|offset| offset.0 as usize).zip(fetched.records.iter().map(value)).collect()
}

fn committed_records(log: &EmbeddedLog, number: i32) -> Vec<(usize, u64)> {
    let mut fetched = Fetched::default();
    log.read(&partition(number), Offset(0), Isolation::ReadCommitted, usize::MAX, &mut fetched).unwrap();
    pairs(&fetched)
}

fn committed_offsets(log: &EmbeddedLog) -> BTreeMap<usize, i64> {
    log.committed("g").into_iter().map(|(at, committed)| (at.partition as usize, committed.offset.0)).collect()
}

/// Prints the seed when the test fails in it.
struct Seed(u64);

impl Drop for Seed {
    #[allow(clippy::print_stderr, reason = "the seed must be seen to repeat the failure")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed with MILLSTREAM_SEED={}", self.0);
        }
    }
}

#[test]
fn readers_see_what_kafkas_rules_say_under_any_interleaving() {
    for seed in seeds(1000) {
        let _seed = Seed(seed);
        let mut world = World::new(EmbeddedLog::new(), seed);
        for _ in 0..STEPS {
            world.step();
        }
    }
}

fn small_files() -> StorageOptions {
    StorageOptions { rewrite_bytes_min: 1 << 11, ..StorageOptions::default() }
}

/// The journal of a directory and its length.
fn journal(directory: &Path) -> (PathBuf, u64) {
    let files = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let journals: Vec<_> = files.filter(|path| path.extension().is_some_and(|extension| extension == "log")).collect();
    assert_eq!(journals.len(), 1, "{journals:?}");
    (journals[0].clone(), std::fs::metadata(&journals[0]).unwrap().len())
}

/// What was promised, and where the journal ended then.
struct Promise {
    model: Model,
    journal: PathBuf,
    length: u64,
}

impl Promise {
    fn of(world: &World, directory: &Path) -> Self {
        let (journal, length) = journal(directory);
        Self { model: world.model.clone(), journal, length }
    }
}

/// Opens a copy of the journal that is cut to `length` bytes, and compares it with what was promised.
fn check_cut(promise: &Promise, last: &Model, length: u64) {
    let copy = Scratch::new();
    let path = copy.path().join(promise.journal.file_name().unwrap());
    std::fs::copy(&promise.journal, &path).unwrap();
    std::fs::File::options().write(true).open(&path).unwrap().set_len(length).unwrap();
    for is_again in [false, true] {
        let log = EmbeddedLog::open(copy.path(), small_files()).unwrap();
        if is_again {
            assert_eq!(log.recovery(), Recovery::default(), "nothing is left to recover");
        }
        for number in 0..PARTITIONS {
            let start = log.start_offset(&partition(number)).unwrap().0 as usize;
            assert!((promise.model.start(number as usize)..=last.start(number as usize)).contains(&start));
            // A crash ends the open transactions, so that they hold nothing back any more.
            let mut expected = promise.model.decided(number as usize);
            expected.retain(|(offset, _)| *offset >= start);
            assert_eq!(committed_records(&log, number), expected, "partition {number} cut to {length}");
            assert_eq!(log.stable_offset(&partition(number)).unwrap(), log.end_offset(&partition(number)).unwrap());
        }
        assert_eq!(committed_offsets(&log), *promise.model.offsets());
    }
    goes_on(&EmbeddedLog::open(copy.path(), small_files()).unwrap());
}

/// A log that was opened again takes and shows new records.
fn goes_on(log: &EmbeddedLog) {
    let before = committed_records(log, 0);
    let mut producer = EmbeddedProducer::transactional(log, "app-0").unwrap();
    producer.begin_transaction().unwrap();
    let topic = TopicName::from("t");
    let value = u64::MAX.to_be_bytes();
    let record = ProducerRecord {
        topic: &topic,
        partition: Some(0),
        key: None,
        value: Some(&value),
        timestamp: 0,
        headers: Headers::EMPTY,
    };
    producer.send(record).unwrap();
    producer.commit_transaction().unwrap();
    let after = committed_records(log, 0);
    assert_eq!(after[..before.len()], before);
    assert_eq!(after.last().map(|(_, value)| *value), Some(u64::MAX));
}

#[test]
fn whatever_was_promised_survives_a_cut_at_any_byte_and_nothing_else_is_seen() {
    for seed in seeds(150) {
        let _seed = Seed(seed);
        let directory = Scratch::new();
        let mut world = World::new(EmbeddedLog::open(directory.path(), small_files()).unwrap(), seed);
        let mut promises = vec![Promise::of(&world, directory.path())];
        for _ in 0..STEPS {
            if world.step() {
                promises.push(Promise::of(&world, directory.path()));
            }
            if world.random.below(40) == 0 {
                world.log.flush().unwrap();
                promises.push(Promise::of(&world, directory.path()));
            }
        }
        let (journal, end) = journal(directory.path());
        promises.retain(|promise| promise.journal == journal);
        let Some(first) = promises.first().map(|promise| promise.length) else { continue };
        for _ in 0..6 {
            let length = first + world.random.below(end - first + 1);
            let promise = promises.iter().rfind(|promise| promise.length <= length).unwrap();
            check_cut(promise, &world.model, length);
        }
        check_cut(promises.last().unwrap(), &world.model, end);
    }
}
