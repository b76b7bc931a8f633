//! Finds the files of cases below the directories that the command is given.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use crate::cases::{MANIFEST, syntax_of};

/// The name of folders whose files are cases.
const FOLDER: &str = "cases";

/// Folders that tools fill, and copies of SDKs.
const SKIPPED: &[&str] = &["target", "node_modules", "sdk", "dist", "build", "__pycache__", "venv"];

/// The files of cases that `path` stands for: itself, or what lies below it. Sorted.
///
/// # Errors
///
/// When a directory can't be read.
pub fn find(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let is_inside = std::fs::canonicalize(path)?.file_name().is_some_and(|name| name == FOLDER);
    let mut found = BTreeSet::new();
    walk(path, is_inside, &mut found)?;
    Ok(found.into_iter().collect())
}

fn walk(directory: &Path, is_inside: bool, found: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // Links to directories are not followed: one could lead back up.
        let kind = entry.file_type()?;
        let path = if directory == Path::new(".") { PathBuf::from(&name) } else { entry.path() };
        if kind.is_dir() && !name.starts_with('.') && !SKIPPED.contains(&name.as_str()) {
            walk(&path, is_inside || name == FOLDER, found)?;
        } else if is_inside && is_named_as_cases(&path, &name) && path.is_file() {
            found.insert(path);
        }
    }
    Ok(())
}

/// The manifest may lie among the cases.
fn is_named_as_cases(path: &Path, name: &str) -> bool {
    !name.starts_with('.') && name != MANIFEST && syntax_of(path).is_some()
}
