//! Forwards every record as it is; and in capitals, as a second processor of the same component.

use millstream_sdk::prelude::*;

struct Identity;

impl Processor for Identity {
    fn init(_setup: &mut Setup) -> Result<Self> {
        Ok(Self)
    }

    fn process(&mut self, record: Record<'_>, context: &mut Context) -> Result<()> {
        context.forward(record);
        Ok(())
    }
}

struct Capitals;

impl Processor for Capitals {
    fn init(_setup: &mut Setup) -> Result<Self> {
        Ok(Self)
    }

    fn process(&mut self, record: Record<'_>, context: &mut Context) -> Result<()> {
        let text: &str = record.value_as()?;
        context.forward(record.with_value(&text.to_uppercase()));
        Ok(())
    }
}

millstream_sdk::export! { processors: { "identity" => Identity, "capitals" => Capitals } }
