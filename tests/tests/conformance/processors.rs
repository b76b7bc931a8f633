//! What a processor is told, where it forwards to, and what it says to the log.

use std::time::Duration;

use millstream_core::id::Offset;
use millstream_tests::driver::TestRecord;
use millstream_tests::driver::declare::Draft;
use tracing::Level;

use crate::Case;
use crate::stage::{Plugin, Setting, shown, step, with_stores};

pub const CASES: &[Case] = &[
    ("a processor is told who and where it is", setup),
    ("a record is told where and when it is", metadata_and_times),
    ("children are chosen by name", children),
    ("the children that are asked for in `init` are known", asked_children),
    ("the order across children is kept for a single record", order_across_children),
    ("a field lives as long as the instance", remember),
    ("a commit that is asked for comes soon", commit),
    ("log lines have their level and say whose they are", log),
    ("what is printed becomes log lines", print),
    ("large records arrive whole beside what is printed", print_beside_large_records),
    ("close is called at a clean end", close),
];

fn setup(plugin: &Plugin) {
    let config = vec![("b", "2".to_owned()), ("a", "ä, =".to_owned())];
    let setting = Setting { config, children: &["left", "right"], partitions: 2, ..Setting::default() };
    let mut stage = plugin.stage(setting);
    stage.driver.write("in", Some(1), &TestRecord::new("setup", "", 1));
    stage.run();
    let found = stage.driver.read_output("right").remove(0);
    assert_eq!(shown(found.value.as_deref()), "do node 0_1 left,right plain,timed a=ä, =,b=2");
    let mut stage = plugin.stage(Setting { children: &[], stores: &[], ..Setting::default() });
    stage.write("setup", None);
    stage.run();
    stage.assert_sound();
    let mut stage = plugin.stage(Setting { stores: &[], ..Setting::default() });
    assert_eq!(stage.ask("setup", ""), ["do node 0_0 out - -"]);
}

fn metadata_and_times(plugin: &Plugin) {
    for records_max in [1, 100] {
        let mut stage = plugin.stage(Setting { partitions: 2, records_max, ..Setting::default() });
        stage.advance(1_700_000_000_123);
        let times = [10, 500, 20, 9_000_000_000_000];
        for (command, partition) in [("metadata", 0), ("times", 0), ("metadata", 1)] {
            for time in times {
                stage.driver.write("in", Some(partition), &TestRecord::new(command, "", time));
            }
        }
        stage.run();
        stage.assert_sound();
        let mut found = stage.texts();
        found.sort();
        let mut expected: Vec<String> =
            [0, 1].iter().flat_map(|partition| (0..4).map(move |offset| format!("in/{partition}/{offset}"))).collect();
        // `times` come after `metadata`, whose last record is the highest.
        expected.extend([9_000_000_000_000_i64; 4].map(|time| format!("{time} 1700000000123")));
        expected.sort();
        assert_eq!(found, expected, "batches of {records_max}");

        let mut stage = plugin.stage(Setting { records_max, ..Setting::default() });
        for time in times {
            stage.driver.write("in", None, &TestRecord::new("times", "", time));
        }
        stage.run();
        assert_eq!(stage.texts(), ["10 0", "500 0", "500 0", "9000000000000 0"], "batches of {records_max}");
    }
}

fn children(plugin: &Plugin) {
    for records_max in [1, 100] {
        let setting = Setting { children: &["left", "right"], records_max, ..Setting::default() };
        let mut stage = plugin.stage(setting);
        for command in ["to left", "to right", "text", "mixed", "to left"] {
            stage.write(command, Some(b"v"));
        }
        stage.run();
        stage.assert_sound();
        assert_eq!(stage.driver.read_texts("left"), ["v", "v!", "1", "2", "v"], "batches of {records_max}");
        assert_eq!(stage.driver.read_texts("right"), ["v", "v!", "2", "3"], "batches of {records_max}");
    }
    let mut stage = plugin.stage(Setting::default());
    stage.write("to nobody", Some(b"v"));
    stage.run();
    assert!(stage.failed().contains("nobody"), "{}", stage.failed());
    // Nobody is below it: what it forwards goes nowhere.
    let mut stage = plugin.stage(Setting { children: &[], ..Setting::default() });
    stage.write("text", Some(b"v"));
    stage.run();
    stage.assert_sound();
}

fn asked_children(plugin: &Plugin) {
    let there = plugin.try_init(("child", "right"), &["left", "right"]);
    assert!(there.failure.is_none(), "{:?}", there.failure);
    assert!(there.children.found.contains(&"right".to_owned()), "{:?}", there.children);
    assert!(there.children.refused.is_empty(), "{:?}", there.children);
    let missing = plugin.try_init(("child", "nobody"), &["left", "right"]);
    assert!(missing.failure.is_some_and(|failure| failure.reason.contains("there is no child `nobody`")));
    assert!(!missing.children.found.contains(&"nobody".to_owned()), "{:?}", missing.children);
    assert_eq!(missing.children.refused, ["nobody"]);
}

fn order_across_children(plugin: &Plugin) {
    let echo = || step("echo", [].into());
    let draft = Draft::new().source("in").step("node", step("do", [].into()), &["in"], &["plain", "timed"]);
    let draft = draft.step("first", echo(), &["node"], &[]).step("last", echo(), &["node"], &[]);
    let topology = with_stores(draft.sink("out", &["first", "last"]), &["plain", "timed"]).build();
    let mut stage = plugin.stage_of(topology, Setting::default());
    stage.write("mixed", Some(b"v"));
    stage.write("mixed", Some(b"v"));
    stage.run();
    stage.assert_sound();
    assert_eq!(stage.texts(), ["1", "2", "2", "3", "1", "2", "2", "3"]);
}

fn remember(plugin: &Plugin) {
    let mut stage = plugin.stage(Setting { partitions: 2, ..Setting::default() });
    for (partition, expected) in [(0, "1"), (0, "2"), (1, "1"), (0, "3"), (1, "2")] {
        stage.driver.write("in", Some(partition), &TestRecord::new("remember", "", 1));
        stage.run();
        assert_eq!(stage.texts(), [expected], "an instance is one task's");
    }
}

fn commit(plugin: &Plugin) {
    let hour = Duration::from_secs(3600);
    let mut stage = plugin.stage(Setting { commit_interval: hour, ..Setting::default() });
    stage.write("put plain k", Some(b"v"));
    stage.driver.run_rounds(20).expect("runs");
    assert_eq!(stage.driver.committed("in", 0), None);
    stage.write("commit", Some(b""));
    stage.driver.run_rounds(20).expect("runs");
    assert_eq!(stage.driver.committed("in", 0).map(|committed| committed.offset), Some(Offset(2)));
    assert_eq!(stage.texts(), ["ok"]);
}

fn log(plugin: &Plugin) {
    let mut stage = plugin.stage(Setting::default());
    stage.lines.take();
    let levels = [
        ("trace", Level::TRACE),
        ("debug", Level::DEBUG),
        ("info", Level::INFO),
        ("warn", Level::WARN),
        ("error", Level::ERROR),
    ];
    for (name, _) in levels {
        stage.write(&format!("log {name}"), Some(format!("grüße {name}\n2").as_bytes()));
    }
    stage.run();
    stage.assert_sound();
    assert_eq!(stage.texts(), [""; 0]);
    let lines = stage.lines.take();
    let found: Vec<_> = lines.iter().map(|line| (line.level, line.message.as_str())).collect();
    let texts = levels.map(|(name, _)| format!("grüße {name}\\n2"));
    let expected: Vec<_> = levels.iter().zip(&texts).map(|((_, level), text)| (*level, text.as_str())).collect();
    assert_eq!(found, expected);
    for field in ["plugin=conformance ", "node=node ", "task=0_0 "] {
        assert!(lines.iter().all(|line| format!("{} ", line.fields).contains(field)), "{field}: {lines:?}");
    }
}

fn print(plugin: &Plugin) {
    let mut stage = plugin.stage(Setting::default());
    stage.write("print", Some("gedruckt 😀".as_bytes()));
    stage.write("print-error", Some("zwei Wörter".as_bytes()));
    stage.run();
    stage.assert_sound();
    for text in ["gedruckt 😀", "zwei Wörter"] {
        assert!(stage.lines.contain(text), "{text}: {:?}", stage.lines.take());
    }
}

/// What a language prints goes through memory of its own, 64 KiB here and there; the host's batches must not meet it.
fn print_beside_large_records(plugin: &Plugin) {
    for records_max in [1, 1000] {
        let mut stage = plugin.stage(Setting { records_max, ..Setting::default() });
        for length in [1, 60_000, 65_400, 65_450, 65_480, 65_536, 1, 70_000, 90_000, 131_072, 130_000, 1, 65_000] {
            let printed = [format!("before {length} bytes"), format!("after {length} bytes")];
            let value = "A".repeat(length);
            stage.write("print", Some(printed[0].as_bytes()));
            stage.write("text", Some(value.as_bytes()));
            stage.write("print", Some(printed[1].as_bytes()));
            stage.run();
            stage.assert_sound();
            let found = stage.texts();
            let is_whole = found.len() == 1 && found[0].strip_suffix('!') == Some(&value);
            let others = found.concat().trim_matches(['A', '!']).to_owned();
            assert!(is_whole, "{length} bytes in batches of {records_max}: {} answers with {others:?}", found.len());
            for text in printed {
                assert!(stage.lines.contain(&text), "{text}, in batches of {records_max}");
            }
        }
    }
}

fn close(plugin: &Plugin) {
    let mut stage = plugin.stage(Setting::default());
    stage.ask("text", "v");
    assert!(!stage.lines.contain("closed"));
    stage.lines.clone().during(|| stage.driver.thread.close(true)).expect("closes");
    assert!(stage.lines.contain("closed"));
}
