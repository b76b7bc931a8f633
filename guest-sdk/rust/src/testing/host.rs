//! The stand-in for the host: one for each thread, so for each test.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use crate::columns::OwnedColumns;
use crate::context::{Metadata, PunctuationType};
use crate::host::{Entries, Stored, Values, end_at, start_at, timestamp_at};
use crate::log::Level;
use crate::record::{KEY_IS_OF_ROW, VALUE_IS_OF_ROW};
use crate::stdio::Stream;
use crate::store::Order;
use crate::{Batch, Timestamp};

/// How many entries a cursor returns at once; few, so that tests turn pages.
const PAGE_ENTRIES: usize = 3;

type Store = BTreeMap<Vec<u8>, (Vec<u8>, Timestamp)>;

struct Schedule {
    id: u32,
    kind: PunctuationType,
    interval: i64,
    due: Timestamp,
}

#[derive(Default)]
struct Host {
    children: Vec<String>,
    stores: BTreeMap<String, Store>,
    forwarded: Vec<(Option<u32>, OwnedColumns)>,
    schedules: Vec<Schedule>,
    next_id: u32,
    /// The batch that is being processed.
    input: OwnedColumns,
    /// The stream time at each record of the batch.
    stream_times: Vec<Timestamp>,
    stream_time: Timestamp,
    wall_clock_time: Timestamp,
    in_punctuation: bool,
    logged: Vec<String>,
    commits: usize,
    calls: usize,
}

thread_local! {
    static HOST: RefCell<Host> = RefCell::new(Host { stream_time: -1, ..Host::default() });
}

fn with<T>(call: impl FnOnce(&mut Host) -> T) -> T {
    HOST.with_borrow_mut(call)
}

/// A call from the guest.
fn called<T>(call: impl FnOnce(&mut Host) -> T) -> T {
    with(|host| {
        host.calls += 1;
        call(host)
    })
}

// === For the tests ===

pub(super) fn reset() {
    with(|host| *host = Host { stream_time: -1, ..Host::default() });
}

pub(super) fn add_store(name: &str) {
    with(|host| host.stores.insert(name.to_owned(), Store::new()));
}

pub(super) fn set_children(names: &[String]) {
    with(|host| host.children = names.to_vec());
}

pub(super) fn take_records(input: &OwnedColumns) {
    with(|host| {
        host.calls = 0;
        host.in_punctuation = false;
        host.input.clone_from(input);
        host.stream_times.clear();
        for timestamp in Batch::new(input).timestamps() {
            host.stream_time = host.stream_time.max(timestamp);
            host.stream_times.push(host.stream_time);
        }
    });
}

pub(super) fn begin_punctuation() {
    with(|host| host.in_punctuation = true);
}

pub(super) fn advance_wall_clock_time(by: i64) {
    with(|host| host.wall_clock_time += by);
}

/// The punctuations that are due, each once, and the time now; missed intervals are skipped.
pub(super) fn due(kind: PunctuationType) -> Vec<(u32, Timestamp)> {
    with(|host| {
        let now = host.now(kind);
        let mut due = Vec::new();
        for schedule in host.schedules.iter_mut().filter(|schedule| schedule.kind == kind) {
            if now >= 0 && schedule.due <= now {
                due.push((schedule.id, now));
                schedule.due += ((now - schedule.due) / schedule.interval + 1) * schedule.interval;
            }
        }
        due
    })
}

impl Host {
    fn now(&self, kind: PunctuationType) -> Timestamp {
        match kind {
            PunctuationType::StreamTime => self.stream_time,
            PunctuationType::WallClockTime => self.wall_clock_time,
        }
    }

    fn store(&mut self, name: &str) -> &mut Store {
        self.stores.get_mut(name).unwrap_or_else(|| panic!("there is no store `{name}`: add it by `with_store`"))
    }
}

pub(super) fn take_forwarded() -> Vec<(Option<u32>, OwnedColumns)> {
    with(|host| std::mem::take(&mut host.forwarded))
}

pub(super) fn stored(store: &str, key: &[u8]) -> Option<Vec<u8>> {
    with(|host| host.store(store).get(key).map(|(value, _)| value.clone()))
}

pub(super) fn put(store: &str, key: &[u8], value: &[u8]) {
    with(|host| host.store(store).insert(key.to_vec(), (value.to_vec(), 0)));
}

pub(super) fn calls() -> usize {
    with(|host| host.calls)
}

pub(super) fn logged() -> Vec<String> {
    with(|host| host.logged.clone())
}

pub(super) fn commits_requested() -> usize {
    with(|host| host.commits)
}

// === What the guest calls ===

pub(crate) fn forward(child: Option<u32>, columns: &OwnedColumns, rows: &[u8]) {
    called(|host| {
        assert!(rows.is_empty() || rows.len() == columns.len() * 4, "as many rows as records");
        let forwarded = with_what_is_of_rows(columns, rows, &host.input);
        host.forwarded.push((child, forwarded));
    });
}

/// What is forwarded, with the keys and values that are those of rows of the input.
fn with_what_is_of_rows(columns: &OwnedColumns, rows: &[u8], input: &OwnedColumns) -> OwnedColumns {
    let input: Vec<_> = Batch::new(input).records().map(|(_, record)| record).collect();
    let mut resolved = OwnedColumns::default();
    for (index, mut record) in Batch::new(columns) {
        let bits = columns.nulls.get(index as usize).copied().unwrap_or(0);
        let row = if rows.is_empty() { index } else { end_at(rows, index as usize) } as usize;
        if bits & KEY_IS_OF_ROW != 0 {
            record = input[row].key().map_or(record.with_null_key(), |key| record.with_key(key));
        }
        if bits & VALUE_IS_OF_ROW != 0 {
            record = input[row].value().map_or(record.with_null_value(), |value| record.with_value(value));
        }
        resolved.push(&record, 0);
    }
    resolved
}

pub(crate) fn child(name: &str) -> Option<u32> {
    called(|host| host.children.iter().position(|child| child == name).map(|index| index as u32))
}

pub(crate) fn schedule(start: Option<i64>, interval_ms: u64, kind: PunctuationType) -> Result<u32, String> {
    called(|host| {
        let interval = i64::try_from(interval_ms).ok().filter(|interval| *interval >= 1);
        let interval = interval.ok_or("the interval must be 1 ms or more")?;
        let now = host.now(kind);
        let due = match (start, kind) {
            (Some(start), _) if start < 0 => return Err("the start must not be negative".to_owned()),
            (Some(start), _) if start < now => start + ((now - start) / interval + 1) * interval,
            (Some(start), _) => start,
            (None, PunctuationType::StreamTime) => 0,
            (None, PunctuationType::WallClockTime) => now + interval,
        };
        let id = host.next_id;
        host.next_id += 1;
        host.schedules.push(Schedule { id, kind, interval, due });
        Ok(id)
    })
}

pub(crate) fn cancel(id: u32) {
    called(|host| host.schedules.retain(|schedule| schedule.id != id));
}

pub(crate) fn stream_time(row: u32) -> i64 {
    called(|host| {
        let at_row = host.stream_times.get(row as usize).filter(|_| !host.in_punctuation);
        at_row.copied().unwrap_or(host.stream_time)
    })
}

pub(crate) fn wall_clock_time() -> i64 {
    called(|host| host.wall_clock_time)
}

/// Records of a test come from partition 0 of a topic `test`, and each batch begins at offset 0.
pub(crate) fn metadata(row: u32) -> Option<Metadata> {
    called(|host| {
        if host.in_punctuation {
            return Some(Metadata { topic: String::new(), partition: -1, offset: -1 });
        }
        host.stream_times.get(row as usize)?;
        Some(Metadata { topic: "test".to_owned(), partition: 0, offset: i64::from(row) })
    })
}

pub(crate) fn commit() {
    called(|host| host.commits += 1);
}

pub(crate) fn log(level: Level, message: &str) {
    with(|host| host.logged.push(format!("{level:?}: {message}")));
}

pub(crate) fn print(stream: Stream, text: &str) {
    match stream {
        Stream::Output => std::print!("{text}"),
        Stream::Error => std::eprint!("{text}"),
    }
}

pub(crate) fn now() -> Duration {
    with(|host| Duration::from_millis(host.wall_clock_time.unsigned_abs()))
}

pub(crate) fn monotonic_time() -> Duration {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed()
}

/// An open store.
pub(crate) struct StoreHandle(String);

impl StoreHandle {
    pub(crate) fn open(name: &str) -> Result<Self, String> {
        called(|host| match host.stores.contains_key(name) {
            true => Ok(Self(name.to_owned())),
            false => Err(format!("there is no store `{name}`: add it by `with_store`")),
        })
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<Stored> {
        let found = called(|host| host.store(&self.0).get(key).cloned());
        found.map(|(value, timestamp)| Stored { value, timestamp })
    }

    pub(crate) fn get_many(&self, keys: &[u8], key_ends: &[u8]) -> Values {
        called(|host| {
            let store = host.store(&self.0);
            let mut found = Entries::default();
            for index in 0..key_ends.len() / 4 {
                let key = &keys[start_at(key_ends, index) as usize..end_at(key_ends, index) as usize];
                let entry = store.get(key);
                found.push(
                    b"",
                    entry.map(|(value, _)| value.as_slice()),
                    entry.map_or(-1, |(_, timestamp)| *timestamp),
                );
            }
            let Entries { values, value_ends, nulls, timestamps, .. } = found;
            Values { values, value_ends, nulls, timestamps }
        })
    }

    pub(crate) fn put_many(&self, entries: &Entries) {
        called(|host| {
            let store = host.store(&self.0);
            for index in 0..entries.len() {
                let span = |ends: &[u8]| start_at(ends, index) as usize..end_at(ends, index) as usize;
                let key = entries.keys[span(&entries.key_ends)].to_vec();
                if entries.nulls[index] != 0 {
                    store.remove(&key);
                } else {
                    let value = entries.values[span(&entries.value_ends)].to_vec();
                    store.insert(key, (value, timestamp_at(&entries.timestamps, index)));
                }
            }
        });
    }

    pub(crate) fn range(&self, lowest: Option<&[u8]>, highest: Option<&[u8]>, order: Order) -> CursorHandle {
        let (lowest, highest) = (lowest.map(<[u8]>::to_vec), highest.map(<[u8]>::to_vec));
        self.scan(order, |key| {
            lowest.as_deref().is_none_or(|lowest| lowest <= key)
                && highest.as_deref().is_none_or(|highest| key <= highest)
        })
    }

    pub(crate) fn prefix(&self, prefix: &[u8], order: Order) -> CursorHandle {
        self.scan(order, |key| key.starts_with(prefix))
    }

    fn scan(&self, order: Order, is_wanted: impl Fn(&[u8]) -> bool) -> CursorHandle {
        called(|host| {
            let entries = host.store(&self.0).range::<[u8], _>((Bound::Unbounded, Bound::Unbounded));
            let wanted = entries.filter(|(key, _)| is_wanted(key));
            let mut rest: Vec<_> = wanted.map(|(key, (value, time))| (key.clone(), value.clone(), *time)).collect();
            if order == Order::Ascending {
                rest.reverse();
            }
            CursorHandle(RefCell::new(rest))
        })
    }

    pub(crate) fn approximate_entries(&self) -> u64 {
        called(|host| host.store(&self.0).len() as u64)
    }
}

/// An open cursor: what it has not given yet, the next entry last.
pub(crate) struct CursorHandle(RefCell<Vec<Found>>);

/// Key, value and timestamp of an entry.
type Found = (Vec<u8>, Vec<u8>, Timestamp);

impl CursorHandle {
    pub(crate) fn next(&self) -> Entries {
        called(|_| {
            let mut page = Entries::default();
            let mut rest = self.0.borrow_mut();
            while page.len() < PAGE_ENTRIES
                && let Some((key, value, timestamp)) = rest.pop()
            {
                page.push(&key, Some(&value), timestamp);
            }
            page
        })
    }
}
