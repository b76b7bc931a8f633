//! `context.wit`: forward, children, punctuations, time, metadata, commit.

use millstream_core::context::{ForwardError, Phase, TaskContext};
use millstream_core::processor::PunctuationType;
use millstream_core::record::PackedColumns;
use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, LinkerInstance, Lower, WasmList, WasmStr};

use super::{HostState, check_not_closing, no_context};
use crate::failure::HostRefusal;

/// `types.batch`, where it lies in the guest's memory.
#[derive(ComponentType, Lift)]
#[component(record)]
struct Batch {
    keys: WasmList<u8>,
    #[component(name = "key-ends")]
    key_ends: WasmList<u8>,
    values: WasmList<u8>,
    #[component(name = "value-ends")]
    value_ends: WasmList<u8>,
    timestamps: WasmList<u8>,
    nulls: WasmList<u8>,
    headers: WasmList<u8>,
}

/// `types.punctuation-type`.
#[derive(Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "guests make the values")]
enum Kind {
    #[component(name = "stream-time")]
    StreamTime,
    #[component(name = "wall-clock-time")]
    WallClockTime,
}

impl From<Kind> for PunctuationType {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::StreamTime => Self::StreamTime,
            Kind::WallClockTime => Self::WallClockTime,
        }
    }
}

/// `context.record-metadata`.
#[derive(ComponentType, Lower)]
#[component(record)]
struct RecordMetadata {
    topic: String,
    partition: i32,
    offset: i64,
}

type Store<'a> = StoreContextMut<'a, HostState>;

pub(super) fn add_to_linker(interface: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    interface.func_wrap("forward", |store: Store<'_>, (batch, rows): (Batch, WasmList<u8>)| {
        forward(store, None, &batch, &rows)
    })?;
    interface.func_wrap("forward-to", |store: Store<'_>, (child, batch, rows): (u32, Batch, WasmList<u8>)| {
        forward(store, Some(child as usize), &batch, &rows)
    })?;
    interface.func_wrap("child", |mut store: Store<'_>, (name,): (WasmStr,)| {
        let name = name.to_str(&store)?.into_owned();
        Ok((child(store.data_mut(), &name)?,))
    })?;
    interface.func_wrap("schedule", |mut store: Store<'_>, (interval, kind): (u64, Kind)| {
        schedule(store.data_mut(), None, interval, kind)
    })?;
    interface.func_wrap("schedule-at", |mut store: Store<'_>, (start, interval, kind): (i64, u64, Kind)| {
        schedule(store.data_mut(), Some(start), interval, kind)
    })?;
    interface.func_wrap("cancel", |mut store: Store<'_>, (id,): (u32,)| {
        store.data_mut().context()?.cancel(id);
        Ok(())
    })?;
    interface.func_wrap("stream-time", |mut store: Store<'_>, (row,): (u32,)| {
        let context = store.data_mut().context()?;
        check_row(context, row, "stream-time")?;
        Ok((context.stream_time_at(row as usize),))
    })?;
    interface.func_wrap("wall-clock-time", |mut store: Store<'_>, (): ()| {
        Ok((store.data_mut().context()?.wall_clock_time,))
    })?;
    interface.func_wrap("metadata", |mut store: Store<'_>, (row,): (u32,)| Ok((metadata(store.data_mut(), row)?,)))?;
    interface.func_wrap("commit", |mut store: Store<'_>, (): ()| {
        store.data_mut().context()?.commit_requested = true;
        Ok(())
    })
}

/// Copies the columns from the guest's memory straight into the batches of the children.
fn forward(mut store: Store<'_>, child: Option<usize>, batch: &Batch, rows: &WasmList<u8>) -> wasmtime::Result<()> {
    // The context leaves the store for a moment, so that the guest's memory can be borrowed from it.
    let mut context = store.data_mut().context.take().ok_or_else(no_context)?;
    let columns = PackedColumns {
        keys: batch.keys.as_le_slice(&store),
        key_ends: batch.key_ends.as_le_slice(&store),
        values: batch.values.as_le_slice(&store),
        value_ends: batch.value_ends.as_le_slice(&store),
        timestamps: batch.timestamps.as_le_slice(&store),
        nulls: batch.nulls.as_le_slice(&store),
        headers: batch.headers.as_le_slice(&store),
        rows: rows.as_le_slice(&store),
        parents: &[],
    };
    let forwarded = context.forward(child, &columns);
    store.data_mut().context = Some(context);
    forwarded.map_err(|error| match error {
        ForwardError::TooMuch => HostRefusal::limit(error),
        ForwardError::Columns(_) | ForwardError::Child { .. } | ForwardError::Phase(_) => HostRefusal::contract(error),
    })
}

/// Finds a child by its name.
fn child(state: &mut HostState, name: &str) -> wasmtime::Result<Option<u32>> {
    let phase = state.context()?.phase();
    let index = state.children.index_of(name);
    if phase == Phase::Init {
        state.children.note(name, index.is_some());
    }
    Ok(index.map(|index| index as u32))
}

fn schedule(
    state: &mut HostState,
    start: Option<i64>,
    interval: u64,
    kind: Kind,
) -> wasmtime::Result<(Result<u32, String>,)> {
    let context = state.context()?;
    check_not_closing(context, "scheduling")?;
    // What doesn't fit is some hundred million years, and so is the largest number that fits.
    let interval = i64::try_from(interval).unwrap_or(i64::MAX);
    Ok((context.schedule(kind.into(), start, interval).map_err(|error| error.to_string()),))
}

fn metadata(state: &mut HostState, row: u32) -> wasmtime::Result<Option<RecordMetadata>> {
    let context = state.context()?;
    check_row(context, row, "metadata")?;
    Ok(context.record_metadata(row as usize).map(|metadata| RecordMetadata {
        topic: metadata.partition.map_or_else(String::new, |partition| partition.topic.to_string()),
        partition: metadata.partition.map_or(-1, |partition| partition.partition),
        offset: metadata.offset.0,
    }))
}

/// Refuses a row that the batch doesn't have.
fn check_row(context: &TaskContext, row: u32, function: &str) -> wasmtime::Result<()> {
    if context.phase() == Phase::Process && context.record_metadata(row as usize).is_none() {
        let reason = format!("`{function}` is asked for row {row}, which the batch doesn't have");
        return Err(HostRefusal::contract(reason));
    }
    Ok(())
}
