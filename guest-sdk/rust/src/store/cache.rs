//! What a call has read and written of a store.
//!
//! Invariants: an entry that is dirty differs from the host's (or may); one that is clean and known equals it. The
//! journal holds what the current record replaced, oldest first, so that undoing it backwards gives the state before
//! the record.

use std::hash::BuildHasher;
use std::rc::Rc;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::Timestamp;
use crate::bytes::Bytes;
use crate::host::{self, Entries, StoreHandle};

/// What is known of a key's value.
#[derive(Clone, Copy, Debug)]
enum Known {
    /// Nothing: it has not been read.
    Nothing,
    /// There is no value.
    Absent { timestamp: Timestamp },
    /// The value is part of a page that was read.
    Read { page: u32, start: u32, end: u32, timestamp: Timestamp },
    /// The value was written here.
    Written { start: u32, end: u32, timestamp: Timestamp },
}

#[derive(Clone, Copy, Debug)]
struct CacheEntry {
    key_start: u32,
    key_end: u32,
    known: Known,
    is_dirty: bool,
}

/// What a record replaced.
#[derive(Clone, Copy, Debug)]
struct Replaced {
    entry: u32,
    known: Known,
    is_dirty: bool,
}

/// What a call has read and written of a store.
#[derive(Default)]
pub(super) struct Cache {
    table: HashTable<u32>,
    hasher: DefaultHashBuilder,
    entries: Vec<CacheEntry>,
    keys: Vec<u8>,
    written: Vec<u8>,
    pages: Vec<Rc<Vec<u8>>>,
    /// Entries that are, or were, dirty.
    dirty: Vec<u32>,
    journal: Vec<Replaced>,
    /// Memory for what goes to the host.
    columns: Entries,
}

impl Cache {
    pub(super) fn begin_record(&mut self) {
        self.journal.clear();
    }

    /// Finds the entry of `key`, or makes one of which nothing is known.
    #[inline]
    fn entry(&mut self, key: &[u8]) -> u32 {
        let Self { table, hasher, entries, keys, .. } = self;
        let key_of = |index: &u32, keys: &[u8], entries: &[CacheEntry]| {
            let entry = &entries[*index as usize];
            entry.key_start as usize..(entry.key_end as usize).min(keys.len())
        };
        let hash = hasher.hash_one(key);
        if let Some(found) = table.find(hash, |index| &keys[key_of(index, keys, entries)] == key) {
            return *found;
        }
        let index = entries.len() as u32;
        let key_start = keys.len() as u32;
        keys.extend_from_slice(key);
        entries.push(CacheEntry { key_start, key_end: keys.len() as u32, known: Known::Nothing, is_dirty: false });
        table.insert_unique(hash, index, |index| hasher.hash_one(&keys[key_of(index, keys, entries)]));
        index
    }

    fn key(&self, entry: &CacheEntry) -> &[u8] {
        &self.keys[entry.key_start as usize..entry.key_end as usize]
    }

    fn value(&self, known: Known) -> Option<(Bytes, Timestamp)> {
        match known {
            Known::Nothing | Known::Absent { .. } => None,
            Known::Read { page, start, end, timestamp } => {
                Some((Bytes::share(&self.pages[page as usize], start, end), timestamp))
            }
            Known::Written { start, end, timestamp } => {
                Some((Bytes::copy(&self.written[start as usize..end as usize]), timestamp))
            }
        }
    }

    /// The value of `key` and its timestamp; asks the host if it is not known.
    #[inline]
    pub(super) fn get(&mut self, handle: &StoreHandle, key: &[u8]) -> Option<(Bytes, Timestamp)> {
        let index = self.entry(key) as usize;
        if let Known::Nothing = self.entries[index].known {
            self.entries[index].known = match handle.get(key) {
                None => Known::Absent { timestamp: -1 },
                Some(stored) => {
                    let page = self.pages.len() as u32;
                    let end = stored.value.len() as u32;
                    self.pages.push(Rc::new(stored.value));
                    Known::Read { page, start: 0, end, timestamp: stored.timestamp }
                }
            };
        }
        self.value(self.entries[index].known)
    }

    /// Notes a write.
    #[inline]
    pub(super) fn put(&mut self, key: &[u8], value: Option<&[u8]>, timestamp: Timestamp) {
        let index = self.entry(key);
        let known = match value {
            None => Known::Absent { timestamp },
            Some(value) => {
                let start = self.written.len() as u32;
                self.written.extend_from_slice(value);
                Known::Written { start, end: self.written.len() as u32, timestamp }
            }
        };
        let entry = &mut self.entries[index as usize];
        self.journal.push(Replaced { entry: index, known: entry.known, is_dirty: entry.is_dirty });
        if !entry.is_dirty {
            self.dirty.push(index);
        }
        entry.known = known;
        entry.is_dirty = true;
    }

    /// Reads those of `keys` that are not known, in one call.
    pub(super) fn read_ahead<'k>(&mut self, handle: &StoreHandle, keys: impl Iterator<Item = &'k [u8]>) {
        let first = self.entries.len();
        for key in keys {
            self.entry(key);
        }
        let wanted: Vec<u32> = (first as u32..self.entries.len() as u32).collect();
        self.read_many(handle, &wanted, |cache, entry, known| cache.entries[entry as usize].known = known);
    }

    /// Reads the entries `wanted` from the host, and gives what is known of each to `take`.
    fn read_many(&mut self, handle: &StoreHandle, wanted: &[u32], mut take: impl FnMut(&mut Self, u32, Known)) {
        if wanted.is_empty() {
            return;
        }
        let mut columns = std::mem::take(&mut self.columns);
        columns.clear();
        for index in wanted {
            columns.keys.extend_from_slice(self.key(&self.entries[*index as usize]));
            columns.key_ends.extend_from_slice(&(columns.keys.len() as u32).to_le_bytes());
        }
        let found = handle.get_many(&columns.keys, &columns.key_ends);
        self.columns = columns;
        let page = self.pages.len() as u32;
        self.pages.push(Rc::new(found.values));
        let mut start = 0;
        for (position, index) in wanted.iter().enumerate() {
            let end = host::end_at(&found.value_ends, position);
            let timestamp = host::timestamp_at(&found.timestamps, position);
            let is_null = found.nulls.get(position).is_some_and(|null| *null != 0);
            let known =
                if is_null { Known::Absent { timestamp: -1 } } else { Known::Read { page, start, end, timestamp } };
            take(self, *index, known);
            start = end;
        }
    }

    /// Gives all writes to the host. The current record may go on, and may still be taken back.
    pub(super) fn write_back(&mut self, handle: &StoreHandle) {
        if self.dirty.is_empty() {
            return;
        }
        self.learn_replaced(handle);
        let mut columns = std::mem::take(&mut self.columns);
        columns.clear();
        let dirty = std::mem::take(&mut self.dirty);
        for index in &dirty {
            let entry = self.entries[*index as usize];
            if entry.is_dirty {
                let (value, timestamp) = self.known_bytes(entry.known);
                columns.push(self.key(&entry), value, timestamp.max(0));
                self.entries[*index as usize].is_dirty = false;
            }
        }
        self.dirty = dirty;
        self.dirty.clear();
        if columns.len() > 0 {
            handle.put_many(&columns);
        }
        self.columns = columns;
        // What the record replaced is no longer what the host has: undoing makes the entry dirty.
        for replaced in &mut self.journal {
            replaced.is_dirty = true;
        }
    }

    fn known_bytes(&self, known: Known) -> (Option<&[u8]>, Timestamp) {
        match known {
            Known::Nothing => (None, 0),
            Known::Absent { timestamp } => (None, timestamp),
            Known::Read { page, start, end, timestamp } => {
                (Some(&self.pages[page as usize][start as usize..end as usize]), timestamp)
            }
            Known::Written { start, end, timestamp } => (Some(&self.written[start as usize..end as usize]), timestamp),
        }
    }

    /// Reads what the current record replaced without having read it, so that it can be taken back after the host has
    /// the new value.
    fn learn_replaced(&mut self, handle: &StoreHandle) {
        let unknown = self.journal.iter().filter(|replaced| matches!(replaced.known, Known::Nothing));
        let wanted: Vec<u32> = unknown.map(|replaced| replaced.entry).collect();
        self.read_many(handle, &wanted, |cache, entry, known| {
            let replaced = cache.journal.iter_mut().find(|replaced| replaced.entry == entry);
            if let Some(replaced) = replaced {
                replaced.known = known;
            }
        });
    }

    /// Undoes what the current record wrote.
    pub(super) fn take_back(&mut self) {
        while let Some(Replaced { entry: index, known, is_dirty }) = self.journal.pop() {
            let entry = &mut self.entries[index as usize];
            entry.known = known;
            entry.is_dirty = is_dirty;
            if is_dirty {
                self.dirty.push(index);
            }
        }
    }

    /// Forgets everything and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.table.clear();
        self.entries.clear();
        self.keys.clear();
        self.written.clear();
        self.pages.clear();
        self.dirty.clear();
        self.journal.clear();
    }
}
