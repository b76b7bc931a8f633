//! The life of a process on a broker with Kafka's default settings: it comes back at once, it drains when asked, it ends at once when
//! asked twice.
#![cfg(feature = "kafka")]

use std::thread::sleep;
use std::time::{Duration, Instant};

use millstream_tests::kafka::application::{Application, word_count};
use millstream_tests::kafka::broker::Broker;
use millstream_tests::kafka::client::{TopicReader, high_watermarks, produce, read_all};
use millstream_tests::kafka::expected::{assert_words, word_total, words};
use millstream_tests::kafka::work::{Trickle, lines};
use millstream_tests::kafka::{PATIENCE, random, report};

const PARTITIONS: i32 = 2;
/// How soon a process that comes back must have committed something.
const BACK_WITHIN: Duration = Duration::from_secs(2);
/// How soon a process that is asked to end must have ended.
const DRAINED_WITHIN: Duration = Duration::from_secs(5);

fn word_count_application(name: &str, group_protocol: &str) -> Application {
    let settings = format!("group-protocol = \"{group_protocol}\"");
    let application = Application::new(Broker::shared_default(), name, &word_count()).settings(&settings);
    application.create_topic("lines", PARTITIONS);
    application.create_topic("words", PARTITIONS);
    application
}

/// Reads until there is a committed record at or after the offsets `from` of the partitions, and tells how long after `since` that was.
fn time_to_output(reader: &mut TopicReader, from: &[i64], since: Instant) -> Duration {
    loop {
        if let Some(partition) = reader.poll(Duration::from_millis(5)) {
            let newest = reader.records[partition].last().expect("a record was read");
            if newest.offset >= from[partition] {
                return since.elapsed();
            }
        }
        assert!(since.elapsed() < PATIENCE, "nothing is committed any more");
    }
}

/// Ends a process in the middle of its work and starts it again, three times, under a trickle of records.
fn comes_back(group_protocol: &str, signal: &str) {
    let application =
        word_count_application(&format!("back-{group_protocol}-{}", signal.to_lowercase()), group_protocol);
    let lines = lines(30_000, &mut random());
    // A line each 3 ms, for longer than the test takes.
    let topic = application.topic("lines");
    let trickle = Trickle::start(&application.bootstrap, &topic, lines, Duration::from_secs(90));
    let mut reader = TopicReader::new(&application.bootstrap, &application.topic("words"));
    let mut host = application.start("a");
    let first = time_to_output(&mut reader, &[0; PARTITIONS as usize], host.started);
    let mut times = Vec::new();
    for round in 0..3 {
        sleep(Duration::from_millis(700 + 130 * round));
        if signal == "KILL" {
            host.kill();
        } else {
            host.stop();
        }
        // What comes before belongs to the former process.
        let from = high_watermarks(&application.bootstrap, &application.topic("words"));
        host = application.start("a");
        times.push(time_to_output(&mut reader, &from, host.started));
    }
    let written = trickle.stop();
    let expected = words(&written);
    reader.read_until(word_total(&expected));
    host.stop();
    assert_words(reader.read_to_end(), &expected);
    report(format_args!(
        "{group_protocol}, SIG{signal}: first committed output {first:.2?} after the first start, {times:.2?} after the next"
    ));
    let slowest = times.iter().max().expect("three times");
    assert!(*slowest < BACK_WITHIN, "it took {slowest:?}, more than {BACK_WITHIN:?}");
}

#[test]
fn a_killed_process_without_a_group_is_back_within_two_seconds() {
    comes_back("solo", "KILL");
}

#[test]
fn a_stopped_process_without_a_group_is_back_within_two_seconds() {
    comes_back("solo", "TERM");
}

#[test]
fn a_killed_member_of_a_group_is_back_within_two_seconds() {
    comes_back("consumer", "KILL");
}

#[test]
fn a_stopped_member_of_a_group_is_back_within_two_seconds() {
    comes_back("consumer", "TERM");
}

#[test]
fn asked_to_end_it_commits_what_it_has_and_leaves() {
    let application = word_count_application("drained", "consumer");
    let lines = lines(50_000, &mut random());
    let topic = application.topic("lines");
    let trickle = Trickle::start(&application.bootstrap, &topic, lines.clone(), Duration::from_secs(3));
    let mut reader = TopicReader::new(&application.bootstrap, &application.topic("words"));
    let host = application.start("a");
    time_to_output(&mut reader, &[0; PARTITIONS as usize], host.started);
    let drained = host.stop();
    report(format_args!("drained within {drained:.2?} under load"));
    assert!(drained < DRAINED_WITHIN, "draining took {drained:?}");
    trickle.finish();
    // What it had read and not finished is processed by the next one, which has nothing to restore.
    let host = application.start("a");
    let expected = words(&lines);
    reader.read_until(word_total(&expected));
    assert_eq!(host.records_restored(), 0, "the state was complete after a clean end");
    host.stop();
    assert_words(reader.read_to_end(), &expected);
}

#[test]
fn asked_twice_it_ends_at_once_and_loses_nothing() {
    let application = word_count_application("twice", "consumer");
    let lines = lines(20_000, &mut random());
    let mut reader = TopicReader::new(&application.bootstrap, &application.topic("words"));
    let mut host = application.start("a");
    host.await_line("tasks assigned", |_| Some(()));
    // Nobody answers, so that the drain must wait.
    produce(&application.bootstrap, &application.topic("lines"), &lines);
    time_to_output(&mut reader, &[0; PARTITIONS as usize], Instant::now());
    Broker::shared_default().freeze();
    host.signal("TERM");
    sleep(Duration::from_millis(200));
    host.assert_running();
    let asked_again = Instant::now();
    host.signal("TERM");
    let status = host.wait();
    let took = asked_again.elapsed();
    Broker::shared_default().thaw();
    assert_eq!(status.code(), Some(1), "it did not drain");
    assert!(took < Duration::from_secs(1), "it ended {took:?} after the second signal");
    let host = application.start("a");
    let expected = words(&lines);
    reader.read_until(word_total(&expected));
    host.stop();
    assert_words(&read_all(&application.bootstrap, &application.topic("words")), &expected);
}
