//! One task's RocksDB: opened with all its column families, written in batches, flushed as a whole.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use millstream_core::id::{Offset, TaskId};
use millstream_core::{Error, Result};
use rocksdb::{
    ColumnFamily, ColumnFamilyDescriptor, DBRawIteratorWithThreadMode, DBWithThreadMode, IngestExternalFileOptions,
    Options, ReadOptions, SingleThreaded, SstFileWriter, WriteBatch,
};

use crate::error::{database_error, io_error};
use crate::layout::{CURRENT, DEFAULT_FAMILY, OFFSETS_FAMILY, TAKEN_IN_FILE};
use crate::options::Tuning;

type Rocks = DBWithThreadMode<SingleThreaded>;

/// A cursor over one family.
pub type Iter<'a> = DBRawIteratorWithThreadMode<'a, Rocks>;

const ESTIMATED_ENTRIES: &std::ffi::CStr = c"rocksdb.estimate-num-keys";

/// An open database. Dropping it flushes what is in memory and closes it.
pub struct Database {
    task: TaskId,
    path: PathBuf,
    /// All families, those of stores that the topology has no more included: RocksDB opens all or none.
    families: Vec<String>,
    rocks: Rocks,
    read: ReadOptions,
    tuning: Arc<Tuning>,
}

impl Database {
    /// Opens or creates the database at `path`, with at least the families `wanted`.
    ///
    /// # Errors
    ///
    /// `TaskCorrupted` when it is damaged, `Retriable` when it is locked, `Fatal` when the disk fails.
    pub fn open<'a>(
        task: TaskId,
        path: PathBuf,
        wanted: impl Iterator<Item = &'a String>,
        tuning: Arc<Tuning>,
    ) -> Result<Self> {
        std::fs::create_dir_all(&path).map_err(|error| io_error("create", &path, error).in_task(task))?;
        let mut families = present_families(task, &path, &tuning)?;
        for family in [DEFAULT_FAMILY, OFFSETS_FAMILY].into_iter().chain(wanted.map(String::as_str)) {
            if !families.iter().any(|present| present == family) {
                families.push(family.to_owned());
            }
        }
        let descriptors = families.iter().map(|name| {
            let is_small = [DEFAULT_FAMILY, OFFSETS_FAMILY].contains(&name.as_str());
            let options = if is_small { &tuning.small_family } else { &tuning.store_family };
            ColumnFamilyDescriptor::new(name, options.clone())
        });
        let rocks = Rocks::open_cf_descriptors(&tuning.database, &path, descriptors)
            .map_err(|error| database_error(task, &path, error))?;
        Ok(Self { task, path, families, rocks, read: ReadOptions::default(), tuning })
    }

    /// A family that was named in [`Self::open`].
    pub fn family(&self, name: &str) -> &ColumnFamily {
        self.rocks.cf_handle(name).expect("families are opened with the database")
    }

    /// Appends the value of `key` to `value`; one copy, from RocksDB's own memory.
    pub fn get(&self, family: &str, key: &[u8], value: &mut Vec<u8>) -> Result<bool> {
        let pinned = self.rocks.get_pinned_cf_opt(self.family(family), key, &self.read);
        let found = pinned.map_err(|error| self.error(error))?;
        value.extend_from_slice(found.as_deref().unwrap_or_default());
        Ok(found.is_some())
    }

    /// Tells `found` the value of each of `keys`, which ascend: RocksDB looks at each file and filter once for all of them.
    pub fn get_many(&self, family: &str, keys: &[&[u8]], found: &mut dyn FnMut(usize, Option<&[u8]>)) -> Result<()> {
        let values = self.rocks.batched_multi_get_cf_opt(self.family(family), keys.iter().copied(), true, &self.read);
        for (index, value) in values.into_iter().enumerate() {
            found(index, value.map_err(|error| self.error(error))?.as_deref());
        }
        Ok(())
    }

    /// A cursor within the bounds of `read`.
    pub fn iter(&self, family: &str, read: ReadOptions) -> Iter<'_> {
        self.rocks.raw_iterator_cf_opt(self.family(family), read)
    }

    /// Writes `batch`: all of it, or nothing.
    pub fn write(&self, batch: WriteBatch) -> Result<()> {
        self.rocks.write_opt(batch, &self.tuning.write).map_err(|error| self.error(error))
    }

    /// Takes in sorted changes, each key once, as a file of `family`: all of them, or nothing, and they survive a loss of power.
    pub fn take_in<'a>(&self, family: &str, changes: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>) -> Result<()> {
        let path = self.path.join(TAKEN_IN_FILE);
        // After a crash it can be there as a second name of a file that was taken in: to write into it would destroy that one.
        if let Err(error) = std::fs::remove_file(&path)
            && error.kind() != ErrorKind::NotFound
        {
            return Err(io_error("remove", &path, error).in_task(self.task));
        }
        let mut options = IngestExternalFileOptions::default();
        options.set_move_files(true);
        let taken_in = write_file(&path, changes, &self.tuning.taken_in_file)
            .and_then(|()| self.rocks.ingest_external_file_cf_opts(self.family(family), &options, vec![&path]));
        taken_in.map_err(|error| self.error(error))
    }

    /// Notes in `batch` that `store` has reached `offset`.
    pub fn put_offset(&self, batch: &mut WriteBatch, store: &str, offset: Offset) {
        batch.put_cf(self.family(OFFSETS_FAMILY), store, offset.0.to_be_bytes());
    }

    /// The offset that `store` has reached.
    pub fn offset(&self, store: &str) -> Result<Option<Offset>> {
        let mut value = Vec::new();
        if !self.get(OFFSETS_FAMILY, store.as_bytes(), &mut value)? {
            return Ok(None);
        }
        let bytes = value.try_into().map_err(|_| {
            let path = self.path.display();
            let message = format!("the offset of store {store} in {path} is damaged: the task's state is restored");
            Error::new(millstream_core::Kind::TaskCorrupted, message).in_task(self.task)
        })?;
        Ok(Some(Offset(i64::from_be_bytes(bytes))))
    }

    /// Roughly how many entries a family has.
    pub fn approximate_entries(&self, family: &str) -> u64 {
        let estimate = self.rocks.property_int_value_cf(self.family(family), ESTIMATED_ENTRIES);
        estimate.ok().flatten().unwrap_or_default()
    }

    /// Writes all families' memory to disk and waits for it.
    pub fn flush(&self) -> Result<()> {
        self.flush_with(&self.tuning.flush_and_wait)
    }

    /// Begins to write all families' memory to disk, and does not wait.
    pub fn begin_flush(&self) -> Result<()> {
        self.flush_with(&self.tuning.flush_in_background)
    }

    /// Gives an error of this database its kind.
    pub fn error(&self, error: rocksdb::Error) -> Error {
        database_error(self.task, &self.path, error)
    }

    fn flush_with(&self, options: &rocksdb::FlushOptions) -> Result<()> {
        // Always all of them: a flush of some would part the data from its offsets.
        let families: Vec<_> = self.families.iter().map(|name| self.family(name)).collect();
        self.rocks.flush_cfs_opt(&families, options).map_err(|error| self.error(error))
    }
}

fn present_families(task: TaskId, path: &Path, tuning: &Tuning) -> Result<Vec<String>> {
    // RocksDB makes a new database where there is no such file, whatever else is there.
    if !path.join(CURRENT).exists() {
        return Ok(Vec::new());
    }
    Rocks::list_cf(&tuning.database, path).map_err(|error| database_error(task, path, error))
}

/// Writes sorted changes to a file that a database can take in as its own, and syncs it.
fn write_file<'a>(
    path: &Path,
    changes: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>,
    options: &Options,
) -> std::result::Result<(), rocksdb::Error> {
    let mut file = SstFileWriter::create(options);
    file.open(path)?;
    for (key, value) in changes {
        match value {
            Some(value) => file.put(key, value)?,
            None => file.delete(key)?,
        }
    }
    file.finish()
}
