//! `millstream dev`, run as a person runs it: inputs from files, outputs on the terminal, a log that is kept.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const MANIFEST: &str = r#"
[application]
id = "tally"

[stores.tallies]
type = "timestamped-key-value"

[sources.orders]
topics = ["orders", "returns"]

[processors.tallies]
operator = "count"
inputs = ["orders"]
store = "tallies"

[sinks.out]
topic = "tallied"
inputs = ["tallies"]
"#;

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("app.toml"), MANIFEST).expect("written");
    let record = |key: &str| format!("{{\"key\":\"{key}\",\"value\":\"x\",\"timestamp\":1}}\n");
    fs::write(folder.path().join("orders.jsonl"), record("a") + &record("b") + &record("a")).expect("written");
    folder
}

fn dev(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
    command.current_dir(folder).args(["dev", "app.toml", "--format", "value=long"]).args(arguments);
    command.output().expect("the program runs")
}

#[track_caller]
fn printed(output: &Output) -> Vec<String> {
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output.stderr));
    let mut lines: Vec<String> = said(&output.stdout).lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[track_caller]
fn refused(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(64), "{said}");
    said.lines().last().unwrap_or_default().to_owned()
}

#[test]
fn a_log_that_is_kept_keeps_positions_counts_and_partitions() {
    let folder = folder();
    let arguments = ["--input", "orders=orders.jsonl", "--log-dir", "log", "--print", "tallied"];
    let first =
        dev(folder.path(), &[&arguments[..], &["--partitions", "orders=3", "--partitions", "returns=3"]].concat());
    let line = |key: &str, count: u32| format!("{{\"key\":\"{key}\",\"value\":{count},\"timestamp\":1}}");
    assert_eq!(printed(&first), [line("a", 1), line("a", 2), line("b", 1)]);
    // The partitions need not be told again.
    let second = dev(folder.path(), &arguments);
    assert_eq!(printed(&second), [line("a", 3), line("a", 4), line("b", 2)]);
    let other = dev(folder.path(), &[&arguments[..], &["--partitions", "orders=4"]].concat());
    assert!(String::from_utf8_lossy(&other.stderr).contains("topic `orders` has 3 partitions already, not 4"));
}

#[test]
fn topics_that_nobody_reads_or_writes_are_told() {
    let folder = folder();
    let unread = dev(folder.path(), &["--input", "order=orders.jsonl"]);
    assert_eq!(
        refused(&unread),
        "millstream: --input: the application does not read topic `order`; it reads `orders`, `returns`"
    );
    let unwritten = dev(folder.path(), &["--input", "orders=orders.jsonl", "--print", "tallies"]);
    assert_eq!(
        refused(&unwritten),
        "millstream: --print: there is no topic `tallies`; there are `orders`, `returns`, `tallied`, \
         `tally-tallies-changelog`"
    );
}
