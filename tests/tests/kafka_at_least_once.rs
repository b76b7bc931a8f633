//! At-least-once on a real broker: under kills some records have their effect twice, and none is lost.
#![cfg(feature = "kafka")]

use std::collections::{BTreeMap, BTreeSet};
use std::thread::sleep;
use std::time::Duration;

use millstream_tests::kafka::application::{Application, pass_through, word_count};
use millstream_tests::kafka::broker::Broker;
use millstream_tests::kafka::client::{KafkaRecord, committed, read_all};
use millstream_tests::kafka::expected::words;
use millstream_tests::kafka::work::{Trickle, lines, orders};
use millstream_tests::kafka::{PATIENCE, eventually, random, report};

const PARTITIONS: i32 = 4;
const RECORDS: usize = 100_000;
const KILLS: usize = 10;

#[test]
fn under_kills_nothing_is_lost() {
    let settings = "processing-guarantee = \"at-least-once\"\ncommit-interval = \"200ms\"";
    let topology = word_count() + &pass_through();
    let application = Application::new(Broker::shared(), "at-least-once", &topology).settings(settings);
    for topic in ["lines", "words", "in", "out"] {
        application.create_topic(topic, PARTITIONS);
    }
    let mut random = random();
    let (lines, orders) = (lines(RECORDS, &mut random), orders(RECORDS, &mut random));
    let size = RECORDS / KILLS;
    for (lines, orders) in lines.chunks(size).zip(orders.chunks(size)) {
        let write = |topic, records: &[KafkaRecord]| {
            let topic = application.topic(topic);
            Trickle::start(&application.bootstrap, &topic, records.to_vec(), Duration::from_millis(800))
        };
        let trickles = [write("lines", lines), write("in", orders)];
        let mut host = application.start("a");
        host.await_line("tasks assigned", |_| Some(()));
        sleep(Duration::from_millis(random.u64(100..900)));
        host.kill();
        trickles.into_iter().for_each(Trickle::finish);
    }
    let host = application.start("a");
    await_consumed(&application, &["lines", "in"]);
    await_consumed(&application, &["word-counts-repartition"]);
    host.stop();
    let output = read_all(&application.bootstrap, &application.topic("out"));
    let found: BTreeSet<&[u8]> = output.iter().flatten().filter_map(|record| record.value.as_deref()).collect();
    let lost = orders.iter().filter(|order| !found.contains(order.value.as_deref().unwrap_or_default()));
    assert_eq!(lost.count(), 0, "orders that are nowhere in the output");
    let twice = output.iter().map(Vec::len).sum::<usize>() - RECORDS;
    let counts = highest_counts(&read_all(&application.bootstrap, &application.topic("words")));
    for (word, (count, _)) in words(&lines) {
        let found = counts.get(&word).copied().unwrap_or(0);
        assert!(found >= count, "{word:?} was counted {found} times instead of {count}");
    }
    report(format_args!("{KILLS} kills: 0 of {RECORDS} lost, {twice} twice"));
}

/// Waits until the group has committed the ends of all partitions of `topics`.
fn await_consumed(application: &Application, topics: &[&str]) {
    for topic in topics.iter().map(|topic| application.topic(topic)) {
        eventually(&format!("{topic} is consumed"), PATIENCE, || {
            let ends = read_all(&application.bootstrap, &topic);
            let committed = committed(&application.bootstrap, &application.id, &topic);
            let reached = |(records, committed): (&Vec<KafkaRecord>, &Option<i64>)| {
                records.last().is_none_or(|last| committed.is_some_and(|committed| committed > last.offset))
            };
            ends.iter().zip(&committed).all(reached).then_some(())
        });
    }
}

fn highest_counts(output: &[Vec<KafkaRecord>]) -> BTreeMap<String, i64> {
    let mut counts = BTreeMap::new();
    for record in output.iter().flatten() {
        let count = counts.entry(record.key_text().to_owned()).or_insert(0);
        *count = record.value_long().max(*count);
    }
    counts
}
