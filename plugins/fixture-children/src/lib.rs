//! Names its children: records with a value go to `full`, the others to `empty`.

use millstream_sdk::Child;
use millstream_sdk::prelude::*;

struct Children {
    full: Child,
    empty: Child,
}

impl Processor for Children {
    fn init(setup: &mut Setup) -> Result<Self> {
        Ok(Self { full: setup.child("full")?, empty: setup.child("empty")? })
    }

    fn process(&mut self, record: Record<'_>, context: &mut Context) -> Result<()> {
        let child = if record.value().is_some() { self.full } else { self.empty };
        context.forward_to(child, record);
        Ok(())
    }
}

millstream_sdk::export! { processors: { "children" => Children } }
