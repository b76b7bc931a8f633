//! What every [`TaskState`] must do: the same cases for the one in memory and the one on disk.

use std::collections::BTreeMap;

use crate::id::Offset;
use crate::port::{KeyBound, KeyRange, Page, StateChange, StateStoreSpec, TaskState};

/// Makes an empty state with these stores.
pub type Open<'a> = dyn FnMut(&[StateStoreSpec]) -> Box<dyn TaskState> + 'a;

/// A change: the store, the key, and the new value if it is not a deletion.
pub type Change<'a> = (usize, &'a [u8], Option<&'a [u8]>);

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// The stores of the cases; their names are those that an implementation may have taken for itself.
const STORES: [(&str, bool); 4] = [("offsets", true), ("in-memory", false), ("default", true), ("counts-store", true)];

const EVERYTHING: KeyRange = KeyRange { from: None, to: None };

/// Runs all cases, each on a new state.
///
/// # Panics
///
/// When a case fails.
pub fn check(open: &mut Open<'_>) {
    for case in [
        a_missing_key_is_not_found,
        many_keys_are_read_at_once,
        a_value_is_appended_and_may_be_empty,
        the_last_change_of_a_key_counts,
        stores_are_separate,
        keys_are_ordered_by_unsigned_bytes,
        ranges_end_where_they_say,
        inverted_ranges_are_empty,
        pages_end_at_their_limits_and_continue,
        offsets_move_with_the_stores_that_are_named,
        entries_are_roughly_counted,
        large_batches_and_values_are_kept,
        many_changes_of_one_store_lie_over_what_was_there,
        flush_changes_nothing,
        restores_are_there_after_a_flush_over_what_was_there,
        random_changes_equal_a_map,
    ] {
        case(&mut *open_stores(open));
    }
}

fn open_stores(open: &mut Open<'_>) -> Box<dyn TaskState> {
    let specs = STORES.map(|(name, persistent)| StateStoreSpec { name: name.into(), persistent });
    open(&specs)
}

/// Applies changes given in any order, as the core does it: sorted by store, then key.
///
/// # Panics
///
/// When they can't be applied.
pub fn apply(state: &mut dyn TaskState, changes: &[Change<'_>], offsets: &[(usize, i64)]) {
    let mut changes = changes.to_vec();
    changes.sort_unstable();
    let offsets: Vec<_> = offsets.iter().map(|(store, offset)| (*store, Offset(*offset))).collect();
    let mut changes = changes.into_iter().map(|(store, key, value)| StateChange { store, key, value });
    state.apply(&mut changes, &offsets).expect("changes are applied");
}

/// Applies changes of `store`, which ascend by key, by themselves.
///
/// # Panics
///
/// When they can't be applied.
pub fn apply_many(state: &mut dyn TaskState, store: usize, changes: &[(&[u8], Option<&[u8]>)], next: i64) {
    let mut changes = changes.iter().map(|(key, value)| StateChange { store, key, value: *value });
    state.apply_many(store, &mut changes, Offset(next)).expect("changes are applied");
}

/// All entries of a store.
///
/// # Panics
///
/// When they can't be read.
#[must_use]
pub fn entries(state: &dyn TaskState, store: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
    scan(state, store, &EVERYTHING, false)
}

fn scan(state: &dyn TaskState, store: usize, range: &KeyRange, descending: bool) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut page = Page::default();
    state.scan(store, range, descending, usize::MAX, usize::MAX, &mut page).expect("the range is read");
    (0..page.len()).map(|index| page.entry(index)).map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
}

fn get(state: &dyn TaskState, store: usize, key: &[u8]) -> Option<Vec<u8>> {
    let mut value = Vec::new();
    state.get(store, key, &mut value).expect("the key is read").then_some(value)
}

fn every_store() -> std::ops::Range<usize> {
    0..STORES.len()
}

fn a_missing_key_is_not_found(state: &mut dyn TaskState) {
    for store in every_store() {
        let mut value = b"before".to_vec();
        assert!(!state.get(store, b"key", &mut value).expect("the key is read"));
        assert_eq!(value, b"before");
        assert_eq!(entries(state, store), []);
        apply(state, &[(store, b"key", None)], &[]);
        assert_eq!(get(state, store, b"key"), None);
    }
}

fn a_value_is_appended_and_may_be_empty(state: &mut dyn TaskState) {
    for store in every_store() {
        apply(state, &[(store, b"", Some(b"of the empty key")), (store, b"empty", Some(b""))], &[]);
        let mut value = b"before, ".to_vec();
        assert!(state.get(store, b"", &mut value).expect("the key is read"));
        assert!(state.get(store, b"empty", &mut value).expect("the key is read"));
        assert_eq!(value, b"before, of the empty key");
    }
}

fn the_last_change_of_a_key_counts(state: &mut dyn TaskState) {
    for store in every_store() {
        apply(state, &[(store, b"a", Some(b"1")), (store, b"b", Some(b"1"))], &[]);
        apply(state, &[(store, b"a", Some(b"longer than before")), (store, b"b", None)], &[]);
        assert_eq!(get(state, store, b"a").as_deref(), Some(&b"longer than before"[..]));
        assert_eq!(get(state, store, b"b"), None);
        apply(state, &[(store, b"a", None), (store, b"b", Some(b"again"))], &[]);
        assert_eq!(entries(state, store), [(b"b".to_vec(), b"again".to_vec())]);
    }
}

fn many_keys_are_read_at_once(state: &mut dyn TaskState) {
    put_keys(state);
    for store in every_store() {
        apply(state, &[(store, b"aa", None), (store, b"b", Some(b""))], &[]);
        let asked: [&[u8]; 6] = [b"", b"a", b"aa", b"b", b"c", b"\xff\xff"];
        let mut found = Vec::new();
        let read = state.get_many(store, &asked, &mut |index, value| found.push((index, value.map(<[u8]>::to_vec))));
        read.expect("the keys are read");
        found.sort();
        let expected: [Option<&[u8]>; 6] = [Some(b""), Some(b"a"), None, Some(b""), None, Some(b"\xff\xff")];
        let expected: Vec<_> = expected.into_iter().map(|value| value.map(<[u8]>::to_vec)).enumerate().collect();
        assert_eq!(found, expected, "store {store}");
        state.get_many(store, &[], &mut |_, _| panic!("nothing was asked")).expect("nothing is read");
    }
}

fn stores_are_separate(state: &mut dyn TaskState) {
    let values: Vec<_> = every_store().map(|store| vec![store as u8; 3]).collect();
    let changes: Vec<_> = every_store().map(|store| (store, &b"key"[..], Some(values[store].as_slice()))).collect();
    apply(state, &changes, &[]);
    for store in every_store() {
        assert_eq!(entries(state, store), [(b"key".to_vec(), values[store].clone())]);
    }
    apply(state, &[(2, b"key", None)], &[]);
    assert_eq!(every_store().map(|store| entries(state, store).len()).collect::<Vec<_>>(), [1, 1, 0, 1]);
}

/// Keys at the places where orders differ: signed bytes, keys that begin with another, the largest byte.
const KEYS: [&[u8]; 10] = [b"", b"\0", b"a", b"a\0", b"a\0\0", b"aa", b"b", b"\x7f", b"\x80", b"\xff\xff"];

fn put_keys(state: &mut dyn TaskState) {
    let changes: Vec<_> =
        every_store().flat_map(|store| KEYS.iter().rev().map(move |key| (store, *key, Some(*key)))).collect();
    apply(state, &changes, &[]);
}

fn keys_are_ordered_by_unsigned_bytes(state: &mut dyn TaskState) {
    put_keys(state);
    for store in every_store() {
        let mut keys: Vec<_> = entries(state, store).into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, KEYS);
        keys.reverse();
        let descending: Vec<_> = scan(state, store, &EVERYTHING, true).into_iter().map(|(key, _)| key).collect();
        assert_eq!(descending, keys);
    }
}

fn ranges_end_where_they_say(state: &mut dyn TaskState) {
    put_keys(state);
    let ends: Vec<_> = KEYS.into_iter().chain([&b"aaa"[..], b"c", b"\xff\xff\xff"]).collect();
    let mut bounds = vec![None];
    bounds.extend(ends.iter().map(|key| Some(KeyBound::Included(key.to_vec()))));
    bounds.extend(ends.iter().map(|key| Some(KeyBound::Excluded(key.to_vec()))));
    for from in std::iter::once(None).chain(ends.iter().map(|key| Some(key.to_vec()))) {
        for to in &bounds {
            let range = KeyRange { from: from.clone(), to: to.clone() };
            let expected: Vec<_> = KEYS.iter().filter(|key| contains(&range, key)).map(|key| key.to_vec()).collect();
            for store in every_store() {
                let mut keys: Vec<_> = scan(state, store, &range, false).into_iter().map(|(key, _)| key).collect();
                assert_eq!(keys, expected, "{range:?}");
                keys.reverse();
                let descending: Vec<_> = scan(state, store, &range, true).into_iter().map(|(key, _)| key).collect();
                assert_eq!(descending, keys, "{range:?} descending");
            }
        }
    }
}

fn contains(range: &KeyRange, key: &[u8]) -> bool {
    let after_start = range.from.as_deref().is_none_or(|from| from <= key);
    let before_end = match &range.to {
        None => true,
        Some(KeyBound::Included(to)) => key <= to.as_slice(),
        Some(KeyBound::Excluded(to)) => key < to.as_slice(),
    };
    after_start && before_end
}

fn inverted_ranges_are_empty(state: &mut dyn TaskState) {
    put_keys(state);
    let range = |from: &[u8], to| KeyRange { from: Some(from.to_vec()), to: Some(to) };
    for inverted in [
        range(b"b", KeyBound::Included(b"a".to_vec())),
        range(b"b", KeyBound::Excluded(b"a".to_vec())),
        range(b"a", KeyBound::Excluded(b"a".to_vec())),
        range(b"", KeyBound::Excluded(Vec::new())),
        KeyRange { from: None, to: Some(KeyBound::Excluded(Vec::new())) },
    ] {
        for store in every_store() {
            assert_eq!(scan(state, store, &inverted, false), [], "{inverted:?}");
            assert_eq!(scan(state, store, &inverted, true), [], "{inverted:?} descending");
        }
    }
}

fn pages_end_at_their_limits_and_continue(state: &mut dyn TaskState) {
    for store in every_store() {
        let keys: Vec<_> = (0..100_u8).map(|number| [number]).collect();
        let changes: Vec<_> = keys.iter().map(|key| (store, &key[..], Some(&b"123"[..]))).collect();
        apply(state, &changes, &[]);

        let mut page = Page::default();
        page.push(b"before", b"");
        let read = |page: &mut Page, entries_max, bytes_max| {
            state.scan(store, &EVERYTHING, false, entries_max, bytes_max, page).expect("the range is read");
            page.len()
        };
        assert_eq!(read(&mut page, 1, usize::MAX), 1, "the page is full already");
        assert_eq!(read(&mut page, 4, usize::MAX), 4);
        assert_eq!(page.entry(3), (&[2_u8][..], &b"123"[..]));
        page.clear();
        assert_eq!(read(&mut page, usize::MAX, 9), 3, "8 bytes are less than 9, 12 are not");
        page.clear();
        assert_eq!(read(&mut page, usize::MAX, 1), 1, "a page makes progress");

        let mut range = EVERYTHING;
        let mut seen = Vec::new();
        loop {
            page.clear();
            state.scan(store, &range, false, 7, usize::MAX, &mut page).expect("the range is read");
            seen.extend((0..page.len()).map(|index| page.entry(index).0[0]));
            let Some(last) = seen.last().filter(|_| !page.is_empty()) else { break };
            range.from = Some(vec![*last, 0]);
        }
        assert_eq!(seen, (0..100).collect::<Vec<_>>());
    }
}

fn offsets_move_with_the_stores_that_are_named(state: &mut dyn TaskState) {
    let offsets = |state: &dyn TaskState| -> Vec<_> {
        [0, 2, 3].map(|store| state.changelog_offset(store).expect("the offset is read").map(|offset| offset.0)).into()
    };
    assert_eq!(offsets(state), [None, None, None]);
    apply(state, &[(0, b"a", Some(b"1"))], &[(0, 7), (1, 3), (2, 0)]);
    assert_eq!(offsets(state), [Some(7), Some(0), None]);
    apply(state, &[(2, b"a", Some(b"1"))], &[]);
    assert_eq!(offsets(state), [Some(7), Some(0), None]);
    apply(state, &[], &[(0, 8), (3, i64::MAX)]);
    assert_eq!(offsets(state), [Some(8), Some(0), Some(i64::MAX)]);
    apply(state, &[], &[]);
    assert_eq!(offsets(state), [Some(8), Some(0), Some(i64::MAX)]);
    assert_eq!(entries(state, 0).len(), 1, "an offset is no entry");
}

fn entries_are_roughly_counted(state: &mut dyn TaskState) {
    let keys: Vec<_> = (0..1000_u32).map(u32::to_be_bytes).collect();
    for store in every_store() {
        assert_eq!(state.approximate_entries(store), 0);
        let changes: Vec<_> = keys.iter().map(|key| (store, &key[..], Some(&b"value"[..]))).collect();
        apply(state, &changes, &[]);
        let count = state.approximate_entries(store);
        assert!((500..2000).contains(&count), "{count}");
    }
}

fn large_batches_and_values_are_kept(state: &mut dyn TaskState) {
    let large = vec![7_u8; 1 << 20];
    let keys: Vec<_> = (0..20_000_u32).map(u32::to_be_bytes).collect();
    let mut changes: Vec<_> =
        keys.iter().flat_map(|key| every_store().map(|store| (store, &key[..], Some(&key[..])))).collect();
    changes.extend(every_store().map(|store| (store, &b"large"[..], Some(large.as_slice()))));
    apply(state, &changes, &[(3, 20_001)]);
    for store in every_store() {
        assert_eq!(entries(state, store).len(), 20_001);
        assert_eq!(get(state, store, b"large").as_deref(), Some(large.as_slice()));
        assert_eq!(get(state, store, &keys[12_345]).as_deref(), Some(&keys[12_345][..]));
    }
}

fn many_changes_of_one_store_lie_over_what_was_there(state: &mut dyn TaskState) {
    for store in 0..STORES.len() {
        apply(state, &[(store, b"a", Some(b"1")), (store, b"b", Some(b"1")), (store, b"c", Some(b"1"))], &[(store, 3)]);
        apply_many(state, store, &[(b"b", Some(b"2")), (b"c", None), (b"d", Some(b""))], 6);
        assert_eq!(state.changelog_offset(store).expect("offsets are read"), Some(Offset(6)));
        let expected: [(&[u8], &[u8]); 3] = [(b"a", b"1"), (b"b", b"2"), (b"d", b"")];
        assert_eq!(entries(state, store), expected.map(|(key, value)| (key.to_vec(), value.to_vec())));
        apply(state, &[(store, b"b", Some(b"3")), (store, b"d", None)], &[(store, 8)]);
        apply_many(state, store, &[(b"a", None)], 9);
        assert_eq!(entries(state, store), [(b"b".to_vec(), b"3".to_vec())]);
        assert_eq!(state.changelog_offset(store).expect("offsets are read"), Some(Offset(9)));
    }
}

fn flush_changes_nothing(state: &mut dyn TaskState) {
    put_keys(state);
    apply(state, &[(0, b"gone", Some(b"1"))], &[(0, 5)]);
    apply(state, &[(0, b"gone", None)], &[(0, 6)]);
    let before: Vec<_> = every_store().map(|store| entries(state, store)).collect();
    state.flush().expect("the state is flushed");
    state.flush().expect("there is nothing to flush");
    assert_eq!(every_store().map(|store| entries(state, store)).collect::<Vec<_>>(), before);
    assert_eq!(get(state, 0, b"gone"), None);
    assert_eq!(state.changelog_offset(0).expect("the offset is read"), Some(Offset(6)));
}

fn restores_are_there_after_a_flush_over_what_was_there(state: &mut dyn TaskState) {
    let mut numbers = Numbers(0x2545_f491_4f6c_dd1d);
    let mut maps = vec![Map::new(); STORES.len()];
    apply(state, &[(0, b"kept", Some(b"1")), (3, b"overwritten", Some(b"2")), (3, b"deleted", Some(b"3"))], &[(3, 1)]);
    maps[0].insert(b"kept".to_vec(), b"1".to_vec());
    // A few records, then megabytes: what is small may go another way than what is large.
    let mut next = 1;
    for (store, count) in [(3, 10), (0, 5), (3, 60_000), (1, 1_000), (3, 3), (0, 0), (3, 20_000)] {
        let mut changes = vec![(b"overwritten".to_vec(), Some(b"again".to_vec())), (b"deleted".to_vec(), None)];
        for _ in 0..count {
            let key = format!("key-{}", numbers.below(30_000)).into_bytes();
            let value = (numbers.below(5) > 0).then(|| vec![numbers.below(256) as u8; numbers.below(100) as usize]);
            changes.push((key, value));
        }
        for (key, value) in &changes {
            match value {
                Some(value) => maps[store].insert(key.clone(), value.clone()),
                None => maps[store].remove(key),
            };
        }
        for batch in changes.chunks(7_000) {
            next += batch.len() as i64;
            let mut changes = batch.iter().map(|(key, value)| StateChange { store, key, value: value.as_deref() });
            state.restore(store, &mut changes, Offset(next)).expect("it is restored");
            // Whoever begins to restore again goes on here.
            assert_eq!(state.changelog_offset(store).expect("the offset is read"), Some(Offset(next)));
        }
        let noted = (store, next);
        if numbers.below(2) == 0 {
            state.flush().expect("the state is flushed");
            assert_eq!(state.changelog_offset(noted.0).expect("the offset is read"), Some(Offset(noted.1)));
        }
    }
    state.flush().expect("the state is flushed");
    assert_eq!(state.changelog_offset(3).expect("the offset is read"), Some(Offset(next)));
    for store in every_store() {
        assert_eq!(entries(state, store), Vec::from_iter(maps[store].clone()), "{}", STORES[store].0);
    }
}

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

fn random_changes_equal_a_map(state: &mut dyn TaskState) {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut maps = vec![Map::new(); STORES.len()];
    for round in 0..200 {
        let mut batch: BTreeMap<(usize, Vec<u8>), Option<Vec<u8>>> = BTreeMap::new();
        for _ in 0..numbers.below(60) {
            let store = numbers.below(STORES.len() as u64) as usize;
            let key = random_key(&mut numbers);
            let value = (numbers.below(3) > 0).then(|| vec![numbers.below(256) as u8; numbers.below(20) as usize]);
            batch.insert((store, key), value);
        }
        let changes: Vec<_> =
            batch.iter().map(|((store, key), value)| (*store, key.as_slice(), value.as_deref())).collect();
        apply(state, &changes, &[(0, round)]);
        for ((store, key), value) in batch {
            match value {
                Some(value) => maps[store].insert(key, value),
                None => maps[store].remove(&key),
            };
        }
        if numbers.below(10) == 0 {
            state.flush().expect("the state is flushed");
        }
        compare(state, &maps, &mut numbers);
    }
}

fn random_key(numbers: &mut Numbers) -> Vec<u8> {
    let length = numbers.below(4);
    (0..length).map(|_| [0, 1, 0x7f, 0x80, 0xff][numbers.below(5) as usize]).collect()
}

fn compare(state: &dyn TaskState, maps: &[Map], numbers: &mut Numbers) {
    for (store, map) in maps.iter().enumerate() {
        let key = random_key(numbers);
        assert_eq!(get(state, store, &key).as_ref(), map.get(&key), "store {store}, key {key:?}");
        let to = [KeyBound::Included, KeyBound::Excluded][numbers.below(2) as usize](random_key(numbers));
        let range = KeyRange { from: Some(key), to: Some(to) };
        let expected: Vec<_> = map.iter().filter(|(key, _)| contains(&range, key)).collect();
        let found = scan(state, store, &range, false);
        assert_eq!(found.iter().map(|(key, value)| (key, value)).collect::<Vec<_>>(), expected, "{range:?}");
    }
}

#[cfg(test)]
mod tests {
    use crate::store::InMemoryTaskState;

    #[test]
    fn the_state_in_memory_passes() {
        super::check(&mut |stores| Box::new(InMemoryTaskState::new(stores.len())));
    }
}
