//! Every limit: a guest that goes past one stops its task, and nothing else.

use std::time::Duration;

use millstream_core::id::Offset;
use millstream_tests::driver::TestRecord;
use millstream_wasm::InstanceLimits;

use crate::Case;
use crate::stage::{Plugin, Setting, generous};

const MIB: usize = 1024 * 1024;

pub const CASES: &[Case] = &[
    ("a guest that spins is stopped at its deadline", deadline),
    ("endless recursion ends", recursion),
    ("memory is bounded", memory),
    ("what a call forwards is bounded", forwards),
    ("open walks are bounded", cursors),
    ("keys and values of stores are bounded", sizes),
    ("punctuations are bounded", punctuations),
    ("log lines are bounded in number and length", log_lines),
];

/// Gives the command to the task of partition 0, which must stop with each of `expected` in its text; that of partition 1 must
/// go on.
#[track_caller]
fn check_stops(plugin: &Plugin, limits: InstanceLimits, command: &str, expected: &[&str]) {
    let mut stage = plugin.stage(Setting { limits, partitions: 2, ..Setting::default() });
    for (partition, command) in [(0, "put plain fine"), (0, command), (0, "text"), (1, "text")] {
        stage.driver.write("in", Some(partition), &TestRecord::new(command, "v", 1));
    }
    stage.run();
    let text = stage.failed();
    assert!(text.starts_with("task 0_0: node `node` at record in-0 offset 1 "), "{command}: {text}");
    let lower = text.to_lowercase();
    assert!(expected.is_empty() || expected.iter().any(|part| lower.contains(part)), "{command}: {text}");
    stage.driver.write("in", Some(1), &TestRecord::new("text", "w", 2));
    stage.run();
    assert_eq!(stage.texts(), ["v!", "w!"], "the other task goes on after {command}");
    assert_eq!(stage.driver.committed("in", 1).expect("is committed").offset, Offset(2));
}

fn deadline(plugin: &Plugin) {
    let limits = InstanceLimits { deadline: Duration::from_millis(500), ..generous() };
    check_stops(plugin, limits, "spin", &["deadline of 500ms"]);
}

fn recursion(plugin: &Plugin) {
    // Each language ends it in its own way: at the bound of the stack, of memory, or of its own.
    check_stops(plugin, InstanceLimits { deadline: Duration::from_secs(20), ..small() }, "recurse", &[]);
}

/// Room for every language, and no more.
fn small() -> InstanceLimits {
    InstanceLimits { memory_bytes_max: 128 * MIB, recycle_bytes: 128 * MIB, ..generous() }
}

fn memory(plugin: &Plugin) {
    check_stops(plugin, small(), "hog 200", &["memory", "alloc"]);
    let mut stage = plugin.stage(Setting { limits: small(), ..Setting::default() });
    assert_eq!(stage.ask("hog 5", "v"), ["v", "ok"]);
}

fn forwards(plugin: &Plugin) {
    check_stops(plugin, small(), "flood 5000000", &["limit", "memory", "alloc"]);
}

fn cursors(plugin: &Plugin) {
    check_stops(plugin, generous(), "cursors plain 300", &["cursor"]);
}

fn sizes(plugin: &Plugin) {
    check_stops(plugin, generous(), "put-sized plain 65537 1", &["key"]);
    check_stops(plugin, generous(), "put-sized timed 1 16777217", &["value"]);
    let mut stage = plugin.stage(Setting::default());
    stage.ask("put-sized plain 65536 1", "");
    stage.ask("put-sized timed 1 1000000", "");
    stage.assert_sound();
}

fn punctuations(plugin: &Plugin) {
    let mut stage = plugin.stage(Setting::default());
    for number in 0..1024 {
        stage.write(&format!("schedule p{number} wall-clock-time 1000000"), None);
    }
    stage.run();
    stage.assert_sound();
    stage.write("schedule too-many wall-clock-time 1000000", None);
    stage.run();
    assert!(stage.failed().contains("punctuation"), "{}", stage.failed());
}

fn log_lines(plugin: &Plugin) {
    let mut stage = plugin.stage(Setting::default());
    stage.lines.take();
    stage.ask("log-many 3000", "noise");
    stage.assert_sound();
    let shown = stage.lines.take().iter().filter(|line| line.message == "noise").count();
    // 100 a second, and the machine may be slow.
    assert!((100..=2900).contains(&shown), "{shown} of 3000 lines are shown");

    let mut stage = plugin.stage(Setting::default());
    stage.lines.take();
    stage.ask("log info", &"ä".repeat(10_000));
    let lines = stage.lines.take();
    let length = lines.iter().map(|line| line.message.len()).max().unwrap_or(0);
    assert!((8 * 1024..9 * 1024).contains(&length), "a line of {length} bytes");
}
