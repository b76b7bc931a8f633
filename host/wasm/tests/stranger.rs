//! A plugin that was written against `wit/` alone, without any SDK, is built by its language's own tools, and runs.

mod stage;

use std::path::Path;
use std::process::Command;

use millstream_core::processor::{Reaction, RecordFailure};
use stage::{Row, Setting, Stage, row, runtime};

/// Clang, by the names under which systems have it.
const CLANGS: [&str; 6] = ["clang-19", "clang-22", "clang-21", "clang-20", "clang", "clang-14"];

/// Compiles `tests/stranger` as anybody would, and makes a component of it.
fn stranger() -> Vec<u8> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/stranger");
    let module = Path::new(env!("CARGO_TARGET_TMPDIR")).join("stranger.wasm");
    let files =
        ["stranger.c", "plugin_processor.c", "plugin_processor_component_type.o"].map(|name| sources.join(name));
    let compiles = |clang: &&str| {
        let mut command = Command::new(clang);
        command.args(["--target=wasm32-wasi", "-mexec-model=reactor", "-O2", "-o"]).arg(&module).args(&files);
        command.status().is_ok_and(|status| status.success())
    };
    assert!(CLANGS.iter().any(compiles), "no clang compiles it; `.ci/install c` installs one");
    let component = Path::new(env!("CARGO_TARGET_TMPDIR")).join("stranger.component.wasm");
    let request = millstream_build::Request { source: module, out: Some(component.clone()), ..Default::default() };
    millstream_build::build(&request, &mut |_| {}).expect("it says its world itself");
    std::fs::read(component).expect("the component was just written")
}

#[test]
fn a_plugin_made_from_the_contract_alone_runs() {
    let component = runtime().load(&stranger()).expect("a plugin");
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
    assert_eq!(
        stage.process(&[Row { value: None, ..row("a", "", 4) }, row("a", "three", 5), row("b", "x", 6)]),
        Ok(Vec::new())
    );
    let values: Vec<_> = stage.take_out().into_iter().map(|row| (row.key.unwrap_or_default(), row.value)).collect();
    let expected = [("a", None), ("a", Some("one")), ("b", None), ("a", Some("two")), ("a", None), ("b", Some(""))];
    assert_eq!(values, expected.map(|(key, value)| (key.to_owned(), value.map(str::to_owned))));
    stage.close();
}
