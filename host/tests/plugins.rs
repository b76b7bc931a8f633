//! What `millstream inspect` and `millstream check` say of plugins, good ones and all kinds of wrong ones. The components are those
//! that `make plugins` has built.
//!
//! `UPDATE_EXPECT=1` writes the expected texts anew; read the difference before you keep it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of the manifests and of the expected texts.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plugins")
}

/// The path of a component that has been built, as the manifests of the folder name it.
fn component(name: &str) -> String {
    format!("../../../plugins/target/components/{name}.wasm")
}

/// What the program says, run in `directory`; sizes and digests, which differ from compiler to compiler, are left out.
fn said(directory: &Path, arguments: &[&str], exit_code: i32) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
    command.current_dir(directory).args(arguments).env("MILLSTREAM_CACHE_DIR", env!("CARGO_TARGET_TMPDIR"));
    let output = command.output().expect("the program runs");
    let (out, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let text = format!("{out}{}{errors}", if errors.is_empty() { "" } else { "--- standard error\n" });
    assert_eq!(output.status.code(), Some(exit_code), "{arguments:?}: {text}");
    format!("$ millstream {}\n{}\n", arguments.join(" "), masked(&text))
}

/// The text without digests, times, and numbers that compilers decide.
fn masked(text: &str) -> String {
    const ENDS: [char; 5] = [' ', '\n', ',', '"', ')'];
    let words: Vec<&str> = text.split_inclusive(ENDS).collect();
    let mut masked = String::new();
    for (index, word) in words.iter().enumerate() {
        let bare = word.trim_end_matches(ENDS).trim_end_matches(':');
        let digits = bare.strip_prefix("sha256:").unwrap_or(bare);
        let is_digest = digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_time = bare.len() > 20 && bare.starts_with("20") && bare.ends_with('Z');
        let is_size = words.get(index + 1).is_some_and(|next| next.starts_with("MiB"));
        let is_number = bare.len() > 2 && bare.replace("..", "").bytes().all(|byte| byte.is_ascii_digit());
        masked.push_str(if is_digest {
            "DIGEST"
        } else if is_time {
            "TIME"
        } else if is_number || is_size {
            "N"
        } else {
            bare
        });
        masked.push_str(&word[bare.len()..]);
    }
    masked
}

#[track_caller]
fn expect(name: &str, said: &str) {
    let path = folder().join(name);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, said).expect("written");
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(said, expected, "{}; UPDATE_EXPECT=1 writes the new text", path.display());
}

#[test]
fn a_plugin_is_described_in_plain_words_and_for_programs() {
    let mut all = String::new();
    let good =
        ["words", "enrich", "functions", "get-put-forward", "fixture-children", "fixture-init-error", "fixture-wasi"];
    for name in good {
        all += &said(&folder(), &["inspect", &component(name)], 0);
    }
    expect("inspect.txt", &all);
    let mut all = said(&folder(), &["inspect", &component("enrich"), "--format", "json"], 0);
    all += &said(&folder(), &["inspect", &component("fixture-children"), "--format", "json"], 0);
    all += &said(&folder(), &["inspect", &component("fixture-wasi"), "--format", "json"], 0);
    expect("inspect-json.txt", &all);
}

#[test]
fn an_application_is_checked_before_anything_starts() {
    let mut all = said(&folder(), &["check", "good.toml"], 0);
    all += &said(&folder(), &["check", "good.toml", "--format", "json"], 0);
    all += &said(&folder(), &["check", "bad.toml"], 64);
    all += &said(&folder(), &["check", "bad.toml", "--format", "json"], 64);
    all += &said(&folder(), &["check", "no-manifest.toml"], 64);
    expect("check.txt", &all);
}

/// The component with one name in place of another of the same length.
fn renamed(component: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut renamed = component.to_vec();
    let places = component.windows(from.len()).enumerate().filter(|(_, window)| *window == from.as_bytes());
    for (place, _) in places {
        renamed[place..place + to.len()].copy_from_slice(to.as_bytes());
    }
    renamed
}

#[test]
fn each_wrong_thing_has_a_message_that_says_what_to_do() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("wrong-plugins");
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).expect("made");
    let words = fs::read(folder().join(component("words"))).expect("`make plugins` has built it");
    let elsewhere = fs::read(folder().join(component("fixture-wrong-world"))).expect("`make plugins` has built it");
    let processor = "millstream:processor/processor@0.1.0";
    let log = "millstream:processor/log@0.1.0";
    let wrong: [(&str, Vec<u8>); 15] = [
        ("older-version.wasm", renamed(&words, processor, "millstream:processor/processor@0.0.9")),
        ("newer-version.wasm", renamed(&words, processor, "millstream:processor/processor@0.2.0")),
        ("newer-patch.wasm", renamed(&words, processor, "millstream:processor/processor@0.1.7")),
        ("newer-patch-of-an-import.wasm", renamed(&words, log, "millstream:processor/log@0.1.7")),
        ("newer-import.wasm", renamed(&words, log, "millstream:processor/log@0.2.0")),
        ("another-shape.wasm", renamed(&words, "forward", "goaward")),
        ("not-granted.wasm", renamed(&words, log, "wasi:messaging/producers@0.2.0")),
        ("another-wasi.wasm", renamed(&words, log, "wasi:filesystem/preopens@0.3.0")),
        ("another-world.wasm", elsewhere),
        ("core-module.wasm", b"\0asm\x01\0\0\0".to_vec()),
        ("nothing-of-ours.wasm", b"\0asm\x0d\0\x01\0".to_vec()),
        ("cut-short.wasm", words[..words.len() / 2].to_vec()),
        ("text.wasm", b"(component)\n".to_vec()),
        ("empty.wasm", Vec::new()),
        ("module.py", b"import millstream\n".to_vec()),
    ];
    let mut all = String::new();
    for (name, bytes) in &wrong {
        fs::write(directory.join(name), bytes).expect("written");
        all += &said(&directory, &["inspect", name], 64);
    }
    // Two hundred megabytes, of which the disk keeps none.
    let large = fs::File::create(directory.join("large.wasm")).expect("made");
    large.set_len(200 << 20).expect("made large");
    all += &said(&directory, &["inspect", "large.wasm"], 64);
    all += &said(&directory, &["inspect", "not-there.wasm"], 64);
    all += &said(&directory, &["inspect", "."], 64);
    expect("wrong.txt", &all);
}

/// A core module that says that it contains predicates, and names none.
fn nameless() -> Vec<u8> {
    fn number(number: usize) -> Vec<u8> {
        if number < 128 { vec![number as u8] } else { vec![number as u8 | 128, (number >> 7) as u8] }
    }
    let vector = |items: &[Vec<u8>]| [number(items.len()), items.concat()].concat();
    let section = |id: u8, content: Vec<u8>| [vec![id], number(content.len()), content].concat();
    let kind = |parameters: usize| [vec![0x60], vector(&vec![vec![0x7f]; parameters]), vec![1, 0x7f]].concat();
    let export = |name: &str, kind: u8, index: u8| [number(name.len()), name.into(), vec![kind, index]].concat();
    let interface = "millstream:processor/predicate@0.1.0";
    let unreachable = vec![3, 0, 0x00, 0x0b];
    [
        b"\0asm\x01\0\0\0".to_vec(),
        section(1, vector(&[kind(0), kind(16), kind(4)])),
        section(3, vec![3, 0, 1, 2]),
        section(5, vec![1, 0, 1]),
        section(
            7,
            vector(&[
                export(&format!("{interface}#predicates"), 0, 0),
                export(&format!("{interface}#test"), 0, 1),
                export("cabi_realloc", 0, 2),
                export("memory", 2, 0),
            ]),
        ),
        // The list lies where the memory is all zero.
        section(10, vector(&[vec![4, 0, 0x41, 16, 0x0b], unreachable.clone(), unreachable])),
    ]
    .concat()
}

#[test]
fn a_plugin_that_names_nothing_is_refused_when_it_is_built_and_when_it_is_looked_at() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("nameless-plugin");
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).expect("made");
    fs::write(directory.join("nameless.wasm"), nameless()).expect("written");
    let refusal =
        "the plugin names no predicate: register at least one (in Go in an `init` function; `main` is never called)\n";
    for arguments in
        [&["build", "nameless.wasm"][..], &["build", "nameless.wasm"], &["inspect", "nameless.component.wasm"]]
    {
        let said = said(&directory, arguments, 64);
        let expected = format!("--- standard error\nmillstream: nameless.component.wasm: {refusal}");
        assert!(said.contains(&expected), "{said}");
    }
}

#[test]
fn watching_ends_when_no_change_of_a_file_could_help() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("nothing-to-watch");
    fs::create_dir_all(&directory).expect("made");
    let said = said(&directory, &["build", "--watch", "nowhere"], 64);
    assert!(said.contains("millstream: nowhere can't be read: "), "{said}");
    assert!(!said.contains("watching"), "{said}");
}
