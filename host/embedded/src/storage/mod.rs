//! A directory in which a log is kept: one process at a time, one journal, nothing else.

mod codec;
mod frame;
mod journal;

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use millstream_core::{Error, Result};

pub(crate) use journal::Journal;
use journal::{failed, file_name};

use crate::contents::{Contents, Operation};

/// When the disk, and not only the operating system, must have what was committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fsync {
    /// Never while it runs: what was committed survives the end of the process, but perhaps not a loss of power.
    #[default]
    Never,
    /// At each commit of a transaction or of offsets, each flush of a producer, and each append by the program itself.
    OnCommit,
}

/// How a log is kept in a directory.
#[derive(Clone, Copy, Debug)]
pub struct StorageOptions {
    /// When the disk must have what was committed.
    pub fsync: Fsync,
    /// A journal shorter than this is never rewritten, in bytes.
    pub rewrite_bytes_min: u64,
    /// A partition of a compacted topic that takes less memory than this is never compacted while the log is open, in
    /// bytes.
    pub compaction_bytes_min: usize,
}

impl Default for StorageOptions {
    fn default() -> Self {
        Self { fsync: Fsync::Never, rewrite_bytes_min: 16 << 20, compaction_bytes_min: 4 << 20 }
    }
}

/// An open directory.
#[derive(Debug)]
pub(crate) struct Storage {
    pub journal: Journal,
    /// Held for as long as the directory is open.
    _lock: File,
}

impl Storage {
    /// Opens `directory` and reads `contents` from it; it is created if it is missing. Returns how many bytes of a
    /// torn end were cut off.
    pub fn open(directory: &Path, contents: &mut Contents, options: StorageOptions) -> Result<(Self, u64)> {
        fs::create_dir_all(directory).map_err(|error| failed(directory, "can't be created", error))?;
        let lock = lock(directory)?;
        let journals = journals(directory)?;
        let Some((newest, outdated)) = journals.split_last() else {
            let journal = Journal::create(directory, 1, new_salt(), contents, options)?;
            return Ok((Self { journal, _lock: lock }, 0));
        };
        let (journal, truncated_bytes) = Journal::open(directory, *newest, contents, options)?;
        for number in outdated {
            let path = directory.join(file_name(*number));
            fs::remove_file(&path).map_err(|error| failed(&path, "can't be deleted", error))?;
        }
        Ok((Self { journal, _lock: lock }, truncated_bytes))
    }

    /// Appends an operation; see [`Journal::append`].
    pub fn append(&mut self, operation: &Operation<'_>) -> Result<()> {
        self.journal.append(operation)
    }

    /// Begins a new journal if half of this one is outdated.
    pub fn rewrite_outdated(&mut self, contents: &Contents) -> Result<()> {
        if self.journal.is_outdated(contents) { self.journal.rewrite(contents, new_salt()) } else { Ok(()) }
    }
}

fn lock(directory: &Path) -> Result<File> {
    let path = directory.join("lock");
    let opened = File::options().create(true).truncate(false).write(true).open(&path);
    let file = opened.map_err(|error| failed(&path, "can't be opened", error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::fatal(format!(
            "`{}` is in use by another process; stop it, or use another directory",
            directory.display()
        ))),
        Err(TryLockError::Error(error)) => Err(failed(&path, "can't be locked", error)),
    }
}

/// The numbers of the journals, ascending. Unfinished ones are deleted.
fn journals(directory: &Path) -> Result<Vec<u64>> {
    let entries = fs::read_dir(directory).map_err(|error| failed(directory, "can't be read", error))?;
    let mut numbers = Vec::new();
    for entry in entries {
        let path: PathBuf = entry.map_err(|error| failed(directory, "can't be read", error))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some(name) = name.strip_prefix("journal-") else { continue };
        if name.ends_with(".unfinished") {
            fs::remove_file(&path).map_err(|error| failed(&path, "can't be deleted", error))?;
        } else if let Some(number) = name.strip_suffix(".log").and_then(|number| number.parse().ok()) {
            numbers.push(number);
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// A number that no other journal has, in all likelihood.
fn new_salt() -> u32 {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    crc32fast::hash(&[time.as_nanos().to_le_bytes(), u128::from(std::process::id()).to_le_bytes()].concat())
}
