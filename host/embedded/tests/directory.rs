//! A log that is kept in a directory: what it survives, what it refuses, and that it does not grow without bound.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod scratch;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use millstream_core::Kind;
use millstream_core::id::{Offset, TopicName, TopicPartition};
use millstream_core::port::{CommittedOffset, Fetched, GroupMetadata, Producer, ProducerRecord};
use millstream_core::record::{Headers, Record, pack_header};
use millstream_embedded::{EmbeddedLog, EmbeddedProducer, Fsync, Isolation, Recovery, StorageOptions};
use scratch::Scratch;

fn open(directory: &Scratch) -> EmbeddedLog {
    EmbeddedLog::open(directory.path(), StorageOptions::default()).unwrap()
}

fn create(log: &EmbeddedLog, topic: &str, configs: &[(&str, &str)]) -> TopicPartition {
    let configs = configs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    log.create_topic(&TopicName::from(topic), 1, &configs).unwrap();
    TopicPartition::new(topic, 0)
}

fn append(log: &EmbeddedLog, at: &TopicPartition, key: &str, value: Option<&str>) -> Offset {
    let (key, value) = (Some(key.as_bytes()), value.map(str::as_bytes));
    log.append(&at.topic, None, Record { key, value, timestamp: 1, headers: Headers::EMPTY }).unwrap().1
}

fn read(log: &EmbeddedLog, at: &TopicPartition) -> Vec<(i64, String, Option<String>)> {
    let mut fetched = Fetched::default();
    log.read(at, Offset(0), Isolation::ReadCommitted, usize::MAX, &mut fetched).unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let record = |record: Record<'_>| (text(record.key.unwrap()), record.value.map(text));
    let records = fetched.records.iter().map(record);
    fetched.offsets.iter().zip(records).map(|(offset, (key, value))| (offset.0, key, value)).collect()
}

fn journal(directory: &Path) -> PathBuf {
    let mut files = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    files.find(|path| path.extension().is_some_and(|extension| extension == "log")).unwrap()
}

fn error_of(directory: &Path) -> String {
    let error = EmbeddedLog::open(directory, StorageOptions::default()).err().unwrap();
    assert_eq!(error.kind(), Kind::Fatal);
    error.to_string()
}

#[test]
fn everything_that_was_committed_is_there_again() {
    let directory = Scratch::new();
    let log = open(&directory);
    let at = create(&log, "out", &[("cleanup.policy", "delete"), ("anything", "else")]);
    let mut packed = Vec::new();
    pack_header(&mut packed, b"h", Some(b"1"));
    let headers = Headers::from_packed(&packed);
    log.append(&at.topic, Some(0), Record { key: None, value: Some(b""), timestamp: -1, headers }).unwrap();
    let mut producer = EmbeddedProducer::transactional(&log, "app-0").unwrap();
    producer.begin_transaction().unwrap();
    let record = ProducerRecord {
        topic: &at.topic,
        partition: None,
        key: Some(b"k"),
        value: None,
        timestamp: 2,
        headers: Headers::EMPTY,
    };
    producer.send(record).unwrap();
    let group = GroupMetadata { group_id: "g".to_owned(), ..GroupMetadata::default() };
    let committed = CommittedOffset { offset: Offset(4), metadata: "AgAAAAAAAAAF".to_owned() };
    producer.send_offsets(&[(at.clone(), committed.clone())], &group).unwrap();
    producer.commit_transaction().unwrap();
    drop((producer, log));

    let log = open(&directory);
    assert_eq!(log.recovery(), Recovery::default());
    assert_eq!(log.topics()[0].configs.len(), 2);
    assert_eq!(log.committed("g"), BTreeMap::from([(at.clone(), committed)]));
    let mut fetched = Fetched::default();
    let next = log.read(&at, Offset(0), Isolation::ReadCommitted, 9, &mut fetched).unwrap();
    assert_eq!(next, Offset(3));
    assert_eq!(fetched.records.record(0), Record { key: None, value: Some(b""), timestamp: -1, headers });
    let second = Record { key: Some(b"k"), value: None, timestamp: 2, headers: Headers::EMPTY };
    assert_eq!(fetched.records.record(1), second);
}

#[test]
fn a_transaction_open_at_a_crash_is_aborted_and_its_producer_fenced() {
    let directory = Scratch::new();
    let log = open(&directory);
    let at = create(&log, "out", &[]);
    let mut producer = EmbeddedProducer::transactional(&log, "app-0").unwrap();
    producer.begin_transaction().unwrap();
    for key in [&b"a"[..], b"b"] {
        let (value, headers) = (Some(&b"v"[..]), Headers::EMPTY);
        let record = ProducerRecord { topic: &at.topic, partition: None, key: Some(key), value, timestamp: 2, headers };
        producer.send(record).unwrap();
    }
    producer.flush().unwrap();
    log.flush().unwrap();
    let crashed = Scratch::new();
    let path = journal(directory.path());
    std::fs::copy(&path, crashed.path().join(path.file_name().unwrap())).unwrap();

    let log = open(&crashed);
    assert_eq!(log.recovery(), Recovery { truncated_bytes: 0, aborted_transactions: 1 });
    assert_eq!(read(&log, &at), []);
    assert_eq!(log.stable_offset(&at).unwrap(), Offset(3));
}

#[test]
fn a_directory_belongs_to_one_process_at_a_time() {
    let directory = Scratch::new();
    let log = open(&directory);
    let message = error_of(directory.path());
    assert!(message.contains("is in use by another process; stop it"), "{message}");
    drop(log);
    open(&directory);
}

#[test]
fn damage_is_told_with_its_file_and_a_torn_end_is_cut_off() {
    let directory = Scratch::new();
    let log = open(&directory);
    let at = create(&log, "out", &[]);
    for key in ["a", "b", "c"] {
        append(&log, &at, key, Some("value"));
    }
    drop(log);
    let path = journal(directory.path());
    let whole = std::fs::read(&path).unwrap();
    let middle = whole.windows(6).position(|window| window == b"avalue" || &window[1..] == b"value").unwrap();

    let mut torn = whole.clone();
    torn.extend_from_slice(&whole[20..40]);
    std::fs::write(&path, &torn).unwrap();
    let log = open(&directory);
    assert_eq!(log.recovery(), Recovery { truncated_bytes: 20, aborted_transactions: 0 });
    assert_eq!(read(&log, &at).len(), 3);
    drop(log);

    let mut damaged = whole.clone();
    damaged[middle] ^= 0xff;
    std::fs::write(&path, &damaged).unwrap();
    let message = error_of(directory.path());
    assert!(message.contains(&path.display().to_string()) && message.contains("is damaged at byte"), "{message}");

    for (index, expected) in [(0, "does not begin as a journal"), (8, "does not begin as a journal")] {
        let mut damaged = whole.clone();
        damaged[index] ^= 0xff;
        std::fs::write(&path, &damaged).unwrap();
        let message = error_of(directory.path());
        assert!(message.contains(expected) && message.contains(&path.display().to_string()), "{message}");
    }
    std::fs::write(&path, &whole[..10]).unwrap();
    assert!(error_of(directory.path()).contains("does not begin as a journal"));
}

#[test]
fn what_a_crash_leaves_while_a_journal_is_replaced_is_tidied_up() {
    let directory = Scratch::new();
    let log = open(&directory);
    let at = create(&log, "out", &[]);
    append(&log, &at, "a", Some("new"));
    drop(log);
    let path = journal(directory.path());
    std::fs::rename(&path, directory.path().join("journal-0000000002.log")).unwrap();
    std::fs::write(&path, b"the former journal").unwrap();
    std::fs::write(directory.path().join("journal-0000000003.unfinished"), b"half").unwrap();
    let log = open(&directory);
    assert_eq!(read(&log, &at).len(), 1);
    let mut names: Vec<_> = std::fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["journal-0000000002.log", "lock"]);
}

#[test]
fn a_changelog_written_for_ever_takes_bounded_room() {
    let directory = Scratch::new();
    let options =
        StorageOptions { rewrite_bytes_min: 64 << 10, compaction_bytes_min: 16 << 10, fsync: Fsync::OnCommit };
    let log = EmbeddedLog::open(directory.path(), options).unwrap();
    let at = create(&log, "changelog", &[("cleanup.policy", "compact")]);
    let mut producer = EmbeddedProducer::transactional(&log, "app-0").unwrap();
    let mut largest = 0;
    for round in 0..200_u32 {
        producer.begin_transaction().unwrap();
        for key in 0..100_u32 {
            let value = format!("{round}");
            let record = ProducerRecord {
                topic: &at.topic,
                partition: Some(0),
                key: Some(&key.to_be_bytes()),
                value: Some(value.as_bytes()),
                timestamp: 0,
                headers: Headers::EMPTY,
            };
            producer.send(record).unwrap();
        }
        producer.commit_transaction().unwrap();
        largest = largest.max(std::fs::metadata(journal(directory.path())).unwrap().len());
    }
    assert!(largest < 160 << 10, "{largest}");
    drop((producer, log));
    let log = EmbeddedLog::open(directory.path(), options).unwrap();
    let mut fetched = Fetched::default();
    let next = log.read(&at, Offset(0), Isolation::ReadCommitted, usize::MAX, &mut fetched).unwrap();
    assert_eq!(next, Offset(200 * 101), "compaction moves no offset");
    assert_eq!(fetched.records.len(), 100);
    assert!(fetched.records.iter().all(|record| record.value == Some(b"199")));
}

#[test]
fn purged_records_leave_the_disk() {
    let directory = Scratch::new();
    let options = StorageOptions { rewrite_bytes_min: 64 << 10, ..StorageOptions::default() };
    let log = EmbeddedLog::open(directory.path(), options).unwrap();
    let at = create(&log, "app-x-repartition", &[("cleanup.policy", "delete"), ("retention.ms", "-1")]);
    let value = "x".repeat(10 << 10);
    for _ in 0..400 {
        let offset = append(&log, &at, "k", Some(&value));
        log.delete_records(&at, offset).unwrap();
    }
    drop(log);
    let log = EmbeddedLog::open(directory.path(), options).unwrap();
    assert_eq!(read(&log, &at).len(), 1);
    assert_eq!(log.start_offset(&at).unwrap(), Offset(399));
    // A segment of 1 MiB is dropped as a whole, so that up to two of them may be counted as live.
    let length = std::fs::metadata(journal(directory.path())).unwrap().len();
    assert!(length < 4 << 20, "{length}");
}
