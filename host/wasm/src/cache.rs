//! Compiled code on disk, so that no plugin is compiled twice on a machine.
//!
//! A file is named by the component's digest and by everything that the compiled form depends on (wasmtime's version,
//! its settings, the processor). It begins with a magic number and the SHA-256 of the rest, which is checked when it is
//! read: a file that was cut short or damaged is compiled again. Compiled code is trusted as the program itself is, so
//! the directory must belong to whoever runs the host and to nobody else.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest, Sha256};

/// The head of each file; its last digit is the version of this format.
const MAGIC: &[u8; 8] = b"MSCWASM1";
const DIGEST_BYTES: usize = 32;
const SUFFIX: &str = "cwasm";

/// A directory of compiled components.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    directory: PathBuf,
    bytes_max: u64,
}

impl Cache {
    /// Makes the directory if it isn't there, for this user only.
    pub(crate) fn open(directory: &Path, bytes_max: u64) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            fs::set_permissions(directory, fs::Permissions::from_mode(0o700))?;
        }
        Ok(Self { directory: directory.to_owned(), bytes_max })
    }

    fn path(&self, digest: &str, compatibility: u64) -> PathBuf {
        self.directory.join(format!("{digest}-{compatibility:016x}.{SUFFIX}"))
    }

    /// The compiled form, if it is there and whole.
    pub(crate) fn load(&self, digest: &str, compatibility: u64) -> Option<Vec<u8>> {
        let path = self.path(digest, compatibility);
        let mut file = fs::read(&path).ok()?;
        let head = MAGIC.len() + DIGEST_BYTES;
        let is_whole = file.len() > head
            && file[..MAGIC.len()] == *MAGIC
            && file[MAGIC.len()..head] == *Sha256::digest(&file[head..]).as_slice();
        if !is_whole {
            tracing::warn!(path = %path.display(), "compiled code is damaged, compiling again");
            return None;
        }
        file.drain(..head);
        // Eviction goes by the time of the last use; that this may fail is of no consequence.
        let _ = fs::File::options().append(true).open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        Some(file)
    }

    /// Keeps the compiled form. A failure costs time later, no more, so it is only logged.
    pub(crate) fn save(&self, digest: &str, compatibility: u64, compiled: &[u8]) {
        let path = self.path(digest, compatibility);
        if let Err(error) = self.write(&path, compiled).and_then(|()| self.evict(&path)) {
            tracing::warn!(path = %path.display(), %error, "compiled code can't be kept, so it will be compiled again");
        }
    }

    /// Writes beside the file and renames, so that nobody ever reads half of it.
    fn write(&self, path: &Path, compiled: &[u8]) -> io::Result<()> {
        let part = path.with_extension(format!("{}.part", std::process::id()));
        let mut file = fs::File::create(&part)?;
        file.write_all(MAGIC)?;
        file.write_all(&Sha256::digest(compiled))?;
        file.write_all(compiled)?;
        fs::rename(&part, path)
    }

    /// Removes the files that were used longest ago until the rest fits, but never `kept`.
    fn evict(&self, kept: &Path) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let path = entry.path();
            if path.extension().is_some_and(|suffix| suffix == SUFFIX) {
                let metadata = entry.metadata()?;
                files.push((metadata.modified()?, metadata.len(), path));
            }
        }
        let mut bytes: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
        files.sort();
        for (_, length, path) in files {
            if bytes > self.bytes_max && path != kept {
                fs::remove_file(&path)?;
                bytes -= length;
            }
        }
        Ok(())
    }
}
