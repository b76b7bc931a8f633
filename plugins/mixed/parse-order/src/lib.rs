//! Reads orders such as `tea,2`; the customer is the key. What is no order goes to the dead-letter topic.

use millstream_sdk::prelude::*;
use serde_json::json;

struct ParseOrder;

impl Processor for ParseOrder {
    fn init(_setup: &mut Setup) -> Result<Self> {
        Ok(Self)
    }

    fn process(&mut self, record: Record<'_>, context: &mut Context) -> Result<()> {
        let line: &str = record.value_as()?;
        let order = line.split_once(',').and_then(|(item, quantity)| Some((item, quantity.parse::<u32>().ok()?)));
        let (item, quantity) = order.ok_or_else(|| Error::dead_letter(format_args!("`{line}` is no order")))?;
        context.forward(record.with_value(&to_json(&json!({ "item": item, "quantity": quantity }))?));
        Ok(())
    }
}

millstream_sdk::export! { processors: { "parse-order" => ParseOrder } }
