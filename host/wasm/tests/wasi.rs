//! WASI is there and grants nothing: a guest that asks gets an answer, and never holds its thread.

mod stage;

use std::cell::RefCell;
use std::io::Write;
use std::sync::Once;
use std::time::{Duration, Instant};

use millstream_core::error::{FailureCause, ProcessorFailure};
use millstream_core::processor::RecordFailure;
use millstream_wasm::InstanceLimits;
use stage::{Setting, Stage, component, row};

fn stage() -> Stage {
    Stage::begun(&component("fixture-wasi"), &Setting { processor: "wasi", ..Setting::default() })
}

/// A plugin in Rust, whose standard library has no operating system below it.
fn stage_in_rust() -> Stage {
    Stage::begun(&component("fixture-std"), &Setting { processor: "std", ..Setting::default() })
}

/// What the plugin forwards when it is told `command`.
fn answer(stage: &mut Stage, command: &str) -> String {
    let failures: Vec<RecordFailure> = stage.process(&[row("k", command, 1)]).expect("no trap");
    assert!(failures.is_empty(), "{failures:?}");
    stage.take_out().remove(0).value.expect("an answer")
}

fn trap(stage: &mut Stage, command: &str) -> ProcessorFailure {
    stage.process(&[row("k", command, 1)]).expect_err("it ends")
}

/// What this thread logs while `action` runs, without the times.
fn logged(action: impl FnOnce()) -> Vec<String> {
    thread_local! { static LINES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) }; }
    struct Lines;
    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            LINES.with_borrow_mut(|lines| lines.extend_from_slice(bytes));
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    // For all threads: those of the other tests would otherwise decide that nobody listens.
    static START: Once = Once::new();
    START.call_once(|| {
        let subscriber = tracing_subscriber::fmt().with_writer(|| Lines).without_time().with_target(false);
        subscriber.with_ansi(false).init();
    });
    LINES.take();
    action();
    let text = String::from_utf8(LINES.take()).expect("text");
    text.lines().map(|line| line.trim().to_owned()).collect()
}

#[test]
fn standard_output_and_error_become_log_lines_with_the_record_that_they_are_about() {
    let whose = "plugin=\"plugin\" node=\"node\" task=\"0_3\"";
    let mut begun = None;
    assert_eq!(logged(|| begun = Some(stage())), [format!("WARN it begins {whose}")]);
    let mut stage = begun.expect("begun");
    let lines = logged(|| drop(answer(&mut stage, "say")));
    let at = format!("{whose} record=\"in-3 offset 100\"");
    assert_eq!(
        lines,
        [
            format!("INFO to standard output {at}"),
            format!("WARN to standard error {at}"),
            format!("INFO and without an end {at}"),
        ]
    );
    let lines = logged(|| drop(stage.process(&[row("k", "clocks", 1), row("k", "say", 1)])));
    assert!(lines[0].ends_with("record=\"in-3 offset 100 to 101\""), "{lines:?}");
}

#[test]
fn what_was_written_to_standard_error_is_shown_with_the_trap() {
    let failure = trap(&mut stage(), "panic");
    assert_eq!(failure.cause, FailureCause::Trap);
    let lines: Vec<&str> = failure.reason.lines().collect();
    assert_eq!(
        lines[0],
        "it ended itself with an exit code that is not 0, where a plugin must return; its standard error:"
    );
    assert_eq!((lines[1], lines[12]), ("    | panic: line 0", "    | panic: line 11"));
    assert_eq!(lines[13], "    | (68 lines are left out)");
    assert_eq!((lines[14], lines[33]), ("    | panic: line 80", "    | panic: line 99"));
    assert!(lines[34].starts_with("    at "), "{}", lines[34]);
}

#[test]
fn to_exit_is_a_trap_also_without_an_error() {
    let failure = trap(&mut stage(), "exit");
    let expected = "it ended itself with exit code 0, where a plugin must return";
    assert_eq!((failure.cause, failure.reason.lines().next()), (FailureCause::Trap, Some(expected)));
}

#[test]
fn the_wall_clock_is_the_task_s_and_the_monotonic_one_runs() {
    let mut stage = stage();
    stage.slot.wall_clock_time = 1_234_567;
    assert_eq!(answer(&mut stage, "clocks"), "1234567000000 true");
}

#[test]
fn sleeping_takes_no_time_and_does_not_outlive_the_deadline() {
    let started = Instant::now();
    assert_eq!(answer(&mut stage(), "sleep"), "1");
    let limits = InstanceLimits { deadline: Duration::from_millis(50), ..InstanceLimits::default() };
    let setting = Setting { processor: "wasi", limits, ..Setting::default() };
    let failure = trap(&mut Stage::begun(&component("fixture-wasi"), &setting), "sleep for ever");
    assert_eq!(failure.cause, FailureCause::Limit);
    assert!(failure.reason.starts_with("the call took longer than the deadline of 50ms"), "{failure}");
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
}

#[test]
fn random_bytes_are_those_of_the_record() {
    let (mut one, mut other) = (stage(), stage());
    let first = answer(&mut one, "random");
    assert_eq!(first.len(), 32);
    assert_ne!(answer(&mut one, "random"), first, "the same record again, in another call");
    assert_eq!(answer(&mut other, "random"), first, "another instance of the same task and node");
}

#[test]
fn nothing_is_granted_and_refusals_are_no_traps() {
    // 8 is `badf`: there is no such file. Standard input is at its end.
    let expected = "0 variables, 0 arguments, 0 bytes of input, errors [0, 0, 8, 0]";
    assert_eq!(answer(&mut stage(), "environment"), expected);
}

#[test]
fn what_rust_prints_becomes_log_lines_also_from_modules_that_name_no_macro() {
    let mut stage = stage_in_rust();
    let at = "plugin=\"plugin\" node=\"node\" task=\"0_3\" record=\"in-3 offset 100\"";
    let lines = logged(|| drop(answer(&mut stage, "say")));
    let found: Vec<&str> = lines.iter().map(|line| line.strip_suffix(at).expect("whose it is").trim()).collect();
    assert_eq!(found[..2], ["INFO to standard output of 1", "WARN to standard error"]);
    let told: Vec<&str> = found[2..5].iter().map(|line| line.split_once("] ").expect("a place").1).collect();
    assert_eq!(told, ["1 + 1 = 2", "two = 2", "\"a\" = \"a\""]);
    assert_eq!(found[5..], ["INFO and without an end"]);
}

#[test]
fn rust_prints_long_records_whole_and_forwards_them() {
    let mut stage = stage_in_rust();
    for kilobytes in [60, 64, 65, 100, 130] {
        let long = "x".repeat(kilobytes * 1024 + 1);
        let mut forwarded = String::new();
        let lines = logged(|| forwarded = answer(&mut stage, &long));
        assert!(forwarded == long, "{kilobytes}");
        let printed: usize = lines.iter().map(|line| line.matches('x').count()).sum();
        assert_eq!(printed, long.len(), "{kilobytes}");
    }
}

#[test]
fn random_bytes_of_rust_s_crates_are_those_of_the_record() {
    let (mut one, mut other) = (stage_in_rust(), stage_in_rust());
    let first = answer(&mut one, "random");
    assert_eq!(first.len(), 32);
    assert_ne!(first[..16], first[16..], "two versions of the crate go on in one sequence");
    assert_ne!(answer(&mut one, "random"), first, "the same record again, in another call");
    assert_eq!(answer(&mut other, "random"), first, "another instance of the same task and node");
}

#[test]
fn the_clocks_of_the_rust_sdk_are_the_host_s_and_those_of_std_say_what_to_use_instead() {
    let mut stage = stage_in_rust();
    stage.slot.wall_clock_time = 1_234_567;
    assert_eq!(answer(&mut stage, "clocks"), "1234567 true");
    let failure = trap(&mut stage, "clock of std");
    assert!(failure.reason.contains("time not implemented on this platform"), "{failure}");
    assert!(failure.reason.contains("use `context.wall_clock_time()`"), "{failure}");
    let failure = trap(&mut stage_in_rust(), "sleep of std");
    assert!(failure.reason.contains("schedule a punctuation"), "{failure}");
}

#[test]
fn a_component_in_rust_imports_of_wasi_only_what_it_uses() {
    let wasi = |plugin: &str| -> Vec<String> {
        let imports = component(plugin).imports().to_vec();
        let without_version = |name: &str| Some(name.strip_prefix("wasi:")?.split_once('@')?.0.to_owned());
        imports.iter().filter_map(|name| without_version(name)).collect()
    };
    assert_eq!(wasi("identity"), [""; 0]);
    let mut all = wasi("fixture-std");
    all.sort();
    let expected = [
        "cli/stderr",
        "cli/stdout",
        "clocks/monotonic-clock",
        "clocks/wall-clock",
        "io/error",
        "io/streams",
        "random/random",
    ];
    assert_eq!(all, expected);
}
