//! Bad on purpose: keeps a mebibyte for each record, and takes all there is for the value `all`.

use millstream_sdk::prelude::*;

const MEBIBYTE: usize = 1024 * 1024;

struct Hog {
    kept: Vec<Vec<u8>>,
}

impl Processor for Hog {
    fn init(_setup: &mut Setup) -> Result<Self> {
        Ok(Self { kept: Vec::new() })
    }

    fn process(&mut self, record: Record<'_>, context: &mut Context) -> Result<()> {
        loop {
            self.kept.push(vec![1; MEBIBYTE]);
            if record.value() != Some(b"all") {
                break;
            }
        }
        context.forward(record);
        Ok(())
    }
}

millstream_sdk::export! { processors: { "hog-memory" => Hog } }
