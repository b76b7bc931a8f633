//! Bad on purpose: refuses a record in the way that its value says.

use millstream_sdk::prelude::*;

struct Refuse;

impl Processor for Refuse {
    fn init(_setup: &mut Setup) -> Result<Self> {
        Ok(Self)
    }

    fn process(&mut self, record: Record<'_>, context: &mut Context) -> Result<()> {
        context.forward(record);
        match record.value_as::<&str>()? {
            "skip" => Err(Error::skip("asked to skip")),
            "dead-letter" => Err(Error::dead_letter("asked to dead-letter")),
            "retry" => Err(Error::retry("asked to retry")),
            "fatal" => Err(Error::fatal("asked to stop")),
            _ => Ok(()),
        }
    }
}

millstream_sdk::export! { processors: { "refuse" => Refuse } }
