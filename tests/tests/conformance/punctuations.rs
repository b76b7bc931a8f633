//! Punctuations of both kinds.

use millstream_tests::driver::TestRecord;

use crate::Case;
use crate::stage::{Plugin, Setting, Stage, TASK, shown};

pub const CASES: &[Case] = &[
    ("stream-time punctuations follow the records", stream_time),
    ("wall-clock punctuations come without records", wall_clock),
    ("schedule-at keeps its rhythm", schedule_at),
    ("a punctuation is cancelled, by a record or by itself", cancelling),
    ("a punctuation writes and forwards like a record", effects),
    ("a punctuation that fails leaves nothing behind", failing),
    ("what can't be scheduled is refused with a text", refused),
];

/// What punctuations have forwarded since the last call: `KEY=VALUE`.
fn fired(stage: &mut Stage) -> Vec<String> {
    let shown_record =
        |record: TestRecord| format!("{}={}", shown(record.key.as_deref()), shown(record.value.as_deref()));
    stage.output().into_iter().map(shown_record).collect()
}

/// Gives the node a record that answers nothing, at `time`.
fn tick(stage: &mut Stage, time: i64) -> Vec<String> {
    stage.now = time;
    stage.write("nothing", None);
    stage.run();
    fired(stage)
}

fn scheduled(plugin: &Plugin, command: &str) -> Stage {
    let mut stage = plugin.stage(Setting::default());
    stage.write(command, None);
    stage.run();
    stage.assert_sound();
    stage
}

fn stream_time(plugin: &Plugin) {
    // Scheduled in `init`.
    let config = vec![("schedule", "tick stream-time 100".to_owned())];
    let mut stage = plugin.stage(Setting { config, ..Setting::default() });
    let at = |time: i64| format!("tick=stream-time {time} /-1/-1");
    let cases =
        [(42, true), (99, false), (100, true), (50, false), (199, false), (555, true), (599, false), (600, true)];
    for (time, fires) in cases {
        let expected: Vec<_> = fires.then(|| at(time)).into_iter().collect();
        assert_eq!(tick(&mut stage, time), expected, "at {time}");
    }
    stage.advance(1_000_000);
    assert_eq!(fired(&mut stage), [""; 0], "stream time stands still without records");
}

fn wall_clock(plugin: &Plugin) {
    let config = vec![("schedule", "tick wall-clock-time 100".to_owned())];
    let mut stage = plugin.stage(Setting { config, ..Setting::default() });
    for (advance, expected) in [(99, None), (1, Some(100)), (50, None), (449, Some(599)), (1, Some(600))] {
        stage.advance(advance);
        let expected: Vec<_> = expected.map(|time| format!("tick=wall-clock-time {time} /-1/-1")).into_iter().collect();
        assert_eq!(fired(&mut stage), expected, "after {advance} more");
    }
    assert_eq!(tick(&mut stage, 1_000_000), [""; 0]);
}

fn schedule_at(plugin: &Plugin) {
    let mut stage = scheduled(plugin, "schedule-at tick stream-time 500 100");
    let cases = [
        (499, None),
        (500, Some("tick=stream-time 500 /-1/-1")),
        (601, Some("tick=stream-time 601 /-1/-1")),
        (699, None),
    ];
    for (time, expected) in cases {
        assert_eq!(tick(&mut stage, time), Vec::from_iter(expected), "at {time}");
    }
    let mut stage = scheduled(plugin, "schedule-at wall wall-clock-time 1000 250");
    for (advance, expected) in [(999, None), (1, Some("wall=wall-clock-time 1000 /-1/-1")), (249, None)] {
        stage.advance(advance);
        assert_eq!(fired(&mut stage), Vec::from_iter(expected));
    }
}

fn cancelling(plugin: &Plugin) {
    let mut stage = scheduled(plugin, "schedule one wall-clock-time 10");
    stage.ask("schedule two wall-clock-time 10", "");
    stage.ask("schedule once wall-clock-time 10", "");
    stage.advance(10);
    let at = |names: &[&str], time: i64| {
        names.iter().map(|name| format!("{name}=wall-clock-time {time} /-1/-1")).collect::<Vec<_>>()
    };
    assert_eq!(fired(&mut stage), at(&["one", "two", "once"], 10));
    stage.advance(10);
    assert_eq!(fired(&mut stage), at(&["one", "two"], 20), "`once` has cancelled itself");
    stage.ask("cancel one", "");
    stage.advance(10);
    assert_eq!(fired(&mut stage), at(&["two"], 30));
    stage.ask("cancel two", "");
    stage.ask("schedule one wall-clock-time 5", "");
    stage.advance(10);
    assert_eq!(fired(&mut stage), at(&["one"], 40), "missed times are not made up for");
    stage.assert_sound();
}

fn effects(plugin: &Plugin) {
    let mut stage = scheduled(plugin, "schedule tick wall-clock-time 10");
    stage.advance(10);
    let record = TestRecord::new("tick", "wall-clock-time 10 /-1/-1", 10);
    assert_eq!(stage.output(), [record], "no headers, the punctuation's time");
    assert_eq!(stage.ask("get plain tick", ""), ["10"]);
    stage.advance(10);
    stage.output();
    assert_eq!(stage.ask("get plain tick", ""), ["20"]);
    let children = Setting { children: &["left", "right"], stores: &[], ..Setting::default() };
    let mut stage = plugin.stage(children);
    stage.write("schedule tick wall-clock-time 10", None);
    stage.run();
    stage.advance(10);
    for child in ["left", "right"] {
        assert_eq!(stage.driver.read_texts(child), ["wall-clock-time 10 /-1/-1"], "it goes to all children");
    }
}

fn failing(plugin: &Plugin) {
    for name in ["skip", "dead-letter"] {
        let mut stage = scheduled(plugin, "schedule good wall-clock-time 10");
        stage.ask(&format!("schedule {name}-it wall-clock-time 10"), "");
        stage.advance(10);
        assert_eq!(fired(&mut stage), ["good=wall-clock-time 10 /-1/-1"], "{name}");
        stage.assert_sound();
        assert_eq!(stage.driver.store(TASK, "plain"), [(b"good".to_vec(), b"10".to_vec())], "{name}");
        stage.advance(10);
        assert_eq!(fired(&mut stage), ["good=wall-clock-time 20 /-1/-1"], "{name}");
        // "`skip` and `dead-letter` both leave this punctuation out": there is no record that could be sent.
        assert_eq!(stage.driver.read_output("dead"), [], "{name}");
    }
    for (name, text) in [("fatal-it", "fatal-it"), ("panic-it", "boom: panic-it")] {
        let mut stage = scheduled(plugin, &format!("schedule {name} wall-clock-time 10"));
        stage.advance(10);
        assert!(stage.failed().contains(text), "{}", stage.failed());
        assert_eq!(fired(&mut stage), [""; 0]);
    }
}

fn refused(plugin: &Plugin) {
    for command in
        ["schedule tick stream-time 0", "schedule-at tick stream-time -1 10", "schedule-at tick wall-clock-time 5 0"]
    {
        let mut stage = plugin.stage(Setting::default());
        stage.write(command, None);
        stage.run();
        assert!(stage.failed().contains("refused a record"), "{command}: {}", stage.failed());
    }
}
