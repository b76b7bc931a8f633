//! Compiled code on disk, so that no plugin is compiled twice on a machine.
//!
//! A file is named by the component's digest and by everything that the compiled form depends on (wasmtime's version,
//! its settings, the processor). It begins with a magic number and the SHA-256 of the rest, which is checked when it is
//! read: a file that was cut short or damaged is compiled again. Compiled code is trusted as the program itself is, and a
//! digest keeps nobody from writing another file with another digest. So the directory and each file must belong to the
//! user who runs the host, and nobody else may be able to write to them; otherwise they are not used.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

/// The head of each file; its last digit is the version of this format.
const MAGIC: &[u8; 8] = b"MSCWASM1";
const DIGEST_BYTES: usize = 32;
const SUFFIX: &str = "cwasm";
/// The suffix of files that are being written.
const PART_SUFFIX: &str = "part";
/// After this time whoever was writing such a file is gone.
const PART_AGE_MAX: Duration = Duration::from_secs(3_600);

/// A directory of compiled components.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    directory: PathBuf,
    bytes_max: u64,
    owner: Owner,
}

impl Cache {
    /// Makes the directory if it isn't there, for this user only.
    ///
    /// # Errors
    ///
    /// When it can't be made or written to, or isn't this user's own.
    pub(crate) fn open(directory: &Path, bytes_max: u64) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        let probe = directory.join(part_name("owner"));
        let owner = Owner::of(&File::create(&probe)?.metadata()?);
        fs::remove_file(&probe)?;
        let is_ours = owner.owns(&fs::metadata(directory)?);
        if !is_ours {
            return Err(io::Error::other("it belongs to another user, who could put code of their own there"));
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            fs::set_permissions(directory, fs::Permissions::from_mode(0o700))?;
        }
        Ok(Self { directory: directory.to_owned(), bytes_max, owner })
    }

    fn path(&self, digest: &str, compatibility: u64) -> PathBuf {
        self.directory.join(format!("{digest}-{compatibility:016x}.{SUFFIX}"))
    }

    /// What `load` makes of the compiled form, if that is there, whole and our own.
    pub(crate) fn load<T>(&self, digest: &str, compatibility: u64, load: impl FnOnce(&[u8]) -> Option<T>) -> Option<T> {
        let path = self.path(digest, compatibility);
        let mut file = File::options().read(true).append(true).open(&path).ok()?;
        let metadata = file.metadata().ok()?;
        if !self.owner.owns(&metadata) || is_writable_by_others(&metadata) {
            tracing::warn!(path = %path.display(), "compiled code that others could have written is not used");
            return None;
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).ok()?;
        let head = MAGIC.len() + DIGEST_BYTES;
        let is_whole = bytes.len() > head
            && bytes[..MAGIC.len()] == *MAGIC
            && bytes[MAGIC.len()..head] == *Sha256::digest(&bytes[head..]).as_slice();
        if !is_whole {
            tracing::warn!(path = %path.display(), "compiled code is damaged, compiling again");
            return None;
        }
        // Eviction goes by the time of the last use; that this may fail is of no consequence.
        let _ = file.set_modified(SystemTime::now());
        load(&bytes[head..])
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
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let part = self.directory.join(part_name(&name));
        let written = new_file(&part).and_then(|mut file| {
            file.write_all(MAGIC)?;
            file.write_all(&Sha256::digest(compiled))?;
            file.write_all(compiled)?;
            fs::rename(&part, path)
        });
        if written.is_err() {
            let _ = fs::remove_file(&part);
        }
        written
    }

    /// Removes the files that were used longest ago until the rest fits, but never `kept`, and what a writer that is gone has left.
    fn evict(&self, kept: &Path) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let path = entry.path();
            let suffix = path.extension().unwrap_or_default();
            // Another process may have removed it since.
            let Ok(metadata) = entry.metadata() else { continue };
            let used = metadata.modified()?;
            if suffix == SUFFIX {
                files.push((used, metadata.len(), path));
            } else if suffix == PART_SUFFIX && used.elapsed().is_ok_and(|age| age > PART_AGE_MAX) {
                remove(&path)?;
            }
        }
        let mut bytes: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
        files.sort();
        for (_, length, path) in files {
            if bytes > self.bytes_max && path != kept {
                remove(&path)?;
                bytes -= length;
            }
        }
        Ok(())
    }
}

/// A name that nobody else writes to at this time.
fn part_name(name: &str) -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    format!("{name}.{}-{number}.{PART_SUFFIX}", std::process::id())
}

fn new_file(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path).or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

/// The user who owns a file, where the system has such users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Owner(Option<u32>);

impl Owner {
    fn of(metadata: &fs::Metadata) -> Self {
        #[cfg(unix)]
        return Self(Some(std::os::unix::fs::MetadataExt::uid(metadata)));
        #[cfg(not(unix))]
        return Self(None);
    }

    fn owns(self, metadata: &fs::Metadata) -> bool {
        Self::of(metadata) == self
    }
}

fn is_writable_by_others(metadata: &fs::Metadata) -> bool {
    #[cfg(unix)]
    return std::os::unix::fs::MetadataExt::mode(metadata) & 0o022 != 0;
    #[cfg(not(unix))]
    return false;
}
