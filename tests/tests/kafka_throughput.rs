//! Throughput on a real broker, one stream thread, beside a raw librdkafka loop in the same run: what the engine costs is what it takes
//! more than that. Times differ from machine to machine; the ratio is the point.
#![cfg(feature = "kafka")]

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use millstream_tests::kafka::application::{Application, pass_through, word_count};
use millstream_tests::kafka::broker::Broker;
use millstream_tests::kafka::client::{KafkaRecord, TestProducer, TransactionWatch, create_topic};
use millstream_tests::kafka::expected::{word_total, words};
use millstream_tests::kafka::host::{cpu_time_of, program};
use millstream_tests::kafka::work::{lines, now};
use millstream_tests::kafka::{PATIENCE, eventually, random, report};

const PARTITIONS: i32 = 4;
/// Records of 108 bytes.
const RECORDS: usize = 2_000_000;
const LINES: usize = 300_000;
/// The bar: CPU a record of the pass-through, compared with the raw loop.
const RATIO_MAX: f64 = 2.0;

/// What a process has done between its first committed output and its last.
#[derive(Clone, Copy, Debug)]
struct Measured {
    cpu_seconds_per_million: f64,
    records_per_second: f64,
}

impl std::fmt::Display for Measured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let thousands = self.records_per_second / 1000.0;
        write!(f, "{:.2} CPU-s per million, {thousands:.0} thousand records a second", self.cpu_seconds_per_million)
    }
}

/// Watches a process that was just started until `records` are committed in `topic`. What it does before its first commit (it starts,
/// connects, joins) does not count.
fn measure(process: u32, bootstrap: &str, topic: &str, records: usize) -> Measured {
    let watch = TransactionWatch::new(bootstrap, &[topic]);
    // A control record in each partition for each transaction, some hundred of millions, does not matter.
    let committed = || watch.stable_end();
    let first = eventually("the first commit", PATIENCE, || Some(committed()).filter(|count| *count > 0));
    let (start, cpu) = (Instant::now(), cpu_time_of(process));
    eventually("the last commit", PATIENCE * 3, || (committed() >= records as i64).then_some(()));
    let (elapsed, cpu) = (start.elapsed().as_secs_f64(), cpu_time_of(process) - cpu);
    let done = (records as i64 - first) as f64;
    Measured { cpu_seconds_per_million: cpu.as_secs_f64() / done * 1e6, records_per_second: done / elapsed }
}

/// Kills the process at the end, whatever the end is.
struct RawLoop(Child);

impl Drop for RawLoop {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn measure_raw_loop(bootstrap: &str, input: &str, output: &str) -> Measured {
    create_topic(bootstrap, output, PARTITIONS);
    let child = Command::new(program("raw-loop")).args([bootstrap, input, output, &PARTITIONS.to_string()]).spawn();
    let child = RawLoop(child.expect("the program starts"));
    measure(child.0.id(), bootstrap, output, RECORDS)
}

fn measure_pass_through(broker: &Broker, input: &str) -> Measured {
    let topology = pass_through().replace("{id}-in", input);
    let application = Application::new(broker, "pass", &topology);
    let output = application.create_topic("out", PARTITIONS);
    let host = application.start("a");
    let measured = measure(host.id(), &application.bootstrap, &output, RECORDS);
    host.stop();
    measured
}

#[test]
fn a_pass_through_costs_at_most_twice_what_librdkafka_alone_costs() {
    let broker = Broker::shared();
    create_topic(broker.bootstrap(), "input", PARTITIONS);
    let producer = TestProducer::new(broker.bootstrap(), "input");
    let mut record = KafkaRecord { value: Some(vec![b'v'; 100]), timestamp: now(), ..KafkaRecord::default() };
    for number in 0..RECORDS as u64 {
        record.key = Some(number.to_be_bytes().to_vec());
        producer.send(&record);
    }
    producer.flush();
    // By turns, so that what else the machine does meets both; the better of each counts.
    let mut rounds = Vec::new();
    for round in 0..2 {
        let raw = measure_raw_loop(broker.bootstrap(), "input", &format!("raw-{round}"));
        report(format_args!("raw librdkafka loop: {raw}"));
        let pass = measure_pass_through(broker, "input");
        report(format_args!("pass-through:        {pass}"));
        rounds.push((raw, pass));
    }
    let least = |cost: fn(&(Measured, Measured)) -> Measured| {
        rounds.iter().map(|round| cost(round).cpu_seconds_per_million).fold(f64::INFINITY, f64::min)
    };
    let ratio = least(|(_, pass)| *pass) / least(|(raw, _)| *raw);
    report(format_args!("CPU a record, pass-through to raw loop: {ratio:.2}"));
    assert!(ratio <= RATIO_MAX, "the pass-through costs {ratio:.2} times what the raw loop costs");
}

#[test]
fn word_count_is_measured() {
    let application = Application::new(Broker::shared(), "word-count", &word_count());
    let input = application.create_topic("lines", PARTITIONS);
    let output = application.create_topic("words", PARTITIONS);
    let lines = lines(LINES, &mut random());
    millstream_tests::kafka::client::produce(&application.bootstrap, &input, &lines);
    let total = word_total(&words(&lines));
    let host = application.start("a");
    let words = measure(host.id(), &application.bootstrap, &output, total);
    host.stop();
    let words_a_line = total as f64 / LINES as f64;
    let lines = Measured {
        cpu_seconds_per_million: words.cpu_seconds_per_million * words_a_line,
        records_per_second: words.records_per_second / words_a_line,
    };
    report(format_args!("word count, lines of {words_a_line:.1} words: {lines} (lines); {words} (words)"));
    assert!(words.records_per_second > 10_000.0, "{words}");
    assert!(lines.cpu_seconds_per_million < 100.0, "{lines}: slower than Kafka Streams");
    assert!(Duration::from_secs_f64(total as f64 / words.records_per_second) < PATIENCE);
}
