//! `state.wit`: the stores that a processor was granted.

use millstream_core::context::{Phase, TaskContext};
use millstream_core::limits::{PAGE_BYTES_MAX, PAGE_ENTRIES_MAX};
use millstream_core::port::Page;
use millstream_core::store;
use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, LinkerInstance, Lower, Resource, ResourceType, WasmList, WasmStr};

use super::names::Names;
use super::{HostState, check_not_closing, no_context};
use crate::failure::HostRefusal;
use crate::limits::CURSORS_MAX;

/// The guest's handle of a store; its number is the store's index in the task.
enum KeyValueStore {}
/// The guest's handle of a cursor; its number is given once only.
enum CursorHandle {}

type Store<'a> = StoreContextMut<'a, HostState>;

#[derive(ComponentType, Lower)]
#[component(variant)]
enum OpenError {
    #[component(name = "no-such-store")]
    NoSuchStore,
    #[component(name = "not-granted")]
    NotGranted,
    #[component(name = "other")]
    Other(String),
}

#[derive(ComponentType, Lower)]
#[component(record)]
struct Stored {
    value: Vec<u8>,
    timestamp: i64,
}

#[derive(ComponentType, Lift)]
#[component(record)]
struct Keys {
    keys: WasmList<u8>,
    #[component(name = "key-ends")]
    key_ends: WasmList<u8>,
}

#[derive(ComponentType, Lower, Default)]
#[component(record)]
struct Values {
    values: Vec<u8>,
    #[component(name = "value-ends")]
    value_ends: Vec<u8>,
    nulls: Vec<u8>,
    timestamps: Vec<u8>,
}

#[derive(ComponentType, Lift)]
#[component(record)]
struct Entries {
    keys: WasmList<u8>,
    #[component(name = "key-ends")]
    key_ends: WasmList<u8>,
    values: WasmList<u8>,
    #[component(name = "value-ends")]
    value_ends: WasmList<u8>,
    nulls: WasmList<u8>,
    timestamps: WasmList<u8>,
}

#[derive(ComponentType, Lower, Default)]
#[component(record)]
struct PageOfEntries {
    keys: Vec<u8>,
    #[component(name = "key-ends")]
    key_ends: Vec<u8>,
    values: Vec<u8>,
    #[component(name = "value-ends")]
    value_ends: Vec<u8>,
    nulls: Vec<u8>,
    timestamps: Vec<u8>,
}

#[derive(Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "guests make the values")]
enum Order {
    #[component(name = "ascending")]
    Ascending,
    #[component(name = "descending")]
    Descending,
}

impl From<Order> for store::Order {
    fn from(order: Order) -> Self {
        match order {
            Order::Ascending => Self::Ascending,
            Order::Descending => Self::Descending,
        }
    }
}

/// Which stores an instance may open, and the cursors of the call.
pub(crate) struct State {
    /// The stores that it was granted.
    pub(crate) names: Names,
    cursors: Vec<(u32, store::Cursor)>,
    last_cursor: u32,
}

impl State {
    pub(super) fn new(names: Names) -> Self {
        Self { names, cursors: Vec::new(), last_cursor: 0 }
    }

    /// Closes the cursors that the call has left open.
    pub(crate) fn end_call(&mut self) {
        self.cursors.clear();
    }

    fn open_cursor(&mut self, cursor: store::Cursor) -> wasmtime::Result<(Resource<CursorHandle>,)> {
        if self.cursors.len() >= CURSORS_MAX {
            let reason = format!("{CURSORS_MAX} cursors are open already: drop each when its end is reached");
            return Err(HostRefusal::limit(reason));
        }
        self.last_cursor += 1;
        self.cursors.push((self.last_cursor, cursor));
        Ok((Resource::new_own(self.last_cursor),))
    }
}

pub(super) fn add_to_linker(interface: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    interface.resource("key-value-store", ResourceType::host::<KeyValueStore>(), |_, _| Ok(()))?;
    interface.resource("cursor", ResourceType::host::<CursorHandle>(), |mut store, id| {
        store.data_mut().state.cursors.retain(|(cursor, _)| *cursor != id);
        Ok(())
    })?;
    interface.func_wrap("[static]key-value-store.open", |mut store: Store<'_>, (name,): (WasmStr,)| {
        let name = name.to_str(&store)?.into_owned();
        open(store.data_mut(), &name)
    })?;
    add_single(interface)?;
    add_many(interface)?;
    add_scans(interface)
}

fn open(state: &mut HostState, name: &str) -> wasmtime::Result<(Result<Resource<KeyValueStore>, OpenError>,)> {
    let (context, state) = state.context_and_state()?;
    let opened = if context.phase() != Phase::Init {
        Err(OpenError::Other("stores are opened in `init`".to_owned()))
    } else if state.names.index_of(name).is_none() {
        Err(if context.stores.index_of(name).is_some() { OpenError::NotGranted } else { OpenError::NoSuchStore })
    } else {
        let index = context.stores.index_of(name).map(|index| Resource::new_own(index as u32));
        index.ok_or_else(|| OpenError::Other("it is no key-value store of this task".to_owned()))
    };
    if context.phase() == Phase::Init {
        state.names.note(name, opened.is_ok());
    }
    Ok((opened,))
}

/// The functions for one entry.
fn add_single(interface: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    type Handle = Resource<KeyValueStore>;
    interface.func_wrap("[method]key-value-store.get", |store: Store<'_>, (handle, key): (Handle, WasmList<u8>)| {
        with_context(store, |store, context| Ok((get(context, &handle, key.as_le_slice(store))?,)))
    })?;
    interface.func_wrap(
        "[method]key-value-store.put",
        |store: Store<'_>, (handle, key, value, timestamp): (Handle, WasmList<u8>, Option<WasmList<u8>>, i64)| {
            with_context(store, |store, context| {
                let value = value.as_ref().map(|value| value.as_le_slice(store));
                put(context, &handle, key.as_le_slice(store), value, timestamp)
            })
        },
    )?;
    interface.func_wrap(
        "[method]key-value-store.delete",
        |store: Store<'_>, (handle, key, timestamp): (Handle, WasmList<u8>, i64)| {
            with_context(store, |store, context| {
                let key = key.as_le_slice(store);
                let found = get(context, &handle, key)?;
                if found.is_some() {
                    put(context, &handle, key, None, timestamp)?;
                }
                Ok((found,))
            })
        },
    )?;
    interface.func_wrap(
        "[method]key-value-store.put-if-absent",
        |store: Store<'_>, (handle, key, value, timestamp): (Handle, WasmList<u8>, WasmList<u8>, i64)| {
            with_context(store, |store, context| {
                let key = key.as_le_slice(store);
                let found = get(context, &handle, key)?;
                if found.is_none() {
                    put(context, &handle, key, Some(value.as_le_slice(store)), timestamp)?;
                }
                Ok((found,))
            })
        },
    )
}

/// The functions for many entries.
fn add_many(interface: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    type Handle = Resource<KeyValueStore>;
    interface.func_wrap("[method]key-value-store.get-many", |store: Store<'_>, (handle, keys): (Handle, Keys)| {
        with_context(store, |store, context| {
            Ok((get_many(context, &handle, keys.keys.as_le_slice(store), keys.key_ends.as_le_slice(store))?,))
        })
    })?;
    interface.func_wrap("[method]key-value-store.put-many", |store: Store<'_>, (handle, entries): (Handle, Entries)| {
        with_context(store, |store, context| put_many(store, context, &handle, &entries))
    })
}

/// The functions for ranges.
fn add_scans(interface: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    type Handle = Resource<KeyValueStore>;
    type Bound = Option<WasmList<u8>>;
    interface.func_wrap(
        "[method]key-value-store.range",
        |mut store: Store<'_>, (handle, lowest, highest, order): (Handle, Bound, Bound, Order)| {
            let bound = |bound: Bound| bound.map(|bound| bound.as_le_slice(&store).to_vec());
            let (lowest, highest) = (bound(lowest), bound(highest));
            let (_, state) = store.data_mut().context_and_state()?;
            state.open_cursor(store::Cursor::range(handle.rep() as usize, lowest, highest, order.into()))
        },
    )?;
    interface.func_wrap(
        "[method]key-value-store.prefix",
        |mut store: Store<'_>, (handle, prefix, order): (Handle, WasmList<u8>, Order)| {
            let prefix = prefix.as_le_slice(&store).to_vec();
            let (_, state) = store.data_mut().context_and_state()?;
            state.open_cursor(store::Cursor::prefix(handle.rep() as usize, prefix, order.into()))
        },
    )?;
    interface.func_wrap(
        "[method]key-value-store.approximate-entries",
        |mut store: Store<'_>, (handle,): (Handle,)| {
            Ok((store.data_mut().context()?.stores.approximate_entries(handle.rep() as usize),))
        },
    )?;
    interface.func_wrap(
        "[method]cursor.next",
        |mut store: Store<'_>, (cursor, entries_max): (Resource<CursorHandle>, u32)| {
            let (context, state) = store.data_mut().context_and_state()?;
            Ok((next(context, state, &cursor, entries_max)?,))
        },
    )
}

/// Takes the context out of the store for a moment, so that the guest's memory can be borrowed from it at the same
/// time.
fn with_context<T>(
    mut store: Store<'_>,
    call: impl FnOnce(&Store<'_>, &mut TaskContext) -> wasmtime::Result<T>,
) -> wasmtime::Result<T> {
    let mut context = store.data_mut().context.take().ok_or_else(no_context)?;
    let result = call(&store, &mut context);
    store.data_mut().context = Some(context);
    result
}

fn get(context: &mut TaskContext, handle: &Resource<KeyValueStore>, key: &[u8]) -> wasmtime::Result<Option<Stored>> {
    let mut value = Vec::new();
    let found = context.stores.get(handle.rep() as usize, key, &mut value).map_err(HostRefusal::host)?;
    Ok(found.map(|found| Stored { value, timestamp: found.timestamp }))
}

fn put(
    context: &mut TaskContext,
    handle: &Resource<KeyValueStore>,
    key: &[u8],
    value: Option<&[u8]>,
    timestamp: i64,
) -> wasmtime::Result<()> {
    check_not_closing(context, "writing")?;
    if timestamp < 0 {
        return Err(HostRefusal::contract(format_args!("an entry is written with the negative timestamp {timestamp}")));
    }
    context.stores.put(handle.rep() as usize, key, value, timestamp).map_err(HostRefusal::limit)
}

fn get_many(
    context: &mut TaskContext,
    handle: &Resource<KeyValueStore>,
    keys: &[u8],
    key_ends: &[u8],
) -> wasmtime::Result<Values> {
    let key_spans = Spans::new("key-ends", keys, key_ends)?;
    let count = key_spans.len();
    let mut found = Values {
        values: Vec::with_capacity(count * 8),
        value_ends: Vec::with_capacity(count * 4),
        nulls: Vec::with_capacity(count),
        timestamps: Vec::with_capacity(count * 8),
    };
    let store = handle.rep() as usize;
    // A disagreement of the columns is told by the loop below.
    context.stores.read_ahead(store, key_spans.clone().map_while(Result::ok)).map_err(HostRefusal::host)?;
    for key in key_spans {
        let stored = context.stores.get(store, key?, &mut found.values).map_err(HostRefusal::host)?;
        // Answers are bounded as questions are: a guest may not make the host collect gigabytes for it.
        if found.values.len() > crate::limits::HOST_CALL_BYTES_MAX {
            return Err(HostRefusal::limit("the values that `get-many` asks for are too large: ask for fewer at once"));
        }
        found.value_ends.extend_from_slice(&(found.values.len() as u32).to_le_bytes());
        found.nulls.push(u8::from(stored.is_none()));
        found.timestamps.extend_from_slice(&stored.map_or(-1, |stored| stored.timestamp).to_le_bytes());
    }
    Ok(found)
}

fn put_many(
    store: &Store<'_>,
    context: &mut TaskContext,
    handle: &Resource<KeyValueStore>,
    entries: &Entries,
) -> wasmtime::Result<()> {
    let keys = Spans::new("key-ends", entries.keys.as_le_slice(store), entries.key_ends.as_le_slice(store))?;
    let values = Spans::new("value-ends", entries.values.as_le_slice(store), entries.value_ends.as_le_slice(store))?;
    let timestamps = entries.timestamps.as_le_slice(store).as_chunks::<8>().0;
    let nulls = entries.nulls.as_le_slice(store);
    let count = keys.len();
    if values.len() != count || timestamps.len() != count || !(nulls.is_empty() || nulls.len() == count) {
        return Err(HostRefusal::contract("the columns of `put-many` have different numbers of entries"));
    }
    for (index, (key, value)) in keys.zip(values).enumerate() {
        let value = value?;
        let is_null = nulls.get(index).is_some_and(|null| *null != 0);
        put(context, handle, key?, (!is_null).then_some(value), i64::from_le_bytes(timestamps[index]))?;
    }
    Ok(())
}

/// The entries of a column, one after the other; checked as they are read, because a guest made the column.
#[derive(Clone)]
struct Spans<'a> {
    column: &'static str,
    bytes: &'a [u8],
    ends: std::slice::Iter<'a, [u8; 4]>,
    start: usize,
}

impl<'a> Spans<'a> {
    fn new(column: &'static str, bytes: &'a [u8], ends: &'a [u8]) -> wasmtime::Result<Self> {
        let (ends, rest) = ends.as_chunks::<4>();
        let last = ends.last().map_or(0, |end| u32::from_le_bytes(*end) as usize);
        if !rest.is_empty() || last != bytes.len() {
            return Err(disagreement(column));
        }
        Ok(Self { column, bytes, ends: ends.iter(), start: 0 })
    }
}

impl<'a> Iterator for Spans<'a> {
    type Item = wasmtime::Result<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        let end = u32::from_le_bytes(*self.ends.next()?) as usize;
        let span = self.bytes.get(self.start..end).ok_or_else(|| disagreement(self.column));
        self.start = end;
        Some(span)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.ends.size_hint()
    }
}

impl ExactSizeIterator for Spans<'_> {}

#[cold]
fn disagreement(column: &str) -> wasmtime::Error {
    HostRefusal::contract(format_args!("column `{column}` does not ascend to the end of the bytes that it divides"))
}

fn next(
    context: &mut TaskContext,
    state: &mut State,
    cursor: &Resource<CursorHandle>,
    entries_max: u32,
) -> wasmtime::Result<PageOfEntries> {
    let id = cursor.rep();
    let Some((_, cursor)) = state.cursors.iter_mut().find(|(other, _)| *other == id) else {
        return Err(HostRefusal::contract("a cursor is used after the call in which it was opened"));
    };
    let entries_max = if entries_max == 0 { PAGE_ENTRIES_MAX } else { PAGE_ENTRIES_MAX.min(entries_max as usize) };
    let mut page = Page::default();
    let mut timestamps = Vec::new();
    context.stores.next_page(cursor, entries_max, &mut page, &mut timestamps).map_err(HostRefusal::host)?;
    debug_assert!(page.byte_len() <= PAGE_BYTES_MAX * 32, "a page holds one entry past its bound at most");
    Ok(PageOfEntries {
        nulls: Vec::new(),
        key_ends: bytemuck::cast_slice(&page.key_ends).to_vec(),
        value_ends: bytemuck::cast_slice(&page.value_ends).to_vec(),
        timestamps: bytemuck::cast_slice(&timestamps).to_vec(),
        keys: page.keys,
        values: page.values,
    })
}
