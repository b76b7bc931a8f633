//! What can't be loaded says why; what was compiled before isn't compiled again.

mod stage;

use std::fs;
use std::path::{Path, PathBuf};

use millstream_wasm::{LoadError, Runtime, RuntimeLimits, RuntimeSettings};
use stage::{component_bytes, runtime};

fn refusal(bytes: &[u8]) -> String {
    runtime().load(bytes).expect_err("this is no plugin").to_string()
}

/// The component with one name in place of another of the same length.
fn renamed(component: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut renamed = component.to_vec();
    for start in 0..renamed.len().saturating_sub(from.len()) {
        if renamed[start..].starts_with(from.as_bytes()) {
            renamed[start..start + to.len()].copy_from_slice(to.as_bytes());
        }
    }
    renamed
}

#[test]
fn what_is_no_component_is_refused_in_plain_words() {
    assert_eq!(
        refusal(b""),
        "this is no WebAssembly file: it begins with nothing; name a component made by `millstream build`"
    );
    assert_eq!(
        refusal(b"#!/bin/sh\n"),
        "this is no WebAssembly file: it begins with `#!/bin/s`; name a component made by `millstream build`"
    );
    assert_eq!(
        refusal(b"\0asm\x01\0\0\0"),
        "this is a core module, not a component: run `millstream build` on it, or on the plugin's directory"
    );
    let words = component_bytes("words");
    for length in [5, 9, 100, words.len() / 2, words.len() - 1] {
        let refused = refusal(&words[..length]);
        assert!(refused.starts_with("the component is cut short, damaged, or uses features"), "{length}: {refused}");
    }
    let path = Path::new("no/such/plugin.wasm");
    let refused = runtime().load_file(path).expect_err("it isn't there").to_string();
    assert!(refused.starts_with("the component no/such/plugin.wasm can't be read: "), "{refused}");
    assert!(refused.ends_with("build it with `millstream build`, or correct the path"), "{refused}");
}

#[test]
fn a_component_of_another_world_is_told_what_is_expected() {
    assert_eq!(
        refusal(&component_bytes("fixture-wrong-world")),
        "the component is no plugin: it exports `elsewhere:transforms/transform@1.0.0`, but a plugin exports one of \
         `millstream:processor/processor@0.1.0`, `millstream:processor/predicate@0.1.0`, \
         `millstream:processor/key-selector@0.1.0`; build it for one of the worlds in `wit/world.wit`"
    );
}

#[test]
fn a_component_of_another_version_or_with_foreign_imports_is_told_so() {
    let words = component_bytes("words");
    let (ours, other) = ("millstream:processor/processor@0.1.0", "millstream:processor/processor@0.2.0");
    assert_eq!(
        refusal(&renamed(&words, ours, other)),
        "the component is made for `millstream:processor/processor@0.2.0`, but this host speaks \
         `millstream:processor/processor@0.1.0`: use a newer Millstream, or build it again with the SDK of this version"
    );
    // The second is of a version that isn't linked.
    for foreign in
        ["wasi:messaging/producers@0.2.0", "wasi:filesystem/preopens@0.3.0", "somebody:other/interface@1.0.0"]
    {
        let refused = refusal(&renamed(&words, "millstream:processor/log@0.1.0", foreign));
        let expected = format!("the component imports `{foreign}`, which plugins don't get: ");
        assert!(refused.starts_with(&expected), "{refused}");
        assert_eq!(refused.contains("of WASI they get version 0.2 of cli, "), foreign.starts_with("wasi"), "{refused}");
    }
    // A name that only one of the two sides knows is a mismatch of the shape.
    let refused = refusal(&renamed(&words, "forward", "goaward"));
    assert!(refused.starts_with("the component doesn't fit the contract millstream:processor@0.1.0: "), "{refused}");
}

#[test]
fn a_component_past_the_size_allowed_is_refused_before_it_is_compiled() {
    let limits = RuntimeLimits { component_bytes_max: 1000, ..RuntimeLimits::default() };
    let runtime = Runtime::new(RuntimeSettings { cache_directory: None, limits }).expect("this machine can run Wasm");
    let words = component_bytes("words");
    let error = runtime.load(&words).expect_err("it is larger");
    assert!(matches!(error, LoadError::Size { max: 1000, .. }), "{error}");
}

fn fresh_directory(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&directory);
    directory
}

fn runtime_with_cache(directory: &Path, cache_bytes_max: u64) -> Runtime {
    let limits = RuntimeLimits { cache_bytes_max, ..RuntimeLimits::default() };
    let settings = RuntimeSettings { cache_directory: Some(directory.to_owned()), limits };
    Runtime::new(settings).expect("the cache directory can be made")
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("the directory is there");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

#[test]
fn compiled_code_is_kept_by_digest_and_found_again() {
    let directory = fresh_directory("cache-hit");
    let words = component_bytes("words");
    let digest = runtime_with_cache(&directory, u64::MAX).load(&words).expect("a plugin").digest().to_owned();
    let kept = files(&directory);
    assert_eq!(kept.len(), 1);
    let hexadecimal = digest.strip_prefix("sha256:").expect("the digest says what it is");
    let name = kept[0].file_name().expect("a name").to_string_lossy().into_owned();
    assert!(name.starts_with(hexadecimal), "{name}");

    // Code of another plugin under this name shows that it is the file that is used.
    let other = fresh_directory("cache-hit-other");
    runtime_with_cache(&other, u64::MAX).load(&component_bytes("identity")).expect("a plugin");
    fs::copy(&files(&other)[0], &kept[0]).expect("copied");
    let again = runtime_with_cache(&directory, u64::MAX).load(&words).expect("a plugin");
    assert_eq!(again.processors(), ["identity", "capitals"]);
}

#[test]
fn damaged_compiled_code_is_compiled_again() {
    let directory = fresh_directory("cache-damage");
    let words = component_bytes("words");
    runtime_with_cache(&directory, u64::MAX).load(&words).expect("a plugin");
    let path = files(&directory).remove(0);
    let whole = fs::read(&path).expect("the file");
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    for damaged in [&flipped[..], &whole[..whole.len() / 2], b"", b"MSCWASM1"] {
        fs::write(&path, damaged).expect("written");
        let component = runtime_with_cache(&directory, u64::MAX).load(&words).expect("a plugin all the same");
        assert_eq!(component.processors(), ["split"]);
        assert_eq!(fs::read(&path).expect("the file"), whole, "it is whole again");
    }
}

#[test]
fn the_cache_keeps_what_was_used_last_within_its_bound() {
    let directory = fresh_directory("cache-bound");
    let runtime = runtime_with_cache(&directory, 1);
    for plugin in ["words", "identity"] {
        let component = runtime.load(&component_bytes(plugin)).expect("a plugin");
        let kept = files(&directory);
        assert_eq!(kept.len(), 1, "{kept:?}");
        let hexadecimal = component.digest().trim_start_matches("sha256:").to_owned();
        assert!(kept[0].file_name().expect("a name").to_string_lossy().starts_with(&hexadecimal));
    }
}

/// Code of `identity` in the place of that of `words`: whoever uses it is found out.
#[cfg(unix)]
fn cache_with_code_of_another(name: &str) -> (PathBuf, PathBuf) {
    let (directory, other) = (fresh_directory(name), fresh_directory(&format!("{name}-other")));
    runtime_with_cache(&directory, u64::MAX).load(&component_bytes("words")).expect("a plugin");
    runtime_with_cache(&other, u64::MAX).load(&component_bytes("identity")).expect("a plugin");
    let path = files(&directory).remove(0);
    fs::copy(&files(&other)[0], &path).expect("copied");
    (directory, path)
}

#[cfg(unix)]
#[test]
fn compiled_code_that_others_could_have_written_is_not_used() {
    use std::os::unix::fs::{PermissionsExt as _, chown};
    let (directory, path) = cache_with_code_of_another("cache-others");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("changed");
    let words = component_bytes("words");
    let load = || runtime_with_cache(&directory, u64::MAX).load(&words).expect("a plugin all the same");
    assert_eq!(load().processors(), ["split"]);
    let mode = fs::metadata(&path).expect("the file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "it was written anew");

    // Only root can give files away, so only root could be given one.
    let (directory, path) = cache_with_code_of_another("cache-given");
    if chown(&path, Some(12_345), None).is_ok() {
        let load = || runtime_with_cache(&directory, u64::MAX).load(&words).expect("a plugin all the same");
        assert_eq!(load().processors(), ["split"]);
        chown(&directory, Some(12_345), None).expect("changed");
        let settings = RuntimeSettings { cache_directory: Some(directory), ..RuntimeSettings::default() };
        let refused = Runtime::new(settings).expect_err("the directory is another's");
        assert!(refused.to_string().ends_with("for compiled plugins can't be used: name another"), "{refused}");
    }
}

#[test]
fn what_a_writer_that_is_gone_has_left_is_removed() {
    let directory = fresh_directory("cache-parts");
    let runtime = runtime_with_cache(&directory, u64::MAX);
    let (old, new) = (directory.join("x.1-0.part"), directory.join("x.2-0.part"));
    for part in [&old, &new] {
        fs::write(part, "half").expect("written");
    }
    let hours_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(2 * 3_600);
    fs::File::options().append(true).open(&old).and_then(|file| file.set_modified(hours_ago)).expect("changed");
    runtime.load(&component_bytes("words")).expect("a plugin");
    assert!(!old.exists() && new.exists());
}

#[test]
fn several_threads_may_compile_and_keep_the_same_plugin() {
    let directory = fresh_directory("cache-threads");
    let words = component_bytes("words");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| runtime_with_cache(&directory, u64::MAX).load(&words).expect("a plugin"));
        }
    });
    assert_eq!(files(&directory).len(), 1, "{:?}", files(&directory));
}
