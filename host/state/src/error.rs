//! Where errors of RocksDB and of the file system enter, and are given their [`Kind`].

use std::io;
use std::path::Path;

use millstream_core::id::TaskId;
use millstream_core::{Error, Kind};
use rocksdb::ErrorKind;

/// An error of the file system: nothing here can go on without its directory.
pub fn io_error(verb: &str, path: &Path, error: io::Error) -> Error {
    let path = path.display();
    Error::fatal(format!("can't {verb} {path}: check the disk's space, health and permissions")).caused_by(error)
}

/// Classifies an error of a task's database at `path`.
pub fn database_error(task: TaskId, path: &Path, error: rocksdb::Error) -> Error {
    let path = path.display();
    let (kind, message) = match kind_of(&error) {
        Kind::TaskCorrupted => {
            (Kind::TaskCorrupted, format!("state in {path} is damaged: it is wiped and restored from its changelogs"))
        }
        Kind::Retriable => {
            (Kind::Retriable, format!("state in {path} is locked: wait until who has it open closes it"))
        }
        kind => {
            (kind, format!("state in {path} can't be read or written: check the disk's space, health and permissions"))
        }
    };
    Error::new(kind, message).in_task(task).caused_by(error)
}

fn kind_of(error: &rocksdb::Error) -> Kind {
    let text: &str = error.as_ref();
    match error.kind() {
        ErrorKind::Corruption => Kind::TaskCorrupted,
        // A file that the manifest names is not there: somebody cleaned up. The rest can't be trusted either.
        ErrorKind::IOError if text.contains("No such file or directory") => Kind::TaskCorrupted,
        // By another process (an operator's `ldb`), or by a database of this one that is still closing.
        ErrorKind::IOError if text.contains("While lock file") || text.contains("lock hold by current process") => {
            Kind::Retriable
        }
        _ => Kind::Fatal,
    }
}
