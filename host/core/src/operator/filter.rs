//! `filter`: forwards the records that a plugin's predicate lets pass. Null keys and values are given to it, too.

use crate::context::ContextSlot;
use crate::error::{FailureCause, ProcessorFailure};
use crate::processor::{Predicate, Processor, RecordFailure};
use crate::record::RecordBatch;

/// See the file's documentation.
pub struct Filter {
    predicate: Box<dyn Predicate>,
    negated: bool,
    marks: Vec<u8>,
}

impl Filter {
    /// Forwards what passes `predicate`, or what does not when `negated`.
    #[must_use]
    pub fn new(predicate: Box<dyn Predicate>, negated: bool) -> Self {
        Self { predicate, negated, marks: Vec::new() }
    }
}

impl Processor for Filter {
    fn process(
        &mut self,
        records: &RecordBatch,
        context: &mut ContextSlot,
    ) -> Result<Vec<RecordFailure>, ProcessorFailure> {
        self.marks.clear();
        self.predicate.test(records, &mut self.marks)?;
        if self.marks.len() != records.len() {
            let reason = format!("the predicate answered {} marks for {} records", self.marks.len(), records.len());
            return Err(ProcessorFailure::native(FailureCause::Answer, reason));
        }
        // Neighbours that pass travel together.
        let mut start = 0;
        for chunk in self.marks.chunk_by(|left, right| (*left != 0) == (*right != 0)) {
            let end = start + chunk.len();
            if (chunk[0] != 0) != self.negated {
                context.forward_range(records, start..end);
            }
            start = end;
        }
        Ok(Vec::new())
    }

    fn wants_recycling(&self) -> bool {
        self.predicate.wants_recycling()
    }
}
