//! Turns orders into bills, JSON to JSON: keeps the orders that have priority, and changes their fields.

use millstream_sdk::prelude::*;
use serde::{Deserialize, Serialize};

/// The fields that a bill needs; others are passed over.
#[derive(Deserialize)]
struct Order<'a> {
    id: u64,
    customer: &'a str,
    country: &'a str,
    priority: bool,
    quantity: u64,
    cents: u64,
    note: &'a str,
}

#[derive(Serialize)]
struct Bill<'a> {
    id: u64,
    customer: &'a str,
    country: String,
    total: u64,
    note: &'a str,
}

struct Bills;

impl Processor for Bills {
    fn init(_setup: &mut Setup) -> Result<Self> {
        Ok(Self)
    }

    fn process(&mut self, record: Record<'_>, context: &mut Context) -> Result<()> {
        let Json(order) = record.value_as::<Json<Order<'_>>>()?;
        if order.priority {
            let bill = Bill {
                id: order.id,
                customer: order.customer,
                country: order.country.to_uppercase(),
                total: order.quantity * order.cents,
                note: order.note,
            };
            context.forward(record.with_value(&to_json(&bill)?));
        }
        Ok(())
    }
}

millstream_sdk::export! { processors: { "bills" => Bills } }

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_sdk::testing::TestProcessor;

    #[test]
    fn only_orders_with_priority_are_billed() {
        let mut test = TestProcessor::<Bills>::new().begin().expect("init");
        for priority in ["true", "false"] {
            let order = format!(
                r#"{{"id":7,"customer":"c","country":"de","state":"new","priority":{priority},"quantity":3,"cents":250,"note":"n"}}"#
            );
            test.process(Record::default().with_value(&order)).expect("process");
        }
        let bills = test.take_forwarded();
        assert_eq!(
            bills.iter().map(|bill| bill.value::<&str>()).collect::<Vec<_>>(),
            [r#"{"id":7,"customer":"c","country":"DE","total":750,"note":"n"}"#]
        );
    }
}
