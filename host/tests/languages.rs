//! What the first page of each SDK promises: `new`, `build`, `test` and records in dev mode, one command each. How long each
//! takes is printed (`-- --nocapture`). What a language's tool chain lacks fails its test with what `millstream build` says of it.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A directory that goes when the test ends.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("millstream-languages-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What can't be removed stays: it is a temporary directory.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs the program, which must end well, and says how long it took.
#[track_caller]
fn run(directory: &Path, arguments: &[&str], input: &str) -> (Output, Duration) {
    let started = Instant::now();
    let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
    command.current_dir(directory).args(arguments).env_remove("CARGO_TARGET_DIR").env_remove("MILLSTREAM_LOG");
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program runs");
    // A program that reads nothing has closed its end.
    let _ = child.stdin.take().map(|mut stdin| stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().expect("the program ends");
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    assert!(output.status.success(), "millstream {arguments:?}: {}", String::from_utf8_lossy(&said));
    (output, started.elapsed())
}

#[track_caller]
fn check(language: &str) {
    let scratch = Scratch::new(language);
    let (_, new) = run(&scratch.0, &["new", "--lang", language, "first-steps"], "");
    let plugin = scratch.0.join("first-steps");
    let (_, first) = run(&plugin, &["build"], "");
    let (_, second) = run(&plugin, &["build"], "");
    let (tested, test) = run(&plugin, &["test"], "");
    assert!(String::from_utf8_lossy(&tested.stdout).contains(" passed ("), "cases have run");
    let arguments = ["dev", "millstream.toml", "--input", "first-steps-in=-"];
    let (output, dev) = run(&plugin, &arguments, "{\"key\":\"ann\",\"value\":\"hello\"}\n");
    let records = String::from_utf8_lossy(&output.stdout);
    assert!(records.lines().any(|line| line.starts_with("{\"key\":")), "no record came out: {records}");
    let seconds = |time: Duration| format!("{:.2} s", time.as_secs_f64());
    let mut out = std::io::stdout();
    let line = format!(
        "{language:<7} new {}, build {}, again {}, test {}, dev {}\n",
        seconds(new),
        seconds(first),
        seconds(second),
        seconds(test),
        seconds(dev)
    );
    out.write_all(line.as_bytes()).expect("written");
    assert!(second < Duration::from_secs(10), "a build with nothing to do took {second:?}");
}

#[test]
fn rust_goes_from_nothing_to_records() {
    check("rust");
}

#[test]
fn js_goes_from_nothing_to_records() {
    check("js");
}

#[test]
fn ts_goes_from_nothing_to_records() {
    check("ts");
}

#[test]
fn python_goes_from_nothing_to_records() {
    check("python");
}

#[test]
fn go_goes_from_nothing_to_records() {
    check("go");
}

#[test]
fn c_goes_from_nothing_to_records() {
    check("c");
}
