//! The state directory of an application: locked for this process, shared by its stream threads.

use std::collections::BTreeSet;
use std::fs::{DirBuilder, File, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use millstream_core::id::TaskId;
use millstream_core::port::{StateDirectory, StateStoreSpec, TaskState};
use millstream_core::store::MemoryBudget;
use millstream_core::{Error, Result};
use uuid::Uuid;

use crate::database::Database;
use crate::error::io_error;
use crate::format_version::FormatVersion;
use crate::layout;
use crate::open_tasks::{OpenTask, OpenTasks};
use crate::options::{Tuning, load_bytes_max, write_buffer_bytes_max};
use crate::process_id;
use crate::task_state::RocksTaskState;

/// Where the state of an application's tasks is kept on this machine. Clones share it; give each stream thread one.
///
/// The lock on the directory is held until the last clone *and* the last open task are dropped.
#[derive(Clone)]
pub struct RocksStateDirectory {
    shared: Arc<Shared>,
}

struct Shared {
    root: PathBuf,
    process_id: Uuid,
    tuning: Arc<Tuning>,
    open: Arc<OpenTasks>,
    lock: Arc<File>,
}

impl RocksStateDirectory {
    /// Opens `<state_dir>/<application_id>/`, creating it when it is missing, and locks it for this process.
    ///
    /// # Errors
    ///
    /// `Fatal` when another process uses it, a newer program or Kafka Streams wrote it, or the disk fails.
    pub fn open(state_dir: &Path, application_id: &str, memory: MemoryBudget) -> Result<Self> {
        let mut components = Path::new(application_id).components();
        if !matches!((components.next(), components.next()), (Some(Component::Normal(_)), None)) {
            let message = format!("application id {application_id:?} can't name a directory: choose another");
            return Err(Error::fatal(message));
        }
        let root = state_dir.join(application_id);
        // As Kafka Streams: state is not for everybody's eyes.
        let created = DirBuilder::new().recursive(true).mode(0o750).create(&root);
        created.map_err(|error| io_error("create", &root, error))?;
        let lock = lock_directory(&root)?;
        FormatVersion::check_or_create(&root)?;
        finish_wipes(&root)?;
        let shared = Shared {
            process_id: process_id::load_or_create(&root)?,
            tuning: Arc::new(Tuning::new(memory)),
            open: Arc::new(OpenTasks::new(write_buffer_bytes_max(memory), load_bytes_max(memory))),
            lock: Arc::new(lock),
            root,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The directory, `<state_dir>/<application_id>`.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.shared.root
    }

    /// Who this process is, over restarts, as hyphenated lower-case text: part of its transactional and member ids.
    #[must_use]
    pub fn process_id(&self) -> String {
        self.shared.process_id.to_string()
    }

    /// The tasks that have state here, open or not: those that this process would restore fastest.
    ///
    /// # Errors
    ///
    /// `Fatal` when the disk fails.
    pub fn tasks(&self) -> Result<BTreeSet<TaskId>> {
        let root = &self.shared.root;
        let names = layout::names(root).map_err(|error| io_error("list", root, error))?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    fn open_database(&self, task: TaskId, open: &mut OpenTask, families: &[Option<String>]) -> Result<()> {
        if families.iter().all(Option::is_none) {
            return Ok(());
        }
        let path = layout::task_directory(&self.shared.root, task);
        let tuning = Arc::clone(&self.shared.tuning);
        open.set_database(Database::open(task, path, families.iter().flatten(), tuning)?);
        Ok(())
    }
}

impl StateDirectory for RocksStateDirectory {
    fn open_task(&mut self, task: TaskId, stores: &[StateStoreSpec]) -> Result<Box<dyn TaskState>> {
        let mut open = self.shared.open.reserve(task)?;
        let families: Vec<_> =
            stores.iter().map(|store| store.persistent.then(|| layout::store_family(store.name.as_str()))).collect();
        self.open_database(task, &mut open, &families)?;
        Ok(Box::new(RocksTaskState::new(stores, families, open, Arc::clone(&self.shared.lock))))
    }

    fn wipe_task(&mut self, task: TaskId) -> Result<()> {
        let _reserved = self.shared.open.reserve(task)?;
        let path = layout::task_directory(&self.shared.root, task);
        let wiped = layout::wiped_directory(&self.shared.root, task);
        remove_directory(&wiped)?;
        match std::fs::rename(&path, &wiped) {
            Ok(()) => remove_directory(&wiped),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(io_error("delete", &path, error).in_task(task)),
        }
    }
}

fn lock_directory(root: &Path) -> Result<File> {
    let path = root.join(layout::LOCK);
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|error| io_error("create", &path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::fatal(format!(
            "state directory {} is used by another process: \
             stop that one, or give this one a state directory of its own",
            root.display()
        ))),
        Err(TryLockError::Error(error)) => Err(io_error("lock", &path, error)),
    }
}

/// Deletes what a wipe had moved aside before the process ended.
fn finish_wipes(root: &Path) -> Result<()> {
    let names = layout::names(root).map_err(|error| io_error("list", root, error))?;
    names.iter().filter(|name| layout::is_wiped(name)).try_for_each(|name| remove_directory(&root.join(name)))
}

fn remove_directory(path: &Path) -> Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(io_error("delete", path, error)),
        _ => Ok(()),
    }
}
