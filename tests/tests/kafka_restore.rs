//! Restores on a real broker, and what the Java library sees: our restored state equals the original byte for byte, and the state that
//! Kafka Streams restores from our changelog equals ours; Kafka's own consumers read our output.
#![cfg(feature = "kafka")]

use std::collections::BTreeMap;
use std::time::Duration;

use millstream_core::id::TaskId;
use millstream_tests::kafka::application::{Application, tally, word_count};
use millstream_tests::kafka::broker::Broker;
use millstream_tests::kafka::client::{KafkaRecord, TestProducer, TopicReader, produce};
use millstream_tests::kafka::expected::{assert_words, word_total, words};
use millstream_tests::kafka::host::Host;
use millstream_tests::kafka::java;
use millstream_tests::kafka::state::{entries, visit_store};
use millstream_tests::kafka::work::{lines, now};
use millstream_tests::kafka::{random, report};

const KEYS: usize = 1_000_000;

/// The seconds between the first line that says "restoring" and the last that says "restored", and the records between them.
fn restore_of(host: &mut Host, stores: usize) -> (f64, u64) {
    host.await_line("tasks assigned", |_| Some(()));
    let done = |lines: &[_]| lines.len() == stores;
    millstream_tests::kafka::eventually("all stores are restored", Duration::from_secs(120), || {
        host.assert_running();
        let lines = host.log_lines();
        let restored: Vec<_> = lines.iter().filter(|line| line.message() == "restored").cloned().collect();
        done(&restored).then_some(())
    });
    let lines = host.log_lines();
    let times = |message: &str| {
        let of_message: Vec<f64> =
            lines.iter().filter(|line| line.message() == message).map(|line| line.seconds_of_day()).collect();
        of_message
    };
    let began = times("restoring").into_iter().fold(f64::INFINITY, f64::min);
    let ended = times("restored").into_iter().fold(0.0, f64::max);
    (ended - began, host.records_restored())
}

#[test]
fn a_million_keys_restored_into_an_empty_directory_are_the_original_byte_for_byte() {
    const PARTITIONS: i32 = 2;
    let application = Application::new(Broker::shared(), "restore", &tally());
    let orders = application.create_topic("orders", PARTITIONS);
    application.create_topic("tallies", PARTITIONS);
    let producer = TestProducer::new(&application.bootstrap, &orders);
    let now = now();
    for number in 0..KEYS {
        producer.send(&KafkaRecord::new(Some(&format!("customer-{number:012}")), "order", now));
    }
    producer.flush();
    let host = application.start("original");
    TopicReader::new(&application.bootstrap, &application.topic("tallies")).read_until(KEYS);
    host.stop();
    let mut host = application.start("copy");
    let (seconds, records) = restore_of(&mut host, PARTITIONS as usize);
    assert_eq!(host.stop().as_secs(), 0, "nothing was left to do");
    assert!(records >= KEYS as u64, "all keys come from the changelog");
    let mut total = 0;
    for partition in 0..PARTITIONS {
        let [original, copy] = ["original", "copy"].map(|process| {
            let mut all = Vec::new();
            let directory = application.state_directory(process);
            visit_store(&directory, &application.id, TaskId::new(0, partition), "counts", |key, value| {
                all.extend_from_slice(&(key.len() as u32).to_be_bytes());
                all.extend_from_slice(key);
                all.extend_from_slice(&(value.len() as u32).to_be_bytes());
                all.extend_from_slice(value);
                total += 1;
            });
            all
        });
        assert!(original == copy, "the stores of partition {partition} differ");
    }
    assert_eq!(total, 2 * KEYS, "every key is in both");
    let rate = records as f64 / seconds / 1000.0;
    report(format_args!("restored {records} records in {seconds:.2} s: {rate:.0} thousand a second"));
}

#[test]
fn java_programs_read_our_output_and_the_java_library_restores_our_state() {
    const PARTITIONS: i32 = 3;
    let application = Application::new(Broker::shared(), "java", &word_count());
    let (source, sink) = (application.create_topic("lines", PARTITIONS), application.create_topic("words", PARTITIONS));
    let lines = lines(5_000, &mut random());
    produce(&application.bootstrap, &source, &lines);
    let expected = words(&lines);
    let mut reader = TopicReader::new(&application.bootstrap, &sink);
    let host = application.start("a");
    reader.read_until(word_total(&expected));
    host.stop();
    assert_words(reader.read_to_end(), &expected);
    let ours: Vec<KafkaRecord> = reader.records.into_iter().flatten().collect();

    let with_times =
        |record: &KafkaRecord| format!("{}\t{}\t{}", record.key_text(), record.value_long(), record.timestamp);
    let read = java::lines_of("ReadLongs", &[&application.bootstrap, &sink]);
    assert_same_lines_by_word(&read, &ours.iter().map(with_times).collect::<Vec<_>>());

    let consumer = "org.apache.kafka.tools.consumer.ConsoleConsumer";
    let count = ours.len().to_string();
    let deserializer = "value.deserializer=org.apache.kafka.common.serialization.LongDeserializer";
    let arguments = [
        ["--bootstrap-server", &application.bootstrap],
        ["--topic", &sink],
        ["--max-messages", &count],
        ["--isolation-level", "read_committed"],
        ["--formatter-property", "print.key=true"],
        ["--formatter-property", deserializer],
        ["--timeout-ms", "20000"],
    ];
    let arguments: Vec<&str> = arguments.iter().flatten().copied().chain(["--from-beginning"]).collect();
    let read = java::lines_of(consumer, &arguments);
    let without_times = |record: &KafkaRecord| format!("{}\t{}", record.key_text(), record.value_long());
    assert_same_lines_by_word(&read, &ours.iter().map(without_times).collect::<Vec<_>>());

    // Timestamped stores keep the timestamp in front of the value; the Java library hands both out.
    let restored = java::lines_of("RestoreStore", &[&application.bootstrap, &application.id, "word-counts", &source]);
    let tasks = (0..PARTITIONS).map(|partition| TaskId::new(1, partition));
    let state = application.state_directory("a");
    let mut ours: Vec<String> = entries(&state, &application.id, tasks, "word-counts")
        .iter()
        .map(|(key, value)| {
            let (timestamp, count) = value.split_at(8);
            let timestamp = i64::from_be_bytes(timestamp.try_into().expect("8 bytes"));
            format!("{}\t{}\t{timestamp}", java::hex(key), java::hex(count))
        })
        .collect();
    ours.sort();
    assert_eq!(restored.len(), expected.len(), "every word has a count");
    assert_eq!(restored, ours, "the Java library's restored store, and ours");
    report(format_args!(
        "Java's consumers read the same {count} records, Kafka Streams restored the same {} entries",
        ours.len()
    ));
}

/// Partitions interleave as it happens, so only the order of each word's lines counts.
fn assert_same_lines_by_word(found: &[String], expected: &[String]) {
    let by_word = |lines: &[String]| {
        let mut by_word: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in lines {
            let (word, rest) = line.split_once('\t').expect("a line has columns");
            by_word.entry(word.to_owned()).or_default().push(rest.to_owned());
        }
        by_word
    };
    assert_eq!(found.len(), expected.len(), "the number of records");
    assert_eq!(by_word(found), by_word(expected), "what Java reads, and what we read");
}
