//! A model of the disk: what was applied and not flushed is lost from some point on when the process dies, batch by batch.
//!
//! That is what RocksDB does without a write-ahead log: memtables are lost, flushes are atomic across column families, and what was
//! written earlier is never lost before what was written later.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millstream_core::id::{Offset, TaskId};
use millstream_core::port::{KeyRange, Page, StateChange, StateDirectory, StateStoreSpec, TaskState};
use millstream_core::store::InMemoryTaskState;
use millstream_core::{Error, Kind, Result};

use super::fuse::{APPLY, Fuse, NOTE_RESTORED, RESTORE, Side};
use super::random::Random;
use super::trace::Trace;

/// The content of a task's state.
#[derive(Clone, Debug, Default)]
pub struct Image {
    /// For each store its entries, as they are kept.
    pub stores: Vec<BTreeMap<Vec<u8>, Vec<u8>>>,
    /// For each store the next changelog offset.
    pub offsets: Vec<Option<Offset>>,
    /// The stores that hold changes from behind their offset, because a restore had not noted it yet, and up to where.
    pub ahead: BTreeMap<usize, Offset>,
}

#[derive(Clone, Debug)]
struct Batch {
    changes: Vec<(usize, Vec<u8>, Option<Vec<u8>>)>,
    offsets: Vec<(usize, Offset)>,
}

impl Batch {
    fn new(changes: &mut dyn Iterator<Item = StateChange<'_>>, offsets: &[(usize, Offset)]) -> Self {
        let owned = |change: StateChange<'_>| (change.store, change.key.to_vec(), change.value.map(<[u8]>::to_vec));
        Self { changes: changes.map(owned).collect(), offsets: offsets.to_vec() }
    }

    fn apply_to(&self, memory: &mut InMemoryTaskState) -> Result<()> {
        let mut changes =
            self.changes.iter().map(|(store, key, value)| StateChange { store: *store, key, value: value.as_deref() });
        memory.apply(&mut changes, &self.offsets)
    }
}

impl Image {
    fn apply(&mut self, batch: &Batch) {
        for (store, key, value) in &batch.changes {
            match value {
                Some(value) => self.stores[*store].insert(key.clone(), value.clone()),
                None => self.stores[*store].remove(key),
            };
        }
        for (store, offset) in &batch.offsets {
            self.offsets[*store] = Some(*offset);
            self.ahead.retain(|ahead, next| ahead != store || *next > *offset);
        }
    }
}

#[derive(Debug, Default)]
struct TaskFiles {
    is_open: bool,
    /// Whether it can't be read and must be wiped.
    is_damaged: bool,
    live: Image,
    flushed: Image,
    unflushed: Vec<Batch>,
    /// What restores have read of a store, up to an offset, and not given to the disk; gone when the task is closed.
    loads: Vec<(usize, Offset, Batch)>,
}

impl TaskFiles {
    /// The next changelog offset to read.
    fn reached(&self, store: usize) -> Option<Offset> {
        let load = self.loads.iter().rfind(|(of, ..)| *of == store);
        load.map(|(_, next, _)| *next).or_else(|| self.live.offsets.get(store).copied().flatten())
    }
}

#[derive(Debug)]
struct Files {
    tasks: BTreeMap<TaskId, TaskFiles>,
    random: Random,
    /// How often out of a thousand writes everything is flushed by itself.
    flush_permille: usize,
    trace: Trace,
}

/// The disk of a process, which outlives it.
#[derive(Clone, Debug)]
pub struct Disk(Arc<Mutex<Files>>);

impl Disk {
    /// An empty disk.
    #[must_use]
    pub fn new(seed: u64, flush_permille: usize, trace: Trace) -> Self {
        let random = Random::new(seed);
        Self(Arc::new(Mutex::new(Files { tasks: BTreeMap::new(), random, flush_permille, trace })))
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The process has died: of what was not flushed a prefix remains.
    pub fn crash(&self) {
        let mut files = self.files();
        let Files { tasks, random, trace, .. } = &mut *files;
        for (id, task) in tasks {
            let kept = random.within(0..=task.unflushed.len());
            if !task.unflushed.is_empty() {
                trace.note(format_args!("disk: {kept} of {} writes of {id} remain", task.unflushed.len()));
            }
            for batch in task.unflushed.drain(..).take(kept) {
                task.flushed.apply(&batch);
            }
            task.live = task.flushed.clone();
            task.loads.clear();
            task.is_open = false;
        }
    }

    /// The machine is gone, and another one is there.
    pub fn replace(&self) {
        self.files().tasks.clear();
    }

    /// The state of one of the tasks can't be read any more.
    pub fn damage(&self) {
        let mut files = self.files();
        let Files { tasks, random, .. } = &mut *files;
        let chosen = random.below(tasks.len());
        if let Some(task) = tasks.values_mut().nth(chosen) {
            task.is_damaged = true;
        }
    }

    /// What a task's state holds now.
    #[must_use]
    pub fn image(&self, task: TaskId) -> Option<Image> {
        self.files().tasks.get(&task).map(|task| task.live.clone())
    }

    /// The next offset of a store's changelog that is to be read.
    #[must_use]
    pub fn reached(&self, task: TaskId, store: usize) -> Option<Offset> {
        self.files().tasks.get(&task)?.reached(store)
    }

    /// Writes an entry behind the back of everybody: what a canary with the wrong order would do.
    pub fn write_early(&self, task: TaskId, store: usize, key: &[u8], value: Option<&[u8]>) {
        if let Some(files) = self.files().tasks.get_mut(&task) {
            let batch = Batch { changes: vec![(store, key.to_vec(), value.map(<[u8]>::to_vec))], offsets: Vec::new() };
            files.live.apply(&batch);
            files.unflushed.push(batch);
        }
    }
}

/// What looks at a task's state when it is opened.
pub type Inspect = Box<dyn Fn(TaskId, &Image)>;

/// The state directory of one process.
pub struct SimulatedStateDirectory {
    /// The disk.
    pub disk: Disk,
    /// The process's fuse.
    pub fuse: Fuse,
    /// Called with what is found on the disk.
    pub inspect: Inspect,
}

impl StateDirectory for SimulatedStateDirectory {
    fn open_task(&mut self, task: TaskId, stores: &[StateStoreSpec]) -> Result<Box<dyn TaskState>> {
        self.fuse.step("open a task", Side::Before);
        let mut files = self.disk.files();
        let found = files.tasks.entry(task).or_default();
        if found.is_open {
            let message = "another thread still has the state open, wait until it has closed the task";
            return Err(Error::new(Kind::Retriable, message).in_task(task));
        }
        if found.is_damaged {
            return Err(Error::new(Kind::TaskCorrupted, "the state can't be read"));
        }
        found.is_open = true;
        for image in [&mut found.live, &mut found.flushed] {
            image.stores.resize_with(stores.len(), BTreeMap::new);
            image.offsets.resize(stores.len(), None);
            for (index, _) in stores.iter().enumerate().filter(|(_, spec)| !spec.persistent) {
                image.stores[index].clear();
                image.offsets[index] = None;
                image.ahead.remove(&index);
            }
        }
        let image = found.live.clone();
        files.trace.note(format_args!("disk: {task} opens at {:?}", image.offsets));
        drop(files);
        (self.inspect)(task, &image);
        let mut memory = InMemoryTaskState::new(stores.len());
        load(&mut memory, &image)?;
        let persistent = stores.iter().map(|spec| spec.persistent).collect();
        Ok(Box::new(SimulatedTaskState { task, memory, persistent, disk: self.disk.clone(), fuse: self.fuse.clone() }))
    }

    fn wipe_task(&mut self, task: TaskId) -> Result<()> {
        self.fuse.step("wipe a task", Side::Before);
        let mut files = self.disk.files();
        let found = files.tasks.remove(&task);
        if found.is_none_or(|found| !found.is_damaged) {
            files.trace.violate(format!("the state of {task} is wiped, though nothing has damaged it"));
        }
        files.trace.count("damaged states wiped");
        Ok(())
    }
}

fn load(memory: &mut InMemoryTaskState, image: &Image) -> Result<()> {
    for (store, entries) in image.stores.iter().enumerate() {
        let mut changes = entries.iter().map(|(key, value)| StateChange { store, key, value: Some(value) });
        let offset = image.offsets[store].map(|offset| (store, offset));
        memory.apply(&mut changes, offset.as_slice())?;
    }
    Ok(())
}

/// An open task's state: reads go to memory, writes to both.
struct SimulatedTaskState {
    task: TaskId,
    memory: InMemoryTaskState,
    /// For each store whether it is on the disk.
    persistent: Vec<bool>,
    disk: Disk,
    fuse: Fuse,
}

impl SimulatedTaskState {
    /// Gives the disk what a restore has read, as RocksDB takes in a file: the changes last at once, even when what was written before them does
    /// not; the offset comes after them, and lasts when it is flushed.
    fn finish_loads(&mut self) -> Result<()> {
        let loads = self.disk.files().tasks.get_mut(&self.task).map(|task| std::mem::take(&mut task.loads));
        for (store, next, taken_in) in loads.unwrap_or_default() {
            self.fuse.step(RESTORE, Side::Before);
            let offset = Batch { changes: Vec::new(), offsets: vec![(store, next)] };
            taken_in.apply_to(&mut self.memory)?;
            offset.apply_to(&mut self.memory)?;
            if let Some(task) = self.disk.files().tasks.get_mut(&self.task) {
                let keys: BTreeSet<_> = taken_in.changes.iter().map(|(store, key, _)| (store, key)).collect();
                let mut unflushed = task.unflushed.iter().flat_map(|batch| &batch.changes);
                if unflushed.any(|(store, key, _)| keys.contains(&(store, key))) {
                    // What the file lies over is flushed before, or it would come to lie over the file.
                    task.unflushed.drain(..).for_each(|batch| task.flushed.apply(&batch));
                }
                for image in [&mut task.live, &mut task.flushed] {
                    image.apply(&taken_in);
                    let ahead = image.ahead.entry(store).or_insert(next);
                    *ahead = next.max(*ahead);
                }
            }
            self.fuse.step(NOTE_RESTORED, Side::Before);
            let mut files = self.disk.files();
            files.trace.note(format_args!("disk: {} takes in {} changes, {next}", self.task, taken_in.changes.len()));
            if let Some(task) = files.tasks.get_mut(&self.task) {
                task.live.apply(&offset);
                task.unflushed.push(offset);
            }
            drop(files);
            self.fuse.step(RESTORE, Side::After);
        }
        Ok(())
    }
}

impl TaskState for SimulatedTaskState {
    fn get(&self, store: usize, key: &[u8], value: &mut Vec<u8>) -> Result<bool> {
        let files = self.disk.files();
        let found = files.tasks.get(&self.task).and_then(|task| task.live.stores[store].get(key));
        value.extend_from_slice(found.map_or(&[], Vec::as_slice));
        Ok(found.is_some())
    }

    fn scan(
        &self,
        store: usize,
        range: &KeyRange,
        descending: bool,
        entries_max: usize,
        bytes_max: usize,
        page: &mut Page,
    ) -> Result<()> {
        self.memory.scan(store, range, descending, entries_max, bytes_max, page)
    }

    fn approximate_entries(&self, store: usize) -> u64 {
        self.memory.approximate_entries(store)
    }

    fn apply(&mut self, changes: &mut dyn Iterator<Item = StateChange<'_>>, offsets: &[(usize, Offset)]) -> Result<()> {
        let point = if self.fuse.is_restoring() { RESTORE } else { APPLY };
        self.fuse.step(point, Side::Before);
        let batch = Batch::new(changes, offsets);
        batch.apply_to(&mut self.memory)?;
        let mut files = self.disk.files();
        files.trace.note(format_args!("disk: {} applies {} changes, {offsets:?}", self.task, batch.changes.len()));
        let Files { tasks, random, flush_permille, .. } = &mut *files;
        let task = tasks.entry(self.task).or_default();
        task.live.apply(&batch);
        task.unflushed.push(batch);
        if random.permille(*flush_permille) {
            let flushed = random.within(0..=task.unflushed.len());
            task.unflushed.drain(..flushed).for_each(|batch| task.flushed.apply(&batch));
        }
        drop(files);
        self.fuse.step(point, Side::After);
        Ok(())
    }

    fn restore(
        &mut self,
        store: usize,
        changes: &mut dyn Iterator<Item = StateChange<'_>>,
        next: Offset,
    ) -> Result<()> {
        let batch = Batch::new(changes, &[]);
        let mut files = self.disk.files();
        files.tasks.entry(self.task).or_default().loads.push((store, next, batch));
        let is_full = files.random.below(2) == 0;
        drop(files);
        if is_full { self.finish_loads() } else { Ok(()) }
    }

    fn changelog_offset(&self, store: usize) -> Result<Option<Offset>> {
        Ok(self.disk.reached(self.task, store))
    }

    fn flush(&mut self) -> Result<()> {
        self.finish_loads()?;
        self.fuse.step("flush the state", Side::Before);
        if let Some(task) = self.disk.files().tasks.get_mut(&self.task) {
            task.unflushed.clear();
            task.flushed = task.live.clone();
        }
        self.fuse.step("flush the state", Side::After);
        Ok(())
    }
}

impl Drop for SimulatedTaskState {
    fn drop(&mut self) {
        if self.fuse.is_dead() {
            return;
        }
        if let Some(task) = self.disk.files().tasks.get_mut(&self.task) {
            task.is_open = false;
            task.loads.clear();
            for (store, _) in self.persistent.iter().enumerate().filter(|(_, persistent)| !**persistent) {
                for image in [&mut task.live, &mut task.flushed] {
                    image.stores[store].clear();
                    image.offsets[store] = None;
                    image.ahead.remove(&store);
                }
            }
        }
    }
}
