//! A plugin that was written against `wit/` alone, without any SDK, is built by its language's own tools, and runs.

mod stage;

use millstream_core::processor::{Reaction, RecordFailure};
use stage::{Row, Setting, Stage, row, runtime};

#[test]
fn a_plugin_made_from_the_contract_alone_runs() {
    let component = runtime().load(&stage::stranger()).expect("a plugin");
    assert_eq!(component.processors(), ["before"]);
    let setting = Setting { processor: "before", stores: &["latest"], ..Setting::default() };
    let mut stage = Stage::begun(&component, &setting);
    let rows = [
        row("a", "one", 1),
        Row { value: Some("lost".to_owned()), ..Row::default() },
        row("a", "two", 2),
        row("b", "", 3),
    ];
    let skipped = RecordFailure { index: 1, reaction: Reaction::Skip("the record has no key".to_owned()) };
    assert_eq!(stage.process(&rows), Ok(vec![skipped]));
    let later = [
        Row { value: None, ..row("a", "", 4) },
        row("a", "three", 5),
        row("b", "x", 6),
        row("c", "?one", 7),
        row("c", "?two", 8),
        row("c", "y", 9),
    ];
    assert_eq!(stage.process(&later), Ok(Vec::new()));
    let values: Vec<_> = stage.take_out().into_iter().map(|row| (row.key.unwrap_or_default(), row.value)).collect();
    let expected = [
        ("a", None),
        ("a", Some("one")),
        ("b", None),
        ("a", Some("two")),
        ("a", None),
        ("b", Some("")),
        ("c", None),
        ("c", Some("?one")),
        ("c", Some("?one")),
    ];
    assert_eq!(values, expected.map(|(key, value)| (key.to_owned(), value.map(str::to_owned))));
    stage.close();
}
