//! The predicate and the key selector, under native operators.

use millstream_core::stream_thread::OnError;
use millstream_core::topology::{FunctionRef, Step, StoreKind, Topology};
use millstream_tests::driver::TestRecord;
use millstream_tests::driver::declare::{Draft, store};

use crate::Case;
use crate::stage::{Plugin, Setting};
use crate::values::message;

pub const CASES: &[Case] = &[
    ("a predicate filters, also those that do not pass", predicate),
    ("a predicate that refuses a record is pinned down to it", predicate_error),
    ("a key selector groups, and a record without a key is dropped", key_selector),
];

/// A function of the plugin.
pub fn function(name: &str) -> FunctionRef {
    FunctionRef { plugin: "conformance".to_owned(), function: Some(name.to_owned()) }
}

fn filter(negated: bool) -> Topology {
    let step = Step::Filter { predicate: function("is-even"), negated };
    Draft::new().source("in").step("node", step, &["in"], &[]).sink("out", &["node"]).build()
}

/// Longs from `i64::MIN` to `i64::MAX`, and null.
fn values() -> Vec<Option<Vec<u8>>> {
    let mut numbers: Vec<i64> = (-700..700).collect();
    numbers.extend([i64::MAX, i64::MIN, 1 << 62, (1 << 53) + 1]);
    let bytes = numbers.into_iter().map(|number| Some(number.to_be_bytes().to_vec()));
    std::iter::once(None).chain(bytes).collect()
}

fn predicate(plugin: &Plugin) {
    let is_even = |value: &Option<Vec<u8>>| value.as_ref().is_some_and(|value| value[7] % 2 == 0);
    for negated in [false, true] {
        for records_max in [1, 1000] {
            let setting = Setting { records_max, ..Setting::default() };
            let mut stage = plugin.stage_of(filter(negated), setting);
            for value in values() {
                let record = TestRecord::with(None, value.as_deref(), 1).header("h", None);
                stage.driver.write("in", Some(0), &record);
            }
            stage.run();
            stage.assert_sound();
            let found: Vec<_> = stage.output().into_iter().map(|record| record.value).collect();
            let expected: Vec<_> = values().into_iter().filter(|value| is_even(value) != negated).collect();
            assert_eq!(found, expected, "negated: {negated}");
        }
    }
}

fn predicate_error(plugin: &Plugin) {
    let mut stage = plugin.stage_of(filter(false), Setting { on_error: OnError::DeadLetter, ..Setting::default() });
    for value in [&2_i64.to_be_bytes()[..], b"no long", &3_i64.to_be_bytes(), &4_i64.to_be_bytes()] {
        stage.driver.write("in", None, &TestRecord::with(None, Some(value), 1));
    }
    stage.run();
    stage.assert_sound();
    let found: Vec<_> = stage.output().into_iter().filter_map(|record| record.value).collect();
    assert_eq!(found, [2_i64.to_be_bytes(), 4_i64.to_be_bytes()]);
    let dead = stage.driver.read_output("dead");
    assert_eq!(dead.iter().map(|record| record.value.as_deref()).collect::<Vec<_>>(), [Some(&b"no long"[..])]);
    assert!(message(&dead[0]).contains("value"), "{}", message(&dead[0]));
}

fn key_selector(plugin: &Plugin) {
    let draft = Draft::new()
        .source("in")
        .step("group", Step::GroupBy { selector: function("by-value") }, &["in"], &[])
        .count("counts", "group", "counts-store")
        .store_of("counts-store", store(StoreKind::TimestampedKeyValue))
        .sink("out", &["counts"]);
    let mut stage = plugin.stage_of(draft.build(), Setting::default());
    let values: [Option<&[u8]>; 7] = [Some(b"a"), None, Some(b""), Some(b"\xff"), Some(b"a"), Some(b""), None];
    for (time, value) in values.into_iter().enumerate() {
        stage.driver.write("in", None, &TestRecord::with(Some(b"old"), value, time as i64));
    }
    stage.run();
    stage.assert_sound();
    let count = |key: &[u8], count: i64, time| TestRecord::new(key, count.to_be_bytes(), time);
    let expected = [count(b"a", 1, 0), count(b"", 1, 2), count(b"\xff", 1, 3), count(b"a", 2, 4), count(b"", 2, 5)];
    assert_eq!(stage.output(), expected);
    assert_eq!(stage.driver.thread.totals().records_dropped, 2);
}
