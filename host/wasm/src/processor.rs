//! An instance as a processor of a task's node.

use std::collections::BTreeMap;

use millstream_core::context::ContextSlot;
use millstream_core::error::{FailureCause, ProcessorFailure};
use millstream_core::id::Timestamp;
use millstream_core::processor::{Processor, PunctuationType, Reaction, RecordFailure};
use millstream_core::record::RecordBatch;

use crate::component::{Component, quoted};
use crate::exports::processor::ProcessorExports;
use crate::exports::processor::exports::millstream::processor::processor as wire;
use crate::exports::processor::millstream::processor::types;
use crate::imports::{Asked, Granted, Log, Origin};
use crate::instance::Instance;
use crate::limits::InstanceLimits;

/// What an instance is told in `init`; see `processor.wit`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessorSetup {
    /// The application's id; random bytes depend on it.
    pub application: String,
    /// The plugin, by its name in the manifest; for the log.
    pub plugin: String,
    /// Which of the component's processors.
    pub processor: String,
    /// The node.
    pub node: String,
    /// The task.
    pub task: String,
    /// The node's settings.
    pub config: BTreeMap<String, String>,
    /// The names of the node's children, in their order.
    pub children: Vec<String>,
    /// The stores that it was granted.
    pub stores: Vec<String>,
}

/// An instance as a processor.
pub struct WasmProcessor {
    instance: Instance,
    exports: ProcessorExports,
    setup: ProcessorSetup,
    /// The headers column of the batch that is crossing; kept for its memory.
    headers: Vec<u8>,
}

impl WasmProcessor {
    /// Makes an instance of `component`; `init` is still to be called.
    ///
    /// # Errors
    ///
    /// When it fails while it is made.
    pub fn new(
        component: &Component,
        limits: &InstanceLimits,
        setup: ProcessorSetup,
    ) -> Result<Self, ProcessorFailure> {
        let ProcessorSetup { application, plugin, node, task, .. } = &setup;
        let log = Log::new(Origin::new([application, plugin, node, task]));
        let granted = Granted { stores: setup.stores.clone(), children: setup.children.clone() };
        let (instance, exports) = component.instantiate_processor(limits, log, granted)?;
        Ok(Self { instance, exports, setup, headers: Vec::new() })
    }

    /// Bytes of its memory.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.instance.memory_bytes()
    }

    /// The stores that it has asked for.
    pub(crate) fn asked_stores(&self) -> &Asked {
        self.instance.asked_stores()
    }

    /// The children that it has asked for.
    pub(crate) fn asked_children(&self) -> &Asked {
        self.instance.asked_children()
    }

    /// The reason why it can't begin; when that is a child that isn't there, also what makes it a child. A guest doesn't know enough
    /// of the manifest to say that.
    fn with_advice_on_children(&self, reason: String) -> String {
        let ProcessorSetup { node, children, .. } = &self.setup;
        let refused = &self.asked_children().refused;
        let Some(child) = refused.iter().find(|child| reason.contains(child.as_str())) else { return reason };
        let those = match children.as_slice() {
            [] => format!("node `{node}` has no children"),
            [only] => format!("the only child of node `{node}` is `{only}`"),
            several => format!("the children of node `{node}` are {}", quoted(several.iter())),
        };
        format!("{reason}; {those}: a node named `{child}` is one when `{node}` is among its `inputs`")
    }

    fn answer(&self, reason: String) -> ProcessorFailure {
        ProcessorFailure { cause: FailureCause::Answer, index: None, reason, digest: self.instance.digest().to_owned() }
    }
}

impl Processor for WasmProcessor {
    fn init(&mut self, context: &mut ContextSlot) -> Result<(), ProcessorFailure> {
        let Self { instance, exports, setup, .. } = self;
        let config: Vec<(&str, &str)> =
            setup.config.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let children: Vec<&str> = setup.children.iter().map(String::as_str).collect();
        let stores: Vec<&str> = setup.stores.iter().map(String::as_str).collect();
        let setup = wire::Setup {
            processor: &setup.processor,
            node: &setup.node,
            task: &setup.task,
            config: &config,
            children: &children,
            stores: &stores,
        };
        let exports = exports.millstream_processor_processor();
        let answer = instance.call(Some(context), |store| exports.call_init(store, setup))?;
        answer.map_err(|reason| self.answer(self.with_advice_on_children(reason)))?;
        self.instance.has_begun();
        Ok(())
    }

    fn process(
        &mut self,
        records: &RecordBatch,
        context: &mut ContextSlot,
    ) -> Result<Vec<RecordFailure>, ProcessorFailure> {
        let Self { instance, exports, headers, .. } = self;
        headers.clear();
        records.write_headers_column(headers);
        let columns = records.columns();
        let batch = types::Batch {
            keys: columns.keys,
            key_ends: bytemuck::cast_slice(columns.key_ends),
            values: columns.values,
            value_ends: bytemuck::cast_slice(columns.value_ends),
            timestamps: bytemuck::cast_slice(columns.timestamps),
            nulls: columns.nulls,
            headers,
        };
        let exports = exports.millstream_processor_processor();
        let failures = instance.call(Some(context), |store| exports.call_process(store, batch))?;
        self.failures(failures, records.len())
    }

    fn punctuate(
        &mut self,
        id: u32,
        kind: PunctuationType,
        timestamp: Timestamp,
        context: &mut ContextSlot,
    ) -> Result<(), ProcessorFailure> {
        let kind = match kind {
            PunctuationType::StreamTime => types::PunctuationType::StreamTime,
            PunctuationType::WallClockTime => types::PunctuationType::WallClockTime,
        };
        let exports = self.exports.millstream_processor_processor();
        let answer = self.instance.call(Some(context), |store| exports.call_punctuate(store, id, kind, timestamp))?;
        match answer.map_err(reaction) {
            Ok(()) => Ok(()),
            Err(Reaction::Skip(reason) | Reaction::DeadLetter(reason)) => {
                let ProcessorSetup { plugin, node, task, .. } = &self.setup;
                tracing::warn!(plugin, node, task, reason, "punctuation left out");
                Ok(())
            }
            Err(Reaction::Retry(reason)) => Err(ProcessorFailure { cause: FailureCause::Retry, ..self.answer(reason) }),
            Err(Reaction::Fatal(reason)) => Err(self.answer(reason)),
        }
    }

    fn close(&mut self, context: &mut ContextSlot) {
        let exports = self.exports.millstream_processor_processor();
        if let Err(failure) = self.instance.call(Some(context), |store| exports.call_close(store)) {
            let ProcessorSetup { plugin, node, task, .. } = &self.setup;
            tracing::warn!(plugin, node, task, %failure, "plugin failed while it was closed");
        }
    }

    fn wants_recycling(&self) -> bool {
        self.instance.wants_recycling()
    }
}

impl WasmProcessor {
    /// Checks the order and the rows of what the guest answered; what comes after a row that ends the batch is ignored.
    fn failures(&self, failures: Vec<wire::Failure>, records: usize) -> Result<Vec<RecordFailure>, ProcessorFailure> {
        let mut checked: Vec<RecordFailure> = Vec::with_capacity(failures.len());
        for failure in failures {
            let index = failure.row;
            let ascends = checked.last().is_none_or(|last| last.index < index);
            if !ascends || index as usize >= records {
                let reason = format!(
                    "it names row {index} of a batch of {records} records as failed, out of order or not there"
                );
                return Err(ProcessorFailure { cause: FailureCause::Trap, ..self.answer(reason) });
            }
            let reaction = reaction(failure.reaction);
            let ends = matches!(reaction, Reaction::Retry(_) | Reaction::Fatal(_));
            checked.push(RecordFailure { index, reaction });
            if ends {
                break;
            }
        }
        Ok(checked)
    }
}

fn reaction(reaction: wire::Reaction) -> Reaction {
    match reaction {
        wire::Reaction::Skip(reason) => Reaction::Skip(reason),
        wire::Reaction::DeadLetter(reason) => Reaction::DeadLetter(reason),
        wire::Reaction::Retry(reason) => Reaction::Retry(reason),
        wire::Reaction::Fatal(reason) | wire::Reaction::Other(reason) => Reaction::Fatal(reason),
    }
}
