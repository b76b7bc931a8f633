//! Plugins as Rust closures, for tests of the engine that need no sandbox.

use std::collections::BTreeMap;

use millstream_core::context::{ContextSlot, TaskContext};
use millstream_core::error::{FailureCause, ProcessorFailure};
use millstream_core::id::{TaskId, Timestamp};
use millstream_core::processor::{
    KeySelector, PluginFactory, Predicate, Processor, PunctuationType, RecordFailure, SelectedKeys,
};
use millstream_core::record::{Record, RecordBatch};
use millstream_core::topology::{FunctionRef, Node, NodeKind, Operation};

/// A processor whose record function is a closure: context, record, its index in the batch.
pub type RecordFn = Box<dyn FnMut(&mut TaskContext, Record<'_>, usize) -> Result<(), ProcessorFailure>>;

/// A processor made of closures.
pub struct NativeProcessor {
    /// Called once.
    pub init: Box<dyn FnMut(&mut TaskContext)>,
    /// Called for each record.
    pub record: RecordFn,
    /// Called for each punctuation.
    pub punctuate: Box<dyn FnMut(&mut TaskContext, u32, PunctuationType, Timestamp)>,
}

impl NativeProcessor {
    /// A processor that only handles records.
    pub fn of(record: impl FnMut(&mut TaskContext, Record<'_>, usize) -> Result<(), ProcessorFailure> + 'static) -> Self {
        Self { init: Box::new(|_| {}), record: Box::new(record), punctuate: Box::new(|_, _, _, _| {}) }
    }
}

impl Processor for NativeProcessor {
    fn init(&mut self, context: &mut ContextSlot) -> Result<(), ProcessorFailure> {
        (self.init)(context);
        Ok(())
    }

    fn process(
        &mut self,
        records: &RecordBatch,
        context: &mut ContextSlot,
    ) -> Result<Vec<RecordFailure>, ProcessorFailure> {
        for (index, record) in records.iter().enumerate() {
            (self.record)(context, record, index)?;
        }
        Ok(Vec::new())
    }

    fn punctuate(
        &mut self,
        id: u32,
        kind: PunctuationType,
        timestamp: Timestamp,
        context: &mut ContextSlot,
    ) -> Result<(), ProcessorFailure> {
        (self.punctuate)(context, id, kind, timestamp);
        Ok(())
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
