//! What processors see of their stores: their own writes at once, everything in the order of keys (reference §1.5, design §6).

use std::time::Duration;

use millstream_core::context::TaskContext;
use millstream_core::id::TaskId;
use millstream_core::port::Page;
use millstream_core::store::{Cursor, Order};
use millstream_core::topology::Topology;
use millstream_tests::driver::declare::Draft;
use millstream_tests::driver::{DriverOptions, TestRecord, TopologyDriver};
use millstream_tests::native::{NativePlugins, NativeProcessor};

const HOUR: Duration = Duration::from_secs(3_600);
const TASK: TaskId = TaskId { sub_topology: millstream_core::id::SubTopologyId(0), partition: 0 };

fn topology() -> Topology {
    Draft::new().source("in").plugin("shell", &["in"], &["kept"]).store("kept").sink("out", &["shell"]).build()
}

fn put(context: &mut TaskContext, key: &[u8], value: Option<&[u8]>) {
    context.stores.put(0, key, value, 0).expect("within limits");
}

fn scan(context: &mut TaskContext, mut cursor: Cursor, page_size: usize) -> String {
    let mut found = Vec::new();
    loop {
        let mut page = Page::default();
        context.stores.next_page(&mut cursor, page_size, &mut page, &mut Vec::new()).expect("can be read");
        if page.is_empty() {
            return found.join(" ");
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        found.extend((0..page.len()).map(|at| format!("{}={}", text(page.entry(at).0), text(page.entry(at).1))));
    }
}

/// Obeys commands in the value: `put k v`, `delete k`, `get k`, `range from to`, `reverse from to`, `prefix p`, `commit`;
/// `-` stands for an open end.
fn obey(context: &mut TaskContext, command: &str) -> String {
    let words: Vec<&str> = command.split(' ').collect();
    let end = |word: &str| (word != "-").then(|| word.as_bytes().to_vec());
    match words[..] {
        ["put", key, value] => put(context, key.as_bytes(), Some(value.as_bytes())),
        ["delete", key] => put(context, key.as_bytes(), None),
        ["get", key] => {
            let mut value = Vec::new();
            let found = context.stores.get(0, key.as_bytes(), &mut value).expect("can be read");
            return found.map_or("none".to_owned(), |_| String::from_utf8_lossy(&value).into_owned());
        }
        ["range", from, to] => return scan(context, Cursor::range(0, end(from), end(to), Order::Ascending), 2),
        ["reverse", from, to] => return scan(context, Cursor::range(0, end(from), end(to), Order::Descending), 2),
        ["prefix", prefix] => {
            return scan(context, Cursor::prefix(0, prefix.as_bytes().to_vec(), Order::Ascending), 2);
        }
        ["commit"] => context.commit_requested = true,
        _ => panic!("no command: {command}"),
    }
    "ok".to_owned()
}

fn shell() -> NativePlugins {
    NativePlugins::default().processor("shell", |_| {
        NativeProcessor::saying(|context, record, _| {
            obey(context, &String::from_utf8_lossy(record.value.unwrap_or_default()))
        })
    })
}

fn answers(script: &[&str]) -> Vec<String> {
    let mut options = DriverOptions::default();
    options.settings.commit_interval = HOUR;
    // Commits happen between records, and only where the script asks for them.
    options.settings.run_records_max = 1;
    let mut driver = TopologyDriver::new(topology(), Box::new(shell()), options);
    for line in script {
        driver.write("in", None, &TestRecord::new("k", line, 0));
    }
    driver.run_rounds(script.len() + 2).expect("runs");
    let commits = script.iter().filter(|line| **line == "commit").count() as u64;
    assert_eq!(driver.thread.totals().commits, commits);
    driver.clock.advance(HOUR);
    driver.run_until_caught_up().expect("runs");
    driver.read_texts("out")
}

#[test]
fn reads_see_the_buffer_over_what_is_committed() {
    let committed = ["put a 1", "put ab 1", "put b 1", "put c 1", "put d 1", "commit"];
    let buffered = ["put ab 2", "delete b", "put bb 2", "delete zz", "put e 2", "delete e"];
    let expected = [
        ("get a", "1"),
        ("get ab", "2"),
        ("get b", "none"),
        ("get bb", "2"),
        ("get e", "none"),
        ("get zz", "none"),
        ("range - -", "a=1 ab=2 bb=2 c=1 d=1"),
        ("reverse - -", "d=1 c=1 bb=2 ab=2 a=1"),
        ("range ab c", "ab=2 bb=2 c=1"),
        ("reverse ab c", "c=1 bb=2 ab=2"),
        ("range b b", ""),
        ("range bb -", "bb=2 c=1 d=1"),
        ("reverse - ab", "ab=2 a=1"),
        ("range c ab", ""),
        ("prefix a", "a=1 ab=2"),
        ("prefix b", "bb=2"),
        ("prefix x", ""),
    ];
    let reads: Vec<&str> = expected.iter().map(|(command, _)| *command).collect();
    let texts: Vec<&str> = expected.iter().map(|(_, answer)| *answer).collect();
    // The same answers from buffer and committed state, from the buffer alone, and from the committed state alone.
    for commits in [(true, false), (false, false), (false, true), (true, true)] {
        let mut script: Vec<&str> = committed.into();
        if !commits.0 {
            script.pop();
        }
        script.extend(buffered);
        if commits.1 {
            script.push("commit");
        }
        let before = script.len();
        script.extend(&reads);
        assert_eq!(answers(&script)[before..], texts, "commits {commits:?}");
    }
}

#[test]
fn nodes_that_share_a_store_see_each_others_writes_in_the_order_of_the_records() {
    let draft = Draft::new()
        .source("in")
        .plugin("write", &["in"], &["kept"])
        .plugin("read", &["in"], &["kept"])
        .store("kept")
        .sink("out", &["read"]);
    let plugins = NativePlugins::default()
        .processor("write", |_| {
            NativeProcessor::of(|context, record, _| {
                put(context, b"last", record.value);
                Ok(())
            })
        })
        .processor("read", |_| NativeProcessor::saying(|context, _, _| obey(context, "get last")));
    let mut driver = TopologyDriver::new(draft.build(), Box::new(plugins), DriverOptions::default());
    for value in ["1", "2", "3"] {
        driver.write("in", None, &TestRecord::new("k", value, 0));
    }
    driver.run_until_caught_up().expect("runs");
    assert_eq!(driver.read_texts("out"), ["1", "2", "3"], "each reads what was written for its own record");
}

#[test]
fn a_scan_sees_writes_beyond_the_place_it_has_reached() {
    let plugins = NativePlugins::default().processor("shell", |_| {
        NativeProcessor::saying(|context, _, _| {
            for key in [b"a", b"c", b"e"] {
                put(context, key, Some(b"1"));
            }
            let mut cursor = Cursor::range(0, None, None, Order::Ascending);
            let mut page = Page::default();
            context.stores.next_page(&mut cursor, 2, &mut page, &mut Vec::new()).expect("can be read");
            put(context, b"b", Some(b"2"));
            put(context, b"d", Some(b"2"));
            put(context, b"e", None);
            format!("{} then {}", page.len(), scan(context, cursor, 2))
        })
    });
    let mut driver = TopologyDriver::new(topology(), Box::new(plugins), DriverOptions::default());
    driver.pipe_input("in", &TestRecord::new("k", "v", 0)).expect("runs");
    assert_eq!(driver.read_texts("out"), ["2 then d=2"]);
}

#[test]
fn more_uncommitted_bytes_than_the_budget_commit_early() {
    let mut options = DriverOptions::default();
    options.settings.commit_interval = HOUR;
    options.settings.run_records_max = 1;
    options.settings.write_buffer_bytes_max = 100_000;
    let mut driver = TopologyDriver::new(topology(), Box::new(shell()), options);
    let value = "x".repeat(30_000);
    for number in 0..10 {
        driver.write("in", None, &TestRecord::new("k", format!("put key{number} {value}"), 0));
    }
    let mut most = 0;
    for _ in 0..10 {
        driver.run_rounds(1).expect("runs");
        most = most.max(driver.thread.tasks().map(|task| task.uncommitted_byte_len()).sum());
    }
    let commits = driver.thread.totals().commits;
    assert!((2..=4).contains(&commits), "{commits}");
    assert!(most <= 100_000, "{most} bytes are held after a round");
    assert!(driver.committed("in", 0).expect("is committed").offset.0 >= 8);
}

#[test]
fn reading_does_not_commit_early() {
    let mut options = DriverOptions::default();
    options.settings.write_buffer_bytes_max = 100_000;
    let log = options.log.clone();
    let mut first = TopologyDriver::new(topology(), Box::new(shell()), options);
    let value = "x".repeat(30_000);
    for number in 0..10 {
        first.write("in", None, &TestRecord::new("k", format!("put key{number} {value}"), 0));
    }
    first.run_until_caught_up().expect("runs");
    drop(first);
    let mut options = DriverOptions { log, ..DriverOptions::default() };
    options.settings.commit_interval = HOUR;
    options.settings.run_records_max = 1;
    options.settings.write_buffer_bytes_max = 100_000;
    let mut second = TopologyDriver::new(topology(), Box::new(shell()), options);
    for number in 0..10 {
        second.write("in", None, &TestRecord::new("k", format!("get key{number}"), 0));
    }
    second.run_rounds(20).expect("runs");
    assert_eq!(second.thread.totals().records_processed, 10);
    assert_eq!(second.thread.totals().commits, 0);
    assert_eq!(second.store(TASK, "kept").len(), 10);
}

#[test]
fn keys_and_values_beyond_the_limits_are_refused() {
    let plugins = NativePlugins::default().processor("shell", |_| {
        NativeProcessor::saying(|context, _, _| {
            let key = context.stores.put(0, &[7; 64 * 1024 + 1], Some(b"v"), 0).expect_err("is too long");
            let value = context.stores.put(0, b"k", Some(&vec![7; 16 * 1024 * 1024 + 1]), 0).expect_err("is too long");
            format!("{key}; {value}")
        })
    });
    let mut driver = TopologyDriver::new(topology(), Box::new(plugins), DriverOptions::default());
    driver.pipe_input("in", &TestRecord::new("k", "v", 0)).expect("runs");
    let expected = "a key of 65537 bytes is too long for store `kept`: at most 65536 bytes are allowed; \
                    a value of 16777217 bytes is too long for store `kept`: at most 16777216 bytes are allowed";
    assert_eq!(driver.read_texts("out"), [expected]);
    assert_eq!(driver.store(TASK, "kept"), []);
}
