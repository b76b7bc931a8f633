//! What the adapters cost: passes records from one topic to another, exactly once, with a commit each 100 ms.
//!
//! ```text
//! cargo run --release -p millstream-kafka --example pass_through -- localhost:9092 2000000 4
//! ```

#![allow(clippy::print_stdout, reason = "a program that prints its measurement")]

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::time::{Duration, Instant};

use millstream_core::commit::ProcessingGuarantee;
use millstream_core::id::{Offset, TaskId, TopicName, TopicPartition};
use millstream_core::port::{Broker, CommittedOffset, Consumer, Fetched, Producer};
use millstream_core::record::{Headers, Record, RecordBatch};
use millstream_kafka::{InternalTopic, KafkaAdmin, KafkaBroker, KafkaConfig, KafkaConsumer, KafkaSettings, Membership};

const COMMIT_INTERVAL: Duration = Duration::from_millis(100);
const BATCH: usize = 1_000;
const VALUE_BYTES: usize = 100;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let brokers = arguments.next().ok_or("usage: pass_through BROKERS [RECORDS] [PARTITIONS]")?;
    let records: usize = arguments.next().map_or(Ok(2_000_000), |text| text.parse())?;
    let partitions: i32 = arguments.next().map_or(Ok(4), |text| text.parse())?;
    let id = format!("pass-through-{}", std::process::id());
    let config = KafkaConfig::new(KafkaSettings {
        application_id: id.clone(),
        guarantee: ProcessingGuarantee::ExactlyOnce,
        process_id: "p".to_owned(),
        transaction_timeout: Duration::from_secs(10),
        properties: BTreeMap::from([("bootstrap.servers".to_owned(), brokers)]),
    })?;
    let topic = |name: &str| InternalTopic {
        name: format!("{id}-{name}"),
        partitions,
        replication: 1,
        // The records bear timestamps of 1970, which retention would delete.
        configs: vec![("retention.ms".to_owned(), "-1".to_owned())],
    };
    let admin = KafkaAdmin::new(&config)?;
    admin.connect(Duration::from_secs(10))?;
    admin.ensure_topics(&[topic("in"), topic("out")])?;
    let (input, output) = (TopicName::from(topic("in").name), TopicName::from(topic("out").name));
    let mut broker = KafkaBroker::new(config.clone(), 1);
    let mut producer = broker.producer(&[])?;
    fill(&mut *producer, &input, records)?;
    drop(producer);

    let producer = broker.producer(&[])?;
    let consumer = KafkaConsumer::new(&config, 1, Membership::Solo { tasks: BTreeSet::from([TaskId::new(0, 0)]) })?;
    let partitions = (0..partitions).map(|number| TopicPartition::new(input.clone(), number)).collect();
    let (start, cpu) = (Instant::now(), cpu_seconds()?);
    pass(consumer, producer, partitions, &output, records)?;
    let (wall, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds()? - cpu);
    let millions = records as f64 / 1e6;
    println!(
        "{:.0} records/s, {:.2} CPU-s per million, {wall:.2} s, peak resident {} MiB",
        records as f64 / wall,
        cpu / millions,
        peak_resident_mib()?
    );
    Ok(())
}

fn fill(producer: &mut dyn Producer, topic: &TopicName, records: usize) -> Result<(), Box<dyn Error>> {
    let mut sent = 0;
    while sent < records {
        producer.begin_transaction()?;
        let mut batch = RecordBatch::new();
        for number in sent..records.min(sent + 100_000) {
            let key = (number as u64).to_be_bytes();
            let value = [b'v'; VALUE_BYTES];
            let record =
                Record { key: Some(&key), value: Some(&value), timestamp: number as i64 + 1, headers: Headers::EMPTY };
            batch.push(record, 0);
        }
        producer.send_batch(topic, &batch, 0..batch.len())?;
        producer.flush()?;
        producer.commit_transaction()?;
        sent += batch.len();
    }
    Ok(())
}

fn pass(
    mut consumer: KafkaConsumer,
    mut producer: Box<dyn Producer>,
    partitions: Vec<TopicPartition>,
    output: &TopicName,
    records: usize,
) -> Result<(), Box<dyn Error>> {
    let begin: Vec<_> = partitions.iter().map(|partition| (partition.clone(), Offset(0))).collect();
    consumer.assign(&begin)?;
    let mut fetched = Fetched::default();
    let (mut passed, mut committed, mut last_commit) = (0, 0, Instant::now());
    while committed < records {
        consumer.poll_event()?;
        let before = passed;
        for partition in &partitions {
            fetched.clear();
            let taken = consumer.take(partition, BATCH, &mut fetched)?;
            if taken > 0 && passed == committed {
                producer.begin_transaction()?;
            }
            producer.send_batch(output, &fetched.records, 0..taken)?;
            passed += taken;
        }
        if passed > committed && (last_commit.elapsed() >= COMMIT_INTERVAL || passed == records) {
            producer.flush()?;
            let position = |partition: &TopicPartition| {
                let offset = consumer.position(partition).unwrap_or(Offset(0));
                (partition.clone(), CommittedOffset { offset, metadata: String::new() })
            };
            let offsets: Vec<_> = partitions.iter().map(position).collect();
            producer.send_offsets(&offsets, &consumer.group_metadata())?;
            producer.commit_transaction()?;
            (committed, last_commit) = (passed, Instant::now());
        } else if passed == before {
            consumer.wait(Duration::from_millis(10));
        }
    }
    Ok(())
}

/// User and system time of this process; Linux counts it in hundredths of a second.
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit_once(')').ok_or("unexpected /proc/self/stat")?.1;
    let ticks: Result<Vec<f64>, _> = after_name.split_whitespace().skip(11).take(2).map(str::parse).collect();
    Ok(ticks?.iter().sum::<f64>() / 100.0)
}

fn peak_resident_mib() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM")).ok_or("unexpected /proc/self/status")?;
    let kib: u64 = line.split_whitespace().nth(1).ok_or("unexpected /proc/self/status")?.parse()?;
    Ok(kib / 1024)
}
