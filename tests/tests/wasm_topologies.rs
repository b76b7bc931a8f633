//! Whole topologies with real plugins: what `make plugins` has built runs in tasks, on the embedded log.
#![cfg(feature = "wasm")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use millstream_core::id::{Offset, TaskId};
use millstream_core::stream_thread::OnError;
use millstream_core::topology::{FunctionRef, Step, StoreKind, Topology};
use millstream_tests::driver::declare::{Draft, store};
use millstream_tests::driver::{DriverOptions, TestRecord, TopologyDriver};
use millstream_wasm::{Component, InstanceLimits, Runtime, RuntimeSettings, WasmPlugins};

const TASK: TaskId = TaskId { sub_topology: millstream_core::id::SubTopologyId(0), partition: 0 };

/// The component of a plugin in `plugins/`, compiled once.
fn component(name: &str) -> Component {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    static COMPONENTS: Mutex<BTreeMap<String, Component>> = Mutex::new(BTreeMap::new());
    let mut components = COMPONENTS.lock().unwrap_or_else(PoisonError::into_inner);
    let compile = || {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/target/components");
        let path = directory.join(format!("{name}.wasm"));
        assert!(path.exists(), "the component {} is not there: build it with `make plugins`", path.display());
        let runtime = RUNTIME.get_or_init(|| Runtime::new(RuntimeSettings::default()).expect("this machine runs Wasm"));
        runtime.load_file(&path).unwrap_or_else(|error| panic!("plugin {name}: {error}"))
    };
    components.entry(name.to_owned()).or_insert_with(compile).clone()
}

/// A driver whose plugins have the names of their components.
fn driver_with(
    topology: Topology,
    plugins: &[&str],
    limits: &InstanceLimits,
    change: impl FnOnce(&mut DriverOptions),
) -> TopologyDriver {
    let plugins = plugins.iter().map(|name| ((*name).to_owned(), (component(name), limits.clone()))).collect();
    let plugins = WasmPlugins::new(plugins, Arc::new(topology.clone()));
    assert_eq!(plugins.check().map_err(|errors| errors.len()), Ok(()));
    let mut options = DriverOptions::default();
    change(&mut options);
    TopologyDriver::new(topology, Box::new(plugins), options)
}

fn driver(topology: Topology, plugins: &[&str]) -> TopologyDriver {
    driver_with(topology, plugins, &InstanceLimits::default(), |_| {})
}

/// `in` -> the plugin of the name -> `out`, with these settings and stores.
fn one(plugin: &str, config: &[(&str, &str)], stores: &[&str]) -> Topology {
    let config = config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let step = Step::Plugin { plugin: plugin.to_owned(), processor: None, config, key_unchanged: true };
    let draft = Draft::new().source("in").step("node", step, &["in"], stores).sink("out", &["node"]);
    let timestamped = |draft: Draft, name: &&str| draft.store_of(name, store(StoreKind::TimestampedKeyValue));
    stores.iter().fold(draft, timestamped).build()
}

fn write(driver: &mut TopologyDriver, values: &[&str]) {
    for (time, value) in values.iter().enumerate() {
        driver.write("in", None, &TestRecord::new("k", value, time as i64));
    }
}

fn count(key: &str, count: i64, timestamp: i64) -> TestRecord {
    TestRecord::new(key, count.to_be_bytes(), timestamp)
}

fn failed(driver: &TopologyDriver) -> &str {
    driver.thread.failed_tasks().get(&TASK).expect("the task has failed")
}

/// What all bad plugins have in common: the task stops at its record, the text says so, and the other task of the thread goes on.
fn check_failure(plugin: &str, bad: &str, limits: &InstanceLimits, expected: &[&str]) {
    let stores: &[&str] = if plugin == "fixture-cursors" { &["store"] } else { &[] };
    let partitions = |options: &mut DriverOptions| options.partitions = [("in".to_owned(), 2)].into();
    let mut driver = driver_with(one(plugin, &[], stores), &[plugin], limits, partitions);
    for (partition, value) in [(0, "fine"), (0, "too"), (0, bad), (0, "never"), (1, "goes on")] {
        driver.write("in", Some(partition), &TestRecord::new("k", value, 1));
    }
    driver.run_until_caught_up().expect("the host stays up");
    let text = failed(&driver);
    assert!(text.starts_with("task 0_0: node `node` at record in-0 offset 2 "), "{text}");
    let digest = component(plugin).digest().to_owned();
    for part in expected.iter().chain([&digest.as_str()]) {
        assert!(text.contains(part), "{part} is missing in: {text}");
    }
    driver.write("in", Some(1), &TestRecord::new("k", "and on", 1));
    driver.run_until_caught_up().expect("the host stays up");
    assert_eq!(driver.committed("in", 1).expect("is committed").offset, Offset(2));
    assert!(driver.committed("in", 0).map_or(0, |committed| committed.offset.0) <= 2);
}

#[test]
fn words_are_split_in_a_plugin_and_counted_in_the_host() {
    let draft =
        Draft::new().source("in").plugin_with_new_keys("words", &["in"]).count("counts", "words", "counts-store");
    let draft = draft.store_of("counts-store", store(StoreKind::TimestampedKeyValue)).sink("out", &["counts"]);
    let mut driver = driver(draft.build(), &["words"]);
    driver.pipe_input("in", &TestRecord::with(None, Some("Hello, wörld! HELLO".as_bytes()), 5)).expect("runs");
    driver.pipe_input("in", &TestRecord::with(None, None, 6)).expect("runs");
    driver.pipe_input("in", &TestRecord::with(None, Some("WÖRLD".as_bytes()), 3)).expect("runs");
    let expected = [count("hello", 1, 5), count("wörld", 1, 5), count("hello", 2, 5), count("wörld", 2, 5)];
    assert_eq!(driver.read_output("out"), expected);
    assert_eq!(driver.read_output("app-counts-store-repartition").len(), 4);
}

#[test]
fn a_plugin_that_leaks_is_replaced_before_it_meets_its_bound() {
    let mebibyte = 1024 * 1024;
    let limits =
        InstanceLimits { memory_bytes_max: 16 * mebibyte, recycle_bytes: 8 * mebibyte, ..InstanceLimits::default() };
    let topology = one("fixture-hog-memory", &[], &[]);
    let mut driver = driver_with(topology, &["fixture-hog-memory"], &limits, |_| {});
    for time in 0..100 {
        driver.pipe_input("in", &TestRecord::new("k", "a mebibyte", time)).expect("runs");
    }
    assert!(driver.thread.failed_tasks().is_empty(), "{:?}", driver.thread.failed_tasks());
    assert_eq!(driver.read_output("out").len(), 100);
    let totals = driver.thread.totals();
    assert!((10..=25).contains(&totals.processors_replaced), "{totals:?}");
    assert_eq!(totals.restarts, 0);
}

#[test]
fn get_put_forward_does_what_its_record_at_a_time_reference_does_in_batches_of_any_size_and_after_a_restart() {
    let mut random = fastrand::Rng::with_seed(1);
    let records: Vec<TestRecord> = (0..500)
        .map(|time| {
            let key = [b'a' + random.u8(0..20)];
            TestRecord::with((random.u8(0..10) > 0).then_some(&key[..]), Some(b"v"), time)
        })
        .collect();
    let mut counts = BTreeMap::new();
    let mut expected = Vec::new();
    for record in &records {
        let Some(key) = &record.key else { continue };
        let new = counts.entry(key.clone()).and_modify(|count| *count += 1).or_insert(1_i64);
        expected.push(TestRecord { value: Some(new.to_be_bytes().into()), ..record.clone() });
    }
    let counts: Vec<_> = counts.into_iter().map(|(key, count)| (key, count.to_be_bytes().to_vec())).collect();
    let topology = || one("get-put-forward", &[("store", "kept")], &["kept"]);
    for (run_records_max, batching) in [(1, true), (7, true), (1000, true), (1000, false)] {
        let settings = |options: &mut DriverOptions| {
            options.settings.run_records_max = run_records_max;
            options.settings.batching = batching;
        };
        let start = |log: Option<millstream_embedded::EmbeddedLog>| {
            driver_with(topology(), &["get-put-forward"], &InstanceLimits::default(), |options| {
                settings(options);
                options.log = log.unwrap_or_default();
            })
        };
        let mut first = start(None);
        records[..300].iter().for_each(|record| first.write("in", None, record));
        first.run_until_caught_up().expect("runs");
        let log = first.log.clone();
        drop(first);
        let mut second = start(Some(log));
        records[300..].iter().for_each(|record| second.write("in", None, record));
        second.run_until_caught_up().expect("runs");
        assert_eq!(second.read_output("out"), expected, "runs of {run_records_max}, batching {batching}");
        assert_eq!(second.store(TASK, "kept"), counts);
        assert!(second.thread.totals().records_restored > 0);
    }
}

fn function(name: &str) -> FunctionRef {
    FunctionRef { plugin: "functions".to_owned(), function: Some(name.to_owned()) }
}

#[test]
fn predicates_filter_and_also_those_that_do_not_pass() {
    for (name, negated, expected) in [
        ("is-long", false, &["long", "longer"][..]),
        ("is-long", true, &["", "abc", "äöü"]),
        ("has-value", false, &["", "abc", "long", "äöü", "longer"]),
        ("has-value", true, &[]),
    ] {
        let step = Step::Filter { predicate: function(name), negated };
        let topology = Draft::new().source("in").step("node", step, &["in"], &[]).sink("out", &["node"]).build();
        let mut driver = driver(topology, &["functions"]);
        write(&mut driver, &["", "abc", "long", "äöü", "longer"]);
        driver.run_until_caught_up().expect("runs");
        assert_eq!(driver.read_texts("out"), expected, "{name} {negated}");
    }
}

#[test]
fn a_predicate_that_refuses_a_record_of_a_batch_is_pinned_down_to_it() {
    let step = || Step::Filter { predicate: function("is-long"), negated: false };
    let topology = || Draft::new().source("in").step("node", step(), &["in"], &[]).sink("out", &["node"]).build();
    let bad = [("long 1", true), ("", false), ("long 2", true)];
    let write = |driver: &mut TopologyDriver| {
        for (value, is_there) in bad {
            driver.write("in", None, &TestRecord::with(None, is_there.then_some(value.as_bytes()), 1));
        }
    };
    let mut fails = driver(topology(), &["functions"]);
    write(&mut fails);
    fails.run_until_caught_up().expect("the host stays up");
    assert!(failed(&fails).starts_with("task 0_0: node `node` at record in-0 offset 1 refused"), "{}", failed(&fails));
    let mut skips = driver_with(topology(), &["functions"], &InstanceLimits::default(), |options| {
        options.settings.on_error = [("functions".to_owned(), OnError::Skip)].into();
    });
    write(&mut skips);
    skips.run_until_caught_up().expect("runs");
    assert_eq!(skips.read_texts("out"), ["long 1", "long 2"]);
}

#[test]
fn key_selectors_group_and_a_null_key_does_not_reach_the_count() {
    let draft = Draft::new()
        .source("in")
        .step("by-letter", Step::GroupBy { selector: function("first-letter") }, &["in"], &[])
        .count("counts", "by-letter", "counts-store")
        .store_of("counts-store", store(StoreKind::TimestampedKeyValue))
        .sink("out", &["counts"]);
    let mut driver = driver(draft.build(), &["functions"]);
    write(&mut driver, &["apple", "", "ärger", "avocado"]);
    driver.run_until_caught_up().expect("runs");
    assert_eq!(driver.read_output("out"), [count("a", 1, 0), count("ä", 1, 2), count("a", 2, 3)]);
    assert_eq!(driver.thread.totals().records_dropped, 1);
}

#[test]
fn a_plugin_with_stores_and_punctuations_joins_orders_and_gives_up_waiting() {
    let topology = one("enrich", &[("patience-ms", "100")], &["customers", "waiting"]);
    let mut driver = driver_with(topology, &["enrich"], &InstanceLimits::default(), |options| {
        options.settings.dead_letter_topics = [("enrich".to_owned(), "dead".into())].into();
        options.partitions = [("dead".to_owned(), 1)].into();
    });
    let order = |customer| format!(r#"{{"type":"order","customer":"{customer}","amount":1.5}}"#);
    let customer = |id| format!(r#"{{"type":"customer","id":"{id}","name":"Name of {id}"}}"#);
    let events = [
        (order("ann"), 1_000),
        (customer("ann"), 1_010),
        (order("ann"), 1_020),
        ("no JSON".to_owned(), 1_030),
        (order("bob"), 1_040),
        (order("ann"), 1_050),
        (order("ann"), 1_200),
    ];
    for (event, time) in &events {
        driver.pipe_input("in", &TestRecord::new("k", event, *time)).expect("runs");
    }
    let enriched = r#"{"customer":"ann","name":"Name of ann","amount":1.5}"#;
    let alone = r#"{"customer":"bob","name":null,"amount":1.5}"#;
    assert_eq!(driver.read_texts("out"), [enriched, enriched, enriched, enriched, alone]);
    let dead = driver.read_output("dead");
    assert_eq!(dead.iter().map(|record| record.value.as_deref()).collect::<Vec<_>>(), [Some(&b"no JSON"[..])]);
    assert_eq!(driver.store(TASK, "waiting"), []);
    assert_eq!(driver.store(TASK, "customers").len(), 1);
}

#[test]
fn a_plugin_sees_times_and_origins_and_chooses_its_child() {
    let step = Step::Plugin {
        plugin: "fixture-echo".to_owned(),
        processor: None,
        config: BTreeMap::new(),
        key_unchanged: true,
    };
    let draft = Draft::new().source("in").step("node", step, &["in"], &[]).sink("left", &["node"]);
    let mut driver =
        driver_with(draft.sink("right", &["node"]).build(), &["fixture-echo"], &InstanceLimits::default(), |options| {
            options.clock.advance(Duration::from_secs(1))
        });
    driver.run_until_caught_up().expect("runs");
    let record = |value: &str, time| TestRecord::new("k", value, time).header("given", Some(b"1"));
    driver.pipe_input("in", &record("left", 42)).expect("runs");
    let answer = record("left", 42).header("seen", Some(b"in-0@0 (42, 1000)")).header("null", None);
    let stream_time = TestRecord::new("stream-time", "42 Some(-1)", 42);
    assert_eq!(driver.read_output("left"), [answer, stream_time.clone()]);
    assert_eq!(driver.read_output("right"), [stream_time], "a punctuation goes to all children");
    driver.pipe_input("in", &record("right", 41)).expect("runs");
    let answer = record("right", 41).header("seen", Some(b"in-0@1 (42, 1000)")).header("null", None);
    assert_eq!((driver.read_output("right"), driver.read_output("left")), (vec![answer], vec![]));
    driver.pipe_input("in", &record("cancel", 60)).expect("runs");
    let keys = |records: Vec<TestRecord>| {
        let key = |record: TestRecord| String::from_utf8(record.key.expect("has a key")).expect("text");
        records.into_iter().map(key).collect::<Vec<_>>()
    };
    assert_eq!(keys(driver.read_output("left")), ["k"], "cancelled before it was due again");
    driver.advance_wall_clock(Duration::from_millis(5)).expect("runs");
    assert_eq!(driver.read_output("right").last(), Some(&TestRecord::new("wall-clock", "1005", 1_005)));
    driver.advance_wall_clock(Duration::from_millis(5)).expect("the host stays up");
    assert!(failed(&driver).contains("the wall clock has struck twice"), "{}", failed(&driver));
}

#[test]
fn a_panic_stops_the_task_with_the_guest_s_words_backtrace_and_digest() {
    let expected = ["trapped: ", "boom: the value is `trap`", "at fixture_trap::refuse_to_go_on_if_told"];
    check_failure("fixture-trap", "trap", &InstanceLimits::default(), &expected);
}

#[test]
fn endless_recursion_ends_at_the_bound_of_the_stack() {
    let expected = ["went past a limit: the call stack grew past 1048576 bytes"];
    check_failure("fixture-trap", "recurse", &InstanceLimits::default(), &expected);
}

#[test]
fn a_plugin_that_spins_is_stopped_at_its_deadline() {
    let limits = InstanceLimits { deadline: Duration::from_millis(50), ..InstanceLimits::default() };
    check_failure(
        "fixture-spin",
        "spin",
        &limits,
        &["went past a limit: the call took longer than the deadline of 50ms"],
    );
}

#[test]
fn a_plugin_that_eats_memory_is_stopped_at_its_bound() {
    let limits = InstanceLimits { memory_bytes_max: 16 << 20, ..InstanceLimits::default() };
    check_failure("fixture-hog-memory", "all", &limits, &["went past a limit: ", "may have 16777216 (`memory-max`)"]);
}

#[test]
fn a_plugin_that_forwards_for_ever_is_stopped_at_the_bound_of_a_call() {
    let limits = InstanceLimits { deadline: Duration::from_secs(60), ..InstanceLimits::default() };
    let expected = ["went past a limit: ", "were forwarded in one call"];
    check_failure("fixture-forward-too-much", "flood", &limits, &expected);
}

#[test]
fn a_plugin_that_hoards_cursors_is_stopped() {
    check_failure("fixture-cursors", "hoard", &InstanceLimits::default(), &["cursor"]);
}

#[test]
fn policies_pass_over_the_record_that_trapped_and_over_nothing_else() {
    for policy in [OnError::Skip, OnError::DeadLetter] {
        let draft = Draft::new().source("in").plugin("fixture-trap", &["in"], &[]).sink("out", &["fixture-trap"]);
        let draft = draft.count("counts", "fixture-trap", "kept");
        let topology = draft.store_of("kept", store(StoreKind::TimestampedKeyValue)).build();
        let mut driver = driver_with(topology, &["fixture-trap"], &InstanceLimits::default(), |options| {
            options.settings.on_error = [("fixture-trap".to_owned(), policy)].into();
            if policy == OnError::DeadLetter {
                options.settings.dead_letter_topics = [("fixture-trap".to_owned(), "dead".into())].into();
            }
            options.partitions = [("dead".to_owned(), 1)].into();
        });
        write(&mut driver, &["0", "trap", "2", "3", "recurse", "5"]);
        driver.run_until_caught_up().expect("runs");
        assert_eq!(driver.read_texts("out"), ["0", "2", "3", "5"]);
        assert_eq!(driver.store(TASK, "kept"), [(b"k".to_vec(), 4_i64.to_be_bytes().to_vec())]);
        let dead: &[&str] = if policy == OnError::DeadLetter { &["trap", "recurse"] } else { &[] };
        assert_eq!(driver.read_texts("dead"), dead);
    }
}

#[test]
fn answers_of_a_plugin_are_obeyed() {
    let mut driver =
        driver_with(one("fixture-refuse", &[], &[]), &["fixture-refuse"], &InstanceLimits::default(), |options| {
            options.settings.dead_letter_topics = [("fixture-refuse".to_owned(), "dead".into())].into();
            options.partitions = [("dead".to_owned(), 1)].into();
        });
    write(&mut driver, &["0", "skip", "2", "dead-letter", "4", "fatal", "6"]);
    driver.run_until_caught_up().expect("the host stays up");
    assert!(
        failed(&driver).starts_with("task 0_0: node `node` at record in-0 offset 5 refused a record: asked to stop")
    );

    // "fatal: Leaves it to the plugin's policy."
    let skip = |options: &mut DriverOptions| {
        options.settings.on_error = [("fixture-refuse".to_owned(), OnError::Skip)].into();
    };
    let mut skips = driver_with(one("fixture-refuse", &[], &[]), &["fixture-refuse"], &InstanceLimits::default(), skip);
    write(&mut skips, &["0", "skip", "2", "fatal", "4"]);
    skips.run_until_caught_up().expect("runs");
    assert_eq!(skips.read_texts("out"), ["0", "2", "4"], "what a refused record had forwarded is taken back");
}

#[test]
fn retry_is_tried_again_and_nothing_behind_it_is_lost() {
    let mut driver = driver(one("fixture-refuse", &[], &[]), &["fixture-refuse"]);
    write(&mut driver, &["retry"]);
    for _ in 0..5 {
        driver.run_rounds(5).expect("the host stays up");
        driver.clock.advance(Duration::from_secs(30));
    }
    assert_eq!((driver.thread.totals().restarts, driver.committed("in", 0)), (5, None));
    assert!(driver.thread.failed_tasks().is_empty());
}

#[test]
fn a_plugin_that_can_not_begin_stops_its_task_with_its_reason() {
    type Config = [(&'static str, &'static str)];
    let cases: &[(&str, &Config, &str)] = &[
        ("fixture-trap", &[("trap", "init")], "told to trap in init"),
        ("fixture-init-error", &[], "required"),
        ("fixture-init-error", &[("required", "x"), ("store", "nobody's")], "nobody's"),
    ];
    for (plugin, config, expected) in cases {
        let mut driver = driver(one(plugin, config, &[]), &[plugin]);
        driver.run_until_caught_up().expect("the host stays up");
        let text = failed(&driver);
        assert!(text.starts_with("task 0_0: node `node` ") && text.contains(expected), "{text}");
        assert!(text.contains(component(plugin).digest()), "{text}");
    }
}

#[test]
fn a_trap_in_a_punctuation_stops_the_task_and_one_in_close_does_no_harm() {
    let mut driver = driver(one("fixture-trap", &[("trap", "punctuate")], &[]), &["fixture-trap"]);
    driver.pipe_input("in", &TestRecord::new("k", "fine", 5)).expect("the host stays up");
    assert!(failed(&driver).contains("told to trap in punctuate"), "{}", failed(&driver));

    let mut driver = self::driver(one("fixture-trap", &[("trap", "close")], &[]), &["fixture-trap"]);
    driver.pipe_input("in", &TestRecord::new("k", "fine", 5)).expect("runs");
    driver.thread.close(true).expect("closes");
    assert_eq!(driver.read_texts("out"), ["fine"]);
}

#[test]
fn scans_of_a_plugin_see_its_own_writes_in_the_order_asked() {
    let mut driver = driver(one("fixture-cursors", &[], &["store"]), &["fixture-cursors"]);
    for (key, value) in [("b", "1"), ("a", "2"), ("z1", "3"), ("z0", "4")] {
        driver.pipe_input("in", &TestRecord::new(key, value, 1)).expect("runs");
    }
    let found: Vec<_> = driver
        .read_output("out")
        .into_iter()
        .map(|record| String::from_utf8([record.key.unwrap_or_default(), record.value.unwrap_or_default()].concat()))
        .map(|text| text.expect("text"))
        .collect();
    assert_eq!(found.join(" "), "b1 b1 a2 b1 a2 z13 b1 a2 z04 z13");
}
