//! What a component was made from, so that nothing is done when nothing has changed. For tool chains that don't know by
//! themselves.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Folders in which no source of a plugin is.
const SKIPPED: [&str; 6] = ["target", "node_modules", "__pycache__", "cases", "test", "tests"];

/// The record of a build, beside its product.
pub(crate) struct Stamp {
    path: PathBuf,
}

impl Stamp {
    /// That of the build whose work is in `directory`.
    pub(crate) fn in_directory(directory: &Path) -> Self {
        Self { path: directory.join("stamp.json") }
    }

    /// Whether the last build was of `own` files and of others that are as they were, with `tools`.
    pub(crate) fn is_current(&self, own: &BTreeSet<PathBuf>, tools: &str) -> bool {
        let read = || serde_json::from_slice::<Value>(&fs::read(&self.path).ok()?).ok();
        let Some(stamp) = read() else { return false };
        let others = stamp["others"].as_array().into_iter().flatten().filter_map(Value::as_str).map(PathBuf::from);
        stamp["digest"].as_str().is_some_and(|digest| digest == digest_of(own, others, tools))
    }

    /// Notes a build.
    pub(crate) fn write(&self, own: &BTreeSet<PathBuf>, others: &[PathBuf], tools: &str) {
        let others: BTreeSet<&PathBuf> = others.iter().filter(|path| !own.contains(*path)).collect();
        let digest = digest_of(own, others.iter().map(|path| (*path).clone()), tools);
        let stamp = json!({ "digest": digest, "others": others });
        // Without it the next build is a whole one, which is no harm.
        let _ = fs::write(&self.path, stamp.to_string());
    }
}

fn digest_of(own: &BTreeSet<PathBuf>, others: impl Iterator<Item = PathBuf>, tools: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(tools);
    for path in own.iter().cloned().chain(others) {
        hash.update(path.as_os_str().as_encoded_bytes());
        // One that is gone differs from one that is empty.
        let content = fs::read(&path);
        hash.update(content.as_ref().map_or(u64::MAX, |bytes| bytes.len() as u64).to_le_bytes());
        hash.update(content.unwrap_or_default());
    }
    crate::hexadecimal(&hash.finalize())
}

/// The files of these extensions in `directory` and below, without those that tools have put there.
pub(crate) fn sources(directory: &Path, extensions: &[&str]) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        let entries = fs::read_dir(&directory).into_iter().flatten().filter_map(std::result::Result::ok);
        for path in entries.map(|entry| entry.path()) {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if name.starts_with('.') {
                continue;
            }
            if path.is_dir() {
                if !SKIPPED.contains(&name.as_str()) {
                    directories.push(path);
                }
            } else if path.extension().is_some_and(|found| extensions.iter().any(|extension| found == *extension)) {
                found.insert(path);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_new_or_vanished_file_makes_a_new_build() {
        let directory = std::env::temp_dir().join(format!("millstream-stamp-{}", std::process::id()));
        fs::create_dir_all(directory.join("node_modules")).expect("a directory");
        let write = |name: &str, text: &str| fs::write(directory.join(name), text).expect("a file");
        write("a.js", "1");
        write("node_modules/b.js", "1");
        let stamp = Stamp::in_directory(&directory);
        let own = || sources(&directory, &["js"]);
        assert_eq!(own().len(), 1);
        assert!(!stamp.is_current(&own(), "1"));
        stamp.write(&own(), &[directory.join("node_modules/b.js")], "1");
        assert!(stamp.is_current(&own(), "1"));
        assert!(!stamp.is_current(&own(), "2"), "other tools");
        write("c.js", "1");
        assert!(!stamp.is_current(&own(), "1"), "a new file");
        fs::remove_file(directory.join("c.js")).expect("it was there");
        assert!(stamp.is_current(&own(), "1"));
        write("node_modules/b.js", "2");
        assert!(!stamp.is_current(&own(), "1"), "a changed file elsewhere");
        fs::remove_dir_all(&directory).expect("it was there");
    }
}
