//! Operators that forward records as they are: `merge`, and the filter that drops null keys before a repartition sink.

use crate::context::ContextSlot;
use crate::error::ProcessorFailure;
use crate::processor::{Processor, RecordFailure};
use crate::record::RecordBatch;

/// `merge`: several streams become one; no order holds between them.
#[derive(Debug)]
pub struct Merge;

/// The filter before a repartition sink: a record without a key can't be partitioned by it (reference §4.8).
#[derive(Debug)]
pub struct DropNullKeys;

impl Processor for Merge {
    fn process(
        &mut self,
        records: &RecordBatch,
        context: &mut ContextSlot,
    ) -> Result<Vec<RecordFailure>, ProcessorFailure> {
        context.forward_range(records, 0..records.len());
        Ok(Vec::new())
    }
}

impl Processor for DropNullKeys {
    fn process(
        &mut self,
        records: &RecordBatch,
        context: &mut ContextSlot,
    ) -> Result<Vec<RecordFailure>, ProcessorFailure> {
        let mut start = 0;
        for index in 0..records.len() {
            if records.key(index).is_none() {
                context.forward_range(records, start..index);
                context.dropped_records += 1;
                start = index + 1;
            }
        }
        context.forward_range(records, start..records.len());
        Ok(Vec::new())
    }
}
