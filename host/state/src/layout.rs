//! Every name on disk, in one place. Changing one of them is a new [`crate::format_version::FormatVersion`].

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use millstream_core::id::TaskId;

/// Locked by the process that uses the directory, as in Kafka Streams.
pub const LOCK: &str = ".lock";

/// The format version of the directory.
pub const FORMAT: &str = ".format";

/// The process id, in Kafka Streams' file and form.
pub const PROCESS_METADATA: &str = "kafka-streams-process-metadata";

/// Kafka Streams' directory of global stores; a sign that a directory is its, and not ours.
pub const GLOBAL: &str = "global";

/// The file whose presence makes a directory a RocksDB.
pub const CURRENT: &str = "CURRENT";

/// The file that many changes are written to in a task's directory, before the database takes it in under a name of its own.
pub const TAKEN_IN_FILE: &str = "load.sst";

/// The column family of changelog offsets: store name -> next offset (8 bytes, big-endian).
pub const OFFSETS_FAMILY: &str = "offsets";

/// RocksDB's own column family, which can't be left out. It stays empty.
pub const DEFAULT_FAMILY: &str = rocksdb::DEFAULT_COLUMN_FAMILY_NAME;

const WIPED_PREFIX: &str = ".wiped-";

/// The column family of a store. A colon can't occur in a store's name, so no store is called as another family is.
pub fn store_family(store: &str) -> String {
    format!("store:{store}")
}

/// The directory of a task's database.
pub fn task_directory(root: &Path, task: TaskId) -> PathBuf {
    root.join(task.to_string())
}

/// Where a task's directory is moved to before it is deleted, so that a crash leaves all of it or nothing.
pub fn wiped_directory(root: &Path, task: TaskId) -> PathBuf {
    root.join(format!("{WIPED_PREFIX}{task}"))
}

/// The names in `root` that can be read as text; every name of ours can.
pub fn names(root: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(root)? {
        names.extend(entry?.file_name().into_string());
    }
    Ok(names)
}

/// Whether `name` is the rest of a wipe that was interrupted.
pub fn is_wiped(name: &str) -> bool {
    name.starts_with(WIPED_PREFIX)
}

/// Replaces the file `name` in `root`: after a crash it is the old one or the new one, never half of it.
pub fn write_atomically(root: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let temporary = root.join(format!("{name}.tmp"));
    let mut file = File::create(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&temporary, root.join(name))?;
    File::open(root)?.sync_all()
}
