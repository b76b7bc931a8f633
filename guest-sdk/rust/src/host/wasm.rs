//! The imports of the contract and, for what it leaves to WASI, those of WASI.

use std::time::Duration;

use super::{Entries, Stored, Values};
use crate::bindings::processor::millstream::processor::{context, log as log_import, state, types};
use crate::bindings::wasi::wasi::cli::{stderr, stdout};
use crate::bindings::wasi::wasi::clocks::{monotonic_clock, wall_clock};
use crate::columns::OwnedColumns;
use crate::context::{Metadata, PunctuationType};
use crate::log::Level;
use crate::stdio::Stream;
use crate::store::Order;

/// WASI takes no more bytes at once.
const PRINT_BYTES_MAX: usize = 4096;

pub(crate) fn forward(child: Option<u32>, columns: &OwnedColumns, rows: &[u8]) {
    let batch = types::BatchParam {
        keys: &columns.keys,
        key_ends: &columns.key_ends,
        values: &columns.values,
        value_ends: &columns.value_ends,
        timestamps: &columns.timestamps,
        nulls: &columns.nulls,
        headers: &columns.headers,
    };
    match child {
        None => context::forward(batch, rows),
        Some(child) => context::forward_to(child, batch, rows),
    }
}

pub(crate) fn child(name: &str) -> Option<u32> {
    context::child(name)
}

pub(crate) fn schedule(start: Option<i64>, interval_ms: u64, kind: PunctuationType) -> Result<u32, String> {
    let kind = match kind {
        PunctuationType::StreamTime => types::PunctuationType::StreamTime,
        PunctuationType::WallClockTime => types::PunctuationType::WallClockTime,
    };
    match start {
        None => context::schedule(interval_ms, kind),
        Some(start) => context::schedule_at(start, interval_ms, kind),
    }
}

pub(crate) fn cancel(id: u32) {
    context::cancel(id);
}

pub(crate) fn stream_time(row: u32) -> i64 {
    context::stream_time(row)
}

pub(crate) fn wall_clock_time() -> i64 {
    context::wall_clock_time()
}

pub(crate) fn metadata(row: u32) -> Option<Metadata> {
    let found = context::metadata(row)?;
    Some(Metadata { topic: found.topic, partition: found.partition, offset: found.offset })
}

pub(crate) fn commit() {
    context::commit();
}

pub(crate) fn log(level: Level, message: &str) {
    let level = match level {
        Level::Trace => log_import::Level::Trace,
        Level::Debug => log_import::Level::Debug,
        Level::Info => log_import::Level::Info,
        Level::Warn => log_import::Level::Warn,
        Level::Error => log_import::Level::Error,
    };
    log_import::log(level, message);
}

pub(crate) fn print(stream: Stream, text: &str) {
    let stream = match stream {
        Stream::Output => stdout::get_stdout(),
        Stream::Error => stderr::get_stderr(),
    };
    for bytes in text.as_bytes().chunks(PRINT_BYTES_MAX) {
        if stream.blocking_write_and_flush(bytes).is_err() {
            return;
        }
    }
}

/// The wall-clock time since the epoch. By WASI, because predicates and key selectors have no context.
pub(crate) fn now() -> Duration {
    let now = wall_clock::now();
    Duration::new(now.seconds, now.nanoseconds)
}

pub(crate) fn monotonic_time() -> Duration {
    Duration::from_nanos(monotonic_clock::now())
}

/// An open store.
pub(crate) struct StoreHandle(state::KeyValueStore);

impl StoreHandle {
    pub(crate) fn open(name: &str) -> Result<Self, String> {
        state::KeyValueStore::open(name).map(Self).map_err(|error| match error {
            state::Error::NoSuchStore => format!("there is no store `{name}`: declare it in the manifest"),
            state::Error::NotGranted => format!("store `{name}` isn't among the `stores` of this node: add it there"),
            state::Error::Other(reason) => format!("store `{name}` can't be opened: {reason}"),
        })
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<Stored> {
        self.0.get(key).map(|stored| Stored { value: stored.value, timestamp: stored.timestamp })
    }

    pub(crate) fn get_many(&self, keys: &[u8], key_ends: &[u8]) -> Values {
        let found = self.0.get_many(state::Keys { keys, key_ends });
        Values { values: found.values, value_ends: found.value_ends, nulls: found.nulls, timestamps: found.timestamps }
    }

    pub(crate) fn put_many(&self, entries: &Entries) {
        self.0.put_many(state::EntriesParam {
            keys: &entries.keys,
            key_ends: &entries.key_ends,
            values: &entries.values,
            value_ends: &entries.value_ends,
            nulls: &entries.nulls,
            timestamps: &entries.timestamps,
        });
    }

    pub(crate) fn range(&self, lowest: Option<&[u8]>, highest: Option<&[u8]>, order: Order) -> CursorHandle {
        CursorHandle(self.0.range(lowest, highest, import_order(order)))
    }

    pub(crate) fn prefix(&self, prefix: &[u8], order: Order) -> CursorHandle {
        CursorHandle(self.0.prefix(prefix, import_order(order)))
    }

    pub(crate) fn approximate_entries(&self) -> u64 {
        self.0.approximate_entries()
    }
}

fn import_order(order: Order) -> state::Order {
    match order {
        Order::Ascending => state::Order::Ascending,
        Order::Descending => state::Order::Descending,
    }
}

/// An open cursor.
pub(crate) struct CursorHandle(state::Cursor);

impl CursorHandle {
    pub(crate) fn next(&self) -> Entries {
        let page = self.0.next(0);
        Entries {
            keys: page.keys,
            key_ends: page.key_ends,
            values: page.values,
            value_ends: page.value_ends,
            nulls: page.nulls,
            timestamps: page.timestamps,
        }
    }
}
