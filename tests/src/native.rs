//! Plugins as Rust closures, for tests of the engine that need no sandbox.

use std::collections::BTreeMap;

use millstream_core::context::{ContextSlot, TaskContext};
use millstream_core::error::{FailureCause, ProcessorFailure};
use millstream_core::id::{TaskId, Timestamp};
use millstream_core::processor::{
    KeySelector, PluginFactory, Predicate, Processor, PunctuationType, Reaction, RecordFailure, SelectedKeys,
};
use millstream_core::record::{Record, RecordBatch};
use millstream_core::topology::{FunctionRef, Node, NodeKind, Operation};

/// Why a record function did not process a record.
#[derive(Debug)]
pub enum Refusal {
    /// The processor ended abnormally.
    Failure(ProcessorFailure),
    /// The processor answered what is to happen with the record.
    Answer(Reaction),
}

type ContextFn = Box<dyn FnMut(&mut TaskContext) -> Result<(), ProcessorFailure>>;
type PunctuateFn = Box<dyn FnMut(&mut TaskContext, u32, PunctuationType, Timestamp) -> Result<(), ProcessorFailure>>;

/// A processor whose record function is a closure: context, record, its index in the batch.
pub type RecordFn = Box<dyn FnMut(&mut TaskContext, Record<'_>, usize) -> Result<(), Refusal>>;

/// A processor made of closures.
pub struct NativeProcessor {
    init: ContextFn,
    record: RecordFn,
    punctuate: PunctuateFn,
    close: ContextFn,
    wants_recycling: Box<dyn Fn() -> bool>,
}

impl NativeProcessor {
    /// A processor that only handles records.
    pub fn of(
        mut record: impl FnMut(&mut TaskContext, Record<'_>, usize) -> Result<(), ProcessorFailure> + 'static,
    ) -> Self {
        let record: RecordFn =
            Box::new(move |context, one, index| record(context, one, index).map_err(Refusal::Failure));
        Self::new(record)
    }

    /// A processor that may refuse records by an answer.
    pub fn answering(
        mut record: impl FnMut(&mut TaskContext, Record<'_>, usize) -> Result<(), Reaction> + 'static,
    ) -> Self {
        Self::new(Box::new(move |context, one, index| record(context, one, index).map_err(Refusal::Answer)))
    }

    /// A processor that forwards every record.
    #[must_use]
    pub fn forwarding() -> Self {
        Self::of(|context, record, index| {
            context.forward_record(record, index);
            Ok(())
        })
    }

    /// A processor that forwards every record with what `say` says as its value.
    pub fn saying(say: impl Fn(&mut TaskContext, Record<'_>, usize) -> String + 'static) -> Self {
        Self::of(move |context, record, index| {
            let text = say(context, record, index);
            context.forward_record(Record { value: Some(text.as_bytes()), ..record }, index);
            Ok(())
        })
    }

    fn new(record: RecordFn) -> Self {
        let punctuate = Box::new(|_: &mut TaskContext, _, _, _| Ok(()));
        let wants_recycling = Box::new(|| false);
        Self { init: Box::new(|_| Ok(())), record, punctuate, close: Box::new(|_| Ok(())), wants_recycling }
    }

    /// With this at its beginning.
    #[must_use]
    pub fn on_init(mut self, init: impl FnMut(&mut TaskContext) -> Result<(), ProcessorFailure> + 'static) -> Self {
        self.init = Box::new(init);
        self
    }

    /// With this for each punctuation: context, id, kind, timestamp.
    #[must_use]
    pub fn on_punctuate(
        mut self,
        punctuate: impl FnMut(&mut TaskContext, u32, PunctuationType, Timestamp) -> Result<(), ProcessorFailure> + 'static,
    ) -> Self {
        self.punctuate = Box::new(punctuate);
        self
    }

    /// With this at its clean end.
    #[must_use]
    pub fn on_close(mut self, mut close: impl FnMut(&mut TaskContext) + 'static) -> Self {
        self.close = Box::new(move |context| {
            close(context);
            Ok(())
        });
        self
    }
}

impl NativeProcessor {
    /// With this to say whether its memory has passed its mark.
    #[must_use]
    pub fn recycled_when(mut self, wants_recycling: impl Fn() -> bool + 'static) -> Self {
        self.wants_recycling = Box::new(wants_recycling);
        self
    }
}

impl Processor for NativeProcessor {
    fn init(&mut self, context: &mut ContextSlot) -> Result<(), ProcessorFailure> {
        (self.init)(context)
    }

    fn process(
        &mut self,
        records: &RecordBatch,
        context: &mut ContextSlot,
    ) -> Result<Vec<RecordFailure>, ProcessorFailure> {
        let mut refused = Vec::new();
        for (index, record) in records.iter().enumerate() {
            match (self.record)(context, record, index) {
                Ok(()) => {}
                Err(Refusal::Failure(failure)) => return Err(failure),
                Err(Refusal::Answer(reaction)) => {
                    let ends = matches!(reaction, Reaction::Retry(_) | Reaction::Fatal(_));
                    refused.push(RecordFailure { index: index as u32, reaction });
                    if ends {
                        break;
                    }
                }
            }
        }
        Ok(refused)
    }

    fn punctuate(
        &mut self,
        id: u32,
        kind: PunctuationType,
        timestamp: Timestamp,
        context: &mut ContextSlot,
    ) -> Result<(), ProcessorFailure> {
        (self.punctuate)(context, id, kind, timestamp)
    }

    fn close(&mut self, context: &mut ContextSlot) {
        // A failure at the end has no consequence.
        let _ = (self.close)(context);
    }

    fn wants_recycling(&self) -> bool {
        (self.wants_recycling)()
    }
}

type ProcessorMaker = Box<dyn Fn(TaskId) -> NativeProcessor>;
type PredicateFn = fn(Record<'_>) -> bool;
type KeyFn = fn(Record<'_>) -> Option<Vec<u8>>;

/// Plugins by their names in the manifest.
#[derive(Default)]
pub struct NativePlugins {
    processors: BTreeMap<String, ProcessorMaker>,
    predicates: BTreeMap<String, PredicateFn>,
    key_selectors: BTreeMap<String, KeyFn>,
}

impl NativePlugins {
    /// Adds a plugin with one processor.
    #[must_use]
    pub fn processor(mut self, plugin: &str, make: impl Fn(TaskId) -> NativeProcessor + 'static) -> Self {
        self.processors.insert(plugin.to_owned(), Box::new(make));
        self
    }

    /// Adds a plugin with one predicate.
    #[must_use]
    pub fn predicate(mut self, plugin: &str, test: PredicateFn) -> Self {
        self.predicates.insert(plugin.to_owned(), test);
        self
    }

    /// Adds a plugin with one key selector.
    #[must_use]
    pub fn key_selector(mut self, plugin: &str, select: KeyFn) -> Self {
        self.key_selectors.insert(plugin.to_owned(), select);
        self
    }
}

fn unknown(plugin: &str) -> ProcessorFailure {
    ProcessorFailure::native(FailureCause::Answer, format!("the test has no plugin `{plugin}`"))
}

struct NativePredicate(PredicateFn);

impl Predicate for NativePredicate {
    fn test(&mut self, records: &RecordBatch, marks: &mut Vec<u8>) -> Result<(), ProcessorFailure> {
        marks.extend(records.iter().map(|record| u8::from((self.0)(record))));
        Ok(())
    }
}

struct NativeKeySelector(KeyFn);

impl KeySelector for NativeKeySelector {
    fn select(&mut self, records: &RecordBatch, selected: &mut SelectedKeys) -> Result<(), ProcessorFailure> {
        for record in records.iter() {
            let key = (self.0)(record);
            selected.nulls.push(u8::from(key.is_none()));
            selected.keys.extend_from_slice(&key.unwrap_or_default());
            selected.key_ends.push(selected.keys.len() as u32);
        }
        Ok(())
    }
}

impl PluginFactory for NativePlugins {
    fn processor(&mut self, node: &Node, task: TaskId) -> Result<Box<dyn Processor>, ProcessorFailure> {
        let NodeKind::Processor(Operation::Plugin { plugin, .. }) = &node.kind else {
            return Err(unknown(node.name.as_str()));
        };
        let make = self.processors.get(plugin).ok_or_else(|| unknown(plugin))?;
        Ok(Box::new(make(task)))
    }

    fn predicate(
        &mut self,
        _node: &Node,
        function: &FunctionRef,
        _task: TaskId,
    ) -> Result<Box<dyn Predicate>, ProcessorFailure> {
        let test = self.predicates.get(&function.plugin).ok_or_else(|| unknown(&function.plugin))?;
        Ok(Box::new(NativePredicate(*test)))
    }

    fn key_selector(
        &mut self,
        _node: &Node,
        function: &FunctionRef,
        _task: TaskId,
    ) -> Result<Box<dyn KeySelector>, ProcessorFailure> {
        let select = self.key_selectors.get(&function.plugin).ok_or_else(|| unknown(&function.plugin))?;
        Ok(Box::new(NativeKeySelector(*select)))
    }
}
