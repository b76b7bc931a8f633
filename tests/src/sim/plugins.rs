//! The processors of the simulator's applications, in Rust: no sandbox takes part in a simulation.

use std::rc::Rc;

use millstream_core::context::{ContextSlot, TaskContext};
use millstream_core::error::{FailureCause, ProcessorFailure};
use millstream_core::id::TaskId;
use millstream_core::processor::{KeySelector, PluginFactory, Predicate, Processor, Reaction, RecordFailure};
use millstream_core::record::{Record, RecordBatch};
use millstream_core::topology::{FunctionRef, Node};

use super::trace::hash_bytes;
use super::world::World;

/// What `kept` says of a key: how many records it has had, and a hash of their values in their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Records so far.
    pub count: u64,
    /// A hash of their values.
    pub hash: u64,
}

impl Kept {
    /// After one more record.
    #[must_use]
    pub fn with(self, value: &[u8]) -> Self {
        Self { count: self.count + 1, hash: hash_bytes(hash_bytes(self.hash, value), b"|") }
    }

    /// As the store keeps it.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.count.to_be_bytes());
        bytes[8..].copy_from_slice(&self.hash.to_be_bytes());
        bytes
    }

    /// From the store's form; nothing kept when there is none.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let number = |bytes: &[u8]| bytes.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        Self { count: number(bytes), hash: number(bytes.get(8..).unwrap_or_default()) }
    }
}

/// What happens with one record. Values are a number and perhaps a flag: `d` deletes the key's entry; `brittle` traps at `x`, asks to skip
/// at `s` and to dead-letter at `b`, and asks to try `r` again until some time has passed.
type EachRecord = Box<dyn FnMut(&mut TaskContext, Record<'_>, usize) -> Result<Option<Reaction>, ProcessorFailure>>;

struct Simulated {
    each: EachRecord,
    records: u64,
}

/// After so many records a processor wants to be replaced, which nobody must notice.
const RECORDS_OF_A_LIFE: u64 = 17;

impl Processor for Simulated {
    fn process(
        &mut self,
        records: &RecordBatch,
        context: &mut ContextSlot,
    ) -> Result<Vec<RecordFailure>, ProcessorFailure> {
        let mut failures = Vec::new();
        for (index, record) in records.iter().enumerate() {
            self.records += 1;
            if let Some(reaction) = (self.each)(context, record, index)? {
                let ends = matches!(reaction, Reaction::Retry(_) | Reaction::Fatal(_));
                failures.push(RecordFailure { index: index as u32, reaction });
                if ends {
                    break;
                }
            }
        }
        Ok(failures)
    }

    fn wants_recycling(&self) -> bool {
        self.records >= RECORDS_OF_A_LIFE
    }
}

/// Makes the processors.
pub struct SimulatedPlugins {
    /// The world, for its clock.
    pub world: Rc<World>,
}

impl PluginFactory for SimulatedPlugins {
    fn processor(&mut self, node: &Node, _task: TaskId) -> Result<Box<dyn Processor>, ProcessorFailure> {
        let world = Rc::clone(&self.world);
        let each: EachRecord = match node.plugin() {
            Some("split") => Box::new(split),
            Some("meet") => Box::new(meet),
            Some("brittle") => Box::new(move |context, record, index| brittle(&world, context, record, index)),
            _ => Box::new(change),
        };
        Ok(Box::new(Simulated { each, records: 0 }))
    }

    fn predicate(&mut self, _: &Node, _: &FunctionRef, _: TaskId) -> Result<Box<dyn Predicate>, ProcessorFailure> {
        Err(ProcessorFailure::native(FailureCause::Limit, "no application of the simulator filters"))
    }

    fn key_selector(&mut self, _: &Node, _: &FunctionRef, _: TaskId) -> Result<Box<dyn KeySelector>, ProcessorFailure> {
        Err(ProcessorFailure::native(FailureCause::Limit, "no application of the simulator groups"))
    }
}

fn split(context: &mut TaskContext, record: Record<'_>, index: usize) -> Result<Option<Reaction>, ProcessorFailure> {
    for word in record.value.unwrap_or_default().split(|byte| *byte == b' ').filter(|word| !word.is_empty()) {
        context.forward_record(Record { key: Some(word), value: Some(word), ..record }, index);
    }
    Ok(None)
}

fn keep(context: &mut TaskContext, record: &Record<'_>, key: &[u8]) -> Result<Kept, ProcessorFailure> {
    let value = record.value.unwrap_or_default();
    let mut old = Vec::new();
    let found = context.stores.get(0, key, &mut old);
    found.map_err(|error| ProcessorFailure::native(FailureCause::Limit, error.to_string()))?;
    let new = Kept::from_bytes(&old).with(value);
    let bytes = new.to_bytes();
    let put = (!value.ends_with(b"d")).then_some(bytes.as_slice());
    let done = context.stores.put(0, key, put, record.timestamp);
    done.map_err(|error| ProcessorFailure::native(FailureCause::Limit, error.to_string()))?;
    if new.hash.is_multiple_of(23) {
        context.commit_requested = true;
    }
    Ok(new)
}

fn change(context: &mut TaskContext, record: Record<'_>, index: usize) -> Result<Option<Reaction>, ProcessorFailure> {
    let Kept { count, hash } = keep(context, &record, record.key.unwrap_or_default())?;
    let value = format!("{} {count} {hash:x}", String::from_utf8_lossy(record.value.unwrap_or_default()));
    context.forward_record(Record { value: Some(value.as_bytes()), ..record }, index);
    Ok(None)
}

/// All records of a task share one entry, so that it tells their order.
fn meet(context: &mut TaskContext, record: Record<'_>, index: usize) -> Result<Option<Reaction>, ProcessorFailure> {
    let Kept { count, hash } = keep(context, &record, b"all")?;
    let stream_time = context.stream_time_at(index);
    let value = format!("{} {count} {hash:x} {stream_time}", String::from_utf8_lossy(record.value.unwrap_or_default()));
    context.forward_record(Record { value: Some(value.as_bytes()), ..record }, index);
    Ok(None)
}

fn brittle(
    world: &World,
    context: &mut TaskContext,
    record: Record<'_>,
    index: usize,
) -> Result<Option<Reaction>, ProcessorFailure> {
    let value = record.value.unwrap_or_default();
    match value.last() {
        Some(b'x') => {
            // Some traps have effects first, and some say where they are.
            context.forward_record(record, index);
            let failure = ProcessorFailure::native(FailureCause::Trap, "it trapped");
            let number = hash_bytes(7, value);
            if number.is_multiple_of(3) {
                keep(context, &record, record.key.unwrap_or_default())?;
            }
            Err(if number.is_multiple_of(2) { failure } else { failure.at(index) })
        }
        Some(b's') => Ok(Some(Reaction::Skip("it asks to skip".into()))),
        Some(b'b') => Ok(Some(Reaction::DeadLetter("it refuses".into()))),
        Some(b'r') if world.is_dependency_away(value) => Ok(Some(Reaction::Retry("its dependency is away".into()))),
        _ => change(context, record, index),
    }
}
