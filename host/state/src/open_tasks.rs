//! The tasks that are open in this process: each once, and their write buffers within one bound.
//!
//! RocksDB flushes only the database that is being written. With many of them, those that fell idle would keep the
//! memory and the busy one would flush a few records at a time; and what an idle one holds would have to be replayed
//! after a crash, however long ago it was written. So the choice is made here, over all of them: the largest when the
//! sum passes the bound, and any that has waited too long.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use millstream_core::id::TaskId;
use millstream_core::{Error, Kind, Result};

use crate::database::Database;

/// How long a change may wait for its flush: a crash makes a task replay at most this much.
const UNFLUSHED_AGE_MAX: Duration = Duration::from_secs(60);

/// All open tasks of a state directory.
pub struct OpenTasks {
    tasks: Mutex<BTreeMap<TaskId, Entry>>,
    unflushed_bytes_max: usize,
    load_bytes_max: usize,
}

#[derive(Default)]
struct Entry {
    database: Option<Arc<Database>>,
    unflushed_bytes: usize,
    unflushed_since: Option<Instant>,
}

impl Entry {
    fn set_flushed(&mut self) {
        self.unflushed_bytes = 0;
        self.unflushed_since = None;
    }
}

impl OpenTasks {
    /// No tasks yet; together they may keep `unflushed_bytes_max` in write buffers, and while they are restored `load_bytes_max` in loads.
    pub fn new(unflushed_bytes_max: usize, load_bytes_max: usize) -> Self {
        Self { tasks: Mutex::default(), unflushed_bytes_max, load_bytes_max }
    }

    /// Reserves `task` until the guard is dropped.
    ///
    /// # Errors
    ///
    /// `Retriable` when it is reserved already.
    pub fn reserve(self: &Arc<Self>, task: TaskId) -> Result<OpenTask> {
        let mut tasks = self.lock();
        if tasks.contains_key(&task) {
            let message = "another stream thread still has the state open, wait until it has closed the task";
            return Err(Error::new(Kind::Retriable, message).in_task(task));
        }
        tasks.insert(task, Entry::default());
        Ok(OpenTask { task, database: None, all: Arc::clone(self) })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<TaskId, Entry>> {
        // Nothing in here is half done when a thread panics.
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that `task` has written `bytes`, and begins a flush where one is due.
    fn on_written(&self, task: TaskId, bytes: usize, now: Instant) {
        let mut tasks = self.lock();
        if let Some(entry) = tasks.get_mut(&task) {
            entry.unflushed_bytes += bytes;
            entry.unflushed_since.get_or_insert(now);
        }
        let mut total = 0;
        let mut largest = None;
        for (task, entry) in tasks.iter_mut() {
            let is_old = entry.unflushed_since.is_some_and(|since| now.duration_since(since) > UNFLUSHED_AGE_MAX);
            if is_old {
                begin_flush(*task, entry);
            }
            total += entry.unflushed_bytes;
            largest = largest.max(Some((entry.unflushed_bytes, *task)));
        }
        if let Some((_, task)) = largest.filter(|_| total > self.unflushed_bytes_max)
            && let Some(entry) = tasks.get_mut(&task)
        {
            begin_flush(task, entry);
        }
    }
}

fn begin_flush(task: TaskId, entry: &mut Entry) {
    entry.set_flushed();
    // A failure belongs to the task that owns the database; its next write meets it.
    if let Some(Err(error)) = entry.database.as_ref().map(|database| database.begin_flush()) {
        tracing::warn!(%task, %error, "a flush could not begin");
    }
}

/// A task that nobody else can open. Dropping it closes the database, then lets others open it.
pub struct OpenTask {
    task: TaskId,
    database: Option<Arc<Database>>,
    all: Arc<OpenTasks>,
}

impl OpenTask {
    /// Hands the task its open database.
    pub fn set_database(&mut self, database: Database) {
        let database = Arc::new(database);
        self.database = Some(Arc::clone(&database));
        if let Some(entry) = self.all.lock().get_mut(&self.task) {
            entry.database = Some(database);
        }
    }

    /// The task's database, if it has a store on disk.
    pub fn database(&self) -> Option<&Database> {
        self.database.as_deref()
    }

    /// What the stores of this task may keep in their loads together.
    pub fn load_bytes_max(&self) -> usize {
        self.all.load_bytes_max / self.all.lock().len().max(1)
    }

    /// Notes that `bytes` have been written.
    pub fn on_written(&self, bytes: usize) {
        self.all.on_written(self.task, bytes, Instant::now());
    }

    /// Begins a flush: what was written last is little, but a crash would cost much that is on disk already.
    pub fn flush_soon(&self) {
        if let Some(entry) = self.all.lock().get_mut(&self.task) {
            begin_flush(self.task, entry);
        }
    }

    /// Notes that everything written is on disk.
    pub fn on_flushed(&self) {
        if let Some(entry) = self.all.lock().get_mut(&self.task) {
            entry.set_flushed();
        }
    }
}

impl Drop for OpenTask {
    fn drop(&mut self) {
        // In this order: flushes of others take the database only under the lock, so after the first step it is ours
        // alone and the second closes it; not under the lock, because closing flushes. Only then may it be opened
        // again.
        if let Some(entry) = self.all.lock().get_mut(&self.task) {
            entry.database = None;
        }
        self.database = None;
        self.all.lock().remove(&self.task);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unflushed(tasks: &OpenTasks) -> Vec<usize> {
        tasks.lock().values().map(|entry| entry.unflushed_bytes).collect()
    }

    #[test]
    fn the_largest_is_flushed_when_the_sum_passes_the_bound() {
        let all = Arc::new(OpenTasks::new(100, 100));
        let open: Vec<_> = (0..3).map(|partition| all.reserve(TaskId::new(0, partition)).unwrap()).collect();
        open[0].on_written(20);
        open[1].on_written(70);
        assert_eq!(unflushed(&all), [20, 70, 0]);
        open[2].on_written(15);
        assert_eq!(unflushed(&all), [20, 0, 15], "the idle one gives its memory back, not the busy one");
    }

    #[test]
    fn what_waited_too_long_is_flushed_when_any_task_writes() {
        let all = Arc::new(OpenTasks::new(100, 100));
        let open: Vec<_> = (0..2).map(|partition| all.reserve(TaskId::new(0, partition)).unwrap()).collect();
        let start = Instant::now();
        all.on_written(open[0].task, 1, start);
        all.on_written(open[0].task, 1, start + UNFLUSHED_AGE_MAX);
        assert_eq!(unflushed(&all), [2, 0]);
        all.on_written(open[1].task, 1, start + UNFLUSHED_AGE_MAX + Duration::from_millis(1));
        assert_eq!(unflushed(&all), [0, 1]);
    }

    #[test]
    fn a_task_is_reserved_until_its_guard_is_dropped() {
        let all = Arc::new(OpenTasks::new(100, 100));
        let guard = all.reserve(TaskId::new(0, 0)).unwrap();
        assert_eq!(all.reserve(TaskId::new(0, 0)).err().map(|error| error.kind()), Some(Kind::Retriable));
        drop(guard);
        assert!(all.reserve(TaskId::new(0, 0)).is_ok());
    }
}
