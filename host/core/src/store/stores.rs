//! All stores of one task, as its processors see them and as its commit sees them.

use crate::error::Result;
use crate::id::{Offset, StoreName, TIMESTAMP_UNKNOWN, Timestamp, TopicPartition};
use crate::limits;
use crate::port::{Page, StateChange, TaskState};

use super::scan::Cursor;
use super::write_buffer::{ChangedEntry, WriteBuffer};

/// What a store of a task is.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// The store's name.
    pub name: StoreName,
    /// Whether each value is kept with its timestamp (a timestamped key-value store).
    pub timestamped: bool,
    /// Whether changes are logged, and where.
    pub changelog: Option<TopicPartition>,
}

#[derive(Debug)]
struct Store {
    settings: StoreSettings,
    buffer: WriteBuffer,
    /// The changelog offset that the committed changes reach which the state does not have.
    reached: Option<Offset>,
}

impl Store {
    /// What the state does not have, as changes of the store numbered `index`.
    fn changes(&self, index: usize) -> impl Iterator<Item = StateChange<'_>> {
        self.buffer.ahead().map(move |entry| StateChange { store: index, key: entry.key, value: entry.value })
    }

    fn has_many_changes(&self) -> bool {
        self.buffer.ahead_byte_len() >= MANY_BYTES
    }

    fn mark_applied(&mut self) {
        self.buffer.mark_applied();
        self.reached = None;
    }
}

/// A value that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Where the value begins in the buffer it was appended to.
    pub start: usize,
    /// The value's timestamp; `-1` in a store that keeps none.
    pub timestamp: Timestamp,
}

/// Why a store refused a call: the caller broke its contract.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The key is too long.
    #[error("a key of {bytes} bytes is too long for store `{store}`: at most {max} bytes are allowed")]
    Key {
        /// The store.
        store: StoreName,
        /// The key's length.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// The value is too long.
    #[error("a value of {bytes} bytes is too long for store `{store}`: at most {max} bytes are allowed")]
    Value {
        /// The store.
        store: StoreName,
        /// The value's length.
        bytes: usize,
        /// The bound.
        max: usize,
    },
}

/// Length of the timestamp in front of a timestamped value (reference §3.7).
const TIMESTAMP_BYTES: usize = 8;

/// Fewer unknown keys are read one by one: sorting and collecting them would cost more than it saves.
const READ_AHEAD_MIN: usize = 4;

/// How long a value is taken to be before it is read.
const VALUE_BYTES_GUESS: usize = 128;

/// From here on a store's changes are given to the state by themselves.
const MANY_BYTES: usize = 4 * 1024 * 1024;

/// A store's changes don't wait beyond this, however large its share: the stream thread stands still while a disk takes them.
const AHEAD_BYTES_MAX: usize = 48 * 1024 * 1024;

/// Fewer bytes that were applied are not flushed when the task rests: they are read from the changelog soon enough, and a file for each
/// of many short rests would have to be merged.
const REST_FLUSH_BYTES_MIN: usize = 1024 * 1024;

/// All stores of a task; a store is named by its index in the task's list.
pub struct Stores {
    stores: Vec<Store>,
    state: Box<dyn TaskState>,
    scratch: Vec<u8>,
    /// Keys and values that were applied since the state was last flushed.
    unflushed_bytes: usize,
}

impl Stores {
    /// Puts empty write buffers in front of `state`. Until [`Self::set_cache_bytes_max`] they keep next to nothing beyond a commit.
    #[must_use]
    pub fn new(stores: Vec<StoreSettings>, state: Box<dyn TaskState>) -> Self {
        let stores =
            stores.into_iter().map(|settings| Store { buffer: WriteBuffer::new(0), settings, reached: None }).collect();
        Self { stores, state, scratch: Vec::new(), unflushed_bytes: 0 }
    }

    /// The number of stores.
    #[must_use]
    pub fn len(&self) -> usize {
        self.stores.len()
    }

    /// Whether the task has no store.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.stores.is_empty()
    }

    /// How many bytes of committed entries each store may keep in memory.
    pub fn set_cache_bytes_max(&mut self, bytes: usize) {
        self.stores.iter_mut().for_each(|store| store.buffer.set_cache_bytes_max(bytes));
    }

    /// The index of the store named `name`.
    #[must_use]
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.stores.iter().position(|store| store.settings.name.as_str() == name)
    }

    /// What the store is.
    #[must_use]
    pub fn settings(&self, store: usize) -> &StoreSettings {
        &self.stores[store].settings
    }

    /// Appends the value of `key` to `out`; `None` when there is no entry.
    ///
    /// # Errors
    ///
    /// When the committed state can't be read.
    pub fn get(&mut self, store: usize, key: &[u8], out: &mut Vec<u8>) -> Result<Option<Stored>> {
        let Self { stores, state, scratch, .. } = self;
        let Store { settings, buffer, .. } = &mut stores[store];
        if let Some(known) = buffer.get(key) {
            return Ok(known.map(|value| append(settings.timestamped, value, out)));
        }
        scratch.clear();
        let found = state.get(store, key, scratch)?.then_some(scratch.as_slice());
        buffer.cache(key, found);
        Ok(found.map(|value| append(settings.timestamped, value, out)))
    }

    /// Reads the values of `keys` that are not known yet, all at once, so that a [`Self::get`] of each finds it in memory. Worth its
    /// while before a batch of gets; what does not fit into the cache is left to them.
    ///
    /// # Errors
    ///
    /// When the committed state can't be read.
    pub fn read_ahead<'a>(&mut self, store: usize, keys: impl Iterator<Item = &'a [u8]>) -> Result<()> {
        let Store { buffer, .. } = &mut self.stores[store];
        let mut unknown: Vec<&[u8]> = keys.filter(|key| !buffer.knows(key)).collect();
        if unknown.len() < READ_AHEAD_MIN {
            return Ok(());
        }
        unknown.sort_unstable();
        unknown.dedup();
        let key_bytes = unknown.iter().map(|key| key.len()).sum::<usize>() / unknown.len();
        unknown.truncate(buffer.room_for(key_bytes + VALUE_BYTES_GUESS));
        self.state.get_many(store, &unknown, &mut |index, value| buffer.cache(unknown[index], value))
    }

    /// Writes an entry, or deletes it. `timestamp` goes to the changelog record, and in a timestamped store it is kept with the value.
    ///
    /// # Errors
    ///
    /// When key or value is too long.
    pub fn put(
        &mut self,
        store: usize,
        key: &[u8],
        value: Option<&[u8]>,
        timestamp: Timestamp,
    ) -> Result<(), StoreError> {
        let Store { settings, buffer, .. } = &mut self.stores[store];
        let name = || settings.name.clone();
        let (bytes, max) = (key.len(), limits::STORE_KEY_BYTES_MAX);
        if bytes > max {
            return Err(StoreError::Key { store: name(), bytes, max });
        }
        let (bytes, max) = (value.map_or(0, <[u8]>::len), limits::STORE_VALUE_BYTES_MAX);
        if bytes > max {
            return Err(StoreError::Value { store: name(), bytes, max });
        }
        match value {
            Some(value) if settings.timestamped => {
                self.scratch.clear();
                self.scratch.extend_from_slice(&timestamp.to_be_bytes());
                self.scratch.extend_from_slice(value);
                buffer.put(key, Some(&self.scratch), timestamp);
            }
            value => buffer.put(key, value, timestamp),
        }
        Ok(())
    }

    /// Appends the next entries of a scan to `page`, values without their timestamps, and those to `timestamps` (`-1` in a store that
    /// keeps none).
    ///
    /// # Errors
    ///
    /// When the committed state can't be read.
    pub fn next_page(
        &mut self,
        cursor: &mut Cursor,
        entries_max: usize,
        page: &mut Page,
        timestamps: &mut Vec<Timestamp>,
    ) -> Result<()> {
        let Store { settings, buffer, .. } = &mut self.stores[cursor.store];
        if !settings.timestamped {
            cursor.next_page(buffer, self.state.as_ref(), entries_max, page)?;
            timestamps.resize(timestamps.len() + page.len(), TIMESTAMP_UNKNOWN);
            return Ok(());
        }
        let mut kept = Page::default();
        cursor.next_page(buffer, self.state.as_ref(), entries_max, &mut kept)?;
        for index in 0..kept.len() {
            let (key, value) = kept.entry(index);
            let (timestamp, value) = split_timestamp(value);
            page.push(key, value);
            timestamps.push(timestamp);
        }
        Ok(())
    }

    /// Roughly how many entries the store has: committed ones, and those being written.
    #[must_use]
    pub fn approximate_entries(&self, store: usize) -> u64 {
        let written = self.stores[store].buffer.ahead().filter(|entry| entry.value.is_some()).count();
        self.state.approximate_entries(store).max(written as u64)
    }

    // === The commit ===

    /// The bytes that only a commit can give back.
    #[must_use]
    pub fn uncommitted_byte_len(&self) -> usize {
        self.stores.iter().map(|store| store.buffer.uncommitted_byte_len()).sum()
    }

    /// Whether nothing was written since the last commit.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.stores.iter().all(|store| store.buffer.is_clean())
    }

    /// Hands each change to `log` as the changelog record it becomes (reference §3.4): a store after the other, keys ascending, each key once.
    ///
    /// # Errors
    ///
    /// The first one of `log`.
    pub fn log_changes(&mut self, log: &mut dyn FnMut(&TopicPartition, ChangedEntry<'_>) -> Result<()>) -> Result<()> {
        for Store { settings, buffer, .. } in &mut self.stores {
            buffer.sort_dirty();
            let Some(changelog) = &settings.changelog else { continue };
            for mut entry in buffer.dirty() {
                if let (true, Some(value)) = (settings.timestamped, entry.value) {
                    let (timestamp, value) = split_timestamp(value);
                    entry = ChangedEntry { value: Some(value), timestamp, ..entry };
                }
                log(changelog, entry)?;
            }
        }
        Ok(())
    }

    /// Notes that everything written is committed. `last_offset` tells the last record of a changelog.
    pub fn mark_committed(&mut self, last_offset: &dyn Fn(&TopicPartition) -> Option<Offset>) {
        for Store { settings, buffer, reached } in &mut self.stores {
            if !buffer.is_clean() {
                *reached = settings.changelog.as_ref().and_then(last_offset).map(Offset::next).or(*reached);
                buffer.mark_committed();
            }
        }
    }

    /// Whether committed changes must not wait any longer: they take too much memory, or there is no changelog from which they could
    /// be had again.
    #[must_use]
    pub fn must_apply(&self) -> bool {
        self.stores.iter().any(|Store { settings, buffer, .. }| {
            let is_much = buffer.is_full() || buffer.ahead_byte_len() > AHEAD_BYTES_MAX;
            !buffer.is_applied() && (settings.changelog.is_none() || is_much)
        })
    }

    /// Whether applying the changes takes so long that other tasks had better not do it at the same commit.
    #[must_use]
    pub fn has_many_changes(&self) -> bool {
        self.stores.iter().any(Store::has_many_changes)
    }

    /// Applies the committed changes to the state, together with the changelog offsets that they reach. Everything written must be
    /// committed.
    ///
    /// # Errors
    ///
    /// When the disk fails; what has not been applied still waits then.
    pub fn apply_changes(&mut self) -> Result<()> {
        if self.stores.iter().all(|store| store.buffer.is_applied()) {
            return Ok(());
        }
        let Self { stores, state, unflushed_bytes, .. } = self;
        let mut offsets = Vec::new();
        for (index, store) in stores.iter_mut().enumerate() {
            store.buffer.sort_ahead();
            let Some(reached) = store.reached else { continue };
            if store.has_many_changes() {
                state.apply_many(index, &mut store.changes(index), reached)?;
                store.mark_applied();
            } else {
                offsets.push((index, reached));
            }
        }
        let changes = stores.iter().enumerate().flat_map(|(index, store)| store.changes(index));
        let mut changes =
            changes.inspect(|change| *unflushed_bytes += change.key.len() + change.value.map_or(0, <[u8]>::len));
        state.apply(&mut changes, &offsets)?;
        drop(changes);
        stores.iter_mut().for_each(Store::mark_applied);
        Ok(())
    }

    /// Gives the state what it lacks, and forgets all copies of what it has: nothing is to be done for a while. A state that was
    /// given much writes it to its disk, which frees its memory as well and leaves nothing to restore after a crash.
    ///
    /// # Errors
    ///
    /// When the disk fails.
    pub fn rest(&mut self) -> Result<()> {
        self.apply_changes()?;
        if self.unflushed_bytes >= REST_FLUSH_BYTES_MIN {
            self.state.flush()?;
            self.unflushed_bytes = 0;
        }
        self.stores.iter_mut().for_each(|store| store.buffer.forget());
        Ok(())
    }

    /// The committed state, for restoring.
    pub fn state_mut(&mut self) -> &mut dyn TaskState {
        self.state.as_mut()
    }
}

/// Splits the form of reference §3.7, `timestamp ‖ value`.
fn split_timestamp(stored: &[u8]) -> (Timestamp, &[u8]) {
    match stored.split_first_chunk::<TIMESTAMP_BYTES>() {
        Some((timestamp, value)) => (Timestamp::from_be_bytes(*timestamp), value),
        None => (TIMESTAMP_UNKNOWN, stored),
    }
}

fn append(timestamped: bool, stored: &[u8], out: &mut Vec<u8>) -> Stored {
    let (timestamp, value) = if timestamped { split_timestamp(stored) } else { (TIMESTAMP_UNKNOWN, stored) };
    let start = out.len();
    out.extend_from_slice(value);
    Stored { start, timestamp }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{InMemoryTaskState, Order};

    fn stores(timestamped: bool) -> Stores {
        let settings = StoreSettings {
            name: "counts".into(),
            timestamped,
            changelog: Some(TopicPartition::new("app-counts-changelog", 0)),
        };
        stores_of(settings)
    }

    fn stores_of(settings: StoreSettings) -> Stores {
        let mut stores = Stores::new(vec![settings], Box::new(InMemoryTaskState::new(1)));
        stores.set_cache_bytes_max(1 << 16);
        stores
    }

    fn scan(stores: &mut Stores, mut cursor: Cursor, page_size: usize) -> Vec<(String, String)> {
        let mut found = Vec::new();
        loop {
            let mut page = Page::default();
            stores.next_page(&mut cursor, page_size, &mut page, &mut Vec::new()).expect("memory can be read");
            if page.is_empty() {
                return found;
            }
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            found.extend((0..page.len()).map(|index| (text(page.entry(index).0), text(page.entry(index).1))));
        }
    }

    fn commit(stores: &mut Stores, offset: i64) {
        stores.mark_committed(&|_| Some(Offset(offset)));
        stores.apply_changes().expect("memory can be written");
    }

    #[test]
    fn scans_merge_committed_and_uncommitted_entries_in_both_orders_and_any_page_size() {
        for timestamped in [false, true] {
            let mut stores = stores(timestamped);
            for key in ["a", "c", "e", "g"] {
                stores.put(0, key.as_bytes(), Some(b"old"), 1).expect("within limits");
            }
            commit(&mut stores, 3);
            for (key, value) in [("b", Some("new")), ("c", None), ("e", Some("new")), ("h", Some("new")), ("z", None)] {
                stores.put(0, key.as_bytes(), value.map(str::as_bytes), 2).expect("within limits");
            }
            let expected = [("a", "old"), ("b", "new"), ("e", "new"), ("g", "old"), ("h", "new")];
            let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned()));
            let reversed: Vec<_> = expected.iter().rev().cloned().collect();
            for page_size in 1..7 {
                let all = |order| Cursor::range(0, None, None, order);
                assert_eq!(scan(&mut stores, all(Order::Ascending), page_size), expected);
                assert_eq!(scan(&mut stores, all(Order::Descending), page_size), reversed);
                let part = Cursor::range(0, Some(b"b".into()), Some(b"g".into()), Order::Ascending);
                assert_eq!(scan(&mut stores, part, page_size), expected[1..4]);
                let inverted = Cursor::range(0, Some(b"g".into()), Some(b"b".into()), Order::Ascending);
                assert_eq!(scan(&mut stores, inverted, page_size), []);
            }
        }
    }

    #[test]
    fn prefix_scans_end_where_the_prefix_ends() {
        let mut stores = stores(false);
        for key in ["a", "ab", "ab\u{7f}", "ac", "b"] {
            stores.put(0, key.as_bytes(), Some(b"v"), 1).expect("within limits");
        }
        let found = scan(&mut stores, Cursor::prefix(0, b"ab".to_vec(), Order::Descending), 1);
        assert_eq!(found.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["ab\u{7f}", "ab"]);
    }

    #[test]
    fn the_state_gets_the_changes_of_several_commits_at_once_with_the_offset_that_they_reach() {
        let mut stores = stores(false);
        for (value, last) in [("1", 4), ("2", 9)] {
            stores.put(0, b"k", Some(value.as_bytes()), 1).expect("within limits");
            stores.mark_committed(&|_| Some(Offset(last)));
            assert!(!stores.must_apply(), "there is room, and the changelog has them");
        }
        assert_eq!(stores.state_mut().changelog_offset(0).expect("memory can be read"), None);
        stores.apply_changes().expect("memory can be written");
        let mut raw = Vec::new();
        assert!(stores.state_mut().get(0, b"k", &mut raw).expect("memory can be read"));
        let reached = stores.state_mut().changelog_offset(0).expect("memory can be read");
        assert_eq!((raw.as_slice(), reached), (&b"2"[..], Some(Offset(10))));
    }

    #[test]
    fn at_rest_the_state_has_everything_and_the_buffer_nothing() {
        let mut stores = stores(false);
        stores.put(0, b"a", Some(b"1"), 1).expect("within limits");
        stores.mark_committed(&|_| Some(Offset(7)));
        assert_ne!(stores.stores[0].buffer.byte_len(), 0);
        stores.rest().expect("memory can be written");
        assert_eq!(stores.state_mut().changelog_offset(0).expect("memory can be read"), Some(Offset(8)));
        assert_eq!(stores.stores[0].buffer.byte_len(), 0);
        let mut value = Vec::new();
        assert!(stores.get(0, b"a", &mut value).expect("memory can be read").is_some());
        assert_eq!(value, b"1");
    }

    #[test]
    fn what_no_changelog_has_is_applied_at_its_commit() {
        let settings = StoreSettings { name: "own".into(), timestamped: false, changelog: None };
        let mut stores = stores_of(settings);
        stores.put(0, b"k", Some(b"v"), 1).expect("within limits");
        stores.mark_committed(&|_| None);
        assert!(stores.must_apply());
    }

    #[test]
    fn a_store_with_many_changes_and_one_with_few_are_both_applied_with_their_offsets() {
        let names = ["many", "few"];
        let settings = names.map(|name| StoreSettings {
            name: name.into(),
            timestamped: false,
            changelog: Some(TopicPartition::new(format!("app-{name}-changelog").as_str(), 0)),
        });
        let mut stores = Stores::new(settings.to_vec(), Box::new(InMemoryTaskState::new(2)));
        let value = vec![7; 1 << 10];
        for number in 0..(2 * MANY_BYTES / value.len()) as u32 {
            stores.put(0, &number.to_be_bytes(), Some(&value), 1).expect("within limits");
        }
        stores.put(1, b"k", Some(b"v"), 1).expect("within limits");
        assert!(stores.stores[0].buffer.ahead_byte_len() >= MANY_BYTES);
        let last =
            |changelog: &TopicPartition| Some(Offset(if changelog.topic.as_str().contains("many") { 8 } else { 2 }));
        stores.mark_committed(&last);
        stores.apply_changes().expect("memory can be written");
        assert!(stores.stores.iter().all(|store| store.buffer.is_applied() && store.reached.is_none()));
        let state = stores.state_mut();
        assert_eq!(
            [0, 1].map(|store| state.changelog_offset(store).expect("is read")),
            [9, 3].map(|next| Some(Offset(next)))
        );
        let mut found = Vec::new();
        assert!(state.get(0, &77_u32.to_be_bytes(), &mut found).expect("is read") && found == value);
        assert!(state.get(1, b"k", &mut found).expect("is read"));
    }

    #[test]
    fn changes_do_not_wait_until_a_large_share_is_full() {
        let mut stores = stores(false);
        stores.set_cache_bytes_max(1 << 30);
        let value = vec![7; 1 << 20];
        let mut puts = 0_u32;
        while !stores.must_apply() {
            stores.put(0, &puts.to_be_bytes(), Some(&value), 1).expect("within limits");
            stores.mark_committed(&|_| Some(Offset(8)));
            puts += 1;
        }
        assert_eq!(puts, 48);
        stores.apply_changes().expect("memory can be written");
        assert!(stores.stores[0].buffer.knows(&0_u32.to_be_bytes()), "they are still kept");
    }

    #[test]
    fn a_timestamped_change_is_logged_without_its_timestamp_and_stored_with_it() {
        let mut stores = stores(true);
        stores.put(0, b"k", Some(b"v"), 258).expect("within limits");
        let mut logged = Vec::new();
        let mut log = |_: &TopicPartition, entry: ChangedEntry<'_>| {
            logged.push((entry.value.map(<[u8]>::to_vec), entry.timestamp));
            Ok(())
        };
        stores.log_changes(&mut log).expect("the closure accepts all");
        assert_eq!(logged, [(Some(b"v".to_vec()), 258)]);
        commit(&mut stores, 9);
        let mut raw = Vec::new();
        assert!(stores.state_mut().get(0, b"k", &mut raw).expect("memory can be read"));
        assert_eq!(raw, [0, 0, 0, 0, 0, 0, 1, 2, b'v']);
        assert_eq!(stores.state_mut().changelog_offset(0).expect("memory can be read"), Some(Offset(10)));
        let mut out = Vec::new();
        let found = stores.get(0, b"k", &mut out).expect("memory can be read");
        assert_eq!((found, out.as_slice()), (Some(Stored { start: 0, timestamp: 258 }), &b"v"[..]));
    }
}
