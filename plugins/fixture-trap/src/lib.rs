//! Bad on purpose: traps where it is told to. The value `trap` panics in `process`; the node's setting `trap` names
//! another place: `init`, `punctuate` or `close`.

use std::time::Duration;

use millstream_sdk::prelude::*;

struct Trap {
    place: String,
}

impl Processor for Trap {
    fn init(setup: &mut Setup) -> Result<Self> {
        let place = setup.config("trap").unwrap_or_default().to_owned();
        assert_ne!(place, "init", "told to trap in init");
        setup.schedule(Duration::from_millis(1), PunctuationType::StreamTime)?;
        Ok(Self { place })
    }

    fn process(&mut self, record: Record<'_>, context: &mut Context) -> Result<()> {
        let text = record.value_as::<Option<&str>>()?.unwrap_or_default();
        context.forward(record);
        refuse_to_go_on_if_told(text);
        Ok(())
    }

    fn punctuate(&mut self, _: Punctuation, _: PunctuationType, _: Timestamp, _: &mut Context) -> Result<()> {
        assert_ne!(self.place, "punctuate", "told to trap in punctuate");
        Ok(())
    }

    fn close(&mut self) {
        assert_ne!(self.place, "close", "told to trap in close");
    }
}

#[inline(never)]
fn refuse_to_go_on_if_told(text: &str) {
    match text {
        "trap" => panic!("boom: the value is `{text}`"),
        "recurse" => {
            std::hint::black_box(recurse(0));
        }
        _ => {}
    }
}

/// Uses little of the guest's own stack in memory, so that the engine's is full first.
#[inline(never)]
#[expect(unconditional_recursion, reason = "that is what it is for")]
fn recurse(depth: u64) -> u64 {
    recurse(std::hint::black_box(depth) + 1) + 1
}

millstream_sdk::export! { processors: { "trap" => Trap } }
