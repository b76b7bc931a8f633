//! Each kind of error, and what a record leaves behind that has failed.

use millstream_core::stream_thread::OnError;

use crate::Case;
use crate::stage::{Plugin, Setting, TASK, shown};
use crate::values::message;

pub const CASES: &[Case] = &[
    ("skip leaves a record out with all that it did", skip),
    ("dead-letter sends the record away with its reason", dead_letter),
    ("fatal stops the task with the reason, unless the policy says otherwise", fatal),
    ("retry gives the same record again, later, and nothing behind it is lost", retry),
    ("a panic stops the task with its text, which is in the log, too", panic_text),
    ("a panic is passed over where the policy says so, by a new instance", panic_policy),
    ("init that fails says why", init),
    ("a command that is none is refused", unknown),
];

/// Commands around `failing` that show what it has left behind.
fn around(failing: &str) -> Vec<(String, &'static str)> {
    let commands = ["put plain a", failing, "put plain b", "get plain failed", "get plain a"];
    commands.iter().map(|command| ((*command).to_owned(), "ö")).collect()
}

fn skip(plugin: &Plugin) {
    for records_max in [1, 100] {
        let mut stage = plugin.stage(Setting { records_max, ..Setting::default() });
        for (command, value) in around("fail skip") {
            stage.write(&command, Some(value.as_bytes()));
        }
        stage.run();
        stage.assert_sound();
        assert_eq!(stage.texts(), ["null", "ö"], "batches of {records_max}");
        assert_eq!(stage.driver.store(TASK, "plain").len(), 2);
        assert_eq!(stage.driver.thread.totals().records_dropped, 1);
        assert_eq!(stage.driver.read_output("dead"), []);
    }
}

fn dead_letter(plugin: &Plugin) {
    for records_max in [1, 100] {
        let mut stage = plugin.stage(Setting { records_max, ..Setting::default() });
        for (command, value) in around("fail dead-letter") {
            stage.write(&command, Some(value.as_bytes()));
        }
        stage.run();
        stage.assert_sound();
        assert_eq!(stage.texts(), ["null", "ö"]);
        let dead = stage.driver.read_output("dead");
        assert_eq!(dead.len(), 1);
        assert_eq!(
            (shown(dead[0].key.as_deref()), shown(dead[0].value.as_deref())),
            ("fail dead-letter".into(), "ö".into())
        );
        assert!(message(&dead[0]).ends_with(": ö"), "the reason is the plugin's: {}", message(&dead[0]));
    }
}

fn fatal(plugin: &Plugin) {
    for (on_error, records_max) in
        [(OnError::Fail, 1), (OnError::Fail, 100), (OnError::Skip, 1), (OnError::Skip, 100), (OnError::DeadLetter, 100)]
    {
        let mut stage = plugin.stage(Setting { on_error, records_max, ..Setting::default() });
        for (command, value) in around("fail fatal") {
            stage.write(&command, Some(value.as_bytes()));
        }
        stage.run();
        if on_error == OnError::Fail {
            let text = stage.failed();
            assert!(text.starts_with("task 0_0: node `node` at record in-0 offset 1 refused a record: ö"), "{text}");
            assert_eq!(stage.texts(), [""; 0]);
        } else {
            stage.assert_sound();
            assert_eq!(stage.texts(), ["null", "ö"], "{on_error:?}, batches of {records_max}");
            let dead = if on_error == OnError::DeadLetter { vec!["ö"] } else { vec![] };
            assert_eq!(stage.driver.read_texts("dead"), dead);
        }
    }
}

fn retry(plugin: &Plugin) {
    for records_max in [1, 100] {
        let mut stage = plugin.stage(Setting { records_max, ..Setting::default() });
        for command in ["text", "retry-until 60000", "text"] {
            stage.write(command, Some(b"v"));
        }
        for _ in 0..100 {
            stage.lines.clone().during(|| stage.driver.run_rounds(10)).expect("the host stays up");
            stage.driver.clock.advance(std::time::Duration::from_millis(500));
        }
        stage.assert_sound();
        let before = stage.texts();
        assert!(before == ["v!"] || before.is_empty(), "what comes after waits: {before:?}");
        assert!(stage.driver.thread.totals().restarts > 0);
        stage.driver.clock.advance(std::time::Duration::from_secs(60));
        stage.run();
        assert_eq!([before, stage.texts()].concat(), ["v!", "v", "v!"], "batches of {records_max}");
    }
}

fn panic_text(plugin: &Plugin) {
    for records_max in [1, 100] {
        let mut stage = plugin.stage(Setting { records_max, ..Setting::default() });
        for (command, value) in around("panic") {
            stage.write(&command, Some(value.as_bytes()));
        }
        stage.run();
        let text = stage.failed();
        assert!(text.starts_with("task 0_0: node `node` at record in-0 offset 1 "), "{text}");
        assert!(text.contains("boom: ö"), "{text}");
        assert!(stage.lines.contain("boom: ö"), "the text is not in the log: {:?}", stage.lines.take());
        assert_eq!(stage.texts(), [""; 0]);
    }
}

fn panic_policy(plugin: &Plugin) {
    for (on_error, records_max) in [(OnError::Skip, 1), (OnError::DeadLetter, 100)] {
        let mut stage = plugin.stage(Setting { on_error, records_max, ..Setting::default() });
        for (command, value) in around("panic") {
            stage.write(&command, Some(value.as_bytes()));
        }
        stage.run();
        stage.assert_sound();
        assert_eq!(stage.texts(), ["null", "ö"], "{on_error:?}");
        let dead = if on_error == OnError::DeadLetter { vec!["ö"] } else { vec![] };
        assert_eq!(stage.driver.read_texts("dead"), dead);
        assert_eq!(stage.ask("remember", ""), ["1"]);
        assert_eq!(stage.ask("remember", ""), ["2"]);
        stage.ask("panic", "");
        assert_eq!(stage.ask("remember", ""), ["1"], "an instance that panicked is not used again");
    }
}

fn init(plugin: &Plugin) {
    let cases = [
        ("do", "fail-init", "nicht bereit", "nicht bereit"),
        ("do", "panic-init", "früh", "boom: früh"),
        ("do", "open", "nobody's", "nobody's"),
        ("do", "child", "nobody's", "there is no child `nobody's`"),
        ("count", "store", "nobody's", "nobody's"),
        ("do", "schedule", "tick stream-time 0", ""),
    ];
    for (processor, key, value, expected) in cases {
        let config = vec![(key, value.to_owned())];
        let stage = plugin.stage(Setting { processor, config, ..Setting::default() });
        let text = stage.failed();
        assert!(text.starts_with("task 0_0: node `node` ") && text.contains(expected), "{key}: {text}");
    }
}

fn unknown(plugin: &Plugin) {
    for key in [&b"dance"[..], b"", b"put", b"get nowhere k", b"\xff"] {
        let mut stage = plugin.stage(Setting::default());
        stage.driver.write("in", None, &millstream_tests::driver::TestRecord::with(Some(key), Some(b"v"), 1));
        stage.run();
        assert!(stage.failed().contains("refused a record"), "{}: {}", key.escape_ascii(), stage.failed());
    }
}
