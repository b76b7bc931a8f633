//! The broker ports on the embedded log behave as Kafka does: one case a rule.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use millstream_core::id::{Offset, TaskId, TopicName, TopicPartition};
use millstream_core::port::{
    Broker, ChangelogReader, CommittedOffset, Consumer, Fetched, GroupMetadata, Lag, MembershipEvent, Producer,
    ProducerRecord, RecordPurger, ResetPosition, Waker,
};
use millstream_core::record::{Headers, Record, RecordBatch};
use millstream_core::{Error, Kind, Result};
use millstream_embedded::{
    ConsumerOptions, EmbeddedBroker, EmbeddedChangelogReader, EmbeddedConsumer, EmbeddedLog, EmbeddedProducer,
    EmbeddedPurger, Isolation,
};

const NO_WAIT: Duration = Duration::ZERO;
const LONG: Duration = Duration::from_secs(60);

fn log_with(topics: &[(&str, i32)]) -> EmbeddedLog {
    let log = EmbeddedLog::new();
    for (topic, partitions) in topics {
        assert!(log.create_topic(&TopicName::from(*topic), *partitions, &BTreeMap::new()).unwrap());
    }
    log
}

fn record<'a>(key: Option<&'a str>, value: &'a str) -> Record<'a> {
    let key = key.map(str::as_bytes);
    Record { key, value: Some(value.as_bytes()), timestamp: 5, headers: Headers::EMPTY }
}

fn send(producer: &mut dyn Producer, at: &TopicPartition, value: &str) -> Result<()> {
    producer.send(ProducerRecord {
        topic: &at.topic,
        partition: Some(at.partition),
        key: Some(b"k"),
        value: Some(value.as_bytes()),
        timestamp: 5,
        headers: Headers::EMPTY,
    })
}

fn consumer(log: &EmbeddedLog) -> EmbeddedConsumer {
    EmbeddedConsumer::new(log, ConsumerOptions::solo("group", Isolation::ReadCommitted, BTreeSet::new()))
}

fn values(fetched: &Fetched) -> Vec<String> {
    fetched.records.iter().map(|record| String::from_utf8(record.value.unwrap().to_vec()).unwrap()).collect()
}

fn take(consumer: &mut EmbeddedConsumer, at: &TopicPartition) -> Vec<String> {
    let mut fetched = Fetched::default();
    let count = consumer.take(at, 100, &mut fetched).unwrap();
    assert_eq!(count, fetched.records.len());
    assert_eq!(count, fetched.offsets.len());
    values(&fetched)
}

fn committed_at(offset: i64) -> CommittedOffset {
    CommittedOffset { offset: Offset(offset), metadata: "AgAAAAAAAAAF".to_owned() }
}

fn group() -> GroupMetadata {
    GroupMetadata { group_id: "group".to_owned(), generation: -1, ..GroupMetadata::default() }
}

fn kind<T: std::fmt::Debug>(result: Result<T>) -> Kind {
    let error: Error = result.unwrap_err();
    assert!(error.to_string().contains("; "), "says what to do: {error}");
    error.kind()
}

#[test]
fn records_of_a_transaction_appear_with_its_commit() {
    let log = log_with(&[("in", 1)]);
    let at = TopicPartition::new("in", 0);
    let mut consumer = consumer(&log);
    consumer.assign(&[(at.clone(), Offset(0))]).unwrap();
    let mut producer = EmbeddedProducer::transactional(&log, "app-0").unwrap();
    producer.begin_transaction().unwrap();
    send(&mut producer, &at, "a").unwrap();
    producer.flush().unwrap();
    assert_eq!(producer.last_offset(&at), Some(Offset(0)));
    assert_eq!(take(&mut consumer, &at), [""; 0]);
    assert_eq!(consumer.lag(&at), Lag::CaughtUp, "by the last stable offset, as Kafka's `currentLag`");
    producer.commit_transaction().unwrap();
    assert_eq!(consumer.lag(&at), Lag::Behind);
    assert_eq!(take(&mut consumer, &at), ["a"]);
    assert_eq!(consumer.position(&at), Some(Offset(2)), "the marker is passed");
    assert_eq!(consumer.lag(&at), Lag::CaughtUp);
}

#[test]
fn a_new_producer_fences_the_former_and_aborts_its_transaction() {
    let log = log_with(&[("out", 1)]);
    let at = TopicPartition::new("out", 0);
    let mut broker = EmbeddedBroker::new(&log, Some("app-0"));
    let mut zombie = broker.producer(std::slice::from_ref(&at)).unwrap();
    zombie.begin_transaction().unwrap();
    send(zombie.as_mut(), &at, "lost").unwrap();
    zombie.flush().unwrap();
    zombie.send_offsets(&[(at.clone(), committed_at(1))], &group()).unwrap();
    let mut current = broker.producer(std::slice::from_ref(&at)).unwrap();
    assert_eq!(log.stable_offset(&at).unwrap(), Offset(2), "the transaction was aborted by a marker");
    send(zombie.as_mut(), &at, "late").unwrap();
    assert_eq!(kind(zombie.flush()), Kind::TaskMigrated);
    assert_eq!(kind(zombie.send_offsets(&[], &group())), Kind::TaskMigrated);
    assert_eq!(kind(zombie.commit_transaction()), Kind::TaskMigrated);
    assert_eq!(kind(zombie.begin_transaction()), Kind::TaskMigrated);
    assert_eq!(log.committed("group"), BTreeMap::new());
    current.begin_transaction().unwrap();
    send(current.as_mut(), &at, "kept").unwrap();
    drop(zombie);
    current.commit_transaction().unwrap();
    let mut fetched = Fetched::default();
    log.read(&at, Offset(0), Isolation::ReadCommitted, 9, &mut fetched).unwrap();
    assert_eq!(values(&fetched), ["kept"]);
}

#[test]
fn positions_of_an_open_transaction_are_pending_and_then_committed() {
    let log = log_with(&[("in", 2)]);
    let (one, other) = (TopicPartition::new("in", 0), TopicPartition::new("in", 1));
    let mut consumer = consumer(&log);
    consumer.commit(&[(one.clone(), committed_at(0))]).unwrap();
    let mut producer = EmbeddedProducer::transactional(&log, "app-0").unwrap();
    producer.begin_transaction().unwrap();
    producer.send_offsets(&[(one.clone(), committed_at(7))], &group()).unwrap();
    assert_eq!(kind(consumer.committed(std::slice::from_ref(&one))), Kind::Retriable);
    assert_eq!(consumer.committed(std::slice::from_ref(&other)).unwrap(), [None]);
    producer.abort_transaction().unwrap();
    assert_eq!(consumer.committed(std::slice::from_ref(&one)).unwrap(), [Some(committed_at(0))]);
    producer.begin_transaction().unwrap();
    producer.send_offsets(&[(one.clone(), committed_at(7))], &group()).unwrap();
    producer.commit_transaction().unwrap();
    assert_eq!(consumer.committed(&[other, one]).unwrap(), [None, Some(committed_at(7))]);
}

#[test]
fn a_member_of_a_past_generation_commits_nothing() {
    let log = log_with(&[("in", 1)]);
    let at = TopicPartition::new("in", 0);
    log.fence_members("group", 4);
    let mut zombie = consumer(&log);
    assert_eq!(kind(zombie.commit(&[(at.clone(), committed_at(1))])), Kind::TaskMigrated);
    let mut producer = EmbeddedProducer::transactional(&log, "app-0").unwrap();
    producer.begin_transaction().unwrap();
    assert_eq!(kind(producer.send_offsets(&[(at.clone(), committed_at(1))], &group())), Kind::TaskMigrated);
    let current = GroupMetadata { generation: 4, ..group() };
    producer.send_offsets(&[(at, committed_at(1))], &current).unwrap();
    producer.commit_transaction().unwrap();
    assert_eq!(log.committed("group").len(), 1);
}

#[test]
fn an_aborted_transaction_leaves_nothing_that_a_committed_reader_sees() {
    let log = log_with(&[("out", 1)]);
    let at = TopicPartition::new("out", 0);
    let mut producer = EmbeddedProducer::transactional(&log, "app-0").unwrap();
    for value in ["a", "b"] {
        producer.begin_transaction().unwrap();
        send(&mut producer, &at, value).unwrap();
        if value == "a" {
            producer.flush().unwrap();
            producer.abort_transaction().unwrap();
        } else {
            producer.commit_transaction().unwrap();
        }
    }
    let mut fetched = Fetched::default();
    log.read(&at, Offset(0), Isolation::ReadCommitted, 9, &mut fetched).unwrap();
    assert_eq!((values(&fetched), &fetched.offsets[..]), (vec!["b".to_owned()], &[Offset(2)][..]));
    fetched.clear();
    log.read(&at, Offset(0), Isolation::ReadUncommitted, 9, &mut fetched).unwrap();
    assert_eq!(values(&fetched), ["a", "b"]);
}

#[test]
fn a_producer_dropped_in_a_transaction_does_not_hold_readers_back_for_ever() {
    let log = log_with(&[("out", 1)]);
    let at = TopicPartition::new("out", 0);
    let mut producer = EmbeddedProducer::transactional(&log, "app-0").unwrap();
    producer.begin_transaction().unwrap();
    send(&mut producer, &at, "a").unwrap();
    producer.flush().unwrap();
    assert_eq!(log.stable_offset(&at).unwrap(), Offset(0));
    drop(producer);
    assert_eq!(log.stable_offset(&at).unwrap(), Offset(2));
}

#[test]
fn a_transaction_larger_than_the_buffer_stays_whole_and_ordered() {
    let log = log_with(&[("out", 3)]);
    let mut producer = EmbeddedProducer::transactional(&log, "app-0").unwrap();
    let mut batch = RecordBatch::new();
    let padding = "x".repeat(1000);
    let numbers: Vec<String> = (0..5_000).map(|number| format!("{number:05}{padding}")).collect();
    for number in &numbers {
        batch.push(record(Some(&number[..5]), number), 0);
    }
    producer.begin_transaction().unwrap();
    producer.send_batch(&TopicName::from("out"), &batch, 0..batch.len()).unwrap();
    producer.commit_transaction().unwrap();
    let mut all = Vec::new();
    for partition in 0..3 {
        let mut fetched = Fetched::default();
        let at = TopicPartition::new("out", partition);
        log.read(&at, Offset(0), Isolation::ReadCommitted, usize::MAX, &mut fetched).unwrap();
        let found = values(&fetched);
        assert!(found.is_sorted() && !found.is_empty(), "partition {partition}");
        all.extend(found);
    }
    all.sort();
    assert_eq!(all, numbers);
}

#[test]
fn what_the_broker_would_refuse_is_the_fault_of_one_task_or_fatal() {
    let log = log_with(&[("out", 1)]);
    let configs = BTreeMap::from([("cleanup.policy".to_owned(), "compact".to_owned())]);
    let changelog = TopicName::from("changelog");
    log.create_topic(&changelog, 1, &configs).unwrap();
    assert_eq!(kind(log.append(&changelog, None, record(None, "a"))), Kind::TaskFailed);
    assert_eq!(kind(log.append(&TopicName::from("nowhere"), None, record(None, "a"))), Kind::TaskFailed);
    assert_eq!(kind(log.append(&TopicName::from("out"), Some(1), record(None, "a"))), Kind::TaskFailed);
    let large = "x".repeat(1_048_588);
    assert_eq!(kind(log.append(&TopicName::from("out"), None, record(None, &large))), Kind::TaskFailed);
    let mut producer = EmbeddedProducer::transactional(&log, "app-0").unwrap();
    assert_eq!(kind(send(&mut producer, &TopicPartition::new("out", 0), "a")), Kind::Fatal);
    assert_eq!(kind(producer.commit_transaction()), Kind::Fatal);
    assert_eq!(kind(log.create_topic(&TopicName::from("out"), 2, &BTreeMap::new())), Kind::Fatal);
    assert!(!log.create_topic(&TopicName::from("out"), 1, &BTreeMap::new()).unwrap());
    assert_eq!(log.topics()[1].configs, configs);
    assert_eq!(log.partitions(&TopicName::from("nowhere")), None);
}

#[test]
fn a_producer_without_transactions_is_seen_at_once() {
    let log = log_with(&[("out", 2)]);
    let mut producer = EmbeddedBroker::new(&log, None).producer(&[]).unwrap();
    let topic = TopicName::from("out");
    for value in ["a", "b"] {
        producer
            .send(ProducerRecord {
                topic: &topic,
                partition: None,
                key: Some(b"foobar"),
                value: Some(value.as_bytes()),
                timestamp: 1,
                headers: Headers::EMPTY,
            })
            .unwrap();
    }
    let at = TopicPartition::new("out", (-790_332_482 & i32::MAX) % 2);
    assert_eq!(log.end_offset(&at).unwrap(), Offset(2));
    assert_eq!(producer.last_offset(&at), Some(Offset(1)));
    assert_eq!(producer.last_offset(&TopicPartition::new("out", 7)), None);
    producer.flush().unwrap();
}

#[test]
fn the_only_member_is_given_its_tasks_once_and_tests_may_take_them() {
    let log = log_with(&[]);
    let tasks = BTreeSet::from([TaskId::new(0, 0), TaskId::new(1, 3)]);
    let options = ConsumerOptions::solo("group", Isolation::ReadCommitted, tasks.clone());
    let mut consumer = EmbeddedConsumer::new(&log, options);
    assert_eq!(consumer.poll_event().unwrap(), Some(MembershipEvent::TasksAssigned(tasks.clone())));
    assert_eq!(consumer.poll_event().unwrap(), None);
    let membership = consumer.membership();
    membership.revoke(tasks.clone());
    membership.lose();
    membership.assign(BTreeSet::new());
    consumer.wait(LONG);
    assert_eq!(consumer.poll_event().unwrap(), Some(MembershipEvent::TasksRevoked(tasks)));
    consumer.acknowledge_revoked().unwrap();
    assert_eq!(membership.revocations_acknowledged(), 1);
    assert_eq!(consumer.poll_event().unwrap(), Some(MembershipEvent::TasksLost));
    membership.lose();
    consumer.close(true);
    consumer.close(false);
    assert_eq!(consumer.poll_event().unwrap(), None);
}

#[test]
fn a_wait_ends_for_a_record_an_event_or_a_wake_and_not_for_records_left_alone() {
    let log = log_with(&[("in", 1)]);
    let at = TopicPartition::new("in", 0);
    let mut consumer = consumer(&log);
    consumer.poll_event().unwrap();
    consumer.assign(&[(at.clone(), Offset(0))]).unwrap();
    consumer.wait(NO_WAIT);
    let waker = consumer.waker();
    waker.wake();
    consumer.wait(LONG);
    let writer = log.clone();
    let thread = std::thread::spawn(move || writer.append(&TopicName::from("in"), None, record(None, "a")).unwrap());
    consumer.wait(LONG);
    thread.join().unwrap();
    let started = std::time::Instant::now();
    consumer.wait(Duration::from_millis(5));
    assert!(started.elapsed() >= Duration::from_millis(5), "the record was left alone: back-pressure");
    assert_eq!(take(&mut consumer, &at), ["a"]);
    let thread = std::thread::spawn(move || waker.wake());
    consumer.wait(LONG);
    thread.join().unwrap();
}

#[test]
fn positions_are_reset_sought_and_refused_as_kafka_does() {
    let log = log_with(&[("in", 1)]);
    let at = TopicPartition::new("in", 0);
    for value in ["a", "b", "c"] {
        log.append(&at.topic, None, record(None, value)).unwrap();
    }
    let mut consumer = consumer(&log);
    let bounds = consumer.log_bounds(std::slice::from_ref(&at)).unwrap()[0];
    assert_eq!((bounds.at(ResetPosition::Earliest), bounds.at(ResetPosition::Latest)), (Offset(0), Offset(3)));
    assert_eq!(kind(consumer.assign(&[(at.clone(), Offset(4))])), Kind::Fatal);
    let mut fetched = Fetched::default();
    assert_eq!(kind(consumer.take(&at, 1, &mut fetched)), Kind::Fatal, "not assigned");
    consumer.assign(&[(at.clone(), Offset(2))]).unwrap();
    assert_eq!(take(&mut consumer, &at), ["c"]);
    consumer.seek(&at, Offset(0)).unwrap();
    EmbeddedPurger::new(&log).purge(&[(at.clone(), Offset(1)), (at.clone(), Offset(99))]);
    let bounds = consumer.log_bounds(std::slice::from_ref(&at)).unwrap()[0];
    assert_eq!([0, 1, 3, 4].map(|offset| bounds.hold(Offset(offset))), [false, true, true, false]);
    assert_eq!(take(&mut consumer, &at), ["b", "c"]);
}

#[test]
fn a_restore_waits_for_the_transaction_that_was_open_when_it_started() {
    let log = log_with(&[("changelog", 1)]);
    let at = TopicPartition::new("changelog", 0);
    let mut producer = EmbeddedProducer::transactional(&log, "app-0").unwrap();
    producer.begin_transaction().unwrap();
    send(&mut producer, &at, "a").unwrap();
    producer.flush().unwrap();
    let mut reader = EmbeddedChangelogReader::new(&log, Isolation::ReadCommitted);
    assert_eq!(reader.start(&at, None).unwrap(), Offset(1), "the read-uncommitted end");
    let mut fetched = Fetched::default();
    assert_eq!(reader.take(&at, 9, &mut fetched).unwrap(), 0);
    assert_eq!(reader.position(&at), Some(Offset(0)));
    producer.abort_transaction().unwrap();
    assert_eq!(reader.take(&at, 9, &mut fetched).unwrap(), 0);
    assert_eq!(reader.position(&at), Some(Offset(2)), "past the target, by the marker");
    assert_eq!(kind(reader.start(&at, Some(Offset(3)))), Kind::TaskCorrupted);
    reader.start(&at, Some(Offset(0))).unwrap();
    log.delete_records(&at, Offset(1)).unwrap();
    assert_eq!(kind(reader.take(&at, 9, &mut fetched)), Kind::TaskCorrupted);
    assert_eq!(kind(reader.start(&at, Some(Offset(0)))), Kind::TaskCorrupted);
    reader.stop(&at);
    assert_eq!(reader.position(&at), None);
}

#[test]
fn threads_that_share_the_log_lose_nothing() {
    let log = log_with(&[("out", 1)]);
    let at = TopicPartition::new("out", 0);
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let (log, at) = (log.clone(), at.clone());
            scope.spawn(move || {
                let mut producer = EmbeddedProducer::transactional(&log, &format!("app-{thread}")).unwrap();
                for number in 0..200 {
                    producer.begin_transaction().unwrap();
                    send(&mut producer, &at, &format!("{thread}")).unwrap();
                    if number % 3 == 0 { producer.abort_transaction() } else { producer.commit_transaction() }.unwrap();
                }
            });
        }
        let mut consumer = consumer(&log);
        consumer.assign(&[(at.clone(), Offset(0))]).unwrap();
        let mut counts = BTreeMap::<String, usize>::new();
        while counts.values().sum::<usize>() < 3 * 133 {
            consumer.wait(LONG);
            for value in take(&mut consumer, &at) {
                *counts.entry(value).or_default() += 1;
            }
        }
        assert_eq!(counts.values().copied().collect::<Vec<_>>(), [133, 133, 133]);
    });
}
