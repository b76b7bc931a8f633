//! Plugins that trap, spin or eat memory, under load on a real broker: the host stays up, the other partitions go on, and the policy
//! decides what happens to the record.
#![cfg(feature = "kafka")]

use std::collections::BTreeMap;
use std::time::Duration;

use millstream_tests::kafka::application::{Application, plugin_table};
use millstream_tests::kafka::broker::Broker;
use millstream_tests::kafka::client::{
    KafkaRecord, TopicReader, TopicRecords, committed, produce, read_all, set_topic_property,
};
use millstream_tests::kafka::expected::assert_same_records;
use millstream_tests::kafka::host::{Host, LogLine};
use millstream_tests::kafka::work::orders;
use millstream_tests::kafka::{PATIENCE, eventually, random, report};

const PARTITIONS: i32 = 3;
const RECORDS: usize = 20_000;

/// From topic `{id}-in` through the plugin to topic `{id}-out`.
fn application(name: &str, plugin: &str, keys: &str) -> Application {
    application_with_sink(name, plugin, keys, "topic = \"{id}-out\"")
}

fn application_with_sink(name: &str, plugin: &str, keys: &str, sink: &str) -> Application {
    let topology = plugin_table(plugin, keys)
        + &format!(
            r#"
[sources.in]
topics = ["{{id}}-in"]

[processors.bad]
plugin = "{plugin}"
inputs = ["in"]

[sinks.out]
{sink}
inputs = ["bad"]
"#
        );
    let application = Application::new(Broker::shared(), name, &topology);
    for topic in ["in", "out", "dead"] {
        application.create_topic(topic, PARTITIONS);
    }
    application
}

/// Orders with some records among them whose value is `bad`, all keys spread over the partitions.
fn input(bad: &str, every: usize) -> Vec<KafkaRecord> {
    let mut records = orders(RECORDS, &mut random());
    for record in records.iter_mut().skip(every / 2).step_by(every) {
        record.value = Some(bad.as_bytes().to_vec());
    }
    records
}

fn is_bad(record: &KafkaRecord, bad: &str) -> bool {
    record.value.as_deref() == Some(bad.as_bytes())
}

/// What the topic in front of the plugin holds, without the bad records.
fn good_records(application: &Application, bad: &str) -> TopicRecords {
    let mut records = read_all(&application.bootstrap, &application.topic("in"));
    records.iter_mut().for_each(|partition| partition.retain(|record| !is_bad(record, bad)));
    records
}

/// The log line that says why a task has failed.
fn failure_in(host: &mut Host) -> String {
    let failure = |line: &LogLine| line.text("failure").map(str::to_owned);
    host.await_line("the task has failed and stops; other tasks go on", failure)
}

/// A bad record in the middle of one partition: its task stops there, and says why; all other records arrive; the host does not end.
fn one_task_fails(plugin: &str, keys: &str, bad: &str, reasons: &[&str]) {
    let application = application(&format!("fail-{plugin}"), plugin, keys);
    let mut records = orders(RECORDS, &mut random());
    records[RECORDS / 2].value = Some(bad.as_bytes().to_vec());
    produce(&application.bootstrap, &application.topic("in"), &records);
    let input = read_all(&application.bootstrap, &application.topic("in"));
    let bad_at = |partition: &Vec<KafkaRecord>| partition.iter().position(|record| is_bad(record, bad));
    let (partition, at) =
        input.iter().enumerate().find_map(|(at, records)| Some((at, bad_at(records)?))).expect("it is there");

    let mut host = application.start("a");
    let failure = failure_in(&mut host);
    // The task stands where it has committed: before the bad record, and by less than a commit interval's work.
    let stands_at = committed_of(&application)[partition].unwrap_or(0) as usize;
    assert!(stands_at <= at, "the task went past the bad record {at}, to {stands_at}");
    let mut expected = input;
    expected[partition].truncate(stands_at);
    let mut reader = TopicReader::new(&application.bootstrap, &application.topic("out"));
    reader.read_until(expected.iter().map(Vec::len).sum());
    host.assert_running();
    // The others still go on.
    let later = orders(RECORDS / 10, &mut random());
    produce(&application.bootstrap, &application.topic("in"), &later);
    let input = read_all(&application.bootstrap, &application.topic("in"));
    for (other, records) in input.iter().enumerate().filter(|(other, _)| *other != partition) {
        expected[other].clone_from(records);
    }
    reader.read_until(expected.iter().map(Vec::len).sum());
    assert_same_records(reader.read_to_end(), &expected);

    let digest = sha256_of_log(&host);
    let coordinates = format!("{}-{partition} offset {at}", application.topic("in"));
    for part in [coordinates.as_str(), &digest, "0_"].iter().chain(reasons) {
        assert!(failure.contains(part), "{part:?} is missing in: {failure}");
    }
    report(format_args!("{plugin}: {}", failure.lines().next().unwrap_or_default()));
    host.signal("TERM");
    assert_eq!(host.wait().code(), Some(1), "a task has failed");
}

fn committed_of(application: &Application) -> Vec<Option<i64>> {
    committed(&application.bootstrap, &application.id, &application.topic("in"))
}

/// The digest that the host tells when it loads a plugin.
fn sha256_of_log(host: &Host) -> String {
    let lines = host.log_lines();
    let loaded = lines.iter().find(|line| line.message() == "plugin loaded").expect("a plugin was loaded");
    loaded.text("digest").expect("its digest is told").to_owned()
}

/// A record that goes through the plugin and can't be sent: its task stops and says why, all others go on, and so does the host.
fn one_record_cannot_be_sent(application: &Application, bad: impl FnOnce(&mut KafkaRecord), reason: &str) {
    let (inputs, outputs) = (application.topic("in"), application.topic("out"));
    let mut records = orders(RECORDS, &mut random());
    let to_out = ("to".to_owned(), outputs.clone().into_bytes());
    records.iter_mut().for_each(|record| record.headers.push(to_out.clone()));
    let sent_before = records[RECORDS / 2].clone();
    bad(&mut records[RECORDS / 2]);
    let bad = records[RECORDS / 2].clone();
    assert_ne!(bad, sent_before);
    produce(&application.bootstrap, &inputs, &records);
    let mut host = application.start("a");
    let failure = failure_in(&mut host);
    assert!(failure.contains(reason), "{failure}");
    let input = read_all(&application.bootstrap, &inputs);
    let is_bad = |record: &KafkaRecord| (&record.value, &record.headers) == (&bad.value, &bad.headers);
    let whole: Vec<usize> = (0..input.len()).filter(|at| !input[*at].iter().any(is_bad)).collect();
    assert_eq!(whole.len() + 1, input.len());
    eventually("the other partitions arrive", PATIENCE, || {
        let output = read_all(&application.bootstrap, &outputs);
        whole.iter().all(|at| output[*at].len() == input[*at].len()).then_some(())
    });
    host.assert_running();
    host.signal("TERM");
    assert_eq!(host.wait().code(), Some(1), "a task has failed");
}

fn make_large(record: &mut KafkaRecord) {
    record.value = Some(vec![b'x'; 100_000]);
}

#[test]
fn a_record_that_is_too_large_stops_its_task_alone() {
    let application = application("too-large", "fixture-trap", "").kafka("\"message.max.bytes\" = \"20000\"");
    one_record_cannot_be_sent(&application, make_large, "too large: raise `max.message.bytes` of the topic");
}

/// The refusal comes with the delivery report, when another task may be at work.
#[test]
fn a_record_that_only_the_broker_finds_too_large_stops_its_task_alone() {
    let application = application("too-large-there", "fixture-trap", "");
    set_topic_property(&application.bootstrap, &application.topic("out"), "max.message.bytes", "20000");
    one_record_cannot_be_sent(&application, make_large, "too large: raise `max.message.bytes` of the topic");
}

#[test]
fn a_record_without_a_key_for_a_compacted_topic_stops_its_task_alone() {
    let application = application("compacted", "fixture-trap", "");
    set_topic_property(&application.bootstrap, &application.topic("out"), "cleanup.policy", "compact");
    let lose_key = |record: &mut KafkaRecord| (record.key, record.value) = (None, Some(b"without a key".to_vec()));
    one_record_cannot_be_sent(&application, lose_key, "a compacted topic needs keys");
}

/// A topic that is only missing would be created by this broker, as it is for Kafka Streams.
#[test]
fn a_record_that_names_a_topic_which_cannot_be_stops_its_task_alone() {
    let application = application_with_sink("misdirected", "fixture-trap", "", "topic-from = \"header:to\"");
    let misdirect = |record: &mut KafkaRecord| record.headers = vec![("to".to_owned(), b"no such topic!".to_vec())];
    one_record_cannot_be_sent(&application, misdirect, "no such topic!");
}

#[test]
fn a_plugin_that_traps_stops_its_task_with_the_record_the_digest_and_the_backtrace() {
    one_task_fails("fixture-trap", "", "trap", &["trapped", "boom: the value is `trap`", "refuse_to_go_on_if_told"]);
}

#[test]
fn a_plugin_that_spins_is_ended_at_its_deadline() {
    one_task_fails("fixture-spin", "deadline = \"300ms\"", "spin", &["deadline"]);
}

#[test]
fn a_plugin_that_takes_all_memory_is_stopped_at_its_limit() {
    // This fixture keeps a mebibyte for each record, so it gets few.
    let application = application("fail-memory", "fixture-hog-memory", "memory-max = \"64MiB\"");
    let records = orders(30, &mut random());
    produce(&application.bootstrap, &application.topic("in"), &records);
    let all = KafkaRecord { value: Some(b"all".to_vec()), ..records[0].clone() };
    produce(&application.bootstrap, &application.topic("in"), &[all]);
    let mut expected = read_all(&application.bootstrap, &application.topic("in"));
    let mut host = application.start("a");
    let failure = failure_in(&mut host);
    for (records, stands_at) in expected.iter_mut().zip(committed_of(&application)) {
        if records.last().is_some_and(|last| is_bad(last, "all")) {
            records.truncate(stands_at.unwrap_or(0) as usize);
        }
    }
    let mut reader = TopicReader::new(&application.bootstrap, &application.topic("out"));
    reader.read_until(expected.iter().map(Vec::len).sum());
    host.assert_running();
    assert_same_records(reader.read_to_end(), &expected);
    assert!(failure.contains("memory") && failure.contains(&sha256_of_log(&host)), "{failure}");
    report(format_args!("fixture-hog-memory: {}", failure.lines().next().unwrap_or_default()));
}

#[test]
fn skipped_records_are_missing_and_all_others_are_there_once() {
    let application = application("skip", "fixture-trap", "on-error = \"skip\"");
    produce(&application.bootstrap, &application.topic("in"), &input("trap", 2_000));
    let expected = good_records(&application, "trap");
    let host = application.start("a");
    let mut reader = TopicReader::new(&application.bootstrap, &application.topic("out"));
    reader.read_until(expected.iter().map(Vec::len).sum());
    await_consumed(&application);
    host.stop();
    assert_same_records(reader.read_to_end(), &expected);
}

#[test]
fn dead_letters_are_committed_with_the_rest_and_say_where_they_come_from() {
    let application =
        application("dead-letter", "fixture-trap", "on-error = \"dead-letter\"\ndead-letter-topic = \"{id}-dead\"");
    produce(&application.bootstrap, &application.topic("in"), &input("trap", 2_000));
    let expected = good_records(&application, "trap");
    let mut host = application.start("a");
    // Killed once in between: what is passed over is found anew, and not sent twice.
    let mut reader = TopicReader::new(&application.bootstrap, &application.topic("out"));
    reader.read_until(1);
    host.kill();
    let host = application.start("a");
    reader.read_until(expected.iter().map(Vec::len).sum());
    await_consumed(&application);
    host.stop();
    assert_same_records(reader.read_to_end(), &expected);
    assert_dead_letters(&application, "trap");
}

fn assert_dead_letters(application: &Application, bad: &str) {
    let source = application.topic("in");
    let mut expected: BTreeMap<(String, String), KafkaRecord> = BTreeMap::new();
    for (partition, records) in read_all(&application.bootstrap, &source).into_iter().enumerate() {
        for record in records.into_iter().filter(|record| is_bad(record, bad)) {
            expected.insert((partition.to_string(), record.offset.to_string()), record);
        }
    }
    assert_eq!(expected.len(), RECORDS / 2_000, "the bad records of the input");
    for letter in read_all(&application.bootstrap, &application.topic("dead")).into_iter().flatten() {
        let header = |name: &str| letter.header(&format!("__streams.errors.{name}")).unwrap_or_default();
        assert_eq!(header("topic"), source);
        let origin = expected.remove(&(header("partition"), header("offset")));
        let origin =
            origin.unwrap_or_else(|| panic!("a dead letter that was sent twice, or of a good record: {letter:?}"));
        assert_eq!((&letter.key, &letter.value), (&origin.key, &origin.value));
        assert!(!header("exception").is_empty(), "{letter:?}");
        assert!(header("message").contains("boom"), "{letter:?}");
    }
    assert!(expected.is_empty(), "no dead letter for {expected:?}");
}

/// Waits until the group has committed the end of the input.
fn await_consumed(application: &Application) {
    let input = read_all(&application.bootstrap, &application.topic("in"));
    eventually("the input is consumed", PATIENCE + Duration::from_secs(60), || {
        let committed = committed_of(application);
        let reached = |(records, committed): (&Vec<KafkaRecord>, &Option<i64>)| {
            records.last().is_none_or(|last| committed.is_some_and(|committed| committed > last.offset))
        };
        input.iter().zip(&committed).all(reached).then_some(())
    });
}
