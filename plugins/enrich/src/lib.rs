//! Adds the customer's name to orders. Customers arrive on the same input and are kept in the store `customers`; orders
//! that come before their customer wait in the store `waiting`, at most for the node's setting `patience` (default: one
//! minute).

use std::time::Duration;

use millstream_sdk::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
enum Event {
    Customer { id: String, name: String },
    Order { customer: String, amount: f64 },
}

#[derive(Serialize)]
struct EnrichedOrder<'a> {
    customer: &'a str,
    name: Option<&'a str>,
    amount: f64,
}

struct Enrich {
    customers: KeyValueStore,
    waiting: KeyValueStore,
}

impl Processor for Enrich {
    fn init(setup: &mut Setup) -> Result<Self> {
        let patience = setup.config("patience-ms").map_or(Ok(60_000), str::parse)?;
        let (customers, waiting) = (setup.store("customers")?, setup.store("waiting")?);
        let orders = waiting.clone();
        setup.schedule_with(Duration::from_millis(patience), PunctuationType::StreamTime, move |now, context| {
            for entry in orders.all().filter(|entry| entry.timestamp + (patience as Timestamp) <= now) {
                context.forward(Record::new(Some(&entry.key), Some(&entry.value), entry.timestamp));
                orders.delete(&entry.key);
            }
            Ok(())
        })?;
        Ok(Self { customers, waiting })
    }

    fn process(&mut self, record: Record<'_>, context: &mut Context) -> Result<()> {
        let Json(event) =
            record.value_as::<Json<Event>>().map_err(|error| error.with_reaction(Reaction::DeadLetter))?;
        match event {
            Event::Customer { id, name } => {
                self.customers.put(&id, &name);
                let prefix = format!("{id}/");
                for entry in self.waiting.prefix(&prefix, Order::Ascending) {
                    let amount = entry.value.view::<Json<serde_json::Value>>()?.0["amount"].as_f64().unwrap_or(0.0);
                    let order = EnrichedOrder { customer: &id, name: Some(&name), amount };
                    context.forward(record.with_key(&id).with_value(&to_json(&order)?));
                    self.waiting.delete(&entry.key);
                }
            }
            Event::Order { customer, amount } => match self.customers.get(&customer) {
                Some(name) => {
                    let order = EnrichedOrder { customer: &customer, name: Some(name.view()?), amount };
                    context.forward(record.with_key(&customer).with_value(&to_json(&order)?));
                }
                None => {
                    let order = EnrichedOrder { customer: &customer, name: None, amount };
                    let offset = context.metadata().map_or(0, |metadata| metadata.offset);
                    self.waiting.put(format!("{customer}/{offset:020}"), to_json(&order)?);
                }
            },
        }
        Ok(())
    }
}

millstream_sdk::export! { processors: { "enrich" => Enrich } }
