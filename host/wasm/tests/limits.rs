//! Bad plugins: each limit ends the call with a text that names it, and neither the host nor the task's context is
//! harmed.

mod stage;

use std::time::{Duration, Instant};

use millstream_core::error::{FailureCause, ProcessorFailure};
use millstream_core::processor::{Processor as _, PunctuationType};
use millstream_wasm::InstanceLimits;
use stage::{Row, Setting, Stage, component, row};

fn first_line(failure: &ProcessorFailure) -> &str {
    failure.reason.lines().next().unwrap_or_default()
}

/// The context is back, the instance is dead, and a new one works with the same context.
fn check_only_the_instance_is_dead(stage: &mut Stage, plugin: &str, setting: &Setting) {
    assert!(stage.slot.is_present());
    assert!(stage.process(&[row("k", "fine", 1)]).is_err(), "a dead instance stays dead");
    let mut fresh = Stage::begun(&component(plugin), setting);
    std::mem::swap(&mut fresh.slot, &mut stage.slot);
    fresh.take_forwarded();
    assert_eq!(fresh.process(&[row("k", "fine", 1)]), Ok(Vec::new()));
    assert_eq!(fresh.take_out().len(), 1);
}

#[test]
fn a_panic_is_a_trap_with_the_guest_s_words_and_backtrace() {
    let setting = Setting { processor: "trap", ..Setting::default() };
    let mut stage = Stage::begun(&component("fixture-trap"), &setting);
    let failure = stage.process(&[row("k", "fine", 1), row("k", "trap", 2)]).expect_err("it panics");
    assert_eq!(failure.cause, FailureCause::Trap);
    assert!(failure.digest.starts_with("sha256:"));
    let line = first_line(&failure);
    assert!(line.contains("unreachable"), "{line}");
    assert!(line.contains("panicked at fixture-trap/src/lib.rs"), "{line}");
    assert_eq!(failure.reason.lines().nth(1), Some("    | boom: the value is `trap`"), "{failure}");
    assert!(failure.reason.contains("\n    at fixture_trap::refuse_to_go_on_if_told"), "{}", failure.reason);
    check_only_the_instance_is_dead(&mut stage, "fixture-trap", &setting);
}

#[test]
fn traps_in_init_punctuate_and_close_are_told_from_answers() {
    let fixture = component("fixture-trap");
    let setting = |config| Setting { processor: "trap", config, ..Setting::default() };
    let failure = Stage::new(&fixture, &setting(&[("trap", "init")])).init().expect_err("it panics");
    assert_eq!(failure.cause, FailureCause::Trap);
    assert!(failure.reason.contains("told to trap in init"), "{failure}");

    let mut stage = Stage::begun(&fixture, &setting(&[("trap", "punctuate")]));
    let failure = stage.punctuate(PunctuationType::StreamTime, 1).expect_err("it panics");
    assert!(failure.reason.contains("told to trap in punctuate"), "{failure}");

    let mut stage = Stage::begun(&fixture, &setting(&[("trap", "close")]));
    stage.close();
    assert!(stage.slot.is_present());
}

#[test]
fn what_init_answers_is_the_reason() {
    let fixture = component("fixture-init-error");
    let refused = |config, foreign_stores| {
        let setting = Setting { processor: "init-error", config, foreign_stores, ..Setting::default() };
        let failure = Stage::new(&fixture, &setting).init().expect_err("it can't begin");
        assert_eq!(failure.cause, FailureCause::Answer);
        failure.reason
    };
    assert_eq!(refused(&[], &[]), "the node's setting `required` is missing: give it in `config`");
    let with_store: &[_] = &[("required", "yes"), ("store", "orders")];
    assert_eq!(refused(with_store, &[]), "there is no store `orders`: declare it in the manifest");
    let expected = "store `orders` isn't among the `stores` of this node: add it there";
    assert_eq!(refused(with_store, &["orders"]), expected);
    let setting = Setting { processor: "no-such", ..Setting::default() };
    let failure = Stage::new(&fixture, &setting).init().expect_err("there is no such processor");
    assert_eq!(failure.reason, r#"there is no processor `no-such` in this plugin, but ["init-error"]"#);
}

#[test]
fn a_call_that_never_returns_ends_at_its_deadline() {
    let limits = InstanceLimits { deadline: Duration::from_millis(50), ..InstanceLimits::default() };
    let setting = Setting { processor: "spin", limits, ..Setting::default() };
    let mut stage = Stage::begun(&component("fixture-spin"), &setting);
    let started = Instant::now();
    let failure = stage.process(&[row("k", "spin", 1)]).expect_err("it spins");
    assert_eq!(failure.cause, FailureCause::Limit);
    assert_eq!(first_line(&failure), "the call took longer than the deadline of 50ms");
    assert!(failure.reason.contains("process_batch"), "{}", failure.reason);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    check_only_the_instance_is_dead(&mut stage, "fixture-spin", &setting);
}

#[test]
fn endless_recursion_ends_at_the_stack_s_bound() {
    let mut stage = Stage::begun(&component("fixture-trap"), &Setting { processor: "trap", ..Setting::default() });
    let failure = stage.process(&[row("k", "recurse", 1)]).expect_err("it recurses");
    assert_eq!(failure.cause, FailureCause::Limit);
    assert_eq!(first_line(&failure), "the call stack grew past 1048576 bytes: is there an endless recursion?");
    assert!(failure.reason.lines().count() < 30, "{}", failure.reason);
}

#[test]
fn memory_is_bounded_and_a_mark_below_asks_for_a_new_instance() {
    let mebibyte = 1024 * 1024;
    let limits =
        InstanceLimits { memory_bytes_max: 16 * mebibyte, recycle_bytes: 8 * mebibyte, ..InstanceLimits::default() };
    let setting = Setting { processor: "hog-memory", limits, ..Setting::default() };
    let mut stage = Stage::begun(&component("fixture-hog-memory"), &setting);
    assert!(!stage.processor.wants_recycling());
    stage.process(&vec![row("k", "one", 1); 9]).expect("nine mebibytes are allowed");
    assert!(stage.processor.wants_recycling());
    let failure = stage.process(&[row("k", "all", 1)]).expect_err("it takes all");
    assert_eq!(failure.cause, FailureCause::Limit);
    let line = first_line(&failure);
    assert!(line.starts_with("it needs ") && line.contains("and may have 16777216 (`memory-max`)"), "{line}");
    check_only_the_instance_is_dead(&mut stage, "fixture-hog-memory", &setting);
}

#[test]
fn what_one_call_forwards_is_bounded() {
    let limits = InstanceLimits { deadline: Duration::from_secs(60), ..InstanceLimits::default() };
    let setting = Setting { processor: "forward-too-much", limits, ..Setting::default() };
    let mut stage = Stage::begun(&component("fixture-forward-too-much"), &setting);
    let failure = stage.process(&[row("k", "flood", 1)]).expect_err("it floods");
    assert_eq!(failure.cause, FailureCause::Limit);
    let line = first_line(&failure);
    assert_eq!(line, "more than 4000000 records or 268435456 bytes were forwarded in one call");
    stage.take_forwarded();
    check_only_the_instance_is_dead(&mut stage, "fixture-forward-too-much", &setting);
}

#[test]
fn cursors_are_bounded_and_end_with_their_call() {
    let setting = Setting { processor: "cursors", stores: &["store"], ..Setting::default() };
    let fixture = component("fixture-cursors");
    let mut stage = Stage::begun(&fixture, &setting);
    let failure = stage.process(&[row("k", "hoard", 1)]).expect_err("it hoards");
    assert_eq!(failure.cause, FailureCause::Limit);
    assert_eq!(first_line(&failure), "256 cursors are open already: drop each when its end is reached");

    let mut stage = Stage::begun(&fixture, &setting);
    stage.process(&[row("k", "value", 1), row("k", "keep", 2)]).expect("keeping one is no sin");
    let failure = stage.process(&[row("k", "use-kept", 3)]).expect_err("its time is over");
    assert_eq!(failure.cause, FailureCause::Trap);
    assert_eq!(first_line(&failure), "a cursor is used after the call in which it was opened");
}

#[test]
fn a_key_that_is_too_long_for_a_store_names_the_store() {
    let setting = Setting { processor: "cursors", stores: &["store"], ..Setting::default() };
    let mut stage = Stage::begun(&component("fixture-cursors"), &setting);
    let long = Row { key: Some("k".repeat(70_000)), ..row("", "value", 1) };
    let failure = stage.process(&[long]).expect_err("the key is too long");
    assert_eq!(
        first_line(&failure),
        "a key of 70000 bytes is too long for store `store`: at most 65536 bytes are allowed"
    );
}
