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

/// Opens a file that it isn't granted, and so has the C library look for files before the plugin is called for the first time.
const C_LIBRARY: &str = r#"
#define _DEFAULT_SOURCE
#include <assert.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "millstream.h"

static ms_status process(void *state, const ms_record *record, ms_context *context) {
    (void)state;
    uint8_t random[16] = {0};
    struct timespec moment = {0, 1000};
    FILE *file = fopen("secrets", "r");
    assert(getentropy(random, sizeof random) == 0 && nanosleep(&moment, NULL) == 0);
    printf("%zu bytes", record->value.length);
    fflush(stdout);
    size_t differ = 0;
    for (size_t at = 0; at < record->value.length; at++) {
        differ += record->value.data[at] != 'A';
    }
    ms_record told = *record;
    told.value = ms_format(context, "file: %s, bytes: %zu, others: %zu", file == NULL ? "no" : "yes", record->value.length, differ);
    ms_forward(context, &told);
    return MS_OK;
}

MS_PROCESSORS({.name = "library", .process = process})
"#;

#[test]
fn the_c_library_works_without_files_and_leaves_records_as_they_are() {
    let scratch = Scratch::new("c-library");
    run(&scratch.0, &["new", "--lang", "c", "library"], "");
    let plugin = scratch.0.join("library");
    let write = |name: &str, text: &str| fs::write(plugin.join(name), text).expect("written");
    write("library.c", C_LIBRARY);
    let case = |length: usize| {
        let value = "A".repeat(length);
        let told = format!("file: no, bytes: {length}, others: 0");
        format!("      - {{pipe: library-in, value: {value}}}\n      - {{expect: library-out, value: \"{told}\"}}\n")
    };
    let steps: String = [1, 60_000, 65_400, 65_480, 1, 90_000, 131_072, 1].map(case).concat();
    write("cases/library.yaml", &format!("cases:\n  - name: records arrive whole\n    steps:\n{steps}"));
    run(&plugin, &["build"], "");
    run(&plugin, &["test"], "");
}
