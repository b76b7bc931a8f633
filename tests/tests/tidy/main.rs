//! The rules of the house that neither rustc nor clippy knows. Each failure lists all places and says what to do.

mod allowed;
mod documents;
mod manifests;
mod rust_source;
mod tree;
mod wit;

use rust_source::RustSource;
use tree::{Tree, files_of};

/// Past this a function has a reason, in `allowed.rs`: it should fit a screen.
const FUNCTION_LINES_MAX: usize = 70;
/// Past this a file has a reason, in `allowed.rs`: a newcomer reads it in one sitting.
const FILE_LINES_MAX: usize = 800;

/// Fails with every complaint, sorted, and the way out.
#[track_caller]
fn expect_none(mut complaints: Vec<String>, what_to_do: &str) {
    complaints.sort();
    assert!(complaints.is_empty(), "\n  {}\n\n{what_to_do}\n", complaints.join("\n  "));
}

fn rust_sources() -> Vec<RustSource> {
    let files = Tree::of_the_project().with_extension("rs").into_iter().map(RustSource::read);
    // The bindings of the Rust SDK, which a test of it makes.
    files.filter(|file| !file.path.starts_with("guest-sdk/rust/src/bindings/")).collect()
}

#[test]
fn every_rust_file_says_first_what_it_is_for() {
    let complaints = rust_sources().into_iter().filter(|file| !file.text.starts_with("//! ")).map(|file| file.path);
    expect_none(complaints.collect(), "write a first line `//! ...` that says what the file is for");
}

#[test]
fn functions_fit_a_screen() {
    let mut complaints = Vec::new();
    let mut excused = Vec::new();
    for file in rust_sources() {
        for function in file.functions().into_iter().filter(|function| function.lines > FUNCTION_LINES_MAX) {
            if allowed::LONG_FUNCTIONS.iter().any(|(path, name, _)| *path == file.path && *name == function.name) {
                excused.push((file.path.clone(), function.name));
            } else {
                let (path, line) = (&file.path, function.line);
                complaints.push(format!("{path}:{line}: `{}` has {} lines", function.name, function.lines));
            }
        }
    }
    for (path, name, _) in allowed::LONG_FUNCTIONS {
        if !excused.iter().any(|(p, n)| p == path && n == name) {
            complaints.push(format!("{path}: `{name}` is short, or gone"));
        }
    }
    expect_none(
        complaints,
        &format!(
            "split the function where a step ends (at most {FUNCTION_LINES_MAX} lines), or give a reason in \
             tests/tests/tidy/allowed.rs; take out of there what needs none any more"
        ),
    );
}

#[test]
fn files_are_read_in_one_sitting() {
    let mut complaints = Vec::new();
    for file in rust_sources() {
        let lines = file.text.lines().count();
        let excused = allowed::LONG_FILES.iter().any(|(path, _)| *path == file.path);
        match (lines > FILE_LINES_MAX, excused) {
            (true, false) => complaints.push(format!("{} has {lines} lines", file.path)),
            (false, true) => complaints.push(format!("{} is short again", file.path)),
            _ => {}
        }
    }
    expect_none(
        complaints,
        &format!(
            "look for the second noun in the file and move it to a file of its own (at most {FILE_LINES_MAX} lines), or give a \
             reason in tests/tests/tidy/allowed.rs; take out of there what needs none any more"
        ),
    );
}

#[test]
fn the_core_knows_no_library_clock_thread_or_file() {
    // What the core would use, and what it uses instead.
    let forbidden = [
        ("wasmtime", "a processor behind `processor.rs`"),
        ("rdkafka", "a port of `port.rs`"),
        ("rocksdb", "a port of `port.rs`"),
        ("tokio", "plain calls; the core never waits"),
        ("serde", "nothing: settings and wire formats are the host's"),
        ("serde_json", "nothing: settings and wire formats are the host's"),
        ("std::time::Instant", "the time that the caller gives"),
        ("std::time::SystemTime", "the time that the caller gives"),
        ("std::fs", "a port of `port.rs`"),
        ("std::net", "a port of `port.rs`"),
        ("std::env", "a setting that the caller gives"),
        ("std::process", "an error that the caller acts on"),
        ("std::thread", "the caller's thread"),
    ];
    let mut complaints = Vec::new();
    for file in rust_sources().iter().filter(|file| file.is_core()) {
        for (line, path) in file.paths() {
            for (name, instead) in forbidden.iter().filter(|(name, _)| is_or_is_in(&path, name)) {
                complaints.push(format!("{}:{line}: `{path}`: {name} is not for the core; use {instead}", file.path));
            }
        }
    }
    expect_none(
        complaints,
        "the core is pure, synchronous and deterministic, so that a seed repeats every run (ARCHITECTURE.md)",
    );
}

fn is_or_is_in(path: &str, module: &str) -> bool {
    path.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

#[test]
fn only_the_composition_root_names_two_adapters() {
    let mut complaints = Vec::new();
    for file in rust_sources().iter().filter(|file| file.path.starts_with("host/src/")) {
        let composes = file.path == "host/src/app.rs" || file.path.starts_with("host/src/app/");
        let named: Vec<_> = manifests::ADAPTERS
            .iter()
            .map(|name| format!("millstream_{name}"))
            .filter(|adapter| file.paths().iter().any(|(_, path)| is_or_is_in(path, adapter)))
            .collect();
        if named.len() > 1 && !composes {
            complaints.push(format!("{} names {}", file.path, named.join(" and ")));
        }
    }
    expect_none(
        complaints,
        "let host/src/app.rs put the adapters together, and hand the rest a port of host/core/src/port.rs",
    );
}

#[test]
fn crates_depend_one_way() {
    expect_none(
        manifests::complaints(),
        "imports point one way: plugins -> guest-sdk -> wit <- host/wasm -> host/core <- host/kafka, host/state, host/embedded; \
         go through a port of host/core/src/port.rs (the table is in tests/tests/tidy/manifests.rs)",
    );
}

#[test]
fn nothing_is_left_behind_in_rust_code() {
    let unfinished = concat!("FIX", "ME");
    let mut complaints = Vec::new();
    for file in rust_sources() {
        let code = [
            (concat!("#[ig", "nore"), "a test runs or is deleted"),
            (concat!("db", "g!("), "take the debug output out"),
            (concat!("to", "do!("), "write it, or leave the branch out"),
            (concat!("unimple", "mented!("), "write it, or leave the branch out"),
        ];
        for (pattern, fix) in code {
            complaints.extend(file.lines_with(pattern).map(|line| format!("{}:{line}: `{pattern}`: {fix}", file.path)));
        }
        complaints.extend(file.bare_matches().into_iter().map(|line| {
            format!("{}:{line}: the answer of `matches!` is thrown away: `assert!(matches!(..))` was meant", file.path)
        }));
        let marked = file.text.lines().enumerate().filter(|(_, line)| line.contains(unfinished));
        complaints.extend(marked.map(|(at, _)| format!("{}:{}: {unfinished}: do it now", file.path, at + 1)));
    }
    expect_none(complaints, "finish what was begun; what is for later is an issue, not a mark in the code");
}

#[test]
fn names_of_files_say_what_is_inside() {
    let empty_words = ["utils", "util", "helpers", "helper", "common", "misc", "manager"];
    let tree = Tree::of_the_project();
    let complaints = tree
        .files()
        .filter(|path| path.split('/').any(|part| empty_words.contains(&part.split('.').next().unwrap_or(part))));
    expect_none(complaints.map(str::to_owned).collect(), "name the file after the one noun that is in it");
}

#[test]
fn every_function_and_type_of_the_contract_is_documented() {
    let complaints = files_of("wit", "wit").iter().flat_map(|path| wit::undocumented(path)).collect();
    expect_none(
        complaints,
        "write `///` lines before it: meaning, missing values, errors; strangers implement it from there",
    );
}

#[test]
fn what_the_documents_name_exists() {
    let complaints = ["README.md", "ARCHITECTURE.md"].iter().flat_map(|name| documents::complaints(name)).collect();
    expect_none(complaints, "correct the document, or bring back what it promises");
}

#[test]
fn every_bad_plugin_is_used_by_a_test() {
    let tree = Tree::of_the_project();
    let tests: String =
        rust_sources().into_iter().filter(|file| !file.path.starts_with("plugins/")).map(|f| f.text).collect();
    let complaints = tree
        .directories_in("plugins")
        .into_iter()
        .filter(|name| name.starts_with("fixture-"))
        .filter(|name| !tests.contains(name.as_str()) && !tests.contains(&name.replace('-', "_")))
        .map(|name| format!("plugins/{name} is named in no test"));
    expect_none(complaints.collect(), "write the test that the plugin is bad for, or delete the plugin");
}

#[test]
fn no_file_names_a_place_that_only_one_machine_has() {
    let private = [
        concat!("/work", "/"),
        concat!("/ro", "ot/"),
        concat!("reg", "istry.npmjs.org"),
        concat!("index.", "crates.io"),
        concat!("repo1.", "maven.org"),
        concat!("proxy.", "golang.org"),
        concat!("deb.", "debian.org"),
        concat!("files.", "pythonhosted.org"),
    ];
    let mut complaints = Vec::new();
    for path in Tree::of_the_project().files().filter(|path| !path.ends_with(".lock")) {
        let Some(text) = tree::text(path) else { continue };
        for (at, line) in text.lines().enumerate() {
            for name in private.iter().filter(|name| line.contains(**name)) {
                complaints.push(format!("{path}:{}: {name}", at + 1));
            }
        }
    }
    expect_none(
        complaints,
        "take the path from the checkout, a setting or the environment; registries are their clients' business",
    );
}
