//! What a processor is.

use std::ops::ControlFlow;

use crate::context::{Context, Punctuation, PunctuationType};
use crate::error::Result;
use crate::record::Record;
use crate::setup::Setup;
use crate::{Batch, Timestamp};

/// A processor: a node of a topology that takes records and forwards records.
///
/// One is made for each task, and again after a failure or when the host replaces the instance: what it keeps in its
/// fields is a cache. State belongs in stores.
pub trait Processor: Sized + 'static {
    /// Begins: reads the settings, opens stores, schedules punctuations.
    ///
    /// # Errors
    ///
    /// When it can't begin; the task doesn't start then, and the operator is shown the reason.
    fn init(setup: &mut Setup) -> Result<Self>;

    /// Processes one record.
    ///
    /// # Errors
    ///
    /// The record wasn't processed. What it forwarded and wrote is taken back, and the host does what the
    /// [`Error`](crate::Error) asks for.
    fn process(&mut self, record: Record<'_>, context: &mut Context) -> Result<()>;

    /// Processes a batch; calls [`Self::process`] for each record unless it is overridden, for work that is quicker on
    /// many records. The result must be that of one record at a time; use [`Context::row`] for each.
    #[inline]
    fn process_batch(&mut self, batch: &Batch<'_>, context: &mut Context) {
        for (row, record) in batch.records() {
            let flow = context.row(row, |context| self.process(record, context));
            if let ControlFlow::Break(()) = flow {
                break;
            }
        }
    }

    /// A punctuation without a punctuator of its own is due. `timestamp` is the stream time or wall-clock time now.
    ///
    /// # Errors
    ///
    /// What the punctuation forwarded and wrote is taken back, and the host does what the error asks for.
    fn punctuate(
        &mut self,
        punctuation: Punctuation,
        kind: PunctuationType,
        timestamp: Timestamp,
        context: &mut Context,
    ) -> Result<()> {
        let _ = (punctuation, kind, timestamp, context);
        Ok(())
    }

    /// The task is about to be closed or given away. Nothing can be forwarded or written any more.
    fn close(&mut self) {}
}
