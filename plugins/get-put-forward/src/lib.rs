//! Counts the records of each key in the store `counts`, and forwards the count: get, change, put, forward.

use millstream_sdk::prelude::*;

struct Count {
    counts: KeyValueStore,
}

impl Processor for Count {
    fn init(setup: &mut Setup) -> Result<Self> {
        let store = setup.config("store").unwrap_or("counts").to_owned();
        Ok(Self { counts: setup.store(&store)?.read_ahead() })
    }

    fn process(&mut self, record: Record<'_>, context: &mut Context) -> Result<()> {
        let Some(key) = record.key() else {
            return Err(Error::skip("the record has no key"));
        };
        let before = self.counts.get(key).map_or(Ok(0), |count| count.view::<i64>())?;
        let count = (before + 1).to_be_bytes();
        self.counts.put(key, count);
        context.forward(record.with_value(&count));
        Ok(())
    }
}

millstream_sdk::export! { processors: { "count" => Count } }

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_sdk::testing::TestProcessor;

    #[test]
    fn repeated_keys_of_a_batch_are_counted_with_one_read_and_one_write() {
        let mut test = TestProcessor::<Count>::new().with_store("counts").begin().expect("init");
        let records = ["a", "b", "a", "a"].map(|key| Record::new(Some(key.as_bytes()), None, 1));
        assert!(test.process_batch(&records).expect("no punctuations").is_empty());
        let counts: Vec<i64> = test.take_forwarded().iter().map(|record| record.value()).collect();
        assert_eq!(counts, [1, 1, 2, 3]);
        assert_eq!(test.host_calls(), 3, "get-many, put-many, forward");
        assert_eq!(test.stored("counts", "a"), Some(3_i64.to_be_bytes().to_vec()));
    }
}
