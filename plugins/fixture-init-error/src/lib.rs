//! Bad on purpose: can't begin without the setting `required`, nor without the store that `store` names.

use millstream_sdk::prelude::*;

struct InitError;

impl Processor for InitError {
    fn init(setup: &mut Setup) -> Result<Self> {
        setup.required("required")?;
        if let Some(store) = setup.config("store").map(str::to_owned) {
            setup.store(&store)?;
        }
        Ok(Self)
    }

    fn process(&mut self, _record: Record<'_>, _context: &mut Context) -> Result<()> {
        Ok(())
    }
}

millstream_sdk::export! { processors: { "init-error" => InitError } }
