//! What people read when a manifest is wrong: every kind of mistake, in `manifest_errors.txt`.
//!
//! A case is its name after `=== `, a manifest, `---`, and what `millstream validate` says of it. `UPDATE_EXPECT=1` writes the
//! file anew; read the difference before you keep it.

use std::fs;
use std::path::Path;

use millstream::config::{self, Overrides};

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/manifest_errors.txt");

/// The manifest before a case begins, unless it writes one of these tables itself.
const REST: [(&str, &str); 3] = [
    ("[application]", "[application]\nid = \"app\"\n"),
    ("[plugins.", "[plugins.p]\ncomponent = \"p.wasm\"\n"),
    ("[sources", "[sources.in]\ntopics = [\"topic\"]\n"),
];

#[test]
fn every_mistake_is_told_with_its_place_and_what_to_do() {
    let text = fs::read_to_string(CASES).expect("the cases");
    let mut written = String::new();
    let mut count = 0;
    for case in text.split("=== ").skip(1) {
        let (name, rest) = case.split_once('\n').expect("a name");
        let (manifest, expected) = rest.split_once("---\n").expect("an expectation");
        let said = validate(manifest);
        assert!(!said.is_empty(), "{name}");
        written += &format!("=== {name}\n{manifest}---\n{said}\n\n");
        if std::env::var_os("UPDATE_EXPECT").is_none() {
            assert_eq!(said, expected.trim_end(), "case `{name}`; UPDATE_EXPECT=1 writes the new text");
        }
        count += 1;
    }
    assert!(count >= 40, "only {count} cases");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(CASES, written).expect("written");
    }
}

/// The mistakes of a case. The tables of [`REST`] come after it, so that lines are counted from the case's first.
fn validate(manifest: &str) -> String {
    let rest: String = REST.iter().filter(|(table, _)| !manifest.contains(table)).map(|(_, text)| *text).collect();
    let whole = if manifest.starts_with("# alone") { manifest.to_owned() } else { format!("{manifest}{rest}") };
    match config::parse(&whole, Path::new("app.toml"), &Overrides::default()) {
        Ok(_) => String::new(),
        Err(mistakes) => mistakes.to_string(),
    }
}
