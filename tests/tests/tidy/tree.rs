//! The files of the project: all but what is built, fetched or git's own.

use std::fs;
use std::path::{Path, PathBuf};

const SKIPPED: [&str; 5] = [".git", ".millstream", "target", "node_modules", "__pycache__"];

/// The checkout's directory.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the checkout").to_owned()
}

/// The text of a file of the project; `None` when it is not UTF-8, or is gone.
pub fn text(path: &str) -> Option<String> {
    fs::read_to_string(root().join(path)).ok()
}

/// Whether `name` is a directory of the checkout that belongs to the project.
pub fn is_own_directory(name: &str) -> bool {
    !name.is_empty() && !SKIPPED.contains(&name) && root().join(name).is_dir()
}

/// The files of one directory (not below) with an extension.
pub fn files_of(directory: &str, extension: &str) -> Vec<String> {
    let files = Tree::of_the_project().with_extension(extension);
    files.into_iter().filter(|path| Path::new(path).parent() == Some(Path::new(directory))).collect()
}

/// Paths from the checkout's directory, with `/`, sorted.
pub struct Tree {
    files: Vec<String>,
}

impl Tree {
    /// Walks the checkout.
    pub fn of_the_project() -> Self {
        let mut files = Vec::new();
        let mut directories = vec![PathBuf::new()];
        while let Some(directory) = directories.pop() {
            let entries = fs::read_dir(root().join(&directory)).expect("the checkout can be read");
            for entry in entries.map(|entry| entry.expect("the checkout can be read")) {
                let name = entry.file_name();
                let path = directory.join(&name);
                let kind = entry.file_type().expect("the checkout can be read");
                if SKIPPED.iter().any(|skipped| name == *skipped) {
                    continue; // `.git` is a file in a work tree
                }
                if kind.is_dir() {
                    directories.push(path);
                } else if kind.is_file() {
                    files.push(path.to_str().expect("file names are UTF-8").to_owned());
                }
            }
        }
        files.sort();
        Self { files }
    }

    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(String::as_str)
    }

    pub fn with_extension(&self, extension: &str) -> Vec<String> {
        let wanted = |path: &&str| Path::new(path).extension().is_some_and(|found| found == extension);
        self.files().filter(wanted).map(str::to_owned).collect()
    }

    /// Names of the directories in a directory that hold a file.
    pub fn directories_in(&self, directory: &str) -> Vec<String> {
        let below = format!("{directory}/");
        let mut names: Vec<_> = self
            .files()
            .filter_map(|path| path.strip_prefix(&below)?.split_once('/'))
            .map(|(name, _)| name.to_owned())
            .collect();
        names.dedup();
        names
    }
}
