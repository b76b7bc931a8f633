//! `group-by`: gives each record the key that a plugin's selector chooses. Null keys and values are given to it, too.

use crate::context::ContextSlot;
use crate::error::{FailureCause, ProcessorFailure};
use crate::processor::{KeySelector, Processor, RecordFailure, SelectedKeys};
use crate::record::{Record, RecordBatch};

/// See the file's documentation.
pub struct SelectKey {
    selector: Box<dyn KeySelector>,
    keys: SelectedKeys,
}

impl SelectKey {
    /// Gives records the keys of `selector`.
    #[must_use]
    pub fn new(selector: Box<dyn KeySelector>) -> Self {
        Self { selector, keys: SelectedKeys::default() }
    }
}

impl Processor for SelectKey {
    fn process(
        &mut self,
        records: &RecordBatch,
        context: &mut ContextSlot,
    ) -> Result<Vec<RecordFailure>, ProcessorFailure> {
        self.keys.clear();
        self.selector.select(records, &mut self.keys)?;
        if self.keys.key_ends.len() != records.len() {
            let found = self.keys.key_ends.len();
            let reason = format!("the key selector answered {found} keys for {} records", records.len());
            return Err(ProcessorFailure::native(FailureCause::Answer, reason));
        }
        for (index, record) in records.iter().enumerate() {
            context.forward_record(Record { key: self.keys.key(index), ..record }, index);
        }
        Ok(Vec::new())
    }

    fn wants_recycling(&self) -> bool {
        self.selector.wants_recycling()
    }
}
