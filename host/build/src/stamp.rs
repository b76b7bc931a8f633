//! What a component was made from, so that nothing is done when nothing has changed. For tool chains that don't know by
//! themselves.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Folders that tools make, wherever they are.
const MADE_BY_TOOLS: [&str; 2] = ["node_modules", "__pycache__"];

/// Folders of a project in which no source of its plugin is: only at its root, because further down they may be packages
/// of the plugin.
const NOT_SOURCE: [&str; 4] = ["target", "cases", "test", "tests"];

/// How the names of files end that editors leave beside those that are edited, and of those that Python makes.
const LEFT_BEHIND: [&str; 5] = ["~", "#", ".swp", ".swo", ".pyc"];

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

/// The files of these extensions in the project and below, without those that tools have put there.
pub(crate) fn sources(project: &Path, extensions: &[&str]) -> BTreeSet<PathBuf> {
    let mut files = files(project, project);
    files.retain(|path| path.extension().is_some_and(|found| extensions.iter().any(|extension| found == *extension)));
    files
}

/// All files in `directory`, which is a folder of the project, and below, without those that tools have put there. Hidden
/// ones are theirs, too.
pub(crate) fn files(directory: &Path, project: &Path) -> BTreeSet<PathBuf> {
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
                let is_no_source = directory == project && NOT_SOURCE.contains(&name.as_str());
                let is_made = MADE_BY_TOOLS.contains(&name.as_str())
                    || name.ends_with(".egg-info")
                    || path.join("pyvenv.cfg").is_file();
                if !is_made && !is_no_source {
                    directories.push(path);
                }
            } else if !LEFT_BEHIND.iter().any(|end| name.ends_with(end)) {
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
    fn folders_of_tests_are_left_out_at_the_root_of_a_project_only() {
        let project = std::env::temp_dir().join(format!("millstream-sources-{}", std::process::id()));
        let source = ["src/cases/__init__.py", "src/rules/data.sql", "src/target/a.py", "src/tests/a.py", "top.py"];
        let other = "cases/a.py tests/a.py target/a.py .venv/a.py own-venv/pyvenv.cfg own-venv/a.py \
                     src/__pycache__/a.pyc src/.mypy_cache/a.json src/.top.py.swp src/top.py~ src/it.egg-info/PKG-INFO";
        for name in source.into_iter().chain(other.split_whitespace()) {
            let path = project.join(name);
            fs::create_dir_all(path.parent().expect("a file is in a directory")).expect("a directory");
            fs::write(path, "").expect("a file");
        }
        let names = |found: BTreeSet<PathBuf>| -> Vec<String> {
            let relative = |path: &PathBuf| path.strip_prefix(&project).map(|path| path.display().to_string());
            found.iter().map(|path| relative(path).expect("it is in the project")).collect()
        };
        assert_eq!(names(files(&project, &project)), source);
        assert_eq!(names(files(&project.join("src"), &project)), source[..4]);
        assert_eq!(names(sources(&project, &["sql"])), ["src/rules/data.sql"]);
        fs::remove_dir_all(&project).expect("it was there");
    }

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
