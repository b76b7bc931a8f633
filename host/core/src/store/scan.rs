//! Scans: pages of a store's entries in key order, buffer and committed state merged.
//!
//! A cursor holds no iterator open: each page seeks anew after the last key given, so that a scan pins nothing and sees
//! writes that were made after it began, beyond the place it has reached.

use std::ops::Bound;

use crate::error::Result;
use crate::limits;
use crate::port::{KeyBound, KeyRange, Page, TaskState};

use super::write_buffer::WriteBuffer;

/// The direction of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// By unsigned bytes of the key, ascending.
    Ascending,
    /// Descending.
    Descending,
}

/// Where a scan is.
#[derive(Clone, Debug)]
pub struct Cursor {
    pub(super) store: usize,
    range: KeyRange,
    order: Order,
    done: bool,
}

impl Cursor {
    /// A scan of `range`, both ends inclusive as in Kafka Streams.
    #[must_use]
    pub fn range(store: usize, from: Option<Vec<u8>>, to: Option<Vec<u8>>, order: Order) -> Self {
        Self { store, range: KeyRange { from, to: to.map(KeyBound::Included) }, order, done: false }
    }

    /// A scan of the keys that begin with `prefix`.
    #[must_use]
    pub fn prefix(store: usize, prefix: Vec<u8>, order: Order) -> Self {
        let to = after_prefix(&prefix).map(KeyBound::Excluded);
        Self { store, range: KeyRange { from: Some(prefix), to }, order, done: false }
    }

    /// Whether the last page has been given.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Appends the next entries to `page`, which stays empty when there are none left.
    pub(super) fn next_page(
        &mut self,
        buffer: &mut WriteBuffer,
        state: &dyn TaskState,
        entries_max: usize,
        page: &mut Page,
    ) -> Result<()> {
        let entries_max = entries_max.clamp(1, limits::PAGE_ENTRIES_MAX);
        while !self.done && page.is_empty() {
            let mut committed = Page::default();
            let descending = self.order == Order::Descending;
            let bytes_max = limits::PAGE_BYTES_MAX;
            state.scan(self.store, &self.range, descending, entries_max, bytes_max, &mut committed)?;
            let exhausted = committed.is_empty();
            self.merge(buffer, &committed, exhausted, entries_max, page);
        }
        Ok(())
    }

    /// Merges a page of the committed state with the buffer's entries. Unless the committed state is `exhausted`, the buffer
    /// may only be followed up to the page's last key: what the committed state has behind it is not known yet.
    fn merge(
        &mut self,
        buffer: &mut WriteBuffer,
        committed: &Page,
        exhausted: bool,
        entries_max: usize,
        page: &mut Page,
    ) {
        let dirty = buffer.ordered();
        let descending = self.order == Order::Descending;
        let mut next_committed = 0;
        loop {
            if page.len() >= entries_max || page.byte_len() >= limits::PAGE_BYTES_MAX {
                return;
            }
            let ours = dirty.next(self.start_bound(), descending).filter(|entry| self.contains(entry.key));
            let theirs = (next_committed < committed.len()).then(|| committed.entry(next_committed));
            if theirs.is_none() && !exhausted {
                return;
            }
            let buffered = match (&ours, &theirs) {
                (None, None) => {
                    self.done = true;
                    return;
                }
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (Some(ours), Some((key, _))) if descending => ours.key >= *key,
                (Some(ours), Some((key, _))) => ours.key <= *key,
            };
            if let (true, Some(entry)) = (buffered, ours) {
                if theirs.is_some_and(|(key, _)| key == entry.key) {
                    next_committed += 1;
                }
                if let Some(value) = entry.value {
                    page.push(entry.key, value);
                }
                let key = entry.key.to_vec();
                self.pass(key);
            } else if let Some((key, value)) = theirs {
                next_committed += 1;
                page.push(key, value);
                self.pass(key.to_vec());
            }
        }
    }

    /// Narrows the range to what lies behind `key`.
    fn pass(&mut self, mut key: Vec<u8>) {
        match self.order {
            Order::Ascending => {
                // The least key greater than this one.
                key.push(0);
                self.range.from = Some(key);
            }
            Order::Descending => self.range.to = Some(KeyBound::Excluded(key)),
        }
    }

    fn start_bound(&self) -> Bound<&[u8]> {
        match self.order {
            Order::Ascending => self.range.from.as_deref().map_or(Bound::Unbounded, Bound::Included),
            Order::Descending => match &self.range.to {
                None => Bound::Unbounded,
                Some(KeyBound::Included(key)) => Bound::Included(key),
                Some(KeyBound::Excluded(key)) => Bound::Excluded(key),
            },
        }
    }

    fn contains(&self, key: &[u8]) -> bool {
        let above = self.range.from.as_deref().is_none_or(|from| from <= key);
        let below = match &self.range.to {
            None => true,
            Some(KeyBound::Included(to)) => key <= to.as_slice(),
            Some(KeyBound::Excluded(to)) => key < to.as_slice(),
        };
        above && below
    }
}

/// The least key that is greater than every key with `prefix`; `None` when there is none.
fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let kept = prefix.iter().rposition(|byte| *byte != 0xff)?;
    let mut end = prefix[..=kept].to_vec();
    end[kept] += 1;
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_the_next_key_that_lacks_it() {
        assert_eq!(after_prefix(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(after_prefix(&[1, 0xff, 0xff]), Some(vec![2]));
        assert_eq!(after_prefix(&[0xff]), None);
        assert_eq!(after_prefix(b""), None);
    }
}
