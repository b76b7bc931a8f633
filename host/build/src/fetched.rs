//! Tools that a language's own package manager fetches: once for each version, in the user's cache.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::{Error, Result};
use crate::toolchain::guest_directory;

/// The file that says that all is there.
const COMPLETE: &str = "complete";

/// The directory of the tools `name`, which `fetch` fills if they are not there; other builds wait meanwhile.
pub(crate) fn tools(name: &str, fallback: &Path, fetch: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let directory = guest_directory().unwrap_or_else(|| fallback.to_owned()).join(name);
    if directory.join(COMPLETE).is_file() {
        return Ok(directory);
    }
    let unwritable = |error| Error::Write { path: directory.clone(), error };
    fs::create_dir_all(&directory).map_err(unwritable)?;
    let lock = File::create(directory.with_extension("lock")).map_err(unwritable)?;
    lock.lock().map_err(unwritable)?;
    if !directory.join(COMPLETE).is_file() {
        fetch(&directory)?;
        fs::write(directory.join(COMPLETE), "").map_err(unwritable)?;
    }
    Ok(directory)
}

/// Makes the directory in which a plugin is built, and keeps other builds of it waiting until the answer is dropped.
pub(crate) fn lock(work: &Path) -> Result<File> {
    let unwritable = |error| Error::Write { path: work.to_owned(), error };
    fs::create_dir_all(work).map_err(unwritable)?;
    let lock = File::create(work.join("lock")).map_err(unwritable)?;
    lock.lock().map_err(unwritable)?;
    Ok(lock)
}

/// Runs a command whose standard output nobody needs; what it complains of goes to standard error.
pub(crate) fn run(command: &mut Command, tool: &'static str, directory: &Path) -> Result<()> {
    let status = command.stdout(Stdio::null()).status();
    match status.map_err(|error| Error::Tool { tool: tool.to_owned(), error })?.success() {
        true => Ok(()),
        false => Err(Error::Compiler { tool, path: directory.to_owned() }),
    }
}

/// The first number of the version that `program` tells, as in `v20.20.2`, and the second.
pub(crate) fn version(program: &str) -> Option<(u32, u32)> {
    let output = Command::new(program).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let number = text.split_whitespace().last()?.trim_start_matches('v').to_owned();
    let mut parts = number.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}
