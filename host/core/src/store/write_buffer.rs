//! The write buffer of one store: uncommitted writes, committed ones that the state does not have yet, and a bounded read cache.
//!
//! It is at once the read-your-writes overlay, the changelog's de-duplication (one entry a key) and the transaction's
//! isolation. Entries lie in one arena, found by a hash table; nothing is allocated per write in the steady state.
//!
//! An entry is *dirty* from a write until the commit, *ahead* of the state from a write until it is applied, and afterwards
//! serves as a cache. Several commits may pass before the state gets what they changed: a key that changes in each of them
//! is written there once. Entries that are not ahead are forgotten by generations: when the current one has three quarters of
//! the bytes that may be kept, and the state has its changes, another one begins; the one before it is dropped once the two
//! together have more than may be kept. So what fits into three quarters is never forgotten.

use std::collections::BTreeMap;
use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::key_order::sort_by_key;
use crate::id::Timestamp;

/// What an entry costs beside its key and value, for the memory budget.
const ENTRY_OVERHEAD: usize = size_of::<Entry>() + 8;

#[derive(Clone, Copy, Debug)]
struct Entry {
    key_start: u32,
    key_len: u32,
    value_start: u32,
    value_len: u32,
    /// Bytes reserved for the value, so that it can be replaced in place.
    value_room: u32,
    exists: bool,
    /// Written since the last commit.
    dirty: bool,
    /// Written since the state was last given the changes.
    ahead: bool,
    /// The timestamp of the last write, for the changelog record.
    timestamp: Timestamp,
}

#[derive(Debug, Default)]
struct Generation {
    table: HashTable<u32>,
    entries: Vec<Entry>,
    arena: Vec<u8>,
}

impl Generation {
    fn key(&self, entry: &Entry) -> &[u8] {
        &self.arena[entry.key_start as usize..][..entry.key_len as usize]
    }

    fn value(&self, entry: &Entry) -> Option<&[u8]> {
        entry.exists.then(|| &self.arena[entry.value_start as usize..][..entry.value_len as usize])
    }

    fn find(&self, hash: u64, key: &[u8]) -> Option<u32> {
        self.table.find(hash, |index| self.key(&self.entries[*index as usize]) == key).copied()
    }

    fn byte_len(&self) -> usize {
        self.arena.len() + self.entries.len() * ENTRY_OVERHEAD
    }

    fn clear(&mut self) {
        self.table.clear();
        self.entries.clear();
        self.arena.clear();
    }

    fn sort_by_key(&self, indices: &mut [u32]) {
        sort_by_key(indices, |index| self.key(&self.entries[*index as usize]));
    }

    fn insert(&mut self, hasher: &DefaultHashBuilder, hash: u64, key: &[u8], value: Option<&[u8]>) -> u32 {
        let index = self.entries.len() as u32;
        let key_start = self.arena.len() as u32;
        self.arena.extend_from_slice(key);
        let value_start = self.arena.len() as u32;
        let bytes = value.unwrap_or_default();
        self.arena.extend_from_slice(bytes);
        let value_len = bytes.len() as u32;
        self.entries.push(Entry {
            key_start,
            key_len: key.len() as u32,
            value_start,
            value_len,
            value_room: value_len,
            exists: value.is_some(),
            dirty: false,
            ahead: false,
            timestamp: crate::id::TIMESTAMP_UNKNOWN,
        });
        let Self { table, entries, arena } = self;
        table.insert_unique(hash, index, |other| {
            let entry = &entries[*other as usize];
            hasher.hash_one(&arena[entry.key_start as usize..][..entry.key_len as usize])
        });
        index
    }

    fn replace(&mut self, index: u32, value: Option<&[u8]>) {
        let entry = &mut self.entries[index as usize];
        entry.exists = value.is_some();
        let bytes = value.unwrap_or_default();
        if bytes.len() > entry.value_room as usize {
            entry.value_start = self.arena.len() as u32;
            // Grows by halves, so that a value that gets longer with each write leaves little behind.
            let room = bytes.len() + bytes.len() / 2;
            entry.value_room = room as u32;
            self.arena.extend_from_slice(bytes);
            self.arena.resize(entry.value_start as usize + room, 0);
        } else {
            self.arena[entry.value_start as usize..][..bytes.len()].copy_from_slice(bytes);
        }
        entry.value_len = bytes.len() as u32;
    }
}

/// A changed entry, as a commit or the state sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangedEntry<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The new value; `None` deletes the entry.
    pub value: Option<&'a [u8]>,
    /// The timestamp of the last write.
    pub timestamp: Timestamp,
}

/// See the file's documentation.
#[derive(Debug)]
pub struct WriteBuffer {
    hasher: DefaultHashBuilder,
    current: Generation,
    previous: Generation,
    /// Dirty entries of `current`, in the order of their first write; sorted by [`Self::sort_dirty`].
    dirty: Vec<u32>,
    /// Entries of `current` that the state does not have, the dirty ones among them; sorted by [`Self::sort_ahead`].
    ahead: Vec<u32>,
    /// Those by key. Kept from the first scan on, since only scans need the order before they are applied.
    ordered: Option<BTreeMap<Box<[u8]>, u32>>,
    /// What the dirty entries take, values that they had before included.
    dirty_bytes: usize,
    cache_bytes_max: usize,
}

impl WriteBuffer {
    /// An empty buffer that keeps up to about `cache_bytes_max` bytes of clean entries.
    #[must_use]
    pub fn new(cache_bytes_max: usize) -> Self {
        Self {
            hasher: DefaultHashBuilder::default(),
            current: Generation::default(),
            previous: Generation::default(),
            dirty: Vec::new(),
            ahead: Vec::new(),
            ordered: None,
            dirty_bytes: 0,
            cache_bytes_max,
        }
    }

    /// Changes how many bytes of clean entries are kept; more than that are forgotten when changes are applied.
    pub fn set_cache_bytes_max(&mut self, bytes: usize) {
        self.cache_bytes_max = bytes;
    }

    /// Looks `key` up: `None` when the buffer does not know it, `Some(None)` when it knows that there is no entry.
    pub fn get(&mut self, key: &[u8]) -> Option<Option<&[u8]>> {
        let hash = self.hasher.hash_one(key);
        let index = match self.current.find(hash, key) {
            Some(index) => index,
            None => self.promote(hash, key)?,
        };
        Some(self.current.value(&self.current.entries[index as usize]))
    }

    /// Moves a clean entry of the previous generation to the current one, because it is in use.
    fn promote(&mut self, hash: u64, key: &[u8]) -> Option<u32> {
        let found = self.previous.find(hash, key)?;
        let value = self.previous.value(&self.previous.entries[found as usize]);
        let index = self.current.insert(&self.hasher, hash, key, value);
        self.keep_to_bound();
        Some(index)
    }

    /// Drops the previous generation when there is no room for both.
    fn keep_to_bound(&mut self) {
        if self.byte_len() > self.cache_bytes_max && !self.previous.entries.is_empty() {
            self.previous = Generation::default();
        }
    }

    fn generation_bytes_max(&self) -> usize {
        self.cache_bytes_max / 4 * 3
    }

    /// Whether [`Self::get`] would know `key`.
    #[must_use]
    pub fn knows(&self, key: &[u8]) -> bool {
        let hash = self.hasher.hash_one(key);
        self.current.find(hash, key).or_else(|| self.previous.find(hash, key)).is_some()
    }

    /// How many entries of `entry_bytes` [`Self::cache`] would still keep.
    #[must_use]
    pub fn room_for(&self, entry_bytes: usize) -> usize {
        self.generation_bytes_max().saturating_sub(self.current.byte_len()) / (entry_bytes + ENTRY_OVERHEAD)
    }

    /// Notes what the committed state holds for `key`, unless the cache is full. The buffer must not know the key.
    pub fn cache(&mut self, key: &[u8], value: Option<&[u8]>) {
        if self.is_full() {
            return;
        }
        let hash = self.hasher.hash_one(key);
        debug_assert!(self.current.find(hash, key).is_none(), "the key is in the buffer already");
        self.current.insert(&self.hasher, hash, key, value);
        self.keep_to_bound();
    }

    /// Writes an entry, or deletes it.
    pub fn put(&mut self, key: &[u8], value: Option<&[u8]>, timestamp: Timestamp) {
        let hash = self.hasher.hash_one(key);
        let byte_len = self.current.byte_len();
        let index = if let Some(index) = self.current.find(hash, key) {
            self.current.replace(index, value);
            index
        } else {
            self.current.insert(&self.hasher, hash, key, value)
        };
        self.keep_to_bound();
        let grown = self.current.byte_len() - byte_len;
        let entry = &mut self.current.entries[index as usize];
        entry.timestamp = timestamp;
        if entry.dirty {
            self.dirty_bytes += grown;
        } else {
            entry.dirty = true;
            self.dirty.push(index);
            self.dirty_bytes += ENTRY_OVERHEAD + (entry.key_len + entry.value_room) as usize;
        }
        if !entry.ahead {
            entry.ahead = true;
            self.ahead.push(index);
            if let Some(ordered) = &mut self.ordered {
                ordered.insert(key.into(), index);
            }
        }
    }

    /// Whether nothing was written since the last commit.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.dirty.is_empty()
    }

    /// Whether the state has everything that was written.
    #[must_use]
    pub fn is_applied(&self) -> bool {
        self.ahead.is_empty()
    }

    /// Whether it is time to give the changes to the state, because only then memory is given back.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.current.byte_len() > self.generation_bytes_max()
    }

    /// The bytes held, those of the cache included.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.current.byte_len() + self.previous.byte_len()
    }

    /// The bytes held that only a commit can give back.
    #[must_use]
    pub fn uncommitted_byte_len(&self) -> usize {
        self.dirty_bytes
    }

    /// About how many bytes the entries take that the state does not have.
    #[must_use]
    pub fn ahead_byte_len(&self) -> usize {
        self.ahead.len() * (self.current.byte_len() / self.current.entries.len().max(1))
    }

    /// Sorts the dirty entries by key, as changelogs have them.
    pub fn sort_dirty(&mut self) {
        self.current.sort_by_key(&mut self.dirty);
    }

    /// Sorts the entries that the state does not have by key, as it wants them.
    pub fn sort_ahead(&mut self) {
        self.current.sort_by_key(&mut self.ahead);
    }

    /// The dirty entries, each key once, in the order of the last [`Self::sort_dirty`].
    pub fn dirty(&self) -> impl Iterator<Item = ChangedEntry<'_>> {
        self.dirty.iter().map(|index| self.changed_entry(*index))
    }

    /// The entries that the state does not have, each key once, in the order of the last [`Self::sort_ahead`].
    pub fn ahead(&self) -> impl Iterator<Item = ChangedEntry<'_>> {
        self.ahead.iter().map(|index| self.changed_entry(*index))
    }

    fn changed_entry(&self, index: u32) -> ChangedEntry<'_> {
        let entry = &self.current.entries[index as usize];
        ChangedEntry { key: self.current.key(entry), value: self.current.value(entry), timestamp: entry.timestamp }
    }

    /// The entries that the state does not have by key; built at the first call, then kept.
    pub(super) fn ordered(&mut self) -> OrderedEntries<'_> {
        if self.ordered.is_none() {
            let keys = self.ahead.iter().map(|index| (self.changed_entry(*index).key.into(), *index));
            self.ordered = Some(keys.collect());
        }
        OrderedEntries { buffer: self }
    }

    /// Notes that the dirty entries are committed. They are still ahead of the state.
    pub fn mark_committed(&mut self) {
        self.dirty_bytes = 0;
        for index in self.dirty.drain(..) {
            self.current.entries[index as usize].dirty = false;
        }
    }

    /// Forgets what the state has, and gives its memory back; the state must have everything.
    pub fn forget(&mut self) {
        debug_assert!(self.is_applied(), "what the state does not have would be lost");
        *self = Self::new(self.cache_bytes_max);
    }

    /// Notes that the state has everything; nothing may be dirty.
    pub fn mark_applied(&mut self) {
        debug_assert!(self.dirty.is_empty(), "what is not committed was given to the state");
        for index in self.ahead.drain(..) {
            self.current.entries[index as usize].ahead = false;
        }
        if let Some(ordered) = &mut self.ordered {
            ordered.clear();
        }
        if self.is_full() {
            std::mem::swap(&mut self.current, &mut self.previous);
            self.current.clear();
            self.keep_to_bound();
        }
    }
}

/// The entries of a buffer that the state does not have, in the order of their keys.
pub(super) struct OrderedEntries<'a> {
    buffer: &'a WriteBuffer,
}

impl<'a> OrderedEntries<'a> {
    /// The first entry after `bound` in the direction asked.
    pub(super) fn next(&self, bound: std::ops::Bound<&[u8]>, descending: bool) -> Option<ChangedEntry<'a>> {
        use std::ops::Bound::Unbounded;
        let ordered = self.buffer.ordered.as_ref()?;
        let found = if descending {
            ordered.range::<[u8], _>((Unbounded, bound)).next_back()
        } else {
            ordered.range::<[u8], _>((bound, Unbounded)).next()
        };
        found.map(|(_, index)| self.buffer.changed_entry(*index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dirty(buffer: &mut WriteBuffer) -> Vec<(Vec<u8>, Option<Vec<u8>>, Timestamp)> {
        buffer.sort_dirty();
        buffer.dirty().map(|entry| (entry.key.to_vec(), entry.value.map(<[u8]>::to_vec), entry.timestamp)).collect()
    }

    #[test]
    fn reads_see_the_last_write_and_the_commit_sees_each_key_once() {
        let mut buffer = WriteBuffer::new(1 << 20);
        assert_eq!(buffer.get(b"b"), None);
        buffer.put(b"b", Some(b"1"), 10);
        buffer.put(b"a", Some(b"x"), 11);
        buffer.put(b"b", Some(b"a longer one"), 12);
        buffer.put(b"c", None, 13);
        assert_eq!(buffer.get(b"b"), Some(Some(&b"a longer one"[..])));
        assert_eq!(buffer.get(b"c"), Some(None));
        let entry = |key: &[u8], value: Option<&[u8]>, time| (key.to_vec(), value.map(<[u8]>::to_vec), time);
        let expected = [entry(b"a", Some(b"x"), 11), entry(b"b", Some(b"a longer one"), 12), entry(b"c", None, 13)];
        assert_eq!(dirty(&mut buffer), expected);
        commit_and_apply(&mut buffer);
        assert!(buffer.is_clean() && buffer.is_applied());
        assert_eq!(buffer.get(b"a"), Some(Some(&b"x"[..])), "a committed entry is still cached");
        buffer.put(b"a", Some(b"y"), 14);
        assert_eq!(dirty(&mut buffer), [entry(b"a", Some(b"y"), 14)]);
    }

    #[test]
    fn each_commit_sees_its_own_writes_and_the_state_those_of_all_each_key_once() {
        let mut buffer = WriteBuffer::new(1 << 20);
        buffer.put(b"b", Some(b"1"), 1);
        buffer.put(b"a", Some(b"1"), 1);
        buffer.mark_committed();
        assert!(buffer.is_clean() && !buffer.is_applied());
        buffer.put(b"b", None, 2);
        buffer.put(b"c", Some(b"2"), 2);
        let entry = |key: &[u8], value: Option<&[u8]>, time| (key.to_vec(), value.map(<[u8]>::to_vec), time);
        assert_eq!(dirty(&mut buffer), [entry(b"b", None, 2), entry(b"c", Some(b"2"), 2)]);
        buffer.mark_committed();
        buffer.sort_ahead();
        let ahead: Vec<_> = buffer.ahead().map(|change| entry(change.key, change.value, change.timestamp)).collect();
        assert_eq!(ahead, [entry(b"a", Some(b"1"), 1), entry(b"b", None, 2), entry(b"c", Some(b"2"), 2)]);
        buffer.mark_applied();
        assert!(buffer.is_applied());
    }

    fn commit_and_apply(buffer: &mut WriteBuffer) {
        buffer.mark_committed();
        buffer.mark_applied();
    }

    #[test]
    fn clean_entries_are_forgotten_when_the_cache_is_full_and_used_ones_stay() {
        let mut buffer = WriteBuffer::new(64 * 1024);
        buffer.put(b"hot", Some(b"1"), 0);
        for number in 0..100_000_u32 {
            buffer.put(&number.to_be_bytes(), Some(&[7; 16]), 0);
            if number % 100 == 0 {
                assert_eq!(buffer.get(b"hot"), Some(Some(&b"1"[..])));
                commit_and_apply(&mut buffer);
            }
        }
        assert!(buffer.byte_len() < 3 * 64 * 1024, "{}", buffer.byte_len());
        assert_eq!(buffer.get(&5_u32.to_be_bytes()), None);
    }

    #[test]
    fn what_fits_into_three_quarters_is_never_forgotten_and_both_generations_stay_within_the_bound() {
        const BYTES_MAX: usize = 64 * 1024;
        let mut buffer = WriteBuffer::new(BYTES_MAX);
        let fitting = buffer.room_for(20) as u32;
        let write = |buffer: &mut WriteBuffer, keys: std::ops::Range<u32>| {
            for number in keys {
                buffer.put(&number.to_be_bytes(), Some(&[7; 16]), 0);
                if number % 10 == 0 {
                    commit_and_apply(buffer);
                    assert!(buffer.byte_len() <= BYTES_MAX, "{} at {number}", buffer.byte_len());
                }
            }
            commit_and_apply(buffer);
        };
        (0..3).for_each(|_| write(&mut buffer, 0..fitting));
        assert!((0..fitting).all(|number| buffer.knows(&number.to_be_bytes())));
        write(&mut buffer, fitting..4 * fitting);
        assert!(!buffer.knows(&0_u32.to_be_bytes()), "what is not used makes room for others");
        assert!(buffer.knows(&(4 * fitting - 1).to_be_bytes()));
    }

    #[test]
    fn a_smaller_share_is_kept_to_from_the_next_applied_changes_on() {
        let mut buffer = WriteBuffer::new(1 << 20);
        for number in 0..4_000_u32 {
            buffer.put(&number.to_be_bytes(), Some(&[7; 16]), 0);
        }
        commit_and_apply(&mut buffer);
        assert!(buffer.byte_len() > 200_000, "{}", buffer.byte_len());
        buffer.set_cache_bytes_max(64 * 1024);
        buffer.put(b"another", Some(b"1"), 0);
        assert!(buffer.is_full());
        commit_and_apply(&mut buffer);
        assert!(buffer.byte_len() <= 64 * 1024, "{}", buffer.byte_len());
    }

    #[test]
    fn what_only_a_commit_gives_back_is_what_was_written() {
        let mut buffer = WriteBuffer::new(1 << 20);
        buffer.cache(b"read", Some(&[7; 10_000]));
        assert_eq!(buffer.uncommitted_byte_len(), 0);
        buffer.put(b"written", Some(&[7; 100]), 0);
        let one = buffer.uncommitted_byte_len();
        assert!((107..300).contains(&one), "{one}");
        buffer.put(b"written", Some(&[7; 50]), 0);
        assert_eq!(buffer.uncommitted_byte_len(), one, "it is written over the first value");
        buffer.put(b"written", Some(&[7; 1_000]), 0);
        assert!(buffer.uncommitted_byte_len() >= one + 1_000, "the first value is still there");
        buffer.mark_committed();
        assert_eq!(buffer.uncommitted_byte_len(), 0);
        buffer.put(b"read", Some(&[7; 10_000]), 0);
        assert!(buffer.uncommitted_byte_len() > 10_000, "an entry that was there is not forgotten now");
    }

    #[test]
    fn dirty_entries_are_never_forgotten() {
        let mut buffer = WriteBuffer::new(16);
        for number in 0..1000_u32 {
            buffer.put(&number.to_be_bytes(), Some(b"v"), 0);
            buffer.cache(&(number + 10_000).to_be_bytes(), None);
        }
        assert_eq!(buffer.dirty().count(), 1000);
        assert!((0..1000_u32).all(|number| buffer.get(&number.to_be_bytes()) == Some(Some(b"v"))));
    }
}
