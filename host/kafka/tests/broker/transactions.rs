//! What is sent in a transaction, and what is seen of it.

use std::time::{Duration, Instant};

use millstream_core::Kind;
use millstream_core::commit::ProcessingGuarantee;
use millstream_core::id::{Offset, TopicPartition};
use millstream_core::port::{
    ChangelogReader, CommittedOffset, Consumer, Fetched, GroupMetadata, Lag, LogBounds, MembershipEvent, Producer,
    ProducerRecord,
};
use millstream_core::record::{Headers, RecordBatch, pack_header};
use millstream_kafka::KafkaChangelogReader;

use crate::cluster::{App, eventually, next_event, record, take, values};

fn group(app: &App) -> GroupMetadata {
    GroupMetadata { group_id: app.id.clone(), generation: -1, member_id: String::new(), group_instance_id: None }
}

fn committed(offset: i64) -> CommittedOffset {
    CommittedOffset { offset: Offset(offset), metadata: "AgAAAZ".to_owned() }
}

fn send_in_transaction(producer: &mut dyn Producer, topic: &millstream_core::id::TopicName, values: &[&str]) {
    producer.begin_transaction().expect("begin");
    for value in values {
        producer.send(record(topic, "k", value)).expect("send");
    }
    producer.flush().expect("flush");
}

#[test]
fn records_arrive_as_they_were_sent() {
    for compression in ["none", "gzip", "snappy", "lz4", "zstd"] {
        arrive_as_they_were_sent(compression);
    }
}

fn arrive_as_they_were_sent(compression: &str) {
    let mut app = App::exactly_once();
    app.properties.insert("producer.compression.type".to_owned(), compression.to_owned());
    let topic = app.topic("records", 1);
    let partition = TopicPartition::new(topic.clone(), 0);
    let mut headers = Vec::new();
    pack_header(&mut headers, b"a", Some(b"1"));
    pack_header(&mut headers, b"a", Some(b""));
    pack_header(&mut headers, b"", None);
    let plain = |key, value, timestamp| ProducerRecord {
        topic: &topic,
        partition: Some(0),
        key,
        value,
        timestamp,
        headers: Headers::EMPTY,
    };
    let with_headers = |record| ProducerRecord { headers: Headers::from_packed(&headers), ..record };
    let sent = [
        plain(Some(b"key"), Some(b"value"), 1_700_000_000_000),
        plain(None, Some(b"no key"), 1),
        plain(Some(b"tombstone"), None, 2),
        plain(None, None, 3),
        plain(Some(b""), Some(b""), 4),
        with_headers(plain(Some(b"headers"), Some(&[0, 255, 0]), 5)),
        with_headers(plain(Some(b"headers"), Some(b""), 6)),
        with_headers(plain(Some(b"headers"), None, 7)),
        with_headers(plain(None, None, 8)),
        plain(Some(b"last"), Some(b"value"), 9),
    ];
    let mut producer = app.producer("p", &[]);
    producer.begin_transaction().expect("begin");
    for record in sent {
        producer.send(record).expect("send");
    }
    producer.flush().expect("flush");
    producer.commit_transaction().expect("commit");

    let mut consumer = app.solo();
    consumer.assign(&[(partition.clone(), Offset(0))]).expect("assign");
    let fetched = take(&mut consumer, &partition, sent.len());
    assert_eq!(fetched.offsets, (0..sent.len() as i64).map(Offset).collect::<Vec<_>>());
    for (index, sent) in sent.iter().enumerate() {
        let found = fetched.records.record(index);
        let expected = (sent.key, sent.value, sent.timestamp, sent.headers);
        assert_eq!((found.key, found.value, found.timestamp, found.headers), expected, "record {index}, {compression}");
        assert_eq!(fetched.records.row(index), index as u32);
    }
}

#[test]
fn aborted_records_are_never_seen_and_the_position_passes_control_records() {
    let app = App::exactly_once();
    let topic = app.topic("aborted", 1);
    let partition = TopicPartition::new(topic.clone(), 0);
    let mut producer = app.producer("p", &[]);
    send_in_transaction(&mut *producer, &topic, &["0"]);
    producer.commit_transaction().expect("commit");
    send_in_transaction(&mut *producer, &topic, &["2", "3"]);
    producer.abort_transaction().expect("abort");
    send_in_transaction(&mut *producer, &topic, &["5"]);
    producer.commit_transaction().expect("commit");
    // 0, commit 1, 2 and 3, abort 4, 5, commit 6.
    let mut consumer = app.solo();
    consumer.assign(&[(partition.clone(), Offset(0))]).expect("assign");
    assert_eq!(consumer.lag(&partition), Lag::Unknown);
    assert_eq!(consumer.position(&partition), Some(Offset(0)));
    let mut fetched = take(&mut consumer, &partition, 2);
    assert_eq!(values(&fetched), ["0", "5"]);
    assert_eq!(fetched.offsets, [Offset(0), Offset(5)]);
    eventually("caught up", || {
        consumer.take(&partition, 10, &mut fetched).expect("take");
        (consumer.lag(&partition) == Lag::CaughtUp).then_some(())
    });
    assert_eq!(consumer.position(&partition), Some(Offset(7)));

    // An open transaction: nothing of it is stable, so there is nothing to wait for.
    send_in_transaction(&mut *producer, &topic, &["7"]);
    let bounds = consumer.log_bounds(std::slice::from_ref(&partition)).expect("the bounds");
    assert_eq!(bounds, [LogBounds { first: Offset(0), end: Offset(7) }]);
    assert_eq!(consumer.take(&partition, 10, &mut fetched).expect("take"), 0);
    assert_eq!((consumer.lag(&partition), consumer.position(&partition)), (Lag::CaughtUp, Some(Offset(7))));
    producer.commit_transaction().expect("commit");
    fetched.clear();
    let mut fetched = take(&mut consumer, &partition, 1);
    assert_eq!(values(&fetched), ["7"]);
    let start = Instant::now();
    eventually("the end", || {
        consumer.take(&partition, 10, &mut fetched).expect("take");
        (consumer.position(&partition) == Some(Offset(9)) && consumer.lag(&partition) == Lag::CaughtUp).then_some(())
    });
    assert!(start.elapsed() < Duration::from_secs(1), "the end was known after {:?}", start.elapsed());

    // Nothing but aborted records at the end: 9, abort 10.
    send_in_transaction(&mut *producer, &topic, &["9"]);
    producer.abort_transaction().expect("abort");
    eventually("the end behind aborted records", || {
        assert_eq!(consumer.take(&partition, 10, &mut fetched).expect("take"), 0);
        let position = consumer.position(&partition).expect("a position");
        assert!(position <= Offset(11), "{position} is not there yet: a commit of it would lose a record");
        (position == Offset(11) && consumer.lag(&partition) == Lag::CaughtUp).then_some(())
    });

    consumer.seek(&partition, Offset(2)).expect("seek");
    assert_eq!(consumer.position(&partition), Some(Offset(2)));
    assert_eq!(values(&take(&mut consumer, &partition, 2)), ["5", "7"]);
}

#[test]
fn a_second_producer_of_the_same_id_fences_the_first() {
    let app = App::exactly_once();
    let topic = app.topic("fenced", 1);
    let partition = TopicPartition::new(topic.clone(), 0);
    let mut zombie = app.producer("p", &[]);
    send_in_transaction(&mut *zombie, &topic, &["zombie"]);
    let mut successor = app.producer("p", &[]);
    send_in_transaction(&mut *successor, &topic, &["successor"]);
    successor.commit_transaction().expect("commit");
    let error = zombie.commit_transaction().expect_err("fenced");
    assert_eq!(error.kind(), Kind::TaskMigrated, "{error}");
    let error = zombie.begin_transaction().expect_err("unusable");
    assert_eq!(error.kind(), Kind::TaskMigrated, "{error}");

    let mut consumer = app.solo();
    consumer.assign(&[(partition.clone(), Offset(0))]).expect("assign");
    assert_eq!(values(&take(&mut consumer, &partition, 1)), ["successor"]);
}

#[test]
fn offsets_join_the_transaction_and_pending_ones_are_waited_for() {
    let app = App::exactly_once();
    let topic = app.topic("offsets", 2);
    let partitions = [TopicPartition::new(topic.clone(), 0), TopicPartition::new(topic.clone(), 1)];
    let mut consumer = app.solo();
    let read = |consumer: &mut millstream_kafka::KafkaConsumer| {
        eventually("the committed offsets", || consumer.committed(&partitions).ok())
    };
    assert_eq!(read(&mut consumer), [None, None]);
    let mut producer = app.producer("p", &[]);
    send_in_transaction(&mut *producer, &topic, &["x"]);
    producer.send_offsets(&[(partitions[1].clone(), committed(42))], &group(&app)).expect("offsets");
    let error = consumer.committed(&partitions).expect_err("the transaction is open");
    assert_eq!(error.kind(), Kind::Retriable, "{error}");
    assert!(error.to_string().contains("find-hanging"), "an operator is told what to do: {error}");
    producer.commit_transaction().expect("commit");
    assert_eq!(read(&mut consumer), [None, Some(committed(42))]);
}

#[test]
fn offsets_of_a_stale_member_are_refused() {
    let app = App::exactly_once();
    let topic = app.topic("stale", 1);
    let partition = TopicPartition::new(topic.clone(), 0);
    let mut member = app.member("p", &topic);
    let before_joining = member.group_metadata();
    eventually("an assignment", || {
        next_event(&mut member, &topic).filter(|event| matches!(event, MembershipEvent::TasksAssigned(_)))
    });
    let current = member.group_metadata();
    assert!(current.generation > 0 && !current.member_id.is_empty(), "{current:?}");
    let mut producer = app.producer("p", &[]);
    let offsets = [(partition, committed(1))];
    send_in_transaction(&mut *producer, &topic, &["x"]);
    producer.send_offsets(&offsets, &current).expect("the current generation");
    producer.commit_transaction().expect("commit");
    let stale = GroupMetadata { generation: current.generation - 1, ..current.clone() };
    let unknown = GroupMetadata { group_instance_id: None, ..before_joining };
    for wrong in [stale, unknown] {
        send_in_transaction(&mut *producer, &topic, &["y"]);
        let error = producer.send_offsets(&offsets, &wrong).expect_err("a stale member");
        assert_eq!(error.kind(), Kind::TaskMigrated, "{wrong:?}: {error}");
        producer = app.producer("p", &[]);
    }
}

#[test]
fn at_least_once_commits_without_a_transaction() {
    let app = App::new(ProcessingGuarantee::AtLeastOnce);
    let topic = app.topic("at-least-once", 1);
    let partition = TopicPartition::new(topic.clone(), 0);
    let mut producer = app.producer("p", &[]);
    producer.send(record(&topic, "k", "v")).expect("send");
    producer.flush().expect("flush");
    let mut member = app.member("p", &topic);
    eventually("an assignment", || {
        next_event(&mut member, &topic).filter(|event| matches!(event, MembershipEvent::TasksAssigned(_)))
    });
    assert_eq!(values(&take(&mut member, &partition, 1)), ["v"]);
    member.commit(&[(partition.clone(), committed(1))]).expect("commit");
    assert_eq!(member.committed(&[partition]).expect("committed"), [Some(committed(1))]);
}

#[test]
fn a_record_that_is_too_large_surfaces_before_the_commit() {
    let app = App::exactly_once();
    let topic = app.topic("too-large", 1);
    let mut producer = app.producer("p", &[]);
    producer.begin_transaction().expect("begin");
    let value = vec![0; 2_000_000];
    let outcome = producer.send(ProducerRecord { value: Some(&value), ..record(&topic, "k", "") });
    let error = outcome.and_then(|()| producer.flush()).expect_err("too large");
    assert_eq!(error.kind(), Kind::TaskFailed, "{error}");
    assert!(error.to_string().contains("max.message.bytes"), "{error}");
}

#[test]
fn a_changelog_is_read_to_the_end_that_it_had_at_the_start() {
    let app = App::exactly_once();
    let topic = app.topic("changelog", 1);
    let partition = TopicPartition::new(topic.clone(), 0);
    let mut producer = app.producer("p", std::slice::from_ref(&partition));
    assert_eq!(producer.last_offset(&partition), None);
    send_in_transaction(&mut *producer, &topic, &["0", "1"]);
    assert_eq!(producer.last_offset(&partition), Some(Offset(1)));
    producer.commit_transaction().expect("commit");
    send_in_transaction(&mut *producer, &topic, &["3"]);
    assert_eq!(producer.last_offset(&partition), Some(Offset(3)));

    let mut reader = KafkaChangelogReader::new(&app.config("p"), 1).expect("a reader");
    // A busy broker may not answer in time; the core tries again, too.
    let end = eventually("started", || match reader.start(&partition, None) {
        Err(error) if error.kind() == Kind::Retriable => None,
        started => Some(started.expect("start")),
    });
    assert_eq!(end, Offset(4), "read-uncommitted: the open transaction counts");
    let mut fetched = Fetched::default();
    let mut read_to = |reader: &mut KafkaChangelogReader, end| {
        eventually("restored", || {
            reader.take(&partition, 100, &mut fetched).expect("take");
            reader.wait(Duration::from_millis(20));
            (reader.position(&partition) >= Some(end)).then(|| values(&fetched))
        })
    };
    assert_eq!(read_to(&mut reader, Offset(3)), ["0", "1"]);
    producer.commit_transaction().expect("commit");
    assert_eq!(read_to(&mut reader, end), ["0", "1", "3"]);

    reader.stop(&partition);
    for outside in [6, 1_000] {
        let error = reader.start(&partition, Some(Offset(outside))).expect_err("outside of the log");
        assert_eq!(error.kind(), Kind::TaskCorrupted, "{error}");
    }
    assert_eq!(reader.start(&partition, Some(Offset(5))).expect("the end is inside"), Offset(5));
    assert_eq!(reader.position(&partition), Some(Offset(5)));
}

#[test]
fn keys_go_to_the_partitions_that_java_chooses() {
    let app = App::exactly_once();
    let partitions = 7;
    let topic = app.topic("murmur2", partitions);
    // Reference §3.8: the hashes of Java's `Utils.murmur2`.
    let vectors = [
        ("21", -973_932_308_i32),
        ("foobar", -790_332_482),
        ("a-little-bit-long-string", -985_981_536),
        ("abc", 479_470_107),
    ];
    let mut batch = RecordBatch::new();
    for (key, _) in vectors {
        batch.push(millstream_core::record::Record { key: Some(key.as_bytes()), ..empty() }, 0);
    }
    let mut producer = app.producer("p", &[]);
    producer.begin_transaction().expect("begin");
    producer.send_batch(&topic, &batch, 0..batch.len()).expect("send");
    producer.flush().expect("flush");
    producer.commit_transaction().expect("commit");
    let mut consumer = app.solo();
    for (key, hash) in vectors {
        let partition = TopicPartition::new(topic.clone(), (hash & 0x7fff_ffff) % partitions);
        consumer.assign(&[(partition.clone(), Offset(0))]).expect("assign");
        let fetched = take(&mut consumer, &partition, 1);
        assert!(fetched.records.iter().any(|record| record.key == Some(key.as_bytes())), "{key} in {partition}");
    }
}

fn empty() -> millstream_core::record::Record<'static> {
    millstream_core::record::Record { key: None, value: None, timestamp: 1, headers: Headers::EMPTY }
}
