//! Bad on purpose: forwards the value `flood` for ever.

use millstream_sdk::prelude::*;

struct Flood;

impl Processor for Flood {
    fn init(_setup: &mut Setup) -> Result<Self> {
        Ok(Self)
    }

    fn process_batch(&mut self, batch: &Batch<'_>, context: &mut Context) {
        for (row, record) in batch.records() {
            // A row of its own each time, so that what is forwarded goes to the host while it floods.
            while context.row(row, |context| self.process(record, context)).is_continue()
                && record.value() == Some(b"flood")
            {}
        }
    }

    fn process(&mut self, record: Record<'_>, context: &mut Context) -> Result<()> {
        let large = vec![b'x'; if record.value() == Some(b"flood") { 64 * 1024 } else { 1 }];
        context.forward(record.with_value(&large));
        Ok(())
    }
}

millstream_sdk::export! { processors: { "forward-too-much" => Flood } }
