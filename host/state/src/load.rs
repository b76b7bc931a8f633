//! What a restore has read of a store's changelog and not yet given to the database: sorted in memory, then handed over as a finished file.
//!
//! An entry that goes through a write buffer is put into a list in order, copied into a batch before and into a file after; with millions of
//! them at once that was half of a restore's time (bench/LOG.md). Here it is copied once and sorted by its first eight bytes.

use millstream_core::store::key_prefix;

/// A run of one changelog, in the log's order.
#[derive(Default)]
pub struct Load {
    /// Key and value of each entry, one after the other.
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

struct Entry {
    /// The key's first eight bytes, as a number that sorts as they do.
    prefix: u64,
    start: usize,
    key_len: u32,
    /// `None` deletes the key.
    value_len: Option<u32>,
}

impl Load {
    /// Appends a change.
    pub fn push(&mut self, key: &[u8], value: Option<&[u8]>) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value.unwrap_or_default());
        let value_len = value.map(|value| value.len() as u32);
        self.entries.push(Entry { prefix: key_prefix(key), start, key_len: key.len() as u32, value_len });
    }

    /// The bytes it takes.
    pub fn byte_len(&self) -> usize {
        self.bytes.len() + self.entries.len() * size_of::<Entry>()
    }

    /// Forgets everything, and keeps the memory for the next run.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
    }

    /// Orders the changes by key, each key once with its last value.
    pub fn sort(&mut self) {
        let Self { bytes, entries } = self;
        let key = |entry: &Entry| &bytes[entry.start..entry.start + entry.key_len as usize];
        let by_key = |one: &Entry, other: &Entry| one.prefix.cmp(&other.prefix).then_with(|| key(one).cmp(key(other)));
        // The last one first, because it is the one that stays.
        entries.sort_unstable_by(|one, other| by_key(one, other).then(other.start.cmp(&one.start)));
        entries.dedup_by(|later, first| by_key(later, first).is_eq());
    }

    /// The changes, in the order they are in.
    pub fn changes(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.entries.iter().map(|entry| {
            let value = entry.start + entry.key_len as usize;
            (&self.bytes[entry.start..value], entry.value_len.map(|len| &self.bytes[value..value + len as usize]))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_is_left_once_with_its_last_change_in_the_order_of_bytes() {
        let mut load = Load::default();
        let changes: [(&[u8], Option<&[u8]>); 9] = [
            (b"a\0", Some(b"1")),
            (b"", Some(b"empty")),
            (b"a", Some(b"old")),
            (b"\xff", Some(b"")),
            (b"same first bytes 2", Some(b"2")),
            (b"a", None),
            (b"same first bytes 1", None),
            (b"a\0", Some(b"3")),
            (b"same first bytes 1", Some(b"1")),
        ];
        changes.iter().for_each(|(key, value)| load.push(key, *value));
        load.sort();
        let sorted: Vec<_> = load.changes().collect();
        let expected: [(&[u8], Option<&[u8]>); 6] = [
            (b"", Some(b"empty")),
            (b"a", None),
            (b"a\0", Some(b"3")),
            (b"same first bytes 1", Some(b"1")),
            (b"same first bytes 2", Some(b"2")),
            (b"\xff", Some(b"")),
        ];
        assert_eq!(sorted, expected);
        load.clear();
        assert!(load.changes().next().is_none());
    }
}
