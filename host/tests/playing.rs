//! `millstream test` as a person runs it: what it prints, what it writes, and its exit codes.
//!
//! `UPDATE_EXPECT=1` writes the expected texts anew; read the difference before you keep it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/playing")
}

fn millstream_in(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
    command.current_dir(folder).args(arguments).env_remove("COLUMNS").env_remove("MILLSTREAM_LOG");
    command.output().expect("the program runs")
}

/// A text without what differs from run to run: `0.02 s` becomes `T s`.
fn without_times(text: &str) -> String {
    let words = text.split_inclusive(char::is_whitespace).collect::<Vec<_>>();
    let mut plain = String::new();
    for (at, word) in words.iter().enumerate() {
        let is_time = words.get(at + 1).is_some_and(|next| next.starts_with("s)"))
            && word.trim().trim_start_matches('(').parse::<f64>().is_ok();
        plain.push_str(if is_time { "T " } else { word });
    }
    plain
}

fn said(output: &Output) -> String {
    let (out, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    without_times(&format!("{out}{}{errors}", if errors.is_empty() { "" } else { "--- standard error\n" }))
}

#[track_caller]
fn check_text(found: &str, expected: &str) {
    let path = folder().join(expected);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, found).expect("written");
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, expected, "{}; UPDATE_EXPECT=1 writes the new text", path.display());
}

#[track_caller]
fn check(arguments: &[&str], exit_code: i32, expected: &str) {
    let output = millstream_in(&folder(), arguments);
    assert_eq!(output.status.code(), Some(exit_code), "{}", said(&output));
    check_text(&said(&output), expected);
}

#[test]
fn cases_that_pass_are_counted() {
    check(&["test"], 0, "passes.txt");
    check(&["test", "cases", "--only", "a restart"], 0, "only.txt");
}

#[test]
fn cases_that_fail_show_what_was_expected_and_what_came() {
    check(&["test", "fails.toml", "cases"], 1, "fails.txt");
}

#[test]
fn wrong_files_tell_all_their_mistakes_with_line_and_nearest_name() {
    for (file, expected) in [
        ("wrong/wrong.yaml", "wrong/wrong.txt"),
        ("wrong/names.yaml", "wrong/names.txt"),
        ("wrong/syntax.yaml", "wrong/syntax-yaml.txt"),
        ("wrong/syntax.toml", "wrong/syntax-toml.txt"),
        ("wrong/other-app.yaml", "wrong/other-app.txt"),
        ("wrong/not-there.yaml", "wrong/not-there.txt"),
        ("millstream.toml", "wrong/manifest.txt"),
        ("wrong/cases.json", "wrong/json.txt"),
    ] {
        check(&["test", file], 64, expected);
    }
    check(&["test", "wrong"], 64, "wrong/no-cases.txt");
}

/// A folder of its own with a copy of the manifest and of `file`.
fn copy_of(name: &str, file: &str) -> PathBuf {
    let copy = std::env::temp_dir().join(format!("millstream-cases-{}-{name}", std::process::id()));
    fs::create_dir_all(&copy).expect("a folder");
    for file in ["millstream.toml", file] {
        let path = folder().join(file);
        fs::copy(&path, copy.join(path.file_name().expect("a name"))).expect("copied");
    }
    copy
}

#[test]
fn update_writes_what_came_out_and_keeps_comments() {
    let copy = copy_of("update", "fails.toml");
    let output = millstream_in(&copy, &["test", "fails.toml", "--update"]);
    // What can't be written into a case, that nothing fails, stays wrong.
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    check_text(&said(&output), "updated.txt");
    check_text(&fs::read_to_string(copy.join("fails.toml")).expect("there"), "updated.toml.txt");
    fs::remove_dir_all(copy).expect("removed");
}

#[test]
fn the_same_is_updated_in_yaml() {
    let copy = copy_of("yaml", "millstream.toml");
    let before = "# Top.\ncases:\n  - name: one # why\n    steps:\n      - pipe: orders\n        key: ann\n        value: x\n      # Wrong:\n      \
                  - expect: totals # here\n        key: bob\n        value: {long: 3}\n      - {expect: totals, key: too many}\n\
                  \x20 - name: two\n    steps: [{pipe: orders, key: a, value: x}]\n";
    fs::write(copy.join("one.yaml"), before).expect("written");
    let output = millstream_in(&copy, &["test", "one.yaml", "--update"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let after = fs::read_to_string(copy.join("one.yaml")).expect("there");
    let expected = "# Top.\ncases:\n  - name: one # why\n    steps:\n      - pipe: orders\n        key: ann\n        value: x\n      # Wrong:\n      \
                    - expect: totals # here\n        key: \"ann\"\n        value: {long: 1}\n  - name: two\n    steps: [{pipe: orders, key: a, value: x}, \
                    {expect: totals, key: \"a\", value: {long: 1}}]\n";
    assert_eq!(after, expected);
    assert_eq!(millstream_in(&copy, &["test", "one.yaml"]).status.code(), Some(0));
    fs::remove_dir_all(copy).expect("removed");
}

#[test]
fn names_of_cases_do_nothing_to_a_terminal() {
    let copy = copy_of("names", "updates/millstream.toml");
    let text = "cases:\n  - name: \"red \\e[31m \\u202e\"\n    steps: [{pipe: in, key: k}]\n";
    fs::write(copy.join("names.yaml"), text).expect("written");
    let said = said(&millstream_in(&copy, &["test", "names.yaml"]));
    assert!(said.contains("red \\u001b[31m \\u202e"), "{said}");
    assert!(!said.contains(['\u{1b}', '\u{9b}', '\u{202e}']), "{said}");
    fs::remove_dir_all(copy).expect("removed");
}

#[cfg(unix)]
#[test]
fn a_file_is_played_once_and_the_manifest_among_the_cases_is_none() {
    let copy = copy_of("links", "updates/millstream.toml");
    let cases = copy.join("cases");
    fs::create_dir_all(&cases).expect("a folder");
    fs::rename(copy.join("millstream.toml"), cases.join("millstream.toml")).expect("moved");
    fs::write(copy.join("one"), "cases:\n  - {name: one, ignore: [out], steps: [{pipe: in, key: k}]}\n")
        .expect("written");
    for (link, to) in [("one.yaml", "../one"), ("two.yaml", "../one"), ("up", "..")] {
        std::os::unix::fs::symlink(to, cases.join(link)).expect("linked");
    }
    let output = millstream_in(&copy, &["test"]);
    assert!(said(&output).contains("1 case passed (1 file"), "{}", said(&output));
    fs::remove_dir_all(copy).expect("removed");
}

/// Updates `text` as the file `name`, and gives what was said and the new text.
fn updated(copy: &Path, name: &str, text: &str) -> (String, String) {
    fs::write(copy.join(name), text).expect("written");
    let output = millstream_in(copy, &["test", name, "--update"]);
    (said(&output), fs::read_to_string(copy.join(name)).expect("there"))
}

/// The comments of a file, each from its `#` to the end of its line.
fn comments(text: &str) -> Vec<&str> {
    let mut found: Vec<&str> = text.lines().filter_map(comment_of).collect();
    found.sort_unstable();
    found
}

fn comment_of(line: &str) -> Option<&str> {
    let (mut quote, mut before) = (None, ' ');
    for (at, character) in line.char_indices() {
        match (quote, character) {
            (None, '#') if before.is_whitespace() => return Some(line[at..].trim_end()),
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), close) if open == close && before != '\\' => quote = None,
            _ => {}
        }
        before = character;
    }
    None
}

#[test]
fn an_update_touches_only_what_differs_in_whatever_layout() {
    let copy = copy_of("layouts", "updates/millstream.toml");
    let mut files: Vec<PathBuf> = fs::read_dir(folder().join("updates"))
        .expect("there")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.file_stem().is_some_and(|stem| stem != "millstream"))
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml" || extension == "toml"))
        .collect();
    files.sort();
    assert!(files.len() > 8, "{files:?}");
    for path in files {
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
        let before = fs::read_to_string(&path).expect("there");
        let (output, after) = updated(&copy, name, &before);
        check_text(&format!("{output}---\n{after}"), &format!("updates/{name}.txt"));
        assert_eq!(comments(&before), comments(&after), "the comments of {name}");
        let (_, again) = updated(&copy, name, &after);
        assert_eq!(again, after, "a second update of {name}");
        // The same whatever ends its lines, with a byte order mark, and without a newline at its end.
        let (_, crlf) = updated(&copy, name, &before.replace('\n', "\r\n"));
        assert_eq!(crlf, after.replace('\n', "\r\n"), "{name} with CRLF");
        let (_, marked) = updated(&copy, name, &format!("\u{feff}{before}"));
        assert_eq!(marked, format!("\u{feff}{after}"), "{name} with a byte order mark");
        let (_, cut) = updated(&copy, name, before.trim_end());
        assert_eq!(cut.trim_end(), after.trim_end(), "{name} without a newline at its end");
    }
    fs::remove_dir_all(copy).expect("removed");
}

#[test]
fn a_report_for_machines_has_every_case() {
    let copy = copy_of("junit", "fails.toml");
    let output = millstream_in(&copy, &["test", "fails.toml", "--junit", "report.xml"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let report = fs::read_to_string(copy.join("report.xml")).expect("there");
    assert!(report.contains("<testsuite name=\"fails.toml\" tests=\"5\" failures=\"5\" errors=\"0\""), "{report}");
    assert!(report.contains("name=\"the store holds something else\""), "{report}");
    fs::remove_dir_all(copy).expect("removed");
}

#[test]
fn a_new_plugin_is_a_directory_that_was_not_there_or_was_empty() {
    let folder = std::env::temp_dir().join(format!("millstream-new-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let output = millstream_in(&folder, &["new", "--lang", "rust", "word-count"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(folder.join("word-count/sdk/Cargo.toml").is_file() && folder.join("word-count/.gitignore").is_file());
    for (arguments, text) in [
        (
            &["new", "--lang", "rust", "word-count"][..],
            "there is word-count already; choose another name, or remove it",
        ),
        (&["new", "--lang", "rust", "Word Count"], "`word-count`, say"),
        (
            &["new", "--lang", "go", "fmt"],
            "\"fmt\" can't be the name of a plugin: in Go a package of the standard library",
        ),
        (&["new", "--lang", "rust", "."], ". is not empty: name a new directory, or begin in an empty one"),
        (&["new", "--lang", "cobol", "x"], "possible values: rust, js, ts, python, go, c"),
    ] {
        let output = millstream_in(&folder, arguments);
        assert_eq!(output.status.code(), Some(64), "{}", said(&output));
        assert!(said(&output).contains(text), "{}", said(&output));
    }
    let empty = folder.join("empty-before");
    fs::create_dir_all(&empty).expect("a folder");
    let output = millstream_in(&empty, &["new", "--lang", "rust", "."]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(!said(&output).contains("  cd "), "{}", said(&output));
    let manifest = fs::read_to_string(empty.join("millstream.toml")).expect("there");
    assert!(manifest.contains("id = \"empty-before\""), "{manifest}");
    fs::remove_dir_all(folder).expect("removed");
}
