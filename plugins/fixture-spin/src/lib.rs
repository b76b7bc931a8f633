//! Bad on purpose: never comes back from the value `spin`.

use millstream_sdk::prelude::*;

struct Spin;

impl Processor for Spin {
    fn init(_setup: &mut Setup) -> Result<Self> {
        Ok(Self)
    }

    fn process(&mut self, record: Record<'_>, context: &mut Context) -> Result<()> {
        let mut spins = record.value() == Some(b"spin");
        while spins {
            spins = std::hint::black_box(true);
        }
        context.forward(record);
        Ok(())
    }
}

millstream_sdk::export! { processors: { "spin" => Spin } }
