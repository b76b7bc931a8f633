//! Says of each record how often its key has come.

#[macro_use] // `println!` and its like write to the host's log
extern crate millstream_sdk;

use millstream_sdk::prelude::*;

struct {{pascal}} {
    seen: KeyValueStore,
}

impl Processor for {{pascal}} {
    fn init(setup: &mut Setup) -> Result<Self> {
        Ok(Self { seen: setup.store("seen")?.read_ahead() })
    }

    fn process(&mut self, record: Record<'_>, context: &mut Context) -> Result<()> {
        let key: &str = record.key_as()?;
        let times = self.seen.get(key).map_or(Ok(0), |times| times.view::<i64>())? + 1;
        self.seen.put(key, times.to_be_bytes());
        context.forward(record.with_value(&format!("{key} has come {times} times")));
        Ok(())
    }
}

export! { processors: { "{{name}}" => {{pascal}} } }

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_sdk::testing::TestProcessor;

    #[test]
    fn each_key_is_counted_by_itself() {
        let mut test = TestProcessor::<{{pascal}}>::new().with_store("seen").begin().expect("begins");
        for key in ["ann", "bob", "ann"] {
            test.process(Record::default().with_key(key)).expect("is processed");
        }
        let texts: Vec<String> = test.take_forwarded().iter().map(|record| record.value::<&str>().to_owned()).collect();
        assert_eq!(texts, ["ann has come 1 times", "bob has come 1 times", "ann has come 2 times"]);
    }
}
