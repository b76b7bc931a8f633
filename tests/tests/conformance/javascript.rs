//! What can go wrong in JavaScript alone, by the plugin `fixture-js`.

use millstream_core::stream_thread::OnError;
use millstream_core::topology::{Step, StoreKind};
use millstream_tests::driver::TestRecord;
use millstream_tests::driver::declare::{Draft, store};

use crate::functions::function;
use crate::stage::{Plugin, Setting, Stage};
use crate::values::message;

fn setting(processor: &'static str) -> Setting {
    Setting { processor, stores: &[], ..Setting::default() }
}

/// What three partitions answer to each command.
fn of_partitions(stage: &mut Stage, commands: &[&str]) -> Vec<String> {
    for command in commands {
        for partition in 0..3 {
            stage.driver.write("in", Some(partition), &TestRecord::new(command, "", stage.now));
        }
    }
    stage.run();
    stage.assert_sound();
    stage.texts()
}

fn distinct(mut texts: Vec<String>) -> usize {
    texts.sort();
    texts.dedup();
    texts.len()
}

#[test]
fn javascript_chance_is_another_for_each_task_and_after_a_restart() {
    let plugin = Plugin::build("fixture-js");
    let setting = || Setting { partitions: 3, ..setting("numbers") };
    let mut stage = plugin.stage(setting());
    let commands = ["random", "random", "values", "uuid"];
    let mut seen = of_partitions(&mut stage, &commands);
    seen.extend(of_partitions(&mut stage, &commands));
    assert_eq!(distinct(seen.clone()), 24, "{seen:?}");
    let first = of_partitions(&mut stage, &["first"]);
    assert_eq!(distinct(first.clone()), 3, "{first:?}");
    seen.extend(first);

    let mut stage = plugin.stage(Setting { log: stage.driver.log.clone(), ..setting() });
    stage.output();
    seen.extend(of_partitions(&mut stage, &commands));
    assert_eq!(distinct(seen.clone()), 39, "an instance repeats what was given before: {seen:?}");
    assert_eq!(distinct(of_partitions(&mut stage, &["top"])), 1, "no instance had begun");
    assert_eq!(of_partitions(&mut stage, &["many"]), ["true"; 3], "the numbers are spread evenly");
}

#[test]
fn javascript_text_with_half_a_character_goes_wherever_text_goes() {
    let half = r#""a\ud800b""#;
    let plugin = Plugin::build("fixture-js");
    for records_max in [1, 100] {
        let on_error = OnError::DeadLetter;
        let mut stage = plugin.stage(Setting { on_error, records_max, ..setting("halves") });
        for command in ["skip", "dead-letter", "error", "text", "log", "console", "forward"] {
            stage.write(command, Some(half.as_bytes()));
        }
        stage.run();
        stage.assert_sound();
        let dead: Vec<_> = stage.driver.read_output("dead").iter().map(message).collect();
        assert_eq!(dead.len(), 3, "{dead:?}");
        for (message, end) in dead.iter().zip([": a\u{fffd}b", ": Error: a\u{fffd}b", ": a\u{fffd}b"]) {
            assert!(message.ends_with(end) && !message.contains("trap"), "{message}");
        }
        let lines = stage.lines.take();
        for text in ["a\u{fffd}b", "a\u{fffd}b [\"a\\ud800b\"] Error: a\u{fffd}b", "Error: a\u{fffd}b"] {
            assert!(lines.iter().any(|line| line.message.starts_with(text)), "{text}: {lines:?}");
        }
        let forwarded = stage.output();
        let half = "a\u{fffd}b";
        assert_eq!(forwarded, [TestRecord::new(half, half, 6).header(half, Some(half.as_bytes()))]);
    }
    for (place, expected) in
        [("error", "Error: a\u{fffd}b"), ("child", "no child `a\u{fffd}b`"), ("store", "no store `a\u{fffd}b`")]
    {
        let config = vec![("where", place.to_owned()), ("half", half.to_owned())];
        let stage = plugin.stage(Setting { config, ..setting("halves") });
        assert!(stage.failed().contains(expected), "{place}: {}", stage.failed());
    }
}

#[test]
fn javascript_work_that_is_to_go_on_later_is_refused() {
    let plugin = Plugin::build("fixture-js");
    for records_max in [1, 100] {
        let mut stage = plugin.stage(Setting { on_error: OnError::DeadLetter, records_max, ..setting("later") });
        for command in ["now", "later", "now"] {
            stage.write(command, Some(b"v"));
        }
        stage.run();
        stage.assert_sound();
        assert_eq!(stage.texts(), ["v", "v"], "batches of {records_max}: nothing of the record is left");
        let dead: Vec<_> = stage.driver.read_output("dead").iter().map(message).collect();
        let expected = "`process` must not be async or return a promise: a record's work ends with the call";
        assert!(dead.len() == 1 && dead[0].contains(expected), "{dead:?}");
    }
}

#[test]
fn javascript_functions_have_chance_and_text_of_any_kind_too() {
    let plugin = Plugin::build("fixture-js");
    let filter = Step::Filter { predicate: function("half"), negated: false };
    let topology = Draft::new().source("in").step("node", filter, &["in"], &[]).sink("out", &["node"]).build();
    let mut stage = plugin.stage_of(topology, Setting { on_error: OnError::DeadLetter, ..Setting::default() });
    stage.write("k", Some(br#""a\ud800b""#));
    stage.run();
    stage.assert_sound();
    let dead: Vec<_> = stage.driver.read_output("dead").iter().map(message).collect();
    assert!(dead.len() == 1 && dead[0].contains(": Error: a\u{fffd}b (plugin"), "{dead:?}");

    let draft = Draft::new()
        .source("in")
        .step("group", Step::GroupBy { selector: function("chance") }, &["in"], &[])
        .count("counts", "group", "counts-store")
        .store_of("counts-store", store(StoreKind::TimestampedKeyValue))
        .sink("out", &["counts"]);
    let mut stage = plugin.stage_of(draft.build(), Setting { partitions: 3, ..Setting::default() });
    of_partitions(&mut stage, &["k", "k", "k"]);
    of_partitions(&mut stage, &["k"]);
    let keys = stage.driver.entries("counts-store").expect("the store is there").len();
    assert_eq!(keys, 12, "a number came twice");
}
