//! Bad on purpose: misuses cursors as the value says; any other value is put into the store, and the whole store is
//! forwarded.

use millstream_sdk::prelude::*;
use millstream_sdk::{Cursor, Order};

struct Cursors {
    store: KeyValueStore,
    kept: Option<Cursor>,
}

impl Processor for Cursors {
    fn init(setup: &mut Setup) -> Result<Self> {
        Ok(Self { store: setup.store("store")?, kept: None })
    }

    fn process(&mut self, record: Record<'_>, context: &mut Context) -> Result<()> {
        match record.value_as::<&str>()? {
            "hoard" => {
                let mut hoard = Vec::new();
                loop {
                    hoard.push(self.store.all());
                }
            }
            "keep" => {
                let mut cursor = self.store.all();
                cursor.next();
                self.kept = Some(cursor);
            }
            "use-kept" => {
                let count = self.kept.take().map_or(0, Iterator::count);
                context.forward(record.with_value(&count.to_string()));
            }
            value => {
                self.store.put(record.key_as::<&str>()?, value);
                for entry in self.store.range(Some(b"a"), Some(b"y"), Order::Descending) {
                    context.forward(record.with_key(&entry.key).with_value(&entry.value));
                }
                for entry in self.store.prefix("z", Order::Ascending) {
                    context.forward(record.with_key(&entry.key).with_value(&entry.value));
                }
            }
        }
        Ok(())
    }
}

millstream_sdk::export! { processors: { "cursors" => Cursors } }
