//! The conformance suite: the same cases for the plugin `conformance` of every language, through the host. `README.md` says
//! what the plugin does. `cargo test --test conformance python` runs the cases of one language.
#![cfg(feature = "wasm")]

mod batches;
mod failures;
mod functions;
mod javascript;
mod limits;
mod processors;
mod punctuations;
mod stage;
mod stores;
mod values;

use std::panic::{AssertUnwindSafe, catch_unwind};

use stage::Plugin;

/// What is tried, and how.
type Case = (&'static str, fn(&Plugin));

/// All cases. Each is run for each language.
const CASES: &[&[Case]] = &[
    values::CASES,
    batches::CASES,
    processors::CASES,
    stores::CASES,
    punctuations::CASES,
    functions::CASES,
    failures::CASES,
    limits::CASES,
];

/// Runs all cases for the plugin in `plugins/` of that name, and tells all that fail.
#[track_caller]
fn check(directory: &str) {
    let plugin = Plugin::build(directory);
    let mut failed = Vec::new();
    let cases = CASES.iter().copied().flatten();
    for (name, run) in cases {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(&plugin))) {
            let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref().copied());
            failed.push(format!("--- {directory}: {name}\n{}", text.unwrap_or("?")));
        }
    }
    let count = CASES.iter().map(|cases| cases.len()).sum::<usize>();
    assert!(failed.is_empty(), "{} of {count} cases failed:\n{}", failed.len(), failed.join("\n"));
}

macro_rules! languages {
    ($($test:ident => $directory:literal),+ $(,)?) => {
        const DIRECTORIES: &[&str] = &[$($directory),+];
        $(
            #[test]
            fn $test() {
                check($directory);
            }
        )+
    };
}

languages! {
    rust => "conformance",
    javascript => "conformance-js",
    typescript => "conformance-ts",
    python => "conformance-python",
    go => "conformance-go",
    c => "conformance-c",
}

#[test]
fn every_language_is_in_the_suite() {
    let plugins = stage::plugins_directory();
    let entries = std::fs::read_dir(plugins).expect("the directory can be read");
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let forgotten: Vec<_> =
        names.filter(|name| name.starts_with("conformance") && !DIRECTORIES.contains(&name.as_str())).collect();
    assert!(forgotten.is_empty(), "add to `languages!` in this file: {}", forgotten.join(", "));
}
