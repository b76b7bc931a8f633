//! The conformance plugin: what the suite in `tests/tests/conformance` asks of every language; its README says what each
//! processor and command does.

#[macro_use]
extern crate millstream_sdk;

mod commands;

use commands::Commands;
use millstream_sdk::prelude::*;

/// Forwards the record, whatever it is.
struct Echo;

impl Processor for Echo {
    fn init(_setup: &mut Setup) -> Result<Self> {
        Ok(Self)
    }

    fn process(&mut self, record: Record<'_>, context: &mut Context) -> Result<()> {
        context.forward(record);
        Ok(())
    }
}

/// Answers the number of records in the batch.
struct InBatches;

impl Processor for InBatches {
    fn init(_setup: &mut Setup) -> Result<Self> {
        Ok(Self)
    }

    fn process(&mut self, record: Record<'_>, context: &mut Context) -> Result<()> {
        context.forward(record.with_value("1"));
        Ok(())
    }

    fn process_batch(&mut self, batch: &Batch<'_>, context: &mut Context) {
        let length = batch.len().to_string();
        for (row, record) in batch.records() {
            let _ = context.row(row, |context| {
                context.forward(record.with_value(&length));
                Ok(())
            });
        }
    }
}

/// Counts the records of each key.
struct Count {
    counts: KeyValueStore,
}

impl Processor for Count {
    fn init(setup: &mut Setup) -> Result<Self> {
        let store = setup.config("store").unwrap_or("plain").to_owned();
        Ok(Self { counts: setup.store(&store)?.read_ahead() })
    }

    fn process(&mut self, record: Record<'_>, context: &mut Context) -> Result<()> {
        let Some(key) = record.key() else { return Ok(()) };
        let before: i64 = self.counts.get(key).map_or(Ok(0), |count| count.view())?;
        let count = (before + 1).to_be_bytes();
        self.counts.put(key, count);
        context.forward(record.with_value(&count));
        Ok(())
    }
}

fn is_even(record: &Record<'_>) -> Result<bool> {
    Ok(record.value_as::<Option<i64>>()?.is_some_and(|number| number % 2 == 0))
}

fn by_value(record: &Record<'_>, keys: &mut Keys) -> Result<()> {
    if let Some(value) = record.value() {
        keys.set(value);
    }
    Ok(())
}

export! {
    processors: { "echo" => Echo, "batch" => InBatches, "count" => Count, "do" => Commands },
    predicates: { "is-even" => is_even },
    key_selectors: { "by-value" => by_value },
}
