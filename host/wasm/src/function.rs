//! Instances as predicates and key selectors of native operators.

use millstream_core::error::{FailureCause, ProcessorFailure};
use millstream_core::processor::{KeySelector, Predicate, SelectedKeys};
use millstream_core::record::RecordBatch;

use crate::component::Component;
use crate::exports::{key_selector, predicate};
use crate::imports::{Log, Origin};
use crate::instance::Instance;
use crate::limits::InstanceLimits;

/// An instance as a predicate.
pub struct WasmPredicate {
    instance: Instance,
    exports: predicate::PredicateExports,
    function: String,
    headers: Vec<u8>,
}

impl WasmPredicate {
    /// Makes an instance for the predicate `function`, on behalf of `plugin` in `node` of `task`
    /// in `application`.
    ///
    /// # Errors
    ///
    /// When it fails while it is made.
    pub fn new(
        component: &Component,
        limits: &InstanceLimits,
        function: &str,
        [application, plugin, node, task]: [&str; 4],
    ) -> Result<Self, ProcessorFailure> {
        let log = Log::new(Origin::new([application, plugin, node, task]));
        let (instance, exports) = component.instantiate_predicate(limits, log)?;
        Ok(Self { instance, exports, function: function.to_owned(), headers: Vec::new() })
    }
}

impl Predicate for WasmPredicate {
    fn test(&mut self, records: &RecordBatch, marks: &mut Vec<u8>) -> Result<(), ProcessorFailure> {
        use predicate::millstream::processor::types::Batch;
        let Self { instance, exports, function, headers } = self;
        headers.clear();
        records.write_headers_column(headers);
        let columns = records.columns();
        let batch = Batch {
            keys: columns.keys,
            key_ends: bytemuck::cast_slice(columns.key_ends),
            values: columns.values,
            value_ends: bytemuck::cast_slice(columns.value_ends),
            timestamps: bytemuck::cast_slice(columns.timestamps),
            nulls: columns.nulls,
            headers,
        };
        let exports = exports.millstream_processor_predicate();
        let answer = instance.call(None, |store| exports.call_test(store, function, batch))?;
        let answer = answer.map_err(|reason| failure(instance, FailureCause::Answer, reason))?;
        if answer.len() != records.len() {
            let reason = format!("predicate `{function}` gave {} answers for {} records", answer.len(), records.len());
            return Err(failure(instance, FailureCause::Trap, reason));
        }
        marks.extend_from_slice(&answer);
        Ok(())
    }

    fn wants_recycling(&self) -> bool {
        self.instance.wants_recycling()
    }
}

/// An instance as a key selector.
pub struct WasmKeySelector {
    instance: Instance,
    exports: key_selector::KeySelectorExports,
    function: String,
    headers: Vec<u8>,
}

impl WasmKeySelector {
    /// Makes an instance for the key selector `function`, on behalf of `plugin` in `node` of `task`
    /// in `application`.
    ///
    /// # Errors
    ///
    /// When it fails while it is made.
    pub fn new(
        component: &Component,
        limits: &InstanceLimits,
        function: &str,
        [application, plugin, node, task]: [&str; 4],
    ) -> Result<Self, ProcessorFailure> {
        let log = Log::new(Origin::new([application, plugin, node, task]));
        let (instance, exports) = component.instantiate_key_selector(limits, log)?;
        Ok(Self { instance, exports, function: function.to_owned(), headers: Vec::new() })
    }
}

impl KeySelector for WasmKeySelector {
    fn select(&mut self, records: &RecordBatch, keys: &mut SelectedKeys) -> Result<(), ProcessorFailure> {
        use key_selector::millstream::processor::types::Batch;
        let Self { instance, exports, function, headers } = self;
        headers.clear();
        records.write_headers_column(headers);
        let columns = records.columns();
        let batch = Batch {
            keys: columns.keys,
            key_ends: bytemuck::cast_slice(columns.key_ends),
            values: columns.values,
            value_ends: bytemuck::cast_slice(columns.value_ends),
            timestamps: bytemuck::cast_slice(columns.timestamps),
            nulls: columns.nulls,
            headers,
        };
        let exports = exports.millstream_processor_key_selector();
        let answer = instance.call(None, |store| exports.call_select_key(store, function, batch))?;
        let chosen = answer.map_err(|reason| failure(instance, FailureCause::Answer, reason))?;
        let is_consistent = append(keys, &chosen.keys, &chosen.key_ends, &chosen.nulls, records.len());
        if !is_consistent {
            let reason = format!("key selector `{function}` gave columns that disagree for {} records", records.len());
            return Err(failure(instance, FailureCause::Trap, reason));
        }
        Ok(())
    }

    fn wants_recycling(&self) -> bool {
        self.instance.wants_recycling()
    }
}

/// Appends the keys of `records` records, unless the columns disagree.
fn append(into: &mut SelectedKeys, keys: &[u8], key_ends: &[u8], nulls: &[u8], records: usize) -> bool {
    let (ends, rest) = key_ends.as_chunks::<4>();
    let ends = ends.iter().map(|end| u32::from_le_bytes(*end));
    let ascends = ends.clone().is_sorted() && ends.clone().next_back().unwrap_or(0) as usize == keys.len();
    if !ascends || !rest.is_empty() || ends.len() != records || !(nulls.is_empty() || nulls.len() == records) {
        return false;
    }
    let (before, start) = (into.key_ends.len(), into.keys.len() as u32);
    into.keys.extend_from_slice(keys);
    into.key_ends.extend(ends.map(|end| start + end));
    if !nulls.is_empty() || !into.nulls.is_empty() {
        into.nulls.resize(before, 0);
        into.nulls.extend_from_slice(nulls);
        into.nulls.resize(before + records, 0);
    }
    true
}

fn failure(instance: &Instance, cause: FailureCause, reason: String) -> ProcessorFailure {
    ProcessorFailure { cause, index: None, reason, digest: instance.digest().to_owned() }
}
