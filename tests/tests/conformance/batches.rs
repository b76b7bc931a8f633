//! The processors `echo`, `batch` and `count`: whatever a record is, and whatever the size of a batch.

use std::collections::BTreeMap;

use millstream_tests::driver::TestRecord;

use crate::Case;
use crate::stage::{Plugin, Setting, TASK};

pub const CASES: &[Case] = &[
    ("records of every shape pass unchanged in batches of every size", echo),
    ("a batch of one and a batch of 100 000 records arrive whole", batch_sizes),
    ("counts are right in batches of every size and after a restart", count),
];

fn setting(processor: &'static str, records_max: usize) -> Setting {
    let stores: &[&str] = if processor == "count" { &["plain"] } else { &[] };
    Setting { processor, stores, records_max, ..Setting::default() }
}

/// Bytes of any kind: null, empty, text, bytes that are no text.
fn any_bytes(random: &mut fastrand::Rng) -> Option<Vec<u8>> {
    match random.u8(0..6) {
        0 => None,
        1 => Some(Vec::new()),
        2 => Some("käse 😀".into()),
        _ => Some((0..random.usize(0..40)).map(|_| random.u8(..)).collect()),
    }
}

fn any_record(random: &mut fastrand::Rng, timestamp: i64) -> TestRecord {
    let (key, value) = (any_bytes(random), any_bytes(random));
    let record = TestRecord::with(key.as_deref(), value.as_deref(), timestamp);
    let names = ["", "a", "a", "trace-id", "größe"];
    let headers = if random.bool() { 0 } else { random.usize(0..4) };
    (0..headers)
        .fold(record, |record, _| record.header(names[random.usize(..names.len())], any_bytes(random).as_deref()))
}

fn echo(plugin: &Plugin) {
    let mut random = fastrand::Rng::with_seed(7);
    let records: Vec<_> = (0..3000).map(|time| any_record(&mut random, time)).collect();
    for records_max in [1, 2, 100, 1000] {
        let mut stage = plugin.stage(setting("echo", records_max));
        let count = if records_max == 1 { 300 } else { records.len() };
        records[..count].iter().for_each(|record| stage.driver.write("in", Some(0), record));
        stage.run();
        stage.assert_sound();
        let found = stage.output();
        let differs = found.iter().zip(&records).position(|(found, given)| found != given);
        assert_eq!(differs.map(|at| (&found[at], &records[at])), None, "batches of {records_max}");
        assert_eq!(found.len(), count, "batches of {records_max}");
    }
}

fn batch_sizes(plugin: &Plugin) {
    let records_max = 100_000;
    for processor in ["batch", "echo"] {
        let mut stage = plugin.stage(setting(processor, records_max));
        let write = |stage: &mut crate::stage::Stage, time: i64| {
            stage.driver.write("in", None, &TestRecord::with(None, Some(b"12345"), time));
        };
        // What came before is how the host knows that these records are small.
        for time in 0..100 {
            write(&mut stage, time);
            stage.run();
        }
        let alone = if processor == "batch" { "1" } else { "12345" };
        assert_eq!(stage.texts(), [alone; 100], "{processor}");
        (0..records_max as i64).for_each(|time| write(&mut stage, time));
        stage.run();
        stage.assert_sound();
        let found = stage.output();
        let expected: &[u8] = if processor == "batch" { b"100000" } else { b"12345" };
        assert_eq!(found.len(), records_max);
        for (time, record) in found.iter().enumerate() {
            assert_eq!((record.timestamp, record.value.as_deref()), (time as i64, Some(expected)), "{processor}");
        }
    }
}

fn count(plugin: &Plugin) {
    let mut random = fastrand::Rng::with_seed(11);
    let mut counts = BTreeMap::new();
    let mut records = Vec::new();
    let mut expected = Vec::new();
    for time in 0..2000 {
        let key = match random.u8(0..10) {
            0 => None,
            1 => Some(Vec::new()),
            2 => Some(vec![0xff, random.u8(0..3)]),
            _ => Some(format!("schlüssel {}", random.u8(0..60)).into_bytes()),
        };
        let record = TestRecord::with(key.as_deref(), any_bytes(&mut random).as_deref(), time).header("h", Some(b"1"));
        if let Some(key) = key {
            let new = counts.entry(key).and_modify(|count| *count += 1).or_insert(1_i64);
            expected.push(TestRecord { value: Some(new.to_be_bytes().into()), ..record.clone() });
        }
        records.push(record);
    }
    let counts: Vec<_> = counts.into_iter().map(|(key, count)| (key, count.to_be_bytes().to_vec())).collect();
    for records_max in [1, 7, 1000] {
        let mut first = plugin.stage(setting("count", records_max));
        records[..1200].iter().for_each(|record| first.driver.write("in", Some(0), record));
        first.run();
        let log = first.driver.log.clone();
        drop(first);
        let mut second = plugin.stage(Setting { log, ..setting("count", records_max) });
        records[1200..].iter().for_each(|record| second.driver.write("in", Some(0), record));
        second.run();
        second.assert_sound();
        let found = second.output();
        let differs = found.iter().zip(&expected).position(|(found, expected)| found != expected);
        assert_eq!(differs.map(|at| (&found[at], &expected[at])), None, "batches of {records_max}");
        assert_eq!(found.len(), expected.len());
        assert_eq!(second.driver.store(TASK, "plain"), counts);
        assert!(second.driver.thread.totals().records_restored > 0);
    }
}
